//! Requests that wait: what keeps their id, what ends them, and how many there may be.

use std::time::Duration;

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::newcomers;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use super::scene::waiting;
use crate::base::clock::Uptime;
use crate::base::limits::PENDING_KEPT;
use crate::base::limits::PENDING_MAX;
use crate::base::limits::PENDING_PER_CLIENT_MAX;
use crate::base::limits::PENDING_RESERVE;
use crate::base::limits::REQUEST_SETTLE;
use crate::base::limits::SCOPES_MAX;
use crate::pairing::approval::Approver;
use crate::pairing::cooling::Cooling;
use crate::pairing::request::PendingLife;
use crate::pairing::request::RequestId;
use crate::pairing::step::Change;
use crate::pairing::step::Notice;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::Upgrade;
use crate::pairing::step::approve;
use crate::pairing::step::reject;
use crate::pairing::step::request_upgrade;
use crate::protocol::call::CallError;
use crate::protocol::event::Decision;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PendingLimit;
use crate::protocol::refusal::Retry;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

#[test]
fn only_the_dashboard_is_told_to_wait_and_come_back() {
    for (client, retry) in [(("openclaw-control-ui", "webchat"), Retry::Wait), (("cli", "cli"), Retry::Manual)] {
        let step = Memory::default().connect(&Caller { client, ..stranger() }, START);
        let Err(Failure::PairingRequired(answer)) = step.outcome.outcome else { panic!() };
        assert_eq!(answer.retry, retry);
    }
}

#[test]
fn the_same_request_keeps_its_id_and_its_first_name() {
    let mut memory = Memory::default();
    let asked = Caller { scopes: vec!["operator.admin"], ..stranger() };
    let first = memory.connect(&asked, START);
    let Some(Notice::Requested(request)) = first.notices.first() else { panic!("{first:?}") };
    let digest = request.digest();
    for (later, caller) in [
        (1, asked.clone()),
        (200_000, Caller { scopes: vec!["operator.read"], ..asked.clone() }),
        (400_000, Caller { client: ("openclaw-macos", "ui"), ..asked.clone() }),
    ] {
        let step = memory.connect(&caller, START.plus(later));
        assert!(step.notices.is_empty(), "nobody is told twice");
        let now = waiting(&memory);
        assert_eq!((now.id, now.digest(), &now.profile), (request.id, digest, &request.profile));
        assert_eq!(now.created_at, START);
    }
    assert_eq!(waiting(&memory).refreshed_at, START.plus(400_000));
}

#[test]
fn a_loop_of_refreshes_does_not_wear_out_the_disk() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    assert!(memory.connect(&stranger(), START.plus(999)).changes.is_empty());
    assert_eq!(memory.connect(&stranger(), START.plus(1_000)).changes.len(), 1);
}

#[test]
fn whatever_would_be_read_differently_gets_a_new_id() {
    let base = || Caller { ip: Some("192.168.1.20"), class: "private", ..stranger() };
    for (name, caller, scopes) in [
        ("more scopes", Caller { scopes: vec!["operator.admin"], ..base() }, vec!["operator.admin", "operator.read"]),
        ("another address", Caller { ip: Some("192.168.1.21"), ..base() }, vec!["operator.read"]),
        ("another class", Caller { class: "nat", ..base() }, vec!["operator.read"]),
        ("no address", Caller { ip: None, class: "unattributed", ..base() }, vec!["operator.read"]),
    ] {
        let mut memory = Memory::default();
        memory.connect(&base(), START);
        let old = waiting(&memory);
        let step = memory.connect(&caller, START.plus(1));
        let new = waiting(&memory);
        assert_ne!((new.id, new.digest()), (old.id, old.digest()), "{name}");
        assert_eq!(new.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), scopes, "{name}");
        let ended = Notice::Resolved { request: old.id, device: old.device(), decision: Decision::Rejected };
        assert_eq!(step.notices[0], ended, "{name}");
    }
}

