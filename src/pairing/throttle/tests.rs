//! The bounds on guessing, each hit once.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;
use crate::base::secret::Secret;

fn client(number: u32) -> Subject {
    Subject::Caller(CallerKey::stranger(Ipv4Addr::from_bits(number)), Standing::Far)
}

fn far(ip: &str) -> Subject {
    Subject::Caller(CallerKey::stranger(ip.parse::<IpAddr>().unwrap()), Standing::Far)
}

/// A customer of its own for each number.
fn home(number: u32) -> Subject {
    let ip = Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) + (u128::from(number) << 80) + 1);
    Subject::Caller(CallerKey::stranger(ip), Standing::Far)
}

fn device() -> DeviceId {
    "7".repeat(64).parse().unwrap()
}

/// How many are judged in an hour of which every second brings guesses from many addresses.
fn judged_in_an_hour(
    throttle: &mut Throttle,
    each_second: u32,
    subject: impl Fn(u32) -> Subject,
    start: Uptime,
) -> u32 {
    let tries =
        (0..3_600_u32).flat_map(|second| (0..each_second).map(move |number| (second, second * each_second + number)));
    let judged = tries.filter(|(second, number)| {
        guess(throttle, subject(*number), Verdict::Wrong, start.plus(Duration::from_secs(u64::from(*second))))
    });
    u32::try_from(judged.count()).unwrap()
}

fn guess(throttle: &mut Throttle, subject: Subject, verdict: Verdict, now: Uptime) -> bool {
    match throttle.reserve(subject, now) {
        Ok(reservation) => {
            throttle.settle(reservation, verdict, now);
            true
        }
        Err(_) => false,
    }
}

fn locked(throttle: &mut Throttle, subject: Subject, start: Uptime) {
    for _ in 0..FAILURES_MAX {
        assert!(guess(throttle, subject, Verdict::Wrong, start));
    }
    assert!(!guess(throttle, subject, Verdict::Right, start));
}

#[test]
fn ten_wrong_secrets_lock_for_five_minutes() {
    let (mut throttle, start) = (Throttle::default(), Uptime::default());
    locked(&mut throttle, client(1), start);
    let error = throttle.reserve(client(1), start.plus(LOCKOUT / 2)).unwrap_err();
    assert_eq!(error.retry_after_ms(), 150_000);
    assert!(guess(&mut throttle, client(2), Verdict::Wrong, start), "another client is not concerned");
    assert!(!guess(&mut throttle, client(1), Verdict::Right, start.plus(LOCKOUT - Duration::from_millis(1))));
    assert!(guess(&mut throttle, client(1), Verdict::Right, start.plus(LOCKOUT)));
}

#[test]
fn the_window_slides() {
    let (mut throttle, start) = (Throttle::default(), Uptime::default());
    for second in 0..9 {
        assert!(guess(&mut throttle, client(1), Verdict::Wrong, start.plus(Duration::from_secs(second))));
    }
    // The first has left the window, the other eight have not.
    let later = start.plus(FAILURE_WINDOW);
    assert!(guess(&mut throttle, client(1), Verdict::Wrong, later));
    assert!(guess(&mut throttle, client(1), Verdict::Wrong, later));
    assert!(!guess(&mut throttle, client(1), Verdict::Wrong, later));
}

#[test]
fn parallel_guesses_cannot_pass_the_limit() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    let given: Vec<_> = (0..500).filter_map(|_| throttle.reserve(client(1), now).ok()).collect();
    assert_eq!(given.len(), 10);
    for reservation in given {
        throttle.settle(reservation, Verdict::Wrong, now);
    }
    assert!(throttle.reserve(client(1), now.plus(FAILURE_WINDOW)).is_err());
}

#[test]
fn a_reservation_that_is_never_settled_counts_until_the_window_is_over() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    let lost: Vec<_> = (0..10).map(|_| throttle.reserve(client(1), now).unwrap()).collect();
    drop(lost);
    assert!(throttle.reserve(client(1), now.plus(FAILURE_WINDOW - Duration::from_millis(1))).is_err());
    assert!(throttle.reserve(client(1), now.plus(FAILURE_WINDOW)).is_ok());
}

#[test]
fn the_right_secret_clears_the_count_and_no_secret_leaves_it() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    for _ in 0..9 {
        guess(&mut throttle, client(1), Verdict::Wrong, now);
    }
    assert!(guess(&mut throttle, client(1), Verdict::Unjudged, now));
    assert!(throttle.counts.contains_key(&Bucket::Client(CallerKey::stranger(Ipv4Addr::from_bits(1)))));
    assert!(guess(&mut throttle, client(1), Verdict::Right, now));
    assert!(throttle.counts.keys().all(|bucket| *bucket == Bucket::Crowd(Crowd::Far)), "and so does all strangers'");
}

#[test]
fn honest_clients_leave_no_trace() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    for number in 0..1000 {
        assert!(guess(&mut throttle, client(number), Verdict::Right, now));
    }
    assert!(throttle.counts.is_empty());
}

