//! The signing keys of a running instance: replaced by age and by command, in an order in which nothing that was signed well
//! is refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tracing::info;

use crate::base::clock::Clock;
use crate::edge::Edge;
use crate::identity::jwks::JwkSet;
use crate::identity::signer::Signer;
use crate::store::keys::signing::{Listed, Maintained, Replaced, SigningKeys, SigningKeysError};

/// The keys, and everyone who must know them.
#[derive(Debug)]
pub struct Keyring {
    clock: Clock,
    edge: Edge,
    keys: Mutex<SigningKeys>,
    signer: Arc<Signer>,
}

impl Keyring {
    /// For `edge`, which signs with `signer`, and the core behind it.
    pub fn new(keys: SigningKeys, signer: Arc<Signer>, edge: Edge, clock: Clock) -> Self {
        Self { clock, edge, keys: Mutex::new(keys), signer }
    }

    /// What `keys list` shows, the current one first.
    pub fn list(&self) -> Value {
        describe(&self.keys().list())
    }

    /// Signs with a new key from now on.
    ///
    /// # Errors
    /// [`SigningKeysError`].
    pub fn rotate(&self, replaced: Replaced) -> Result<Value, SigningKeysError> {
        let mut keys = self.keys();
        let before = keys.public();
        let rotated = keys.rotate(replaced, self.clock.now());
        // In any case: with a key that was compromised, a file may be left, and the new key signs already.
        self.publish(&keys, &before);
        rotated?;
        info!(kid = %keys.current().kid(), ?replaced, "signing key replaced by command");
        Ok(describe(&keys.list()))
    }

    /// Replaces the key if it is of age, and drops those whose overlap is over.
    ///
    /// # Errors
    /// [`SigningKeysError`], with the keys as before.
    pub fn maintain(&self) -> Result<(), SigningKeysError> {
        let mut keys = self.keys();
        let before = keys.public();
        let maintained = keys.maintain(self.clock.now())?;
        if maintained == Maintained::Unchanged {
            return Ok(());
        }
        self.publish(&keys, &before);
        let kid = keys.current().kid().to_owned();
        match maintained {
            Maintained::Rotated => info!(%kid, "signing key replaced by age"),
            _ => info!(%kid, "replaced signing keys dropped, their overlap is over"),
        }
        Ok(())
    }

    /// The order matters: nobody signs with a key that is not believed yet, and no key goes before it signs no more.
    fn publish(&self, keys: &SigningKeys, before: &JwkSet) {
        let after = keys.public();
        let going = before.keys().iter().filter(|key| after.find(key.kid()).is_none());
        let both = JwkSet::new(after.keys().iter().chain(going).cloned().collect());
        self.edge.core().replace_keys(both);
        self.signer.replace_key(keys.current());
        self.edge.core().replace_keys(after.clone());
        self.edge.replace_keys(&after);
    }

    fn keys(&self) -> MutexGuard<'_, SigningKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys as `keys list --json` shows them.
pub fn describe(keys: &[Listed]) -> Value {
    let keys = keys.iter().map(|key| {
        json!({
            "kid": key.kid,
            "createdAtMs": key.created.0,
            "state": if key.verifies_until.is_some() { "overlap" } else { "current" },
            "verifiesUntilMs": key.verifies_until.map(|until| until.0),
        })
    });
    json!({"keys": keys.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests;
