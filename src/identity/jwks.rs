//! The public keys an edge signs with, as a JWK Set (RFC 7517) of Ed25519 keys (RFC 8037).

use ed25519_dalek::VerifyingKey;
use ring::digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::limits::SIGNING_KEYS_MAX;
use crate::identity::jose;

/// One Ed25519 public key.
///
/// Invariant: a point of full order in its canonical spelling; a small-order key would verify signatures nobody made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    key: VerifyingKey,
    kid: String,
}

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032 §5.1.2.
    ///
    /// # Errors
    /// [`JwksError::Point`] when they are no usable point.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, JwksError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| JwksError::Point)?;
        if key.is_weak() || !is_canonical(bytes) {
            return Err(JwksError::Point);
        }
        Ok(Self { key, kid: thumbprint(bytes) })
    }

    /// The RFC 7638 thumbprint, by which an assertion names the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key for [`VerifyingKey::verify_strict`].
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// RFC 8032 §5.1.3: y must be below p = 2^255 - 19; the reader of points would reduce it silently.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    *first < 0xed || last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// RFC 7638 §3: SHA-256 of the required members in alphabetical order.
fn thumbprint(bytes: &[u8; 32]) -> String {
    let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, jose::encode(bytes));
    jose::encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// The keys that may sign now: the current one first, then those it replaced, until their overlap ends.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct JwkSet(Vec<PublicKey>);

impl JwkSet {
    /// The set of `keys`, current one first.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self(keys)
    }

    /// Reads a JWK Set, strictly: Ed25519 signing keys with their thumbprint as `kid`, nothing private.
    ///
    /// # Errors
    /// [`JwksError`] names the first thing that is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, JwksError> {
        let document: Document = jose::object_from_slice(json).map_err(JwksError::Malformed)?;
        if document.keys.len() > SIGNING_KEYS_MAX {
            return Err(JwksError::TooMany);
        }
        document.keys.into_iter().map(PublicKey::try_from).collect::<Result<_, _>>().map(Self)
    }

    /// The document served at `/.well-known/doorward/jwks.json`.
    pub fn to_json(&self) -> String {
        let document = Document { keys: self.0.iter().map(Jwk::from).collect() };
        // Never: strings only, which always serialise.
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// The key named `kid`.
    pub fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.0.iter().find(|key| key.kid == kid)
    }

    /// The keys, current one first.
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    kid: String,
    alg: String,
    #[serde(rename = "use")]
    purpose: String,
}

impl From<&PublicKey> for Jwk {
    fn from(key: &PublicKey) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: jose::encode(key.key.as_bytes()),
            kid: key.kid.clone(),
            alg: jose::ALGORITHM.to_owned(),
            purpose: "sig".to_owned(),
        }
    }
}

impl TryFrom<Jwk> for PublicKey {
    type Error = JwksError;

    fn try_from(jwk: Jwk) -> Result<Self, JwksError> {
        if (jwk.kty.as_str(), jwk.crv.as_str(), jwk.alg.as_str(), jwk.purpose.as_str())
            != ("OKP", "Ed25519", jose::ALGORITHM, "sig")
        {
            return Err(JwksError::Kind);
        }
        let bytes = jose::decode(&jwk.x).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or(JwksError::Point)?;
        let key = Self::from_bytes(&bytes)?;
        if key.kid == jwk.kid { Ok(key) } else { Err(JwksError::Thumbprint) }
    }
}

/// Why a JWK Set was refused.
#[derive(Debug, Error)]
pub enum JwksError {
    /// A key that is not an Ed25519 signing key.
    #[error("a key is not an ed25519 signing key")]
    Kind,
    /// Not a JWK Set in JSON, or with members that do not belong there (a private key has `d`).
    #[error("not a jwk set of public keys: {0}")]
    Malformed(serde_json::Error),
    /// Not a usable point of the curve.
    #[error("a key is not a usable ed25519 point")]
    Point,
    /// `kid` is not the key's thumbprint.
    #[error("a key's kid is not its rfc 7638 thumbprint")]
    Thumbprint,
    /// More keys than any edge has.
    #[error("more keys than {SIGNING_KEYS_MAX}")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A.2 and A.3.
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const THUMBPRINT: &str = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        assert_eq!(key(X).unwrap().kid(), THUMBPRINT);
    }

    #[test]
    fn a_set_survives_its_own_notation() {
        let set = JwkSet::new(vec![key(X).unwrap()]);
        assert_eq!(JwkSet::from_json(set.to_json().as_bytes()).unwrap(), set);
        assert!(set.find(THUMBPRINT).is_some() && set.find("").is_none());
        assert_eq!(
            set.to_json(),
            format!(
                r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"{THUMBPRINT}","alg":"EdDSA","use":"sig"}}]}}"#
            )
        );
    }

    #[test]
    fn weak_and_misspelt_points_are_no_keys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut order_two = [0xff; 32];
        (order_two[0], order_two[31]) = (0xec, 0x7f);
        // y = p + 4, which a reader would take for y = 4.
        let mut above_p = [0xff; 32];
        (above_p[0], above_p[31]) = (0xf1, 0x7f);
        for bytes in [[0; 32], identity, order_two, above_p, [2; 32]] {
            assert!(matches!(PublicKey::from_bytes(&bytes), Err(JwksError::Point)), "{bytes:?}");
        }
    }

    #[test]
    fn every_odd_document_is_refused() {
        let good = JwkSet::new(vec![key(X).unwrap()]).to_json();
        let read = |from: &str, to: &str| {
            assert!(good.contains(from));
            JwkSet::from_json(good.replace(from, to).as_bytes()).unwrap_err()
        };
        assert!(matches!(read("OKP", "EC"), JwksError::Kind));
        assert!(matches!(read("EdDSA", "none"), JwksError::Kind));
        assert!(matches!(read(r#""sig""#, r#""enc""#), JwksError::Kind));
        assert!(matches!(read(r#""use":"sig""#, r#""use":"sig","d":"AA""#), JwksError::Malformed(_)));
        assert!(matches!(read(r#"{"kty""#, r#"{"kty":"OKP","kty""#), JwksError::Malformed(_)));
        assert!(matches!(read(X, "AA"), JwksError::Point));
        assert!(matches!(read(THUMBPRINT, "me"), JwksError::Thumbprint));
        let one = good.strip_prefix(r#"{"keys":["#).and_then(|rest| rest.strip_suffix("]}")).unwrap();
        let many = format!(r#"{{"keys":[{}]}}"#, vec![one; SIGNING_KEYS_MAX + 1].join(","));
        assert!(matches!(JwkSet::from_json(many.as_bytes()), Err(JwksError::TooMany)));
    }

    fn key(x: &str) -> Result<PublicKey, JwksError> {
        PublicKey::from_bytes(&jose::decode(x).unwrap().try_into().unwrap())
    }
}
