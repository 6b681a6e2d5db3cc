//! `[core.pairing]`: for how long a device waits for a person, and the rules by which devices are approved, asked for or
//! refused. What names something that is not there, or
//! would approve strangers, is refused here; what is merely odd is warned of.

use jiff::tz::TimeZone;

use crate::base::limits::{PENDING_LIFE_SECONDS_MAX, PENDING_LIFE_SECONDS_MIN, RULES_MAX};
use crate::edge;
use crate::listener;
use crate::net::named;
use crate::net::range::{Ranges, Width};
use crate::origin::{Class, LocalRule};
use crate::pairing::request::PendingLife;
use crate::pairing::rule::review::{self, Groups};
use crate::pairing::rule::{
    Approval, Basis, Credential, Day, Group, Hours, Login, Rule, RuleName, Rules, Then, TimeOfDay, When, Who, Window,
    Zone,
};
use crate::protocol::connect::ClientId;
use crate::protocol::scope::{Role, Scope, Scopes};
use crate::tailscale;

use super::Config;
use super::fault::Fault;
use super::fault::pairing::PairingFault;
use super::ranges::Lists;
use super::section::{Keys, Placed, Problems, Section};

pub(super) const PAIRING: Keys = Keys { known: &["pending_ttl_seconds", "rule"], later: &[] };
pub(super) const RULE: Keys = Keys { known: &["name", "when", "then", "danger_approve_by_address"], later: &[] };
pub(super) const WHEN: Keys =
    Keys { known: &["class", "cidr", "listener", "identity", "role", "client", "time"], later: &[] };
pub(super) const WHO: Keys = Keys { known: &["provider", "login", "group"], later: &[] };
pub(super) const TIME: Keys = Keys { known: &["zone", "days", "from", "to"], later: &[] };
pub(super) const THEN: Keys = Keys { known: &["approve", "credential"], later: &[] };

const CLASSES: [(&str, Class); 7] = [
    ("local", Class::Local),
    ("tailnet", Class::Tailnet),
    ("container", Class::Container),
    ("nat", Class::Nat),
    ("private", Class::Private),
    ("public", Class::Public),
    ("unattributed", Class::Unattributed),
];
const ROLES: [(&str, Role); 2] = [("operator", Role::Operator), ("node", Role::Node)];
const CREDENTIALS: [(&str, Credential); 2] = [("secret", Credential::Secret), ("identity", Credential::Identity)];
const WORDS: [(&str, Then); 2] = [("ask", Then::Ask), ("refuse", Then::Refuse)];

/// What a rule can speak of.
pub(super) struct Terms<'h> {
    pub(super) listeners: &'h [listener::Settings],
    pub(super) identities: &'h [edge::identities::Settings],
    pub(super) whois: Whois,
}

/// Whether tailscaled is asked who calls.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Whois {
    Asked,
    NotAsked,
}

impl Terms<'_> {
    fn providers(&self) -> Vec<String> {
        let own = (self.whois == Whois::Asked).then(|| tailscale::PROVIDER.to_owned());
        self.identities.iter().map(|identity| identity.expected.provider.clone()).chain(own).collect()
    }
}

/// Reads for how long a device waits.
pub(super) fn read_life(pairing: &Section<'_>, problems: &mut Problems) -> PendingLife {
    let bounds = PENDING_LIFE_SECONDS_MIN..=PENDING_LIFE_SECONDS_MAX;
    let seconds = pairing.number("pending_ttl_seconds", bounds, problems);
    seconds.and_then(PendingLife::of_seconds).unwrap_or_default()
}

