//! Everything a stranger, an old edge or a clever library could send in place of one good assertion.

mod catalogue;
mod desk;
mod forgeries;
mod payloads;
mod randomness;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use self::desk::{Desk, SEED, START, expected};
use super::*;
use crate::base::clock::UnixMillis;
use crate::identity::replay::ReplayError;
use crate::identity::signer::{Signer, SigningKey};
use crate::identity::testing::{opening, parts, subject};

#[test]
fn what_we_sign_is_believed_with_every_claim() {
    let desk = Desk::new(Leeway::SameHost);
    let verified = desk.verify(&desk.sign(Some(&opening())), opening()).unwrap();
    let claims = verified.claims();
    assert_eq!((claims.iss.as_str(), claims.aud.as_str(), claims.cid.as_str()), ("edge", "core", "c-1"));
    assert_eq!((&claims.origin, &claims.tls), (&subject().origin, &subject().tls));
    assert_eq!(claims.req, Some(RequestClaim::of(&opening()).unwrap()));
    desk.verify(&desk.sign(None), parts("GET", "/", &[("host", "a")])).unwrap();
}

#[test]
fn an_independent_reader_reads_what_we_sign() {
    let clock = Clock::system();
    let key = Arc::new(SigningKey::of_seed(SEED));
    let signer = Signer::new(Arc::clone(&key), "edge", "core", clock).unwrap();
    let token = signer.sign(&subject(), Some(&RequestClaim::of(&opening()).unwrap())).unwrap();
    let set = JwkSet::new(vec![key.public().clone()]).to_json();
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&set).unwrap();
    let header = jsonwebtoken::decode_header(&token).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("doorward-origin+jwt"), jsonwebtoken::Algorithm::EdDSA));
    let jwk = set.find(header.kid.as_deref().unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["core"]);
    validation.set_issuer(&["edge"]);
    validation.leeway = 0;
    validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).unwrap();
    let read = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
    assert_eq!(read.claims["origin"]["ip"], "203.0.113.9");
    assert_eq!(read.claims["sub"], "anonymous");
    validation.set_audience(&["another"]);
    assert!(jsonwebtoken::decode::<Value>(&token, &key, &validation).is_err());
}

#[test]
fn exactly_one_header_line_is_read() {
    let desk = Desk::new(Leeway::SameHost);
    let (one, two) = (desk.sign(None), desk.sign(None));
    let verify = |lines: &[(&str, &str)]| {
        let mut request = parts("GET", "/", &[("host", "a")]);
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        desk.verifier.verify_request(&request).map(|_| ())
    };
    let own = "x-doorward-assertion";
    assert!(verify(&[(own, &one)]).is_ok());
    assert!(matches!(verify(&[]), Err(AssertionError::Missing)));
    for second in [one.as_str(), &two, "", "garbage"] {
        assert!(matches!(verify(&[(own, &one), (own, second)]), Err(AssertionError::Repeated)), "{second}");
    }
    for twin in ["x_doorward_assertion", "x-doorward_assertion", "x.doorward.assertion"] {
        assert!(matches!(verify(&[(own, &one), (twin, "x")]), Err(AssertionError::LookAlike)), "{twin}");
        assert!(matches!(verify(&[(twin, &one)]), Err(AssertionError::LookAlike)), "{twin}");
    }
    // A list of two in one line is no list here.
    assert!(verify(&[(own, &format!("{one},{two}"))]).is_err());
    let long = "a".repeat(ASSERTION_BYTES_MAX + 1);
    assert!(matches!(verify(&[(own, &long)]), Err(AssertionError::TooLong)));
}

