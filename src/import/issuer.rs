//! Under which gateway token a device token of 2026.9 was handed out: one of an earlier gateway token is void there, and so
//! it is here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;

/// What is known of the other gateway's secret.
#[derive(Clone)]
pub enum OldSecret {
    /// It is this one.
    Known {
        /// Whether it is a token or a password.
        kind: SecretKind,
        /// The secret.
        secret: Secret<String>,
    },
    /// It stands where we do not see it, such as in an environment variable.
    Unknown,
}

impl fmt::Debug for OldSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { kind, .. } => write!(f, "Known({kind:?})"),
            Self::Unknown => f.write_str("Unknown"),
        }
    }
}

/// By what callers of the other gateway show that they may try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SecretKind {
    /// `gateway.auth.password`.
    Password,
    /// `gateway.auth.token`.
    Token,
}

/// Who handed a token out, as 2026.9 writes it down.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct TokenIssuer {
    kind: String,
    generation: Option<String>,
}

/// Whether a token counts at the other gateway now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Count {
    Counts,
    Stale,
    Unknown,
}

impl OldSecret {
    /// Whether what `issuer` handed out counts while the gateway's secret is this one.
    pub(super) fn counts(&self, issuer: &TokenIssuer) -> Count {
        let Self::Known { kind, secret } = self else { return Count::Unknown };
        let word = match kind {
            SecretKind::Password => "password",
            SecretKind::Token => "token",
        };
        let text = Secret::new(format!("{word}\0{}", secret.expose()));
        let now = URL_SAFE_NO_PAD.encode(Fingerprint::of(text.expose().as_bytes()).as_bytes());
        match (issuer.kind.as_str(), issuer.generation.as_deref()) {
            ("shared-gateway-auth", Some(generation)) if generation == now => Count::Counts,
            ("shared-gateway-auth", Some(_)) => Count::Stale,
            _ => Count::Unknown,
        }
    }
}