/// Reads all rules, in their order; none where one is wrong.
pub(super) fn read_rules(
    pairing: &Section<'_>,
    terms: &Terms<'_>,
    lists: &mut Lists,
    problems: &mut Problems,
) -> Rules {
    let sections = pairing.tables("rule", &RULE, problems);
    if sections.len() > RULES_MAX {
        let span = pairing.span_of("rule").unwrap_or_default();
        problems.add(Fault::TooMany { key: "rule", max: RULES_MAX }, &span);
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (place, section) in (1..).zip(sections.iter().take(RULES_MAX)) {
        let rule = read_rule(section, place, terms, lists, problems);
        if let Some(rule) = &rule
            && rules.iter().any(|other| other.name() == rule.name())
        {
            let span = section.span_of("name").unwrap_or_else(|| section.span().clone());
            problems.add(PairingFault::NameTaken(rule.name().to_string()).into(), &span);
        }
        rules.extend(rule);
    }
    Rules::new(rules)
}

/// What is odd about the rules of `config`.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let local = |listener: &&listener::Settings| listener.origin.local != LocalRule::Never;
    let asked = config.tailscale.is_some();
    let own = asked.then_some(review::Provider { name: tailscale::PROVIDER, listeners: None, groups: Groups::Untold });
    let providers = config.identities.iter().map(|identity| review::Provider {
        name: &identity.expected.provider,
        listeners: Some(&identity.listeners),
        groups: if identity.expected.groups_claim.is_some() { Groups::Told } else { Groups::Untold },
    });
    let house = review::House {
        local: config.listeners.iter().filter(local).map(|listener| listener.name.as_str()).collect(),
        providers: providers.chain(own).collect(),
        tailnet: asked,
    };
    let mut found = review::review(&config.core.rules, &house);
    if config.tailscale.as_ref().is_some_and(|tailscale| tailscale.dialled == tailscale::Dialled::AnyAddress) {
        found.extend(review::resting_on(tailscale::PROVIDER, &config.core.rules).map(|title| {
            format!(
                "{title}: it approves by {}, whose word is worth little with danger_any_address",
                tailscale::PROVIDER
            )
        }));
    }
    found
}

fn read_rule(
    section: &Section<'_>,
    place: usize,
    terms: &Terms<'_>,
    lists: &mut Lists,
    problems: &mut Problems,
) -> Option<Rule> {
    let name = read_name(section, place, problems);
    let danger = section.flag("danger_approve_by_address", problems);
    let when = match section.span_of("when") {
        Some(_) => section.table("when", &WHEN, problems).and_then(|when| read_when(&when, terms, lists, problems)),
        None => Some(When::default()),
    };
    if section.span_of("then").is_none() {
        problems.add(Fault::Missing { key: "then" }, section.span());
    }
    let is_node = when.as_ref().is_some_and(|when| when.role == Some(Role::Node));
    let then = read_then(section, if is_node { Role::Node } else { Role::Operator }, problems);
    let basis = if danger.as_ref().is_some_and(|danger| danger.value) { Basis::Address } else { Basis::Identity };
    let (name, when, then) = (name?, when?, then?);
    let span = |key: &str| section.span_of(key).unwrap_or_else(|| section.span().clone());
    match Rule::new(name, when, then, basis) {
        Ok(rule) => Some(rule),
        Err(cause) => {
            let at = PairingFault::place_of(&cause);
            problems.add(PairingFault::Rule(cause).into(), &span(at));
            None
        }
    }
}

fn read_name(section: &Section<'_>, place: usize, problems: &mut Problems) -> Option<RuleName> {
    if section.span_of("name").is_none() {
        return Some(RuleName::of_place(place));
    }
    let text = section.text("name", problems)?;
    let name = RuleName::parse(text.value);
    match &name {
        None => problems.add(Fault::Name(text.value.to_owned()), &text.span),
        Some(name) if name.is_place() => problems.add(PairingFault::NameIsPlace(name.to_string()).into(), &text.span),
        Some(_) => return name,
    }
    None
}

/// The conditions; none if one of them is wrong.
fn read_when(section: &Section<'_>, terms: &Terms<'_>, lists: &mut Lists, problems: &mut Problems) -> Option<When> {
    let mut sound = true;
    for key in ["class", "cidr", "listener", "client"] {
        if let Some(span) = section.span_of(key).filter(|_| section.is_empty_list(key)) {
            problems.add(PairingFault::Empty { key }.into(), &span);
            sound = false;
        }
    }
    let classes = section.one_or_more_words("class", &CLASSES, problems);
    let cidr = read_cidr(section, lists, problems);
    let listeners = read_listeners(section, terms, problems);
    let clients = read_clients(section, problems);
    let role = section.word("role", &ROLES, &[], problems).map(|role| role.value);
    let who = section.table("identity", &WHO, problems).and_then(|who| read_who(&who, terms, problems));
    let window = section.table("time", &TIME, problems).and_then(|time| read_time(&time, problems));
    // What is written and was not found is wrong, and that was told.
    let found = [
        ("class", !classes.is_empty()),
        ("cidr", cidr.is_some()),
        ("role", role.is_some()),
        ("identity", who.is_some()),
        ("time", window.is_some()),
    ];
    sound &= found.iter().all(|(key, found)| *found || section.span_of(key).is_none());
    let when = When { classes, cidr, listeners: listeners?, who, role, clients: clients?, window };
    sound.then_some(when)
}

