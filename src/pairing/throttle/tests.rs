//! The bounds on guessing, each hit once.

use super::*;
use crate::base::secret::Secret;

fn client(number: u32) -> Subject {
    Subject::Caller(CallerKey::stranger(std::net::Ipv4Addr::from_bits(number)))
}

fn guess(throttle: &mut Throttle, subject: Subject, verdict: Verdict, now: Instant) -> bool {
    match throttle.reserve(subject, now) {
        Ok(reservation) => {
            throttle.settle(reservation, verdict, now);
            true
        }
        Err(_) => false,
    }
}

fn locked(throttle: &mut Throttle, subject: Subject, start: Instant) {
    for _ in 0..FAILURES_MAX {
        assert!(guess(throttle, subject, Verdict::Wrong, start));
    }
    assert!(!guess(throttle, subject, Verdict::Right, start));
}

#[test]
fn ten_wrong_secrets_lock_for_five_minutes() {
    let (mut throttle, start) = (Throttle::default(), Instant::now());
    locked(&mut throttle, client(1), start);
    let error = throttle.reserve(client(1), start + LOCKOUT / 2).unwrap_err();
    assert_eq!(error.retry_after_ms(), 150_000);
    assert!(guess(&mut throttle, client(2), Verdict::Wrong, start), "another client is not concerned");
    assert!(!guess(&mut throttle, client(1), Verdict::Right, start + LOCKOUT - Duration::from_millis(1)));
    assert!(guess(&mut throttle, client(1), Verdict::Right, start + LOCKOUT));
}

#[test]
fn the_window_slides() {
    let (mut throttle, start) = (Throttle::default(), Instant::now());
    for second in 0..9 {
        assert!(guess(&mut throttle, client(1), Verdict::Wrong, start + Duration::from_secs(second)));
    }
    // The first has left the window, the other eight have not.
    let later = start + FAILURE_WINDOW;
    assert!(guess(&mut throttle, client(1), Verdict::Wrong, later));
    assert!(guess(&mut throttle, client(1), Verdict::Wrong, later));
    assert!(!guess(&mut throttle, client(1), Verdict::Wrong, later));
}

#[test]
fn parallel_guesses_cannot_pass_the_limit() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    let given: Vec<_> = (0..500).filter_map(|_| throttle.reserve(client(1), now).ok()).collect();
    assert_eq!(given.len(), 10);
    for reservation in given {
        throttle.settle(reservation, Verdict::Wrong, now);
    }
    assert!(throttle.reserve(client(1), now + FAILURE_WINDOW).is_err());
}

#[test]
fn a_reservation_that_is_never_settled_counts_until_the_window_is_over() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    let lost: Vec<_> = (0..10).map(|_| throttle.reserve(client(1), now).unwrap()).collect();
    drop(lost);
    assert!(throttle.reserve(client(1), now + FAILURE_WINDOW - Duration::from_millis(1)).is_err());
    assert!(throttle.reserve(client(1), now + FAILURE_WINDOW).is_ok());
}

#[test]
fn the_right_secret_clears_the_count_and_no_secret_leaves_it() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for _ in 0..9 {
        guess(&mut throttle, client(1), Verdict::Wrong, now);
    }
    assert!(guess(&mut throttle, client(1), Verdict::Unjudged, now));
    assert_eq!(throttle.subjects.len(), 1);
    assert!(guess(&mut throttle, client(1), Verdict::Right, now));
    assert!(throttle.subjects.is_empty());
}

#[test]
fn honest_clients_leave_no_trace() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for number in 0..1000 {
        assert!(guess(&mut throttle, client(number), Verdict::Right, now));
    }
    assert!(throttle.subjects.is_empty());
}

#[test]
fn a_flood_of_addresses_neither_grows_the_table_nor_washes_a_lock_away() {
    let (mut throttle, start) = (Throttle::default(), Instant::now());
    locked(&mut throttle, client(0), start);
    let places = u32::try_from(FAILURE_CLIENTS_MAX).unwrap();
    for number in 1..places {
        assert!(guess(&mut throttle, client(number), Verdict::Wrong, start));
    }
    // From here on strangers share one count.
    let judged = (places..3 * places).filter(|number| guess(&mut throttle, client(*number), Verdict::Wrong, start));
    assert_eq!(u32::try_from(judged.count()).unwrap(), FAILURES_OVERFLOW_MAX);
    assert_eq!(throttle.subjects.len(), FAILURE_CLIENTS_MAX);
    assert!(throttle.reserve(client(0), start + FAILURE_WINDOW).is_err());
    // When their failures are old, there is room again, and the lock still stands.
    assert!(guess(&mut throttle, client(7 * places), Verdict::Wrong, start + FAILURE_WINDOW));
    assert!(throttle.reserve(client(0), start + FAILURE_WINDOW).is_err());
    assert_eq!(throttle.subjects.len(), 2);
}

#[test]
fn strangers_who_fill_the_table_lock_out_neither_the_owner_nor_his_devices() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    let places = u32::try_from(FAILURE_CLIENTS_MAX).unwrap();
    let (owner, tunnel) = (CallerKey::owner(), CallerKey::stranger([127, 0, 0, 1]));
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
    let device = crate::pairing::device::DevicePublicKey::from_bytes(key).unwrap().id();
    for number in 0..places + FAILURES_OVERFLOW_MAX {
        assert!(guess(&mut throttle, client(number), Verdict::Wrong, now));
    }
    assert!(!guess(&mut throttle, Subject::Caller(tunnel), Verdict::Right, now));
    assert!(guess(&mut throttle, Subject::Caller(owner), Verdict::Right, now));
    assert!(guess(&mut throttle, Subject::Device(device), Verdict::Right, now));
    // Those who share the owner's address before the table is full are counted apart from him, too.
    let mut throttle = Throttle::default();
    locked(&mut throttle, Subject::Caller(tunnel), now);
    assert!(guess(&mut throttle, Subject::Caller(owner), Verdict::Right, now));
}

#[test]
fn a_locked_client_is_not_judged_at_all() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
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
