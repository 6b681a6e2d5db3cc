//! Good tokens of each algorithm, and the table of those that nobody may get in with.

use serde_json::json;

use super::keys::KeySetError;
use super::testing::{Issuer, NOW, claims, with};
use super::*;
use crate::base::limits::FOREIGN_KEYS_MAX;

#[test]
fn a_good_token_names_its_account_by_each_algorithm() {
    for issuer in [Issuer::ed25519(), Issuer::p256()] {
        let alice = issuer.verify(&issuer.token(&issuer.header(), &claims())).unwrap();
        assert_eq!(
            (&*alice.provider, &*alice.login, alice.name.as_deref()),
            ("jwt", "alice@example.com", Some("Alice"))
        );
        let list = with(&claims(), "aud", json!(["ours"]));
        assert!(issuer.verify(&issuer.token(&issuer.header(), &list)).is_ok());
        let bare = with(&claims(), "name", Value::Null);
        assert_eq!(issuer.verify(&issuer.token(&issuer.header(), &bare)).unwrap().name, None);
    }
}

#[test]
fn a_login_is_the_one_claim_that_it_is_to_be() {
    let (unnamed, sub) = (with(&claims(), "email", Value::Null), || Login::Claim("sub".to_owned()));
    let said = |verified: Value| with(&claims(), "email_verified", verified);
    for (login, claims, expected) in [
        (Login::Email, claims(), Some("alice@example.com")),
        (Login::Email, said(json!(true)), Some("alice@example.com")),
        (Login::Email, said(json!(false)), None),
        // A name that anybody may choose is no address.
        (Login::Email, with(&unnamed, "sub", json!("alice@example.com")), None),
        (Login::VerifiedEmail, claims(), None),
        (Login::VerifiedEmail, said(json!(true)), Some("alice@example.com")),
        (Login::VerifiedEmail, said(json!("true")), None),
        (Login::VerifiedEmail, unnamed.clone(), None),
        (sub(), unnamed, Some("u-1")),
        (sub(), said(json!(false)), Some("u-1")),
        (Login::Claim("email".to_owned()), claims(), Some("alice@example.com")),
        (Login::Claim("email".to_owned()), said(json!(false)), None),
    ] {
        let mut issuer = Issuer::ed25519();
        issuer.expected.login = login.clone();
        let found = issuer.verify(&issuer.token(&issuer.header(), &claims));
        assert_eq!(found.ok().map(|person| person.login).as_deref(), expected, "{login:?}: {claims}");
    }
}

#[test]
fn groups_are_those_of_the_claim_that_the_operator_names() {
    let mut issuer = Issuer::ed25519();
    let token = issuer.token(&issuer.header(), &with(&claims(), "roles", json!("admin")));
    for (claim, expected) in
        [(None, None), (Some("groups"), Some("a")), (Some("roles"), Some("admin")), (Some("no"), None)]
    {
        issuer.expected.groups_claim = claim.map(str::to_owned);
        let found = issuer.verify(&token).unwrap().groups;
        assert_eq!(found, expected.map(|group| vec![group.to_owned()]), "{claim:?}");
    }
}

#[test]
fn no_other_header_is_taken() {
    let issuer = Issuer::ed25519();
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("nOnE")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("RS256")),
        ("alg", json!("eddsa")),
        ("alg", json!(7)),
        ("alg", Value::Null),
        ("kid", json!("../../../dev/null")),
        ("kid", json!("' OR 1=1--")),
        ("kid", json!("k".repeat(9_000))),
        ("kid", json!(7)),
        ("typ", json!("logout+jwt")),
        ("typ", json!("doorward-origin+jwt")),
        ("typ", json!(7)),
        ("crit", json!(["b64"])),
        ("jwk", issuer.jwk.clone()),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/keys")),
        ("x5c", json!(["AA=="])),
    ] {
        let token = issuer.token(&with(&issuer.header(), name, value.clone()), &claims());
        assert!(issuer.verify(&token).is_err(), "{name}: {value}");
    }
}

