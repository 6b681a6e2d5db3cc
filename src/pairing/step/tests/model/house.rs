//! What the owner has set up in this world: one rule, how many it may approve, and what a setup code gives.

use super::truth::only;
use super::world::Flaw;
use crate::pairing::rule::Approval;
use crate::pairing::rule::Basis;
use crate::pairing::rule::Credential;
use crate::pairing::rule::Login;
use crate::pairing::rule::Rule;
use crate::pairing::rule::RuleName;
use crate::pairing::rule::Rules;
use crate::pairing::rule::Then;
use crate::pairing::rule::When;
use crate::pairing::rule::Who;
use crate::pairing::setup::Access;
use crate::pairing::setup::SetupProfile;
use crate::protocol::scope::Role;

/// How many devices stand on that rule's word here.
pub(super) const RULE_DEVICES: usize = 1;

/// How many it may approve, if the world counts them.
pub(super) fn cap_in(flaw: Flaw) -> Option<usize> {
    (flaw != Flaw::RulesKnowNoCap).then_some(RULE_DEVICES)
}

/// The owner's one rule: a person's devices may read.
pub(super) fn rules() -> Rules {
    let who = Who {
        provider: "tailscale".to_owned(),
        logins: vec![Login::parse("ann@example.com").unwrap()],
        groups: Vec::new(),
    };
    let then = Then::Approve(Approval { cap: only("operator.read"), credential: Credential::Identity });
    let (name, when) = (RuleName::parse("family").unwrap(), When { who: Some(who), ..When::default() });
    Rules::new(vec![Rule::new(name, when, then, Basis::Identity).unwrap()])
}

/// What the setup code gives.
pub(super) fn code_profile() -> SetupProfile {
    SetupProfile { roles: vec![Role::Operator], scopes: only("operator.read"), access: Access::Limited }
}
