//! Why a CA gave no answer that can be read: the network, its server, or our own clock.

use std::io;

use rustls::CertificateError;
use thiserror::Error;

use crate::base::clock::UnixMillis;
use crate::base::limits::ACME_SHOWN_CHARS_MAX;
use crate::base::printable::printable;

/// Why there was no answer.
#[derive(Clone, Debug, Error)]
pub enum Unreachable {
    /// An answer of which the end did not come, or that is too long.
    #[error("its answer broke off")]
    BrokenOff,
    /// No connection; its words are the system's.
    #[error("{0}")]
    NoConnection(String),
    /// By our clock, the certificate that it shows is over or has not begun.
    #[error("its own certificate does not hold at this time")]
    Outdated(UnixMillis),
    /// Too slow.
    #[error("no answer in time")]
    Silent,
    /// What is there is no ACME server, or a broken one.
    #[error("it does not answer as an acme server does: {0}")]
    Strange(String),
}

impl Unreachable {
    /// Of a connection that failed, with its innermost cause.
    pub(super) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut innermost = error;
        loop {
            if let Some(rustls::Error::InvalidCertificate(cause)) = tls_error(innermost)
                && let Some(time) = untimely(cause)
            {
                return Self::Outdated(time);
            }
            let Some(source) = innermost.source() else { break };
            innermost = source;
        }
        Self::NoConnection(printable(&innermost.to_string(), ACME_SHOWN_CHARS_MAX))
    }
}

/// What rustls says, which an error of the system may wrap.
fn tls_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let wrapped = || error.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref();
    error.downcast_ref().or_else(wrapped)
}

/// The time at which a certificate does not hold, if that is what is wrong with it.
fn untimely(cause: &CertificateError) -> Option<UnixMillis> {
    match cause {
        CertificateError::ExpiredContext { time, .. } | CertificateError::NotValidYetContext { time, .. } => {
            Some(UnixMillis(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1_000)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_does_not_hold_now_is_told_apart_from_one_of_nobody() {
        let time = rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(7));
        let expired = CertificateError::ExpiredContext { time, not_after: time };
        let wrapped = io::Error::other(rustls::Error::InvalidCertificate(expired));
        assert!(matches!(Unreachable::of(&wrapped), Unreachable::Outdated(UnixMillis(7_000))));
        let other = io::Error::other(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(matches!(Unreachable::of(&other), Unreachable::NoConnection(_)));
    }
}