#[test]
fn an_assertion_belongs_to_one_request_and_once() {
    let desk = Desk::new(Leeway::SameHost);
    let post = |target: &str, host: &str| parts("POST", target, &[("host", host)]);
    let differs =
        |part| move |error: &AssertionError| matches!(error, AssertionError::OtherRequest(found) if *found == part);
    for (own, other, part) in [
        (post("/a", "a"), parts("PUT", "/a", &[("host", "a")]), RequestPart::Method),
        (post("/a", "a"), post("/a", "b"), RequestPart::Authority),
        (post("/a", "a"), post("/a", "a:443"), RequestPart::Authority),
        (post("/a", "a"), post("/b", "a"), RequestPart::Path),
        (post("/a", "a"), post("/a?b", "a"), RequestPart::Path),
        (post("/a", "a"), parts("POST", "/a", &[("host", "a"), ("upgrade", "websocket")]), RequestPart::Upgrade),
        (post("/a", "a"), parts("POST", "/a", &[("host", "a"), ("sec-websocket-key", "k")]), RequestPart::WebSocketKey),
    ] {
        let token = desk.sign(Some(&own));
        assert!(desk.verify(&token, other).is_err_and(|error| differs(part)(&error)), "{part:?}");
        // A refusal used nothing up, and a use is the last.
        desk.verify(&token, own.clone()).unwrap();
        assert!(matches!(desk.verify(&token, own), Err(AssertionError::Replay(ReplayError::Seen))), "{part:?}");
    }
    let token = desk.sign(Some(&opening()));
    let two_hosts = parts("GET", "/chat?x=1", &[("host", "claw.example"), ("host", "b")]);
    assert!(matches!(desk.verify(&token, two_hosts), Err(AssertionError::Request(_))));
}

#[test]
fn a_shared_assertion_is_for_reading_and_for_ten_seconds() {
    let desk = Desk::new(Leeway::SameHost);
    let token = desk.sign(None);
    let plain = |method: &str| parts(method, "/", &[("host", "a")]);
    for _ in 0..3 {
        desk.verify(&token, plain("GET")).unwrap();
        desk.verify(&token, plain("HEAD")).unwrap();
    }
    for request in [plain("POST"), plain("DELETE"), plain("OPTIONS"), opening()] {
        assert!(matches!(desk.verify(&token, request), Err(AssertionError::Unbound)));
    }
    let unseen = desk.sign(None);
    assert!(matches!(desk.verify(&unseen, opening()), Err(AssertionError::Unbound)));
    desk.clock.advance(10_999);
    desk.verify(&token, plain("GET")).unwrap();
    desk.clock.advance(1);
    for token in [token, unseen] {
        assert!(matches!(desk.verify(&token, plain("GET")), Err(AssertionError::SharedTooOld)));
    }
}

#[test]
fn a_repeat_costs_no_signature_check_and_only_the_exact_text_is_a_repeat() {
    let desk = Desk::new(Leeway::SameHost);
    let token = desk.sign(None);
    desk.get(&token).unwrap();
    let known = |token: &str| desk.verifier.remembered(token).is_some();
    assert!(known(&token));
    assert!(!known(&format!("{token} ")) && !known(token.trim_end_matches(|char: char| char != '.')));
    // Put there by hand, it is believed although nobody signed it: the text alone was compared.
    let signed = Arc::clone(desk.verifier.shared.lock().unwrap().get(token.as_str()).unwrap());
    desk.verifier.shared.lock().unwrap().insert("unsigned".into(), signed);
    desk.get("unsigned").unwrap();
    // What is bound to a request is not remembered so.
    desk.verify(&desk.sign(Some(&opening())), opening()).unwrap();
    assert_eq!(desk.verifier.shared.lock().unwrap().len(), 2);
}

#[test]
fn the_memory_of_shared_ones_is_bounded() {
    let desk = Desk::new(Leeway::SameHost);
    let token = desk.sign(None);
    desk.get(&token).unwrap();
    {
        let mut shared = desk.verifier.shared.lock().unwrap();
        let signed = Arc::clone(shared.get(token.as_str()).unwrap());
        for number in 1..ASSERTIONS_SHARED_MAX {
            shared.insert(number.to_string().into(), Arc::clone(&signed));
        }
    }
    desk.get(&desk.sign(None)).unwrap();
    assert_eq!(desk.verifier.shared.lock().unwrap().len(), ASSERTIONS_SHARED_MAX);
    desk.clock.advance(11_000);
    desk.get(&desk.sign(None)).unwrap();
    assert_eq!(desk.verifier.shared.lock().unwrap().len(), 1);
}

