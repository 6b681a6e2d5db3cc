//! However the wall clock is set, what waits waits for as long as was said, and not a moment longer.

use super::super::testing::*;
use super::super::*;
use crate::base::limits::PENDING_LIFE_SECONDS;
use crate::base::limits::PENDING_LIFE_SECONDS_MAX;
use crate::base::limits::PENDING_LIFE_SECONDS_MIN;

const LIFE: i64 = PENDING_LIFE_SECONDS * 1_000;
const DAY: i64 = 86_400_000;

#[tokio::test]
async fn no_jump_of_the_clock_makes_a_request_live_longer_or_shorter() {
    let jumps = [DAY, -DAY, -60_000, 60_000, 10 * 365 * DAY, -NOW.0, LIFE, -LIFE];
    for jump in jumps {
        let (_folder, store, clock) = on_a_clock().await;
        let request = waits(&store, &clock).await;
        clock.advance(LIFE / 2);
        clock.set(clock.now().plus(jump));
        clock.advance(LIFE / 2 - 1);
        assert!(is_open(&store, &clock, &request).await, "it is over early after a jump by {jump} ms");
        clock.advance(1);
        assert!(!is_open(&store, &clock, &request).await, "it lives on after a jump by {jump} ms");
        clock.set(NOW);
        assert!(!is_open(&store, &clock, &request).await, "it came back when the clock was set right");
    }
}

#[tokio::test]
async fn a_request_waits_for_as_long_as_the_operator_says() {
    for seconds in [PENDING_LIFE_SECONDS_MIN, 60, PENDING_LIFE_SECONDS_MAX] {
        let (_folder, store, clock) = on_a_clock().await;
        let store = store.with_pending_life(PendingLife::of_seconds(seconds).unwrap());
        let request = waits(&store, &clock).await;
        clock.advance(seconds * 1_000 - 1);
        clock.set(clock.now().plus(-DAY));
        assert!(is_open(&store, &clock, &request).await, "it is over before its {seconds} seconds");
        clock.advance(1);
        assert!(!is_open(&store, &clock, &request).await, "it lives on after its {seconds} seconds");
    }
}

#[tokio::test]
async fn a_hundred_jumps_are_as_good_as_none() {
    let (_folder, store, clock) = on_a_clock().await;
    let request = waits(&store, &clock).await;
    for step in 0..100_i64 {
        clock.set(NOW.plus((step * 7_919 % 200 - 100) * DAY / 10));
        assert!(is_open(&store, &clock, &request).await, "step {step}");
        clock.advance(LIFE / 100);
    }
    assert!(!is_open(&store, &clock, &request).await);
}

#[tokio::test]
async fn a_restart_within_the_window_goes_on_and_a_start_of_the_machine_ends_it() {
    let (folder, store, clock) = on_a_clock().await;
    let request = waits(&store, &clock).await;
    clock.advance(LIFE - 1_000);
    close(store).await;
    let again = Store::open(&file(&folder)).await.unwrap().by(clock.clone());
    clock.set(NOW.plus(-DAY));
    assert!(is_open(&again, &clock, &request).await);
    clock.advance(1_000);
    assert!(!is_open(&again, &clock, &request).await);
    // Another boot: for how long the machine was off, nobody can say, so nothing of before is open.
    let request = waits(&again, &clock).await;
    let other = again.by(Clock::system());
    let (found, now) = (other.request(&request.id).await.unwrap().unwrap(), Clock::system().now());
    assert!(found.is_expired(now, other.pending_life()));
    assert_eq!(other.known(&request.device(), now).await.unwrap().waiting, Queue::default());
}

async fn on_a_clock() -> (tempfile::TempDir, Store, Clock) {
    let ((folder, store), clock) = (fresh().await, Clock::fixed(NOW));
    (folder, store.by(clock.clone()), clock)
}

/// A request that begins to wait now.
async fn waits(store: &Store, clock: &Clock) -> PendingRequest {
    let request = PendingRequest { created_at: clock.now(), refreshed_at: clock.now(), ..request(1) };
    store.commit(&[Change::PutRequest(Box::new(request.clone()))], &act("connect")).await.unwrap();
    request
}

/// Whether it can be approved now; the list and the count say the same.
async fn is_open(store: &Store, clock: &Clock, request: &PendingRequest) -> bool {
    let now = clock.now();
    let found = store.request(&request.id).await.unwrap().unwrap();
    let listed = store.requests().await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&found));
    let known = store.known(&request.device(), now).await.unwrap();
    assert_eq!(known.requests, std::slice::from_ref(&found));
    assert_eq!(known.waiting.len() == 1, !found.is_expired(now, store.pending_life()));
    !found.is_expired(now, store.pending_life())
}
