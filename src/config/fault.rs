//! Everything that can be wrong with a value of the configuration, each with what to write instead.

pub mod identity;
pub mod pairing;
pub mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::base::limits::{CONFIG_SHOWN_CHARS_MAX, ID_CHARS_MAX};
use crate::base::printable::printable;
use crate::net::host::HostError;
use crate::net::named::ListError;
use crate::net::range::RangeFault;
use crate::origin::header::HeaderFault;

use super::acme::AcmeFault;
use identity::IdentityFault;
use pairing::PairingFault;
use upstream::UpstreamFault;

/// What is wrong.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum Fault {
    /// What no CA would take.
    #[error(transparent)]
    Acme(AcmeFault),
    /// `auto` where strangers can connect.
    #[error("`auto` is for listeners that are bound to loopback only, and this one is bound to {0}")]
    AutoNeedsLoopback(SocketAddr),
    /// Not `address:port`.
    #[error("not an address and port: {}", shown(.0))]
    Bind(String),
    /// Another listener, or another entry, has this address and port.
    #[error("{address} is bound already by {by}")]
    BindTaken {
        /// The address.
        address: SocketAddr,
        /// Who has it.
        by: String,
    },
    /// A header that cannot name the client.
    #[error("{cause}: {}", shown(text))]
    ClientHeader {
        /// Why.
        cause: HeaderFault,
        /// What was written.
        text: String,
    },
    /// A header that nobody may send.
    #[error("client_ip_header is set, but trusted_proxies names nobody who may send it")]
    HeaderNeedsTrust,
    /// Not a host name or address.
    #[error("{cause}: {}", shown(text))]
    Host {
        /// What is wrong with it.
        cause: HostError,
        /// What was written.
        text: String,
    },
    /// An `[[identity]]`.
    #[error(transparent)]
    Identity(#[from] IdentityFault),
    /// A part of doorward that does not exist yet.
    #[error("not in this version yet: {}", shown(what))]
    Later {
        /// The key or value.
        what: String,
        /// What to do now.
        instead: &'static str,
    },
    /// `local = "loopback"` where strangers can connect.
    #[error("`local = \"loopback\"` needs a listener bound to loopback only, and this one is bound to {0}")]
    LocalNeedsLoopback(SocketAddr),
    /// `local` and a PROXY header exclude each other.
    #[error("a caller behind a PROXY header is never local, so `local` means nothing here")]
    LocalBehindProxy,
    /// Not a single address of a caller.
    #[error("not an address of one machine: {}", shown(.0))]
    LocalPeer(String),
    /// Numbers for everybody.
    #[error("metrics would be read by whoever can dial {0}")]
    MetricsExposed(SocketAddr),
    /// A key that must be there.
    #[error("a key is missing: {key}")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// Not a name.
    #[error("not a name: {}", shown(.0))]
    Name(String),
    /// Two listeners of one name.
    #[error("two listeners have this name: {0}")]
    NameTaken(String),
    /// The same entry twice in one list.
    #[error("named twice: {}", shown(.0))]
    NamedTwice(String),
    /// A number out of its bounds.
    #[error("{key} must be from {min} to {max}")]
    Number {
        /// The key.
        key: &'static str,
        /// The least.
        min: i64,
        /// The most.
        max: i64,
    },
    /// Not a web origin.
    #[error("{cause}: {}", shown(text))]
    Origin {
        /// What is wrong with it.
        cause: HostError,
        /// What was written.
        text: String,
    },
    /// A `[[core.pairing.rule]]`.
    #[error(transparent)]
    Pairing(#[from] PairingFault),
    /// A required PROXY header that nobody may send.
    #[error("proxy_protocol = \"required\", but proxy_protocol_from names nobody who may send it")]
    ProxyNeedsFrom,
    /// A port that is published leads to an address that others can reach, or to none.
    #[error(
        "`local = \"published-loopback\"` needs a listener that the container's runtime can reach, and this one is bound to loopback"
    )]
    PublishedNeedsOutside,
    /// A range of addresses that is not taken.
    #[error("{cause}: {}", shown(text))]
    Range {
        /// What is wrong with it.
        cause: RangeFault,
        /// What was written.
        text: String,
    },
    /// A file of ranges that cannot be read.
    #[error("the list cannot be read ({cause}): {}", path.display())]
    RangeFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A file of ranges that is not taken.
    #[error("{cause}: the list {}", shown(name))]
    RangeList {
        /// Its name.
        name: String,
        /// What is wrong with it.
        cause: ListError,
    },
    /// A list that is not there.
    #[error("no list of ranges has this name: {}", shown(text))]
    RangeName {
        /// As written.
        text: String,
        /// The lists there are.
        known: Vec<String>,
    },
    /// `serve = "redirect"` where there is nothing to redirect.
    #[error("`serve = \"redirect\"` is for `protocol = \"http\"`")]
    RedirectNeedsHttp,
    /// Plain HTTP to strangers.
    #[error("`serve = \"all\"` would speak plain http with anybody")]
    ServeAllExposed,
    /// Not TOML.
    #[error("not valid toml: {}", shown(.0))]
    Syntax(String),
    /// A list with too many entries.
    #[error("{key} has more than {max} entries")]
    TooMany {
        /// The key.
        key: &'static str,
        /// The most.
        max: usize,
    },
    /// A key nobody reads.
    #[error("unknown key: {}", shown(key))]
    UnknownKey {
        /// As written.
        key: String,
        /// Where: `[edge]`.
        section: String,
        /// The known key it resembles most.
        closest: Option<&'static str>,
        /// The keys there are.
        known: &'static [&'static str],
    },
    /// A word that is none of those allowed.
    #[error("{key} cannot be: {}", shown(text))]
    UnknownValue {
        /// The key.
        key: &'static str,
        /// As written.
        text: String,
        /// The words it can be.
        allowed: Vec<&'static str>,
        /// The one it resembles most.
        closest: Option<&'static str>,
    },
    /// A `[core.upstream]`.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
    /// A key without effect, which its writer surely expected to have one.
    #[error("{key} has no effect without {needs}")]
    Useless {
        /// The key.
        key: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A value of another type.
    #[error("{key} must be {expected}, not {found}")]
    WrongType {
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
}

impl Fault {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Acme(fault) => fault.hint().into(),
            Self::AutoNeedsLoopback(_) => "use `protocol = \"https\"` here, or bind to 127.0.0.1 and [::1] only".into(),
            Self::Bind(text) => bind_hint(text),
            Self::BindTaken { .. } => "give each listener an address and port of its own".into(),
            Self::ClientHeader { cause, .. } => header_hint(*cause),
            Self::HeaderNeedsTrust => {
                "list your proxy's own addresses: `trusted_proxies = [\"192.0.2.1\"]`, or remove client_ip_header"
                    .into()
            }
            Self::Host { cause, .. } => host_hint(*cause),
            Self::Identity(fault) => fault.hint(),
            Self::Later { instead, .. } => (*instead).into(),
            Self::LocalNeedsLoopback(_) => {
                "bind to 127.0.0.1 and [::1] only, or write `local = \"never\"`: a caller from elsewhere is not local"
                    .into()
            }
            Self::LocalBehindProxy => "write `local = \"never\"`, or a listener of its own for local callers".into(),
            Self::LocalPeer(_) => {
                "write the one address that the runtime shows for the host, as \"192.168.65.1\"; no range, no loopback"
                    .into()
            }
            Self::MetricsExposed(_) => METRICS_HINT.into(),
            Self::Missing { key } => format!("add `{key}` here"),
            Self::Name(_) => format!("1 to {ID_CHARS_MAX} of the letters a-z, digits, `-` and `_`"),
            Self::NameTaken(_) => "names tell listeners apart in logs and assertions: choose another".into(),
            Self::NamedTwice(_) => "remove one of the two".into(),
            Self::Number { min, max, .. } => format!("write a whole number from {min} to {max}"),
            Self::Origin { .. } => "write scheme, host and port only, as `https://claw.example.com:8443`".into(),
            Self::Pairing(fault) => fault.hint(),
            Self::ProxyNeedsFrom => {
                "list the load balancer's own addresses: `proxy_protocol_from = [\"192.0.2.1\"]`".into()
            }
            Self::PublishedNeedsOutside => PUBLISHED_HINT.into(),
            Self::Range { cause, .. } => range_hint(*cause),
            Self::RangeFile { .. } => {
                "name a text file of ranges, one a line; its path counts from this file's folder".into()
            }
            Self::RangeList { cause: ListError::Date { .. }, .. } => "write it as `# date: 2026-10-05`".into(),
            Self::RangeList { cause: ListError::Empty, .. } => "write one address or range a line".into(),
            Self::RangeList { cause: ListError::Range { cause, .. }, .. } => range_hint(*cause),
            Self::RangeName { known, .. } => format!(
                "there is {}; add lists of your own to [ranges]. Host names are not taken: one could be made to point anywhere",
                known.join(", ")
            ),
            Self::RedirectNeedsHttp => {
                "remove `serve`, or set `protocol = \"http\"` for a listener that redirects".into()
            }
            Self::ServeAllExposed => SERVE_ALL_HINT.into(),
            Self::Syntax(_) => SYNTAX_HINT.into(),
            Self::TooMany { .. } => "keep the entries that are needed".into(),
            Self::UnknownKey { key, .. } if key == "state_dir" => {
                "it stands at the top of the file, before the first [table]".into()
            }
            Self::UnknownKey { section, closest, known, .. } => match closest {
                Some(closest) => format!("did you mean `{closest}`?"),
                None if known.is_empty() => format!("{section} takes no keys"),
                None => format!("{section} takes {}", known.join(", ")),
            },
            Self::UnknownValue { allowed, closest, .. } => match closest {
                Some(closest) => format!("did you mean \"{closest}\"?"),
                None => format!("one of: \"{}\"", allowed.join("\", \"")),
            },
            Self::Upstream(fault) => fault.hint(),
            Self::Useless { key, needs } => format!("remove {key}, or set {needs}"),
            Self::WrongType { expected, .. } => format!("write {expected}"),
        }
    }
}

