//! What is odd about rules that are sound, each by itself: one that can never match, one that opens more than it seems to.
//! Said by `check`, at start and by a reload.

use crate::origin::Class;
use crate::origin::Network;
use crate::pairing::rule::Login;
use crate::pairing::rule::Rule;
use crate::pairing::rule::RuleName;
use crate::pairing::rule::Rules;
use crate::pairing::rule::Then;
use crate::pairing::rule::kin::is_beyond_private;
use crate::protocol::scope::Role;

/// Domains whose accounts are anybody's: mail providers, and what tailscaled writes behind accounts of other sites.
const ANYBODYS: [&str; 16] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "live.com",
    "icloud.com",
    "me.com",
    "yahoo.com",
    "proton.me",
    "protonmail.com",
    "gmx.de",
    "gmx.net",
    "web.de",
    "aol.com",
    "github",
    "passkey",
];

/// What rules speak of, as far as it decides whom they can meet.
#[derive(Clone, Debug, Default)]
pub struct House<'h> {
    /// The listeners that may call somebody local.
    pub local: Vec<&'h str>,
    /// Who verifies identities, and on which listeners.
    pub providers: Vec<Provider<'h>>,
    /// Whether tailscaled is asked.
    pub tailnet: bool,
}

/// One who verifies identities.
#[derive(Clone, Debug)]
pub struct Provider<'h> {
    /// The name.
    pub name: &'h str,
    /// Where it is heard; none if on all listeners, which is the tailnet's daemon.
    pub listeners: Option<&'h [String]>,
    /// Whether it tells who is in which group.
    pub groups: Groups,
}

/// What a provider tells of groups.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Groups {
    /// Those in a claim that is read.
    Told,
    /// Nothing.
    Untold,
}

/// Everything that is odd, in the order of the rules.
pub fn review(rules: &Rules, house: &House<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, rule) in (1..).zip(rules.iter()) {
        let mut say = |text: String| found.push(format!("{}: {text}", titled(place, rule.name())));
        let mut before = (1..place).zip(rules.iter());
        let earlier = before.find(|(_, earlier)| earlier.covers(rule));
        if let Some(reason) = impossible(rule, house) {
            say(format!("it can never match: {reason}"));
        } else if let Some((first, earlier)) = earlier {
            let first = titled(first, earlier.name());
            say(format!("it can never match: whoever it means is met by {first} before"));
        } else {
            let odd = opens(rule).into_iter().chain(unasked(rule)).chain(keeps_out(rule, house));
            odd.chain(meets_all(rule, house)).for_each(say);
        }
    }
    found
}

/// The rules that approve by the word of `provider`, as they are called in front of people.
pub fn resting_on(provider: &str, rules: &Rules) -> impl Iterator<Item = String> {
    let named = move |rule: &Rule| rule.when().who.as_ref().is_some_and(|who| who.provider == provider);
    let approving = (1..).zip(rules.iter()).filter(move |(_, rule)| rule.is_approval() && named(rule));
    approving.map(|(place, rule)| titled(place, rule.name()))
}

/// What `network` hides behind addresses that a rule names.
pub fn hidden(rules: &Rules, network: &Network) -> Vec<String> {
    let masked = |(place, rule): (usize, &Rule)| {
        let range = rule.when().cidr.iter().flat_map(|cidr| cidr.iter()).find_map(|range| network.masks_in(range))?;
        let named = rule.when().classes.contains(&Class::Nat);
        let outcome = match (rule.is_approval(), named) {
            (false, _) => "strangers who come through it match too",
            (true, false) => "who comes through it is not approved, for nobody can tell who that is",
            (true, true) => "strangers who come through it are approved too",
        };
        let title = titled(place, rule.name());
        Some(format!(
            "{title}: its cidr takes in {range}, behind which this machine's network hides callers: {outcome}"
        ))
    };
    (1..).zip(rules.iter()).filter_map(masked).collect()
}

/// What the rule at `place` is called in front of people: by that, and by its name if it has one.
pub fn titled(place: usize, name: &RuleName) -> String {
    let named = if name.is_place() { String::new() } else { format!(" \"{name}\"") };
    format!("core.pairing.rule {place}{named}")
}

