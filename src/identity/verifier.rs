//! The core's half: it believes one valid assertion for the request at hand, and nothing else.
//!
//! Written by hand and pure, because this is what the core's every decision rests on. The order is: size, shape, header, key,
//! signature, and only then the claims; an unsigned byte decides nothing. The signature is checked strictly (RFC 8032 with
//! small-order and malleable cases refused), the algorithm and the type are fixed (RFC 8725 §3.1, §3.11), and no key or address
//! comes out of the token itself.

mod error;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::request::Parts;
use serde::Deserialize;

use crate::base::clock::Clock;
use crate::base::limits::{
    ASSERTION_BYTES_MAX, ASSERTION_ID_CHARS_MAX, ASSERTION_LEEWAY_SAME_HOST_SECONDS, ASSERTION_LEEWAY_SECONDS,
    ASSERTION_LIFE_SECONDS, ASSERTION_SHARED_SECONDS, ASSERTIONS_SHARED_MAX,
};
use crate::identity::claims::{Assertion, RequestClaim, is_shareable};
use crate::identity::headers;
use crate::identity::jose;
use crate::identity::jwks::JwkSet;
use crate::identity::replay::{Replays, Room};
use crate::identity::signer::Life;

pub use error::{AssertionError, RequestPart};

/// How far the edge's clock and ours may differ.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leeway {
    /// Two hosts, two clocks.
    Apart,
    /// One clock: it may step back a little between signing and reading, but nothing outlives `exp`.
    SameHost,
}

impl Leeway {
    fn early_seconds(self) -> u64 {
        match self {
            Self::Apart => ASSERTION_LEEWAY_SECONDS,
            Self::SameHost => ASSERTION_LEEWAY_SAME_HOST_SECONDS,
        }
    }

    fn late_seconds(self) -> u64 {
        match self {
            Self::Apart => ASSERTION_LEEWAY_SECONDS,
            Self::SameHost => 0,
        }
    }
}

/// What every assertion must say.
#[derive(Clone, Debug)]
pub struct Expected {
    /// `iss`: the edge's id.
    pub issuer: String,
    /// `aud`: our own id, exactly.
    pub audience: String,
    /// The clocks' difference.
    pub leeway: Leeway,
    /// Which of the edge's lives is believed.
    pub lives: Lives,
}

/// Which of an edge's lives is believed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lives {
    /// Every one: the edge may start again while we run.
    Any,
    /// That of this process alone. What an earlier one signed is refused even when the clock was set back between them,
    /// so that it would seem to be signed now; our replay memory did not see it used.
    Only(Life),
}

/// An assertion that holds for the request it came with.
///
/// Invariant: made by [`Verifier`] alone; whoever holds one may act on its claims.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Signed>);

impl Verified {
    /// The claims.
    pub fn claims(&self) -> &Assertion {
        &self.0.claims
    }
}

/// Claims whose signature was good, and the key that made it.
#[derive(Debug)]
struct Signed {
    claims: Assertion,
    kid: String,
}

/// Verifies the assertions of one edge. It goes by [`Clock::steady`]: a wall clock that is set back neither shuts out what
/// the edge signs then, nor lets in again what was used before.
#[derive(Debug)]
pub struct Verifier {
    keys: ArcSwap<JwkSet>,
    expected: Expected,
    clock: Clock,
    /// What was signed before this second may have been used before our memory began.
    started: u64,
    /// Shared assertions by their exact text, so that a repeat costs no signature check.
    shared: Mutex<HashMap<Box<str>, Arc<Signed>>>,
    replays: Mutex<Replays>,
}

impl Verifier {
    /// Believes what `keys` sign, from now on.
    pub fn new(keys: JwkSet, expected: Expected, clock: Clock) -> Self {
        let started = clock.steady().seconds();
        let (shared, replays) = (Mutex::default(), Mutex::default());
        Self { keys: ArcSwap::from_pointee(keys), expected, clock, started, shared, replays }
    }

    /// Believes what `keys` sign instead; what a dropped key signed is refused at once.
    pub fn replace_keys(&self, keys: JwkSet) {
        self.keys.store(Arc::new(keys));
    }

    /// Takes the one assertion out of `request`'s head and checks that it is for this request.
    ///
    /// # Errors
    /// [`AssertionError`] with the exact cause, for the log; the caller hears only [`AssertionError::PUBLIC`].
    pub fn verify_request(&self, request: &Parts) -> Result<Verified, AssertionError> {
        self.verify(request, Room::Shared)
    }

    /// As [`Verifier::verify_request`], for a valid opening handshake of a WebSocket, which may use the last places of the
    /// replay memory too.
    ///
    /// # Errors
    /// As [`Verifier::verify_request`].
    pub fn verify_opening(&self, request: &Parts) -> Result<Verified, AssertionError> {
        self.verify(request, Room::All)
    }

    fn verify(&self, request: &Parts, room: Room) -> Result<Verified, AssertionError> {
        let token = only_assertion(&request.headers)?;
        if let Some(signed) = self.remembered(token) {
            self.check_claims(&signed.claims)?;
            self.check_shared(&signed.claims, request)?;
            return Ok(Verified(signed));
        }
        let signed = Arc::new(self.check_signature(token)?);
        self.check_claims(&signed.claims)?;
        match &signed.claims.req {
            None => {
                self.check_shared(&signed.claims, request)?;
                self.remember(token, &signed);
            }
            Some(claim) => {
                check_binding(claim, request)?;
                self.check_new(&signed, room)?;
            }
        }
        Ok(Verified(signed))
    }

