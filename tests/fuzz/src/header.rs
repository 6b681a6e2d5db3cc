//! A forwarding header on one machine: what its lines may make of a caller, whichever header is read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use doorward::net::addr::PeerAddr;
use doorward::net::host::{Authority, Scheme};
use doorward::net::range::{Ranges, Width};
use doorward::origin::proxy_protocol::Header;
use doorward::origin::tailnet::Whois;
use doorward::origin::{ClientIpHeader, Facts, LocalRule, Network, Origin, Owner, Settings, resolve};
use http::{HeaderMap, HeaderName, HeaderValue};

const PROXY: &str = "10.0.0.1:4000";
const STRANGER: &str = "192.0.2.7:4000";
const HERE: &str = "127.0.0.1:4000";

/// Who is calling from `peer`, on a listener that may call its callers local.
pub(crate) fn origin(peer: &str, proxy_header: Option<&Header>, headers: &HeaderMap, read: ClientIpHeader) -> Origin {
    let settings = Settings {
        local: LocalRule::Loopback { uids: Vec::new() },
        client_ip_header: read,
        trusted_proxies: Ranges::parse(&["10.0.0.0/16", "2001:db8:1::/48"], Width::Narrow).unwrap(),
        ..Settings::default()
    };
    let authority = Authority::parse("localhost").unwrap();
    let facts = Facts {
        peer: PeerAddr::from_accept(peer.parse().unwrap()),
        proxy_header,
        owner: Owner::Assumed,
        tailnet: Whois::NotAsked,
        headers,
        authority: Some(&authority),
        scheme: Scheme::Http,
    };
    resolve(&facts, &settings, &Network::new([], 1000))
}

/// What text to the left of a readable client may do to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Left {
    /// Nothing.
    IsNotRead,
    /// Make it nobody, because the whole header is then ungrammatical.
    MayUnmake,
}

/// Checks lines of `name`: `bytes` are text to the left, `|`, and the lines.
pub(crate) fn holds(bytes: &[u8], name: &HeaderName, read: &ClientIpHeader, left: Left) {
    let (further_left, right) = match bytes.iter().position(|byte| *byte == b'|') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&b""[..], bytes),
    };
    let Some(lines) = right.split(|byte| *byte == b'\n').map(value).collect::<Option<Vec<_>>>() else { return };
    let headers = map(name, &lines);
    let found = origin(PROXY, None, &headers, read.clone());
    assert!(!found.is_local(), "a proxy's caller is local: {found:?}");
    if let Some(client) = found.client {
        let ip = client.ip();
        assert!(!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast(), "{found:?}");
        assert_eq!(ip, ip.to_canonical(), "{found:?}");
        assert!(!is_trusted(ip), "a proxy is its own client: {found:?}");
    }
    let stranger = origin(STRANGER, None, &headers, read.clone());
    assert_eq!(stranger.client.unwrap().ip(), "192.0.2.7".parse::<IpAddr>().unwrap(), "{stranger:?}");
    let here = origin(HERE, None, &headers, read.clone());
    assert!(!here.is_local(), "with a trace of forwarding: {here:?}");

    let Some(more) = value(further_left) else { return };
    let mut longer = vec![more.clone()];
    longer.extend_from_slice(&lines);
    let joined = value(&[more.as_bytes(), b",", lines[0].as_bytes()].concat()).unwrap();
    let joined = [&[joined], &lines[1..]].concat();
    for with_left in [longer, joined] {
        let again = origin(PROXY, None, &map(name, &with_left), read.clone());
        let unmade = left == Left::MayUnmake && again.client.is_none();
        assert!(
            found.client.is_none() || unmade || again.client == found.client,
            "{found:?}\n{again:?}\n{with_left:?}"
        );
    }
}

/// The address that `bytes` spell: what is written must be read.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let wide = bytes.first_chunk::<16>().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes)));
    wide.or_else(|| bytes.first_chunk::<4>().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes))))
}

/// Checks that `ip`, written in a header as `line`, is read as itself or, where nobody may claim it, as nobody.
pub(crate) fn is_read_back(ip: IpAddr, line: &str, name: &HeaderName, read: &ClientIpHeader) {
    let headers = map(name, &[value(line.as_bytes()).unwrap()]);
    let found = origin(PROXY, None, &headers, read.clone()).client.map(|client| client.ip());
    let ip = ip.to_canonical();
    let ordinary = match ip {
        IpAddr::V4(ip) => (1..224).contains(&ip.octets()[0]) && !ip.is_loopback(),
        IpAddr::V6(ip) => ip.octets()[0] & 0xe0 == 0x20,
    };
    match found {
        Some(found) => assert_eq!(found, ip, "{line}"),
        None => assert!(!ordinary || is_trusted(ip), "{line} is nobody"),
    }
}

fn is_trusted(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..2] == [10, 0],
        IpAddr::V6(ip) => ip.segments()[..3] == [0x2001, 0xdb8, 1],
    }
}

fn value(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(bytes).ok()
}

fn map(name: &HeaderName, lines: &[HeaderValue]) -> HeaderMap {
    lines.iter().map(|line| (name.clone(), line.clone())).collect()
}
