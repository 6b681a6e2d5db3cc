//! Places and their order, by table and at random.

use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const START: UnixMillis = UnixMillis(1_800_000_000_000);
const KEPT: i64 = 60_000;

fn waiter(ip: &str, standing: Standing, created_at: UnixMillis) -> Waiter {
    let ip: IpAddr = ip.parse().unwrap();
    let origin: OriginClaim = serde_json::from_value(json!({
        "kind": "ip", "ip": ip, "class": "public", "local": standing == Standing::Here, "peer": ip, "listener": "web",
        "source": "peer", "via": [],
    }))
    .unwrap();
    let device = "7".repeat(64).parse().unwrap();
    Waiter { request: RequestId::random(), device, caller: CallerKey::of(&origin), standing, created_at }
}

fn far(ip: &str) -> Waiter {
    waiter(ip, Standing::Far, START)
}

/// Lets `newcomer` wait, if there is a place.
fn enter(queue: &mut Queue, newcomer: Waiter, now: UnixMillis) -> Result<Option<Waiter>, PendingLimit> {
    let displaced = queue.place(&newcomer, &[], now)?;
    queue.0.retain(|waiter| displaced.is_none_or(|displaced| displaced.request != waiter.request));
    queue.0.push(newcomer);
    Ok(displaced)
}

#[test]
fn each_network_has_its_share() {
    for (name, ip, most) in [
        ("one IPv4 address", (|_| "198.51.100.7".to_owned()) as fn(usize) -> String, PENDING_PER_CLIENT_MAX),
        ("one /64", |number| format!("2001:db8::{number:x}"), PENDING_PER_CLIENT_MAX),
        ("one /56", |number| format!("2001:db8:0:{number:x}::1"), PENDING_PER_HOUSEHOLD_MAX),
        ("one /48", |number| format!("2001:db8:0:{number:x}00::1"), PENDING_PER_SITE_MAX),
    ] {
        let mut queue = Queue::default();
        for number in 0..20 {
            let at = START.plus(i64::try_from(number).unwrap());
            let entered = enter(&mut queue, waiter(&ip(number), Standing::Far, at), at);
            assert_eq!(entered, if number < most { Ok(None) } else { Err(PendingLimit::Client) }, "{name} {number}");
        }
        let neighbour = enter(&mut queue, far("2001:db8:1::1"), START);
        assert_eq!(neighbour, Ok(None), "{name}: another customer has a share of its own");
        // After a minute the first of that network makes room for the next, and nobody else does.
        let first = queue.0[0];
        assert_eq!(enter(&mut queue, far(&ip(20)), START.plus(KEPT)), Ok(Some(first)), "{name}");
    }
}

#[test]
fn who_has_most_places_gives_one_up() {
    let mut queue: Queue = (0..36).map(|number| far(&format!("198.51.100.{number}"))).collect();
    let crowd = ["2001:db8:7::1", "2001:db8:7:1::1", "2001:db8:7:2::1", "2001:db8:7:3::1"];
    queue.0.extend(crowd.map(|ip| waiter(ip, Standing::Far, START.plus(9))));
    let displaced = enter(&mut queue, far("203.0.113.1"), START.plus(KEPT + 9)).unwrap();
    assert_eq!(displaced.unwrap().caller.site(), waiter(crowd[0], Standing::Far, START).caller.site());
}

#[test]
fn the_owners_networks_find_their_ten_places_however_many_wait() {
    let strangers = |count| (0..count).map(|number| far(&format!("198.51.100.{number}")));
    let mut queue: Queue = strangers(PENDING_MAX).collect();
    for number in 0..PENDING_RESERVE {
        let near = waiter(&format!("192.168.1.{number}"), Standing::Near, START);
        let displaced = enter(&mut queue, near, START).unwrap().unwrap();
        assert_eq!(displaced.standing, Standing::Far, "{number}");
        assert_eq!(queue.len(), PENDING_MAX);
    }
    let eleventh = waiter("192.168.1.99", Standing::Near, START);
    assert_eq!(queue.place(&eleventh, &[], START), Err(PendingLimit::All), "strangers have their minute then");
    assert!(queue.place(&eleventh, &[], START.plus(KEPT)).unwrap().is_some());
    assert!(queue.place(&waiter("127.0.0.1", Standing::Here, START), &[], START).unwrap().is_some());
}