fn read_cidr(section: &Section<'_>, lists: &mut Lists, problems: &mut Problems) -> Option<Ranges> {
    let entries = section.one_or_more("cidr", problems);
    let span = section.span_of("cidr")?;
    let mut parts = Vec::new();
    for entry in &entries {
        let malformed = |cause| PairingFault::Cidr { cause, text: entry.value.to_owned() }.into();
        let read = match named::is_name(entry.value) {
            true => lists.find(entry.value, Width::Wide),
            false => Ranges::parse(&[entry.value], Width::Wide).map(Some).map_err(|error| malformed(error.cause)),
        };
        match read {
            Ok(part) => parts.extend(part),
            Err(fault) => problems.add(fault, &entry.span),
        }
    }
    let whole = parts.len() == entries.len() && !parts.is_empty();
    match Ranges::join(parts) {
        Ok(ranges) => whole.then_some(ranges),
        Err(cause) => {
            let text = entries.iter().map(|entry| entry.value).collect::<Vec<_>>().join(", ");
            problems.add(PairingFault::Cidr { cause, text }.into(), &span);
            None
        }
    }
}

fn read_listeners(section: &Section<'_>, terms: &Terms<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let known = || terms.listeners.iter().map(|listener| listener.name.clone());
    let mut listeners = Vec::new();
    let entries = section.one_or_more("listener", problems);
    for entry in &entries {
        if known().any(|name| name == entry.value) {
            listeners.push(entry.value.to_owned());
        } else {
            let fault = PairingFault::Listener { text: entry.value.to_owned(), known: known().collect() };
            problems.add(fault.into(), &entry.span);
        }
    }
    (listeners.len() == entries.len() && (section.span_of("listener").is_none() || !entries.is_empty()))
        .then_some(listeners)
}

