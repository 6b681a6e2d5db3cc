//! Proofs that hold, and every way in which one must not.

use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use serde_json::Value;
use serde_json::json;

use super::*;
use crate::protocol::frame::Request;

const NOW: UnixMillis = UnixMillis(1_795_216_312_920);
const NONCE: &str = "478bcd0e-95d4-4d46-8efb-8ad66ce7c7af";

/// A connect whose device signed `payload` (`v1`, `v2` or `v3`), changed by `change` after it was signed.
fn connect(payload: &str, change: impl FnOnce(&mut Value)) -> Connect {
    let key = SigningKey::from_bytes(&[7; 32]);
    let public = DevicePublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap();
    let mut params = json!({
        "minProtocol": 3, "maxProtocol": 3, "role": "operator", "scopes": ["operator.write", "operator.read"],
        "client": { "id": "cli", "mode": "cli", "version": "1", "platform": " Linux ", "deviceFamily": "Debian" },
        "auth": { "token": "s3|cr|et" },
        "device": { "id": public.id(), "publicKey": public, "signedAt": NOW.0, "nonce": NONCE },
    });
    let id = public.id();
    let scopes = "operator.write,operator.read";
    let head = format!("{payload}|{id}|cli|cli|operator|{scopes}|{}|s3|cr|et", NOW.0);
    let text = match payload {
        "v1" => head,
        "v2" => format!("{head}|{NONCE}"),
        _ => format!("{head}|{NONCE}|linux|debian"),
    };
    params["device"]["signature"] = json!(URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes()));
    change(&mut params);
    let frame = json!({ "type": "req", "id": "1", "method": "connect", "params": params });
    Connect::read(&Request::parse(&frame.to_string()).unwrap()).unwrap()
}

fn proof(connect: &Connect, now: UnixMillis) -> Proof {
    prove(connect, Challenge::new(NONCE.to_owned()), now)
}

fn refusal(payload: &str, change: impl FnOnce(&mut Value)) -> Option<ProofFault> {
    match proof(&connect(payload, change), NOW) {
        Proof::Refused(fault) => Some(fault),
        Proof::Proven(_) => None,
        Proof::Absent => panic!("no device"),
    }
}

fn spki(key: &DevicePublicKey) -> String {
    let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..], key.as_bytes()].concat();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::engine::general_purpose::STANDARD.encode(der)
    )
}

#[test]
fn both_living_payloads_prove_a_device() {
    for payload in ["v2", "v3"] {
        let Proof::Proven(device) = proof(&connect(payload, |_| {}), NOW) else { panic!("{payload}") };
        assert_eq!(device.id(), device.key().id());
    }
    assert_eq!(
        proof(&connect("v3", |params| drop(params.as_object_mut().unwrap().remove("device"))), NOW),
        Proof::Absent
    );
}

#[test]
fn whatever_was_signed_cannot_be_changed() {
    let other = "478bcd0e-95d4-4d46-8efb-8ad66ce7c7a0";
    let faults: [(&str, Value, ProofFault); 16] = [
        ("/client/id", json!("openclaw-macos"), ProofFault::SignatureInvalid),
        ("/client/mode", json!("ui"), ProofFault::SignatureInvalid),
        ("/client/platform", json!("darwin"), ProofFault::SignatureInvalid),
        ("/client/deviceFamily", json!("Mac"), ProofFault::SignatureInvalid),
        ("/role", json!("node"), ProofFault::SignatureInvalid),
        ("/scopes", json!(["operator.admin"]), ProofFault::SignatureInvalid),
        ("/scopes", json!(["operator.read", "operator.write"]), ProofFault::SignatureInvalid),
        ("/scopes", json!([]), ProofFault::SignatureInvalid),
        ("/auth/token", json!("other"), ProofFault::SignatureInvalid),
        ("/auth/token", json!(""), ProofFault::SignatureInvalid),
        ("/device/signedAt", json!(NOW.0 + 1), ProofFault::SignatureInvalid),
        ("/device/signature", json!("AAAA"), ProofFault::SignatureInvalid),
        ("/device/signature", json!("é"), ProofFault::SignatureInvalid),
        ("/device/nonce", json!(other), ProofFault::NonceMismatch),
        ("/device/nonce", json!(" "), ProofFault::NonceMissing),
        ("/device/id", json!("0".repeat(64)), ProofFault::IdMismatch),
    ];
    for (pointer, value, fault) in faults {
        let shown = format!("{pointer} = {value}");
        assert_eq!(refusal("v3", |params| *params.pointer_mut(pointer).unwrap() = value), Some(fault), "{shown}");
    }
}

#[test]
fn the_first_payload_is_dead_and_the_nonce_never_optional() {
    assert_eq!(refusal("v1", |_| {}), Some(ProofFault::SignatureInvalid));
    let without = |params: &mut Value| drop(params["device"].as_object_mut().unwrap().remove("nonce"));
    assert_eq!(refusal("v1", without), Some(ProofFault::NonceMissing));
    assert_eq!(refusal("v3", without), Some(ProofFault::NonceMissing));
}

