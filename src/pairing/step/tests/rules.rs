//! What an operator's rules do to a connect, and what no rule can.

use super::scene::Caller;
use super::scene::Memory;
use super::scene::SECRET;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use super::scene::told;
use super::scene::waiting;
use crate::base::clock::UnixMillis;
use crate::origin::Class;
use crate::pairing::approval::Approver;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::Issuer;
use crate::pairing::rule::Approval;
use crate::pairing::rule::Basis;
use crate::pairing::rule::Credential;
use crate::pairing::rule::Effect;
use crate::pairing::rule::Hours;
use crate::pairing::rule::Login;
use crate::pairing::rule::Rule;
use crate::pairing::rule::RuleName;
use crate::pairing::rule::Rules;
use crate::pairing::rule::Then;
use crate::pairing::rule::TimeOfDay;
use crate::pairing::rule::When;
use crate::pairing::rule::Who;
use crate::pairing::rule::Window;
use crate::pairing::rule::Zone;
use crate::pairing::setup::Offer;
use crate::pairing::setup::SetupKind;
use crate::pairing::step::Verdict;
use crate::pairing::step::approve;
use crate::pairing::step::reject;
use crate::pairing::step::remove;
use crate::pairing::step::revoke;
use crate::protocol::hello::AuthMethod;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;

const WAITS: &str = "pairing required: device is not approved yet";
const MORE: &str = "pairing required: device is asking for more scopes than currently approved";
const REFUSED: &str = "pairing refused (this gateway's rules pair no such device)";
const NO_SECRET: &str = "unauthorized: gateway token missing (set gateway.remote.token to match gateway.auth.token)";

#[test]
fn a_verified_person_is_approved_within_the_cap_and_never_narrowed() {
    for (scopes, expected, effect) in [
        (vec!["operator.read"], "hello operator.read", Effect::Approved),
        (vec!["operator.read", "operator.write"], "hello operator.read operator.write", Effect::Approved),
        (vec![], "hello ", Effect::Approved),
        (vec!["operator.read", "operator.admin"], WAITS, Effect::BeyondCap),
        (vec!["operator.pairing"], WAITS, Effect::BeyondCap),
        (vec!["node.exec"], WAITS, Effect::BeyondCap),
    ] {
        for (token, credential) in [(Some(SECRET.to_owned()), Credential::Secret), (None, Credential::Identity)] {
            let mut memory = house([rule("family", ann(), give(&["operator.write"], credential))]);
            let step = memory.connect(&Caller { token, scopes: scopes.clone(), ..anns() }, START);
            assert_eq!((told(&step).as_str(), step.outcome.effect), (expected, Some(effect)), "{scopes:?}");
            assert_eq!(memory.devices.len(), usize::from(effect == Effect::Approved));
            if let Some(device) = memory.devices.values().next() {
                assert_eq!(device.approved_via, ApprovedVia::Rule(RuleName::parse("family").unwrap()));
                assert_eq!(device.approved_via.to_string(), "rule:family");
            }
        }
    }
}

#[test]
fn who_is_not_the_one_that_is_meant_gains_nothing() {
    let by_identity = || rule("family", ann(), give(&["operator.admin"], Credential::Identity));
    for (identity, token, expected) in [
        (Some(("tailscale", "bob@example.com")), Some(SECRET), WAITS),
        (Some(("pomerium", "ann@example.com")), Some(SECRET), WAITS),
        (None, Some(SECRET), WAITS),
        (Some(("tailscale", "bob@example.com")), None, NO_SECRET),
        (None, None, NO_SECRET),
    ] {
        let caller = Caller { identity, token: token.map(str::to_owned), ..anns() };
        assert_eq!(told(&house([by_identity()]).connect(&caller, START)), expected, "{identity:?} {token:?}");
    }
    let mut wants_the_secret = house([rule("family", ann(), give(&["operator.admin"], Credential::Secret))]);
    let step = wants_the_secret.connect(&Caller { token: None, ..anns() }, START);
    assert_eq!((told(&step).as_str(), step.outcome.effect), (NO_SECRET, Some(Effect::SecretMissing)));
}

#[test]
fn an_identity_hides_no_wrong_secret() {
    let mut memory = house([rule("family", ann(), give(&["operator.read"], Credential::Identity))]);
    for caller in [
        Caller { token: Some("wrong".to_owned()), ..anns() },
        Caller { token: None, device_token: Some("wrong".to_owned()), ..anns() },
        Caller { token: None, setup_code: Some("wrong"), ..anns() },
    ] {
        let step = memory.connect(&caller, START);
        assert!(told(&step).starts_with("unauthorized: "), "{}", told(&step));
        assert_eq!((step.outcome.verdict, memory.devices.len()), (Verdict::Wrong, 0));
    }
}

