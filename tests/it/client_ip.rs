//! Promise: a caller's address is never the caller's own choice. `tests/vectors/client_ip.json` holds every attack
//! and every honest chain we know of; what it expects holds, and what it forbids never happens.

use std::fs;

use serde_json::Value;
use serde_json::json;

/// The groups whose sources are read: socket peer, PROXY header, `X-Forwarded-For`, and the local rule.
const GROUPS: [&str; 6] = ["XFF", "SYN", "CIDR", "PP1", "PP2", "LOC"];
const HEADERS_READ: [&str; 2] = ["none", "x-forwarded-for"];

#[test]
fn every_known_chain_ends_as_its_case_says() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (case, answer) in answered() {
        let group = case["group"].as_str().unwrap();
        if !GROUPS.contains(&group) && !is_read(&case) {
            continue;
        }
        judged += 1;
        let mut accepted = vec![&case["expect"]];
        accepted.extend(case["also_ok"].as_array().into_iter().flatten());
        if !accepted.iter().any(|expected| agrees(&answer, expected)) {
            wrong.push(format!("{answer}\n  expected {}", case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(judged >= 144, "only {judged} cases were judged");
}

#[test]
fn what_no_case_may_end_in_never_happens() {
    for (case, answer) in answered() {
        let never = case["never_ip"].as_array().into_iter().flatten();
        assert!(never.into_iter().all(|ip| *ip != answer["ip"]), "{answer}");
        assert!(answer["local"] == false || case["expect"]["local"] == true, "{answer}");
    }
}

#[test]
fn a_header_that_is_not_read_yet_is_said_and_not_guessed() {
    for (case, answer) in answered().into_iter().filter(|(case, _)| !is_read(case)) {
        assert_eq!(answer["kind"], "config_reject", "{case}");
        assert_eq!(answer["trace"], json!(["client_ip_header: not supported yet"]), "{case}");
    }
}

fn answered() -> Vec<(Value, Value)> {
    let text = fs::read_to_string("tests/vectors/client_ip.json").unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["vectors"].as_array().unwrap();
    let mut out = Vec::new();
    doorward::explain::batch::run(&text, &mut out).unwrap();
    let lines: Vec<Value> =
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((cases.len(), lines.len()), (197, 197));
    let pairs: Vec<_> = cases.iter().cloned().zip(lines).collect();
    assert!(pairs.iter().all(|(case, answer)| case["id"] == answer["id"]), "one line per case, in order");
    pairs
}

fn is_read(case: &Value) -> bool {
    HEADERS_READ.contains(&case["listener"]["client_ip_header"].as_str().unwrap())
}

/// What an expectation names must be so; what it does not name may be anything.
fn agrees(answer: &Value, expected: &Value) -> bool {
    expected.as_object().unwrap().iter().all(|(key, value)| answer[key] == *value)
}
