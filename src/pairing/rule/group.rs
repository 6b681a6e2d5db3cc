//! A group as a rule names it: exactly this one.

use std::fmt;

use thiserror::Error;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::is_label;

/// A group of a provider of identities, compared byte for byte: to some issuers two spellings are two groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group(String);

impl Group {
    /// Reads the name of one group.
    ///
    /// # Errors
    /// [`GroupFault`].
    pub fn parse(text: &str) -> Result<Self, GroupFault> {
        match text {
            _ if !is_label(text, LABEL_CHARS_MAX) => Err(GroupFault::Unreadable),
            _ if text.contains('*') => Err(GroupFault::Pattern),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// Whether the group of this name is meant.
    pub fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is no group.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum GroupFault {
    /// A star, as if it stood for many.
    #[error("a group is named whole, and a star stands for nothing")]
    Pattern,
    /// Not what a group can be called.
    #[error("not a group")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_means_exactly_the_one_that_it_names() {
        let staff = Group::parse("staff").unwrap();
        assert!(staff.is("staff"));
        for other in ["Staff", "staff ", "/staff", "staff2", "", "st"] {
            assert!(!staff.is(other), "{other:?}");
        }
        assert!(Group::parse("cn=a b,dc=c").unwrap().is("cn=a b,dc=c"));
    }

    #[test]
    fn what_no_group_is_called_is_refused() {
        for text in ["*", "staff*", "*@example.com"] {
            assert_eq!(Group::parse(text), Err(GroupFault::Pattern), "{text}");
        }
        let long = "g".repeat(LABEL_CHARS_MAX + 1);
        for text in ["", " ", "staff ", "a\nb", "a\u{202e}", long.as_str()] {
            assert_eq!(Group::parse(text), Err(GroupFault::Unreadable), "{text:?}");
        }
    }
}
