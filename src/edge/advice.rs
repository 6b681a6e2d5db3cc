//! What the log advises about proxies: which one to mend, and which address to trust, as text to paste. Once for each
//! source and day, and for so many sources only: strangers send forwarding headers too, and must not fill the log.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use tracing::warn;

use crate::base::clock::UnixMillis;
use crate::base::limits::{ADVICE_PERIOD, ADVICE_SOURCES_PER_SHARE_MAX};
use crate::listener;
use crate::net::addr::ClientKey;
use crate::net::range::Ranges;
use crate::origin::trail::Step;
use crate::origin::{Class, ClientAddr, ClientIpHeader, Origin};

/// What somebody should do about a source.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Advice {
    /// A trusted proxy names no client.
    Mend {
        /// How it fails.
        step: Step,
    },
    /// A forwarding header came from an address that hides many callers, which nobody may trust.
    Mask,
    /// A forwarding header came from somebody who is not trusted.
    Trust,
}

/// Whom the log has told of, bounded and forgotten daily.
#[derive(Debug, Default)]
pub(super) struct Advisor(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    day: i64,
    sources: HashSet<(String, ClientKey, Advice)>,
    near: usize,
    far: usize,
}

impl Advice {
    /// What this request calls for, and of whom it speaks; most requests call for nothing.
    pub(super) fn of(origin: &Origin, headers: &HeaderMap, settings: &listener::Settings) -> Option<(IpAddr, Self)> {
        let step = |wanted: fn(Step) -> bool| origin.trail.steps().find(|step| wanted(*step));
        if let Some(step) = step(names_nobody) {
            let speaker = origin.via.first().copied().filter(|_| settings.origin.proxy_protocol != PROXY_OFF);
            return Some((speaker.unwrap_or(origin.peer.ip()), Self::Mend { step }));
        }
        step(|step| matches!(step, Step::HeaderNotRead | Step::HeaderUntrusted))?;
        let client = origin.client.map(ClientAddr::ip)?;
        let trusted = settings.origin.trusted_proxies.contains(client);
        let forwarded = headers.keys().any(|name| names_a_client(name.as_str()));
        match origin.class {
            _ if trusted || !forwarded => None,
            Class::Nat | Class::Local => Some((client, Self::Mask)),
            _ => Some((client, Self::Trust)),
        }
    }

    /// The advice in words, with what to paste.
    fn words(self, source: IpAddr, settings: &listener::Settings) -> String {
        let name = &settings.name;
        let header = settings.origin.client_ip_header.as_str();
        match self {
            Self::Mask => format!(
                "whoever comes through {source} looks like it, so it cannot be trusted: let your proxy reach listener {name} \
                 from an address of its own (a shared container network, or the host's), and trust that"
            ),
            Self::Mend { step: Step::HeaderAbsent } => format!(
                "{source} is in trusted_proxies of listener {name} but sends no {header}: let it send one (nginx: \
                 proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;), or take it out of the list"
            ),
            Self::Mend { step: Step::ChainWithoutClient } => format!(
                "{source} names only proxies of trusted_proxies of listener {name} in {header}: a caller from one of those \
                 addresses is nobody; narrow the list to the proxies themselves"
            ),
            Self::Mend { .. } => format!(
                "what {source} sends listener {name} in {header} cannot be read: let it replace what callers send, not \
                 keep it (nginx: proxy_set_header X-Forwarded-For $remote_addr;)"
            ),
            Self::Trust => {
                let list = pasted(&settings.origin.trusted_proxies, source);
                let header = match settings.origin.client_ip_header {
                    ClientIpHeader::None => "\nclient_ip_header = \"x-forwarded-for\"",
                    _ => "",
                };
                format!(
                    "only if {source} is a proxy of your own, and not a caller who pretends, set for listener {name}: \
                     {list}{header}"
                )
            }
        }
    }
}

const PROXY_OFF: crate::origin::ProxyProtocol = crate::origin::ProxyProtocol::Off;

fn names_nobody(step: Step) -> bool {
    matches!(
        step,
        Step::ChainWithoutClient | Step::HeaderAbsent | Step::HopNotPossible | Step::HopUnreadable | Step::HopsTooMany
    )
}

/// Headers in which real proxies name their caller; traces of other kinds name nobody whom we could read.
fn names_a_client(name: &str) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip"].contains(&name)
}

/// The whole list with `source` added.
fn pasted(trusted: &Ranges, source: IpAddr) -> String {
    let bare = |range: ipnet::IpNet| {
        if range.prefix_len() == range.max_prefix_len() { range.addr().to_string() } else { range.to_string() }
    };
    let entries: Vec<String> = trusted.iter().map(bare).chain([source.to_string()]).collect();
    format!("trusted_proxies = [\"{}\"]", entries.join("\", \""))
}

impl Advisor {
    /// Logs what this request calls for, if nobody was told of its source today.
    pub(super) fn heed(&self, origin: &Origin, headers: &HeaderMap, settings: &listener::Settings, now: UnixMillis) {
        let Some((source, advice)) = Advice::of(origin, headers, settings) else { return };
        if self.admit(&settings.name, source, advice, origin.class, now) {
            let advice = advice.words(source, settings);
            warn!(listener = %settings.name, %source, %advice, "a forwarding header does not count");
        }
    }

