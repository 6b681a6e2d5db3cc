//! Device tokens are void with the gateway's secret under which they were handed out, and pairings are not.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::paired::Generation;
use crate::pairing::paired::Issuer;
use crate::pairing::setup::Offer;
use crate::pairing::setup::SetupKind;
use crate::pairing::step::Connected;
use crate::pairing::step::Step;
use crate::pairing::step::adopt;
use crate::pairing::step::approve;
use crate::pairing::step::deliver;
use crate::pairing::step::revoke;
use crate::pairing::step::rotate;
use crate::protocol::hello::AuthMethod;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

const NEXT: &str = "the gateway's next secret";

fn token(step: &Step<Connected>) -> Option<String> {
    step.outcome.outcome.as_ref().ok()?.token.as_ref().map(|token| token.expose().clone())
}

fn by_token(token: &str) -> Caller {
    Caller { token: None, device_token: Some(token.to_owned()), ..stranger() }
}

#[test]
fn a_new_secret_voids_every_token_that_was_handed_out_for_the_old_one() {
    let mut memory = Memory::default();
    let old = token(&memory.connect(&owner(), START)).unwrap();
    assert_eq!(told(&memory.connect(&by_token(&old), START)), "hello operator.read");
    memory.secret = Some(NEXT);
    let refused = memory.connect(&by_token(&old), START);
    assert_eq!(told(&refused), "unauthorized: device token mismatch (rotate/reissue device token)");
    // The pairing holds: whoever knows the new secret is handed another token, from anywhere.
    let step = memory.connect(&Caller { token: Some(NEXT.to_owned()), ..stranger() }, START);
    assert_eq!(told(&step), "hello operator.read");
    let new = token(&step).unwrap();
    assert_eq!(told(&memory.connect(&by_token(&new), START)), "hello operator.read");
    assert_ne!(old, new);
}

#[test]
fn a_device_cannot_carry_its_token_over_by_rotating_it() {
    let mut memory = Memory::default();
    memory.connect(&owner(), START);
    let id = public(1).id();
    let own = Approver::Session { device: Some(id), scopes: Scopes::from_iter([Scope::READ, Scope::PAIRING]) };
    let fresh = || Secret::new("fresh".to_owned());
    let step = rotate(&memory.known(id, START), id, Role::Operator, None, &own, fresh(), START);
    memory.apply(&step.changes);
    assert_eq!(told(&memory.connect(&by_token("fresh"), START)), "hello operator.read");
    memory.secret = Some(NEXT);
    assert!(memory.connect(&by_token("fresh"), START).outcome.outcome.is_err());
}

#[test]
fn what_a_setup_code_gave_does_not_hang_on_a_secret_that_the_device_never_knew() {
    let mut memory =
        Memory { offer: Offer::Good { profile: SetupKind::Limited.profile(), redeemed: None }, ..Memory::default() };
    let token = token(&memory.connect(&Caller { token: None, setup_code: Some("code"), ..stranger() }, START)).unwrap();
    memory.secret = Some(NEXT);
    let admitted = memory.connect(&by_token(&token), START).outcome.outcome.unwrap();
    assert_eq!((admitted.method, admitted.issuer), (AuthMethod::DeviceToken, Issuer::Setup));
}

#[test]
fn a_delivered_token_replaces_the_one_before() {
    let mut memory = Memory::default();
    let old = token(&memory.connect(&owner(), START)).unwrap();
    let (id, issuer) =
        (public(1).id(), Issuer::Gateway(Generation::of(&Fingerprint::of(super::scene::SECRET.as_bytes()))));
    let fresh = Secret::new("fresh".to_owned());
    let step = deliver(&memory.known(id, START), id, issuer, &fresh, START);
    memory.apply(&step.changes);
    assert_eq!(step.outcome, Ok(Scopes::from_iter([Scope::READ])));
    assert!(memory.connect(&by_token(&old), START).outcome.outcome.is_err());
    assert_eq!(told(&memory.connect(&by_token("fresh"), START)), "hello operator.read");
    assert!(deliver(&Memory::default().known(id, START), id, issuer, &fresh, START).outcome.is_err());
}

#[test]
fn of_a_node_only_the_token_of_the_gateway_behind_us_counts_until_it_is_ended_here() {
    let mut memory = Memory::default();
    let caller = Caller { role: "node", scopes: Vec::new(), ..stranger() };
    memory.connect(&caller, START);
    let id = public(1).id();
    let request = memory.known(id, START).requests[0].id;
    let step = approve(&memory.known(id, START), request, None, &Approver::Owner, START);
    memory.apply(&step.changes);
    let ours = token(&memory.connect(&caller, START)).unwrap();
    let issuer = Issuer::Gateway(Generation::of(&Fingerprint::of(super::scene::SECRET.as_bytes())));
    let print = |token: &str| Some(Fingerprint::of(token.as_bytes()));
    let known = |memory: &Memory| memory.known(id, START);
    let step = adopt(&known(&memory), id, issuer, print("theirs"), START);
    memory.apply(&step.changes);
    assert_eq!(step.outcome, Ok(()));
    let by = |token: &str| Caller { token: None, device_token: Some(token.to_owned()), ..caller.clone() };
    assert!(memory.connect(&by(&ours), START).outcome.outcome.is_err());
    assert!(memory.connect(&by("theirs"), START).outcome.outcome.is_ok());
    assert_eq!(adopt(&known(&memory), id, issuer, print("theirs"), START).changes, [], "nothing is new");

    let none = adopt(&known(&memory), id, issuer, None, START);
    memory.apply(&none.changes);
    assert!(memory.connect(&by("theirs"), START).outcome.outcome.is_err());
    let revoked = revoke(&known(&memory), id, Role::Node, &Approver::Owner, START);
    memory.apply(&revoked.changes);
    let late = adopt(&known(&memory), id, issuer, print("theirs"), START);
    assert!(late.outcome.is_err() && late.changes.is_empty(), "what was revoked meanwhile gets none");
}

#[test]
fn an_issuer_is_stored_as_it_is() {
    for issuer in [Issuer::Setup, Issuer::Gateway(Generation::of(&Fingerprint::of(b"x")))] {
        assert_eq!(Issuer::parse(&issuer.to_text()), Some(issuer));
    }
    for text in ["", "gateway", "gateway:", "gateway:ab", "Setup", "setup "] {
        assert_eq!(Issuer::parse(text), None, "{text:?}");
    }
}