#[test]
fn one_that_takes_its_own_place_needs_no_other() {
    let queue: Queue = (0..40).map(|number| far(&format!("198.51.100.{number}"))).collect();
    let again = far("198.51.100.7");
    assert_eq!(queue.place(&again, &[queue.0[7].request], START), Ok(None));
    assert_eq!(queue.place(&far("203.0.113.7"), &[], START), Err(PendingLimit::All));
}

#[test]
fn the_owner_is_in_sight_after_100_000_attempts_from_10_000_networks() {
    let (mut queue, mut now) = (Queue::default(), START);
    let owner = waiter("192.168.1.7", Standing::Near, START);
    for number in 0..100_000_u32 {
        now = now.plus(36);
        let network = number % 10_000;
        let ip = format!("2001:db8:{:x}:{:x}::1", network / 100, network % 100);
        let _refused = enter(&mut queue, waiter(&ip, Standing::Far, now), now);
        if number == 1_000 {
            enter(&mut queue, owner, now).unwrap();
        }
        assert!(queue.len() <= PENDING_MAX);
    }
    let mut waiters = queue.0.clone();
    let places = Places::of(waiters.iter().copied());
    waiters.sort_by_key(|waiter| rank(waiter, &places));
    assert!(waiters.iter().take(3).any(|waiter| waiter.request == owner.request));
    // From elsewhere he finds a place within a minute, too, and is seen before whoever has several.
    let away = waiter("203.0.113.7", Standing::Far, now.plus(KEPT));
    assert!(enter(&mut queue, away, now.plus(KEPT)).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever comes in whatever order: the queue stays short, no network has more than its share, strangers leave the
    /// reserve alone, nobody loses a place within its minute but to those whose reserve it is, and the owner gets in.
    #[test]
    fn no_crowd_takes_more_than_its_share(arrivals in prop::collection::vec((0..5_u8, 0..6_u16, 0..300_u16, 0..20_000_i64), 1..400)) {
        let (mut queue, mut now) = (Queue::default(), START);
        for (kind, site, network, wait) in arrivals {
            now = now.plus(wait / 20);
            let (ip, standing) = match kind {
                0 => (format!("198.51.100.{}", network % 256), Standing::Far),
                1 => (format!("10.0.{site}.{}", network % 20), Standing::Near),
                2 => ("127.0.0.1".to_owned(), Standing::Here),
                _ => (format!("2001:db8:{site:x}:{network:x}::1"), Standing::Far),
            };
            let newcomer = waiter(&ip, standing, now);
            let near = queue.0.iter().filter(|waiter| waiter.standing != Standing::Far).count();
            let mates = |queue: &Queue, own: &CallerKey| queue.0.iter().filter(|waiter| waiter.caller == *own).count();
            match enter(&mut queue, newcomer, now) {
                Ok(Some(gone)) if !gone.is_seen(now) => prop_assert!(
                    standing == Standing::Here || (standing == Standing::Near && near < PENDING_RESERVE && gone.standing == Standing::Far)
                ),
                Ok(_) => {}
                Err(PendingLimit::Client) => prop_assert!(kind != 1 || mates(&queue, &newcomer.caller) >= PENDING_PER_CLIENT_MAX),
                Err(PendingLimit::Rejected { .. }) => prop_assert!(false),
                Err(PendingLimit::All) => prop_assert!(standing == Standing::Far || near >= PENDING_RESERVE),
            }
            prop_assert!(queue.len() <= PENDING_MAX);
            let strangers = queue.0.iter().filter(|waiter| waiter.standing == Standing::Far);
            prop_assert!(strangers.count() <= PENDING_MAX);
            for waiter in &queue.0 {
                let own = waiter.caller;
                let count = |is_mate: &dyn Fn(&CallerKey) -> bool| queue.0.iter().filter(|other| is_mate(&other.caller)).count();
                prop_assert!(count(&|other| *other == own) <= PENDING_PER_CLIENT_MAX);
                prop_assert!(own.household().is_none() || count(&|other| other.household() == own.household()) <= PENDING_PER_HOUSEHOLD_MAX);
                prop_assert!(own.site().is_none() || count(&|other| other.site() == own.site()) <= PENDING_PER_SITE_MAX);
            }
        }
        // Here nobody is ever crowded out by others.
        let here = waiter("127.0.0.2", Standing::Here, now);
        prop_assert!(queue.place(&here, &[], now).is_ok());
    }
}