/// Why nobody can ever match it.
fn impossible(rule: &Rule, house: &House<'_>) -> Option<String> {
    let when = rule.when();
    let classes = rule.classes();
    let only = |class: Class| classes.iter().all(|found| *found == class);
    let lacks = |class: Class| !classes.contains(&class);
    let here = |name: &&str| when.listeners.is_empty() || when.listeners.iter().any(|listener| listener == name);
    if classes.is_empty() {
        return Some("no caller of its class has an address in its cidr".to_owned());
    }
    if only(Class::Tailnet) && !house.tailnet {
        return Some("nobody is of class tailnet unless [tailscale] whois = true".to_owned());
    }
    if only(Class::Local) && !house.local.iter().any(here) {
        return Some("nobody is of class local on these listeners".to_owned());
    }
    let who = when.who.as_ref()?;
    if rule.is_approval()
        && let Some(untold) = untold(rule, house)
    {
        return Some(untold);
    }
    match house.providers.iter().find(|provider| provider.name == who.provider)?.listeners {
        None if lacks(Class::Tailnet) => {
            Some(format!("{} names callers of class tailnet, and of no other", who.provider))
        }
        Some(_) if only(Class::Local) => {
            Some(format!("who comes with a token of {} comes through a proxy, and is never local", who.provider))
        }
        Some(read) if !read.iter().any(|listener| here(&listener.as_str())) => {
            Some(format!("{} is not read on these listeners", who.provider))
        }
        None | Some(_) => None,
    }
}

/// Why nobody knows the groups that it asks for, if so.
fn untold(rule: &Rule, house: &House<'_>) -> Option<String> {
    let who = rule.when().who.as_ref().filter(|who| !who.groups.is_empty())?;
    let provider = house.providers.iter().find(|provider| provider.name == who.provider)?;
    match (provider.groups, provider.listeners) {
        (Groups::Told, _) => None,
        (Groups::Untold, None) => Some(format!("{} tells no groups", who.provider)),
        (Groups::Untold, Some(_)) => Some(format!("the [[identity]] {} has no groups_claim", who.provider)),
    }
}

/// That it keeps out more than it names.
fn meets_all(rule: &Rule, house: &House<'_>) -> Option<String> {
    untold(rule, house).map(|reason| format!("it meets whoever it names, in whatever group: {reason}"))
}

/// What it lets in that its writer may not have thought of.
fn opens(rule: &Rule) -> Vec<String> {
    if !rule.is_approval() {
        return Vec::new();
    }
    let when = rule.when();
    let Some(who) = &when.who else { return by_address(rule) };
    let mut found = Vec::new();
    let anybodys = who.logins.iter().find(|login| is_anybodys(login));
    if !who.groups.is_empty() {
        return found;
    }
    if who.logins.is_empty() {
        found.push(format!("it approves every account that {} knows, guests too", who.provider));
    } else if let Some(login) = anybodys {
        found.push(format!("it approves {login} of {}: anybody can have such an account", who.provider));
    }
    found
}

fn is_anybodys(login: &Login) -> bool {
    matches!(login, Login::Domain(domain) if ANYBODYS.iter().any(|known| known.eq_ignore_ascii_case(domain)))
}

fn by_address(rule: &Rule) -> Vec<String> {
    let when = rule.when();
    let mut found = vec![
        "danger_approve_by_address approves whoever is there and has the gateway token, and nobody looks".to_owned(),
    ];
    if when.classes.is_empty() && when.cidr.is_none() {
        found.push("it approves on a listener, wherever somebody calls from".to_owned());
    }
    for class in &when.classes {
        found.extend(
            match class {
                Class::Container => {
                    Some("class container: every neighbour on our own container network, whatever runs there")
                }
                Class::Nat => Some(
                    "class nat: everybody whom a forwarder, a tunnel or a container's gateway hides, strangers too",
                ),
                Class::Public => Some("class public: the whole Internet"),
                Class::Tailnet => Some(
                    "class tailnet without an identity: everybody on the tailnet, and whom its nodes are shared with",
                ),
                Class::Local | Class::Private | Class::Unattributed => None,
            }
            .map(str::to_owned),
        );
    }
    let cidr = when.cidr.as_ref();
    if cidr.is_some_and(is_beyond_private) && !rule.classes().iter().all(|class| *class != Class::Public) {
        found.push("its cidr has public addresses, which change hands".to_owned());
    }
    let wide = |range: &ipnet::IpNet| range.prefix_len() < if range.addr().is_ipv4() { 16 } else { 32 };
    if let Some(range) = cidr.and_then(|cidr| cidr.iter().find(wide)) {
        found.push(format!("{range} is wider than any site's network"));
    }
    found
}

