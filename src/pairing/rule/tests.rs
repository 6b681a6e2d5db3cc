//! Each condition, each way out, and what no rule may ever say.

use std::net::IpAddr;

use jiff::tz::TimeZone;
use serde_json::json;

use super::*;
use crate::net::range::Ranges;
use crate::net::range::Width;

/// 2026-11-20, a Friday, 12:00:00Z.
const NOON: UnixMillis = UnixMillis(1_795_176_000_000);

#[test]
fn each_condition_holds_for_what_it_names_and_for_nothing_else() {
    let (ann, bob) = (person("tailscale", "ann@example.com"), person("tailscale", "bob@example.com"));
    let other = person("pomerium", "ann@example.com");
    let there = origin("public", Some("203.0.113.7"));
    let lan = origin("private", Some("10.0.0.9"));
    let mapped = origin("private", Some("::ffff:10.0.0.9"));
    let nobody = origin("unattributed", None);
    let facts = |origin, identity| Facts { origin, identity, role: Role::Operator, client: ClientId::Cli };
    let node = Facts { role: Role::Node, client: ClientId::NodeHost, ..facts(&there, None) };
    let who = |logins: &[&str]| When { who: Some(who("tailscale", logins)), ..When::default() };
    let class = When { classes: vec![Class::Private, Class::Tailnet], ..When::default() };
    let cidr = When { cidr: Some(ranges(&["10.0.0.0/24", "2001:db8::/32"])), ..When::default() };
    let listener = When { listeners: vec!["lan".into(), "web".into()], ..When::default() };
    let elsewhere = When { listeners: vec!["lan".into()], ..When::default() };
    let role = When { role: Some(Role::Operator), ..When::default() };
    let client = When { clients: vec![ClientId::Cli], ..When::default() };
    let time = |from, to| When { window: Some(window(from, to)), ..When::default() };
    for (name, when, facts, expected) in [
        ("nothing", When::default(), facts(&nobody, None), Ok(())),
        ("class", class.clone(), facts(&lan, None), Ok(())),
        ("another class", class, facts(&there, None), Err(Miss::Class)),
        ("cidr", cidr.clone(), facts(&lan, None), Ok(())),
        ("cidr, mapped", cidr.clone(), facts(&mapped, None), Ok(())),
        ("another cidr", cidr.clone(), facts(&there, None), Err(Miss::Address)),
        ("no address", cidr, facts(&nobody, None), Err(Miss::Address)),
        ("listener", listener, facts(&there, None), Ok(())),
        ("another listener", elsewhere, facts(&there, None), Err(Miss::Listener)),
        ("provider", who(&[]), facts(&there, Some(&bob)), Ok(())),
        ("login", who(&["eve@a.example", "ann@example.com"]), facts(&there, Some(&ann)), Ok(())),
        ("domain", who(&["*@example.com"]), facts(&there, Some(&bob)), Ok(())),
        ("another login", who(&["ann@example.com"]), facts(&there, Some(&bob)), Err(Miss::Login)),
        ("another provider", who(&["ann@example.com"]), facts(&there, Some(&other)), Err(Miss::Provider)),
        ("nobody verified", who(&[]), facts(&there, None), Err(Miss::Nobody)),
        ("role", role.clone(), facts(&there, None), Ok(())),
        ("another role", role, node, Err(Miss::Role)),
        ("client", client.clone(), facts(&there, None), Ok(())),
        ("another client", client, node, Err(Miss::Client)),
        ("time", time("12:00", "13:00"), facts(&there, None), Ok(())),
        ("another time", time("13:00", "12:00"), facts(&there, None), Err(Miss::Time)),
    ] {
        assert_eq!(when.check(&facts, Doubt::Misses, NOON), expected, "{name}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let there = origin("public", Some("203.0.113.7"));
    let facts = Facts { origin: &there, identity: None, role: Role::Operator, client: ClientId::Cli };
    let both = When { classes: vec![Class::Public], clients: vec![ClientId::Tui], ..When::default() };
    assert_eq!(both.check(&facts, Doubt::Misses, NOON), Err(Miss::Client));
}

#[test]
fn what_is_uncertain_keeps_out_and_never_lets_in() {
    let nat = origin("nat", Some("172.18.0.1"));
    let nobody = origin("unattributed", None);
    let unset = UnixMillis(0);
    let bridge = When { cidr: Some(ranges(&["172.18.0.0/16"])), ..When::default() };
    let named = When { classes: vec![Class::Nat], ..bridge.clone() };
    let web = When { listeners: vec!["web".into()], ..When::default() };
    let timed = When { window: Some(window("00:00", "24:00")), ..web.clone() };
    let night = When { window: Some(window("22:00", "06:00")), ..web.clone() };
    let evening = When { window: Some(window("18:00", "24:00")), ..web.clone() };
    let there = origin("public", Some("203.0.113.7"));
    let ann = person("tailscale", "ann@example.com");
    let hers = When { who: Some(who("tailscale", &[])), ..When::default() };
    for (name, when, origin, now, basis, expected) in [
        ("nat by cidr", bridge.clone(), &nat, NOON, Basis::Address, Err(Miss::Hidden)),
        ("nat, named", named, &nat, NOON, Basis::Address, Ok(())),
        ("nat by listener", web.clone(), &nat, NOON, Basis::Address, Err(Miss::Hidden)),
        ("nobody by listener", web, &nobody, NOON, Basis::Address, Err(Miss::Unattributed)),
        ("clock", timed, &there, unset, Basis::Address, Err(Miss::ClockUnset)),
        ("clock, in the window", night, &there, unset, Basis::Address, Err(Miss::ClockUnset)),
        ("clock, out of the window", evening.clone(), &there, unset, Basis::Address, Err(Miss::ClockUnset)),
        ("no calendar", evening, &there, UnixMillis(i64::MAX), Basis::Address, Err(Miss::ClockUnset)),
        ("person behind nat", hers.clone(), &nat, NOON, Basis::Identity, Ok(())),
        ("person behind nobody", hers.clone(), &nobody, NOON, Basis::Identity, Ok(())),
        ("person by nat's address", When { who: hers.who, ..bridge }, &nat, NOON, Basis::Identity, Err(Miss::Hidden)),
    ] {
        let facts = Facts { origin, identity: Some(&ann), role: Role::Operator, client: ClientId::Cli };
        let approves = rule("1", when.clone(), approve(&["operator.read"], Credential::Secret), basis).unwrap();
        assert_eq!(approves.check(&facts, now), expected, "{name}");
        for then in [Then::Ask, Then::Refuse] {
            assert_eq!(rule("1", when.clone(), then, Basis::Identity).unwrap().check(&facts, now), Ok(()), "{name}");
        }
    }
}

#[test]
fn a_group_is_one_that_was_told() {
    let there = origin("public", Some("203.0.113.7"));
    let of = |logins: &[&str], groups: &[&str]| {
        let groups = groups.iter().map(|group| Group::parse(group).unwrap()).collect();
        When { who: Some(Who { groups, ..who("home", logins) }), ..When::default() }
    };
    let told = |groups: &[&str]| Some(groups.iter().map(|&group| group.to_owned()).collect::<Vec<_>>());
    for (name, when, groups, approves, keeps_out) in [
        ("in one of them", of(&[], &["staff", "admins"]), told(&["all", "admins"]), Ok(()), Ok(())),
        ("in another", of(&[], &["staff"]), told(&["Staff", "staffer"]), Err(Miss::Group), Err(Miss::Group)),
        ("in none", of(&[], &["staff"]), told(&[]), Err(Miss::Group), Err(Miss::Group)),
        ("not told", of(&[], &["staff"]), None, Err(Miss::GroupsUnknown), Ok(())),
        ("not asked for", of(&[], &[]), None, Ok(()), Ok(())),
        ("another login", of(&["eve"], &["staff"]), told(&["staff"]), Err(Miss::Login), Err(Miss::Login)),
        ("login, another group", of(&["ann"], &["staff"]), told(&["all"]), Err(Miss::Group), Err(Miss::Group)),
        ("login and group", of(&["ann"], &["staff"]), told(&["staff"]), Ok(()), Ok(())),
    ] {
        let ann = IdentityClaim { groups, ..person("home", "ann") };
        let facts = Facts { origin: &there, identity: Some(&ann), role: Role::Operator, client: ClientId::Cli };
        let approval = rule("1", when.clone(), approve(&["operator.read"], Credential::Identity), Basis::Identity);
        assert_eq!(approval.unwrap().check(&facts, NOON), approves, "{name}");
        for then in [Then::Ask, Then::Refuse] {
            assert_eq!(
                rule("1", when.clone(), then, Basis::Identity).unwrap().check(&facts, NOON),
                keeps_out,
                "{name}"
            );
        }
        let other = IdentityClaim { provider: "other".to_owned(), ..ann.clone() };
        assert_eq!(
            when.check(&Facts { identity: Some(&other), ..facts }, Doubt::Holds, NOON),
            Err(Miss::Provider),
            "{name}"
        );
        assert_eq!(when.check(&Facts { identity: None, ..facts }, Doubt::Holds, NOON), Err(Miss::Nobody), "{name}");
    }
}

#[test]
fn groups_are_told_as_they_were_found() {
    let there = origin("public", Some("203.0.113.7"));
    let groups = vec![Group::parse("staff").unwrap(), Group::parse("admins").unwrap()];
    let when = When { who: Some(Who { groups, ..who("home", &[]) }), ..When::default() };
    let refuse = rule("1", when.clone(), Then::Refuse, Basis::Identity).unwrap();
    let approve = rule("1", when, approve(&[], Credential::Secret), Basis::Identity).unwrap();
    for (groups, held, missed) in [
        (Some(vec!["all", "staff"]), "ann of home, group staff", None),
        (Some(vec!["all", "a\"b"]), "", Some("it is ann of home, in all, a\\u{22}b")),
        (Some(vec![]), "", Some("it is ann of home, in no group")),
        (None, "ann of home, whose groups were not told", Some("it is ann of home, whose groups were not told")),
    ] {
        let groups = groups.map(|groups| groups.into_iter().map(str::to_owned).collect());
        let ann = IdentityClaim { groups, ..person("home", "ann") };
        let facts = Facts { origin: &there, identity: Some(&ann), role: Role::Operator, client: ClientId::Cli };
        if refuse.check(&facts, NOON).is_ok() {
            assert_eq!(refuse.matched(&facts, NOON), held);
        }
        let found = approve.check(&facts, NOON).err().map(|miss| approve.missed(miss, &facts, NOON));
        assert_eq!(found.as_deref(), missed);
    }
}

#[test]
fn the_first_rule_that_matches_decides() {
    let class = |class| When { classes: vec![class], ..When::default() };
    let rules = Rules::new(vec![
        rule("no", class(Class::Public), Then::Refuse, Basis::Identity).unwrap(),
        rule("lan", class(Class::Private), Then::Ask, Basis::Identity).unwrap(),
        rule("rest", When::default(), Then::Ask, Basis::Identity).unwrap(),
    ]);
    for (class, ip, name) in
        [("public", "203.0.113.7", "no"), ("private", "10.0.0.1", "lan"), ("nat", "127.0.0.1", "rest")]
    {
        let origin = origin(class, Some(ip));
        let facts = Facts { origin: &origin, identity: None, role: Role::Operator, client: ClientId::Cli };
        assert_eq!(rules.first(&facts, NOON).unwrap().name().to_string(), name);
        assert!(Rules::default().first(&facts, NOON).is_none());
    }
}

#[test]
fn an_address_alone_is_worth_little_and_only_by_the_operators_word() {
    let here = When { classes: vec![Class::Private], ..When::default() };
    let hers = When { who: Some(who("tailscale", &["ann@example.com"])), ..When::default() };
    let node = When { role: Some(Role::Node), ..here.clone() };
    let says = When { clients: vec![ClientId::Cli], role: Some(Role::Operator), ..When::default() };
    let unknown = When { classes: vec![Class::Private, Class::Unattributed], ..When::default() };
    let (secret, identity) = (Credential::Secret, Credential::Identity);
    let cap = |scope| RuleFault::CapByAddress(Scope::parse(scope).unwrap());
    for (name, when, scopes, credential, basis, expected) in [
        ("write", here.clone(), &["operator.read", "operator.write"][..], secret, Basis::Address, Ok(())),
        ("talk", here.clone(), &["operator.talk"], secret, Basis::Address, Ok(())),
        ("unsaid", here.clone(), &["operator.read"], secret, Basis::Identity, Err(RuleFault::NeedsDanger)),
        ("admin", here.clone(), &["operator.admin"], secret, Basis::Address, Err(cap("operator.admin"))),
        ("pairing", here.clone(), &["operator.pairing"], secret, Basis::Address, Err(cap("operator.pairing"))),
        ("approvals", here.clone(), &["operator.approvals"], secret, Basis::Address, Err(cap("operator.approvals"))),
        ("of a node", here.clone(), &["node.exec"], secret, Basis::Address, Err(cap("node.exec"))),
        ("node", node.clone(), &[], secret, Basis::Address, Err(RuleFault::NodeByAddress)),
        ("no secret", here.clone(), &[], identity, Basis::Address, Err(RuleFault::IdentityUnnamed)),
        ("anybody", When::default(), &[], secret, Basis::Address, Err(RuleFault::ApprovesAnybody)),
        ("by its own word", says, &[], secret, Basis::Address, Err(RuleFault::ApprovesAnybody)),
        ("nobody", unknown.clone(), &[], secret, Basis::Address, Err(RuleFault::ApprovesUnattributed)),
        (
            "nobody, a person",
            When { who: hers.who.clone(), ..unknown },
            &[],
            secret,
            Basis::Identity,
            Err(RuleFault::ApprovesUnattributed),
        ),
        ("a person", hers.clone(), &["operator.admin", "operator.pairing"], identity, Basis::Identity, Ok(())),
        ("a person's node", When { who: hers.who.clone(), ..node }, &["node.exec"], secret, Basis::Identity, Ok(())),
        ("no danger", hers, &[], secret, Basis::Address, Err(RuleFault::DangerUseless)),
    ] {
        assert_eq!(rule("1", when, approve(scopes, credential), basis).map(drop), expected, "{name}");
    }
    for then in [Then::Ask, Then::Refuse] {
        assert_eq!(rule("1", here.clone(), then, Basis::Address), Err(RuleFault::DangerUseless));
    }
}

#[test]
fn a_cap_is_for_one_role_and_a_node_must_be_named() {
    let hers = When { who: Some(who("tailscale", &[])), ..When::default() };
    let node = When { role: Some(Role::Node), ..hers.clone() };
    for (when, role, asked, allowed) in [
        (&hers, Role::Operator, &["operator.read"][..], true),
        (&hers, Role::Operator, &["operator.read", "operator.write"], true),
        (&hers, Role::Operator, &["operator.read", "operator.pairing"], false),
        (&hers, Role::Node, &[], false),
        (&node, Role::Node, &[], true),
        (&node, Role::Operator, &[], false),
    ] {
        let rule = rule("1", when.clone(), approve(&["operator.write"], Credential::Secret), Basis::Identity).unwrap();
        assert_eq!(rule.allows(role, &scopes(asked)), allowed, "{role} {asked:?}");
    }
    let asks = rule("1", hers, Then::Ask, Basis::Identity).unwrap();
    assert!(!asks.allows(Role::Operator, &Scopes::NONE) && !asks.takes(Credential::Secret));
}

#[test]
fn an_identity_stands_in_for_the_secret_only_where_a_rule_says_so() {
    for (credential, secret, identity) in [(Credential::Secret, true, false), (Credential::Identity, true, true)] {
        let hers = When { who: Some(who("tailscale", &[])), ..When::default() };
        let rule = rule("1", hers, approve(&[], credential), Basis::Identity).unwrap();
        assert_eq!((rule.takes(Credential::Secret), rule.takes(Credential::Identity)), (secret, identity));
    }
}

#[test]
fn a_rules_name_is_read_back_as_it_was_written() {
    for name in ["family", "a-1_b", "7"] {
        assert_eq!(RuleName::parse(name).unwrap().to_string(), name);
    }
    let long = "a".repeat(ID_CHARS_MAX + 1);
    for name in ["", "Family", "a b", "a:b", "é", long.as_str()] {
        assert_eq!(RuleName::parse(name), None, "{name}");
    }
    assert!(RuleName::of_place(3).is_place() && !RuleName::parse("a3").unwrap().is_place());
}

#[test]
fn a_rule_tells_which_facts_it_matched_by() {
    let ann = person("tailscale", "ann@example.com");
    let here = origin("tailnet", Some("100.64.0.7"));
    let facts = Facts { origin: &here, identity: Some(&ann), role: Role::Operator, client: ClientId::Cli };
    let when = When {
        classes: vec![Class::Tailnet],
        cidr: Some(ranges(&["100.64.0.0/16"])),
        listeners: vec!["web".into()],
        who: Some(who("tailscale", &["ann@example.com"])),
        role: Some(Role::Operator),
        clients: vec![ClientId::Cli],
        window: Some(window("12:00", "13:00")),
    };
    let all = rule("1", when, Then::Ask, Basis::Identity).unwrap();
    assert_eq!(
        all.matched(&facts, NOON),
        "class tailnet, address 100.64.0.7, listener web, ann@example.com of tailscale, role operator, client cli, \
         time fri 12:00 in UTC"
    );
    let none = rule("1", When::default(), Then::Refuse, Basis::Identity).unwrap();
    assert_eq!(none.matched(&facts, NOON), "it has no conditions");
}

fn rule(name: &str, when: When, then: Then, basis: Basis) -> Result<Rule, RuleFault> {
    Rule::new(RuleName::parse(name).unwrap(), when, then, basis)
}

fn approve(cap: &[&str], credential: Credential) -> Then {
    Then::Approve(Approval { cap: scopes(cap), credential })
}

fn scopes(scopes: &[&str]) -> Scopes {
    scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect()
}

fn who(provider: &str, logins: &[&str]) -> Who {
    let logins = logins.iter().map(|login| Login::parse(login).unwrap()).collect();
    Who { provider: provider.to_owned(), logins, groups: Vec::new() }
}

fn person(provider: &str, login: &str) -> IdentityClaim {
    IdentityClaim { provider: provider.to_owned(), login: login.to_owned(), name: None, groups: None }
}

fn ranges(ranges: &[&str]) -> Ranges {
    Ranges::parse(ranges, Width::Wide).unwrap()
}

fn window(from: &str, to: &str) -> Window {
    let at = |text| TimeOfDay::parse(text).unwrap();
    Window { zone: Zone::new("UTC", TimeZone::UTC), days: Vec::new(), hours: Hours::new(at(from), at(to)) }
}

fn origin(class: &str, ip: Option<&str>) -> OriginClaim {
    let peer: IpAddr = ip.unwrap_or("10.0.0.2").parse().unwrap();
    let mut claim = json!({ "kind": if ip.is_some() { "ip" } else { "unattributed" }, "class": class,
                            "local": class == "local", "peer": peer, "listener": "web", "source": "peer", "via": [] });
    if let Some(ip) = ip {
        claim["ip"] = json!(ip);
    }
    serde_json::from_value(claim).unwrap()
}
