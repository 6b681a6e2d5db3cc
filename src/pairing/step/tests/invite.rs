//! The owner's invite lets the next device in, once, with what it says and no more.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use crate::base::clock::UnixMillis;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::invite::Invite;
use crate::pairing::invite::InviteId;
use crate::pairing::invite::usual_scopes;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::rule::Basis;
use crate::pairing::rule::Rule;
use crate::pairing::rule::RuleName;
use crate::pairing::rule::Rules;
use crate::pairing::rule::Then;
use crate::pairing::rule::When;
use crate::pairing::step::Change;
use crate::pairing::step::InviteEnd;
use crate::pairing::step::Verdict;
use crate::pairing::step::cancel_invite;
use crate::pairing::step::expire_invite;
use crate::pairing::step::invite;
use crate::pairing::step::remove;
use crate::pairing::step::revoke;
use crate::pairing::step::rotate;
use crate::protocol::hello::AuthMethod;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

const SECRET: &str = "doorward-invite-of-this-test";
const LIFE: i64 = 600_000;
const GIVEN: &str = "hello operator.approvals operator.read operator.write";
const INVALID: &str = "unauthorized: invite invalid, expired or already used (on the gateway's machine, `doorward invite` \
                       makes a new one)";

fn made(secret: &str, at: UnixMillis) -> Invite {
    let secret = Fingerprint::of(secret.as_bytes());
    Invite { id: InviteId::random(), secret, scopes: usual_scopes(), made_at: at, life_ms: LIFE, redeemed: None }
}

/// A world with an open invite.
fn world() -> Memory {
    Memory { invite: Some(made(SECRET, START)), ..Memory::default() }
}

/// Device 1 from the internet with the invite and nothing else.
fn newcomer() -> Caller {
    Caller { token: None, setup_code: Some(SECRET), scopes: vec!["operator.admin", "operator.pairing"], ..stranger() }
}

#[test]
fn a_new_device_gets_what_the_invite_says_whatever_it_asks_for_and_wherever_it_writes_it() {
    let in_token = Caller { setup_code: None, token: Some(SECRET.to_owned()), ..newcomer() };
    for caller in [newcomer(), in_token, Caller { ip: None, class: "unattributed", ..newcomer() }] {
        let mut memory = world();
        let step = memory.connect(&caller, START);
        assert_eq!(told(&step), GIVEN);
        assert_eq!(step.outcome.verdict, Verdict::Unjudged);
        let admitted = step.outcome.outcome.unwrap();
        assert_eq!(
            (admitted.method, admitted.approved_via),
            (AuthMethod::BootstrapToken, Some(ApprovedVia::Bootstrap))
        );
        assert!(admitted.token.is_some() && admitted.other_tokens.is_empty());
        let device = &memory.devices[&public(1).id()];
        assert_eq!((device.grants.len(), device.approved_via.clone()), (1, ApprovedVia::Bootstrap));
        let redeemed = memory.invite.unwrap().redeemed.unwrap();
        assert_eq!((redeemed.device, redeemed.at), (public(1).id(), START));
    }
}

#[test]
fn the_first_device_has_it_and_no_other() {
    let mut memory = world();
    assert_eq!(told(&memory.connect(&newcomer(), START)), GIVEN);
    let step = memory.connect(&Caller { device: Some(2), ..newcomer() }, START);
    assert_eq!((told(&step).as_str(), step.outcome.verdict), (INVALID, Verdict::Wrong));
    assert_eq!(memory.devices.len(), 1);
    assert!(memory.requests.is_empty());
}

#[test]
fn what_is_no_open_invite_is_a_failure_and_leaves_nothing() {
    for (name, invite, caller, after) in [
        ("none was made", None, newcomer(), 0),
        ("another secret", Some(made("doorward-invite-other", START)), newcomer(), 0),
        ("its time is over", Some(made(SECRET, START)), newcomer(), LIFE),
        ("in the token's field", None, Caller { setup_code: None, token: Some(SECRET.into()), ..newcomer() }, 0),
    ] {
        let mut memory = Memory { invite, ..Memory::default() };
        let step = memory.connect(&caller, START.plus(after));
        assert_eq!((told(&step).as_str(), step.outcome.verdict), (INVALID, Verdict::Wrong), "{name}");
        assert!(memory.devices.is_empty() && memory.requests.is_empty(), "{name}");
    }
}

