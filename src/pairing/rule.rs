//! An operator's standing word about pairing: who is approved without being looked at, who waits for a person, who is refused.
//!
//! The first rule whose conditions all hold decides, and no other. Promise: a rule approves new devices only, never one that is
//! known, that asks for more than the rule's cap, or that was removed; nothing is narrowed, what goes beyond a cap waits for a
//! person. What makes a condition uncertain never approves, and never opens a way past a rule that keeps out: an address that
//! hides who calls, another spelling of a login, groups that nobody told, a clock that is not set.

mod effect;
mod group;
mod kin;
mod login;
pub mod review;
mod told;
mod when;
mod window;

pub use effect::Effect;
pub use effect::Ruled;
pub use group::Group;
pub use group::GroupFault;
pub use login::Login;
pub use login::LoginFault;
pub use when::Doubt;
pub use when::Miss;
pub use when::When;
pub use when::Who;
pub use window::Day;
pub use window::Hours;
pub use window::TimeOfDay;
pub use window::Window;
pub use window::Zone;

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::base::clock::UnixMillis;
use crate::base::limits::ID_CHARS_MAX;
use crate::identity::claims::IdentityClaim;
use crate::identity::claims::OriginClaim;
use crate::origin::Class;
use crate::protocol::connect::ClientId;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// The rules in their order; cheap to clone.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules(Arc<[Rule]>);

/// What is known of a connect that asks to be paired.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Where it comes from.
    pub origin: &'a OriginClaim,
    /// Whom somebody we trust named.
    pub identity: Option<&'a IdentityClaim>,
    /// The role it asks for.
    pub role: Role,
    /// The program it says it is.
    pub client: ClientId,
}

impl Rules {
    /// The rules of a configuration, in its order.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self(rules.into())
    }

    /// The first rule whose conditions hold.
    pub fn first(&self, facts: &Facts<'_>, now: UnixMillis) -> Option<&Rule> {
        self.iter().find(|rule| rule.check(facts, now).is_ok())
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One rule.
///
/// Invariant: one that approves names an identity, or is one of [`Basis::Address`] and gives reading and writing at most, to
/// operators. Else whoever sits behind an address that he may have chosen himself would be an administrator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    name: RuleName,
    when: When,
    then: Then,
}

/// What a rule does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Then {
    /// Lets a new device in at once.
    Approve(Approval),
    /// Lets a person decide, also about who would be let in silently.
    Ask,
    /// Pairs nobody.
    Refuse,
}

/// What a rule approves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approval {
    /// What a device may ask for at most.
    pub cap: Scopes,
    /// What it must show.
    pub credential: Credential,
}

/// What a device must show beside its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Credential {
    /// The verified identity that the rule names is enough.
    Identity,
    /// The gateway's secret.
    Secret,
}

/// On what an approval rests, in its operator's own word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Basis {
    /// An address, a class of them or a listener: `danger_approve_by_address`.
    Address,
    /// Whom somebody we trust has verified.
    Identity,
}

impl Rule {
    /// The rule, if it is sound.
    ///
    /// # Errors
    /// [`RuleFault`].
    pub fn new(name: RuleName, when: When, then: Then, basis: Basis) -> Result<Self, RuleFault> {
        let Then::Approve(approval) = &then else {
            return match basis {
                Basis::Address => Err(RuleFault::DangerUseless),
                Basis::Identity => Ok(Self { name, when, then }),
            };
        };
        match (basis, &when.who) {
            (Basis::Address, Some(_)) => return Err(RuleFault::DangerUseless),
            (Basis::Identity, Some(_)) => {}
            (_, None) if !when.names_a_place() => return Err(RuleFault::ApprovesAnybody),
            (Basis::Identity, None) => return Err(RuleFault::NeedsDanger),
            (Basis::Address, None) => by_address(&when, approval)?,
        }
        if when.classes.contains(&Class::Unattributed) {
            return Err(RuleFault::ApprovesUnattributed);
        }
        Ok(Self { name, when, then })
    }

    /// Its name.
    pub fn name(&self) -> &RuleName {
        &self.name
    }

