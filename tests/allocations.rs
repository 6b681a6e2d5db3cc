//! Promise: finding out who is calling allocates nothing on the common path: a peer, or a client behind a few trusted proxies.
#![cfg(test)]

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

#[test]
fn a_client_behind_four_proxies_costs_no_allocation_and_one_behind_five_a_single_one() {
    let hops = |trusted: usize| (0..trusted).map(|hop| format!("10.0.0.{hop}")).collect::<Vec<_>>();
    for (header, before, glue) in [
        ("x-forwarded-for", "6.6.6.6, 2001:db8::9", ", "),
        ("forwarded", "for=\"[2001:db8::9]:7\";proto=https", ", for="),
    ] {
        for (trusted, allocations) in [(0, 0), (3, 0), (4, 0), (5, 1)] {
            let chain = [vec![before.to_owned()], hops(trusted)].concat().join(glue);
            assert_eq!(resolved(header, &chain, "2001:db8::9"), allocations, "{header}: {chain}");
        }
    }
    assert_eq!(resolved("x-real-ip", "203.0.113.9", "203.0.113.9"), 0);
    assert_eq!(resolved("none", "", "10.0.9.9"), 0);
}

/// Resolves a call from 10.0.9.9 with this header, and tells how often memory was allocated for it.
fn resolved(header: &str, value: &str, client: &str) -> u64 {
    let settings = Settings {
        client_ip_header: ClientIpHeader::parse(header).unwrap(),
        trusted_proxies: Ranges::parse(&["10.0.0.0/16"], Width::Narrow).unwrap(),
        ..Settings::default()
    };
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_bytes(header.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    let facts = Facts {
        peer: PeerAddr::from_accept("10.0.9.9:4711".parse().unwrap()),
        proxy_header: None,
        owner: Owner::Unknown,
        tailnet: Whois::default(),
        headers: &headers,
        authority: None,
        scheme: Scheme::Https,
    };
    let network = Network::default();
    let mut found = None;
    let counted = allocation_counter::measure(|| found = Some(resolve(&facts, &settings, &network)));
    assert_eq!(found.unwrap().client.map(|client| client.ip()), Some(client.parse().unwrap()));
    counted.count_total
}