#[test]
fn one_subscriber_is_one_address() {
    let mut memory = Memory::default();
    memory.connect(&Caller { ip: Some("2001:db8::1"), ..stranger() }, START);
    let id = waiting(&memory).id;
    memory.connect(&Caller { ip: Some("2001:db8::ffff"), ..stranger() }, START.plus(2_000));
    assert_eq!(waiting(&memory).id, id);
    assert_eq!(waiting(&memory).origin.ip.unwrap().to_string(), "2001:db8::ffff");
}

#[test]
fn five_minutes_after_the_last_sight_a_request_is_over() {
    for (later, same) in [(299_999, true), (300_000, false), (-5_000, true), (-5_001, false)] {
        let mut memory = Memory::default();
        memory.connect(&stranger(), START);
        let id = waiting(&memory).id;
        memory.connect(&stranger(), START.plus(later));
        assert_eq!(waiting(&memory).id == id, same, "{later}");
    }
}

#[test]
fn a_growing_wish_list_is_cut() {
    let names: Vec<&'static str> = (0..2 * SCOPES_MAX).map(|n| &*format!("x.{n}").leak()).collect();
    let (one, two) = names.split_at(SCOPES_MAX);
    let mut memory = Memory::default();
    memory.connect(&Caller { scopes: one.to_vec(), ..stranger() }, START);
    memory.connect(&Caller { scopes: two.to_vec(), ..stranger() }, START);
    assert_eq!(waiting(&memory).scopes.iter().count(), SCOPES_MAX);
}

#[test]
fn strangers_at_the_owners_address_do_not_take_his_share() {
    let tunnel = Caller { ip: Some("127.0.0.1"), class: "private", ..stranger() };
    let mut memory = Memory::default();
    for number in 0..=PENDING_PER_CLIENT_MAX {
        let device = Some(u8::try_from(number).unwrap() + 1);
        memory.connect(&Caller { device, ..tunnel.clone() }, START);
    }
    assert_eq!(memory.requests.len(), PENDING_PER_CLIENT_MAX);
    let node = Caller { device: Some(99), role: "node", scopes: Vec::new(), ..owner() };
    assert!(told(&memory.connect(&node, START)).starts_with("pairing required"));
    assert_eq!(memory.requests.len(), PENDING_PER_CLIENT_MAX + 1);
}

#[test]
fn few_may_wait_at_once() {
    let near = Caller { ip: Some("192.168.1.20"), class: "private", ..stranger() };
    let far = PENDING_MAX - PENDING_RESERVE;
    let limit = |memory: &mut Memory, caller: &Caller| match memory.connect(caller, START).outcome.outcome {
        Err(Failure::PendingFull(limit)) => Some(limit),
        _ => None,
    };
    for (name, class, crowd, caller, refused) in [
        ("room", "public", far - 1, stranger(), None),
        ("the last places are not for strangers", "public", far, stranger(), Some(PendingLimit::All)),
        ("but for the owner's own networks", "public", far, near.clone(), None),
        ("full is full", "private", PENDING_MAX, near, Some(PendingLimit::All)),
        ("but for the owner at this machine", "private", PENDING_MAX, Caller { role: "node", ..owner() }, None),
    ] {
        let mut memory = Memory { crowd: newcomers(class, crowd, START), ..Memory::default() };
        assert_eq!(limit(&mut memory, &caller), refused, "{name}");
        assert_eq!(memory.requests.is_empty(), refused.is_some(), "{name}");
    }
    let mut memory = Memory::default();
    for device in 1..=4 {
        let refused = limit(&mut memory, &Caller { device: Some(device), ..stranger() });
        let share = usize::from(device) <= PENDING_PER_CLIENT_MAX;
        assert_eq!(refused, (!share).then_some(PendingLimit::Client));
    }
    // Whoever waits already may go on waiting, and paired devices may ask for more.
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    memory.crowd = newcomers("public", PENDING_MAX, START);
    assert!(told(&memory.connect(&stranger(), START)).starts_with("pairing required"));
    memory.connect(&Caller { scopes: vec!["operator.write"], ..stranger() }, START);
    assert_eq!(waiting(&memory).scopes.iter().count(), 2);
}