#[test]
fn no_other_claim_is_taken() {
    let issuer = Issuer::p256();
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://issuer.example/")),
        ("iss", json!(["https://issuer.example"])),
        ("iss", Value::Null),
        ("aud", json!("theirs")),
        ("aud", json!("ours-evil")),
        ("aud", json!(["ours", "theirs"])),
        ("aud", json!(["ours", "ours"])),
        ("aud", json!([["ours"]])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("exp", json!("9999999999")),
        ("exp", json!(1.9e9)),
        ("exp", json!(-1)),
        ("exp", json!(NOW - FOREIGN_LEEWAY_SECONDS)),
        ("exp", json!(NOW + 315_360_000)),
        ("exp", Value::Null),
        ("iat", json!("1")),
        ("iat", json!(NOW + FOREIGN_LEEWAY_SECONDS + 1)),
        ("iat", Value::Null),
        ("nbf", json!([NOW])),
        ("nbf", json!("0")),
        ("nbf", json!(NOW + FOREIGN_LEEWAY_SECONDS + 1)),
        ("email", json!("a\nb")),
        ("email", json!("")),
        ("email", json!({"a": 1})),
        ("email", json!("x".repeat(LABEL_CHARS_MAX + 1))),
        ("email_verified", json!(false)),
        ("email_verified", json!("true")),
        ("email", json!("alice@example.com\u{202e}")),
        ("email", json!(" alice@example.com")),
        ("events", json!({"http://schemas.openid.net/event/backchannel-logout": {}})),
    ] {
        let token = issuer.token(&issuer.header(), &with(&claims(), name, value.clone()));
        assert!(issuer.verify(&token).is_err(), "{name}: {value}");
    }
}

#[test]
fn one_text_has_one_reading() {
    let issuer = Issuer::ed25519();
    let good = issuer.token(&issuer.header(), &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let other = jose::encode(with(&claims(), "email", json!("mallory@example.com")).to_string());
    let twice = claims().to_string().replacen('{', r#"{"email":"mallory@example.com","#, 1);
    let sign = |payload: &str| issuer.seal(&format!("{header}.{}", jose::encode(payload)));
    for bad in [
        format!("{message}."),
        message.to_owned(),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{good} "),
        format!("{header}.{other}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        sign(&twice),
        sign("[]"),
        sign(""),
        sign("null"),
        sign(&format!("{}x", claims())),
        String::new(),
        "x".repeat(FOREIGN_TOKEN_BYTES_MAX + 1),
    ] {
        assert!(issuer.verify(&bad).is_err(), "{bad}");
    }
    assert!(issuer.verify(&good).is_ok());
}

#[test]
fn a_key_is_named_where_there_are_several_and_signs_only() {
    let issuer = Issuer::ed25519();
    let unnamed = issuer.token(&with(&issuer.header(), "kid", Value::Null), &claims());
    assert!(issuer.verify(&unnamed).is_ok());
    let set = |keys: Value| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    let two = set(json!([issuer.jwk, Issuer::p256().jwk])).unwrap();
    assert!(matches!(verify(&unnamed, &issuer.expected, &two, NOW), Err(TokenError::KeyUnknown)));
    let twins = set(json!([issuer.jwk, issuer.jwk])).unwrap();
    let named = issuer.token(&issuer.header(), &claims());
    assert!(matches!(verify(&named, &issuer.expected, &twins, NOW), Err(TokenError::KeyUnknown)));
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES256")),
        ("crv", json!("X25519")),
        ("kty", json!("oct")),
        ("x", json!("AAAA")),
    ] {
        let jwk = with(&issuer.jwk, name, value);
        assert!(matches!(set(json!([jwk])), Err(KeySetError::Empty)), "{name}");
    }
    let many = vec![issuer.jwk.clone(); FOREIGN_KEYS_MAX + 1];
    assert!(matches!(set(json!(many)), Err(KeySetError::TooMany)));
    assert!(KeySet::parse(b"[]").is_err() && KeySet::parse(b"{}").is_err());
}
