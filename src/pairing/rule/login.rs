//! A login as a rule names it: one account, or all of a domain.

use std::fmt;

use thiserror::Error;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::is_label;
use crate::pairing::rule::Doubt;

/// An account at a provider of identities.
///
/// The domain behind the last `@` is the same in any case (RFC 5321 §2.4). The part before it is compared as [`Doubt`] says:
/// to some issuers two spellings are two people, to others they are one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// Every account of this domain, written `*@example.com`.
    Domain(String),
    /// This account.
    One(String),
}

impl Login {
    /// Reads `ann@example.com`, `ann` or `*@example.com`.
    ///
    /// # Errors
    /// [`LoginFault`].
    pub fn parse(text: &str) -> Result<Self, LoginFault> {
        if !is_label(text, LABEL_CHARS_MAX) {
            return Err(LoginFault::Unreadable);
        }
        match text.strip_prefix("*@") {
            Some(domain) if !domain.is_empty() && !domain.contains(['*', '@']) => Ok(Self::Domain(domain.to_owned())),
            None if !text.contains('*') => Ok(Self::One(text.to_owned())),
            Some(_) | None => Err(LoginFault::Pattern),
        }
    }

    /// Whether `login` is meant.
    pub fn is(&self, login: &str, doubt: Doubt) -> bool {
        let same = |one: &str, other: &str| match doubt {
            Doubt::Holds => folded(one) == folded(other),
            Doubt::Misses => one == other,
        };
        match (self, login.rsplit_once('@')) {
            (Self::Domain(meant), Some((account, domain))) => !account.is_empty() && meant.eq_ignore_ascii_case(domain),
            (Self::Domain(_), None) => false,
            (Self::One(meant), Some((account, domain))) => {
                meant.rsplit_once('@').is_some_and(|(one, at)| same(one, account) && at.eq_ignore_ascii_case(domain))
            }
            (Self::One(meant), None) => same(meant, login),
        }
    }

    /// Whether everybody that `other` means, read as `its` says, is meant by this one, read as `own` says.
    pub(super) fn covers(&self, own: Doubt, other: &Self, its: Doubt) -> bool {
        match (self, other) {
            (Self::Domain(one), Self::Domain(two)) => one.eq_ignore_ascii_case(two),
            // Another spelling is met by the later one alone.
            (Self::One(_), Self::One(_)) if (own, its) == (Doubt::Misses, Doubt::Holds) => false,
            (_, Self::One(login)) => self.is(login, own),
            (Self::One(_), Self::Domain(_)) => false,
        }
    }
}

/// `text` as it is in any case. To upper case first: some letters have one capital in common.
fn folded(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(domain) => write!(f, "*@{domain}"),
            Self::One(login) => f.write_str(login),
        }
    }
}

/// Text that is no login.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum LoginFault {
    /// A star elsewhere than before `@domain`.
    #[error("a star stands for all accounts of one domain only")]
    Pattern,
    /// Not what an account can be called.
    #[error("not a login")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_means_exactly_whom_it_says() {
        for (pattern, login, meant) in [
            ("ann@example.com", "ann@example.com", true),
            ("ann@example.com", "ann@EXAMPLE.com", true),
            ("ann@example.com", "Ann@example.com", false),
            ("ann@example.com", "ann@example.com.evil.example", false),
            ("ann@example.com", "ann@evil.example@example.com", false),
            ("ann@example.com", "ann", false),
            ("ann", "ann", true),
            ("ann", "ann@example.com", false),
            ("ann", "Ann", false),
            ("*@example.com", "bob@example.com", true),
            ("*@example.com", "bob@Example.Com", true),
            ("*@example.com", "@example.com", false),
            ("*@example.com", "example.com", false),
            ("*@example.com", "bob@sub.example.com", false),
            ("*@example.com", "bob@example.com@evil.example", false),
        ] {
            assert_eq!(Login::parse(pattern).unwrap().is(login, Doubt::Misses), meant, "{pattern} for {login}");
        }
    }

    #[test]
    fn a_rule_that_keeps_somebody_out_means_every_spelling_of_his_login() {
        for (pattern, login, meant) in [
            ("mallory@example.com", "Mallory@Example.com", true),
            ("MALLORY@example.com", "mallory@example.com", true),
            ("mallory", "MALLORY", true),
            ("jörg@example.com", "JÖRG@example.com", true),
            ("kim@example.com", "\u{212a}im@example.com", true),
            ("iss@example.com", "is\u{17f}@example.com", true),
            ("mallory@example.com", "mallory@example.org", false),
            ("mallory@example.com", "mallory", false),
            ("mallory@example.com", "mallory.e@example.com", false),
            ("*@example.com", "Mallory@EXAMPLE.com", true),
            ("*@example.com", "mallory@sub.example.com", false),
        ] {
            assert_eq!(Login::parse(pattern).unwrap().is(login, Doubt::Holds), meant, "{pattern} for {login}");
        }
    }

    #[test]
    fn a_star_stands_nowhere_else() {
        for text in ["*", "*@", "*@*", "a*@example.com", "*@*.example.com", "*@a@b", "**@example.com", "an*"] {
            assert_eq!(Login::parse(text), Err(LoginFault::Pattern), "{text}");
        }
        for text in ["", " ", "ann ", "a\nb"] {
            assert_eq!(Login::parse(text), Err(LoginFault::Unreadable), "{text:?}");
        }
    }

    #[test]
    fn one_covers_another_only_if_it_means_everybody_of_it() {
        let (wide, exact) = (Doubt::Holds, Doubt::Misses);
        for (one, own, other, its, covers) in [
            ("*@a.example", exact, "ann@A.example", exact, true),
            ("*@a.example", exact, "ann@A.example", wide, true),
            ("*@a.example", exact, "*@A.example", exact, true),
            ("ann@a.example", exact, "ann@A.example", exact, true),
            ("ann@a.example", exact, "Ann@A.example", exact, false),
            ("ann@a.example", exact, "ann@A.example", wide, false),
            ("ann@a.example", wide, "Ann@A.example", exact, true),
            ("ann@a.example", wide, "Ann@A.example", wide, true),
            ("ann@a.example", wide, "*@a.example", exact, false),
            ("*@a.example", wide, "ann@b.example", wide, false),
        ] {
            let [one, other] = [one, other].map(|text| Login::parse(text).unwrap());
            assert_eq!(one.covers(own, &other, its), covers, "{one} {own:?} covers {other} {its:?}");
        }
    }
}