/// What its cap gives that nobody asks for in that role.
fn unasked(rule: &Rule) -> Option<String> {
    let Then::Approve(approval) = rule.then() else { return None };
    let role = rule.when().role.unwrap_or(Role::Operator);
    let fits = |scope: &str| scope.starts_with("operator.") == (role == Role::Operator);
    let scope = approval.cap.iter().find(|scope| !fits(scope.as_str()))?;
    Some(format!("no {role} asks for {scope}"))
}

/// That its owner shuts himself out.
fn keeps_out(rule: &Rule, house: &House<'_>) -> Option<String> {
    let when = rule.when();
    let refuses = *rule.then() == Then::Refuse && when.who.is_none() && when.clients.is_empty();
    let here = |name: &&str| when.listeners.is_empty() || when.listeners.iter().any(|listener| listener == name);
    let local = refuses && rule.classes().contains(&Class::Local) && house.local.iter().any(here);
    local.then(|| {
        "it refuses new devices at this machine too; a rule before it with class = \"local\" would let them ask"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::range::{Ranges, Width};
    use crate::origin::container::Container;
    use crate::origin::link::{Link, LinkKind};
    use crate::pairing::rule::{Approval, Basis, Credential, When};
    use crate::protocol::scope::{Scope, Scopes};

    #[test]
    fn a_cidr_over_the_container_bridge_takes_in_whom_it_hides() {
        let link =
            Link { name: "eth0".into(), kind: LinkKind::Veth, addresses: vec!["172.18.0.2/16".parse().unwrap()] };
        let contained = Network::new(["172.18.0.1".parse().unwrap()], 0).with_links(&[link], Some(Container::Mount));
        let host = Network::new(["192.168.1.1".parse().unwrap()], 0).with_links(&[], None);
        let (nat, any) = (vec![Class::Nat, Class::Private], Vec::new());
        for (cidr, classes, then, expected) in [
            ("172.18.0.0/16", &any, approve(), Some("is not approved, for nobody can tell")),
            ("172.18.0.1", &any, approve(), Some("is not approved, for nobody can tell")),
            ("172.16.0.0/12", &nat, approve(), Some("strangers who come through it are approved too")),
            ("172.16.0.0/12", &any, Then::Refuse, Some("strangers who come through it match too")),
            ("172.18.0.7", &any, approve(), None),
            ("192.168.1.0/24", &any, approve(), None),
        ] {
            let cidr_read = Ranges::parse(&[cidr], Width::Wide).unwrap();
            let when = When { cidr: Some(cidr_read), classes: classes.clone(), ..When::default() };
            let basis = if then == Then::Refuse { Basis::Identity } else { Basis::Address };
            let plain = Rule::new(RuleName::of_place(1), When::default(), Then::Ask, Basis::Identity).unwrap();
            let rule = Rule::new(RuleName::parse("lan").unwrap(), when, then, basis).unwrap();
            let rules = Rules::new(vec![plain, rule]);
            let told = hidden(&rules, &contained);
            assert_eq!(told.len(), usize::from(expected.is_some()), "{cidr}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.starts_with("core.pairing.rule 2 \"lan\": its cidr takes in 172.18.0."), "{told}");
                assert!(told.contains(expected), "{cidr}: {told}");
            }
            assert_eq!(hidden(&rules, &host), [""; 0], "{cidr}: nothing is hidden from a machine of its own");
        }
    }

    fn approve() -> Then {
        let cap = Scopes::from_iter([Scope::READ]);
        Then::Approve(Approval { cap, credential: Credential::Secret })
    }
}