    fn check_signature(&self, token: &str) -> Result<Signed, AssertionError> {
        let (message, signature) = token.rsplit_once('.').ok_or(AssertionError::Shape)?;
        let (header, payload) = message.split_once('.').ok_or(AssertionError::Shape)?;
        if payload.contains('.') {
            return Err(AssertionError::Shape);
        }
        let header = jose::decode(header).ok_or(AssertionError::Base64)?;
        let header: JoseHeader = jose::object_from_slice(&header).map_err(AssertionError::Header)?;
        if header.alg != jose::ALGORITHM {
            return Err(AssertionError::Algorithm);
        }
        if header.typ != jose::ASSERTION_TYPE {
            return Err(AssertionError::Type);
        }
        let keys = self.keys.load();
        let key = keys.find(&header.kid).ok_or(AssertionError::KeyUnknown)?;
        let signature = jose::decode(signature).ok_or(AssertionError::Base64)?;
        if !key.key().verifies(message.as_bytes(), &signature) {
            return Err(AssertionError::Signature);
        }
        let payload = jose::decode(payload).ok_or(AssertionError::Base64)?;
        let claims = jose::object_from_slice(&payload).map_err(AssertionError::Claims)?;
        Ok(Signed { claims, kid: header.kid })
    }

    fn check_claims(&self, claims: &Assertion) -> Result<(), AssertionError> {
        let now = self.clock.steady().seconds();
        let latest_start = now.saturating_add(self.expected.leeway.early_seconds());
        if claims.iss != self.expected.issuer {
            return Err(AssertionError::Issuer);
        }
        if claims.aud != self.expected.audience {
            return Err(AssertionError::Audience);
        }
        if claims.exp.checked_sub(claims.iat).is_none_or(|life| life > ASSERTION_LIFE_SECONDS) {
            return Err(AssertionError::Life);
        }
        if claims.iat > latest_start || claims.nbf > latest_start {
            return Err(AssertionError::NotYet);
        }
        if now >= self.usable_until(claims) {
            return Err(AssertionError::Expired);
        }
        if claims.iat < self.started {
            return Err(AssertionError::BeforeStart);
        }
        if matches!(&self.expected.lives, Lives::Only(life) if !life.made(&claims.jti)) {
            return Err(AssertionError::OtherLife);
        }
        if claims.jti.is_empty() || claims.jti.len() > ASSERTION_ID_CHARS_MAX || !claims.origin.is_consistent() {
            return Err(AssertionError::Contradiction);
        }
        Ok(())
    }

    /// The first second at which the assertion is of no use to anybody.
    fn usable_until(&self, claims: &Assertion) -> u64 {
        claims.exp.saturating_add(self.expected.leeway.late_seconds())
    }

    fn check_shared(&self, claims: &Assertion, request: &Parts) -> Result<(), AssertionError> {
        if !is_shareable(request) {
            return Err(AssertionError::Unbound);
        }
        let age = self.clock.steady().seconds().saturating_sub(claims.iat);
        if age > ASSERTION_SHARED_SECONDS.saturating_add(self.expected.leeway.late_seconds()) {
            return Err(AssertionError::SharedTooOld);
        }
        Ok(())
    }

    fn check_new(&self, signed: &Signed, room: Room) -> Result<(), AssertionError> {
        let (now, until) = (self.clock.steady().seconds(), self.usable_until(&signed.claims));
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(replays.note(&signed.kid, &signed.claims.jti, room, until, now)?)
    }

    fn remembered(&self, token: &str) -> Option<Arc<Signed>> {
        let signed = self.shared.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()?;
        self.keys.load().find(&signed.kid).is_some().then_some(signed)
    }

    fn remember(&self, token: &str, signed: &Arc<Signed>) {
        let now = self.clock.steady().seconds();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.len() >= ASSERTIONS_SHARED_MAX {
            shared.retain(|_, signed| now <= signed.claims.iat.saturating_add(ASSERTION_SHARED_SECONDS));
        }
        // Still full: all are in use, and a repeat of this one costs another check.
        if shared.len() < ASSERTIONS_SHARED_MAX {
            shared.insert(token.into(), Arc::clone(signed));
        }
    }
}

/// The JOSE header: exactly these three (RFC 7515 §4.1). `jwk`, `jku`, `x5u`, `crit` and whatever else is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoseHeader {
    alg: String,
    typ: String,
    kid: String,
}

fn only_assertion(headers: &HeaderMap) -> Result<&str, AssertionError> {
    if headers.keys().any(headers::is_assertion_twin) {
        return Err(AssertionError::LookAlike);
    }
    let mut lines = headers.get_all(&headers::ASSERTION).iter();
    let line = lines.next().ok_or(AssertionError::Missing)?;
    if lines.next().is_some() {
        return Err(AssertionError::Repeated);
    }
    if line.len() > ASSERTION_BYTES_MAX {
        return Err(AssertionError::TooLong);
    }
    line.to_str().map_err(|_| AssertionError::Base64)
}

fn check_binding(claim: &RequestClaim, request: &Parts) -> Result<(), AssertionError> {
    let actual = RequestClaim::of(request)?;
    for (same, part) in [
        (claim.method == actual.method, RequestPart::Method),
        (claim.authority == actual.authority, RequestPart::Authority),
        (claim.path_sha256 == actual.path_sha256, RequestPart::Path),
        (claim.upgrade == actual.upgrade, RequestPart::Upgrade),
        (claim.ws_key == actual.ws_key, RequestPart::WebSocketKey),
    ] {
        if !same {
            return Err(AssertionError::OtherRequest(part));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