#[test]
fn a_device_of_a_verified_person_outlives_the_gateways_secret() {
    let mut memory = house([rule("family", ann(), give(&["operator.read"], Credential::Identity))]);
    let caller = Caller { token: None, ..anns() };
    let first = memory.connect(&caller, START).outcome.outcome.unwrap();
    assert_eq!((first.method, first.issuer), (AuthMethod::TrustedProxy, Issuer::Identity));
    let token = first.token.unwrap().expose().clone();
    memory.secret = Some("another secret of the gateway");
    let by_token = Caller { token: None, device_token: Some(token), identity: None, ..stranger() };
    assert_eq!(told(&memory.connect(&by_token, START)), "hello operator.read");
    // Our first answer may not have reached it: it comes again as it came.
    assert_eq!(told(&memory.connect(&caller, START)), "hello operator.read");
}

#[test]
fn an_identity_opens_no_more_than_the_cap_whatever_the_device_was_given_since() {
    let mut memory = house([rule("family", ann(), give(&["operator.read"], Credential::Identity))]);
    let more = Caller { scopes: vec!["operator.admin"], ..anns() };
    memory.connect(&more, START);
    give_what_waits(&mut memory);
    assert_eq!(told(&memory.connect(&more, START)), "hello operator.admin", "with the secret");
    let bare = Caller { token: None, ..anns() };
    assert_eq!(told(&memory.connect(&bare, START)), NO_SECRET, "the identity alone is good for reading");
}

#[test]
fn no_rule_approves_a_device_that_is_known_was_removed_or_has_anothers_id() {
    let all = || rule("all", place(), by_address(&["operator.read", "operator.write"]));
    let reads = Caller { scopes: vec!["operator.read"], ..stranger() };
    let writes = Caller { scopes: vec!["operator.write"], ..stranger() };

    let mut asks_more = house([all()]);
    assert_eq!(told(&asks_more.connect(&reads, START)), "hello operator.read");
    let step = asks_more.connect(&writes, START);
    assert_eq!((told(&step).as_str(), step.outcome.effect), (MORE, Some(Effect::Known)));

    let mut revoked = house([all()]);
    revoked.connect(&reads, START);
    let id = public(1).id();
    let step = revoke(&revoked.known(id, START), id, Role::Operator, &Approver::Owner, START);
    revoked.apply(&step.changes);
    let step = revoked.connect(&reads, START);
    assert!(told(&step).starts_with("pairing required: "), "{}", told(&step));
    assert_eq!(step.outcome.effect, Some(Effect::Known));

    let mut removed = house([all()]);
    removed.connect(&reads, START);
    let step = remove(&removed.known(id, START), id, &Approver::Owner);
    removed.apply(&step.changes);
    let step = removed.connect(&reads, START);
    assert_eq!((told(&step).as_str(), step.outcome.effect), (WAITS, Some(Effect::Removed)));
    give_what_waits(&mut removed);
    assert_eq!(told(&removed.connect(&reads, START)), "hello operator.read", "a person's word brings it back");

    let mut anothers = house([all()]);
    anothers.connect(&reads, START);
    let row = anothers.devices.remove(&id).unwrap();
    anothers.devices.insert(public(2).id(), row.clone());
    for caller in [Caller { device: Some(2), ..reads.clone() }, Caller { device: Some(2), ..owner() }] {
        assert_eq!(told(&anothers.connect(&caller, START)), WAITS);
        assert_eq!(anothers.devices.get(&public(2).id()), Some(&row), "nothing is put in its place");
        anothers.rules = Rules::default();
    }
}

#[test]
fn a_rule_that_has_approved_its_share_leaves_the_next_device_to_a_person() {
    let mut memory = house([rule("family", ann(), give(&["operator.read"], Credential::Identity))]);
    memory.rule_devices_max = Some(1);
    let bare = Caller { token: None, ..anns() };
    assert_eq!(told(&memory.connect(&bare, START)), "hello operator.read");
    for caller in [Caller { device: Some(2), ..bare.clone() }, Caller { device: Some(2), ..anns() }] {
        let step = memory.connect(&caller, START);
        assert_eq!((told(&step).as_str(), step.outcome.effect), (WAITS, Some(Effect::Full)));
    }
    assert_eq!(told(&memory.connect(&bare, START)), "hello operator.read", "whom it approved comes in as before");
    // What it would not have approved anyway is told by its own reason.
    let more = Caller { device: Some(2), scopes: vec!["operator.admin"], ..anns() };
    assert_eq!(memory.connect(&more, START).outcome.effect, Some(Effect::BeyondCap));
    // Of a place that is free again, the next one has it; that of a person's word is none of the rule's.
    let step = remove(&memory.known(public(1).id(), START), public(1).id(), &Approver::Owner);
    memory.apply(&step.changes);
    let next = Caller { device: Some(3), ..bare };
    assert_eq!(told(&memory.connect(&next, START)), "hello operator.read");
    give_what_waits(&mut memory);
    assert_eq!(memory.devices.len(), 2);
}

