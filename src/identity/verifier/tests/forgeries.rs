//! Header and signature: what is not signed by our key in our way is nothing.

use ed25519_dalek::Signer as _;
use ring::hmac;
use serde_json::{Value, json};

use super::desk::{Desk, SEED, forge, message, payload};
use crate::identity::jose;
use crate::identity::signer::SigningKey;
use crate::identity::verifier::{AssertionError, Leeway};

#[test]
fn another_algorithm_is_refused_whatever_it_is_called() {
    let desk = Desk::new(Leeway::SameHost);
    for algorithm in ["none", "None", "nOnE", "NONE", "HS256", "HS512", "ES256", "RS256", "Ed25519", "eddsa", ""] {
        let header = desk.header_with("alg", json!(algorithm));
        assert!(matches!(desk.get(&forge(&header, &payload())), Err(AssertionError::Algorithm)), "{algorithm}");
    }
    // The oldest trick: the public key's bytes as the secret of an HMAC (RFC 8725 §2.1).
    let public = SigningKey::of_seed(SEED).public().key().as_bytes().to_owned();
    let (x, set) = (jose::encode(public), desk.set().to_json());
    for secret in [public.as_slice(), x.as_bytes(), set.as_bytes()] {
        for algorithm in ["HS256", "EdDSA"] {
            let header = desk.header_with("alg", json!(algorithm));
            let message = message(&header, &payload());
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
            assert!(desk.get(&format!("{message}.{}", jose::encode(tag))).is_err(), "{algorithm}");
        }
    }
}

#[test]
fn only_a_whole_good_signature_counts() {
    let desk = Desk::new(Leeway::SameHost);
    let good = forge(&desk.header(), &payload());
    desk.get(&good).unwrap();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let bytes = jose::decode(signature).unwrap();
    for shape in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        message.to_owned(),
        format!("{good}."),
        format!(".{good}"),
        format!("{good}.{signature}"),
        format!("{message}..{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
    ] {
        assert!(desk.get(&shape).is_err(), "{shape}");
    }
    for (text, cause) in [
        (String::new(), "length"),
        (jose::encode(&bytes[..63]), "length"),
        (jose::encode([&bytes[..], &[0]].concat()), "length"),
        (jose::encode([0; 64]), "zero"),
        (format!("{signature}="), "padding"),
        (malleated(&bytes), "s + l"),
        (small_order(), "small order R"),
    ] {
        assert!(desk.get(&format!("{message}.{text}")).is_err(), "{cause}");
    }
    // Signed by somebody else, who says he is us.
    let other = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
    assert!(matches!(
        desk.get(&format!("{message}.{}", jose::encode(other.sign(message.as_bytes()).to_bytes()))),
        Err(AssertionError::Signature)
    ));
}

#[test]
fn not_one_character_may_differ() {
    let desk = Desk::new(Leeway::SameHost);
    let good = forge(&desk.header(), &payload());
    for (at, byte) in good.bytes().enumerate() {
        for other in [b'A', b'B', b'_', b'.', b'=', b' '] {
            if other != byte {
                let mut bytes = good.clone().into_bytes();
                bytes[at] = other;
                assert!(desk.get(&String::from_utf8(bytes).unwrap()).is_err(), "{at}");
            }
        }
    }
}

#[test]
fn the_jose_header_has_three_members_and_no_more() {
    let desk = Desk::new(Leeway::SameHost);
    let good = desk.header();
    for (name, value) in [
        ("jwk", json!({"kty": "OKP", "crv": "Ed25519", "x": jose::encode([1; 32])})),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        let header = desk.header_with(name, value);
        assert!(matches!(desk.get(&forge(&header, &payload())), Err(AssertionError::Header(_))), "{name}");
    }
    for name in ["alg", "typ", "kid"] {
        let mut header: Value = serde_json::from_str(&good).unwrap();
        header.as_object_mut().unwrap().remove(name);
        assert!(matches!(desk.get(&forge(&header.to_string(), &payload())), Err(AssertionError::Header(_))), "{name}");
        for wrong in [json!(null), json!(7), json!(["EdDSA"]), json!({"a": 1})] {
            let header = desk.header_with(name, wrong);
            assert!(matches!(desk.get(&forge(&header, &payload())), Err(AssertionError::Header(_))), "{name}");
        }
        let twice = good.replacen('{', &format!("{{\"{name}\":\"x\","), 1);
        assert!(matches!(desk.get(&forge(&twice, &payload())), Err(AssertionError::Header(_))), "{name}");
    }
    for text in ["", "null", "[]", "\"EdDSA\"", &format!("{good}x"), &format!("{good}{good}")] {
        assert!(matches!(desk.get(&forge(text, &payload())), Err(AssertionError::Header(_))), "{text}");
    }
    for kind in ["JWT", "jwt", "", "doorward-origin", "Doorward-Origin+JWT", "application/doorward-origin+jwt"] {
        let header = desk.header_with("typ", json!(kind));
        assert!(matches!(desk.get(&forge(&header, &payload())), Err(AssertionError::Type)), "{kind}");
    }
}

#[test]
fn a_key_is_known_by_its_thumbprint_or_not_at_all() {
    let desk = Desk::new(Leeway::SameHost);
    let own = SigningKey::of_seed(SEED).kid().to_owned();
    let other = SigningKey::of_seed([8; 32]).kid().to_owned();
    let long = "k".repeat(4_000);
    for kid in [
        "../../../dev/null",
        "' OR 1=1--",
        &long,
        "",
        &own.replacen(&own.chars().take(1).collect::<String>(), "", 1),
        &format!("{own} "),
        &own.to_lowercase(),
        &other,
    ] {
        let header = desk.header_with("kid", json!(kid));
        assert!(matches!(desk.get(&forge(&header, &payload())), Err(AssertionError::KeyUnknown)), "{kid}");
    }
}

/// The same signature with S + L in place of S (RFC 8032 §8.4).
fn malleated(signature: &[u8]) -> String {
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut changed = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in changed[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
    }
    jose::encode(changed)
}

/// R of order one, S zero: verifies under small-order keys where checks are lax.
fn small_order() -> String {
    let mut signature = [0; 64];
    signature[0] = 1;
    jose::encode(signature)
}