#[test]
fn a_flood_of_addresses_neither_grows_the_table_nor_washes_a_lock_away() {
    let (mut throttle, start) = (Throttle::default(), Uptime::default());
    locked(&mut throttle, client(0), start);
    // Each from a home of its own, until all strangers together have had their share.
    let judged = (1..100_000).filter(|number| guess(&mut throttle, home(*number), Verdict::Wrong, start)).count();
    assert_eq!(u32::try_from(judged).unwrap(), FAILURES_OF_ALL_MAX - FAILURES_MAX);
    let most = 3 * usize::try_from(FAILURES_OF_ALL_MAX).unwrap();
    assert!(throttle.counts.len() <= most, "{}", throttle.counts.len());
    // That ends with the flood, and the lock that was there before still stands.
    assert_eq!(throttle.reserve(client(9), start).unwrap_err().remaining, FAILURE_WINDOW);
    assert!(guess(&mut throttle, client(9), Verdict::Wrong, start.plus(FAILURE_WINDOW)));
    assert!(throttle.reserve(client(0), start.plus(LOCKOUT - Duration::from_millis(1))).is_err());
    assert!(guess(&mut throttle, client(0), Verdict::Unjudged, start.plus(LOCKOUT)));
    assert_eq!(throttle.counts.len(), 0, "what is over is forgotten");
}

#[test]
fn each_network_of_ipv6_is_locked_out_as_a_whole() {
    for (name, address, most) in [
        (
            "one /64",
            (|number| format!("2001:db8:7:7::{:x}:{:x}", number >> 16, number % 65_536)) as fn(u32) -> String,
            FAILURES_MAX,
        ),
        ("one /56", |number| format!("2001:db8:7:7{:02x}::1", number % 256), FAILURES_PER_HOUSEHOLD_MAX),
        ("one /48", |number| format!("2001:db8:7:{:x}::1", number % 65_536), FAILURES_PER_SITE_MAX),
    ] {
        let (mut throttle, start) = (Throttle::default(), Uptime::default());
        // Where there are fewer networks than addresses, many in each.
        let judged =
            (0..1 << 15).filter(|number| guess(&mut throttle, far(&address(number * 257)), Verdict::Wrong, start));
        assert_eq!(u32::try_from(judged.count()).unwrap(), most, "{name}");
        let later = start.plus(LOCKOUT - Duration::from_millis(1));
        assert!(throttle.reserve(far(&address(5)), later).is_err(), "{name}");
        assert!(guess(&mut throttle, far("2001:db8:8::1"), Verdict::Right, start), "{name}: another customer");
        let hour = judged_in_an_hour(&mut throttle, 4, |number| far(&address(number)), start.plus(LOCKOUT));
        // Whoever stays just below the limit is never locked out, and has no more than that.
        assert!(hour <= most * 60, "{name}: {hour} in an hour");
    }
}

#[test]
fn all_strangers_together_have_so_many_guesses_an_hour() {
    let (mut throttle, start) = (Throttle::default(), Uptime::default());
    let hour = judged_in_an_hour(&mut throttle, 20, home, start);
    assert!(hour <= 60 * FAILURES_OF_ALL_MAX, "{hour}");
}

#[test]
fn whoever_holds_a_part_of_a_network_does_not_lock_its_neighbours_out() {
    for (name, own, neighbour) in [
        ("a /64 of a /56", (|_| "2001:db8:7:7::1".to_owned()) as fn(u32) -> String, "2001:db8:7:8::1"),
        ("a /56 of a /48", |number| format!("2001:db8:7:7{:02x}::1", number % 256), "2001:db8:7:800::1"),
        ("a /48", |number| format!("2001:db8:7:{number:x}::1"), "2001:db8:8::1"),
    ] {
        let (mut throttle, mut now) = (Throttle::default(), Uptime::default());
        for round in 0..700 {
            for number in 0..300 {
                guess(&mut throttle, far(&own(number)), Verdict::Wrong, now);
            }
            assert!(guess(&mut throttle, far(neighbour), Verdict::Unjudged, now), "{name}, second {round}");
            now = now.plus(Duration::from_secs(1));
        }
    }
}

#[test]
fn strangers_lock_out_neither_the_owner_nor_his_devices_nor_his_networks_nor_who_was_here_before() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    let (owner, tunnel) = (CallerKey::owner(), CallerKey::stranger([127, 0, 0, 1]));
    let (owner, tunnel) = (Subject::Caller(owner, Standing::Here), Subject::Caller(tunnel, Standing::Far));
    let near = Subject::Caller(CallerKey::stranger([192, 168, 1, 7]), Standing::Near);
    let (phone, device) = (far("2001:db8:7:7::1"), device());
    assert!(guess(&mut throttle, phone, Verdict::Right, now));
    // Its whole customer's network is locked, and then every stranger.
    for number in 0..1_000 {
        guess(&mut throttle, far(&format!("2001:db8:7:{:x}::1", 8 + number)), Verdict::Wrong, now);
    }
    assert!(throttle.reserve(far("2001:db8:7:ffff::1"), now).is_err());
    let judged = (0..100_000).filter(|number| guess(&mut throttle, client(*number), Verdict::Wrong, now)).count();
    assert!(judged < usize::try_from(FAILURES_OF_ALL_MAX).unwrap());
    assert!(!guess(&mut throttle, tunnel, Verdict::Right, now));
    for friend in [owner, near, phone, Subject::Device(device)] {
        assert!(guess(&mut throttle, friend, Verdict::Right, now), "{friend:?}");
    }
    // Who knew the secret of before is nobody once there is another.
    throttle.forget_known();
    assert!(!guess(&mut throttle, phone, Verdict::Right, now));
    // Those who share the owner's address before anything is full are counted apart from him, too.
    let mut throttle = Throttle::default();
    locked(&mut throttle, tunnel, now);
    assert!(guess(&mut throttle, owner, Verdict::Right, now));
}

