//! What people decide, and that nobody gives what they do not hold.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::RequestId;
use crate::pairing::step::Change;
use crate::pairing::step::Notice;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::approve;
use crate::pairing::step::expire;
use crate::pairing::step::reject;
use crate::pairing::step::remove;
use crate::pairing::step::revoke;
use crate::pairing::step::rotate;
use crate::protocol::call::CallError;
use crate::protocol::event::Decision;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

fn session(device: Option<u8>, scopes: &[Scope]) -> Approver {
    Approver::Session { device: device.map(id), scopes: scopes.iter().cloned().collect() }
}

fn id(device: u8) -> DeviceId {
    public(device).id()
}

fn request(memory: &Memory) -> PendingRequest {
    memory.requests.values().next().unwrap().clone()
}

fn missing(scope: Scope) -> Option<CallError> {
    Some(CallError::ScopeMissing(scope))
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let admin = session(Some(9), &[Scope::ADMIN]);
    let reader = session(None, &[Scope::READ, Scope::PAIRING]);
    let writer = session(None, &[Scope::WRITE, Scope::PAIRING]);
    let itself = session(Some(1), &[Scope::READ, Scope::PAIRING]);
    let other = session(Some(9), &[Scope::WRITE, Scope::READ, Scope::PAIRING]);
    let no_pairing = session(None, &[Scope::WRITE]);
    let operator = |scopes: &[&'static str]| Caller { scopes: scopes.to_vec(), ..stranger() };
    let node = Caller { role: "node", scopes: vec!["node.exec"], ..stranger() };
    for (name, caller, by, refused) in [
        ("the owner may all", operator(&["operator.admin"]), &Approver::Owner, None),
        ("the owner may nodes", node.clone(), &Approver::Owner, None),
        ("admin may all", operator(&["operator.admin", "operator.pairing"]), &admin, None),
        ("admin may nodes", node.clone(), &admin, None),
        ("a reader gives reading", operator(&["operator.read"]), &reader, None),
        ("a reader gives nothing", operator(&[]), &reader, None),
        ("a reader does not give writing", operator(&["operator.write"]), &reader, missing(Scope::WRITE)),
        ("a reader does not give admin", operator(&["operator.admin"]), &reader, missing(Scope::ADMIN)),
        ("a writer gives reading", operator(&["operator.read"]), &writer, None),
        ("nodes need admin", node.clone(), &writer, missing(Scope::ADMIN)),
        ("nodes without scopes too", Caller { scopes: vec![], ..node }, &writer, missing(Scope::ADMIN)),
        ("pairing is needed first", operator(&["operator.read"]), &no_pairing, missing(Scope::PAIRING)),
        ("a device sees itself", operator(&["operator.read"]), &itself, None),
        ("and gives itself no more than it has", operator(&["operator.admin"]), &itself, missing(Scope::ADMIN)),
        ("a device does not see others", operator(&["operator.read"]), &other, Some(CallError::ApprovalDenied)),
    ] {
        let mut memory = Memory::default();
        memory.connect(&caller, START);
        let request = request(&memory);
        let step = approve(&memory.known(id(1), START), request.id, None, by, START);
        assert_eq!(step.changes.is_empty() && step.notices.is_empty(), refused.is_some(), "{name}");
        match step.outcome {
            Err(error) => assert_eq!(Some(error), refused, "{name}"),
            Ok(device) => {
                assert_eq!((refused, device.approved_via), (None, ApprovedVia::Owner), "{name}");
                assert_eq!(device.grants[&request.role].scopes, request.scopes, "{name}: exactly what was shown");
                assert!(device.grants[&request.role].token.is_none(), "{name}: the device fetches it");
            }
        }
    }
}

#[test]
fn an_approval_is_for_what_was_shown() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let shown = request(&memory);
    memory.connect(&Caller { scopes: vec!["operator.admin"], ..stranger() }, START);
    let now = request(&memory);
    let known = memory.known(id(1), START);
    let by = |request, digest| approve(&known, request, digest, &Approver::Owner, START).outcome.map(drop);
    assert_eq!(by(shown.id, Some(shown.digest())), Err(CallError::RequestUnknown));
    assert_eq!(by(now.id, Some(shown.digest())), Err(CallError::DigestMismatch));
    assert_eq!(by(now.id, Some(now.digest())), Ok(()));
}

