//! Why a rule matched or did not, in words for its operator. What a stranger sent is escaped.

use crate::base::clock::UnixMillis;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::identity::claims::IdentityClaim;
use crate::pairing::rule::Facts;
use crate::pairing::rule::Miss;
use crate::pairing::rule::Rule;
use crate::pairing::rule::Then;

impl Rule {
    /// The facts by which its conditions hold, where they do.
    pub fn matched(&self, facts: &Facts<'_>, now: UnixMillis) -> String {
        let when = self.when();
        let mut held = Vec::new();
        if !when.classes.is_empty() {
            held.push(format!("class {}", facts.origin.class.as_str()));
        }
        if when.cidr.is_some() {
            held.push(format!("address {}", facts.origin.client_shown()));
        }
        if !when.listeners.is_empty() {
            held.push(format!("listener {}", facts.origin.listener));
        }
        if let (Some(_), Some(identity)) = (&when.who, facts.identity) {
            held.push(shown(identity));
            held.extend(self.groups_held(identity));
        }
        if when.role.is_some() {
            held.push(format!("role {}", facts.role));
        }
        if !when.clients.is_empty() {
            held.push(format!("client {}", facts.client.as_str()));
        }
        if let Some(window) = &when.window {
            held.push(format!("time {}", window.shown(now)));
        }
        if held.is_empty() { "it has no conditions".to_owned() } else { held.join(", ") }
    }

    /// Why it does not match.
    pub fn missed(&self, miss: Miss, facts: &Facts<'_>, now: UnixMillis) -> String {
        let origin = facts.origin;
        let identity = || facts.identity.map(shown).unwrap_or_default();
        let provider = || self.when().who.as_ref().map(|who| who.provider.clone()).unwrap_or_default();
        match miss {
            Miss::Address if origin.ip.is_none() => "nobody can say from which address this comes".to_owned(),
            Miss::Address => format!("the address is {}", origin.client_shown()),
            Miss::Class => format!("the class is {}", origin.class.as_str()),
            Miss::Client => format!("the client is {}", facts.client.as_str()),
            Miss::ClockUnset => "this machine's clock is not set, so nobody knows the time".to_owned(),
            Miss::Group => {
                let none = Vec::new();
                let names = facts.identity.and_then(|identity| identity.groups.as_ref()).unwrap_or(&none);
                let names: Vec<_> = names.iter().map(|name| printable(name, LABEL_CHARS_MAX)).collect();
                let named =
                    if names.is_empty() { "in no group".to_owned() } else { format!("in {}", names.join(", ")) };
                format!("it is {}, {named}", identity())
            }
            Miss::GroupsUnknown => format!("it is {}, whose groups were not told", identity()),
            Miss::Hidden => format!("the address {} hides who calls (class nat)", origin.client_shown()),
            Miss::Listener => format!("the listener is {}", origin.listener),
            Miss::Login => format!("it is {}", identity()),
            Miss::Nobody => format!("{} named nobody", provider()),
            Miss::Provider => format!("it is {}, and not of {}", identity(), provider()),
            Miss::Role => format!("the role is {}", facts.role),
            Miss::Time => {
                let shown = self.when().window.as_ref().map(|window| window.shown(now));
                format!("it was {}", shown.unwrap_or_default())
            }
            Miss::Unattributed => "nobody can say who calls".to_owned(),
        }
    }

    /// By which groups it matches, where it asks for any.
    fn groups_held(&self, identity: &IdentityClaim) -> Option<String> {
        let asked = self.when().who.as_ref().map(|who| &who.groups).filter(|groups| !groups.is_empty())?;
        let Some(names) = &identity.groups else { return Some("whose groups were not told".to_owned()) };
        let meant = names.iter().filter(|name| asked.iter().any(|group| group.is(name)));
        let meant: Vec<_> = meant.map(|name| printable(name, LABEL_CHARS_MAX)).collect();
        Some(format!("group {}", meant.join(", ")))
    }

    /// What it does, in a word or two.
    pub fn told(&self) -> String {
        match self.then() {
            Then::Approve(approval) => {
                let cap: Vec<_> = approval.cap.iter().map(ToString::to_string).collect();
                format!("approve up to {}", if cap.is_empty() { "no scope".to_owned() } else { cap.join(", ") })
            }
            Then::Ask => "ask".to_owned(),
            Then::Refuse => "refuse".to_owned(),
        }
    }
}

fn shown(identity: &IdentityClaim) -> String {
    format!("{} of {}", printable(&identity.login, LABEL_CHARS_MAX), identity.provider)
}
