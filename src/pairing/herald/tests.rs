//! What a flood of requests tells, and what it holds back.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::base::clock::UnixMillis;
use crate::pairing::caller::CallerKey;

const SECOND: Duration = Duration::from_secs(1);

fn waiter(ip: &str, device: u32) -> Waiter {
    Waiter {
        request: RequestId::random(),
        device: format!("{device:064x}").parse().unwrap(),
        caller: CallerKey::stranger(ip.parse::<IpAddr>().unwrap()),
        standing: Standing::Far,
        created_at: UnixMillis(0),
    }
}

#[test]
fn the_first_is_told_at_once_and_one_that_asks_and_asks_once_a_minute() {
    let (mut herald, start) = (Herald::default(), Uptime::default());
    let (mut told, mut last) = (Vec::new(), None);
    for second in 0..600_u32 {
        let now = start.plus(SECOND * second);
        // Each time it asks for something else, so the request of before ends.
        last.take().map(|last| herald.forget(&last));
        let request = waiter("198.51.100.7", 1);
        last = Some(request.request);
        told.extend(herald.announce(request, now).then_some(second));
    }
    assert_eq!(told, (0..10).map(|minute| minute * 60).collect::<Vec<_>>());
}

#[test]
fn three_devices_of_one_address_are_told_at_once_and_then_one_a_minute() {
    let (mut herald, start) = (Herald::default(), Uptime::default());
    let told = (0..100_000_u32).filter(|number| {
        let request = Waiter { request: RequestId::random(), ..waiter("198.51.100.7", number % 50) };
        herald.announce(request, start.plus(Duration::from_millis(u64::from(*number) * 36)))
    });
    let told = told.count();
    assert!((3..=63).contains(&told), "{told} in an hour");
}

#[test]
fn a_flood_from_everywhere_is_a_few_lines_and_hides_nobody_near() {
    let (mut herald, now) = (Herald::default(), Uptime::default());
    let from = |number: u32| waiter(&format!("2001:db8:{:x}::1", number % 10_000), number % 100);
    let told = (0..100_000).filter(|number| herald.announce(from(*number), now)).count();
    assert_eq!((told, herald.held.len()), (NOTICES_MAX, PENDING_MAX));
    let near = Waiter { standing: Standing::Near, ..waiter("192.168.1.7", 200) };
    assert!(herald.announce(near, now));
}

#[test]
fn what_is_held_back_is_told_when_its_time_has_come_unless_it_has_ended() {
    let (mut herald, start) = (Herald::default(), Uptime::default());
    let requests: Vec<Waiter> = (0..5).map(|device| waiter("198.51.100.7", device)).collect();
    let told = requests.iter().filter(|request| herald.announce(**request, start)).count();
    assert_eq!((told, herald.held.len()), (3, 2));
    let next = Waiter { request: RequestId::random(), ..requests[0] };
    herald.approved(&requests[0].request);
    assert!(herald.announce(next, start), "who approved one is there for the next");
    assert!(!herald.forget(&requests[0].request), "operators know of it");
    assert!(herald.forget(&requests[3].request), "nobody knows of it");
    assert_eq!(herald.due(start.plus(NOTICE_PERIOD)), []);
    let due: BTreeSet<RequestId> = herald.due(start.plus(MEMORY)).into_iter().collect();
    assert_eq!(due, BTreeSet::from([requests[4].request]));
    assert_eq!(herald.due(start.plus(2 * MEMORY)), [], "once");
}
