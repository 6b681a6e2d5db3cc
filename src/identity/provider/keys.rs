//! An issuer's public keys, as a JWK Set (RFC 7517): those that sign, each for the one algorithm that its kind allows.

use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use thiserror::Error;

use crate::base::ed25519;
use crate::base::limits::FOREIGN_KEYS_MAX;
use crate::identity::jose;

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1). No symmetric one: its key would be the public one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256.
    Es256,
    /// RSASSA-PKCS1-v1_5.
    Rs256,
}

impl Algorithm {
    /// Reads JOSE's word for it; case counts.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "EdDSA" => Some(Self::EdDsa),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// A key that signs.
#[derive(Clone, Debug)]
pub struct Key {
    kid: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Ed25519(ed25519::PublicKey),
    P256(Vec<u8>),
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl Key {
    /// Whether `signature` over `message` is this key's, by `algorithm`: no key serves two.
    pub fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Ed25519(key), Algorithm::EdDsa) => key.verifies(message, signature),
            (Material::P256(point), Algorithm::Es256) => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).is_ok()
            }
            (Material::Rsa { modulus, exponent }, Algorithm::Rs256) => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            _ => false,
        }
    }

    fn of(jwk: Jwk) -> Option<Self> {
        let bytes = |text: &Option<String>| text.as_deref().and_then(jose::decode);
        let (material, algorithm) = match (&*jwk.kty, jwk.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                let key = ed25519::PublicKey::from_bytes(&bytes(&jwk.x)?.try_into().ok()?).ok()?;
                (Material::Ed25519(key), "EdDSA")
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
                // Uncompressed (SEC 1 §2.3.3); ring refuses what is no point of the curve.
                ((x.len(), y.len()) == (32, 32)).then_some(())?;
                (Material::P256([&[4][..], &x, &y].concat()), "ES256")
            }
            ("RSA", None) => (Material::Rsa { modulus: bytes(&jwk.n)?, exponent: bytes(&jwk.e)? }, "RS256"),
            _ => return None,
        };
        let signs = jwk.purpose.is_none_or(|purpose| purpose == "sig");
        let fits = jwk.alg.is_none_or(|alg| alg == algorithm);
        (signs && fits).then_some(Self { kid: jwk.kid, material })
    }
}

/// The keys of one issuer that we can use.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a JWK Set; keys of other kinds or purposes are passed over (RFC 7517 §5).
    ///
    /// # Errors
    /// [`KeySetError`] when it is none, or no key of it can be used.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Document = jose::object_from_slice(json).map_err(|_| KeySetError::Json)?;
        if document.keys.len() > FOREIGN_KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<Key> = document.keys.into_iter().filter_map(Key::of).collect();
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self(keys)) }
    }

    /// The one key named `kid`; without a name, the only key there is.
    pub fn find(&self, kid: Option<&str>) -> Option<&Key> {
        let mut found = self.0.iter().filter(|key| kid.is_none() || key.kid.as_deref() == kid);
        let key = found.next()?;
        found.next().is_none().then_some(key)
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

/// Why a document is no key set to go by.
#[derive(Debug, Error)]
pub enum KeySetError {
    /// No key that signs with RS256, ES256 or EdDSA.
    #[error("no usable key in the set")]
    Empty,
    /// Not a JWK Set.
    #[error("not a jwk set")]
    Json,
    /// More keys than an issuer has.
    #[error("more than {FOREIGN_KEYS_MAX} keys in the set")]
    TooMany,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of 2048 bits, and its signature over `a.b`, both made with OpenSSL.
    const MODULUS: &str = "q1EZ_ifhvoJxdLgeqP6if_LuJ8YJgB_iPH4S16c4RgVhNyR-OSBv4sfGt03b3-1NkVxK4UsiTXJSuZuOebUpLqr86xOZhiJlUdSci4JC9VsL3-TG7nM398CfVxr2bQEKuSxKanGKhJBp-KudoxZt-ZwFy0UifMkDEtsqCn4V-pvQAZnVlV34v17ny6KnEPqg67sKOxylPylZknwUBobDXdWEPjo_dlrKQK54yLySdgjVSN4xuCYdSk6-m1n0NIchOOnAUGBsf3lH2o_Qdx_wHSKmfx9xnwzzm3zgfyhgDZBRq_JbB5-DjDaa1dvmiZKLC0eY2nvik3WUHwvZH981Xw";
    const SIGNATURE: &str = "izh-aG09-abYjK9LEHapRTJ6E4nQvvMBVL5HeyQAWFK_s6xN3BEh49OLUNaBFEYY5aEvJ-sXOgOm_NFPPbfaAfxgvufL8VfOdZo7I9RF2cXGNFa23Yf3XS8loAMAmpE2-6fALNu9-VOfw7BQ-ljPiZPhGpS0t7sejtjBey2J57THlW22mle8A0AioJr80QP9oKgzz5ejz2IInWi8Xvkhn5p9CnLXTAxGkLAGn3FxhRCpEQqUTHANZT7Ej17HBnQOLeSAyhyopH7tXvBAZJdgEqTYSMnkVfyGtcPA9zyzjkBI1PYYKpayzh-LkjOqIhVaJbm4DfBCtt8AMcbx_shGLw";

    #[test]
    fn an_rsa_key_serves_rs256_alone() {
        let document = format!(r#"{{"keys":[{{"kty":"RSA","n":"{MODULUS}","e":"AQAB","kid":"r","alg":"RS256"}}]}}"#);
        let keys = KeySet::parse(document.as_bytes()).unwrap();
        let key = keys.find(Some("r")).unwrap();
        let signature = jose::decode(SIGNATURE).unwrap();
        assert!(key.verifies(Algorithm::Rs256, b"a.b", &signature));
        assert!(!key.verifies(Algorithm::Rs256, b"a.c", &signature));
        assert!(!key.verifies(Algorithm::Es256, b"a.b", &signature));
        assert!(!key.verifies(Algorithm::EdDsa, b"a.b", &signature));
        assert!(!key.verifies(Algorithm::Rs256, b"a.b", b""));
    }
}
