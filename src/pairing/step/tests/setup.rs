//! A setup code lets one new device in, with what the code says and no more.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::invite::Redeemed;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::setup::Offer;
use crate::pairing::setup::SetupKind;
use crate::pairing::step::Verdict;
use crate::pairing::step::revoke;
use crate::pairing::step::rotate;
use crate::protocol::hello::AuthMethod;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

const INVALID: &str = "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; review \
                       `openclaw devices list`)";
const PENDING: &str = "pairing required: device is not approved yet";

fn world(kind: SetupKind) -> Memory {
    Memory { offer: Offer::Good { profile: kind.profile(), redeemed: None }, ..Memory::default() }
}

/// Device 1 from the internet with a code and no secret.
fn newcomer() -> Caller {
    Caller { token: None, setup_code: Some("code"), scopes: vec!["operator.admin"], ..stranger() }
}

#[test]
fn a_new_device_gets_what_the_code_says_whatever_it_asks_for() {
    for (kind, role, granted, others) in [
        (
            SetupKind::Limited,
            "operator",
            "hello operator.approvals operator.questions operator.read operator.talk.secrets operator.write",
            1,
        ),
        (SetupKind::Node, "node", "hello ", 0),
        (SetupKind::Limited, "node", "hello ", 1),
    ] {
        let mut memory = world(kind);
        let step = memory.connect(&Caller { role, ..newcomer() }, START);
        assert_eq!(told(&step), granted, "{kind:?}");
        let verdict = step.outcome.verdict;
        let admitted = step.outcome.outcome.unwrap();
        assert_eq!(
            (admitted.method, admitted.approved_via),
            (AuthMethod::BootstrapToken, Some(ApprovedVia::Bootstrap))
        );
        assert_eq!((admitted.token.is_some(), admitted.other_tokens.len(), verdict), (true, others, Verdict::Unjudged));
        let device = &memory.devices[&public(1).id()];
        assert_eq!((device.grants.len(), &device.approved_via), (others + 1, &ApprovedVia::Bootstrap), "{kind:?}");
    }
}

#[test]
fn a_role_that_the_code_does_not_give_is_not_had_by_it() {
    let mut memory = world(SetupKind::Node);
    let step = memory.connect(&newcomer(), START);
    assert_eq!((told(&step).as_str(), step.outcome.verdict), (INVALID, Verdict::Unjudged));
    assert!(memory.devices.is_empty() && memory.requests.is_empty());
}

#[test]
fn a_code_that_does_not_count_is_a_failure_and_leaves_nothing() {
    let mut memory = Memory { offer: Offer::Void, ..Memory::default() };
    let step = memory.connect(&newcomer(), START);
    assert_eq!((told(&step).as_str(), step.outcome.verdict), (INVALID, Verdict::Wrong));
    assert!(memory.devices.is_empty() && memory.requests.is_empty());
    // Beside the gateway's secret it changes nothing.
    let step = memory.connect(&Caller { setup_code: Some("code"), ..stranger() }, START);
    assert_eq!(told(&step), PENDING);
}

#[test]
fn only_a_new_device_is_let_in() {
    let mut memory = world(SetupKind::Limited);
    memory.connect(&owner(), START);
    let known = memory.known(public(1).id(), START);
    let step = revoke(&known, public(1).id(), Role::Operator, &Approver::Owner, START);
    memory.apply(&step.changes);
    // What was taken back from it comes back by a person's word only.
    let step = memory.connect(&newcomer(), START);
    assert!(told(&step).starts_with("pairing required: device is asking for a higher role"), "{}", told(&step));
    assert!(memory.devices[&public(1).id()].living_roles().is_empty());
}

#[test]
fn a_device_that_did_not_hear_of_it_is_given_other_tokens() {
    let mut memory = world(SetupKind::Limited);
    let first = memory.connect(&newcomer(), START).outcome.outcome.unwrap().token.unwrap();
    memory.offer = redeemed();
    let again = memory.connect(&newcomer(), START).outcome.outcome.unwrap();
    assert!(again.approved_via.is_none() && !again.token.unwrap().is(first.expose()));
    let old = Caller { token: None, device_token: Some(first.expose().clone()), scopes: vec![], ..stranger() };
    assert!(memory.connect(&old, START).outcome.outcome.is_err(), "both tokens live");
}

#[test]
fn a_code_gives_again_only_in_place_of_what_it_gave() {
    for role in [Role::Operator, Role::Node] {
        let mut memory = world(SetupKind::Limited);
        memory.connect(&newcomer(), START);
        memory.offer = redeemed();
        let (id, narrow) = (public(1).id(), Scopes::NONE);
        let step = rotate(&memory.known(id, START), id, role, Some(&narrow), &Approver::Owner, fresh(), START);
        assert!(step.outcome.is_ok());
        memory.apply(&step.changes);
        let other = memory.connect(&newcomer(), START.plus(1));
        if role == Role::Operator {
            assert_eq!((told(&other).as_str(), other.outcome.verdict), (INVALID, Verdict::Unjudged));
        } else {
            assert!(other.outcome.outcome.unwrap().other_tokens.is_empty());
        }
        assert!(memory.devices[&id].grants[&role].token.is_none(), "the {role}'s token is taken back");
    }
}

fn fresh() -> Secret<String> {
    Secret::random().unwrap()
}

/// The code, once device 1 has had it.
fn redeemed() -> Offer {
    Offer::Good {
        profile: SetupKind::Limited.profile(),
        redeemed: Some(Redeemed { device: public(1).id(), at: START }),
    }
}