#[test]
fn a_proof_is_for_one_socket() {
    let connect = connect("v3", |_| {});
    let other = Challenge::new("00000000-0000-4000-8000-000000000000".to_owned());
    assert_eq!(prove(&connect, other, NOW), Proof::Refused(ProofFault::NonceMismatch));
}

#[test]
fn two_minutes_are_tolerated_either_way() {
    for (skew, fresh) in [(-120_000, true), (120_000, true), (-120_001, false), (120_001, false), (i64::MAX, false)] {
        let refused = proof(&connect("v3", |_| {}), NOW.plus(skew)) == Proof::Refused(ProofFault::SignatureStale);
        assert_eq!(refused, !fresh, "{skew}");
    }
    assert_eq!(refusal("v3", |params| params["device"]["signedAt"] = json!(0)), Some(ProofFault::SignatureStale));
    assert_eq!(
        refusal("v3", |params| params["device"]["signedAt"] = json!(i64::MAX)),
        Some(ProofFault::SignatureStale)
    );
}

#[test]
fn an_id_has_one_spelling() {
    for spell in [str::to_uppercase, |id: &str| format!(" {id}"), |id: &str| format!("{id}0"), |_: &str| "x".to_owned()]
    {
        let change = |params: &mut Value| {
            let id = spell(params["device"]["id"].as_str().unwrap());
            params["device"]["id"] = json!(id);
        };
        assert_eq!(refusal("v3", change), Some(ProofFault::IdMismatch));
    }
}

#[test]
fn a_key_may_be_spelled_as_clients_spell_it() {
    let key = DevicePublicKey::from_bytes(SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes()).unwrap();
    let standard = base64::engine::general_purpose::STANDARD.encode(key.as_bytes());
    for text in [key.to_string(), format!("{key}="), standard.clone(), spki(&key), spki(&key).replace('\n', "\r\n")] {
        assert_eq!(DevicePublicKey::parse(&text), Ok(key), "{text}");
        assert_eq!(refusal("v3", |params| params["device"]["publicKey"] = json!(text)), None, "{text}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let key = DevicePublicKey::from_bytes(SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes()).unwrap();
    let x25519 = spki(&key).replace("MCowBQYDK2VwAyEA", "MCowBQYDK2VuAyEA");
    let rsa_like = spki(&key).replace("-----END PUBLIC KEY-----\n", "");
    for text in
        ["", "AAAA", "!", &"A".repeat(512), &x25519, &rsa_like, &format!("{key}AA"), "-----BEGIN PUBLIC KEY-----"]
    {
        assert_eq!(DevicePublicKey::parse(text), Err(DeviceTextError::PublicKey), "{text}");
    }
    assert_eq!(refusal("v3", |params| params["device"]["publicKey"] = json!("AAAA")), Some(ProofFault::IdMismatch));
    let weak = "00".repeat(32);
    let change = |params: &mut Value| {
        params["device"]["publicKey"] = json!(URL_SAFE_NO_PAD.encode([0; 32]));
        params["device"]["id"] = json!(Fingerprint::of(&[0; 32]).to_hex());
    };
    assert_eq!(refusal("v3", change), Some(ProofFault::PublicKeyInvalid), "{weak}");
}

#[test]
fn a_bar_cannot_move_a_field_into_its_neighbour() {
    // `x|y` and nothing, or `x` and `y`: the third payload would read the same for both.
    let signed = |platform: &str, family: &str| {
        let key = SigningKey::from_bytes(&[7; 32]);
        connect("v3", |params| {
            params["client"]["platform"] = json!(platform);
            params["client"]["deviceFamily"] = json!(family);
            let id = params["device"]["id"].as_str().unwrap();
            let scopes = "operator.write,operator.read";
            let text = format!("v3|{id}|cli|cli|operator|{scopes}|{}|s3|cr|et|{NONCE}|x|y|z", NOW.0);
            params["device"]["signature"] = json!(URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes()));
        })
    };
    for (platform, family) in [("x|y", "z"), ("x", "y|z")] {
        assert_eq!(proof(&signed(platform, family), NOW), Proof::Refused(ProofFault::SignatureInvalid));
    }
}

#[test]
fn a_device_token_is_signed_where_it_stands_alone() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let connect = connect("v3", |params| {
        params["auth"] = json!({ "deviceToken": "d", "bootstrapToken": "b", "password": "p" });
        let id = params["device"]["id"].as_str().unwrap();
        let text = format!("v2|{id}|cli|cli|operator|operator.write,operator.read|{}|d|{NONCE}", NOW.0);
        params["device"]["signature"] = json!(URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes()));
    });
    assert!(matches!(proof(&connect, NOW), Proof::Proven(_)));
}
