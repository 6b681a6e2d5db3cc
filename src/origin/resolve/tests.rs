//! Tables and properties of the resolution.

use std::net::SocketAddr;

use http::HeaderName;
use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::net::range::Ranges;
use crate::net::range::Width;
use crate::origin::LocalRule;
use crate::origin::proxy_protocol::Header;

mod own_bridge;
mod properties;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

#[test]
fn the_peer_is_the_client_where_nobody_else_is_trusted() {
    let origin = call("198.51.100.7").header(X_FORWARDED_FOR, "127.0.0.1").resolve();
    assert_eq!(shown(&origin), "198.51.100.7 Some(4711) public peer");
    let steps: Vec<_> = origin.trail.steps().collect();
    assert_eq!(
        steps,
        [
            Step::HeaderUntrusted,
            Step::PeerIsClient,
            Step::PublicAddress,
            Step::LocalPeer,
            Step::LocalForwarded,
            Step::LocalHost
        ]
    );
    assert!(origin.via.is_empty());
    assert_eq!(origin.client_key(), ClientKey::of("198.51.100.7".parse().unwrap()));
}

#[test]
fn a_trusted_proxy_names_the_client() {
    let origin = call("10.0.0.2").header(X_FORWARDED_FOR, "6.6.6.6, 2001:db8::9").header(X_FORWARDED_FOR, "10.0.0.7");
    let origin = origin.resolve();
    assert_eq!(shown(&origin), "2001:db8::9 None public x-forwarded-for");
    assert_eq!(origin.via[..], ["10.0.0.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(origin.client_key().to_string(), "2001:db8::/64");
    let steps: Vec<_> = origin.trail.steps().collect();
    let local = [Step::LocalPeer, Step::LocalTrustedProxy, Step::LocalForwarded, Step::LocalHost];
    let found = [Step::TrustedProxy, Step::HopsPassed, Step::HopIsClient, Step::PublicAddress];
    assert_eq!(steps, [&found[..], &local].concat());
}

#[test]
fn only_the_one_configured_header_is_read() {
    let lines = [
        (X_FORWARDED_FOR, "203.0.113.1, 10.0.0.7"),
        ("forwarded", "for=6.6.6.6, for=\"203.0.113.2:7\", for=10.0.0.8"),
        ("x-real-ip", "203.0.113.3"),
        ("my-client", "2001:db8::4"),
    ];
    for (header, expected, via) in [
        ("none", "10.0.0.2 Some(4711) private peer", ""),
        ("x-forwarded-for", "203.0.113.1 None public x-forwarded-for", "10.0.0.7"),
        ("forwarded", "203.0.113.2 Some(7) public forwarded", "10.0.0.8"),
        ("x-real-ip", "203.0.113.3 None public single-header", ""),
        ("my-client", "2001:db8::4 None public single-header", ""),
        ("true-client-ip", "nobody None unattributed single-header", ""),
    ] {
        let mut case = lines.into_iter().fold(call("10.0.0.2"), |case, (name, value)| case.header(name, value));
        case.settings.client_ip_header = ClientIpHeader::parse(header).unwrap();
        let origin = case.resolve();
        assert_eq!(shown(&origin), expected, "{header}");
        let passed: Vec<String> = origin.via.iter().map(IpAddr::to_string).collect();
        assert_eq!(passed.join(" "), via, "{header}");
    }
}

#[test]
fn each_way_to_be_nobody_has_its_step() {
    for (header, name, lines, step) in [
        ("forwarded", "forwarded", &["for=6.6.6.6; proto=http"] as &[&str], Step::HeaderUngrammatical),
        ("forwarded", "forwarded", &["for=6.6.6.6, for=_hidden"], Step::HopUnreadable),
        ("forwarded", "forwarded", &["for=6.6.6.6, for=\"[::1]\""], Step::HopNotPossible),
        ("forwarded", X_FORWARDED_FOR, &["6.6.6.6"], Step::HeaderAbsent),
        ("x-real-ip", "x-real-ip", &["6.6.6.6", "203.0.113.9"], Step::HeaderRepeated),
        ("x-real-ip", "x-real-ip", &["6.6.6.6, 203.0.113.9"], Step::HopUnreadable),
        ("x-real-ip", "x_real_ip", &["6.6.6.6"], Step::HeaderAbsent),
    ] {
        let mut case = lines.iter().fold(call("10.0.0.2"), |case, line| case.header(name, line));
        case.settings.client_ip_header = ClientIpHeader::parse(header).unwrap();
        let origin = case.resolve();
        assert_eq!(origin.class, Class::Unattributed, "{header} {lines:?}");
        assert!(origin.trail.steps().any(|taken| taken == step), "{step:?}: {:?}", origin.trail);
    }
}

#[test]
fn what_cannot_be_told_is_nobody_and_counts_as_the_peer() {
    let cases = [
        (call("10.0.0.2"), Step::HeaderAbsent),
        (call("10.0.0.2").header("x-real-ip", "6.6.6.6"), Step::HeaderAbsent),
        (call("10.0.0.2").header(X_FORWARDED_FOR, "6.6.6.6, unknown"), Step::HopUnreadable),
        (call("10.0.0.2").header(X_FORWARDED_FOR, "6.6.6.6, 127.0.0.1"), Step::HopNotPossible),
        (call("10.0.0.2").header(X_FORWARDED_FOR, "10.0.0.9"), Step::ChainWithoutClient),
        (call("10.0.0.2").header(X_FORWARDED_FOR, &["10.0.0.9"; 40].join(",")), Step::HopsTooMany),
        (call("0.0.0.0"), Step::PeerNotPossible),
        (call("224.0.0.1"), Step::PeerNotPossible),
    ];
    for (case, step) in cases {
        let origin = case.resolve();
        assert_eq!(
            (origin.kind(), origin.class, origin.port),
            (Kind::Unattributed, Class::Unattributed, None),
            "{step:?}"
        );
        assert!(origin.trail.steps().any(|taken| taken == step), "{step:?}: {:?}", origin.trail);
        assert_eq!(origin.client_key(), ClientKey::of(origin.peer.ip()));
        assert!(!origin.is_local());
    }
}

#[test]
fn a_required_proxy_header_replaces_the_peer() {
    let address = |text: &str| proxy_protocol::Source::Address(text.parse().unwrap());
    let through = |source| call("192.0.2.1").proxy(source);
    for (case, expected) in [
        (through(address("203.0.113.9:7")), "203.0.113.9 Some(7) public proxy-protocol"),
        (through(proxy_protocol::Source::Real), "192.0.2.1 Some(4711) public peer"),
        (through(address("127.0.0.1:7")), "nobody None unattributed proxy-protocol"),
        (through(address("0.0.0.0:7")), "nobody None unattributed proxy-protocol"),
        (through(address("[::7f00:1]:7")), "nobody None unattributed proxy-protocol"),
        // The source is judged like a peer: a stranger's header is ignored, a trusted proxy's is read.
        (
            through(address("203.0.113.9:7")).header(X_FORWARDED_FOR, "6.6.6.6"),
            "203.0.113.9 Some(7) public proxy-protocol",
        ),
        (
            through(address("10.0.0.7:7")).header(X_FORWARDED_FOR, "203.0.113.9"),
            "203.0.113.9 None public x-forwarded-for",
        ),
        (through(address("10.0.0.7:7")), "nobody None unattributed x-forwarded-for"),
        // Only listed senders are believed, even if the listener should let others in.
        (call("192.0.2.9").proxy(address("203.0.113.9:7")), "nobody None unattributed proxy-protocol"),
    ] {
        assert_eq!(shown(&case.resolve()), expected);
    }
    let chained = through(address("10.0.0.7:7")).header(X_FORWARDED_FOR, "203.0.113.9, 10.0.0.8").resolve();
    let via: Vec<String> = chained.via.iter().map(IpAddr::to_string).collect();
    assert_eq!(via, ["10.0.0.7", "10.0.0.8"]);
}

#[test]
fn a_proxy_header_that_does_not_fit_the_listener_is_believed_by_nobody() {
    let mut missing = call("192.0.2.1").proxy(proxy_protocol::Source::Real);
    missing.proxy_header = None;
    let mut unasked = call("192.0.2.1").proxy(proxy_protocol::Source::Address("203.0.113.9:7".parse().unwrap()));
    unasked.settings.proxy_protocol = ProxyProtocol::Off;
    for case in [missing, unasked] {
        assert_eq!(shown(&case.resolve()), "nobody None unattributed proxy-protocol");
    }
}

#[test]
fn without_a_header_to_read_a_trusted_proxy_is_its_own_client() {
    let mut case = call("10.0.0.2").header(X_FORWARDED_FOR, "203.0.113.9");
    case.settings.client_ip_header = ClientIpHeader::None;
    let origin = case.resolve();
    assert_eq!(shown(&origin), "10.0.0.2 Some(4711) private peer");
    assert!(origin.trail.steps().any(|step| step == Step::HeaderNotRead));
}

#[test]
fn a_gateway_hides_whoever_comes_through_it() {
    for (case, evidence) in [
        (call("172.18.0.1"), Step::NatGateway),
        (call("10.0.0.2").header(X_FORWARDED_FOR, "172.18.0.1"), Step::NatGateway),
        (call("127.0.0.1"), Step::NatLoopback),
    ] {
        let origin = case.resolve();
        assert_eq!(origin.class, Class::Nat);
        assert!(origin.trail.steps().any(|step| step == evidence));
    }
}

#[test]
fn only_whois_of_the_very_peer_makes_a_tailnet() {
    let said = |peer: &str, whois| call(peer).whois(whois).resolve();
    for (peer, whois, class, step) in [
        ("100.64.0.7", Whois::Confirmed, Class::Tailnet, Some(Step::TailnetConfirmed)),
        ("fd7a:115c:a1e0::7", Whois::Confirmed, Class::Tailnet, Some(Step::TailnetConfirmed)),
        ("100.64.0.7", Whois::Elsewhere, Class::Private, Some(Step::TailnetElsewhere)),
        ("100.64.0.7", Whois::NoAnswer, Class::Private, Some(Step::TailnetNoAnswer)),
        ("100.64.0.7", Whois::Nobody, Class::Private, Some(Step::TailnetNobody)),
        ("100.64.0.7", Whois::Tagged, Class::Private, Some(Step::TailnetTagged)),
        ("100.64.0.7", Whois::NotAsked, Class::Private, None),
        // Nobody asks about these; should anybody ever, it does not count.
        ("10.9.0.7", Whois::Confirmed, Class::Private, None),
        ("203.0.113.9", Whois::Confirmed, Class::Public, None),
        ("172.18.0.1", Whois::Confirmed, Class::Nat, None),
        ("127.0.0.1", Whois::Confirmed, Class::Nat, None),
    ] {
        let origin = said(peer, whois);
        assert_eq!((origin.class, origin.is_local()), (class, false), "{peer} {whois:?}");
        let steps: Vec<_> = origin.trail.steps().filter(|step| TAILNET_STEPS.contains(step)).collect();
        assert_eq!(steps, Vec::from_iter(step), "{peer} {whois:?}");
    }
}

const TAILNET_STEPS: [Step; 5] =
    [Step::TailnetConfirmed, Step::TailnetElsewhere, Step::TailnetNoAnswer, Step::TailnetNobody, Step::TailnetTagged];

#[test]
fn a_tailnet_address_that_somebody_names_is_no_tailnet() {
    let source = proxy_protocol::Source::Address("100.64.0.7:7".parse().unwrap());
    let mut proxy = call("100.64.0.7").whois(Whois::Confirmed);
    proxy.settings.trusted_proxies = Ranges::parse(&["100.64.0.7"], Width::Narrow).unwrap();
    let mut silent = call("100.64.0.7").whois(Whois::Confirmed);
    silent.settings.trusted_proxies = Ranges::parse(&["100.64.0.7"], Width::Narrow).unwrap();
    silent.settings.client_ip_header = ClientIpHeader::None;
    let mut sender = call("100.64.0.7").whois(Whois::Confirmed).proxy(proxy_protocol::Source::Real);
    let from = Ranges::parse(&["100.64.0.7"], Width::Narrow).unwrap();
    sender.settings.proxy_protocol = ProxyProtocol::Required { from };
    for (case, expected) in [
        (call("192.0.2.1").whois(Whois::Confirmed).proxy(source), "100.64.0.7 Some(7) private proxy-protocol"),
        (
            call("10.0.0.2").whois(Whois::Confirmed).header(X_FORWARDED_FOR, "100.64.0.7"),
            "100.64.0.7 None private x-forwarded-for",
        ),
        (proxy.header(X_FORWARDED_FOR, "100.64.0.9"), "100.64.0.9 None private x-forwarded-for"),
        (silent, "100.64.0.7 Some(4711) private peer"),
        (sender, "100.64.0.7 Some(4711) private peer"),
    ] {
        assert_eq!(shown(&case.resolve()), expected);
    }
}

#[test]
fn the_owner_at_the_machine_is_local() {
    let origin = call("127.0.0.1").at_the_machine().resolve();
    assert_eq!(shown(&origin), "127.0.0.1 Some(4711) local peer");
    assert!(origin.is_local());
    assert_eq!(origin.trail.steps().last(), Some(Step::Local));
    for own in [&["my-client"] as &[&str], &[]] {
        let mut named = call("127.0.0.1").at_the_machine().header("my_client", "127.0.0.1");
        named.settings.named_headers = own.iter().map(|name| HeaderName::from_static(name)).collect();
        assert_eq!(named.resolve().is_local(), own.is_empty());
    }
    let tunnelled = call("127.0.0.1").at_the_machine().header("cf-ray", "1").resolve();
    assert_eq!((tunnelled.class, tunnelled.is_local()), (Class::Nat, false));
    assert_eq!(tunnelled.trail.steps().last(), Some(Step::LocalForwarded));
}

#[test]
fn the_longest_trail_is_whole() {
    let source = proxy_protocol::Source::Address("10.0.0.7:7".parse().unwrap());
    let mut case = call("192.0.2.1").proxy(source).header(X_FORWARDED_FOR, "172.18.0.1, 10.0.0.8");
    case.settings.trusted_proxies = Ranges::parse(&["10.0.0.0/24", "192.0.2.1"], Width::Narrow).unwrap();
    let steps: Vec<_> = case.header("origin", "null").resolve().trail.steps().collect();
    let found = [Step::ProxyHeaderAddress, Step::TrustedProxy, Step::HopsPassed, Step::HopIsClient, Step::NatGateway];
    let local = [
        Step::LocalPeer,
        Step::LocalProxyHeader,
        Step::LocalTrustedProxy,
        Step::LocalForwarded,
        Step::LocalHost,
        Step::LocalOrigin,
    ];
    assert_eq!(steps, [&found[..], &local].concat());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_added_on_the_left_changes_the_client(
        added in proptest::collection::vec("[ -~\\t]{0,40}", 0..6),
        glued in "[ -~\\t]{0,40},",
        own in "203\\.0\\.113\\.9( ?, ?10\\.0\\.0\\.[1-9][0-9]?){0,5}",
    ) {
        let plain = call("10.0.0.2").header(X_FORWARDED_FOR, &own).resolve();
        let mut forged = call("10.0.0.2");
        for line in &added {
            forged = forged.header(X_FORWARDED_FOR, line);
        }
        let forged = forged.header(X_FORWARDED_FOR, &format!("{glued}{own}")).resolve();
        prop_assert_eq!(shown(&plain), "203.0.113.9 None public x-forwarded-for");
        prop_assert_eq!(shown(&forged), shown(&plain));
        prop_assert_eq!(forged.via, plain.via);
    }

    #[test]
    fn no_bytes_make_anyone_local(
        peer in prop_oneof![Just("203.0.113.9"), Just("10.0.0.2"), Just("172.18.0.1"), Just("127.0.0.1"), Just("::1")],
        header in prop_oneof![
            Just(X_FORWARDED_FOR), Just("forwarded"), Just("x-real-ip"), Just("host"), Just("origin"), Just("x_forwarded_for"),
        ],
        value in prop_oneof!["127\\.0\\.0\\.1", "::1", "for=127\\.0\\.0\\.1", "localhost", "http://localhost", "[ -~]{0,40}"],
        source in proptest::option::of(prop_oneof![
            Just(proxy_protocol::Source::Real),
            any::<u128>().prop_map(|bits| source_of(IpAddr::V6(bits.into()))),
            any::<u32>().prop_map(|bits| source_of(IpAddr::V4(bits.into()))),
            (0_u32..1 << 24).prop_map(|bits| source_of(IpAddr::V4((0x7f00_0000 | bits).into()))),
        ]),
    ) {
        // The caller may be anything but a person's plain connection over loopback: its peer is elsewhere, or
        // it came through a PROXY header, or with a trace of forwarding.
        let mut case = call(peer).at_the_machine().header(header, &value);
        if let Some(source) = source {
            case = case.proxy(source);
        }
        let direct = case.peer.ip().is_loopback() && source.is_none();
        let traced = !["host", "origin"].contains(&header);
        prop_assume!(!direct || traced);
        let origin = case.resolve();
        prop_assert!(!origin.is_local() && origin.class != Class::Local);
    }

    #[test]
    fn the_header_of_a_stranger_changes_nothing(value in "[ -~]{0,80}") {
        let origin = call("198.51.100.7").header(X_FORWARDED_FOR, &value).resolve();
        prop_assert_eq!(shown(&origin), "198.51.100.7 Some(4711) public peer");
    }
}

// ---- Arrangement -------------------------------------------------------------------------

struct Call {
    peer: PeerAddr,
    proxy_header: Option<Header>,
    headers: HeaderMap,
    authority: Option<Authority>,
    tailnet: Whois,
    settings: Settings,
}

/// A caller on a listener that may say local, trusts 10.0.0.0/24 and reads `X-Forwarded-For`.
fn call(peer: &str) -> Call {
    let settings = Settings {
        local: LocalRule::Loopback { uids: Vec::new() },
        client_ip_header: ClientIpHeader::XForwardedFor,
        trusted_proxies: Ranges::parse(&["10.0.0.0/24"], Width::Narrow).unwrap(),
        ..Settings::default()
    };
    let peer = PeerAddr::from_accept(SocketAddr::new(peer.parse().unwrap(), 4711));
    Call { peer, proxy_header: None, headers: HeaderMap::new(), authority: None, tailnet: Whois::NotAsked, settings }
}

impl Call {
    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    /// The listener requires a PROXY header from 192.0.2.1 or loopback, and got this one.
    fn proxy(mut self, source: proxy_protocol::Source) -> Self {
        let from = Ranges::parse(&["192.0.2.1", "127.0.0.1", "::1"], Width::Narrow).unwrap();
        self.settings.proxy_protocol = ProxyProtocol::Required { from };
        self.proxy_header = Some(Header { source });
        self
    }

    /// tailscaled was asked about the peer and said this.
    fn whois(self, tailnet: Whois) -> Self {
        Self { tailnet, ..self }
    }

    fn at_the_machine(mut self) -> Self {
        self.authority = Some(Authority::parse("localhost:18789").unwrap());
        self
    }

    fn resolve(&self) -> Origin {
        self.resolve_on(&Network::new(["172.18.0.1".parse().unwrap()], 990))
    }

    fn resolve_on(&self, network: &Network) -> Origin {
        let facts = Facts {
            peer: self.peer,
            proxy_header: self.proxy_header.as_ref(),
            owner: Owner::Known { uid: 1_000 },
            tailnet: self.tailnet,
            headers: &self.headers,
            authority: self.authority.as_ref(),
            scheme: Scheme::Http,
        };
        resolve(&facts, &self.settings, network)
    }
}

fn source_of(ip: IpAddr) -> proxy_protocol::Source {
    proxy_protocol::Source::Address(SocketAddr::new(ip.to_canonical(), 7))
}

fn shown(origin: &Origin) -> String {
    let client = origin.client.map_or("nobody".to_owned(), |client| client.ip().to_string());
    let source = serde_json::to_value(origin.source).unwrap();
    format!("{client} {:?} {} {}", origin.port, origin.class.as_str(), source.as_str().unwrap())
}
