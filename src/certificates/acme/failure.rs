//! Why a CA did not issue, whose it is to mend, and how: one cause for each case that people meet.

use std::fmt;

use instant_acme::{Error, Problem};
use thiserror::Error;

use crate::base::clock::{EARLIEST, UnixMillis};
use crate::base::limits::{ACME_PROFILES_SHOWN_MAX, ACME_SHOWN_CHARS_MAX, LABEL_CHARS_MAX};
use crate::base::printable::printable;
use crate::base::private_file::PrivateFileError;
use crate::certificates::acme::ChallengeKind;
use crate::certificates::acme::dns::fault::DnsError;
use crate::certificates::acme::unreachable::Unreachable;
use crate::certificates::files::FileError;
use crate::net::host::Host;

/// Why there is no certificate from a CA.
#[derive(Debug, Error)]
pub enum AcmeError {
    /// We stumbled over an answer.
    #[error("the attempt broke off at an answer of the ca")]
    Broken,
    /// The CA and we do not agree on the time.
    #[error("the clock of this machine says {}, {}", ours.date(), other_time(*ours, *theirs))]
    Clock {
        /// By this machine.
        ours: UnixMillis,
        /// By the CA, if it could say so.
        theirs: Option<UnixMillis>,
    },
    /// A value in the DNS.
    #[error("dns: {0}")]
    Dns(#[from] DnsError),
    /// The secret of the external account.
    #[error("external account: {0}")]
    Eab(PrivateFileError),
    /// A file of ours.
    #[error("{0}")]
    File(#[from] PrivateFileError),
    /// A key or a signing request could not be made.
    #[error("cannot make a key: {0}")]
    Key(#[from] rcgen::Error),
    /// None of the configured challenges is offered.
    #[error("the ca offers none of the configured challenges for {0}")]
    NoChallenge(Host),
    /// No such profile.
    #[error("the ca has no profile of this name: {}; {}", printable(wanted, ACME_SHOWN_CHARS_MAX), profiles(offered))]
    NoProfile {
        /// The configured one.
        wanted: String,
        /// Those that the CA has.
        offered: Vec<String>,
    },
    /// It does not speak of renewals, so that no order can name what it replaces.
    #[error("the ca does not speak of renewals")]
    NoRenewalInfo,
    /// The CA, or what it saw, says no.
    #[error("{reason}: {detail}")]
    Refused {
        /// Which refusal.
        reason: Reason,
        /// The CA's own words, made fit to be shown.
        detail: String,
        /// What the CA was asked to look at, when it has looked.
        looked: Option<(Host, ChallengeKind)>,
    },
    /// The roots of the directory.
    #[error("root file: {0}")]
    RootFile(PrivateFileError),
    /// The CA does not come to an end.
    #[error("the ca did not finish the order in time")]
    Stuck,
    /// TLS itself.
    #[error("tls: {0}")]
    Tls(rustls::Error),
    /// No answer that can be read.
    #[error("the ca cannot be reached: {0}")]
    Unreachable(#[from] Unreachable),
    /// A certificate that is not what was asked for.
    #[error("the ca's certificate cannot be used: {0}")]
    Unusable(String),
}

/// What a CA says no for (RFC 8555 §6.7), as far as it makes a difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// It does not know our account (any more).
    AccountUnknown,
    /// A certificate that was to be replaced has been already (RFC 9773 §7.4).
    AlreadyReplaced,
    /// The domain's owner named other CAs.
    Caa,
    /// It could not connect to the name.
    Connection,
    /// The name does not lead anywhere.
    Dns,
    /// It wants to know whose account this is.
    ExternalAccount,
    /// It wants another nonce, again and again.
    Nonce,
    /// Any other.
    Other,
    /// Too much was asked of it lately.
    RateLimited,
    /// It does not sign such names.
    Rejected,
    /// Something else answered at the name.
    WrongAnswer,
}

/// Whose turn it is after a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Another CA may do better at once.
    AnotherCa,
    /// The order is good; it is looked at again later.
    SameOrder,
    /// A new order, later.
    Wait,
}

/// The other time of the two.
fn other_time(ours: UnixMillis, theirs: Option<UnixMillis>) -> String {
    match theirs {
        Some(theirs) => format!("the ca's says {}", theirs.date()),
        None if ours < EARLIEST => "which is before this program was made".to_owned(),
        None => "and by that the ca's own certificate does not hold".to_owned(),
    }
}

/// What may be asked for instead.
fn profiles(offered: &[String]) -> String {
    if offered.is_empty() {
        return "it has none at all".to_owned();
    }
    let names = offered.iter().take(ACME_PROFILES_SHOWN_MAX);
    let names: Vec<String> = names.map(|name| printable(name, LABEL_CHARS_MAX)).collect();
    format!("it has {}", names.join(", "))
}

impl AcmeError {
    /// What the library says, where the CA's last answer had `status`.
    pub(super) fn of(error: Error, status: Option<u16>) -> Self {
        match error {
            Error::Api(problem) => Self::refused(&problem, None),
            Error::Timeout(_) => Self::Stuck,
            // Renewals are all that is asked for and may not be there.
            Error::Unsupported(_) => Self::NoRenewalInfo,
            Error::Other(error) => match error.downcast::<Unreachable>() {
                Ok(unreachable) => Self::not_reached(*unreachable),
                Err(error) => Self::strange(&error.to_string(), status),
            },
            error => Self::strange(&error.to_string(), status),
        }
    }

    /// No answer; where that is our clock's fault, that.
    pub(super) fn not_reached(why: Unreachable) -> Self {
        match why {
            Unreachable::Outdated(ours) => Self::Clock { ours, theirs: None },
            why => Self::Unreachable(why),
        }
    }

    fn strange(text: &str, status: Option<u16>) -> Self {
        let status = status.map(|status| format!("status {status}, ")).unwrap_or_default();
        Unreachable::Strange(printable(&format!("{status}{text}"), ACME_SHOWN_CHARS_MAX)).into()
    }

    /// A problem document (RFC 7807), and what the CA had been asked to look at.
    pub(super) fn refused(problem: &Problem, looked: Option<(Host, ChallengeKind)>) -> Self {
        // Of several names' problems, the first: the others come when it is mended.
        let first = problem.subproblems.first();
        let kind = first.and_then(|first| first.r#type.as_deref()).or(problem.r#type.as_deref());
        let mut detail = printable(problem.detail.as_deref().unwrap_or_default(), ACME_SHOWN_CHARS_MAX);
        if let Some(first) = first.and_then(|first| first.detail.as_deref()) {
            detail.push_str("; ");
            detail.push_str(&printable(first, ACME_SHOWN_CHARS_MAX));
        }
        // Pebble has no problem of that kind for its own failed look-ups.
        let unresolved = looked.is_some() && detail.to_ascii_lowercase().contains("could not resolve");
        let reason = if unresolved { Reason::Dns } else { Reason::of(kind.unwrap_or_default()) };
        Self::Refused { reason, detail, looked }
    }

    /// Whether an order may succeed that does not name the certificate it replaces.
    pub(super) fn is_of_replacement(&self) -> bool {
        matches!(self, Self::Refused { reason: Reason::AlreadyReplaced, .. } | Self::NoRenewalInfo)
    }

    /// Whose turn it is.
    pub fn next(&self) -> Next {
        match self {
            Self::Eab(_) | Self::RootFile(_) | Self::NoChallenge(_) | Self::NoProfile { .. } | Self::Unreachable(_) => {
                Next::AnotherCa
            }
            Self::Refused { looked: Some(_), .. } => Next::Wait,
            Self::Refused { .. } => Next::AnotherCa,
            // Of the DNS the CA has seen nothing yet.
            Self::Clock { .. } | Self::Dns(_) | Self::File(_) | Self::Stuck => Next::SameOrder,
            Self::Broken | Self::Key(_) | Self::NoRenewalInfo | Self::Tls(_) | Self::Unusable(_) => Next::Wait,
        }
    }

    /// What its operator does about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Dns(error) => error.hint(),
            Self::Eab(error) => format!("write the hmac key that the ca gave you: {}", error.operators_hint()),
            Self::RootFile(error) => error.operators_hint(),
            Self::File(error) => error.hint(),
            Self::Clock { .. } => {
                "set this machine's clock (timedatectl); nothing is ordered or thrown away before it is right"
                    .to_owned()
            }
            Self::NoChallenge(_) => {
                "allow http-01 and tls-alpn-01 in `challenges`, and dns-01 with [certificates.acme.dns]".to_owned()
            }
            Self::NoProfile { .. } => {
                "write one of those as `profile`, or remove the key for the ca's own choice".to_owned()
            }
            Self::Refused { reason, looked, .. } => reason.hint(looked.as_ref()),
            Self::Unreachable(_) => {
                "see that this machine can reach the directory; it is tried again by itself".to_owned()
            }
            Self::Broken | Self::Key(_) | Self::NoRenewalInfo | Self::Stuck | Self::Tls(_) | Self::Unusable(_) => {
                "it is tried again by itself".to_owned()
            }
        }
    }
}

impl Reason {
    /// Of a problem's type.
    fn of(kind: &str) -> Self {
        match kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(kind) {
            "accountDoesNotExist" => Self::AccountUnknown,
            "alreadyReplaced" => Self::AlreadyReplaced,
            "badNonce" => Self::Nonce,
            "caa" => Self::Caa,
            "connection" => Self::Connection,
            "dns" => Self::Dns,
            "externalAccountRequired" => Self::ExternalAccount,
            "rateLimited" => Self::RateLimited,
            "rejectedIdentifier" | "unsupportedIdentifier" => Self::Rejected,
            "incorrectResponse" | "tls" | "unauthorized" => Self::WrongAnswer,
            _ => Self::Other,
        }
    }

