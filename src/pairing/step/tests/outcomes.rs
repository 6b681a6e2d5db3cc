//! What a `connect` gets, row by row.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use super::scene::waiting;
use crate::base::clock::UnixMillis;
use crate::pairing::approval::Approver;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::step::Admitted;
use crate::pairing::step::Change;
use crate::pairing::step::Connected;
use crate::pairing::step::Page;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::Step;
use crate::pairing::step::Verdict;
use crate::pairing::step::approve;
use crate::pairing::step::revoke;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::scope::Role;

fn admitted(step: Step<Connected>) -> Admitted {
    step.outcome.outcome.unwrap_or_else(|failure| panic!("{failure:?}"))
}

/// Lets `caller` wait and approves what waits.
fn pair(memory: &mut Memory, caller: &Caller, now: UnixMillis) {
    memory.connect(caller, now);
    for request in memory.requests.values().cloned().collect::<Vec<_>>() {
        let known = memory.known(request.device(), now);
        let step = approve(&known, request.id, Some(request.digest()), &Approver::Owner, now);
        assert!(step.outcome.is_ok());
        memory.apply(&step.changes);
    }
}

#[test]
fn a_new_callers_row_of_the_table() {
    let wrong = || Some("wrong".to_owned());
    let nobody = Caller { device: None, ..stranger() };
    let local_nobody = Caller { device: None, scopes: vec!["operator.admin", "operator.pairing"], ..owner() };
    let pending = "pairing required: device is not approved yet";
    let there = "(set gateway.remote.token to match gateway.auth.token)";
    let here = "(use this gateway's gateway.auth.token or pair the device)";
    let ui = "control ui requires device identity (use HTTPS or localhost secure context)";
    for (name, caller, expected, verdict) in [
        (
            "wrong secret",
            Caller { token: wrong(), ..stranger() },
            format!("unauthorized: gateway token mismatch {there}"),
            Verdict::Wrong,
        ),
        (
            "wrong secret, local",
            Caller { token: wrong(), ..owner() },
            format!("unauthorized: gateway token mismatch {here}"),
            Verdict::Wrong,
        ),
        (
            "wrong secret, no device",
            Caller { token: wrong(), ..nobody.clone() },
            format!("unauthorized: gateway token mismatch {there}"),
            Verdict::Wrong,
        ),
        (
            "no secret",
            Caller { token: None, ..stranger() },
            format!("unauthorized: gateway token missing {there}"),
            Verdict::Unjudged,
        ),
        (
            "no secret, local",
            Caller { token: None, ..owner() },
            format!("unauthorized: gateway token missing {here}"),
            Verdict::Unjudged,
        ),
        (
            "no secret, local, no device",
            Caller { token: None, ..local_nobody.clone() },
            format!("unauthorized: gateway token missing {here}"),
            Verdict::Unjudged,
        ),
        (
            "bogus device token",
            Caller { device_token: wrong(), token: None, ..stranger() },
            "unauthorized: device token mismatch (rotate/reissue device token)".into(),
            Verdict::Wrong,
        ),
        (
            "wrong secret and bogus device token",
            Caller { device_token: wrong(), token: wrong(), ..stranger() },
            "unauthorized: device token mismatch (rotate/reissue device token)".into(),
            Verdict::Wrong,
        ),
        (
            "locked",
            Caller { locked: true, ..stranger() },
            "unauthorized: too many failed authentication attempts (retry later)".into(),
            Verdict::Unjudged,
        ),
        (
            "locked, no device",
            Caller { locked: true, ..nobody.clone() },
            "unauthorized: too many failed authentication attempts (retry later)".into(),
            Verdict::Unjudged,
        ),
        ("local", owner(), "hello operator.read".into(), Verdict::Right),
        (
            "local, everything",
            Caller { scopes: vec!["operator.admin"], ..owner() },
            "hello operator.admin".into(),
            Verdict::Right,
        ),
        (
            "local page",
            Caller { page: Page::Present, client: ("openclaw-control-ui", "webchat"), ..owner() },
            "hello operator.read".into(),
            Verdict::Right,
        ),
        ("local node", Caller { role: "node", scopes: vec![], ..owner() }, pending.into(), Verdict::Right),
        ("local command line, no device", local_nobody.clone(), "hello operator.pairing".into(), Verdict::Right),
        (
            "local page, no device",
            Caller { page: Page::Present, ..local_nobody.clone() },
            "device identity required".into(),
            Verdict::Right,
        ),
        (
            "local node, no device",
            Caller { role: "node", ..local_nobody.clone() },
            "device identity required".into(),
            Verdict::Right,
        ),
        (
            "local other, no device",
            Caller { client: ("gateway-client", "backend"), ..local_nobody.clone() },
            "device identity required".into(),
            Verdict::Right,
        ),
        (
            "local half a command line, no device",
            Caller { client: ("test", "cli"), ..local_nobody.clone() },
            "device identity required".into(),
            Verdict::Right,
        ),
        (
            "local dashboard, no device",
            Caller { client: ("openclaw-control-ui", "webchat"), ..local_nobody },
            ui.into(),
            Verdict::Right,
        ),
        ("elsewhere, no device", nobody.clone(), "device identity required".into(), Verdict::Right),
        (
            "elsewhere, no device, no secret",
            Caller { token: None, ..nobody.clone() },
            "device identity required".into(),
            Verdict::Unjudged,
        ),
        (
            "elsewhere, dashboard, no device",
            Caller { client: ("openclaw-tui", "ui"), ..nobody.clone() },
            ui.into(),
            Verdict::Right,
        ),
        (
            "dashboard, no device, wrong secret: not told, but counted",
            Caller { client: ("openclaw-tui", "ui"), token: wrong(), ..nobody },
            ui.into(),
            Verdict::Wrong,
        ),
        ("elsewhere", stranger(), pending.into(), Verdict::Right),
        ("bridge", Caller { ip: Some("172.18.0.1"), class: "nat", ..stranger() }, pending.into(), Verdict::Right),
        (
            "neighbour",
            Caller { ip: Some("192.168.1.20"), class: "private", ..stranger() },
            pending.into(),
            Verdict::Right,
        ),
        ("unattributed", Caller { ip: None, class: "unattributed", ..stranger() }, pending.into(), Verdict::Right),
        ("node elsewhere", Caller { role: "node", scopes: vec![], ..stranger() }, pending.into(), Verdict::Right),
    ] {
        let mut memory = Memory::default();
        let step = memory.connect(&caller, START);
        assert_eq!(told(&step), expected, "{name}");
        assert_eq!(step.outcome.verdict, verdict, "{name}");
        assert_eq!(memory.requests.len(), usize::from(expected == pending), "{name}");
        assert_eq!(
            memory.devices.len(),
            usize::from(expected.starts_with("hello") && caller.device.is_some()),
            "{name}"
        );
    }
}

