//! The public keys an edge signs with, as a JWK Set (RFC 7517) of Ed25519 keys (RFC 8037).

use ring::digest;
use serde::Serialize;

use crate::base::ed25519;
use crate::base::ed25519::NoKey;
use crate::identity::jose;

/// A public key and its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    key: ed25519::PublicKey,
    kid: String,
}

impl PublicKey {
    /// Takes the 32 bytes of RFC 8032 §5.1.2.
    ///
    /// # Errors
    /// [`NoKey`] when they are no usable point.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, NoKey> {
        Ok(Self { key: ed25519::PublicKey::from_bytes(bytes)?, kid: thumbprint(bytes) })
    }

    /// The RFC 7638 thumbprint, by which an assertion names the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The key itself.
    pub fn key(&self) -> &ed25519::PublicKey {
        &self.key
    }
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

#[derive(Serialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Serialize)]
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
    fn a_set_is_written_as_rfc_8037_has_it() {
        let set = JwkSet::new(vec![key(X).unwrap()]);
        assert!(set.find(THUMBPRINT).is_some() && set.find("").is_none());
        assert_eq!(
            set.to_json(),
            format!(
                r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{X}","kid":"{THUMBPRINT}","alg":"EdDSA","use":"sig"}}]}}"#
            )
        );
    }

    fn key(x: &str) -> Result<PublicKey, NoKey> {
        PublicKey::from_bytes(&jose::decode(x).unwrap().try_into().unwrap())
    }
}
