//! Verified identities of others: one compact JWS (RFC 7515) by a pinned issuer for a pinned audience, checked with a key
//! of that issuer's set.
//!
//! Pure: token, keys and `now` go in. As strict as our own assertion where the standard leaves room: one spelling for every
//! byte, no member twice, times are whole numbers. Issuers write members of their own, which are passed over; `crit` and a
//! key or an address in the header are not (RFC 8725 §3.10).

mod groups;
pub mod keys;
pub mod product;

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::base::limits::{FOREIGN_LEEWAY_SECONDS, FOREIGN_LIFE_SECONDS_MAX, FOREIGN_TOKEN_BYTES_MAX, LABEL_CHARS_MAX};
use crate::base::printable::is_label;
use crate::identity::claims::IdentityClaim;
use crate::identity::jose;

use keys::{Algorithm, KeySet};

/// What every token of an issuer must say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expected {
    /// `idn.provider`.
    pub provider: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// `aud`: this string, or an array with this one string.
    pub audience: String,
    /// The algorithms this issuer signs with.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the account.
    pub login: Login,
    /// The claim that names the account's groups, if they are read.
    pub groups_claim: Option<String>,
}

/// Which claim names the account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// The one that the operator names.
    Claim(String),
    /// `email`, of an issuer that signs nobody in by an address it has not checked; what it says itself is not yet counts.
    Email,
    /// `email`, where `email_verified` is true (OpenID Connect Core §5.1): else it is anybody's to claim.
    VerifiedEmail,
}

/// What a token of an account may call itself (RFC 7519 §5.1, RFC 9068 §2.1); a logout token names an account too.
const TYPES: [&str; 4] = ["JWT", "application/jwt", "application/at+jwt", "at+jwt"];
/// Header members by which a token would bring its own key, or rules that we do not know.
const HEADER_REFUSED: [&str; 6] = ["crit", "jku", "jwk", "x5c", "x5u", "zip"];

/// Whom `token` names, if it is certainly the issuer's word for us at second `now`.
///
/// # Errors
/// [`TokenError`]; [`TokenError::KeyUnknown`] may be cured by a newer key set.
pub fn verify(token: &str, expected: &Expected, keys: &KeySet, now: u64) -> Result<IdentityClaim, TokenError> {
    if token.len() > FOREIGN_TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Shape)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Shape)?;
    if payload.contains('.') {
        return Err(TokenError::Shape);
    }
    let header = members(header)?;
    if HEADER_REFUSED.iter().any(|name| header.contains_key(*name)) {
        return Err(TokenError::Header);
    }
    let is_type = |found: &str| TYPES.iter().any(|known| known.eq_ignore_ascii_case(found));
    if header.get("typ").is_some_and(|found| !found.as_str().is_some_and(is_type)) {
        return Err(TokenError::Header);
    }
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::parse);
    let algorithm = algorithm.filter(|found| expected.algorithms.contains(found)).ok_or(TokenError::Algorithm)?;
    let kid = header.get("kid").map(|kid| kid.as_str().ok_or(TokenError::Header)).transpose()?;
    let key = keys.find(kid).ok_or(TokenError::KeyUnknown)?;
    let signature = jose::decode(signature).ok_or(TokenError::Base64)?;
    if !key.verifies(algorithm, message.as_bytes(), &signature) {
        return Err(TokenError::Signature);
    }
    let claims = members(payload)?;
    // A logout token (OpenID Connect Back-Channel Logout §2.4) may come without a type; nobody signs in by it.
    if claims.contains_key("events") {
        return Err(TokenError::Header);
    }
    if claims.get("iss").and_then(Value::as_str) != Some(&expected.issuer) {
        return Err(TokenError::Issuer);
    }
    if !is_audience(claims.get("aud"), &expected.audience) {
        return Err(TokenError::Audience);
    }
    check_times(&claims, now)?;
    identity(&claims, expected)
}

/// The string itself, or an array of exactly it: a token for others too could be used here by one of them.
fn is_audience(claim: Option<&Value>, audience: &str) -> bool {
    match claim {
        Some(Value::String(only)) => only == audience,
        Some(Value::Array(list)) => matches!(&**list, [Value::String(only)] if only == audience),
        _ => false,
    }
}