#[test]
fn a_request_is_approved_once_and_not_after_its_time() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let request = request(&memory);
    let late = START.plus(300_000);
    let known = memory.known(id(1), START);
    let unknown = |outcome: Result<(), CallError>| assert_eq!(outcome, Err(CallError::RequestUnknown));
    unknown(approve(&known, request.id, None, &Approver::Owner, late).outcome.map(drop));
    unknown(approve(&known, RequestId::random(), None, &Approver::Owner, START).outcome.map(drop));
    let step = approve(&known, request.id, None, &Approver::Owner, START);
    let told = Notice::Resolved { request: request.id, device: id(1), decision: Decision::Approved };
    assert_eq!(step.notices, [told]);
    memory.apply(&step.changes);
    let known = memory.known(id(1), START);
    unknown(approve(&known, request.id, None, &Approver::Owner, START).outcome.map(drop));
    unknown(reject(&known, request.id, &Approver::Owner, START).outcome.map(drop));
}

#[test]
fn an_approval_adds_to_what_the_device_had() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let token = memory.devices[&id(1)].grants[&Role::Operator].token;
    memory.connect(&Caller { scopes: vec!["operator.pairing"], ..stranger() }, START);
    let step = approve(&memory.known(id(1), START), request(&memory).id, None, &Approver::Owner, START);
    let grant = &step.outcome.unwrap().grants[&Role::Operator];
    assert_eq!(grant.scopes, Scopes::from_iter([Scope::PAIRING, Scope::READ]));
    assert_eq!(grant.token, token);
}

#[test]
fn rejecting_ends_a_request_and_nothing_else() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let request = request(&memory);
    let known = memory.known(id(1), START);
    let by = session(Some(9), &[Scope::PAIRING]);
    assert_eq!(reject(&known, request.id, &by, START).outcome, Err(CallError::RejectionDenied));
    let by = session(Some(9), &[Scope::ADMIN]);
    let step = reject(&known, request.id, &by, START);
    assert_eq!(step.changes, [Change::DropRequest { id: request.id, end: RequestEnd::Rejected }]);
    assert_eq!(step.outcome.unwrap().id, request.id);
}

#[test]
fn removing_forgets_everything_and_closes_the_sockets() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    memory.connect(&Caller { scopes: vec!["operator.admin"], ..stranger() }, START);
    let known = memory.known(id(1), START);
    for (by, refused) in [
        (session(Some(9), &[Scope::PAIRING]), CallError::RemovalDenied),
        (session(Some(1), &[Scope::READ]), CallError::ScopeMissing(Scope::PAIRING)),
    ] {
        assert_eq!(remove(&known, id(1), &by).outcome.unwrap_err(), refused);
    }
    assert_eq!(remove(&known, id(2), &Approver::Owner).outcome.unwrap_err(), CallError::DeviceUnknown);
    let step = remove(&known, id(1), &session(Some(1), &[Scope::PAIRING]));
    assert!(step.notices.contains(&Notice::Close { device: id(1), role: None }));
    memory.apply(&step.changes);
    assert!(memory.devices.is_empty() && memory.requests.is_empty());
}

#[test]
fn a_rotated_token_goes_to_the_device_itself_only() {
    let fresh = || Secret::new("fresh".to_owned());
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let known = memory.known(id(1), START);
    let own = session(Some(1), &[Scope::READ, Scope::PAIRING]);
    for (by, delivered) in [(own, true), (Approver::Owner, false), (session(Some(9), &[Scope::ADMIN]), false)] {
        let step = rotate(&known, id(1), Role::Operator, None, &by, fresh(), START);
        assert!(step.notices.contains(&Notice::Close { device: id(1), role: Some(Role::Operator) }), "{by:?}");
        assert_eq!(step.outcome.unwrap().token.is_some(), delivered, "{by:?}");
        let mut memory = memory.clone();
        memory.apply(&step.changes);
        let token = memory.devices[&id(1)].grants[&Role::Operator].token;
        assert_eq!(token.is_some_and(|token| token.fingerprint.is("fresh")), delivered, "{by:?}");
        let next = memory.connect(&owner(), START).outcome.outcome.unwrap();
        assert_eq!(next.token.is_some(), !delivered, "{by:?}: with the secret it fetches what was withheld");
    }
}

