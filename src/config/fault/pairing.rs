//! What can be wrong with a `[[core.pairing.rule]]`, and what to do about it.

use thiserror::Error;

use super::shown;
use crate::net::range::RangeFault;
use crate::pairing::rule::{GroupFault, LoginFault, RuleFault};

/// What is wrong.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum PairingFault {
    /// A range that is none, or everybody.
    #[error("{cause}: {}", shown(text))]
    Cidr {
        /// Why.
        cause: RangeFault,
        /// What was written.
        text: String,
    },
    /// Not a program that the gateway's protocol knows.
    #[error("no client has this id: {}", shown(.0))]
    Client(String),
    /// A list that no caller could fit.
    #[error("{key} names nothing, so nobody would match")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// Not a group.
    #[error("{cause}: {}", shown(text))]
    Group {
        /// Why.
        cause: GroupFault,
        /// What was written.
        text: String,
    },
    /// No time between them.
    #[error("from and to are the same time")]
    HoursEmpty,
    /// A listener that is not there.
    #[error("no listener has this name: {}", shown(text))]
    Listener {
        /// As written.
        text: String,
        /// The listeners there are.
        known: Vec<String>,
    },
    /// Not a login.
    #[error("{cause}: {}", shown(text))]
    Login {
        /// Why.
        cause: LoginFault,
        /// What was written.
        text: String,
    },
    /// A name that looks like a rule's place.
    #[error("a rule's name is not a number: {0}")]
    NameIsPlace(String),
    /// Two rules of one name.
    #[error("two rules have this name: {0}")]
    NameTaken(String),
    /// Nobody who verifies identities here.
    #[error("nobody of this name verifies identities here: {}", shown(text))]
    Provider {
        /// As written.
        text: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// Each part is sound, and the whole is not.
    #[error(transparent)]
    Rule(RuleFault),
    /// Not a scope.
    #[error("not a scope: {}", shown(.0))]
    Scope(String),
    /// Not what a rule does.
    #[error("then cannot be: {}", shown(.0))]
    Then(String),
    /// Neither days nor hours.
    #[error("time has neither days nor hours, so it is no condition")]
    TimeEmpty,
    /// Not a time of the day.
    #[error("not a time of the day: {}", shown(.0))]
    TimeOfDay(String),
    /// Not a time zone.
    #[error("no time zone has this name: {}", shown(.0))]
    Zone(String),
}

impl PairingFault {
    /// The key of a rule at which `cause` is mended.
    pub(in crate::config) fn place_of(cause: &RuleFault) -> &'static str {
        match cause {
            RuleFault::ApprovesUnattributed | RuleFault::NodeByAddress => "when",
            RuleFault::DangerUseless => "danger_approve_by_address",
            RuleFault::ApprovesAnybody
            | RuleFault::CapByAddress(_)
            | RuleFault::IdentityUnnamed
            | RuleFault::NeedsDanger => "then",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Cidr { cause: RangeFault::Everyone, .. } => "leave cidr out to mean every address".into(),
            Self::Cidr { cause: RangeFault::HostBits, .. } => {
                "write the network's own address (10.0.0.0/24), or the one host without a prefix".into()
            }
            Self::Cidr { .. } => "write addresses or ranges, as \"10.0.0.7\" or \"10.0.0.0/24\"; no names".into(),
            Self::Client(_) => {
                "as \"openclaw-control-ui\", \"openclaw-ios\", \"openclaw-android\", \"openclaw-macos\", \"cli\"".into()
            }
            Self::Empty { key } => format!("name what is meant, or remove {key}"),
            Self::Group { cause: GroupFault::Pattern, .. } => {
                "name each group, as [\"staff\", \"admins\"], or leave group out to mean all".into()
            }
            Self::Group { cause: GroupFault::Unreadable, .. } => {
                "write it as `doorward explain` shows it, as \"staff\"".into()
            }
            Self::HoursEmpty => "for the whole day remove both, or write from = \"00:00\", to = \"24:00\"".into(),
            Self::Listener { known, .. } => format!("there is {}", known.join(", ")),
            Self::Login { cause: LoginFault::Pattern, .. } => {
                "write \"*@example.com\", or leave login out to mean every account of the provider".into()
            }
            Self::Login { cause: LoginFault::Unreadable, .. } => {
                "write it as `doorward explain` shows it, as \"ann@example.com\"".into()
            }
            Self::NameIsPlace(_) => "a number is the place of a rule that has no name: use a letter".into(),
            Self::NameTaken(_) => "names tell rules apart in the audit log: choose another".into(),
            Self::Provider { known, .. } if known.is_empty() => {
                "set `whois = true` in [tailscale] for \"tailscale\", or add an [[identity]]".into()
            }
            Self::Provider { known, .. } => {
                format!("there is {}; \"tailscale\" needs `whois = true` in [tailscale]", known.join(", "))
            }
            Self::Rule(cause) => rule_hint(cause).into(),
            Self::Scope(_) => "as \"operator.read\", \"operator.write\", \"operator.approvals\"".into(),
            Self::Then(_) => "write \"ask\", \"refuse\", or { approve = [\"operator.read\"] }".into(),
            Self::TimeEmpty => "add days = [\"mon\", \"tue\"], or from = \"08:00\" and to = \"18:00\"".into(),
            Self::TimeOfDay(_) => "write hours and minutes, as \"08:30\", up to \"24:00\"".into(),
            Self::Zone(_) => "write a name of the tz database, as \"Europe/Berlin\", or \"UTC\"".into(),
        }
    }
}

fn rule_hint(cause: &RuleFault) -> &'static str {
    match cause {
        RuleFault::ApprovesAnybody => {
            "name an identity; or a class, a cidr or a listener, with danger_approve_by_address = true"
        }
        RuleFault::ApprovesUnattributed => "take \"unattributed\" out of class",
        RuleFault::CapByAddress(_) => {
            "take it out, or name the person: identity = { provider = \"...\", login = \"...\" }"
        }
        RuleFault::DangerUseless => "remove it: it is for a rule that approves and names no identity",
        RuleFault::IdentityUnnamed => "remove credential, or name identity = { provider = \"...\", login = \"...\" }",
        RuleFault::NeedsDanger => {
            "name the person: identity = { provider = \"...\", login = \"...\" }; or, if whoever is there may come in with the \
             gateway token, set danger_approve_by_address = true"
        }
        RuleFault::NodeByAddress => "name the person: identity = { provider = \"...\", login = \"...\" }",
    }
}