#[test]
fn one_right_secret_speaks_for_its_own_address_alone() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    let network = |number: u32| far(&format!("2001:db8:7:7{:02x}::1", number % 256));
    for number in 0..FAILURES_PER_HOUSEHOLD_MAX - 1 {
        assert!(guess(&mut throttle, network(number), Verdict::Wrong, now));
    }
    assert!(guess(&mut throttle, network(200), Verdict::Right, now));
    assert!(guess(&mut throttle, network(201), Verdict::Wrong, now));
    assert!(!guess(&mut throttle, network(202), Verdict::Wrong, now));
}

#[test]
fn a_locked_client_is_not_judged_at_all() {
    let (mut throttle, now) = (Throttle::default(), Uptime::default());
    let secret = Secret::new("right".to_owned());
    let gateway = secret.fingerprint();
    let auth = Auth { token: Some(secret), ..Auth::default() };
    locked(&mut throttle, client(1), now);
    let (shared, reservation) = throttle.judge(client(1), &auth, &gateway, now);
    assert_eq!(shared, Shared::Locked { retry_after_ms: 300_000 });
    assert!(reservation.is_none());
    let (shared, reservation) = throttle.judge(client(2), &auth, &gateway, now);
    assert_eq!(shared, Shared::Right(crate::protocol::hello::AuthMethod::Token));
    throttle.settle(reservation.unwrap(), Verdict::Right, now);
    assert_eq!(throttle.judge(client(2), &Auth::default(), &gateway, now).0, Shared::Missing);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whoever guesses in whatever order, at once or apart: no count lets more through than its limit, a lock holds for its
    /// time, and the owner and his devices are judged.
    #[test]
    fn no_order_of_guesses_lets_more_through(tries in prop::collection::vec((0..3_u8, 0..3_u8, 0..200_u8, 0..3_000_u64, any::<bool>()), 1..600)) {
        let (mut throttle, mut now) = (Throttle::default(), Uptime::default());
        let mut wrong: Vec<(Uptime, CallerKey)> = Vec::new();
        let mut open = Vec::new();
        for (kind, site, network, wait, at_once) in tries {
            let ip = match kind {
                0 => format!("198.51.100.{}", network % 4),
                1 => format!("2001:db8:{site:x}:{:x}::{network:x}", network % 2),
                _ => format!("2001:db8:{site:x}:{network:x}::1"),
            };
            let caller = CallerKey::stranger(ip.parse::<IpAddr>().unwrap());
            if let Ok(reservation) = throttle.reserve(Subject::Caller(caller, Standing::Far), now) {
                wrong.push((now, caller));
                open.push(reservation);
            }
            if !at_once {
                open.drain(..).for_each(|reservation| throttle.settle(reservation, Verdict::Wrong, now));
                now = now.plus(Duration::from_millis(wait));
            }
            let recent = || wrong.iter().filter(|(at, _)| now.since(*at) < FAILURE_WINDOW).map(|(_, caller)| caller);
            let count = |is_mate: &dyn Fn(&CallerKey) -> bool| u32::try_from(recent().filter(|other| is_mate(other)).count()).unwrap();
            prop_assert!(count(&|other| *other == caller) <= FAILURES_MAX);
            prop_assert!(caller.household().is_none() || count(&|other| other.household() == caller.household()) <= FAILURES_PER_HOUSEHOLD_MAX);
            prop_assert!(caller.site().is_none() || count(&|other| other.site() == caller.site()) <= FAILURES_PER_SITE_MAX);
            prop_assert!(count(&|_| true) <= FAILURES_OF_ALL_MAX);
            // Ten within a minute: whenever the tenth was settled, the lock holds for five from then on.
            let own: Vec<Uptime> = wrong.iter().filter(|(_, other)| *other == caller).map(|(at, _)| *at).collect();
            for ten in own.windows(11) {
                prop_assert!(ten[9].since(ten[0]) >= FAILURE_WINDOW || ten[10].since(ten[9]) >= LOCKOUT, "{own:?}");
            }
            for friend in [Subject::Caller(CallerKey::owner(), Standing::Here), Subject::Device(device())] {
                let given = throttle.reserve(friend, now);
                prop_assert!(given.is_ok());
                throttle.settle(given.unwrap(), Verdict::Unjudged, now);
            }
        }
    }
}