    /// What it does.
    pub fn then(&self) -> &Then {
        &self.then
    }

    /// Its conditions.
    pub fn when(&self) -> &When {
        &self.when
    }

    /// Whether all its conditions hold.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, facts: &Facts<'_>, now: UnixMillis) -> Result<(), Miss> {
        self.when.check(facts, self.doubt(), now)?;
        if self.doubt() == Doubt::Holds {
            return Ok(());
        }
        if self.when.who.is_none() && facts.origin.class == Class::Unattributed {
            return Err(Miss::Unattributed);
        }
        if facts.origin.class == Class::Nat && self.minds_nat() {
            return Err(Miss::Hidden);
        }
        Ok(())
    }

    /// What its conditions come to where nobody can say whether they hold.
    pub(super) fn doubt(&self) -> Doubt {
        if matches!(self.then, Then::Approve(_)) { Doubt::Misses } else { Doubt::Holds }
    }

    /// Whether it rests on an address, and does not say that one which hides who calls is good enough.
    fn minds_nat(&self) -> bool {
        (self.when.who.is_none() || self.when.cidr.is_some()) && !self.when.classes.contains(&Class::Nat)
    }

    /// Whether a device that holds `scopes` in `role` holds no more than this rule may give; never unless it approves.
    pub fn allows(&self, role: Role, scopes: &Scopes) -> bool {
        let Then::Approve(approval) = &self.then else { return false };
        // A node is approved by a rule for nodes only: it asks for nothing that a cap could be held against.
        role == self.when.role.unwrap_or(Role::Operator) && approval.cap.covers_all(scopes)
    }

    /// Whether it approves who shows `credential`. Whoever has the gateway's secret never needs an identity besides.
    pub fn takes(&self, credential: Credential) -> bool {
        matches!(&self.then, Then::Approve(approval)
            if credential == Credential::Secret || approval.credential == Credential::Identity)
    }
}

fn by_address(when: &When, approval: &Approval) -> Result<(), RuleFault> {
    if when.role == Some(Role::Node) {
        return Err(RuleFault::NodeByAddress);
    }
    if approval.credential == Credential::Identity {
        return Err(RuleFault::IdentityUnnamed);
    }
    match approval.cap.iter().find(|scope| !Scope::WRITE.covers(scope)) {
        Some(scope) => Err(RuleFault::CapByAddress(scope.clone())),
        None => Ok(()),
    }
}

/// By what a rule is known: its operator's name for it, else its place among the rules, from 1.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct RuleName(Arc<str>);

impl RuleName {
    /// Reads a name: letters a-z, digits, `-`, `_`.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let sound = !text.is_empty() && text.len() <= ID_CHARS_MAX && text.bytes().all(plain);
        sound.then(|| Self(text.into()))
    }

    /// That of the rule at `place`, which has none of its own.
    pub fn of_place(place: usize) -> Self {
        Self(place.to_string().into())
    }

    /// Whether it is a place.
    pub fn is_place(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a rule is none.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RuleFault {
    /// Whoever has the secret would be in.
    #[error("this would approve whoever knows the gateway's secret, from anywhere")]
    ApprovesAnybody,
    /// Whom nobody can tell from another.
    #[error("who cannot be told from a stranger is never approved by a rule")]
    ApprovesUnattributed,
    /// More than an address is worth.
    #[error("a rule without an identity gives operator.read and operator.write at most, and not {0}")]
    CapByAddress(Scope),
    /// `danger_approve_by_address` where nothing is approved so.
    #[error("danger_approve_by_address has no effect here")]
    DangerUseless,
    /// An identity in place of the secret, and none is named.
    #[error("no identity is named that could stand in for the gateway's secret")]
    IdentityUnnamed,
    /// An approval by an address, and nobody said that this is meant.
    #[error("this approves by an address alone, which says where somebody calls from and not who")]
    NeedsDanger,
    /// A machine that would run what it is told.
    #[error("a node is never approved by its address alone")]
    NodeByAddress,
}

#[cfg(test)]
mod tests;
