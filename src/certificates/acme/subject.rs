//! What a certificate is to be for: a name, an address, or every name one label below another.

use std::fmt;

use instant_acme::{AuthorizedIdentifier, Identifier};
use rcgen::SanType;

use crate::certificates::x509;
use crate::net::host::{Host, HostError};

/// One subject of a certificate.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Subject {
    /// This one.
    Host(Host),
    /// All names one label below this one: `example.com` for `*.example.com`.
    Wildcard(String),
}

impl Subject {
    /// Reads a name, an address, or a name behind `*.`.
    ///
    /// # Errors
    /// [`HostError`], also for a wildcard over an address.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        match text.strip_prefix("*.").map(Host::parse) {
            None => Host::parse(text).map(Self::Host),
            Some(Ok(Host::Name(parent))) => Ok(Self::Wildcard(parent)),
            Some(Ok(Host::Address(_))) => Err(HostError::Name),
            Some(Err(error)) => Err(error),
        }
    }

    /// Whether a certificate for this may be shown to who wants `host`.
    pub fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Host(own), host) => own == host,
            (Self::Wildcard(parent), Host::Name(name)) => {
                name.split_once('.').is_some_and(|(_, above)| above == parent)
            }
            (Self::Wildcard(_), Host::Address(_)) => false,
        }
    }

    /// Whether a certificate for `names` is for this too.
    pub fn is_in(&self, names: &x509::Names) -> bool {
        match self {
            Self::Host(host) => names.covers(host),
            Self::Wildcard(parent) => names.wildcards.contains(parent),
        }
    }

    /// The host that a CA looks at: of a wildcard the one that it stands below.
    pub fn host(&self) -> Host {
        match self {
            Self::Host(host) => host.clone(),
            Self::Wildcard(parent) => Host::Name(parent.clone()),
        }
    }

    /// Whether this is an address.
    pub fn is_address(&self) -> bool {
        matches!(self, Self::Host(Host::Address(_)))
    }

    /// As an order names it (RFC 8555 §7.1.3, RFC 8738 §3).
    pub(super) fn identifier(&self) -> Identifier {
        match self {
            Self::Host(Host::Address(ip)) => Identifier::Ip(*ip),
            Self::Host(Host::Name(name)) => Identifier::Dns(name.clone()),
            Self::Wildcard(_) => Identifier::Dns(self.to_string()),
        }
    }

    /// What an authorization is for: that of a wildcard has its parent's name (RFC 8555 §7.1.4).
    pub(super) fn of(authorized: &AuthorizedIdentifier<'_>) -> Option<Self> {
        match (authorized.identifier, authorized.wildcard) {
            (Identifier::Dns(name), false) => Host::parse(name).ok().map(Self::Host),
            (Identifier::Dns(name), true) => Self::parse(&format!("*.{name}")).ok(),
            (Identifier::Ip(ip), false) => Some(Self::Host(Host::Address(ip.to_canonical()))),
            _ => None,
        }
    }

    /// As a signing request names it.
    pub(super) fn alternative_name(&self) -> Result<SanType, rcgen::Error> {
        Ok(match self {
            Self::Host(Host::Address(ip)) => SanType::IpAddress(*ip),
            Self::Host(Host::Name(name)) => SanType::DnsName(name.as_str().try_into()?),
            Self::Wildcard(_) => SanType::DnsName(self.to_string().try_into()?),
        })
    }
}

impl From<Host> for Subject {
    fn from(host: Host) -> Self {
        Self::Host(host)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => host.fmt(f),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_for_one_label_below_its_parent_and_for_nothing_else() {
        let wildcard = Subject::parse("*.Example.com").unwrap();
        assert_eq!(wildcard.to_string(), "*.example.com");
        for (name, covered) in [
            ("a.example.com", true),
            ("example.com", false),
            ("a.b.example.com", false),
            ("a.example.org", false),
            ("192.0.2.1", false),
        ] {
            assert_eq!(wildcard.covers(&Host::parse(name).unwrap()), covered, "{name}");
        }
        for text in ["*", "*.", "*.*.example.com", "a.*.example.com", "*a.example.com", "*.192.0.2.1"] {
            assert!(Subject::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_authorization_is_for_what_was_ordered() {
        for text in ["a.example", "*.a.example", "192.0.2.1", "2001:db8::1"] {
            let subject = Subject::parse(text).unwrap();
            let identifier = match subject.identifier() {
                Identifier::Dns(name) => Identifier::Dns(name.trim_start_matches("*.").to_owned()),
                other => other,
            };
            let authorized = identifier.authorized(matches!(subject, Subject::Wildcard(_)));
            assert_eq!(Subject::of(&authorized), Some(subject), "{text}");
        }
        assert_eq!(Subject::of(&Identifier::Ip("192.0.2.1".parse().unwrap()).authorized(true)), None);
    }
}
