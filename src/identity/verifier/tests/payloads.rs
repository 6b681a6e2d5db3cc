//! Claims under a good signature: times, names and members exactly as agreed.

use serde_json::json;

use super::desk::{Desk, START, forge, payload, read, with, with_all, without};
use crate::base::clock::{Clock, UnixMillis};
use crate::base::limits::TRAIL_STEPS_MAX;
use crate::identity::testing::opening;
use crate::identity::verifier::{AssertionError, Leeway};

#[test]
fn every_time_must_be_a_whole_number_and_now() {
    let (before, after) = (START - 1, START + 1);
    type Cause = fn(&AssertionError) -> bool;
    let malformed: Cause = |error| matches!(error, AssertionError::Claims(_));
    let life: Cause = |error| matches!(error, AssertionError::Life);
    let expired: Cause = |error| matches!(error, AssertionError::Expired);
    let not_yet: Cause = |error| matches!(error, AssertionError::NotYet);
    let old: Cause = |error| matches!(error, AssertionError::BeforeStart);
    let desk = Desk::new(Leeway::SameHost);
    for name in ["exp", "nbf", "iat"] {
        for wrong in [
            json!("9999999999"),
            json!(null),
            json!([START]),
            json!({"a": 1}),
            json!(-1),
            json!(1.5),
            json!(true),
            json!(START as f64 + 0.0),
            json!(1e300),
        ] {
            let token = forge(&desk.header(), &with(name, wrong.clone()));
            assert!(desk.get(&token).is_err_and(|error| malformed(&error)), "{name} {wrong}");
        }
        let raw =
            payload().replacen(&format!("\"{name}\":{}", read(&payload())[name]), &format!("\"{name}\":1e309"), 1);
        assert!(desk.get(&forge(&desk.header(), &raw)).is_err_and(|error| malformed(&error)), "{name} 1e309");
        assert!(desk.get(&forge(&desk.header(), &without(name))).is_err_and(|error| malformed(&error)), "{name}");
    }
    for (iat, nbf, exp, cause) in [
        (START, START, START + 10 * 365 * 86_400, life),
        (START, START, START + 31, life),
        (START + 1, START, START, life),
        (START, START, u64::MAX, life),
        (START, START, START, expired),
        (START + 3, START, START + 30, not_yet),
        (START, START + 3, START + 30, not_yet),
        (before, before, after, old),
    ] {
        let changed = with_all(&[("iat", json!(iat)), ("nbf", json!(nbf)), ("exp", json!(exp))]);
        let result = desk.get(&forge(&desk.header(), &changed));
        assert!(result.as_ref().is_err_and(cause), "{iat} {nbf} {exp}: {result:?}");
    }
    // One clock that stepped back a little: still believed.
    let ahead = with_all(&[("iat", json!(START + 2)), ("nbf", json!(START + 2)), ("exp", json!(START + 32))]);
    desk.get(&forge(&desk.header(), &ahead)).unwrap();
}

#[test]
fn nothing_outlives_its_time_beyond_the_leeway() {
    for (leeway, seconds) in [(Leeway::SameHost, 0), (Leeway::Apart, 60)] {
        let desk = Desk::new(leeway);
        let token = |desk: &Desk| desk.sign(Some(&opening()));
        let (early, late) = (token(&desk), token(&desk));
        desk.clock.advance((9 + seconds) * 1_000 + 999);
        desk.verify(&early, opening()).unwrap();
        desk.clock.advance(1);
        assert!(matches!(desk.verify(&late, opening()), Err(AssertionError::Expired)), "{leeway:?}");
    }
    // Two hosts whose clocks differ by the leeway, either way.
    for (difference, believed) in [(-60, true), (-61, false), (60, true), (69, true), (70, false)] {
        let edge = Clock::fixed(UnixMillis(START as i64 * 1_000));
        let core = Clock::fixed(UnixMillis((START as i64 + difference.min(0)) * 1_000));
        let desk = Desk::with(Leeway::Apart, edge, core.clone());
        let token = desk.sign(Some(&opening()));
        core.advance(difference.max(0) * 1_000);
        assert_eq!(desk.verify(&token, opening()).is_ok(), believed, "{difference}");
    }
}

