//! The tailnet rule: an address of the tailnet's ranges proves nothing (carriers use the same for their customers), so the
//! class rests on tailscaled's own word on exactly this peer.

use std::net::IpAddr;

use super::Facts;
use super::Network;
use super::ProxyProtocol;
use super::Settings;
use super::class::is_shared;
use super::trail::Step;

/// What tailscaled's whois said of the peer's address and port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Whois {
    /// A person's node, with this very address.
    Confirmed,
    /// The caller dialled no address that tailscaled calls this node's own.
    Elsewhere,
    /// No answer, or none that can be read.
    NoAnswer,
    /// It knows no such peer, or names another one.
    Nobody,
    /// The question did not come up.
    #[default]
    NotAsked,
    /// A tagged node, which is a service and no person's.
    Tagged,
}

/// Whether tailscaled may be asked about this connection's peer, and its word would count.
///
/// Only of a raw peer that speaks for itself: a PROXY header or a trusted proxy stands for other people.
pub fn is_whois_due(peer: IpAddr, settings: &Settings, network: &Network) -> bool {
    is_of_a_tailnet(peer) && settings.proxy_protocol == ProxyProtocol::Off && !settings.trusts(peer, network)
}

/// Whether the client at `ip` is the tailnet's, and how we know; no step where nobody had to ask.
pub(super) fn judge(ip: IpAddr, facts: &Facts<'_>, settings: &Settings, network: &Network) -> (bool, Option<Step>) {
    let peer = facts.peer.ip();
    if ip != peer || facts.proxy_header.is_some() || !is_whois_due(peer, settings, network) {
        return (false, None);
    }
    match facts.tailnet {
        Whois::Confirmed => (true, Some(Step::TailnetConfirmed)),
        Whois::Elsewhere => (false, Some(Step::TailnetElsewhere)),
        Whois::NoAnswer => (false, Some(Step::TailnetNoAnswer)),
        Whois::Nobody => (false, Some(Step::TailnetNobody)),
        Whois::NotAsked => (false, None),
        Whois::Tagged => (false, Some(Step::TailnetTagged)),
    }
}

/// 100.64.0.0/10 and fd7a:115c:a1e0::/48, from which every tailnet gives its addresses.
pub fn is_of_a_tailnet(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_shared(ip),
        IpAddr::V6(ip) => matches!(ip.segments(), [0xfd7a, 0x115c, 0xa1e0, ..]),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::net::addr::PeerAddr;
    use crate::net::host::Scheme;
    use crate::net::range::{Ranges, Width};
    use crate::origin::Owner;
    use crate::origin::container::Container;

    #[test]
    fn only_the_tailnets_own_ranges_are_asked_about() {
        let settings = Settings::default();
        for (ip, due) in [
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("::ffff:100.64.0.7", true),
            ("fd7a:115c:a1e0::7", true),
            ("fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff", true),
            ("100.63.255.255", false),
            ("100.128.0.0", false),
            ("127.0.0.1", false),
            ("10.0.0.7", false),
            ("203.0.113.9", false),
            ("fd7a:115c:a1e1::7", false),
            ("fd7a:115c:a1df:ffff::7", false),
            ("::1", false),
        ] {
            assert_eq!(is_whois_due(ip.parse().unwrap(), &settings, &Network::default()), due, "{ip}");
        }
    }

    #[test]
    fn whoever_speaks_for_others_is_not_asked_about() {
        let ranges = || Ranges::parse(&["100.64.0.7"], Width::Narrow).unwrap();
        let proxy = Settings { trusted_proxies: ranges(), ..Settings::default() };
        assert!(!is_whois_due("100.64.0.7".parse().unwrap(), &proxy, &Network::default()));
        assert!(is_whois_due("100.64.0.8".parse().unwrap(), &proxy, &Network::default()));
        let required = ProxyProtocol::Required { from: ranges() };
        let sender = Settings { proxy_protocol: required, ..Settings::default() };
        assert!(!is_whois_due("100.64.0.7".parse().unwrap(), &sender, &Network::default()));
    }

    #[test]
    fn what_is_listed_but_hides_strangers_speaks_for_nobody_else() {
        let trusted_proxies = Ranges::parse(&["100.64.0.1"], Width::Narrow).unwrap();
        let settings = Settings { trusted_proxies, ..Settings::default() };
        let gateway = "100.64.0.1".parse().unwrap();
        let joined = Network::new([gateway], 0).with_links(&[], Some(Container::Mount));
        assert!(!is_whois_due(gateway, &settings, &Network::default()));
        assert!(is_whois_due(gateway, &settings, &joined));
    }

    #[test]
    fn the_word_on_one_address_says_nothing_of_another() {
        let headers = HeaderMap::new();
        let facts = Facts {
            peer: PeerAddr::from_accept(([100, 64, 0, 7], 4_000).into()),
            proxy_header: None,
            owner: Owner::Unknown,
            tailnet: Whois::Confirmed,
            headers: &headers,
            authority: None,
            scheme: Scheme::Https,
        };
        for (ip, expected) in [("100.64.0.7", true), ("100.64.0.8", false), ("203.0.113.9", false)] {
            assert_eq!(
                judge(ip.parse().unwrap(), &facts, &Settings::default(), &Network::default()).0,
                expected,
                "{ip}"
            );
        }
    }
}