#[test]
fn rotating_narrows_and_never_widens() {
    let mut memory = Memory::default();
    memory.connect(&Caller { scopes: vec!["operator.write"], ..owner() }, START);
    let known = memory.known(id(1), START);
    let reader = session(None, &[Scope::READ, Scope::PAIRING]);
    let [read, write, admin] = [Scope::READ, Scope::WRITE, Scope::ADMIN].map(|scope| Scopes::from_iter([scope]));
    for (device, role, scopes, by, refused) in [
        (1, Role::Operator, Some(&read), &Approver::Owner, None),
        (1, Role::Operator, Some(&read), &reader, None),
        (1, Role::Operator, Some(&admin), &Approver::Owner, Some(CallError::TokenRotationDenied)),
        (1, Role::Operator, Some(&write), &reader, missing(Scope::WRITE)),
        (1, Role::Operator, None, &reader, missing(Scope::WRITE)),
        (1, Role::Node, None, &Approver::Owner, Some(CallError::TokenRotationDenied)),
        (2, Role::Operator, None, &Approver::Owner, Some(CallError::TokenRotationDenied)),
        (
            1,
            Role::Operator,
            None,
            &session(Some(9), &[Scope::WRITE, Scope::PAIRING]),
            Some(CallError::TokenRotationDenied),
        ),
        (1, Role::Operator, None, &session(None, &[Scope::WRITE]), missing(Scope::PAIRING)),
    ] {
        let step = rotate(&known, id(device), role, scopes, by, Secret::new(String::new()), START);
        assert_eq!(step.changes.is_empty(), refused.is_some());
        assert_eq!(step.outcome.err(), refused, "{device} {role} {scopes:?} {by:?}");
    }
}

#[test]
fn revoking_takes_the_grant_and_the_token_and_closes_the_sockets() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let known = memory.known(id(1), START);
    for (device, role, by, refused) in [
        (2, Role::Operator, Approver::Owner, CallError::TokenRevocationDenied),
        (1, Role::Node, Approver::Owner, CallError::TokenRevocationDenied),
        (1, Role::Operator, session(Some(9), &[Scope::PAIRING]), CallError::TokenRevocationDenied),
        (1, Role::Operator, session(None, &[Scope::READ]), CallError::ScopeMissing(Scope::PAIRING)),
    ] {
        assert_eq!(revoke(&known, id(device), role, &by, START).outcome.unwrap_err(), refused);
    }
    let step = revoke(&known, id(1), Role::Operator, &Approver::Owner, START);
    assert!(step.notices.contains(&Notice::Close { device: id(1), role: Some(Role::Operator) }));
    memory.apply(&step.changes);
    let device = &memory.devices[&id(1)];
    assert!(device.living_grant(Role::Operator).is_none() && device.grants[&Role::Operator].token.is_none());
    let known = memory.known(id(1), START);
    assert_eq!(
        revoke(&known, id(1), Role::Operator, &Approver::Owner, START).outcome.unwrap_err(),
        CallError::TokenRevocationDenied
    );
}

#[test]
fn only_what_is_over_expires() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    memory.connect(&Caller { device: Some(2), ..stranger() }, START.plus(1));
    let requests: Vec<_> = memory.requests.values().cloned().collect();
    assert!(expire(&requests, PendingLife::default(), START.plus(299_999)).changes.is_empty());
    let over = expire(&requests, PendingLife::default(), START.plus(300_000));
    let first = requests.iter().find(|request| request.device() == id(1)).unwrap();
    assert_eq!(over.changes, [Change::DropRequest { id: first.id, end: RequestEnd::Expired }]);
}
