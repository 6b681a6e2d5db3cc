//! The gateway's shared secret, judged.

use crate::base::secret::Fingerprint;
use crate::protocol::connect::Auth;
use crate::protocol::hello::AuthMethod;

/// What came of the shared secret in a `connect`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shared {
    /// Not looked at: too many wrong ones came from there.
    Locked {
        /// When the next may be tried.
        retry_after_ms: u64,
    },
    /// None was sent.
    Missing,
    /// It is the gateway's.
    Right(AuthMethod),
    /// It is not.
    Wrong,
}

impl Shared {
    /// Compares what was sent with the gateway's secret. As the newer gateway, we take it under either name.
    pub fn judge(auth: &Auth, gateway: &Fingerprint) -> Self {
        let sent = [(&auth.token, AuthMethod::Token), (&auth.password, AuthMethod::Password)];
        if sent.iter().all(|(secret, _)| secret.is_none()) {
            return Self::Missing;
        }
        // Both are compared always, so that time does not tell which one was right.
        let verdicts =
            sent.map(|(secret, method)| (secret.as_ref().is_some_and(|secret| gateway.is(secret.expose())), method));
        let right = verdicts.into_iter().find(|(right, _)| *right);
        right.map_or(Self::Wrong, |(_, method)| Self::Right(method))
    }
}
