//! A paired device that says it is another machine, and one that asks for more without going away.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::newcomers;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use super::scene::waiting;
use crate::pairing::approval::Approver;
use crate::pairing::request::RequestId;
use crate::pairing::step::Notice;
use crate::pairing::step::Page;
use crate::pairing::step::Upgrade;
use crate::pairing::step::approve;
use crate::pairing::step::request_upgrade;
use crate::protocol::call::CallError;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

const CHANGED: &str = "pairing required: device identity changed and must be re-approved";

#[test]
fn another_machine_under_the_same_key_waits_until_it_is_seen() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let moved = Caller { platform: "windows", ..stranger() };
    let step = memory.connect(&moved, START);
    assert_eq!(told(&step), CHANGED);
    let Err(Failure::PairingRequired(required)) = step.outcome.outcome else { panic!("not asked") };
    assert_eq!(required.reason, PairingReason::MetadataUpgrade);
    assert_eq!(told(&memory.connect(&stranger(), START)), "hello operator.read", "the machine that was approved");
    let request = waiting(&memory);
    assert_eq!(request.profile.platform, "windows");
    let step = approve(&memory.known(request.device(), START), request.id, None, &Approver::Owner, START);
    memory.apply(&step.changes);
    assert_eq!(told(&memory.connect(&moved, START)), "hello operator.read");
    assert_eq!(told(&memory.connect(&stranger(), START)), CHANGED);
}

#[test]
fn at_this_machine_too_unless_it_is_an_app_of_its_own() {
    for (client, page, outcome) in [
        (("cli", "cli"), Page::Absent, CHANGED),
        (("openclaw-control-ui", "webchat"), Page::Present, CHANGED),
        (("openclaw-linux", "ui"), Page::Present, CHANGED),
        (("openclaw-linux", "ui"), Page::Absent, "hello operator.read"),
    ] {
        let mut memory = Memory::default();
        memory.connect(&Caller { client, page, ..owner() }, START);
        let moved = Caller { client, page, platform: "windows", ..owner() };
        assert_eq!(told(&memory.connect(&moved, START)), outcome, "{client:?} {page:?}");
    }
}

#[test]
fn an_apps_system_may_be_updated_and_is_known_by_its_new_name_then() {
    let mut memory = Memory::default();
    let app = |platform| Caller { client: ("openclaw-ios", "ui"), platform, ..owner() };
    memory.connect(&app("iOS 17.5"), START);
    let away = |platform| Caller { ip: Some("203.0.113.7"), local: false, class: "public", ..app(platform) };
    assert_eq!(told(&memory.connect(&away("iOS 18.0"), START)), "hello operator.read");
    assert_eq!(memory.devices[&public(1).id()].profile.platform, "iOS 18.0");
}

#[test]
fn a_session_asks_for_more_and_a_person_decides() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let (id, origin) = (public(1).id(), stranger().origin());
    let ask = |memory: &Memory, asked: &[&str], device| {
        let asked: Scopes = asked.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
        let holds = Scopes::from_iter([Scope::READ]);
        let (holds, asked, fresh) = (&holds, &asked, RequestId::random());
        request_upgrade(&memory.known(id, START), Upgrade { device, holds, asked, origin: &origin, fresh }, START)
    };
    for (asked, device, refused) in [
        (&["operator.write", "node.exec"][..], id, CallError::UpgradeScopeUnknown),
        (&["operator.approvals"], id, CallError::UpgradeNarrows),
        (&["operator.write"], public(2).id(), CallError::UpgradeWithoutDevice),
    ] {
        assert_eq!(ask(&memory, asked, device).outcome, Err(refused), "{asked:?}");
    }
    let step = ask(&memory, &["operator.write"], id);
    let request = step.outcome.clone().unwrap();
    assert!(matches!(&step.notices[..], [Notice::Requested(asked)] if asked.id == request));
    memory.apply(&step.changes);
    // Asked again it is the same request; for more, it is another that names both.
    assert_eq!(ask(&memory, &["operator.write"], id).outcome, Ok(request));
    let step = ask(&memory, &["operator.write", "operator.approvals"], id);
    assert_ne!(step.outcome, Ok(request));
    assert!(
        matches!(&step.notices[..], [Notice::Resolved { request: old, .. }, Notice::Requested(_), Notice::Settle { .. }] if *old == request)
    );
    memory.apply(&step.changes);
    let request = waiting(&memory);
    let step = approve(&memory.known(id, START), request.id, None, &Approver::Owner, START);
    memory.apply(&step.changes);
    let asked = Caller { scopes: vec!["operator.write", "operator.approvals"], ..stranger() };
    assert!(memory.connect(&asked, START).outcome.outcome.is_ok());
    memory.crowd = newcomers("private", crate::base::limits::PENDING_MAX, START);
    assert_eq!(ask(&memory, &["operator.pairing", "operator.read"], id).outcome, Err(CallError::UpgradeUnavailable));
}
