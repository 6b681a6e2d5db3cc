//! What "who is calling?" costs: three hops against 10,000 trusted ranges, and the naive scan of the same addresses beside it.
//!
//! `cargo bench --bench ranges`; the goal is a microsecond a decision.
#![expect(clippy::expect_used, reason = "a bench that cannot go on says why and ends")]

use std::hint::black_box;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use doorward::net::addr::PeerAddr;
use doorward::net::host::Scheme;
use doorward::net::range::Ranges;
use doorward::net::range::Width;
use doorward::origin::ClientIpHeader;
use doorward::origin::Facts;
use doorward::origin::Network;
use doorward::origin::Owner;
use doorward::origin::Settings;
use doorward::origin::Whois;
use doorward::origin::resolve;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use ipnet::IpNet;

const RANGES: u32 = 10_000;
const HOPS: [&str; 3] = ["203.0.113.9", "11.0.8.7", "2001:db8:8::8"];
const PEER: &str = "11.0.10.2";

fn bench(criterion: &mut Criterion) {
    let scanned = ranges();
    let entries: Vec<String> = scanned.iter().map(IpNet::to_string).collect();
    let trusted_proxies = Ranges::parse(&entries, Width::Narrow).expect("the ranges are sound");
    let network = Network::default();
    let peer = PeerAddr::from_accept(format!("{PEER}:4711").parse().expect("an address"));
    let mut group = criterion.benchmark_group("three hops, 10,000 ranges");
    for (name, line) in [
        ("x-forwarded-for", format!("6.6.6.6, {}", HOPS.join(", "))),
        ("forwarded", format!("for=6.6.6.6, for={}, for={};proto=https, for=\"[{}]:7\"", HOPS[0], HOPS[1], HOPS[2])),
    ] {
        let client_ip_header = ClientIpHeader::parse(name).expect("a header");
        let settings = Settings { client_ip_header, trusted_proxies: trusted_proxies.clone(), ..Settings::default() };
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&line).expect("a value"));
        let facts = Facts {
            peer,
            proxy_header: None,
            owner: Owner::Unknown,
            tailnet: Whois::default(),
            headers: &headers,
            authority: None,
            scheme: Scheme::Https,
        };
        let origin = resolve(&facts, &settings, &network);
        assert_eq!(origin.client.map(|client| client.ip().to_string()).as_deref(), Some(HOPS[0]));
        group.bench_function(name, |bencher| bencher.iter(|| resolve(black_box(&facts), &settings, &network)));
    }
    let asked: Vec<IpAddr> = HOPS.iter().chain([&PEER]).map(|ip| ip.parse().expect("an address")).collect();
    group.bench_function("naive scan of the same addresses", |bencher| {
        bencher.iter(|| asked.iter().filter(|ip| scanned.iter().any(|range| range.contains(black_box(*ip)))).count());
    });
    group.finish();
}

/// Every other /24 from 11.0.0.0 on, and every other /48 from 2001:db8:: on: none can be merged with another.
fn ranges() -> Vec<IpNet> {
    let v4 = |index: u32| IpNet::new(Ipv4Addr::from_bits((11 << 24) + (index << 9)).into(), 24);
    let v6 = |index: u32| IpNet::new(Ipv6Addr::from_bits((0x2001_0db8 << 96) + (u128::from(index) << 81)).into(), 48);
    let half = RANGES / 2;
    (0..half).map(v4).chain((0..half).map(v6)).map(|range| range.expect("a prefix")).collect()
}

criterion_group!(benches, bench);
criterion_main!(benches);