#[test]
fn a_dropped_key_is_refused_at_once_and_an_overlapping_one_is_not() {
    let desk = Desk::new(Leeway::SameHost);
    let (shared, single) = (desk.sign(None), desk.sign(Some(&opening())));
    desk.get(&shared).unwrap();
    let new = SigningKey::of_seed([8; 32]);
    desk.verifier.replace_keys(JwkSet::new(vec![new.public().clone(), desk.set().keys()[0].clone()]));
    desk.get(&shared).unwrap();
    desk.signer.replace_key(Arc::new(SigningKey::of_seed([8; 32])));
    desk.get(&desk.sign(None)).unwrap();
    desk.verifier.replace_keys(JwkSet::new(vec![new.public().clone()]));
    assert!(matches!(desk.get(&shared), Err(AssertionError::KeyUnknown)));
    assert!(matches!(desk.verify(&single, opening()), Err(AssertionError::KeyUnknown)));
}

#[test]
fn a_wall_clock_that_is_set_back_neither_closes_the_door_nor_opens_a_replay() {
    const HOURS: i64 = 2 * 3_600_000;
    let desk = Desk::new(Leeway::SameHost);
    let mut used = Vec::new();
    // Back before the start, hours long until it has caught up, forth again, and back a little.
    for moved in [0, -HOURS, 1_000, 60_000, HOURS, -HOURS, HOURS, 0, -5_000, 5_000, -31_000, 31_000] {
        desk.clock.advance(moved);
        let (single, shared) = (desk.sign(Some(&opening())), desk.sign(None));
        desk.verify(&single, opening()).unwrap();
        desk.get(&shared).unwrap();
        used.push(single);
        for token in &used {
            assert!(desk.verify(token, opening()).is_err(), "{moved}");
        }
    }
    // Second by second through the hours when an old one looks fresh by the wall clock.
    desk.clock.advance(-60_000);
    for _ in 0..120 {
        desk.clock.advance(1_000);
        for token in &used {
            assert!(desk.verify(token, opening()).is_err());
        }
    }
}

#[test]
fn what_was_signed_before_the_start_is_refused() {
    let desk = Desk::new(Leeway::SameHost);
    let token = desk.sign(None);
    desk.clock.advance(1_000);
    let restarted = Verifier::new(desk.set(), expected(Leeway::SameHost), desk.clock.clone());
    let mut request = parts("GET", "/", &[("host", "a")]);
    request.headers.insert(headers::ASSERTION, token.parse().unwrap());
    assert!(matches!(restarted.verify_request(&request), Err(AssertionError::BeforeStart)));
}

#[test]
fn what_an_earlier_life_signed_is_refused_though_the_clock_was_set_back() {
    let before = Desk::new(Leeway::SameHost);
    let (single, shared) = (before.sign(Some(&opening())), before.sign(None));
    before.verify(&single, opening()).unwrap();
    // Ten seconds earlier by the wall clock, the same key: in ten seconds it looks as if it were signed just now.
    let clock = Clock::fixed(UnixMillis(START as i64 * 1_000 - 10_000));
    let after = Desk::with(Leeway::SameHost, clock.clone(), clock);
    let expected = Expected { lives: Lives::Only(after.signer.life().clone()), ..expected(Leeway::SameHost) };
    let after = Desk { verifier: Verifier::new(after.set(), expected, after.clock.clone()), ..after };
    after.clock.advance(10_000);
    assert!(matches!(after.verify(&single, opening()), Err(AssertionError::OtherLife)));
    assert!(matches!(after.get(&shared), Err(AssertionError::OtherLife)));
    after.verify(&after.sign(Some(&opening())), opening()).unwrap();
    after.get(&after.sign(None)).unwrap();
}

#[test]
fn the_caller_is_told_nothing() {
    assert!(AssertionError::PUBLIC.starts_with("edge identity invalid: "));
}

impl Verifier {
    /// Leaves no place for what is not the opening handshake of a WebSocket.
    pub(crate) fn fill_shared(&self) {
        let (now, mut number) = (self.clock.steady().seconds(), 0_u64);
        let mut replays = self.replays.lock().unwrap();
        while replays.note("k", &number.to_string(), Room::Shared, now + 60, now).is_ok() {
            number += 1;
        }
    }
}