    fn hint(self, looked: Option<&(Host, ChallengeKind)>) -> String {
        if let Some((name, ChallengeKind::Dns01)) = looked
            && let Self::Connection | Self::Dns | Self::WrongAnswer = self
        {
            return format!(
                "see what the world is told at _acme-challenge.{name}: that its zone is delegated to the name servers that are changed here, and DNSSEC is right"
            );
        }
        let name = looked.map_or_else(|| "the name".to_owned(), |(name, _)| name.to_string());
        let (port, listener) = match looked {
            Some((_, ChallengeKind::TlsAlpn01)) => (443, "https"),
            _ => (80, "http"),
        };
        match self {
            Self::AccountUnknown => "nothing: a new account is made at the next attempt".to_owned(),
            Self::Caa => {
                let record = "`CAA 0 issue \"the ca's own name\"` (for Let's Encrypt \"letsencrypt.org\"; `issuewild` for wildcards)";
                match looked {
                    Some((name, _)) => format!(
                        "let this ca sign in the CAA records of {name} or of what is above it: {record} there, or remove them"
                    ),
                    None => format!(
                        "let this ca sign in the CAA records of the name that it speaks of, or of what is above that: {record} there, or remove them"
                    ),
                }
            }
            Self::Connection => format!(
                "port {port} of {name} is not reachable from the ca: open it in every firewall and router, up to a listener with `protocol = \"{listener}\"`"
            ),
            Self::Dns => format!("{name} leads nowhere: point its A or AAAA record to this machine"),
            Self::ExternalAccount => "take `eab` with `kid` and `hmac_file` from your account at this ca".to_owned(),
            Self::AlreadyReplaced | Self::Nonce | Self::Other => "it is tried again by itself".to_owned(),
            Self::RateLimited => "wait: the ca's limits are reached, and it is tried again when they permit".to_owned(),
            Self::Rejected => {
                "this ca does not sign such names: let the local ca serve them, or take another ca".to_owned()
            }
            Self::WrongAnswer => format!(
                "something else answers on port {port} of {name}: see that its A and AAAA records lead to this machine, and no proxy stands before it"
            ),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountUnknown => "the ca does not know this account",
            Self::AlreadyReplaced => "the ca says that it was replaced already",
            Self::Caa => "caa records forbid it",
            Self::Connection => "the ca could not connect",
            Self::Dns => "the ca could not resolve the name",
            Self::ExternalAccount => "the ca wants an external account",
            Self::Nonce => "the ca rejected every nonce",
            Self::Other => "the ca refused",
            Self::RateLimited => "the ca's rate limit is reached",
            Self::Rejected => "the ca does not sign this name",
            Self::WrongAnswer => "the ca got a wrong answer",
        })
    }
}