#[test]
fn the_owner_at_this_machine_is_approved_at_once_and_gets_a_token_once() {
    let mut memory = Memory::default();
    let first = admitted(memory.connect(&owner(), START));
    assert_eq!((first.method, first.approved_via), (AuthMethod::Token, Some(ApprovedVia::Silent)));
    let token = first.token.unwrap();
    assert_eq!(token.expose().len(), 43);
    let device = memory.devices.values().next().unwrap();
    assert!(device.grants[&Role::Operator].token.unwrap().fingerprint.is(token.expose()));
    let second = memory.connect(&owner(), START.plus(1));
    assert!(second.changes.is_empty(), "nothing new to write");
    let second = admitted(second);
    assert!(second.token.is_none() && second.approved_via.is_none());
}

#[test]
fn the_owner_at_this_machine_may_ask_for_more() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let more = memory.connect(&Caller { scopes: vec!["operator.pairing"], ..owner() }, START.plus(1));
    assert_eq!(told(&more), "hello operator.pairing operator.read");
}

#[test]
fn what_waits_is_ended_by_a_silent_approval() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let id = waiting(&memory).id;
    let step = memory.connect(&owner(), START.plus(1));
    assert_eq!(step.changes[0], Change::DropRequest { id, end: RequestEnd::Superseded });
    assert!(memory.requests.is_empty());
}

