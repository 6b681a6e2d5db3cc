//! One word for each cause of a failed order, by which a monitor counts them.

use crate::certificates::acme::failure::{AcmeError, Reason};

/// The word for `error`.
pub(super) fn cause(error: &AcmeError) -> &'static str {
    match error {
        AcmeError::Broken => "broken",
        AcmeError::Clock { .. } => "clock",
        AcmeError::Dns(_) => "dns-record",
        AcmeError::Eab(_) => "external-account-file",
        AcmeError::File(_) => "file",
        AcmeError::Key(_) => "key",
        AcmeError::NoChallenge(_) => "no-challenge",
        AcmeError::NoProfile { .. } => "no-profile",
        AcmeError::NoRenewalInfo => "no-renewal-info",
        AcmeError::Refused { reason, .. } => refusal(*reason),
        AcmeError::RootFile(_) => "root-file",
        AcmeError::Stuck => "stuck",
        AcmeError::Tls(_) => "tls",
        AcmeError::Unreachable(_) => "unreachable",
        AcmeError::Unusable(_) => "unusable",
    }
}

fn refusal(reason: Reason) -> &'static str {
    match reason {
        Reason::AccountUnknown => "account-unknown",
        Reason::AlreadyReplaced => "already-replaced",
        Reason::Caa => "caa",
        Reason::Connection => "connection",
        Reason::Dns => "dns",
        Reason::ExternalAccount => "external-account",
        Reason::Nonce => "nonce",
        Reason::Other => "refused",
        Reason::RateLimited => "rate-limited",
        Reason::Rejected => "rejected-name",
        Reason::WrongAnswer => "wrong-answer",
    }
}
