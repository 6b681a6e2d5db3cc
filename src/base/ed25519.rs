//! Ed25519 public keys that can be relied on: one spelling for each, and none that verifies what nobody signed.

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use thiserror::Error;

/// An Ed25519 public key (RFC 8032 §5.1).
///
/// Invariant: the canonical encoding of a curve point that is not of small order. A key of small order would verify
/// signatures that nobody made; a second spelling would be a second name for one key.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032 §5.1.2.
    ///
    /// # Errors
    /// [`NoKey`] when they are no key that can prove anything.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, NoKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| NoKey)?;
        // The point is written anew: the reader of points would reduce y >= p silently (RFC 8032 §5.1.3).
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !canonical { Err(NoKey) } else { Ok(Self(key)) }
    }

    /// Whether `signature` is this key's over `message`, strictly: one spelling for each signature, no point of small
    /// order, no cofactor (RFC 8032 §5.1.7 with the checks of `verify_strict`).
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

/// Bytes that are no usable public key.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("not a usable ed25519 public key")]
pub struct NoKey;

#[cfg(test)]
mod tests;