#[test]
fn a_rule_that_refuses_pairs_nobody_and_leaves_who_is_paired_alone() {
    let no = || rule("no", When::default(), Then::Refuse);
    for caller in [stranger(), owner(), Caller { role: "node", scopes: vec![], ..stranger() }] {
        let mut memory = house([no()]);
        let step = memory.connect(&caller, START);
        assert_eq!((told(&step).as_str(), step.outcome.effect), (REFUSED, Some(Effect::Refused)));
        assert!(step.changes.is_empty() && step.notices.is_empty(), "nobody is asked");
        assert_eq!(step.outcome.verdict, Verdict::Right);
    }
    let mut memory = Memory::default();
    memory.connect(&stranger(), START);
    give_what_waits(&mut memory);
    memory.rules = Rules::new(vec![no()]);
    assert_eq!(told(&memory.connect(&stranger(), START)), "hello operator.read");
    let more = Caller { scopes: vec!["operator.admin"], ..stranger() };
    assert_eq!(told(&memory.connect(&more, START)), REFUSED, "to ask for more is to ask for pairing");
    let wrong = Caller { device: Some(2), token: Some("wrong".to_owned()), ..stranger() };
    let step = memory.connect(&wrong, START);
    assert_eq!(step.outcome.verdict, Verdict::Wrong, "who has no secret learns nothing of rules: {}", told(&step));
}

#[test]
fn who_is_refused_by_name_is_refused_however_he_spells_it_and_whatever_the_clock_shows() {
    let login = |login: &str| {
        let logins = vec![Login::parse(login).unwrap()];
        When { who: Some(Who { provider: "sso".to_owned(), logins, groups: Vec::new() }), ..When::default() }
    };
    let all = || rule("all", login("*@example.com"), give(&["operator.read"], Credential::Identity));
    let caller = |login: &'static str| Caller { identity: Some(("sso", login)), ..anns() };
    for (who, expected) in [
        ("mallory@example.com", REFUSED),
        ("Mallory@example.com", REFUSED),
        ("MALLORY@EXAMPLE.COM", REFUSED),
        ("ann@example.com", "hello operator.read"),
    ] {
        let rules = [rule("mallory", login("mallory@example.com"), Then::Refuse), all()];
        assert_eq!(told(&house(rules).connect(&caller(who), START)), expected, "{who}");
    }
    let at = |text| TimeOfDay::parse(text).unwrap();
    let zone = Zone::new("UTC", jiff::tz::TimeZone::UTC);
    let night = Window { zone, days: vec![], hours: Hours::new(at("22:00"), at("06:00")) };
    for hour in [0_i64, 5, 7, 12] {
        let night = rule("night", When { window: Some(night.clone()), ..When::default() }, Then::Refuse);
        let unset = UnixMillis(hour * 3_600_000);
        let step = house([night, all()]).connect(&caller("ann@example.com"), unset);
        assert_eq!(told(&step), REFUSED, "1970-01-01 {hour:02}:00");
    }
}

#[test]
fn a_setup_code_is_a_persons_word_and_a_refusal_stands_above_it() {
    let offer = Offer::Good { profile: SetupKind::Limited.profile(), redeemed: None };
    let caller = Caller { token: None, setup_code: Some("code"), ..stranger() };
    for (then, redeemed) in [(Then::Ask, true), (Then::Refuse, false)] {
        let mut memory = house([rule("1", When::default(), then)]);
        memory.offer = offer.clone();
        let step = memory.connect(&caller, START);
        assert_eq!(step.outcome.outcome.is_ok(), redeemed, "{}", told(&step));
        assert_eq!(memory.devices.len(), usize::from(redeemed));
    }
}

