//! What a signature alone would let pass: every text here is signed by the edge's own key, so only strict reading refuses it.
//! Each stands here by what it is.

use ed25519_dalek::Signer as _;
use serde_json::{Value, json};

use super::desk::{Desk, SEED, payload, with};
use crate::base::limits::ASSERTION_BYTES_MAX;
use crate::identity::jose;
use crate::identity::testing::parts;
use crate::identity::verifier::{AssertionError, Leeway};

/// What is wrong with it, the token, and whether the error is the one that says so.
type Row = (&'static str, String, fn(&AssertionError) -> bool);

#[test]
fn what_our_own_key_signed_is_still_read_strictly() {
    let desk = Desk::new(Leeway::SameHost);
    let (header, good) = (jose::encode(desk.header()), jose::encode(payload()));
    desk.get(&signed(&header, &good)).unwrap();
    let claims = |text: &str| signed(&header, &jose::encode(text));
    let in_origin = |from: &str, to: &str| payload().replacen(from, to, 1);
    let nested = signed(&header, &good);
    let rows: [Row; 16] = [
        ("header: padding", signed(&padded(&desk.header()), &good), is_base64),
        ("header: last bits not zero", signed(&loose(&desk.header()), &good), is_base64),
        ("header: a blank", signed(&format!("{header} "), &good), is_base64),
        ("header: the other alphabet", signed(&format!("{header}+/"), &good), is_base64),
        ("claims: padding", signed(&header, &padded(&payload())), is_base64),
        ("claims: last bits not zero", signed(&header, &loose(&payload())), is_base64),
        ("claims: a blank", signed(&header, &format!("{good} ")), is_base64),
        ("claims: the other alphabet", signed(&header, &format!("{good}+/")), is_base64),
        ("claims: nothing", signed(&header, ""), is_claims),
        ("claims: a token in a token", claims(&nested), is_claims),
        ("claims: a token as a claim", claims(&with("origin", json!(nested))), is_claims),
        ("claims: twice by another spelling", claims(&payload().replacen('{', r#"{"\u0061ud":"evil","#, 1)), is_claims),
        ("origin: local twice", claims(&in_origin("\"local\":", "\"local\":true,\"local\":")), is_claims),
        ("origin: local twice, escaped", claims(&in_origin("\"local\":", r#""loc\u0061l":true,"local":"#)), is_claims),
        ("claims: not utf-8", signed(&header, &jose::encode([b"{\"iss\":\"\xff\"}".as_slice()].concat())), is_claims),
        ("claims: deep", claims(&with("sub", deep())), is_claims),
    ];
    for (what, token, expected) in rows {
        let error = desk.get(&token).map(|_| ()).expect_err(what);
        assert!(expected(&error), "{what}: {error:?}");
    }
}

#[test]
fn what_is_longer_than_any_assertion_is_not_even_read() {
    let desk = Desk::new(Leeway::SameHost);
    let header = jose::encode(desk.header());
    let token = |chars: usize| signed(&header, &jose::encode(with("cid", json!("c".repeat(chars)))));
    let (mut fits, mut chars) = (token(0), 0);
    while fits.len() + 4 <= ASSERTION_BYTES_MAX {
        chars += (ASSERTION_BYTES_MAX - fits.len()) / 4 * 3;
        fits = token(chars);
    }
    assert!(!matches!(desk.get(&fits), Err(AssertionError::TooLong)), "{}", fits.len());
    assert!(matches!(desk.get(&token(chars + 4)), Err(AssertionError::TooLong)));
}

#[test]
fn nobody_is_believed_without_an_assertion() {
    let desk = Desk::new(Leeway::SameHost);
    for request in [
        parts("GET", "/", &[("host", "127.0.0.1")]),
        parts("GET", "/", &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")]),
        parts("GET", "/", &[("host", "a"), ("authorization", &format!("Bearer {}", desk.sign(None)))]),
        parts("GET", &format!("/?assertion={}", desk.sign(None)), &[("host", "a")]),
        parts("GET", "/", &[("host", "a"), ("cookie", &format!("x-doorward-assertion={}", desk.sign(None)))]),
    ] {
        assert!(matches!(desk.verifier.verify_request(&request), Err(AssertionError::Missing)), "{request:?}");
    }
}

fn is_base64(error: &AssertionError) -> bool {
    matches!(error, AssertionError::Base64)
}

fn is_claims(error: &AssertionError) -> bool {
    matches!(error, AssertionError::Claims(_))
}

/// The two segments as they stand, and a good signature over exactly them.
fn signed(header: &str, claims: &str) -> String {
    let message = format!("{header}.{claims}");
    let signature = ed25519_dalek::SigningKey::from_bytes(&SEED).sign(message.as_bytes());
    format!("{message}.{}", jose::encode(signature.to_bytes()))
}

/// JSON with as many blanks before it as make its last group of base64 a short one.
fn short_group(text: &str) -> String {
    let blanks = (0..3).find(|blanks| (text.len() + blanks) % 3 == 1).unwrap();
    jose::encode(" ".repeat(blanks) + text)
}

fn padded(text: &str) -> String {
    short_group(text) + "=="
}

/// The same bytes for a lax reader: the last character carries bits that mean nothing.
fn loose(text: &str) -> String {
    let mut encoded = short_group(text);
    let last = encoded.pop().unwrap();
    let next = char::from(last as u8 + 1);
    assert!(next.is_ascii_alphanumeric() && "AQgw".contains(last), "{last}");
    encoded.push(next);
    encoded
}

fn deep() -> Value {
    (0..100).fold(json!("anonymous"), |inner, _| json!([inner]))
}
