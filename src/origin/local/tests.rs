//! Each condition of the local rule alone can refuse; nothing but all of them together makes local.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use super::*;
use crate::net::host::Authority;
use crate::net::host::Scheme;
use crate::net::range::Ranges;
use crate::net::range::Width;
use crate::origin::Whois;
use crate::origin::network::container::Container;
use crate::origin::network::exposure::Answerer;
use crate::origin::network::link::Link;
use crate::origin::network::link::LinkKind;
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
    for (own_uid, uids, local) in
        [(0, &[0][..], true), (0, &[], false), (0, &[998], false), (OWN_UID, &[0], false), (1_000, &[0, 998], false)]
    {
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

#[test]
fn through_a_port_published_on_loopback_the_gateway_is_local() {
    for peer in ["172.18.0.1", "::ffff:172.18.0.1", "fd18::1", "192.168.65.1"] {
        assert_eq!(published(peer).judge(), Ok(()), "{peer}");
    }
    let page = Try { headers: &[("origin", "http://localhost:18789")], ..published("172.18.0.1") };
    assert_eq!(page.judge(), Ok(()));
}

#[test]
fn each_condition_alone_can_refuse_a_published_port() {
    let (at, from) = ("172.18.0.1:18789".parse().unwrap(), "172.18.0.0/16".parse().unwrap());
    let found = |exposure| Try { exposure, ..published("172.18.0.1") };
    let header = |headers| Try { headers, ..published("172.18.0.1") };
    let host = |host| Try { host, ..published("172.18.0.1") };
    for (case, expected) in [
        (published("172.18.0.7"), Step::LocalPeerNoForwarder),
        (published("127.0.0.1"), Step::LocalPeerNoForwarder),
        (published("172.18.0.2"), Step::LocalPeerNoForwarder),
        (published("203.0.113.9"), Step::LocalPeerNoForwarder),
        (published("192.168.65.2"), Step::LocalPeerNoForwarder),
        (Try { container: None, ..published("172.18.0.1") }, Step::LocalNoContainer),
        (Try { container: None, ..published("192.168.65.1") }, Step::LocalNoContainer),
        (found(Exposure::Pending), Step::LocalPortUnproven),
        (found(Exposure::Unprovable), Step::LocalPortUnproven),
        (found(Exposure::Unproven { at, from }), Step::LocalPortUnproven),
        (found(Exposure::NoHost), Step::LocalPortUnproven),
        (found(Exposure::Open { at, by: Answerer::Ourselves }), Step::LocalPortOpen),
        (found(Exposure::Open { at, by: Answerer::Somebody }), Step::LocalPortOpen),
        (Try { port: 18_790, ..published("172.18.0.1") }, Step::LocalPortUnproven),
        (Try { trusted: &["172.18.0.1"], ..published("172.18.0.1") }, Step::LocalTrustedProxy),
        (Try { proxy_header: Some(proxy_protocol::Source::Real), ..published("172.18.0.1") }, Step::LocalProxyHeader),
        (Try { proxy_required: true, ..published("172.18.0.1") }, Step::LocalProxyHeader),
        (header(&[("x-forwarded-for", "127.0.0.1")]), Step::LocalForwarded),
        (header(&[("via", "1.1 caddy")]), Step::LocalForwarded),
        (header(&[("origin", "https://evil.example")]), Step::LocalOrigin),
        (host(Some("claw.example.com")), Step::LocalHost),
        (host(Some("172.18.0.2")), Step::LocalHost),
        (host(None), Step::LocalHost),
    ] {
        assert_eq!(case.judge(), Err(vec![expected]), "{case:?}");
    }
}

/// A plain call to a container whose port 18789 is published on loopback only.
fn published(peer: &'static str) -> Try {
    let peers = vec!["192.168.65.1".parse().unwrap()];
    Try { peer, rule: LocalRule::PublishedLoopback { port: 18_789, peers }, owner: Owner::Unknown, ..Try::default() }
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
    container: Option<Container>,
    port: u16,
    exposure: Exposure,
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
            container: Some(Container::Cgroup),
            port: 18_789,
            exposure: Exposure::Closed,
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
        let addresses = ["172.18.0.2/16", "fd18::2/64"].map(|text| text.parse().unwrap()).to_vec();
        let link = Link { name: "eth0".to_owned(), kind: LinkKind::Veth, addresses };
        let gateways = ["172.18.0.1", "fd18::1"].map(|text| text.parse().unwrap());
        let network = Network::new(gateways, self.own_uid).with_links(&[link], self.container);
        judge(&facts, &settings, &network.with_exposure(self.port, self.exposure)).map_err(Vec::from)
    }
}
