//! A device proves itself: its id is the hash of its key, and the key signed our challenge.

mod payload;

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::alphabet::URL_SAFE;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use thiserror::Error;

use crate::base::clock::UnixMillis;
use crate::base::ed25519::PublicKey;
use crate::base::limits::SIGNED_AT_SKEW_MS;
use crate::base::secret::Fingerprint;
use crate::protocol::connect::Connect;
use crate::protocol::connect::DeviceParams;
use crate::protocol::refusal::ProofFault;

/// A device's name: SHA-256 of its public key, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct DeviceId(Fingerprint);

impl DeviceId {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Ord for DeviceId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for DeviceId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for DeviceId {
    type Err = DeviceTextError;

    /// Reads exactly the one spelling that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, DeviceTextError> {
        Fingerprint::from_hex(text).map(Self).ok_or(DeviceTextError::Id)
    }
}

impl Serialize for DeviceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A device's Ed25519 public key; shown in its one canonical form: base64url of 32 bytes without padding.
///
/// Invariant: the bytes of a [`PublicKey`]. Kept as bytes: there may be a million devices, and each proves itself rarely.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct DevicePublicKey([u8; 32]);

impl DevicePublicKey {
    /// Takes the raw bytes of a key.
    ///
    /// # Errors
    /// [`DeviceTextError::PublicKey`] when they are no key that can prove anything.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, DeviceTextError> {
        PublicKey::from_bytes(&bytes).map(|_| Self(bytes)).map_err(|_| DeviceTextError::PublicKey)
    }

    /// Reads base64url or base64, padded or not, or a PEM `PUBLIC KEY` block (RFC 8410 §4).
    ///
    /// # Errors
    /// [`DeviceTextError::PublicKey`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, DeviceTextError> {
        Self::from_bytes(Self::raw(text).ok_or(DeviceTextError::PublicKey)?)
    }

    /// The 32 bytes that `text` spells, be they a key or not.
    fn raw(text: &str) -> Option<[u8; 32]> {
        // SubjectPublicKeyInfo of an Ed25519 key is this and the 32 bytes (RFC 8410 §10.1).
        const DER_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let text = text.trim();
        let raw = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
            Some(rest) => {
                let body = rest.strip_suffix("-----END PUBLIC KEY-----")?;
                let body: String = body.split_ascii_whitespace().collect();
                decode(&body)?.strip_prefix(&DER_HEAD)?.to_vec()
            }
            None => decode(text)?,
        };
        raw.try_into().ok()
    }

    /// As [`PublicKey::verifies`].
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        PublicKey::from_bytes(&self.0).is_ok_and(|key| key.verifies(message, signature))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id of the device that has this key.
    pub fn id(&self) -> DeviceId {
        DeviceId(Fingerprint::of(self.as_bytes()))
    }
}

impl fmt::Display for DevicePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for DevicePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DevicePublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DevicePublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// base64 in either alphabet, padding optional, unused bits zero.
fn decode(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['+', '/']) { &STANDARD } else { &URL_SAFE };
    GeneralPurpose::new(alphabet, config).decode(text).ok()
}

/// Text that names no device.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DeviceTextError {
    /// Not 64 lower-case hexadecimal digits.
    #[error("not a device id")]
    Id,
    /// Not an Ed25519 public key.
    #[error("not an ed25519 public key")]
    PublicKey,
}

/// The nonce of one socket's `connect.challenge`. [`prove`] takes it, so it is used once.
#[derive(Debug)]
pub struct Challenge(String);

impl Challenge {
    /// A challenge with this nonce, which no other socket ever had.
    pub fn new(nonce: String) -> Self {
        Self(nonce)
    }

    /// The nonce as it is sent.
    pub fn nonce(&self) -> &str {
        &self.0
    }
}

/// A device that proved its key to this socket. Only [`prove`] makes one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProvenDevice {
    key: DevicePublicKey,
    id: DeviceId,
}

impl ProvenDevice {
    /// Its id.
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Its key.
    pub fn key(&self) -> DevicePublicKey {
        self.key
    }
}

/// What came of a `connect`'s device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// It names no device.
    Absent,
    /// It proved one.
    Proven(ProvenDevice),
    /// It failed to.
    Refused(ProofFault),
}

/// Judges the device of `connect` against the challenge of its socket.
///
/// The payload of version 3 is tried first, then that of version 2, as the newer gateway does; version 1 has no
/// nonce and is never tried.
pub fn prove(connect: &Connect, challenge: Challenge, now: UnixMillis) -> Proof {
    match &connect.device {
        None => Proof::Absent,
        Some(claim) => match judge(connect, claim, &challenge, now) {
            Ok(device) => Proof::Proven(device),
            Err(fault) => Proof::Refused(fault),
        },
    }
}

fn judge(
    connect: &Connect,
    claim: &DeviceParams,
    challenge: &Challenge,
    now: UnixMillis,
) -> Result<ProvenDevice, ProofFault> {
    // As the gateway does: what is no key has no id, so it cannot be the claimed one.
    let raw = DevicePublicKey::raw(&claim.public_key).ok_or(ProofFault::IdMismatch)?;
    let id = DeviceId(Fingerprint::of(&raw));
    if claim.id.parse() != Ok(id) {
        return Err(ProofFault::IdMismatch);
    }
    let key = DevicePublicKey::from_bytes(raw).map_err(|_| ProofFault::PublicKeyInvalid)?;
    if now.since(UnixMillis(claim.signed_at)).unsigned_abs() > SIGNED_AT_SKEW_MS.unsigned_abs() {
        return Err(ProofFault::SignatureStale);
    }
    let nonce = claim.nonce.as_deref().filter(|nonce| !nonce.trim().is_empty()).ok_or(ProofFault::NonceMissing)?;
    if nonce != challenge.nonce() {
        return Err(ProofFault::NonceMismatch);
    }
    let signature = decode(&claim.signature).ok_or(ProofFault::SignatureInvalid)?;
    let signed = payload::candidates(connect, claim, nonce);
    let holds = |payload: &String| key.verifies(payload.as_bytes(), &signature);
    if signed.iter().any(holds) { Ok(ProvenDevice { key, id }) } else { Err(ProofFault::SignatureInvalid) }
}

#[cfg(test)]
mod tests;
