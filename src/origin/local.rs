//! The local rule: who may be taken for somebody at this machine's own keyboard.
//!
//! A loopback address alone proves nothing: rootless containers, tunnels and proxies show every stranger as
//! 127.0.0.1. So each condition must hold, the kernel's word on the peer's user among them.

use super::Facts;
use super::LocalRule;
use super::Network;
use super::Owner;
use super::ProxyProtocol;
use super::Settings;
use super::request::is_same_origin;
use super::trail::Step;
use super::trail::Trail;

/// Where persons' accounts begin (login.defs, `UID_MIN`).
const PERSON_UID_MIN: u32 = 1_000;
/// Accounts that systemd makes for the life of a service (`DynamicUser`).
const DYNAMIC_SERVICE_UIDS: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// nobody, and what 16 and 32 bit readers take for "no user".
const NO_PERSON_UIDS: [u32; 3] = [65_534, 65_535, u32::MAX];

/// Whether this caller is local.
///
/// # Errors
/// Every condition that does not hold. A listener that calls nobody local asks for no other.
pub(super) fn judge(facts: &Facts<'_>, settings: &Settings, network: &Network) -> Result<(), Trail> {
    let mut failed = Trail::default();
    let LocalRule::Loopback { uids } = &settings.local else {
        failed.push(Step::LocalNever);
        return Err(failed);
    };
    let loopback = facts.peer.ip().is_loopback();
    let plain = facts.proxy_header.is_none() && settings.proxy_protocol == ProxyProtocol::Off;
    let trusted = settings.trusted_proxies.contains(facts.peer.ip());
    let forwarded = facts.headers.keys().any(|name| settings.is_forwarding(name));
    let host = facts.authority.is_some_and(|authority| authority.host.is_loopback());
    let same_origin = is_same_origin(facts.headers, facts.authority, facts.scheme);
    for (holds, step) in [
        (loopback, Step::LocalPeer),
        (plain, Step::LocalProxyHeader),
        (!trusted, Step::LocalTrustedProxy),
        (!forwarded, Step::LocalForwarded),
        (host, Step::LocalHost),
        (same_origin, Step::LocalOrigin),
    ] {
        if !holds {
            failed.push(step);
        }
    }
    // The kernel is asked about plain loopback peers only; of others its silence says nothing.
    if let (true, Err(step)) = (loopback && plain, judge_owner(facts.owner, uids, network)) {
        failed.push(step);
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

fn judge_owner(owner: Owner, uids: &[u32], network: &Network) -> Result<(), Step> {
    match owner {
        Owner::Assumed => Ok(()),
        Owner::Known { uid } if is_owner(uid, uids, network) => Ok(()),
        Owner::Known { .. } => Err(Step::LocalService),
        Owner::Unknown => Err(Step::LocalUnknownOwner),
    }
}

/// Whether `uid` is the owner's. Root is not, though we run as root: so do proxies, and one that sends no header would
/// make every stranger local. Only where we are root ourselves can the operator say that nothing of root's is a proxy.
fn is_owner(uid: u32, local_uids: &[u32], network: &Network) -> bool {
    let named = local_uids.contains(&uid);
    let own = uid == network.own_uid();
    if uid == 0 { own && named } else { own || named || is_person(uid) }
}

fn is_person(uid: u32) -> bool {
    uid >= PERSON_UID_MIN && !NO_PERSON_UIDS.contains(&uid) && !DYNAMIC_SERVICE_UIDS.contains(&uid)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderName;
    use http::HeaderValue;

    use super::*;
    use crate::net::addr::PeerAddr;
    use crate::net::host::Authority;
    use crate::net::host::Scheme;
    use crate::net::range::Ranges;
    use crate::net::range::Width;
    use crate::origin::Whois;
    use crate::origin::proxy_protocol;

    const OWN_UID: u32 = 990;

    #[test]
    fn a_person_at_this_machine_is_local() {
        for (peer, host) in [
            ("127.0.0.1", "localhost:18789"),
            ("127.8.9.10", "127.0.0.1"),
            ("::1", "[::1]:18789"),
            ("::ffff:127.0.0.1", "LOCALHOST."),
        ] {
            assert_eq!(Try { peer, host: Some(host), ..Try::default() }.judge(), Ok(()), "{peer} {host}");
        }
        let page = Try { headers: &[("origin", "http://localhost:18789")], ..Try::default() };
        assert_eq!(page.judge(), Ok(()));
    }

    #[test]
    fn each_condition_alone_can_refuse() {
        let peer = |peer| Try { peer, ..Try::default() };
        let host = |host| Try { host, ..Try::default() };
        let header = |header| Try { headers: header, ..Try::default() };
        for (case, expected) in [
            (Try { rule: LocalRule::Never, ..Try::default() }, Step::LocalNever),
            (peer("10.0.0.1"), Step::LocalPeer),
            (peer("172.17.0.1"), Step::LocalPeer),
            (peer("::7f00:1"), Step::LocalPeer),
            (peer("0.0.0.0"), Step::LocalPeer),
            (Try { proxy_header: Some(proxy_protocol::Source::Real), ..Try::default() }, Step::LocalProxyHeader),
            (Try { proxy_required: true, ..Try::default() }, Step::LocalProxyHeader),
            (Try { trusted: &["127.0.0.1"], ..Try::default() }, Step::LocalTrustedProxy),
            (header(&[("x-forwarded-for", "")]), Step::LocalForwarded),
            (header(&[("x_forwarded_for", "127.0.0.1")]), Step::LocalForwarded),
            (header(&[("via", "1.1 caddy")]), Step::LocalForwarded),
            (host(None), Step::LocalHost),
            (host(Some("localhost.evil.example")), Step::LocalHost),
            (host(Some("127.0.0.1.nip.io")), Step::LocalHost),
            (host(Some("claw.example.com")), Step::LocalHost),
            (header(&[("origin", "https://evil.example")]), Step::LocalOrigin),
            (header(&[("origin", "null")]), Step::LocalOrigin),
            (header(&[("origin", "https://localhost:18789")]), Step::LocalOrigin),
            (header(&[("origin", "http://localhost")]), Step::LocalOrigin),
            (header(&[("origin", "http://127.0.0.1:18789")]), Step::LocalOrigin),
            (Try { owner: Owner::Unknown, ..Try::default() }, Step::LocalUnknownOwner),
            (Try { owner: Owner::Known { uid: 33 }, ..Try::default() }, Step::LocalService),
        ] {
            assert_eq!(case.judge(), Err(vec![expected]), "{case:?}");
        }
    }

    #[test]
    fn every_condition_that_fails_is_named() {
        let everything = Try {
            peer: "10.0.0.1",
            proxy_required: true,
            trusted: &["10.0.0.1"],
            headers: &[("via", "1.1 caddy"), ("origin", "null")],
            host: Some("claw.example.com"),
            owner: Owner::Unknown,
            ..Try::default()
        };
        assert_eq!(
            everything.judge(),
            Err(vec![
                Step::LocalPeer,
                Step::LocalProxyHeader,
                Step::LocalTrustedProxy,
                Step::LocalForwarded,
                Step::LocalHost,
                Step::LocalOrigin,
            ])
        );
        let proxied = Try { headers: &[("via", "1.1 caddy")], owner: Owner::Known { uid: 33 }, ..Try::default() };
        assert_eq!(proxied.judge(), Err(vec![Step::LocalForwarded, Step::LocalService]));
    }

    #[test]
    fn the_owner_is_ourselves_a_person_or_one_the_operator_names() {
        for uid in [OWN_UID, 998, 1_000, 59_999, 60_001, 61_183, 65_520, 100_999, 1_000_000] {
            assert_eq!(Try { owner: Owner::Known { uid }, ..Try::default() }.judge(), Ok(()), "{uid}");
        }
        for uid in [0, 33, 999, 61_184, 65_519, 65_534, 65_535, u32::MAX] {
            let case = Try { owner: Owner::Known { uid }, ..Try::default() };
            assert_eq!(case.judge(), Err(vec![Step::LocalService]), "{uid}");
        }
    }

    #[test]
    fn root_is_local_only_where_we_are_root_and_the_operator_says_so() {
        for (own_uid, uids, local) in [
            (0, &[0][..], true),
            (0, &[], false),
            (0, &[998], false),
            (OWN_UID, &[0], false),
            (1_000, &[0, 998], false),
        ] {
            let rule = LocalRule::Loopback { uids: uids.to_vec() };
            let case = Try { rule, own_uid, owner: Owner::Known { uid: 0 }, ..Try::default() };
            assert_eq!(case.judge().is_ok(), local, "{own_uid} {uids:?}");
            // Whoever is a person or a service stays what it was.
            for (uid, local) in [(1_000, true), (33, false)] {
                let rule = LocalRule::Loopback { uids: uids.to_vec() };
                let case = Try { rule, own_uid, owner: Owner::Known { uid }, ..Try::default() };
                assert_eq!(case.judge().is_ok(), local, "{own_uid} {uids:?} {uid}");
            }
        }
    }

    #[derive(Debug)]
    struct Try {
        rule: LocalRule,
        peer: &'static str,
        proxy_header: Option<proxy_protocol::Source>,
        proxy_required: bool,
        trusted: &'static [&'static str],
        headers: &'static [(&'static str, &'static str)],
        host: Option<&'static str>,
        owner: Owner,
        own_uid: u32,
    }

    impl Default for Try {
        fn default() -> Self {
            Self {
                rule: LocalRule::Loopback { uids: vec![998] },
                peer: "127.0.0.1",
                proxy_header: None,
                proxy_required: false,
                trusted: &[],
                headers: &[],
                host: Some("localhost:18789"),
                owner: Owner::Known { uid: 1_000 },
                own_uid: OWN_UID,
            }
        }
    }

    impl Try {
        fn judge(&self) -> Result<(), Vec<Step>> {
            let ranges = |entries: &[&str]| Ranges::parse(entries, Width::Narrow).unwrap();
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: HeaderMap = self.headers.iter().map(header).collect();
            let proxy_header = self.proxy_header.map(|source| proxy_protocol::Header { source });
            let authority = self.host.map(|text| Authority::parse(text).unwrap());
            let facts = Facts {
                peer: PeerAddr::from_accept(std::net::SocketAddr::new(self.peer.parse().unwrap(), 1)),
                proxy_header: proxy_header.as_ref(),
                owner: self.owner,
                tailnet: Whois::Confirmed,
                headers: &headers,
                authority: authority.as_ref(),
                scheme: Scheme::Http,
            };
            let required = ProxyProtocol::Required { from: ranges(&["127.0.0.1"]) };
            let settings = Settings {
                local: self.rule.clone(),
                proxy_protocol: if self.proxy_required { required } else { ProxyProtocol::Off },
                trusted_proxies: ranges(self.trusted),
                ..Settings::default()
            };
            judge(&facts, &settings, &Network::new([], self.own_uid)).map_err(Vec::from)
        }
    }
}