fn read_clients(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<ClientId>> {
    let entries = section.one_or_more("client", problems);
    let mut clients = Vec::new();
    for entry in &entries {
        match ClientId::parse(entry.value) {
            Some(client) => clients.push(client),
            None => problems.add(PairingFault::Client(entry.value.to_owned()).into(), &entry.span),
        }
    }
    (clients.len() == entries.len() && (section.span_of("client").is_none() || !entries.is_empty())).then_some(clients)
}

fn read_who(section: &Section<'_>, terms: &Terms<'_>, problems: &mut Problems) -> Option<Who> {
    let provider = section.text("provider", problems);
    if section.span_of("provider").is_none() {
        problems.add(Fault::Missing { key: "provider" }, section.span());
    }
    let logins = read_named(section, "login", problems, |text| {
        Login::parse(text).map_err(|cause| PairingFault::Login { cause, text: text.to_owned() })
    });
    let groups = read_named(section, "group", problems, |text| {
        Group::parse(text).map_err(|cause| PairingFault::Group { cause, text: text.to_owned() })
    });
    let provider = provider?;
    let known = terms.providers();
    if !known.iter().any(|name| name == provider.value) {
        let fault = PairingFault::Provider { text: provider.value.to_owned(), known };
        problems.add(fault.into(), &provider.span);
        return None;
    }
    Some(Who { provider: provider.value.to_owned(), logins: logins?, groups: groups? })
}

/// What `key` names, each read by `parse`; none of it if one is wrong, or the list is empty.
fn read_named<T>(
    section: &Section<'_>,
    key: &'static str,
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, PairingFault>,
) -> Option<Vec<T>> {
    let Some(span) = section.span_of(key) else { return Some(Vec::new()) };
    if section.is_empty_list(key) {
        problems.add(PairingFault::Empty { key }.into(), &span);
        return None;
    }
    let entries = section.one_or_more(key, problems);
    let mut named = Vec::new();
    for entry in &entries {
        match parse(entry.value) {
            Ok(one) => named.push(one),
            Err(fault) => problems.add(fault.into(), &entry.span),
        }
    }
    (named.len() == entries.len() && !entries.is_empty()).then_some(named)
}

fn read_time(section: &Section<'_>, problems: &mut Problems) -> Option<Window> {
    if section.span_of("zone").is_none() {
        problems.add(Fault::Missing { key: "zone" }, section.span());
    }
    let days = section.one_or_more_words("days", &Day::ALL, problems);
    let zone = section.text("zone", problems).and_then(|zone| match TimeZone::get(zone.value) {
        Ok(found) => Some(Zone::new(zone.value, found)),
        Err(_) => {
            problems.add(PairingFault::Zone(zone.value.to_owned()).into(), &zone.span);
            None
        }
    });
    let (from, to) = (read_hour(section, "from", problems), read_hour(section, "to", problems));
    let hours = match (from, to) {
        (None, None) => None,
        (Some(from), Some(to)) => {
            let hours = Hours::new(from.value?, to.value?);
            if hours.is_none() {
                problems.add(PairingFault::HoursEmpty.into(), &to.span);
            }
            Some(hours?)
        }
        (one, other) => {
            let key = if one.is_some() { "to" } else { "from" };
            let span = one.or(other).map_or_else(|| section.span().clone(), |given| given.span);
            problems.add(Fault::Missing { key }, &span);
            return None;
        }
    };
    if hours.is_none() && section.is_empty_list("days") {
        problems.add(PairingFault::TimeEmpty.into(), section.span());
        return None;
    }
    let whole = section.span_of("days").is_none() || !days.is_empty();
    Some(Window { zone: zone?, days, hours }).filter(|_| whole)
}

/// A time of the day, if the key is there; none in it if it is told to be wrong.
fn read_hour(section: &Section<'_>, key: &'static str, problems: &mut Problems) -> Option<Placed<Option<TimeOfDay>>> {
    let span = section.span_of(key)?;
    let value = section.text(key, problems).and_then(|text| {
        let read = TimeOfDay::parse(text.value);
        if read.is_none() {
            problems.add(PairingFault::TimeOfDay(text.value.to_owned()).into(), &text.span);
        }
        read
    });
    Some(Placed { value, span })
}

/// `"ask"`, `"refuse"`, or a table with what is approved for a device that wants to be `role`.
fn read_then(section: &Section<'_>, role: Role, problems: &mut Problems) -> Option<Then> {
    if !section.is_table("then") {
        let text = section.text("then", problems)?;
        let known = WORDS.iter().find(|(word, _)| *word == text.value).map(|(_, then)| then.clone());
        if known.is_none() {
            problems.add(PairingFault::Then(text.value.to_owned()).into(), &text.span);
        }
        return known;
    }
    let then = section.table("then", &THEN, problems)?;
    let Some(list) = then.texts("approve", problems) else {
        if then.span_of("approve").is_none() {
            problems.add(Fault::Missing { key: "approve" }, then.span());
        }
        return None;
    };
    if then.is_empty_list("approve") && role == Role::Operator {
        problems.add(PairingFault::Empty { key: "approve" }.into(), &list.span);
        return None;
    }
    let mut cap = Vec::new();
    for entry in &list.value {
        match Scope::parse(entry.value) {
            Ok(scope) => cap.push(scope),
            Err(_) => problems.add(PairingFault::Scope(entry.value.to_owned()).into(), &entry.span),
        }
    }
    let credential = then.word("credential", &CREDENTIALS, &[], problems);
    if credential.is_none() && then.span_of("credential").is_some() {
        return None;
    }
    let credential = credential.map_or(Credential::Secret, |credential| credential.value);
    let whole = cap.len() == list.value.len();
    whole.then(|| Then::Approve(Approval { cap: Scopes::from_iter(cap), credential }))
}
