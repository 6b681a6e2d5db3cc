//! What a setup code gives to the one device that redeems it: roles and scopes that a person chose beforehand.

use serde::Serialize;

use crate::pairing::invite::Invite;
use crate::pairing::invite::Redeemed;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// What a code gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetupProfile {
    /// The roles, the one that connects first among them.
    pub roles: Vec<Role>,
    /// What the operator's role comes with.
    pub scopes: Scopes,
    /// The same in one word.
    pub access: Access,
}

/// How much a code gives, in the gateway's word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everything, administration included.
    Full,
    /// Daily use.
    Limited,
    /// A machine's abilities, and no person's.
    Node,
}

/// The profiles that `device.pair.setupCode` can be asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SetupKind {
    /// An app that its owner trusts with everything.
    Full,
    /// The same without administration.
    Limited,
    /// A machine without a person.
    Node,
    /// A machine that listens and talks.
    VoiceNode,
}

impl SetupKind {
    /// Reads the wire's word; the default has none.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "limited" => Some(Self::Limited),
            "node" => Some(Self::Node),
            "voice-node" => Some(Self::VoiceNode),
            _ => None,
        }
    }

    /// What such a code gives.
    pub fn profile(self) -> SetupProfile {
        let both = vec![Role::Node, Role::Operator];
        let scopes = |words: &[&str]| words.iter().filter_map(|word| Scope::parse(word).ok()).collect::<Scopes>();
        let daily =
            ["operator.approvals", "operator.questions", "operator.read", "operator.talk.secrets", "operator.write"];
        match self {
            Self::Full => SetupProfile {
                roles: both,
                scopes: scopes(&daily).union(&Scopes::from_iter([Scope::ADMIN])),
                access: Access::Full,
            },
            Self::Limited => SetupProfile { roles: both, scopes: scopes(&daily), access: Access::Limited },
            Self::Node => SetupProfile { roles: vec![Role::Node], scopes: Scopes::NONE, access: Access::Node },
            Self::VoiceNode => SetupProfile {
                roles: both,
                scopes: scopes(&["operator.read", "operator.talk"]),
                access: Access::Limited,
            },
        }
    }
}

impl SetupProfile {
    /// The scopes that it gives in `role`; none if it does not give the role.
    pub fn scopes_as(&self, role: Role) -> Option<Scopes> {
        let given = if role == Role::Operator { self.scopes.clone() } else { Scopes::NONE };
        self.roles.contains(&role).then_some(given)
    }
}

/// What came of the setup code in a `connect`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Offer {
    /// None was sent.
    #[default]
    Absent,
    /// It is right, and free or this device's own.
    Good {
        /// What it gives.
        profile: SetupProfile,
        /// That this device redeemed it already, and did not hear of it perhaps.
        redeemed: Option<Redeemed>,
    },
    /// It is an invite that counts: free, or this device's own.
    Invite(Box<Invite>),
    /// It is wrong, too old, or another device's.
    Void,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_code_that_says_so_gives_administration() {
        for (kind, access, admin, operator) in [
            (SetupKind::Full, Access::Full, true, true),
            (SetupKind::Limited, Access::Limited, false, true),
            (SetupKind::VoiceNode, Access::Limited, false, true),
            (SetupKind::Node, Access::Node, false, false),
        ] {
            let profile = kind.profile();
            assert_eq!(profile.access, access, "{kind:?}");
            assert_eq!(profile.scopes.covers(&Scope::ADMIN), admin, "{kind:?}");
            assert_eq!(profile.scopes_as(Role::Operator).is_some(), operator, "{kind:?}");
            assert_eq!(profile.scopes_as(Role::Node), Some(Scopes::NONE), "{kind:?}");
            assert!(!profile.scopes.iter().any(|scope| *scope == Scope::PAIRING), "{kind:?}");
        }
        assert_eq!(SetupKind::Full.profile().scopes.iter().count(), 6, "each word is a scope");
        assert_eq!(SetupKind::parse("full"), None);
    }
}
