//! Verifies doorward's assertion (the header `X-Doorward-Assertion`) in an upstream.
//!
//! Needs the crates jsonwebtoken, base64, serde, serde_json and sha2. Fetch the JWK Set from the edge's
//! `/.well-known/doorward/jwks.json` over a connection you trust, keep it, and fetch it again (at most once a minute) when a
//! token names a key that is not in it.
//!
//! Exactly one header line must carry the assertion: refuse a request with two, or with none. Single use is yours to keep:
//! remember `jti` until `exp` and the leeway have passed, and refuse an assertion with `req` whose `jti` you have seen.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Seconds between the two clocks.
const LEEWAY: u64 = 60;
/// The longest `exp - iat`.
const LIFE: u64 = 30;
/// An assertion without `req` is shared for so long.
const SHARED: u64 = 10;

/// What your server knows of the request.
pub struct Request<'a> {
    pub method: &'a str,
    /// The Host.
    pub authority: &'a str,
    /// With its query.
    pub path: &'a str,
    /// Whether it asks for another protocol.
    pub upgrade: bool,
    /// `Sec-WebSocket-Key`.
    pub ws_key: Option<&'a str>,
}

/// What you may act on.
#[derive(Debug, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub iat: u64,
    pub nbf: u64,
    pub exp: u64,
    pub jti: String,
    pub sub: String,
    pub origin: Value,
    pub idn: Option<Value>,
    req: Option<Bound>,
}

#[derive(Debug, Deserialize)]
struct Bound {
    method: String,
    authority: String,
    path_sha256: String,
    upgrade: bool,
    ws_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    alg: String,
    typ: String,
    kid: String,
}

/// The claims of `header`, or why it is not believed: for your log, not for the caller. `now` is in seconds since 1970.
pub fn verify(
    header: &str,
    jwks: &JwkSet,
    audience: &str,
    issuer: &str,
    request: &Request<'_>,
    now: u64,
) -> Result<Claims, &'static str> {
    check(header.len() <= 8192, "too long")?;
    let (message, signature) = header.rsplit_once('.').ok_or("shape")?;
    let (head, payload) = message.split_once('.').ok_or("shape")?;
    let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| "jose header")?;
    check(head.alg == "EdDSA", "algorithm")?;
    check(head.typ == "doorward-origin+jwt", "type")?;
    let key = DecodingKey::from_jwk(jwks.find(&head.kid).ok_or("unknown key")?).map_err(|_| "unusable key")?;
    // The algorithm is pinned here, never taken from the token.
    let good = jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::EdDSA);
    check(good.unwrap_or(false), "signature")?;
    // Types are strict: a time that is no whole number, or a second `exp`, is an error and not "absent".
    let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_| "claims")?;
    check(claims.iss == issuer, "issuer")?;
    check(claims.aud == audience, "audience")?;
    check(claims.exp.checked_sub(claims.iat).is_some_and(|life| life <= LIFE), "life")?;
    check(claims.iat.max(claims.nbf) <= now.saturating_add(LEEWAY), "not yet valid")?;
    check(now < claims.exp.saturating_add(LEEWAY), "expired")?;
    check_request(&claims, request, now)?;
    Ok(claims)
}

fn check_request(claims: &Claims, request: &Request<'_>, now: u64) -> Result<(), &'static str> {
    let Some(bound) = &claims.req else {
        // Shared by reads of one connection: never for what changes something.
        let plain = matches!(request.method, "GET" | "HEAD") && !request.upgrade && request.ws_key.is_none();
        check(plain, "not bound to this request")?;
        return check(now.saturating_sub(claims.iat) <= SHARED + LEEWAY, "shared for too long");
    };
    let path = URL_SAFE_NO_PAD.encode(Sha256::digest(request.path.as_bytes()));
    check(bound.method == request.method, "another method")?;
    check(bound.authority.eq_ignore_ascii_case(request.authority), "another authority")?;
    check(bound.path_sha256 == path, "another path")?;
    check(bound.upgrade == request.upgrade, "another upgrade")?;
    check(bound.ws_key.as_deref() == request.ws_key, "another websocket key")
}

fn check(holds: bool, why: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(why) }
}

/// Base64url in its one canonical spelling.
fn decode(segment: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| "base64url")
}
