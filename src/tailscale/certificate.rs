//! The tailnet's certificates, as tailscaled hands them out: for which names, and the pair for one.

use http::StatusCode;
use thiserror::Error;
use tokio::time::timeout;

use super::local_api::{self, LocalApiError};
use super::{Tailscale, status};
use crate::base::limits::{LABEL_CHARS_MAX, TAILNET_CERT_WAIT, WHOIS_WAIT};
use crate::base::printable::printable;
use crate::base::secret::Secret;
use crate::net::host::Host;

impl Tailscale {
    /// The names that this machine can have certificates for.
    ///
    /// # Errors
    /// [`TailscaleError`].
    pub async fn certificate_domains(&self) -> Result<Vec<String>, TailscaleError> {
        let asked = timeout(WHOIS_WAIT, local_api::ask(self.socket(), local_api::STATUS)).await;
        let body = match asked.unwrap_or(Err(LocalApiError::Deadline))? {
            (StatusCode::OK, body) => body,
            (status, body) => return Err(TailscaleError::refused(status, &body)),
        };
        status::certificate_domains(&body).map_err(|_| TailscaleError::Status)
    }

    /// The certificate for `name` and its key, in PEM. tailscaled may have to order it first.
    ///
    /// # Errors
    /// [`TailscaleError`].
    pub async fn certificate(&self, name: &Host) -> Result<Secret<Vec<u8>>, TailscaleError> {
        let target = format!("/localapi/v0/cert/{name}?type=pair");
        let asked = timeout(TAILNET_CERT_WAIT, local_api::ask(self.socket(), &target)).await;
        match asked.unwrap_or(Err(LocalApiError::Deadline))? {
            (StatusCode::OK, body) => Ok(Secret::new(body.to_vec())),
            (status, body) => Err(TailscaleError::refused(status, &body)),
        }
    }
}

/// Why tailscaled gave no certificate.
#[derive(Debug, Error)]
pub enum TailscaleError {
    /// Not reached, not in time, or not tailscaled.
    #[error("tailscaled: {0}")]
    Api(String, &'static str),
    /// It says no.
    #[error("tailscaled refuses ({status}): {words}")]
    Refused {
        /// HTTP's word for it.
        status: StatusCode,
        /// Its own, printable.
        words: String,
    },
    /// Its status is not what tailscaled writes.
    #[error("tailscaled's status is unreadable")]
    Status,
}

impl TailscaleError {
    fn refused(status: StatusCode, body: &[u8]) -> Self {
        Self::Refused { status, words: printable(String::from_utf8_lossy(body).trim(), LABEL_CHARS_MAX) }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Api(_, hint) => hint,
            Self::Refused { status: StatusCode::FORBIDDEN, .. } => {
                "tailscaled gives certificates to root and to its operator: tailscale set --operator=USER"
            }
            Self::Refused { .. } => "`tailscale cert NAME` asks for the same and tells more",
            Self::Status => "does `tailscale.socket` name tailscaled's own socket?",
        }
    }
}

impl From<LocalApiError> for TailscaleError {
    fn from(error: LocalApiError) -> Self {
        Self::Api(error.to_string(), error.hint())
    }
}