#[test]
fn a_place_is_kept_for_a_minute_and_who_lost_it_gets_another_under_a_new_id() {
    let kept = i64::try_from(PENDING_KEPT.as_millis()).unwrap();
    let mut memory =
        Memory { crowd: newcomers("public", PENDING_MAX - PENDING_RESERVE - 1, START), ..Memory::default() };
    memory.connect(&stranger(), START.plus(-1));
    let first = waiting(&memory);
    let other = Caller { device: Some(2), ip: Some("203.0.113.8"), ..stranger() };
    let early = memory.connect(&other, START.plus(kept - 2));
    assert!(early.changes.is_empty() && matches!(early.outcome.outcome, Err(Failure::PendingFull(PendingLimit::All))));
    let step = memory.connect(&other, START.plus(kept - 1));
    let displaced = Change::DropRequest { id: first.id, end: RequestEnd::Displaced };
    let ended = Notice::Resolved { request: first.id, device: first.device(), decision: Decision::Rejected };
    assert_eq!((&step.changes[0], &step.notices[0]), (&displaced, &ended));
    assert_eq!(waiting(&memory).device(), public(2).id());
    // What the owner read under the first id is decided by nobody; the device asks again and is another request.
    let known = memory.known(first.device(), START.plus(kept));
    assert!(approve(&known, first.id, None, &Approver::Owner, START.plus(kept)).outcome.is_err());
    memory.connect(&stranger(), START.plus(kept));
    let again = memory.requests.values().find(|request| request.device() == first.device()).unwrap();
    assert_ne!(again.id, first.id);
    assert_eq!(again.digest(), first.digest());
}

#[test]
fn a_rejected_device_may_not_ask_again_at_once() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let request = waiting(&memory);
    let step = reject(&memory.known(request.device(), START), request.id, &Approver::Owner, START);
    assert_eq!(step.notices.last(), Some(&Notice::Cool(request.device())));
    memory.apply(&step.changes);
    memory.cooling = Some(Duration::from_millis(1_500));
    let step = memory.connect(&stranger(), START);
    let Err(Failure::PendingFull(limit)) = step.outcome.outcome else { panic!("{step:?}") };
    assert_eq!(limit, PendingLimit::Rejected { retry_after_ms: 1_500 });
    assert!(step.changes.is_empty() && step.notices.is_empty());
    // It keeps nobody out who is let in without asking.
    memory.connect(&owner(), START);
    assert!(memory.connect(&stranger(), START).outcome.outcome.is_ok());
    // Nor does it end what waits already.
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    memory.cooling = Some(Duration::from_secs(1));
    assert!(told(&memory.connect(&stranger(), START)).starts_with("pairing required"));
}

#[test]
fn whoever_asks_for_something_else_goes_on_waiting_and_has_five_minutes_again() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let first = waiting(&memory);
    memory.connect(&Caller { scopes: vec!["operator.admin"], ..stranger() }, START.plus(50_000));
    let (second, life) = (waiting(&memory), PendingLife::default());
    assert_ne!(second.id, first.id);
    assert_eq!((second.created_at, second.refreshed_at), (START, START.plus(50_000)));
    assert!(!second.is_expired(START.plus(349_999), life) && second.is_expired(START.plus(350_000), life));
    // What is over is no earlier wait.
    memory.connect(&stranger(), START.plus(350_000));
    assert_eq!(waiting(&memory).created_at, START.plus(350_000));
}

