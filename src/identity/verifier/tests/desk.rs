//! An edge and a core in one place, and a hand that signs anything with the edge's key.

use std::sync::Arc;

use ed25519_dalek::Signer as _;
use http::HeaderValue;
use http::request::Parts;
use serde_json::{Value, json};

use crate::base::clock::{Clock, UnixMillis};
use crate::identity::claims::RequestClaim;
use crate::identity::headers;
use crate::identity::jose;
use crate::identity::jwks::JwkSet;
use crate::identity::signer::{Signer, SigningKey};
use crate::identity::testing::{parts, subject};
use crate::identity::verifier::{AssertionError, Expected, Leeway, Lives, Verified, Verifier};

pub(super) const SEED: [u8; 32] = [7; 32];
pub(super) const START: u64 = 1_800_000_000;

/// An edge and a core with one key between them.
pub(super) struct Desk {
    pub(super) clock: Clock,
    pub(super) signer: Signer,
    pub(super) verifier: Verifier,
}

impl Desk {
    pub(super) fn new(leeway: Leeway) -> Self {
        let clock = Clock::fixed(UnixMillis(START as i64 * 1_000));
        Self::with(leeway, clock.clone(), clock)
    }

    pub(super) fn with(leeway: Leeway, edge: Clock, core: Clock) -> Self {
        let key = Arc::new(SigningKey::of_seed(SEED));
        let keys = JwkSet::new(vec![key.public().clone()]);
        let signer = Signer::new(key, "edge", "core", edge).unwrap();
        Self { clock: core.clone(), signer, verifier: Verifier::new(keys, expected(leeway), core) }
    }

    pub(super) fn set(&self) -> JwkSet {
        JwkSet::new(vec![SigningKey::of_seed(SEED).public().clone()])
    }

    pub(super) fn sign(&self, request: Option<&Parts>) -> String {
        let claim = request.map(|request| RequestClaim::of(request).unwrap());
        self.signer.sign(&subject(), claim.as_ref()).unwrap()
    }

    pub(super) fn verify(&self, token: &str, mut request: Parts) -> Result<Verified, AssertionError> {
        request.headers.insert(headers::ASSERTION, HeaderValue::from_str(token).unwrap());
        self.verifier.verify_request(&request)
    }

    pub(super) fn get(&self, token: &str) -> Result<Verified, AssertionError> {
        self.verify(token, parts("GET", "/", &[("host", "a")]))
    }

    pub(super) fn header(&self) -> String {
        let kid = SigningKey::of_seed(SEED).kid().to_owned();
        json!({"alg": "EdDSA", "typ": "doorward-origin+jwt", "kid": kid}).to_string()
    }

    pub(super) fn header_with(&self, name: &str, value: Value) -> String {
        let mut header = read(&self.header());
        header[name] = value;
        header.to_string()
    }
}

pub(super) fn expected(leeway: Leeway) -> Expected {
    Expected { issuer: "edge".to_owned(), audience: "core".to_owned(), leeway, lives: Lives::Any }
}

/// The claims of a good shared assertion.
pub(super) fn payload() -> String {
    json!({
        "iss": "edge", "aud": "core", "iat": START, "nbf": START, "exp": START + 30, "jti": "j", "cid": "c", "sub": "anonymous",
        "origin": subject().origin,
    })
    .to_string()
}

pub(super) fn read(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

pub(super) fn with(name: &str, value: Value) -> String {
    with_all(&[(name, value)])
}

pub(super) fn with_all(members: &[(&str, Value)]) -> String {
    let mut payload = read(&payload());
    for (name, value) in members {
        payload[name] = value.clone();
    }
    payload.to_string()
}

pub(super) fn without(name: &str) -> String {
    let mut payload = read(&payload());
    payload.as_object_mut().unwrap().remove(name);
    payload.to_string()
}

pub(super) fn message(header: &str, payload: &str) -> String {
    format!("{}.{}", jose::encode(header), jose::encode(payload))
}

/// Signed with our own key by another hand, whatever it says.
pub(super) fn forge(header: &str, payload: &str) -> String {
    signed(&message(header, payload))
}

pub(super) fn signed(message: &str) -> String {
    let signature = ed25519_dalek::SigningKey::from_bytes(&SEED).sign(message.as_bytes());
    format!("{message}.{}", jose::encode(signature.to_bytes()))
}
