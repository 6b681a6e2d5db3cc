//! How rules stand to each other and to what can be: whom one takes from another, and whom none can ever meet.

use crate::net::range::Ranges;
use crate::net::range::Width;
use crate::origin::Class;
use crate::pairing::rule::Doubt;
use crate::pairing::rule::Rule;
use crate::pairing::rule::Then;
use crate::pairing::rule::When;
use crate::pairing::rule::Who;

/// All classes.
const CLASSES: [Class; 7] =
    [Class::Local, Class::Tailnet, Class::Container, Class::Nat, Class::Private, Class::Public, Class::Unattributed];
/// What [`Class::Private`] can be.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
];
/// What [`Class::Tailnet`] can be.
const TAILNET: [&str; 2] = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"];

impl Rule {
    /// The classes of which somebody could match it.
    pub(super) fn classes(&self) -> Vec<Class> {
        let When { classes, cidr, who, .. } = self.when();
        let approves = matches!(self.then(), Then::Approve(_));
        let can_be = |class: &Class| {
            let named = classes.is_empty() || classes.contains(class);
            let known = *class != Class::Unattributed || !approves || who.is_some();
            let plain = *class != Class::Nat || !approves || !self.minds_nat();
            named && known && plain && cidr.as_ref().is_none_or(|cidr| has(cidr, *class))
        };
        CLASSES.into_iter().filter(can_be).collect()
    }

    /// Whether everybody who could match `later` matches this rule already.
    pub(super) fn covers(&self, later: &Self) -> bool {
        let (one, other) = (self.when(), later.when());
        let classes = self.classes();
        let times = match (&one.window, &other.window) {
            (None, _) => true,
            // Where the clock is not set an approval is no longer sure of its time, and anything else is.
            (Some(one), Some(other)) => one == other && (!self.is_approval() || later.is_approval()),
            (Some(_), None) => false,
        };
        // Who tells no groups matches one that keeps out, and none that approves.
        let sure = !one.asks_for_groups() || !self.is_approval() || later.is_approval();
        times
            && sure
            && later.classes().iter().all(|class| classes.contains(class))
            && one.cidr.as_ref().is_none_or(|one| other.cidr.as_ref().is_some_and(|other| one.covers(other)))
            && holds_all(&one.listeners, &other.listeners, |one, other| one == other)
            && one.who.as_ref().is_none_or(|one| {
                other.who.as_ref().is_some_and(|other| one.covers(self.doubt(), other, later.doubt()))
            })
            && one.role.is_none_or(|role| other.role == Some(role))
            && holds_all(&one.clients, &other.clients, |one, other| one == other)
    }

    pub(super) fn is_approval(&self) -> bool {
        matches!(self.then(), Then::Approve(_))
    }
}

impl Who {
    fn covers(&self, own: Doubt, other: &Self, its: Doubt) -> bool {
        self.provider == other.provider
            && holds_all(&self.logins, &other.logins, |one, other| one.covers(own, other, its))
            && holds_all(&self.groups, &other.groups, |one, other| one == other)
    }
}

/// Whether whoever fits one of `other` fits one of `all`; an empty list fits everybody.
fn holds_all<T>(all: &[T], other: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
    let covered = |item: &T| all.iter().any(|one| covers(one, item));
    all.is_empty() || (!other.is_empty() && other.iter().all(covered))
}

/// Whether `cidr` has an address that a caller of `class` can have.
fn has(cidr: &Ranges, class: Class) -> bool {
    match class {
        Class::Private => cidr.overlaps(&ranges(&PRIVATE)),
        Class::Public => is_beyond_private(cidr),
        Class::Tailnet => cidr.overlaps(&ranges(&TAILNET)),
        Class::Unattributed => false,
        // A forwarder can have any address of its machine's.
        Class::Container | Class::Local | Class::Nat => true,
    }
}

/// Whether some of `cidr` is no private address.
pub(super) fn is_beyond_private(cidr: &Ranges) -> bool {
    !ranges(&PRIVATE).covers(cidr)
}

fn ranges(list: &[&str]) -> Ranges {
    // Never empty: they are written above, and a test reads them.
    Ranges::parse(list, Width::Wide).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_of_the_classes_are_ranges() {
        // fe80::/10 and fec0::/10 are one range.
        assert_eq!((ranges(&PRIVATE).iter().count(), ranges(&TAILNET).iter().count()), (PRIVATE.len() - 1, 2));
    }
}