fn check_times(claims: &Map<String, Value>, now: u64) -> Result<(), TokenError> {
    let time = |name: &str| claims.get(name).map(|time| time.as_u64().ok_or(TokenError::Times)).transpose();
    let (exp, iat) = (time("exp")?.ok_or(TokenError::Times)?, time("iat")?.ok_or(TokenError::Times)?);
    if exp.checked_sub(iat).is_none_or(|life| life > FOREIGN_LIFE_SECONDS_MAX) {
        return Err(TokenError::Life);
    }
    if iat.max(time("nbf")?.unwrap_or(iat)) > now.saturating_add(FOREIGN_LEEWAY_SECONDS) {
        return Err(TokenError::NotYet);
    }
    if now >= exp.saturating_add(FOREIGN_LEEWAY_SECONDS) {
        return Err(TokenError::Expired);
    }
    Ok(())
}

/// The account, its groups and, for display, the person's name. A login that is there but no text is no reason to take another claim.
fn identity(claims: &Map<String, Value>, expected: &Expected) -> Result<IdentityClaim, TokenError> {
    let claim = match &expected.login {
        Login::Claim(claim) => claim,
        Login::Email | Login::VerifiedEmail => "email",
    };
    let label = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|text| is_label(text, LABEL_CHARS_MAX));
    let login = label(claim).ok_or(TokenError::Login)?;
    let is_verified = match claims.get("email_verified") {
        None => expected.login != Login::VerifiedEmail,
        Some(verified) => *verified == Value::Bool(true),
    };
    if claim == "email" && !is_verified {
        return Err(TokenError::Login);
    }
    let name = label("name");
    let provider = expected.provider.clone();
    let person = IdentityClaim { provider, login: login.to_owned(), name: name.map(str::to_owned), groups: None };
    let groups = expected.groups_claim.as_ref().and_then(|claim| groups::read(claims, claim, &person));
    Ok(IdentityClaim { groups, ..person })
}

fn members(segment: &str) -> Result<Map<String, Value>, TokenError> {
    let json = jose::decode(segment).ok_or(TokenError::Base64)?;
    // What serde found wrong would repeat a stranger's words.
    jose::object_from_slice::<Members>(&json).map(|members| members.0).map_err(|_| TokenError::Json)
}

/// An object in which no name stands twice.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut entries: M) -> Result<Members, M::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(M::Error::custom("a member stands twice"));
                    }
                }
                Ok(Members(members))
            }
        }
        reader.deserialize_map(Unique)
    }
}

/// Why a token of another product was not believed. All of it is for the log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TokenError {
    /// None that this issuer signs with.
    #[error("another algorithm than the issuer's")]
    Algorithm,
    /// For others, or for others too.
    #[error("for another audience")]
    Audience,
    /// Not canonical base64url.
    #[error("not canonical base64url")]
    Base64,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// A header member that would change how the token is checked, or a token that signs nobody in.
    #[error("a member that is not taken")]
    Header,
    /// From another issuer.
    #[error("from another issuer")]
    Issuer,
    /// Not an object, or one with a member twice.
    #[error("malformed, or with a member twice")]
    Json,
    /// No key of that `kid`, or none named where there are several.
    #[error("unknown key")]
    KeyUnknown,
    /// `exp - iat` is negative or too long.
    #[error("life longer than {FOREIGN_LIFE_SECONDS_MAX} s")]
    Life,
    /// No account, or one that the issuer has not verified.
    #[error("no verified login")]
    Login,
    /// `iat` or `nbf` lies ahead.
    #[error("issued in the future")]
    NotYet,
    /// Not three segments.
    #[error("not three segments")]
    Shape,
    /// The signature does not verify.
    #[error("bad signature")]
    Signature,
    /// `exp` or `iat` is missing, or a time is no whole number.
    #[error("times missing or not whole numbers")]
    Times,
    /// Longer than any.
    #[error("longer than {FOREIGN_TOKEN_BYTES_MAX} bytes")]
    TooLong,
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
