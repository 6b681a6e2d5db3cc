//! Who a product in front of us says is calling: its signed token, read before everything of its kind is stripped.
//!
//! Promise: a token counts only from a peer in `trusted_proxies`, on the listeners it was configured for, and only when its
//! issuer's own key signed it for us. Where that cannot be found out the request is refused: it never goes on as somebody, nor
//! as nobody.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use thiserror::Error;
use tokio::task::JoinSet;

use crate::base::clock::Clock;
use crate::identity::claims::IdentityClaim;
use crate::identity::provider::{Expected, TokenError, verify};
use crate::jwk_sets::{IssuerKeys, Place};
use crate::listener;
use crate::origin::Network;

/// One `[[identity]]` of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// What its tokens must say.
    pub expected: Expected,
    /// The header they come in.
    pub header: HeaderName,
    /// Where the keys lie.
    pub keys: Place,
    /// The listeners on which they are read.
    pub listeners: Vec<String>,
}

/// All whose tokens are read.
#[derive(Debug)]
pub struct Identities {
    issuers: Vec<Issuer>,
    clock: Clock,
}

#[derive(Debug)]
struct Issuer {
    settings: Settings,
    keys: IssuerKeys,
}

impl Identities {
    /// Those of `settings`. Their keys are there when [`Identities::keep_fresh`] works.
    pub fn new(settings: Vec<Settings>, clock: Clock) -> Self {
        let issuer = |settings: Settings| {
            let keys = IssuerKeys::new(&settings.expected.provider, settings.keys.clone(), clock.clone());
            Issuer { settings, keys }
        };
        Self { issuers: settings.into_iter().map(issuer).collect(), clock }
    }

    /// Keeps the keys of all of them fresh, each on its own, until the answer is dropped.
    pub fn keep_fresh(&self) -> JoinSet<()> {
        let mut kept = JoinSet::new();
        for issuer in &self.issuers {
            let keys = issuer.keys.clone();
            kept.spawn(async move { match keys.keep_fresh().await {} });
        }
        kept
    }

    /// Whom the token among `headers` names, which `speaker` sent to this listener. Nobody without a token, nor where the
    /// word of `speaker` does not count.
    ///
    /// # Errors
    /// [`IdentityRefusal`]: answer 403.
    pub async fn read(
        &self,
        headers: &HeaderMap,
        speaker: IpAddr,
        listener: &listener::Settings,
        network: &Network,
    ) -> Result<Option<IdentityClaim>, IdentityRefusal> {
        if !listener.origin.trusts(speaker, network) {
            return Ok(None);
        }
        let mut found = None;
        let is_read_here = |issuer: &&Issuer| issuer.settings.listeners.contains(&listener.name);
        for issuer in self.issuers.iter().filter(is_read_here) {
            for line in headers.get_all(&issuer.settings.header) {
                if found.replace((issuer, line)).is_some() {
                    return Err(IdentityRefusal::Ambiguous);
                }
            }
        }
        let Some((issuer, line)) = found else { return Ok(None) };
        let provider = || issuer.settings.expected.provider.clone();
        let invalid = |cause| IdentityRefusal::Invalid { provider: provider(), cause };
        let token = line.to_str().map_err(|_| invalid(TokenError::Base64))?;
        let judge = |keys: &_| verify(token, &issuer.settings.expected, keys, self.clock.now().seconds());
        match issuer.keys.keys().map(|keys| judge(&keys)) {
            // Perhaps the issuer has a new key, and we have not seen it yet.
            None | Some(Err(TokenError::KeyUnknown)) => {
                let keys = issuer.keys.newer().await.ok_or_else(|| IdentityRefusal::NoKey { provider: provider() })?;
                judge(&keys).map(Some).map_err(invalid)
            }
            Some(judged) => judged.map(Some).map_err(invalid),
        }
    }
}

/// Why nobody can say who is calling, although a token came.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum IdentityRefusal {
    /// More than one token.
    #[error("more than one identity token")]
    Ambiguous,
    /// A token that is not believed.
    #[error("token of {provider}: {cause}")]
    Invalid {
        /// Whose it should be.
        provider: String,
        /// Why.
        cause: TokenError,
    },
    /// A token whose key is not known, and cannot be had now.
    #[error("token of {provider}: its key cannot be had now")]
    NoKey {
        /// Whose it should be.
        provider: String,
    },
}

impl IdentityRefusal {
    /// The stable reason, and what to do.
    pub(super) fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Ambiguous => ("identity-token-ambiguous", "let the proxy in front send exactly one identity token"),
            Self::Invalid { cause: TokenError::Expired, .. } => {
                ("identity-token-expired", "sign in again at the proxy in front of this server")
            }
            Self::Invalid { .. } => (
                "identity-token-invalid",
                "sign in again at the proxy in front; if it stays so, its owner sees why in the log",
            ),
            Self::NoKey { .. } => {
                ("identity-keys-unavailable", "try again in a minute; the owner sees in the log what is missing")
            }
        }
    }
}

#[cfg(test)]
mod tests;
