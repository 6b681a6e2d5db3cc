//! Roles and scopes: what a device asks for, and what a grant covers.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use thiserror::Error;

use crate::base::limits::SCOPE_CHARS_MAX;

/// What a connection wants to be.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A machine that lends its abilities.
    Node,
    /// A person, or a tool that acts for one.
    Operator,
}

impl Role {
    /// Reads the wire's word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "node" => Some(Self::Node),
            "operator" => Some(Self::Operator),
            _ => None,
        }
    }

    /// The wire's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One permission, such as `operator.read`.
///
/// Invariant: letters, digits and `._:*/-` only. A comma or a bar would let one signed payload be read as two
/// different requests, and a control character would forge what an operator reads before approving.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Scope(Cow<'static, str>);

impl Scope {
    /// Everything an operator can do; covers each `operator.*`.
    pub const ADMIN: Self = Self(Cow::Borrowed("operator.admin"));
    /// Answering the agent's questions for permission.
    pub const APPROVALS: Self = Self(Cow::Borrowed("operator.approvals"));
    /// Seeing and deciding pairing requests.
    pub const PAIRING: Self = Self(Cow::Borrowed("operator.pairing"));
    /// Answering the agent's other questions.
    pub const QUESTIONS: Self = Self(Cow::Borrowed("operator.questions"));
    /// Reading.
    pub const READ: Self = Self(Cow::Borrowed("operator.read"));
    /// Acting; covers reading and talking.
    pub const WRITE: Self = Self(Cow::Borrowed("operator.write"));

    /// Reads one scope.
    ///
    /// # Errors
    /// [`ScopeError`] when it is empty, too long, or has another character.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:*/-".contains(&byte);
        if text.is_empty() || text.len() > SCOPE_CHARS_MAX || !text.bytes().all(plain) {
            return Err(ScopeError);
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }

    /// The scope's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether holding this scope is holding `other` too.
    pub fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        if *self == Self::ADMIN {
            return other.0.starts_with("operator.");
        }
        *self == Self::WRITE && matches!(other.as_str(), "operator.read" | "operator.talk")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Text that is no scope.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a scope")]
pub struct ScopeError;

/// A set of scopes, as grants have them: sorted, each once.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// No scope at all.
    pub const NONE: Self = Self(Vec::new());

    /// Whether something held here covers `scope`.
    pub fn covers(&self, scope: &Scope) -> bool {
        self.0.iter().any(|held| held.covers(scope))
    }

    /// The first of `asked` that nothing here covers.
    pub fn first_missing<'a>(&self, asked: &'a Self) -> Option<&'a Scope> {
        asked.0.iter().find(|scope| !self.covers(scope))
    }

    /// Whether everything in `asked` is covered.
    pub fn covers_all(&self, asked: &Self) -> bool {
        self.first_missing(asked).is_none()
    }

    /// What stands literally in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.iter().filter(|scope| other.0.contains(scope)).cloned().collect())
    }

    /// What stands in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).cloned().collect()
    }

    /// The scopes in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut sorted: Vec<Scope> = scopes.into_iter().collect();
        sorted.sort();
        sorted.dedup();
        Self(sorted)
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Scope>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Scopes in the order and number in which a client sent them: what its device signed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScopesAsSent(Vec<Scope>);

impl ScopesAsSent {
    /// Keeps `scopes` as they are.
    pub fn new(scopes: Vec<Scope>) -> Self {
        Self(scopes)
    }

    /// The signature payload's form: joined by commas.
    pub fn csv(&self) -> String {
        self.0.iter().map(Scope::as_str).collect::<Vec<_>>().join(",")
    }

    /// The set of them.
    pub fn set(&self) -> Scopes {
        self.0.iter().cloned().collect()
    }

    /// Them, in order, as the answer to a refused device repeats them.
    pub fn as_slice(&self) -> &[Scope] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(text: &str) -> Scopes {
        text.split_whitespace().map(|scope| Scope::parse(scope).unwrap()).collect()
    }

    #[test]
    fn coverage_is_the_newer_gateways() {
        for (held, asked, covered) in [
            ("operator.admin", "operator.read", true),
            ("operator.admin", "operator.pairing", true),
            ("operator.admin", "operator.whatever.comes", true),
            ("operator.admin", "operators.read", false),
            ("operator.admin", "node.exec", false),
            ("operator.write", "operator.read", true),
            ("operator.write", "operator.talk", true),
            ("operator.write", "operator.talk.secrets", false),
            ("operator.write", "operator.pairing", false),
            ("operator.read", "operator.write", false),
            ("operator.pairing", "operator.admin", false),
            ("node.exec", "node.exec", true),
            ("", "operator.read", false),
            ("", "", true),
            ("operator.read operator.pairing", "operator.read operator.admin", false),
        ] {
            assert_eq!(scopes(held).covers_all(&scopes(asked)), covered, "{held:?} covers {asked:?}");
        }
    }

    #[test]
    fn a_scope_cannot_forge_the_signed_payload() {
        let long = "a".repeat(SCOPE_CHARS_MAX + 1);
        for bad in ["", "a,b", "a|b", "a b", "a\n", "é", "a\0", long.as_str()] {
            assert_eq!(Scope::parse(bad), Err(ScopeError), "{bad:?}");
        }
        assert!(Scope::parse(&"a".repeat(SCOPE_CHARS_MAX)).is_ok());
    }

    #[test]
    fn grants_are_sorted_and_the_signed_list_is_not() {
        let sent = ScopesAsSent::new(vec![Scope::WRITE, Scope::ADMIN, Scope::WRITE]);
        assert_eq!(sent.csv(), "operator.write,operator.admin,operator.write");
        assert_eq!(sent.set(), scopes("operator.admin operator.write"));
        assert_eq!(serde_json::to_string(&sent.set()).unwrap(), r#"["operator.admin","operator.write"]"#);
    }

    #[test]
    fn stored_scopes_are_read_strictly() {
        assert_eq!(serde_json::from_str::<Scopes>(r#"["b","a","b"]"#).unwrap(), scopes("a b"));
        assert!(serde_json::from_str::<Scopes>(r#"["a,b"]"#).is_err());
    }

    #[test]
    fn only_two_roles_exist() {
        for (word, role) in [("operator", Some(Role::Operator)), ("node", Some(Role::Node)), ("worker", None)] {
            assert_eq!(Role::parse(word), role);
        }
    }
}
