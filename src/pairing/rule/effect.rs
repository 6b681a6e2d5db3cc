//! What the rules came to for one connect.

use crate::base::clock::UnixMillis;
use crate::pairing::rule::Rules;
use crate::protocol::connect::ClientId;
use crate::protocol::scope::Role;

/// What the first rule that matched came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Effect {
    /// It approved the device.
    Approved,
    /// It says that a person decides.
    Asked,
    /// It approves less than was asked for, or not in that role.
    BeyondCap,
    /// It approves new devices, and as many as one rule may have approved are paired by it.
    Full,
    /// It approves new devices, and this one is known.
    Known,
    /// It pairs nobody.
    Refused,
    /// It approves new devices, and a person said no to this one once.
    Rejected,
    /// It approves new devices, and this one was removed once.
    Removed,
    /// It does not take a verified identity in place of the gateway's secret, for this device.
    SecretMissing,
    /// No rule matched.
    Unruled,
}

impl Effect {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Approved => "it approved this device",
            Self::Asked => "it leaves the decision to a person",
            Self::BeyondCap => "it approves less than was asked for, so a person decides",
            Self::Full => "256 paired devices stand on its word, as many as on one rule's may, so a person decides",
            Self::Known => "it approves new devices only, and this one is known, so a person decides",
            Self::Refused => "it refuses to pair",
            Self::Rejected => "it approves new devices only, and this one was rejected once, so a person decides",
            Self::Removed => "it approves new devices only, and this one was removed once, so a person decides",
            Self::SecretMissing => "the verified identity does not stand in for the gateway token here",
            Self::Unruled => "no rule matches, so what holds without rules decides",
        }
    }
}

/// The rules as they were when a connect was judged by them, with what they had to go by besides its origin.
#[derive(Clone, Debug)]
pub struct Ruled {
    /// The rules.
    pub rules: Rules,
    /// When.
    pub at: UnixMillis,
    /// The role that was asked for.
    pub role: Role,
    /// The program, as it called itself.
    pub client: ClientId,
    /// What they came to.
    pub effect: Effect,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::RULE_DEVICES_MAX;

    #[test]
    fn a_full_rule_tells_of_the_limit_that_holds() {
        assert!(Effect::Full.words().starts_with(&format!("{RULE_DEVICES_MAX} paired devices ")));
    }
}
