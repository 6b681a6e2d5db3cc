//! Why a value did not get into the DNS, or out of it, and what to do next.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::base::limits::{ACME_SHOWN_CHARS_MAX, DNS_ALIAS_HOPS_MAX};
use crate::base::owner_command::quoted_path;
use crate::base::printable::{printable, printable_path};
use crate::base::private_file::PrivateFileError;

/// Why DNS-01 cannot be answered.
#[derive(Debug, Error)]
pub enum DnsError {
    /// A key of a kind that is broken or unknown.
    #[error("tsig key: no such algorithm here: {}", printable(.0, ACME_SHOWN_CHARS_MAX))]
    Algorithm(String),
    /// An alias that leads to what a program might take for more than a name.
    #[error("the cname of {name} leads to a name that no program is given: {}", printable(to, ACME_SHOWN_CHARS_MAX))]
    AliasUnfit {
        /// Whose alias.
        name: String,
        /// Where it leads.
        to: String,
    },
    /// An alias of an alias of an alias.
    #[error("more than {DNS_ALIAS_HOPS_MAX} aliases lead on from {0}")]
    Aliases(String),
    /// What is written on disk before anything is written in the DNS.
    #[error("{0}")]
    File(#[from] PrivateFileError),
    /// The program says that it failed.
    #[error("the hook failed with {status}: {output}")]
    HookFailed {
        /// How it ended.
        status: String,
        /// What it wrote last, made fit to be shown.
        output: String,
    },
    /// The program does not end.
    #[error("the hook was ended after {} seconds: {output}", waited.as_secs())]
    HookStuck {
        /// What it wrote last, made fit to be shown.
        output: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The file of the operator's program.
    #[error("hook: {cause}: {}", printable_path(path))]
    HookUnfit {
        /// It, or the folder that it is in.
        path: PathBuf,
        /// What is wrong with it.
        cause: Unfit,
    },
    /// The program does not begin.
    #[error("the hook cannot be started: {0}")]
    HookUnstarted(std::io::Error),
    /// The key.
    #[error("tsig key: {0}")]
    KeyFile(PrivateFileError),
    /// The place to write to is elsewhere.
    #[error("{name} is not in the zone {zone}")]
    NotInZone {
        /// The place.
        name: String,
        /// The configured zone.
        zone: String,
    },
    /// A server that goes on without the value.
    #[error("the name server {server} does not show the value at {name}")]
    NotVisible {
        /// Where.
        name: String,
        /// Which.
        server: String,
    },
    /// The server says no.
    #[error("the name server {server} refuses to change {zone}: {refusal}")]
    Refused {
        /// Which refusal.
        refusal: Refusal,
        /// By whom.
        server: String,
        /// What was to be changed.
        zone: String,
        /// The key's name.
        key: String,
    },
    /// Nobody answers there.
    #[error("the name server {server} cannot be asked: {cause}")]
    Silent {
        /// The system's words.
        cause: String,
        /// Who.
        server: String,
    },
    /// It is no name in the DNS.
    #[error("not a name of the dns: {}", printable(.0, ACME_SHOWN_CHARS_MAX))]
    Unnamed(String),
    /// An answer without the server's signature, or with a wrong one.
    #[error("the answer of the name server {0} is not signed with our key")]
    Unsigned(String),
    /// Nobody is responsible for the place.
    #[error("no zone was found for {name} at {server}")]
    Zoneless {
        /// The place.
        name: String,
        /// Who was asked.
        server: String,
    },
}

/// What is wrong with a hook's file.
#[derive(Debug, Error)]
pub enum Unfit {
    /// It is not there, or not for us.
    #[error("cannot be used ({0})")]
    Absent(std::io::Error),
    /// It cannot be run.
    #[error("not a program that can be run")]
    NoProgram,
    /// Somebody else could change it.
    #[error("belongs to uid {0}, who could change what runs")]
    Owner(u32),
    /// Others could change it.
    #[error("others can write to it, and so change what runs")]
    Writable,
}

impl Unfit {
    fn hint(&self, path: &str) -> String {
        match self {
            Self::Absent(_) => format!("see that {path} is there, and that this user may read it"),
            Self::NoProgram => format!("chmod u+x {path}"),
            Self::Owner(_) => format!("chown root {path}"),
            Self::Writable => format!("chmod go-w {path}"),
        }
    }
}

/// What a server says no for (RFC 2136 §2.2, RFC 8945 §3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It does not know the key.
    BadKey,
    /// It has another secret for it.
    BadSignature,
    /// Its clock is so many seconds ahead of ours, or behind.
    BadTime(Option<i64>),
    /// It is not responsible for the zone.
    NotAuthoritative,
    /// The name is in another zone.
    NotZone,
    /// Any other.
    Other(String),
    /// The key may not do that.
    Refused,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadKey => f.write_str("it does not know the key (BADKEY)"),
            Self::BadSignature => f.write_str("its secret for the key is another (BADSIG)"),
            Self::BadTime(Some(ahead)) => write!(f, "its clock and ours differ by {ahead} seconds (BADTIME)"),
            Self::BadTime(None) => f.write_str("its clock and ours differ (BADTIME)"),
            Self::NotAuthoritative => f.write_str("it is not responsible for this zone (NOTAUTH)"),
            Self::NotZone => f.write_str("the name is in another zone (NOTZONE)"),
            Self::Other(word) => f.write_str(word),
            Self::Refused => f.write_str("the key may not do that (REFUSED)"),
        }
    }
}