    /// Whether this is news today, and there is room. Strangers of the world have a room apart, so that they cannot use
    /// up that of the proxies nearby.
    fn admit(&self, listener: &str, source: IpAddr, advice: Advice, class: Class, now: UnixMillis) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = now.0.div_euclid(ADVICE_PERIOD.as_millis().try_into().unwrap_or(i64::MAX));
        if told.day != day {
            *told = Told { day, ..Told::default() };
        }
        let Told { sources, near, far, .. } = &mut *told;
        let room = if class == Class::Public { far } else { near };
        if *room >= ADVICE_SOURCES_PER_SHARE_MAX {
            return false;
        }
        let news = sources.insert((listener.to_owned(), ClientKey::of(source), advice));
        *room = room.saturating_add(usize::from(news));
        news
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::net::addr::PeerAddr;
    use crate::net::host::Scheme;
    use crate::net::range::Width;
    use crate::origin::{self, Facts, Network, Owner, Whois, resolve};

    fn listener(header: ClientIpHeader) -> listener::Settings {
        let trusted_proxies = Ranges::parse(&["10.0.0.2", "10.1.0.0/24"], Width::Narrow).unwrap();
        listener::Settings {
            name: "web".to_owned(),
            bind: Vec::new(),
            protocol: listener::Protocol::Http,
            serve: listener::Serve::All,
            origin: origin::Settings { client_ip_header: header, trusted_proxies, ..Default::default() },
        }
    }

    fn advice(peer: &str, header: ClientIpHeader, lines: &[(&'static str, &'static str)]) -> Option<String> {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = lines.iter().map(line).collect();
        let settings = listener(header);
        let facts = Facts {
            peer: PeerAddr::from_accept(std::net::SocketAddr::new(peer.parse().unwrap(), 7)),
            proxy_header: None,
            owner: Owner::Unknown,
            tailnet: Whois::NotAsked,
            headers: &headers,
            authority: None,
            scheme: Scheme::Http,
        };
        let origin = resolve(&facts, &settings.origin, &Network::new(["172.18.0.1".parse().unwrap()], 0));
        Advice::of(&origin, &headers, &settings).map(|(source, advice)| advice.words(source, &settings))
    }

    #[test]
    fn the_advice_names_the_proxy_and_what_to_paste() {
        const FOR: &str = "x-forwarded-for";
        for (peer, header, lines, part) in [
            ("10.0.0.2", ClientIpHeader::XForwardedFor, &[][..], "10.0.0.2 is in trusted_proxies of listener web"),
            ("10.0.0.2", ClientIpHeader::XForwardedFor, &[(FOR, "junk")], "cannot be read"),
            ("10.0.0.2", ClientIpHeader::XForwardedFor, &[(FOR, "10.1.0.9")], "names only proxies"),
            (
                "10.0.0.3",
                ClientIpHeader::XForwardedFor,
                &[(FOR, "203.0.113.9")],
                "set for listener web: trusted_proxies = [\"10.0.0.2\", \"10.1.0.0/24\", \"10.0.0.3\"]",
            ),
            (
                "10.0.0.3",
                ClientIpHeader::None,
                &[("x-real-ip", "203.0.113.9")],
                "\"10.0.0.3\"]\nclient_ip_header = \"x-forwarded-for\"",
            ),
            ("172.18.0.1", ClientIpHeader::XForwardedFor, &[(FOR, "203.0.113.9")], "it cannot be trusted"),
            ("127.0.0.1", ClientIpHeader::None, &[("forwarded", "for=203.0.113.9")], "it cannot be trusted"),
        ] {
            let advice = advice(peer, header, lines).unwrap_or_default();
            assert!(advice.contains(part), "{peer} {lines:?}: {advice}");
        }
        for (peer, header, lines) in [
            ("10.0.0.2", ClientIpHeader::XForwardedFor, &[(FOR, "203.0.113.9")][..]),
            ("10.0.0.3", ClientIpHeader::XForwardedFor, &[]),
            ("203.0.113.9", ClientIpHeader::None, &[("via", "1.1 cache")]),
            ("10.0.0.2", ClientIpHeader::None, &[(FOR, "203.0.113.9")]),
        ] {
            assert_eq!(advice(peer, header, lines), None, "{peer} {lines:?}");
        }
    }

    #[test]
    fn each_source_is_told_once_a_day_and_strangers_cannot_use_up_the_room() {
        let advisor = Advisor::default();
        let now = UnixMillis(0);
        let tomorrow = UnixMillis(ADVICE_PERIOD.as_millis().try_into().unwrap());
        let tell = |ip: IpAddr, class, now| advisor.admit("web", ip, Advice::Trust, class, now);
        let near: IpAddr = "10.0.0.3".parse().unwrap();
        for number in 0..1_000_u32 {
            let stranger = IpAddr::V4(std::net::Ipv4Addr::from_bits(0xcb00_0000 + number));
            let expected = usize::try_from(number).unwrap() < ADVICE_SOURCES_PER_SHARE_MAX;
            assert_eq!(tell(stranger, Class::Public, now), expected, "{number}");
        }
        assert!(tell(near, Class::Private, now));
        assert!(!tell(near, Class::Private, now));
        assert!(advisor.admit("web", near, Advice::Mask, Class::Private, now), "another advice is news");
        assert!(advisor.admit("other", near, Advice::Trust, Class::Private, now), "another listener is news");
        assert!(tell(near, Class::Private, tomorrow));
        assert!(tell("203.0.113.9".parse().unwrap(), Class::Public, tomorrow));
    }
}