#[test]
fn an_invite_is_for_operators_that_prove_a_device() {
    let mut memory = world();
    let node = memory.connect(&Caller { role: "node", scopes: vec![], ..newcomer() }, START);
    assert_eq!((told(&node).as_str(), node.outcome.verdict), (INVALID, Verdict::Unjudged));
    let without = memory.connect(&Caller { device: None, ..newcomer() }, START);
    assert_eq!(told(&without), "device identity required");
    assert!(memory.devices.is_empty() && memory.invite.unwrap().redeemed.is_none());
}

#[test]
fn a_device_that_did_not_hear_of_it_is_given_another_token_within_its_time() {
    let mut memory = world();
    let first = memory.connect(&newcomer(), START).outcome.outcome.unwrap().token.unwrap();
    let again = memory.connect(&newcomer(), START.plus(LIFE - 1)).outcome.outcome.unwrap();
    assert!(again.approved_via.is_none() && !again.token.unwrap().is(first.expose()));
    let old = Caller { token: None, device_token: Some(first.expose().clone()), scopes: vec![], ..stranger() };
    assert!(memory.connect(&old, START).outcome.outcome.is_err(), "both tokens live");
    assert_eq!(told(&memory.connect(&newcomer(), START.plus(LIFE))), INVALID);
}

#[test]
fn a_paired_device_gets_it_on_top_of_what_it_has() {
    let mut memory = world();
    let asks = vec!["operator.pairing"];
    memory.connect(&Caller { scopes: asks, ..owner() }, START);
    let step = memory.connect(&newcomer(), START);
    assert_eq!(told(&step), "hello operator.approvals operator.pairing operator.read operator.write");
    assert!(step.outcome.outcome.unwrap().token.is_some());
    assert!(memory.invite.unwrap().redeemed.is_some());
}

#[test]
fn a_person_looks_at_a_device_that_lost_something_or_is_another_machine_now() {
    for (name, change, caller, reason) in [
        (
            "revoked",
            "revoke",
            newcomer(),
            "pairing required: device is asking for a higher role than currently approved",
        ),
        // What was redeemed counts as long as what it gave: a person is asked by who shows something else.
        ("removed after it had it", "remove", newcomer(), INVALID),
        (
            "another machine",
            "none",
            Caller { platform: "darwin", ..newcomer() },
            "pairing required: device identity changed and must be re-approved",
        ),
    ] {
        let mut memory = world();
        let (id, by) = (public(1).id(), Approver::Owner);
        let first = if change == "remove" { newcomer() } else { owner() };
        memory.connect(&first, START);
        let known = memory.known(id, START);
        let changes = match change {
            "revoke" => revoke(&known, id, Role::Operator, &by, START).changes,
            "remove" => remove(&known, id, &by).changes,
            _ => Vec::new(),
        };
        memory.apply(&changes);
        let redeemed = memory.invite.as_ref().unwrap().redeemed;
        assert_eq!(told(&memory.connect(&caller, START)), reason, "{name}");
        assert_eq!(memory.invite.unwrap().redeemed, redeemed, "{name}");
    }
}

#[test]
fn a_good_invite_counts_whatever_neighbours_behind_one_address_guessed() {
    let mut memory = world();
    let locked = Caller { locked: true, ..newcomer() };
    let wrong = Caller { setup_code: Some("doorward-invite-guessed"), ..locked.clone() };
    let step = memory.connect(&wrong, START);
    assert_eq!(step.outcome.verdict, Verdict::Unjudged);
    assert!(told(&step).contains("too many failed"), "nobody learns whether it was right: {}", told(&step));
    let step = memory.connect(&locked, START);
    assert_eq!((told(&step).as_str(), step.outcome.verdict), (GIVEN, Verdict::Unjudged));
}

