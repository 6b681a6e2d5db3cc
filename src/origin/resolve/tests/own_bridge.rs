//! The address behind which our own container network hides strangers, trusted before we joined that network.

use super::*;
use crate::origin::TrustOwnBridge;
use crate::origin::testing::GATEWAY;
use crate::origin::testing::joined;

#[test]
fn a_gateway_that_hides_strangers_vouches_for_nobody() {
    let header = call(GATEWAY).header(X_FORWARDED_FOR, "203.0.113.9");
    let origin = header.resolve_on(&joined());
    assert_eq!(shown(&origin), "10.0.0.1 Some(4711) nat peer");
    assert!(origin.trail.steps().any(|step| step == Step::HeaderMasked));

    let mut proxied = call(GATEWAY).proxy(source_of("203.0.113.9".parse().unwrap()));
    proxied.settings.proxy_protocol = ProxyProtocol::Required { from: proxied.settings.trusted_proxies.clone() };
    assert_eq!(shown(&proxied.resolve_on(&joined())), "nobody None unattributed proxy-protocol");
}

#[test]
fn a_hop_that_hides_strangers_ends_the_walk() {
    let chain = call("10.0.0.3").header(X_FORWARDED_FOR, "203.0.113.9, 10.0.0.1");
    assert_eq!(shown(&chain.resolve_on(&joined())), "10.0.0.1 None nat x-forwarded-for");
    assert_eq!(shown(&chain.resolve()), "203.0.113.9 None public x-forwarded-for");
}

#[test]
fn a_neighbour_and_an_operators_word_vouch_as_before() {
    let neighbour = call("10.0.0.3").header(X_FORWARDED_FOR, "203.0.113.9");
    assert_eq!(shown(&neighbour.resolve_on(&joined())), "203.0.113.9 None public x-forwarded-for");
    let mut gateway = call(GATEWAY).header(X_FORWARDED_FOR, "203.0.113.9");
    gateway.settings.own_bridge = TrustOwnBridge::Allowed;
    assert_eq!(shown(&gateway.resolve_on(&joined())), "203.0.113.9 None public x-forwarded-for");
}
