//! What the log advises about proxies: which one to mend, and which address to trust. Once for each
//! source and day, and for so many sources only: strangers send forwarding headers too, and must not fill the log.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use tracing::warn;

use crate::base::clock::UnixMillis;
use crate::base::limits::{ADVICE_PERIOD, ADVICE_SOURCES_PER_SHARE_MAX};
use crate::decisions::why::proxy;
use crate::listener;
use crate::net::addr::ClientKey;
use crate::origin::trail::Step;
use crate::origin::{Class, ClientAddr, Origin, ProxyProtocol};

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
    Trust {
        /// Of which kind.
        class: Class,
    },
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
            let speaker = origin.via.first().copied().filter(|_| settings.origin.proxy_protocol != ProxyProtocol::Off);
            return Some((speaker.unwrap_or(origin.peer.ip()), Self::Mend { step }));
        }
        step(|step| matches!(step, Step::HeaderMasked | Step::HeaderNotRead | Step::HeaderUntrusted))?;
        let client = origin.client.map(ClientAddr::ip)?;
        let forwarded = headers.keys().any(|name| names_a_client(name.as_str()));
        match origin.class {
            _ if !forwarded => None,
            Class::Nat | Class::Local => Some((client, Self::Mask)),
            _ if settings.origin.trusted_proxies.contains(client) => None,
            class => Some((client, Self::Trust { class })),
        }
    }

    /// What happened, in a fixed phrase.
    fn news(self) -> &'static str {
        match self {
            Self::Mask | Self::Trust { .. } => "a forwarding header does not count",
            Self::Mend { .. } => "a trusted proxy names no caller",
        }
    }

    /// The advice in words: `explain` has the same.
    fn words(self, source: IpAddr, settings: &listener::Settings) -> String {
        match self {
            Self::Mask => proxy::trust(source, Class::Nat, settings),
            // Never empty: only a step that can be mended makes this advice.
            Self::Mend { step } => proxy::mend(step, source, settings).unwrap_or_default(),
            Self::Trust { class } => proxy::trust(source, class, settings),
        }
    }
}

fn names_nobody(step: Step) -> bool {
    matches!(
        step,
        Step::ChainWithoutClient
            | Step::HeaderAbsent
            | Step::HeaderRepeated
            | Step::HeaderUngrammatical
            | Step::HopNotPossible
            | Step::HopUnreadable
            | Step::HopsTooMany
    )
}

/// Headers in which real proxies name their caller; traces of other kinds name nobody whom we could read.
fn names_a_client(name: &str) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip"].contains(&name)
}