#[test]
fn no_crowd_holds_its_places_by_asking_for_something_else() {
    let kept = i64::try_from(PENDING_KEPT.as_millis()).unwrap();
    let addresses: Vec<&'static str> = (1..=14).map(|n| &*format!("198.51.100.{n}").leak()).collect();
    let mut memory = Memory::default();
    let mut found = None;
    for second in (0..600_i64).step_by(5) {
        let now = START.plus(second * 1_000);
        if second % 50 == 0 {
            let scope: &'static str = format!("operator.x{second}").leak();
            for number in 0..u8::try_from(PENDING_MAX - PENDING_RESERVE).unwrap() {
                let ip = Some(addresses[usize::from(number) / PENDING_PER_CLIENT_MAX]);
                memory.connect(&Caller { device: Some(100 + number), ip, scopes: vec![scope], ..stranger() }, now);
            }
        }
        if found.is_none() && told(&memory.connect(&stranger(), now)).starts_with("pairing required") {
            found = Some(second * 1_000);
        }
    }
    assert!(found.is_some_and(|found| found <= kept), "the owner's new phone waits after {found:?}");
}

#[test]
fn one_device_changes_its_request_once_and_then_what_stands_is_what_is_approved() {
    let (mut memory, mut cooling) = (Memory::default(), Cooling::default());
    let (device, start) = (public(1).id(), Uptime::default());
    let mut changes = Vec::new();
    for turn in 0..200_u64 {
        let scope: &'static str = format!("operator.x{turn}").leak();
        let now = start.plus(Duration::from_millis(turn));
        memory.settling = cooling.settling(&device, now);
        let step =
            memory.connect(&Caller { scopes: vec![scope], ..stranger() }, START.plus(i64::try_from(turn).unwrap()));
        for notice in &step.notices {
            if let Notice::Settle { device, role } = notice {
                cooling.changed(*device, *role, now);
            }
        }
        changes.extend(step.changes);
        let Err(Failure::PairingRequired(answer)) = step.outcome.outcome else { panic!() };
        assert_eq!(answer.request_id, waiting(&memory).id.to_string(), "{turn}");
    }
    assert_eq!(changes.len(), 3, "the first request, its end, and the one that took its place");
    let (stands, later) = (waiting(&memory), start.plus(REQUEST_SETTLE * 2));
    assert_eq!(stands.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>(), ["operator.x0", "operator.x1"]);
    let approved = approve(&memory.known(device, START), stands.id, Some(stands.digest()), &Approver::Owner, START);
    assert_eq!(approved.outcome.unwrap().living_scopes(), stands.scopes);
    // Its other role stands for itself, and later this one changes again.
    let node = Caller { role: "node", scopes: Vec::new(), ..stranger() };
    assert_eq!(memory.connect(&node, START).changes.len(), 1);
    memory.settling = cooling.settling(&device, later);
    let step = memory.connect(&Caller { scopes: vec!["operator.admin"], ..stranger() }, START);
    assert_eq!(step.changes.len(), 2);
}

#[test]
fn an_upgrade_is_no_part_of_a_request_that_stands_for_less() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let (device, origin) = (public(1).id(), stranger().origin());
    let holds = memory.devices[&device].living_scopes();
    let upgrade = |memory: &Memory, scope: &str| {
        let asked = holds.union(&Scopes::from_iter([Scope::parse(scope).unwrap()]));
        let upgrade = Upgrade { device, holds: &holds, asked: &asked, origin: &origin, fresh: RequestId::random() };
        request_upgrade(&memory.known(device, START), upgrade, START)
    };
    let first = upgrade(&memory, "operator.write");
    memory.apply(&first.changes);
    memory.settling = vec![Role::Operator];
    assert_eq!(upgrade(&memory, "operator.write").outcome, first.outcome, "the same again");
    let more = upgrade(&memory, "operator.admin");
    assert_eq!((more.outcome, more.changes.len()), (Err(CallError::UpgradeUnavailable), 0));
}
