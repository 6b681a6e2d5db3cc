//! An issuer made up for tests, its keys and its tokens.

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::keys::{Algorithm, KeySet};
use super::{Expected, Login, TokenError, verify};
use crate::identity::claims::IdentityClaim;
use crate::identity::jose;

/// When the tokens of [`claims`] are good.
pub(crate) const NOW: u64 = 1_800_000_000;

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

pub(crate) struct Issuer {
    pair: Pair,
    algorithm: &'static str,
    pub(crate) jwk: Value,
    pub(crate) keys: KeySet,
    pub(crate) expected: Expected,
}

impl Issuer {
    pub(crate) fn ed25519() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = jose::encode(pair.public_key());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed", "use": "sig", "x5t": "ignored"});
        Self::of(Pair::Ed25519(pair), "EdDSA", Algorithm::EdDsa, jwk)
    }

    pub(crate) fn p256() -> Self {
        let (random, curve) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &random).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (jose::encode(&point[1..33]), jose::encode(&point[33..]));
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "ec", "alg": "ES256"});
        Self::of(Pair::P256(pair), "ES256", Algorithm::Es256, jwk)
    }

    fn of(pair: Pair, word: &'static str, algorithm: Algorithm, jwk: Value) -> Self {
        let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        let expected = Expected {
            provider: "jwt".to_owned(),
            issuer: "https://issuer.example".to_owned(),
            audience: "ours".to_owned(),
            algorithms: vec![algorithm],
            login: Login::Email,
            groups_claim: None,
        };
        Self { pair, algorithm: word, jwk, keys, expected }
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm, "kid": self.jwk["kid"], "typ": "JWT"})
    }

    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        self.seal(&format!("{}.{}", jose::encode(header.to_string()), jose::encode(claims.to_string())))
    }

    pub(crate) fn seal(&self, message: &str) -> String {
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message.as_bytes()).as_ref().to_vec(),
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", jose::encode(signature))
    }

    /// The JWK Set it shows.
    pub(crate) fn document(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }

    /// A good token of this account.
    pub(crate) fn token_of(&self, login: &str) -> String {
        self.token(&self.header(), &with(&claims(), "email", json!(login)))
    }

    pub(crate) fn verify(&self, token: &str) -> Result<IdentityClaim, TokenError> {
        verify(token, &self.expected, &self.keys, NOW)
    }
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": "ours", "iat": NOW - 5, "nbf": NOW - 5, "exp": NOW + 300,
        "sub": "u-1", "email": "alice@example.com", "name": "Alice", "groups": ["a"],
    })
}

pub(crate) fn with(of: &Value, name: &str, value: Value) -> Value {
    let mut of = of.clone();
    let members = of.as_object_mut().unwrap();
    if value.is_null() {
        members.remove(name);
    } else {
        members.insert(name.to_owned(), value);
    }
    of
}