#[test]
fn a_token_that_was_taken_back_does_not_come_back_by_the_invite_that_gave_it() {
    let (id, scopes) = (public(1).id(), usual_scopes().union(&Scopes::from_iter([Scope::PAIRING])));
    let own = Approver::Session { device: Some(id), scopes };
    let narrow = Scopes::from_iter([Scope::READ]);
    for (name, by) in [("the owner", Approver::Owner), ("the device", own)] {
        let mut memory = world();
        memory.connect(&newcomer(), START);
        // Once more, for it did not hear of the first: that is no rotation.
        assert_eq!(told(&memory.connect(&newcomer(), START.plus(1))), GIVEN);
        let (known, fresh) = (memory.known(id, START), Secret::random().unwrap());
        let step = rotate(&known, id, Role::Operator, Some(&narrow), &by, fresh, START.plus(2));
        assert!(step.outcome.is_ok(), "{name}: {:?}", step.outcome);
        memory.apply(&step.changes);
        let left = memory.devices.clone();
        let reads = Caller { scopes: vec!["operator.read"], ..newcomer() };
        for caller in [newcomer(), reads] {
            let step = memory.connect(&caller, START.plus(3));
            assert_eq!((told(&step).as_str(), step.outcome.verdict), (INVALID, Verdict::Unjudged), "{name}");
        }
        assert_eq!(memory.devices, left, "{name}");
    }
    // Who fetched another by the gateway's secret keeps that.
    let mut memory = world();
    memory.connect(&newcomer(), START);
    let known = memory.known(id, START);
    let step = rotate(&known, id, Role::Operator, None, &Approver::Owner, Secret::random().unwrap(), START);
    memory.apply(&step.changes);
    memory.connect(&stranger(), START);
    assert!(memory.devices[&id].grants[&Role::Operator].token.is_some());
    assert_eq!(told(&memory.connect(&newcomer(), START)), INVALID);
}

#[test]
fn an_invite_puts_no_key_in_the_place_of_another() {
    let mut memory = world();
    memory.connect(&owner(), START);
    let row = memory.devices.remove(&public(1).id()).unwrap();
    memory.devices.insert(public(2).id(), row.clone());
    let step = memory.connect(&Caller { device: Some(2), ..newcomer() }, START);
    assert_eq!(told(&step), "pairing required: device is not approved yet");
    assert_eq!(memory.devices.get(&public(2).id()), Some(&row));
    assert!(memory.invite.unwrap().redeemed.is_none());
}

#[test]
fn a_rule_that_refuses_stands_above_an_invite_and_one_that_asks_does_not() {
    let refused = "pairing refused (this gateway's rules pair no such device)";
    for (then, outcome, redeemed) in [(Then::Ask, GIVEN, true), (Then::Refuse, refused, false)] {
        let rule = Rule::new(RuleName::parse("1").unwrap(), When::default(), then, Basis::Identity).unwrap();
        let rules = Rules::new(vec![rule]);
        let mut memory = Memory { rules, ..world() };
        assert_eq!(told(&memory.connect(&newcomer(), START)), outcome);
        assert_eq!(memory.invite.unwrap().redeemed.is_some(), redeemed);
    }
}

#[test]
fn one_is_open_at_a_time_and_each_ends_for_its_own_reason() {
    let ended = |changes: &[Change]| match changes.first() {
        Some(Change::DropInvite { end, .. }) => Some(*end),
        _ => None,
    };
    let had = {
        let mut memory = world();
        memory.connect(&newcomer(), START);
        memory.invite
    };
    for (name, before, after, replaced, cancelled, expired) in [
        ("none", None, 0, None, None, None),
        ("open", world().invite, 0, Some(InviteEnd::Replaced), Some(InviteEnd::Cancelled), None),
        ("over", world().invite, LIFE, Some(InviteEnd::Expired), Some(InviteEnd::Expired), Some(InviteEnd::Expired)),
        ("had", had.clone(), 0, Some(InviteEnd::Redeemed), Some(InviteEnd::Redeemed), None),
        ("had, over", had, LIFE, Some(InviteEnd::Redeemed), Some(InviteEnd::Redeemed), Some(InviteEnd::Redeemed)),
    ] {
        let (before, now) = (before.as_ref(), START.plus(after));
        let next = invite(before, made(SECRET, now), now);
        assert_eq!((ended(&next.changes), next.outcome), (replaced, name == "open"), "{name}");
        assert!(matches!(next.changes.last(), Some(Change::PutInvite(_))), "{name}");
        let taken = cancel_invite(before, now);
        assert_eq!((ended(&taken.changes), taken.outcome), (cancelled, name == "open"), "{name}");
        assert_eq!(ended(&expire_invite(before, now).changes), expired, "{name}");
    }
}
