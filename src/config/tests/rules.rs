//! `[[core.pairing.rule]]`: what is refused at its place, what is warned of, and what a whole rule comes to.

use super::*;
use crate::config::fault::pairing::PairingFault;
use crate::pairing::rule::{Credential, GroupFault, LoginFault, RuleFault, Then};
use crate::protocol::scope::Scope;

const HOUSE: &str = r#"
[[listener]]
name = "home"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
[[listener]]
name = "web"
bind = ["10.0.0.5:443"]
trusted_proxies = ["10.0.0.2"]
[[listener]]
name = "lan"
bind = ["10.0.0.5:444"]
[[identity]]
provider = "pomerium"
issuer = "claw.example.com"
audience = "claw.example.com"
"#;
const TAILNET: &str = "[tailscale]\nwhois = true\n";
/// Approves Ann; `when` and `then` are replaced where something else is meant.
const ANN: &str = "[[core.pairing.rule]]\nwhen = { identity = { provider = \"pomerium\", login = \"ann@example.com\" } }\nthen = { approve = [\"operator.read\"] }\n";

pub(super) fn refusals() -> Vec<(String, Expected)> {
    [of_a_rule(), of_conditions(), of_times(), of_approvals()].concat()
}

fn of_a_rule() -> Vec<(String, Expected)> {
    let mut all: Vec<(String, Expected)> = Vec::new();
    let mut add =
        |rule: &str, expected: Expected| all.push((format!("{HOUSE}[[core.pairing.rule]]\n{rule}"), expected));
    add("«nmae» = \"a\"\nthen = \"ask\"", |f| matches!(f, Fault::UnknownKey { closest: Some("name"), .. }));
    add("name = «\"A b\"»\nthen = \"ask\"", |f| matches!(f, Fault::Name(_)));
    add("name = «\"7\"»\nthen = \"ask\"", |f| matches!(f, Fault::Pairing(PairingFault::NameIsPlace(_))));
    add("name = \"a\"\nthen = \"ask\"\n[[core.pairing.rule]]\nname = «\"a\"»\nthen = \"ask\"", |f| {
        matches!(f, Fault::Pairing(PairingFault::NameTaken(_)))
    });
    add("then = «\"approve\"»", |f| matches!(f, Fault::Pairing(PairingFault::Then(_))));
    add("then = «7»", |f| matches!(f, Fault::WrongType { .. }));
    add("then = «{ credential = \"secret\" }»", |f| *f == Fault::Missing { key: "approve" });
    all.push((format!("{HOUSE}«[[core.pairing.rule]]»\nname = \"a\""), |f| *f == Fault::Missing { key: "then" }));
    let many = "[[core.pairing.rule]]\nthen = \"ask\"\n".repeat(crate::base::limits::RULES_MAX + 1);
    all.push((format!("{HOUSE}[core.pairing]\nrule = «[{}]»", "{then = \"ask\"},".repeat(65)), |f| {
        matches!(f, Fault::TooMany { key: "rule", .. })
    }));
    assert!(parse(&format!("{HOUSE}{many}")).is_err());
    all
}