const METRICS_HINT: &str = "bind to loopback, or to an address of your own network or tailnet; where that cannot be, as in a \
    container, set `danger_public_metrics = true` and publish the port to nobody";
const SERVE_ALL_HINT: &str = "name your proxy in `trusted_proxies` (or `proxy_protocol_from` with `proxy_protocol = \
    \"required\"`), bind to loopback only, or use `protocol = \"https\"`";
const SYNTAX_HINT: &str = "see https://toml.io for the format; text stands in \"quotes\", lists in [brackets]";
const PUBLISHED_HINT: &str = "in a container bind to \"0.0.0.0:18789\" and publish -p 127.0.0.1:18789:18789; elsewhere use `local = \"loopback\"`";

pub(super) fn shown(text: &str) -> String {
    printable(text, CONFIG_SHOWN_CHARS_MAX)
}

fn bind_hint(text: &str) -> String {
    let port =
        text.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let port = port.unwrap_or("18789");
    match text.rsplit_once(':') {
        Some((_, "0")) => "port 0 would be another port at each start: choose one".into(),
        Some(("localhost", _)) => format!("write \"127.0.0.1:{port}\", \"[::1]:{port}\""),
        Some(("" | "*", _)) => format!("for every address write \"0.0.0.0:{port}\", \"[::]:{port}\""),
        _ => format!("write an ip address and a port, as \"127.0.0.1:{port}\" or \"[::1]:{port}\""),
    }
}

