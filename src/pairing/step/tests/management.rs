//! Who may manage a paired device: name it, forget it, take back what it may do. Each method has its own check of the
//! object, and none tells whoever may not ask what exists.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::waiting;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::request::RequestId;
use crate::pairing::step::Change;
use crate::pairing::step::Notice;
use crate::pairing::step::approve;
use crate::pairing::step::reject;
use crate::pairing::step::remove;
use crate::pairing::step::rename;
use crate::pairing::step::revoke;
use crate::pairing::step::rotate;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;

fn id(device: u8) -> DeviceId {
    public(device).id()
}

fn session(device: Option<u8>, scopes: &[Scope]) -> Approver {
    Approver::Session { device: device.map(id), scopes: scopes.iter().cloned().collect() }
}

#[test]
fn a_name_is_the_persons_and_changes_nothing_else() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let before = memory.devices[&id(1)].clone();
    let step = rename(&memory.known(id(1), START), id(1), "Ann", &Approver::Owner);
    assert_eq!((step.outcome, &step.notices[..]), (Ok(()), &[Notice::Changed(id(1))][..]));
    memory.apply(&step.changes);
    let mut named = before;
    named.label = Some("Ann".to_owned());
    assert_eq!(memory.devices[&id(1)], named);
}

#[test]
fn a_device_without_admin_manages_itself_and_is_told_nothing_of_others() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let itself = session(Some(1), &[Scope::PAIRING]);
    let other = session(Some(9), &[Scope::PAIRING, Scope::WRITE, Scope::READ]);
    let deaf = session(Some(1), &[Scope::WRITE]);
    // A device that exists and one that does not are the same to whoever may not manage it.
    for device in [1, 2] {
        let known = memory.known(id(device), START);
        let renamed = |by| rename(&known, id(device), "x", by).outcome.err();
        let removed = |by| remove(&known, id(device), by).outcome.err();
        assert_eq!((renamed(&other), removed(&other)), (Some(CallError::RenameDenied), Some(CallError::RemovalDenied)));
        let missing = CallError::ScopeMissing(Scope::PAIRING);
        assert_eq!((renamed(&deaf), removed(&deaf)), (Some(missing.clone()), Some(missing)));
    }
    let known = memory.known(id(1), START);
    assert_eq!(rename(&known, id(1), "x", &itself).outcome, Ok(()));
    assert!(remove(&known, id(1), &itself).outcome.is_ok());
    let nobody = memory.known(id(2), START);
    assert_eq!(rename(&nobody, id(2), "x", &Approver::Owner).outcome, Err(CallError::DeviceUnknown));
}

#[test]
fn a_node_is_managed_by_an_admin_and_not_by_itself() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    memory.connect(&Caller { role: "node", scopes: vec![], ..stranger() }, START);
    let request = waiting(&memory).id;
    let step = approve(&memory.known(id(1), START), request, None, &Approver::Owner, START);
    memory.apply(&step.changes);
    let known = memory.known(id(1), START);
    let itself = session(Some(1), &[Scope::PAIRING, Scope::READ]);
    let fresh = || Secret::new("fresh".to_owned());
    assert_eq!(rename(&known, id(1), "x", &itself).outcome, Err(CallError::RenameDenied));
    assert_eq!(remove(&known, id(1), &itself).outcome.err(), Some(CallError::RemovalDenied));
    let revoked = |by: &Approver| revoke(&known, id(1), Role::Node, by, START).outcome.err();
    assert_eq!(revoked(&itself), Some(CallError::TokenRevocationDenied));
    assert!(rotate(&known, id(1), Role::Node, None, &itself, fresh(), START).outcome.is_err());
    for by in [Approver::Owner, session(Some(9), &[Scope::ADMIN]), session(None, &[Scope::ADMIN])] {
        assert!(rename(&known, id(1), "x", &by).outcome.is_ok(), "{by:?}");
        assert_eq!(revoked(&by), None, "{by:?}");
        assert!(remove(&known, id(1), &by).changes.contains(&Change::DropDevice(id(1))), "{by:?}");
    }
}

#[test]
fn an_id_that_does_not_wait_is_denied_as_another_devices_is() {
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    let (known, there, gone) = (memory.known(id(1), START), waiting(&memory).id, RequestId::random());
    let other = session(Some(9), &[Scope::PAIRING, Scope::READ]);
    for request in [there, gone] {
        assert_eq!(approve(&known, request, None, &other, START).outcome.err(), Some(CallError::ApprovalDenied));
        assert_eq!(reject(&known, request, &other, START).outcome.err(), Some(CallError::RejectionDenied));
    }
    let admin = session(Some(9), &[Scope::ADMIN]);
    assert_eq!(approve(&known, gone, None, &admin, START).outcome.err(), Some(CallError::RequestUnknown));
    assert_eq!(reject(&known, gone, &admin, START).outcome.err(), Some(CallError::RequestUnknown));
}