impl DnsError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::AliasUnfit { name, .. } => {
                format!("let the CNAME of {name} lead to a name of letters, digits, hyphens and underscores")
            }
            Self::Aliases(name) => format!("let the CNAME of {name} lead straight to the place to write to"),
            Self::Algorithm(_) => "make a key with `tsig-keygen -a hmac-sha256`, or hmac-sha384 or hmac-sha512".into(),
            Self::KeyFile(error) | Self::File(error) => error.hint(),
            Self::HookUnfit { path, cause } => cause.hint(&quoted_path(path)),
            Self::HookFailed { .. } => {
                "run it by hand with the words `present`, the name and a value, and mend what it says".into()
            }
            Self::HookStuck { .. } => "see what it waits for: it has no input and must end by itself".into(),
            Self::HookUnstarted(_) => "make it executable, and see that its first line names a program".into(),
            Self::NotInZone { zone, .. } => {
                format!("remove `zone` so that it is found, or let a CNAME lead into {zone}")
            }
            Self::NotVisible { server, .. } => {
                format!(
                    "see that changes reach {server}: its zone transfers (notify, allow-transfer), or its NS record"
                )
            }
            Self::Refused { refusal, zone, key, .. } => refusal.hint(zone, key),
            Self::Silent { .. } => {
                "see that it runs, and that its port is open from here over UDP and TCP; it is tried again by itself"
                    .into()
            }
            Self::Unnamed(_) => "shorten the name: no part may have more than 63 characters, nor the whole 253".into(),
            Self::Unsigned(_) => {
                "see that nothing answers in that server's place, and that it has this key with this secret".into()
            }
            Self::Zoneless { name, server } => {
                format!("set `zone` to the zone of {name}, and `server` to its primary name server, if {server} is not")
            }
        }
    }
}

impl Refusal {
    fn hint(&self, zone: &str, key: &str) -> String {
        match self {
            Self::BadKey => {
                format!("give the server the key \"{key}\" of `key_file`, with the same name and algorithm")
            }
            Self::BadSignature => format!("give `key_file` and the server the same secret for \"{key}\""),
            Self::BadTime(_) => "set both clocks by NTP".into(),
            Self::NotAuthoritative => format!("set `server` to the primary name server of {zone}"),
            Self::NotZone => "remove `zone` so that it is found, or name the zone that the place is in".into(),
            Self::Other(_) => "see the name server's log; it is tried again by itself".into(),
            Self::Refused => format!(
                "let the key change TXT records there; for BIND: `update-policy {{ grant {key} zonesub TXT; }};` in {zone}"
            ),
        }
    }
}