fn of_conditions() -> Vec<(String, Expected)> {
    let mut all: Vec<(String, Expected)> = Vec::new();
    let mut add =
        |rule: &str, expected: Expected| all.push((format!("{HOUSE}[[core.pairing.rule]]\n{rule}"), expected));
    add(
        "then = \"ask\"\nwhen = { «clas» = \"local\" }",
        |f| matches!(f, Fault::UnknownKey { closest: Some("class"), section, .. } if section == "[core.pairing.rule.when]"),
    );
    add("then = \"ask\"\nwhen = { class = «\"tailnett\"» }", |f| {
        matches!(f, Fault::UnknownValue { closest: Some("tailnet"), .. })
    });
    for key in ["class", "cidr", "listener", "client"] {
        add(&format!("then = \"ask\"\nwhen = {{ {key} = «[]» }}"), |f| {
            matches!(f, Fault::Pairing(PairingFault::Empty { .. }))
        });
    }
    for bad in ["10.0.0.1/24", "home.example", "0.0.0.0/0", "10.0.0"] {
        add(&format!("then = \"ask\"\nwhen = {{ cidr = [\"10.1.0.0/16\", «\"{bad}\"»] }}"), |f| {
            matches!(f, Fault::Pairing(PairingFault::Cidr { .. }))
        });
    }
    add("then = \"ask\"\nwhen = { cidr = «[\"0.0.0.0/1\", \"128.0.0.0/1\"]» }", |f| {
        matches!(f, Fault::Pairing(PairingFault::Cidr { cause: RangeFault::Everyone, .. }))
    });
    add("then = \"ask\"\nwhen = { cidr = «\"office\"» }", |f| matches!(f, Fault::RangeName { .. }));
    add(
        "then = \"ask\"\nwhen = { listener = [\"web\", «\"wbe\"»] }",
        |f| matches!(f, Fault::Pairing(PairingFault::Listener { known, .. }) if known.len() == 3),
    );
    add("then = \"ask\"\nwhen = { client = «\"openclaw\"» }", |f| {
        matches!(f, Fault::Pairing(PairingFault::Client(_)))
    });
    add("then = \"ask\"\nwhen = { role = «\"admin\"» }", |f| matches!(f, Fault::UnknownValue { .. }));
    add("then = \"ask\"\nwhen = { identity = «{ login = \"ann\" }» }", |f| *f == Fault::Missing { key: "provider" });
    for (bad, cause) in [("*", LoginFault::Pattern), ("a*", LoginFault::Pattern), ("a ", LoginFault::Unreadable)] {
        let rule =
            format!("then = \"ask\"\nwhen = {{ identity = {{ provider = \"pomerium\", login = [«\"{bad}\"»] }} }}");
        all_of(&mut add, &rule, cause);
    }
    let group =
        |group: &str| format!("then = \"ask\"\nwhen = {{ identity = {{ provider = \"pomerium\", group = {group} }} }}");
    add(&group("[\"staff\", «\"*\"»]"), |f| {
        matches!(f, Fault::Pairing(PairingFault::Group { cause: GroupFault::Pattern, .. }))
    });
    add(&group("«\"staff \"»"), |f| {
        matches!(f, Fault::Pairing(PairingFault::Group { cause: GroupFault::Unreadable, .. }))
    });
    add(&group("«[]»"), |f| *f == Fault::Pairing(PairingFault::Empty { key: "group" }));
    add(&group("«7»"), |f| matches!(f, Fault::WrongType { .. }));
    add(&group("\"staff\"").replace("group", "«gruop»"), |f| {
        matches!(f, Fault::UnknownKey { closest: Some("group"), .. })
    });
    for bad in ["tailscale", "pomerum"] {
        add(&format!("then = \"ask\"\nwhen = {{ identity = {{ provider = «\"{bad}\"» }} }}"), |f| {
            matches!(f, Fault::Pairing(PairingFault::Provider { .. }))
        });
    }
    all
}

fn of_times() -> Vec<(String, Expected)> {
    let mut all: Vec<(String, Expected)> = Vec::new();
    let mut add =
        |rule: &str, expected: Expected| all.push((format!("{HOUSE}[[core.pairing.rule]]\n{rule}"), expected));
    let time = |time: &str| format!("then = \"ask\"\nwhen = {{ time = {time} }}");
    add(&time("«{ days = [\"mon\"] }»"), |f| *f == Fault::Missing { key: "zone" });
    add(&time("{ zone = «\"Europe/Berln\"», days = [\"mon\"] }"), |f| {
        matches!(f, Fault::Pairing(PairingFault::Zone(_)))
    });
    add(&time("«{ zone = \"UTC\" }»"), |f| *f == Fault::Pairing(PairingFault::TimeEmpty));
    add(&time("{ zone = \"UTC\", from = «\"08:00\"» }"), |f| *f == Fault::Missing { key: "to" });
    add(&time("{ zone = \"UTC\", from = \"08:00\", to = «\"08:00\"» }"), |f| {
        *f == Fault::Pairing(PairingFault::HoursEmpty)
    });
    add(&time("{ zone = \"UTC\", from = «\"8:00\"», to = \"09:00\" }"), |f| {
        matches!(f, Fault::Pairing(PairingFault::TimeOfDay(_)))
    });
    add(&time("{ zone = \"UTC\", days = [«\"monday\"»] }"), |f| matches!(f, Fault::UnknownValue { .. }));
    all
}

