//! Every order in which a few people and devices can act, against the promises of [`Promise`]: breadth first over all
//! states that differ, driving the real steps. The checker itself is checked: each promise is seen to be broken by a
//! world with one rule left out, and a search that did not come by what it is about fails.

mod deeds;
mod event;
mod house;
mod invites;
mod search;
mod truth;
mod world;

use std::collections::BTreeSet;

use event::Event;
use event::household;
use event::one_device;
use search::Search;
use truth::Promise;
use world::Flaw;

/// States that a search looks at before it gives up; a debug build does some thousands in a second.
const STATES_MAX: usize = 10_000;

/// What a search must have come by, or it has shown nothing.
const LANDMARKS: [&str; 33] = [
    "approved",
    "approval of another content refused",
    "approval of an ended request refused",
    "approval beyond the approver refused",
    "approval by a device of another refused",
    "silently approved",
    "taken back, so not silently approved",
    "waits for a person",
    "approved by a rule",
    "no rule approves it",
    "removed, so no rule approves it",
    "a full rule approves no more",
    "let in by a token",
    "dead token refused",
    "old secret refused",
    "setup code redeemed",
    "setup code refused to a second device",
    "setup code repeated for its device",
    "invite redeemed",
    "invite repeated for its device",
    "invite refused to a second device",
    "invite refused after its time",
    "ended invite refused",
    "invite replaced",
    "invite taken back",
    "a person looks in spite of an invite",
    "impostor refused",
    "stolen token refused",
    "revoked",
    "removed",
    "rotated",
    "asked for more in a session",
    "died between disk and answer",
];

#[test]
fn no_order_of_events_around_one_device_breaks_a_promise() {
    let search = Search::new(one_device(), Flaw::None, STATES_MAX).run();
    eprintln!("one device: {search}");
    assert_eq!(search.broken, None);
}

#[test]
fn no_order_of_events_in_a_household_breaks_a_promise_and_all_that_matters_happens() {
    let search = Search::new(household(), Flaw::None, STATES_MAX).run();
    eprintln!("household: {search}");
    assert_eq!(search.broken, None);
    let missed: BTreeSet<_> = LANDMARKS.into_iter().filter(|mark| !search.reached.contains(mark)).collect();
    assert!(missed.is_empty(), "the search came by none of these: {missed:?}");
}

#[test]
fn the_checker_sees_each_promise_broken() {
    for (flaw, promise) in [
        (Flaw::AcknowledgesFirst, Promise::Kept),
        (Flaw::ApprovesTheLatest, Promise::AsShown),
        (Flaw::BelievesAnyOrigin, Promise::Approved),
        (Flaw::BelievesAnyProof, Promise::Approved),
        (Flaw::ForgetsTheApprover, Promise::Approved),
        (Flaw::InvitesEverybody, Promise::Invited),
        (Flaw::InvitesForEver, Promise::Invited),
        (Flaw::InvitesToEverything, Promise::Invited),
        (Flaw::KeepsInvites, Promise::Invited),
        (Flaw::KeepsSecrets, Promise::Dead),
        (Flaw::KeepsSockets, Promise::Dead),
        (Flaw::KeepsTokens, Promise::Dead),
        (Flaw::RotationForgetsInvites, Promise::Invited),
        (Flaw::RulesKnowNoCap, Promise::Counted),
        (Flaw::RulesKnowNoRemoval, Promise::Approved),
        (Flaw::TakesUnreadableForEmpty, Promise::Kept),
    ] {
        let search = Search::new(household(), flaw, STATES_MAX).run();
        let found = search.broken.as_ref().map(|broken| broken.promise);
        assert_eq!(found, Some(promise), "{flaw:?}: {search}: {:?}", search.broken);
    }
}

#[test]
fn a_search_that_is_cut_short_says_so() {
    assert!(Search::new(vec![Event::List], Flaw::None, STATES_MAX).run().is_whole);
    assert!(!Search::new(household(), Flaw::None, 10).run().is_whole);
}
