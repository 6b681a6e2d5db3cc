//! Promise: a caller's address is never the caller's own choice. `tests/vectors/client_ip.json` holds every attack
//! and every honest chain we know of; what it expects holds, and what it forbids never happens.

use std::fs;
use std::process::Command;

use serde_json::Value;

const VECTORS: &str = "tests/vectors/client_ip.json";

#[test]
fn every_known_chain_ends_as_its_case_says() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for (case, answer) in answered() {
        judged += 1;
        let mut accepted = vec![&case["expect"]];
        accepted.extend(case["also_ok"].as_array().into_iter().flatten());
        if !accepted.iter().any(|expected| agrees(&answer, expected)) {
            wrong.push(format!("{answer}\n  expected {}", case["expect"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(judged, 197);
}

#[test]
fn what_no_case_may_end_in_never_happens() {
    for (case, answer) in answered() {
        let never = case["never_ip"].as_array().into_iter().flatten();
        assert!(never.into_iter().all(|ip| *ip != answer["ip"]), "{answer}");
        assert!(answer["local"] == false || case["expect"]["local"] == true, "{answer}");
    }
}

fn answered() -> Vec<(Value, Value)> {
    let text = fs::read_to_string(VECTORS).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let cases = file["vectors"].as_array().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_doorward")).args(["explain", "--batch", VECTORS]).output().unwrap();
    assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
    let out = String::from_utf8(run.stdout).unwrap();
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((cases.len(), lines.len()), (197, 197));
    let pairs: Vec<_> = cases.iter().cloned().zip(lines).collect();
    assert!(pairs.iter().all(|(case, answer)| case["id"] == answer["id"]), "one line per case, in order");
    pairs
}

/// What an expectation names must be so; what it does not name may be anything.
fn agrees(answer: &Value, expected: &Value) -> bool {
    expected.as_object().unwrap().iter().all(|(key, value)| answer[key] == *value)
}