fn of_approvals() -> Vec<(String, Expected)> {
    let mut all: Vec<(String, Expected)> = Vec::new();
    let mut add =
        |rule: &str, expected: Expected| all.push((format!("{HOUSE}[[core.pairing.rule]]\n{rule}"), expected));
    let approve = |when: &str, then: &str| format!("when = {when}\nthen = {then}\n");
    let lan = "{ class = \"private\" }";
    add(&approve(lan, "{ approve = «[]» }"), |f| matches!(f, Fault::Pairing(PairingFault::Empty { key: "approve" })));
    add(&approve(lan, "{ approve = [«\"a b\"»] }"), |f| matches!(f, Fault::Pairing(PairingFault::Scope(_))));
    add(&approve(lan, "«{ approve = [\"operator.read\"] }»"), |f| is(f, RuleFault::NeedsDanger));
    add(&approve("{ client = \"cli\" }", "«{ approve = [\"operator.read\"] }»"), |f| {
        is(f, RuleFault::ApprovesAnybody)
    });
    let danger = |when: &str, then: &str| format!("{}danger_approve_by_address = true", approve(when, then));
    add(&danger(lan, "«{ approve = [\"operator.pairing\"] }»"), |f| is(f, RuleFault::CapByAddress(Scope::PAIRING)));
    add(&danger("«{ class = \"private\", role = \"node\" }»", "{ approve = [] }"), |f| {
        is(f, RuleFault::NodeByAddress)
    });
    add(&danger(lan, "«{ approve = [\"operator.read\"], credential = \"identity\" }»"), |f| {
        is(f, RuleFault::IdentityUnnamed)
    });
    add(&danger("«{ class = [\"unattributed\"] }»", "{ approve = [\"operator.read\"] }"), |f| {
        is(f, RuleFault::ApprovesUnattributed)
    });
    add("then = \"ask\"\ndanger_approve_by_address = «true»", |f| is(f, RuleFault::DangerUseless));
    all
}

fn is(fault: &Fault, cause: RuleFault) -> bool {
    *fault == Fault::Pairing(PairingFault::Rule(cause))
}

fn all_of(add: &mut impl FnMut(&str, Expected), rule: &str, cause: LoginFault) {
    match cause {
        LoginFault::Pattern => {
            add(rule, |f| matches!(f, Fault::Pairing(PairingFault::Login { cause: LoginFault::Pattern, .. })))
        }
        LoginFault::Unreadable => {
            add(rule, |f| matches!(f, Fault::Pairing(PairingFault::Login { cause: LoginFault::Unreadable, .. })))
        }
    }
}

#[test]
fn rules_stand_in_the_order_of_the_file() {
    let config = parse(&format!(
        r#"{HOUSE}{TAILNET}
[[core.pairing.rule]]
name = "family"
when = {{ class = "tailnet", identity = {{ provider = "tailscale", login = ["ann@example.com", "*@example.org"] }} }}
then = {{ approve = ["operator.read", "operator.admin"], credential = "identity" }}
[[core.pairing.rule]]
when = {{ cidr = "10.0.0.0/24", listener = ["lan"], client = ["cli"], role = "operator",
         time = {{ zone = "Europe/Berlin", days = ["mon", "fri"], from = "22:00", to = "06:00" }} }}
then = {{ approve = ["operator.write"] }}
danger_approve_by_address = true
[[core.pairing.rule]]
then = "refuse"
"#
    ))
    .unwrap();
    let rules: Vec<_> = config.core.rules.iter().collect();
    let names: Vec<_> = rules.iter().map(|rule| rule.name().to_string()).collect();
    assert_eq!(names, ["family", "2", "3"]);
    assert!(rules[0].takes(Credential::Identity) && !rules[1].takes(Credential::Identity));
    assert_eq!((rules[1].when().clients.len(), rules[2].then()), (1, &Then::Refuse));
    assert_eq!(rules[1].when().window.as_ref().unwrap().to_string(), "mon, fri 22:00 to 06:00 in Europe/Berlin");
}

