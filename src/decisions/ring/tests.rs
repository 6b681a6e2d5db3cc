//! What stays, what goes, and for whom.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use super::*;
use crate::decisions::Decisions;
use crate::decisions::testing::denial;
use crate::decisions::testing::pending;
use crate::decisions::testing::served;

const OWNER: &str = "203.0.113.77";

#[test]
fn a_decision_is_found_by_each_of_its_names() {
    let decisions = Decisions::default();
    let decision = pending(OWNER, "7f0e");
    let (code, connection) = (decision.code.unwrap().to_string(), decision.case.connection.id.to_string());
    decisions.keep(decision);
    for id in [&code, &code.to_lowercase(), &format!(" {code}\n"), &connection, "7f0e"] {
        assert_eq!(decisions.find(id).unwrap().request_id(), Some("7f0e"), "{id}");
    }
    for id in ["", "7f0", "0123456789AB", "ffffffffffffffff"] {
        assert!(decisions.find(id).is_none(), "{id}");
    }
    assert_eq!(decisions.reason(Code::parse(&code).unwrap()), Some("pairing_required"));
}

#[test]
fn the_latest_of_several_is_told() {
    let decisions = Decisions::default();
    decisions.keep(served(OWNER));
    decisions.keep(pending(OWNER, "7f0e"));
    let last = pending(OWNER, "7f0e");
    let (code, connection) = (last.code, last.case.connection.id.to_string());
    decisions.keep(last);
    for id in ["7f0e", &connection] {
        assert_eq!(decisions.find(id).unwrap().code, code, "{id}");
    }
}

#[test]
fn one_caller_takes_nothing_but_its_own_places() {
    let decisions = Decisions::default();
    let (owner, code) = with_code(denial(OWNER));
    decisions.keep(owner);
    (0..100_000_u64).for_each(|low| {
        decisions.keep(denial(&Ipv6Addr::from_bits((0x2001_0db8 << 96) | u128::from(low)).to_string()))
    });
    assert!(decisions.find(&code).is_some());
    assert_eq!(size(&decisions), 1 + DECISIONS_STRANGERS_PER_CLIENT_MAX);
}

#[test]
fn one_customers_many_networks_take_nothing_but_their_own_places() {
    let decisions = Decisions::default();
    let (owner, code) = with_code(denial(OWNER));
    decisions.keep(owner);
    let network = |number: u128| Ipv6Addr::from_bits((0x2001_0db8_0007 << 80) | (number << 64) | 1).to_string();
    (0..100_000).for_each(|number| decisions.keep(denial(&network(number % 10_000))));
    assert!(decisions.find(&code).is_some());
    assert_eq!(size(&decisions), 1 + DECISIONS_STRANGERS_PER_SITE_MAX);
}

#[test]
fn a_flood_from_everywhere_leaves_the_owners_denials() {
    let decisions = Decisions::default();
    let (near, near_code) = with_code(denial("192.168.1.20"));
    decisions.keep(near);
    decisions.keep(pending(OWNER, "7f0e"));
    for number in 0..100_000_u128 {
        // Each /64 in a /48 of its own: the most that a flood can be.
        let stranger = Ipv6Addr::from_bits((0x2001_u128 << 112) | ((number % 10_000) << 80) | 1).to_string();
        decisions.keep(denial(&stranger));
        if number % 10 == 0 {
            decisions.keep(served(&stranger));
        }
    }
    assert!(decisions.find("7f0e").is_some(), "who knows the secret");
    assert!(decisions.find(&near_code).is_some(), "who is nearby");
    assert_eq!(size(&decisions), DECISIONS_STRANGERS_MAX + DECISIONS_SERVED_MAX + 2);
}

#[test]
fn each_part_keeps_so_many_of_one_caller_and_so_many_in_all() {
    // A part's name, how a decision of it is made, from which address the nth comes, and its two bounds.
    type Row<'a> = (&'a str, fn(u32, &str) -> Decision, &'a dyn Fn(u32) -> String, usize, usize);
    let near = |n: u32| Ipv4Addr::from_bits((10 << 24) | n).to_string();
    let far = |n: u32| Ipv4Addr::from_bits((11 << 24) | n).to_string();
    let parts: [Row<'_>; 4] = [
        ("vouched", |n, ip| pending(ip, &n.to_string()), &far, DECISIONS_VOUCHED_PER_CLIENT_MAX, DECISIONS_VOUCHED_MAX),
        ("near", |_, ip| denial(ip), &near, DECISIONS_NEAR_PER_CLIENT_MAX, DECISIONS_NEAR_MAX),
        ("strangers", |_, ip| denial(ip), &far, DECISIONS_STRANGERS_PER_CLIENT_MAX, DECISIONS_STRANGERS_MAX),
        ("served", |_, ip| served(ip), &far, DECISIONS_SERVED_PER_CLIENT_MAX, DECISIONS_SERVED_MAX),
    ];
    for (part, made, ip, client_max, all_max) in parts {
        for (bound, caller) in [(client_max, None), (all_max, Some(ip))] {
            let decisions = Decisions::default();
            for number in 0..u32::try_from(bound).unwrap() {
                decisions.keep(made(number, &caller.map_or_else(|| ip(7), |ip| ip(number))));
                assert_eq!(size(&decisions), usize::try_from(number).unwrap() + 1, "{part}");
            }
            decisions.keep(made(u32::MAX, &ip(7)));
            assert_eq!(size(&decisions), bound, "{part}");
        }
    }
}

#[test]
fn nothing_is_left_of_what_went() {
    let decisions = Decisions::default();
    for number in 0..20_000_u32 {
        let peer = Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_761)).to_string();
        decisions.keep(pending(&peer, &number.to_string()));
        decisions.keep(denial(&peer));
    }
    let ring = decisions.ring();
    assert_eq!(ring.codes.len(), ring.kept.len());
    assert_eq!(ring.requests.len(), DECISIONS_VOUCHED_MAX);
    assert_eq!(ring.connections.values().map(BTreeSet::len).sum::<usize>(), ring.kept.len());
    for lane in [&ring.vouched, &ring.near, &ring.strangers, &ring.served] {
        assert!(lane.order.iter().all(|number| ring.kept.contains_key(number)));
        assert_eq!(lane.clients.values().map(BTreeSet::len).sum::<usize>(), lane.order.len());
        assert!(lane.order.len() <= lane.all_max);
    }
}

#[test]
fn the_last_denied_comes_first_and_then_those_who_know_something() {
    let decisions = Decisions::default();
    decisions.keep(pending(OWNER, "7f0e"));
    decisions.keep(denial("192.168.1.20"));
    decisions.keep(served("198.51.100.1"));
    decisions.keep(denial("198.51.100.2"));
    decisions.keep(denial("198.51.100.3"));
    let clients: Vec<_> = decisions.denied(4).iter().map(|decision| decision.client().to_string()).collect();
    assert_eq!(clients, ["198.51.100.3", OWNER, "192.168.1.20", "198.51.100.2"]);
    assert!(Decisions::default().denied(4).is_empty());
}

fn with_code(decision: Decision) -> (Decision, String) {
    let code = decision.code.unwrap().to_string();
    (decision, code)
}

fn size(decisions: &Decisions) -> usize {
    decisions.ring().kept.len()
}