impl Advisor {
    /// Logs what this request calls for, if nobody was told of its source today.
    pub(super) fn heed(&self, origin: &Origin, headers: &HeaderMap, settings: &listener::Settings, now: UnixMillis) {
        let Some((source, advice)) = Advice::of(origin, headers, settings) else { return };
        if self.admit(&settings.name, source, advice, origin.class, now) {
            let (news, advice) = (advice.news(), advice.words(source, settings));
            warn!(listener = %settings.name, %source, %advice, "{news}");
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
    use crate::net::range::{Ranges, Width};
    use crate::origin::container::Container;
    use crate::origin::{self, ClientIpHeader, Facts, Network, Owner, Whois, resolve};

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

    fn advice(
        peer: &str,
        header: ClientIpHeader,
        lines: &[(&'static str, &'static str)],
    ) -> Option<(&'static str, String)> {
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
        let gateways = ["172.18.0.1", "10.1.0.1"].map(|gateway| gateway.parse().unwrap());
        let network = Network::new(gateways, 0).with_links(&[], Some(Container::Mount));
        let origin = resolve(&facts, &settings.origin, &network);
        Advice::of(&origin, &headers, &settings)
            .map(|(source, advice)| (advice.news(), advice.words(source, &settings)))
    }

    #[test]
    fn the_advice_says_what_happened_and_what_to_change() {
        const FOR: &str = "x-forwarded-for";
        let (other, none) = (ClientIpHeader::parse("x-real-ip").unwrap(), "a trusted proxy names no caller");
        let (add, ours) = ("add it to trusted_proxies in [[listener]] \"web\": \"10.0.0.3\"", "10.0.0.2");
        let (ignored, stranger) = ("a forwarding header does not count", "203.0.113.9");
        for (peer, header, lines, news, part) in [
            (ours, ClientIpHeader::XForwardedFor, &[][..], none, "let the proxy at 10.0.0.2 send x-forwarded-for"),
            (ours, ClientIpHeader::XForwardedFor, &[(FOR, "junk")], none, "write x-forwarded-for anew"),
            (
                ours,
                ClientIpHeader::XForwardedFor,
                &[(FOR, "10.1.0.9")],
                none,
                "names only addresses in trusted_proxies",
            ),
            (ours, ClientIpHeader::Forwarded, &[("forwarded", "for=\"")], none, "write forwarded anew"),
            (ours, other, &[("x-real-ip", "192.0.2.1"), ("x-real-ip", "192.0.2.2")], none, "write x-real-ip anew"),
            ("10.0.0.3", ClientIpHeader::XForwardedFor, &[(FOR, stranger)], ignored, add),
            ("10.0.0.3", ClientIpHeader::None, &[("x-real-ip", stranger)], ignored, "in client_ip_header, and add it"),
            ("172.18.0.1", ClientIpHeader::XForwardedFor, &[(FOR, stranger)], ignored, "it cannot be trusted"),
            ("127.0.0.1", ClientIpHeader::None, &[("forwarded", "for=203.0.113.9")], ignored, "it cannot be trusted"),
            // Listed before we joined the network whose gateway it is.
            ("10.1.0.1", ClientIpHeader::XForwardedFor, &[(FOR, stranger)], ignored, "it cannot be trusted"),
        ] {
            let (told, advice) = advice(peer, header, lines).unwrap_or_default();
            assert_eq!(told, news, "{peer} {lines:?}");
            assert!(advice.contains(part) && !advice.contains('\n'), "{peer} {lines:?}: {advice}");
        }
        for (peer, header, lines) in [
            (ours, ClientIpHeader::XForwardedFor, &[(FOR, stranger)][..]),
            ("10.0.0.3", ClientIpHeader::XForwardedFor, &[]),
            (stranger, ClientIpHeader::None, &[("via", "1.1 cache")]),
            (ours, ClientIpHeader::None, &[(FOR, stranger)]),
        ] {
            assert_eq!(advice(peer, header, lines), None, "{peer} {lines:?}");
        }
    }

    #[test]
    fn each_source_is_told_once_a_day_and_strangers_cannot_use_up_the_room() {
        let advisor = Advisor::default();
        let now = UnixMillis(0);
        let tomorrow = UnixMillis(ADVICE_PERIOD.as_millis().try_into().unwrap());
        let tell = |ip: IpAddr, class, now| advisor.admit("web", ip, Advice::Trust { class }, class, now);
        let near: IpAddr = "10.0.0.3".parse().unwrap();
        for number in 0..1_000_u32 {
            let stranger = IpAddr::V4(std::net::Ipv4Addr::from_bits(0xcb00_0000 + number));
            let expected = usize::try_from(number).unwrap() < ADVICE_SOURCES_PER_SHARE_MAX;
            assert_eq!(tell(stranger, Class::Public, now), expected, "{number}");
        }
        assert!(tell(near, Class::Private, now));
        assert!(!tell(near, Class::Private, now));
        assert!(advisor.admit("web", near, Advice::Mask, Class::Private, now), "another advice is news");
        assert!(
            advisor.admit("other", near, Advice::Trust { class: Class::Private }, Class::Private, now),
            "another listener is news"
        );
        assert!(tell(near, Class::Private, tomorrow));
        assert!(tell("203.0.113.9".parse().unwrap(), Class::Public, tomorrow));
    }
}