fn header_hint(cause: HeaderFault) -> String {
    match cause {
        HeaderFault::NotAName => "write one header name, as \"x-forwarded-for\" or \"x-real-ip\", or \"none\"".into(),
        HeaderFault::OfHttp => {
            "name the header that your proxy writes the client's address into, as \"x-forwarded-for\", \"forwarded\", \
             \"x-real-ip\" or \"cf-connecting-ip\""
                .into()
        }
        HeaderFault::Ours => {
            "doorward strips and writes this family itself; name the header that your proxy writes the client's address into"
                .into()
        }
    }
}

fn host_hint(cause: HostError) -> String {
    match cause {
        HostError::Name | HostError::Empty | HostError::TooLong => {
            "write each name out, as \"claw.example.com\": no wildcard, no scheme, no port".into()
        }
        HostError::Address | HostError::Bracket | HostError::Port | HostError::Scheme => {
            "write a name as \"claw.example.com\" or a whole address as \"192.0.2.1\" or \"2001:db8::1\", without a port".into()
        }
    }
}

fn range_hint(cause: RangeFault) -> String {
    match cause {
        RangeFault::Everyone => "list the proxies you run; nobody can trust every address".into(),
        RangeFault::HostBits => {
            "write the network's own address (10.0.0.0/24), or the one host without a prefix".into()
        }
        RangeFault::Malformed => {
            "write addresses or ranges, as \"10.0.0.7\" or \"10.0.0.0/24\"; a name could be made to point \
             anywhere, so names and wildcards are not taken"
                .into()
        }
        RangeFault::TooWide => {
            "list the proxies you run; if a range this wide is truly all yours, set `danger_wide_trust = true`".into()
        }
    }
}