#[test]
fn an_approved_device_gets_its_grant_whatever_it_asks() {
    let mut memory = Memory::default();
    let asked = Caller { scopes: vec!["operator.write", "operator.read"], ..stranger() };
    pair(&mut memory, &asked, START);
    for (scopes, expected) in [
        (vec!["operator.read", "operator.write"], "hello operator.read operator.write"),
        (vec!["operator.read"], "hello operator.read operator.write"),
        (vec![], "hello operator.read operator.write"),
        (vec!["operator.talk"], "hello operator.read operator.write"),
        (vec!["operator.pairing"], "pairing required: device is asking for more scopes than currently approved"),
        (
            vec!["operator.read", "operator.admin"],
            "pairing required: device is asking for more scopes than currently approved",
        ),
    ] {
        let step = memory.connect(&Caller { scopes: scopes.clone(), ..stranger() }, START.plus(1));
        assert_eq!(told(&step), expected, "{scopes:?}");
    }
}

#[test]
fn a_device_token_stands_for_the_secret_and_for_no_more() {
    let mut memory = Memory::default();
    pair(&mut memory, &stranger(), START);
    let token = admitted(memory.connect(&stranger(), START)).token.unwrap().expose().clone();
    let by_token = Caller { token: None, device_token: Some(token.clone()), ..stranger() };
    let by_either_name = Caller { token: Some(token.clone()), ..stranger() };
    for caller in [by_token.clone(), by_either_name.clone(), Caller { locked: true, ..by_token.clone() }] {
        let step = memory.connect(&caller, START.plus(1));
        assert_eq!(step.outcome.verdict, Verdict::Unjudged, "a device token clears nobody's count");
        assert_eq!(admitted(step).method, AuthMethod::DeviceToken);
    }
    let beside_a_wrong_secret = Caller { token: Some("wrong".to_owned()), ..by_token.clone() };
    let step = memory.connect(&beside_a_wrong_secret, START.plus(1));
    assert_eq!((told(&step).as_str(), step.outcome.verdict), ("hello operator.read", Verdict::Wrong));
    let other = Caller { device: Some(2), ..by_token.clone() };
    assert_eq!(
        told(&memory.connect(&other, START)),
        "unauthorized: device token mismatch (rotate/reissue device token)"
    );
    let more =
        Caller { scopes: vec!["operator.admin"], ip: Some("127.0.0.1"), local: true, class: "local", ..by_token };
    assert_eq!(
        told(&memory.connect(&more, START)),
        "pairing required: device is asking for more scopes than currently approved",
        "local makes no difference without the secret"
    );
}

#[test]
fn a_row_with_another_key_grants_nothing() {
    let mut memory = Memory::default();
    pair(&mut memory, &stranger(), START);
    let row = memory.devices.remove(&public(1).id()).unwrap();
    memory.devices.insert(public(2).id(), row);
    let step = memory.connect(&Caller { device: Some(2), ..stranger() }, START);
    assert_eq!(told(&step), "pairing required: device is not approved yet");
}

#[test]
fn what_was_taken_back_is_not_given_silently() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let known = memory.known(public(1).id(), START);
    let step = revoke(&known, public(1).id(), Role::Operator, &Approver::Owner, START);
    memory.apply(&step.changes);
    let expected = "pairing required: device is asking for a higher role than currently approved";
    assert_eq!(told(&memory.connect(&owner(), START)), expected);
    pair(&mut memory, &owner(), START);
    let back = admitted(memory.connect(&owner(), START));
    assert!(back.token.is_some(), "the old token stays dead, so it needs a new one");
}

#[test]
fn a_node_waits_beside_the_operator_on_the_same_device() {
    let mut memory = Memory::default();
    pair(&mut memory, &stranger(), START);
    let node = Caller { role: "node", scopes: vec![], ..stranger() };
    let Err(Failure::PairingRequired(answer)) = memory.connect(&node, START).outcome.outcome else { panic!() };
    assert_eq!(answer.reason, PairingReason::RoleUpgrade);
    assert_eq!(answer.approved.unwrap().0, [Role::Operator]);
    pair(&mut memory, &node, START);
    assert_eq!(told(&memory.connect(&node, START)), "hello ");
    assert_eq!(told(&memory.connect(&stranger(), START)), "hello operator.read");
}