#[test]
fn what_a_rule_says_holds_at_this_machine_too() {
    let here = || When { classes: vec![Class::Local], ..When::default() };
    for (then, basis, expected) in [
        (Then::Ask, Basis::Identity, WAITS),
        (Then::Refuse, Basis::Identity, REFUSED),
        (by_address(&["operator.read"]), Basis::Address, "hello operator.read"),
        (by_address(&[]), Basis::Address, WAITS),
    ] {
        let rule = Rule::new(RuleName::of_place(1), here(), then, basis).unwrap();
        let step = house([rule]).connect(&owner(), START);
        assert_eq!(told(&step), expected);
    }
    let elsewhere = When { classes: vec![Class::Public], ..When::default() };
    let step = house([rule("1", elsewhere, Then::Ask)]).connect(&owner(), START);
    assert_eq!((told(&step).as_str(), step.outcome.effect), ("hello operator.read", Some(Effect::Unruled)));
    let nobody = Caller { device: None, scopes: vec!["operator.pairing"], ..owner() };
    let step = house([rule("1", When::default(), Then::Refuse)]).connect(&nobody, START);
    assert_eq!(told(&step), "hello operator.pairing", "what stores nothing pairs nothing");
}

#[test]
fn a_node_is_approved_by_a_rule_for_nodes_alone() {
    let node = Caller { role: "node", scopes: vec![], ..anns() };
    let mut memory = house([rule("family", ann(), give(&["operator.admin"], Credential::Secret))]);
    assert_eq!(memory.connect(&node, START).outcome.effect, Some(Effect::BeyondCap));
    let machines = When { role: Some(Role::Node), ..ann() };
    let mut memory = house([rule("machines", machines, give(&[], Credential::Secret))]);
    assert_eq!(told(&memory.connect(&node, START)), "hello ");
}

#[test]
fn what_waits_when_a_rule_comes_waits_on_until_it_calls_again() {
    let mut memory = Memory::default();
    memory.connect(&anns(), START);
    let before = waiting(&memory);
    memory.rules = Rules::new(vec![rule("family", ann(), give(&["operator.read"], Credential::Secret))]);
    assert_eq!(waiting(&memory), before);
    let step = memory.connect(&anns(), START);
    assert_eq!((told(&step).as_str(), memory.requests.len()), ("hello operator.read", 0));
}

fn house<const N: usize>(rules: [Rule; N]) -> Memory {
    Memory { rules: Rules::new(rules.to_vec()), ..Memory::default() }
}

/// Of a person if it names one, else by an address with the operator's word for that.
fn rule(name: &str, when: When, then: Then) -> Rule {
    let by_address = matches!(then, Then::Approve(_)) && when.who.is_none();
    let basis = if by_address { Basis::Address } else { Basis::Identity };
    Rule::new(RuleName::parse(name).unwrap(), when, then, basis).unwrap()
}

fn give(cap: &[&str], credential: Credential) -> Then {
    Then::Approve(Approval { cap: cap.iter().map(|scope| Scope::parse(scope).unwrap()).collect(), credential })
}

fn by_address(cap: &[&str]) -> Then {
    give(cap, Credential::Secret)
}

fn ann() -> When {
    let login = crate::pairing::rule::Login::parse("ann@example.com").unwrap();
    When {
        who: Some(Who { provider: "tailscale".to_owned(), logins: vec![login], groups: Vec::new() }),
        ..When::default()
    }
}

fn anns() -> Caller {
    let identity = Some(("tailscale", "ann@example.com"));
    Caller { identity, class: "tailnet", ip: Some("100.64.0.7"), ..stranger() }
}

fn place() -> When {
    When { classes: vec![Class::Public, Class::Local], ..When::default() }
}

#[test]
fn no_rule_approves_what_a_person_rejected() {
    let mut memory = house([rule("family", ann(), give(&["operator.read"], Credential::Identity))]);
    let bare = Caller { token: None, ..anns() };
    let more = Caller { scopes: vec!["operator.admin"], ..bare.clone() };
    assert_eq!(told(&memory.connect(&more, START)), WAITS);
    let request = waiting(&memory);
    let step = reject(&memory.known(request.device(), START), request.id, &Approver::Owner, START);
    memory.apply(&step.changes);
    let step = memory.connect(&bare, START);
    assert_eq!((told(&step).as_str(), step.outcome.effect), (WAITS, Some(Effect::Rejected)));
    give_what_waits(&mut memory);
    assert!(told(&memory.connect(&bare, START)).starts_with("hello"), "a person's word brings it back");
}

fn give_what_waits(memory: &mut Memory) {
    let request = waiting(memory);
    let known = memory.known(request.device(), START);
    let step = approve(&known, request.id, Some(request.digest()), &Approver::Owner, START);
    assert!(step.outcome.is_ok());
    memory.apply(&step.changes);
}