#[test]
fn what_is_odd_about_rules_is_warned_of() {
    let rule = |when: &str, then: &str| format!("[[core.pairing.rule]]\nwhen = {when}\nthen = {then}\n");
    let approve =
        |when: &str| format!("{}danger_approve_by_address = true\n", rule(when, "{ approve = [\"operator.read\"] }"));
    let who = |who: &str| rule(&format!("{{ identity = {{ {who} }} }}"), "{ approve = [\"operator.read\"] }");
    let ask = |when: &str| rule(when, "\"ask\"");
    for (rules, words) in [
        // Never met.
        (format!("{}{}", ask("{}"), ANN), "rule 2: it can never match: whoever it means is met by core.pairing.rule 1"),
        (
            format!("{}{}", ask("{ class = [\"private\", \"public\"] }"), ask("{ class = \"public\" }")),
            "rule 2: it can never",
        ),
        (
            format!("{}{}", ask("{ cidr = \"10.0.0.0/8\" }"), ask("{ cidr = \"10.1.0.0/16\", role = \"node\" }")),
            "rule 2: it",
        ),
        (ask("{ class = \"public\", cidr = \"192.168.0.0/16\" }"), "no caller of its class has an address in its cidr"),
        (
            ask("{ class = \"private\", cidr = \"203.0.113.0/24\" }"),
            "no caller of its class has an address in its cidr",
        ),
        (
            ask("{ class = \"unattributed\", cidr = \"10.0.0.0/8\" }"),
            "no caller of its class has an address in its cidr",
        ),
        (ask("{ class = \"tailnet\" }"), "nobody is of class tailnet unless"),
        (ask("{ class = \"local\", listener = \"lan\" }"), "nobody is of class local on these listeners"),
        (
            ask("{ class = \"local\", identity = { provider = \"pomerium\" } }"),
            "comes through a proxy, and is never local",
        ),
        (
            ask("{ listener = \"lan\", identity = { provider = \"pomerium\" } }"),
            "pomerium is not read on these listeners",
        ),
        (
            format!("{TAILNET}{}", ask("{ class = \"public\", identity = { provider = \"tailscale\" } }")),
            "and of no other",
        ),
        (
            who("provider = \"pomerium\", group = \"staff\""),
            "it can never match: the [[identity]] pomerium has no groups_claim",
        ),
        (
            format!("{TAILNET}{}", who("provider = \"tailscale\", group = \"staff\"")),
            "it can never match: tailscale tells no groups",
        ),
        // Less is known than it asks for.
        (
            ask("{ identity = { provider = \"pomerium\", group = \"staff\" } }"),
            "it meets whoever it names, in whatever group: the [[identity]] pomerium has no groups_claim",
        ),
        // More than it seems.
        (
            format!(
                "{TAILNET}danger_any_address = true\n{}",
                who("provider = \"tailscale\", login = \"ann@a.example\"")
            ),
            "rule 1: it approves by tailscale, whose word is worth little with danger_any_address",
        ),
        (who("provider = \"pomerium\""), "every account that pomerium knows"),
        (who("provider = \"pomerium\", login = \"*@Gmail.com\""), "anybody can have such an account"),
        (approve("{ class = \"private\" }"), "danger_approve_by_address approves whoever is there"),
        (approve("{ class = \"nat\" }"), "class nat: everybody whom"),
        (approve("{ class = \"container\" }"), "class container: every neighbour"),
        (approve("{ class = \"public\" }"), "the whole Internet"),
        (format!("{TAILNET}{}", approve("{ class = \"tailnet\" }")), "class tailnet without an identity"),
        (approve("{ listener = \"lan\" }"), "it approves on a listener, wherever"),
        (approve("{ cidr = \"203.0.113.0/24\" }"), "public addresses, which change hands"),
        (approve("{ cidr = \"10.0.0.0/8\" }"), "10.0.0.0/8 is wider"),
        // Neither.
        (ANN.replace("operator.read", "node.exec"), "no operator asks for node.exec"),
        (
            rule(
                "{ role = \"node\", identity = { provider = \"pomerium\", login = \"a\" } }",
                "{ approve = [\"operator.read\"] }",
            ),
            "no node asks for operator.read",
        ),
        (rule("{}", "\"refuse\""), "it refuses new devices at this machine too"),
    ] {
        let config = parse(&format!("{HOUSE}{rules}")).unwrap_or_else(|error| panic!("{error}"));
        assert!(
            config.warnings.iter().any(|warning| warning.contains(words)),
            "{rules}\n{words}\n{:#?}",
            config.warnings
        );
    }
}

#[test]
fn what_is_plain_is_not_warned_of() {
    for rules in [
        ANN.to_owned(),
        format!(
            "{ANN}[[core.pairing.rule]]\nwhen = {{ class = \"local\" }}\nthen = \"ask\"\n[[core.pairing.rule]]\nthen = \"refuse\"\n"
        ),
        // Nobody is let in by that word.
        format!(
            "{TAILNET}danger_any_address = true\n[[core.pairing.rule]]\nwhen = {{ identity = {{ provider = \"tailscale\" }} \
             }}\nthen = \"ask\"\n"
        ),
        // Whom the first means by name is asked after; the second is for others.
        format!("{ANN}{}", ANN.replace("ann@", "bob@")),
        // Who is in a group that is told; the second meets whose groups nobody told, too.
        format!(
            "groups_claim = \"groups\"\n{}{}",
            ANN.replace("login = \"ann@example.com\"", "group = [\"staff\", \"admins\"]"),
            "[[core.pairing.rule]]\nwhen = { identity = { provider = \"pomerium\", group = \"staff\" } }\nthen = \"ask\"\n"
        ),
        // The first is about an address, which who hides behind one has not.
        "[[core.pairing.rule]]\nwhen = { class = \"nat\", cidr = \"172.18.0.0/16\" }\nthen = \"ask\"\n".to_owned(),
    ] {
        let config = parse(&format!("{HOUSE}{rules}")).unwrap_or_else(|error| panic!("{error}"));
        let told: Vec<_> = config.warnings.iter().filter(|warning| warning.contains("core.pairing")).collect();
        assert!(told.is_empty() || (told.len() == 1 && told[0].contains("at this machine too")), "{rules}\n{told:#?}");
    }
}