#[test]
fn only_our_edge_and_only_for_us() {
    let desk = Desk::new(Leeway::SameHost);
    for wrong in [json!("core-evil"), json!("cor"), json!("Core"), json!(""), json!("edge")] {
        let token = forge(&desk.header(), &with("aud", wrong.clone()));
        assert!(matches!(desk.get(&token), Err(AssertionError::Audience)), "{wrong}");
    }
    for wrong in [json!(["core"]), json!(["core", "other"]), json!(null), json!(7)] {
        let token = forge(&desk.header(), &with("aud", wrong.clone()));
        assert!(matches!(desk.get(&token), Err(AssertionError::Claims(_))), "{wrong}");
    }
    for wrong in ["edge2", "", "core"] {
        let token = forge(&desk.header(), &with("iss", json!(wrong)));
        assert!(matches!(desk.get(&token), Err(AssertionError::Issuer)), "{wrong}");
    }
}

#[test]
fn the_claims_are_exactly_these() {
    let desk = Desk::new(Leeway::SameHost);
    let get = |payload: &str| desk.get(&forge(&desk.header(), payload));
    for name in ["iss", "aud", "iat", "nbf", "exp", "jti", "cid", "sub", "origin"] {
        assert!(matches!(get(&without(name)), Err(AssertionError::Claims(_))), "{name}");
        let twice = payload().replacen('{', &format!("{{\"{name}\":{},", read(&payload())[name]), 1);
        assert!(matches!(get(&twice), Err(AssertionError::Claims(_))), "{name} twice");
    }
    for (name, value) in [
        ("admin", json!(true)),
        ("Origin", json!({})),
        ("tls", json!(null)),
        ("req", json!(null)),
        ("idn", json!(null)),
        ("req", json!([])),
        ("origin", json!(["ip", "203.0.113.9", 1, "public", false, "203.0.113.9", "l", "peer", []])),
        ("sub", json!(null)),
    ] {
        assert!(matches!(get(&with(name, value)), Err(AssertionError::Claims(_))), "{name}");
    }
    for (name, value) in [
        ("local", json!("true")),
        ("local", json!(1)),
        ("local", json!(null)),
        ("ip", json!("203.0.113.999")),
        ("ip", json!(null)),
        ("class", json!("Local")),
        ("class", json!({"local": null})),
        ("kind", json!("IP")),
        ("port", json!(65_536)),
        ("scopes", json!(["operator.admin"])),
        ("via", json!("10.0.0.1")),
        ("steps", json!(null)),
        ("steps", json!([])),
        ("steps", json!("local")),
        ("steps", json!(["peer-is-client", "trust-me"])),
        ("steps", json!([{ "peer-is-client": null }])),
        ("steps", json!(vec!["peer-is-client"; TRAIL_STEPS_MAX + 1])),
    ] {
        let mut payload = read(&payload());
        payload["origin"][name] = value;
        assert!(matches!(get(&payload.to_string()), Err(AssertionError::Claims(_))), "origin.{name}");
    }
    let mut contradiction = read(&payload());
    contradiction["origin"]["kind"] = json!("unattributed");
    assert!(matches!(get(&contradiction.to_string()), Err(AssertionError::Contradiction)));
    for jti in [String::new(), "j".repeat(65)] {
        assert!(matches!(get(&with("jti", json!(jti))), Err(AssertionError::Contradiction)));
    }
    for text in ["", "null", "[]", &format!("{}{}", payload(), payload())] {
        assert!(matches!(get(text), Err(AssertionError::Claims(_))), "{text}");
    }
}