impl From<FileError> for AcmeError {
    fn from(error: FileError) -> Self {
        Self::Unusable(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_word_and_next_step() {
        let looked = |kind| Some((Host::parse("claw.example").unwrap(), kind));
        for (kind, looked, reason, next, hint) in [
            ("connection", looked(ChallengeKind::Http01), Reason::Connection, Next::Wait, "port 80 of claw.example"),
            ("connection", looked(ChallengeKind::TlsAlpn01), Reason::Connection, Next::Wait, "port 443 of claw.ex"),
            ("dns", looked(ChallengeKind::Http01), Reason::Dns, Next::Wait, "point its A or AAAA record"),
            ("unauthorized", looked(ChallengeKind::Http01), Reason::WrongAnswer, Next::Wait, "something else answers"),
            ("caa", None, Reason::Caa, Next::AnotherCa, "CAA records"),
            ("rateLimited", None, Reason::RateLimited, Next::AnotherCa, "limits are reached"),
            ("rejectedIdentifier", None, Reason::Rejected, Next::AnotherCa, "local ca"),
            ("externalAccountRequired", None, Reason::ExternalAccount, Next::AnotherCa, "`eab`"),
            ("serverInternal", None, Reason::Other, Next::AnotherCa, "by itself"),
        ] {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            let problem = Problem { r#type: Some(kind), detail: None, status: None, subproblems: Vec::new() };
            let error = AcmeError::refused(&problem, looked);
            assert!(matches!(error, AcmeError::Refused { reason: found, .. } if found == reason), "{error}");
            assert_eq!(error.next(), next, "{error}");
            assert!(error.hint().contains(hint), "{error}: {}", error.hint());
        }
    }

    #[test]
    fn a_refusal_by_caa_is_told_with_the_record_to_write_for_the_name_where_it_is_known() {
        let host = Host::parse("claw.example").unwrap();
        let of_name = Reason::Caa.hint(Some(&(host, ChallengeKind::Http01)));
        assert!(of_name.contains("the CAA records of claw.example or of what is above it"), "{of_name}");
        for hint in [of_name, Reason::Caa.hint(None)] {
            assert!(hint.contains("`CAA 0 issue \"the ca's own name\"`") && !hint.contains("name."), "{hint}");
        }
    }

    #[test]
    fn a_profile_that_is_not_there_is_told_with_those_that_are() {
        let fault = |offered: &[&str]| {
            let offered = offered.iter().map(|name| (*name).to_owned()).collect();
            AcmeError::NoProfile { wanted: "tiny".to_owned(), offered }.to_string()
        };
        assert_eq!(fault(&["classic", "a\nb"]).lines().count(), 1);
        assert!(fault(&["classic", "shortlived"]).ends_with("of this name: tiny; it has classic, shortlived"));
        assert!(fault(&[]).ends_with("it has none at all"));
        assert!(fault(&["x"; 1_000]).len() < 200);
    }

    #[test]
    fn a_clock_that_is_wrong_is_told_with_both_times() {
        let ours = UnixMillis(0);
        let told = AcmeError::Clock { ours, theirs: Some(UnixMillis(1_795_219_200_000)) }.to_string();
        assert_eq!(told, "the clock of this machine says 1970-01-01T00:00:00Z, the ca's says 2026-11-21T00:00:00Z");
    }

    #[test]
    fn a_cas_words_cannot_forge_a_line() {
        let detail = Some(format!("no\n\u{1b}[2J {}", "x".repeat(9_999)));
        let problem = Problem { r#type: None, detail, status: None, subproblems: Vec::new() };
        let shown = AcmeError::refused(&problem, None).to_string();
        assert!(!shown.contains(['\n', '\u{1b}']) && shown.len() < 500, "{shown}");
    }
}
