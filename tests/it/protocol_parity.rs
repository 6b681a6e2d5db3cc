//! The table of the gateway protocol, `tests/vectors/protocol_parity.txt`, is true in both directions: every test that it names
//! exists, and whatever our code can answer, announce or send has a row in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::support::core_rig::{HERE, Rig};
use super::support::gateway_client::Device;
use super::support::named_tests::named_tests;

const TABLE: &str = include_str!("../vectors/protocol_parity.txt");

struct Row {
    kind: &'static str,
    what: &'static str,
    verdict: &'static str,
}

#[test]
fn every_row_has_a_verdict_and_every_test_named_exists() {
    let tests = named_tests();
    let (mut seen, mut named) = (BTreeSet::new(), 0);
    for Row { kind, what, verdict } in rows() {
        assert!(seen.insert((kind, what)), "{kind} | {what}: it stands twice");
        let words = match verdict.strip_prefix("not ours: ") {
            Some(why) => {
                assert!(why.len() > 20, "{kind} | {what}: why?");
                // Where the reason points at a test, that exists too.
                why.split([' ', ',', ';', ':']).filter(|word| word.matches('_').count() > 3).collect::<Vec<_>>()
            }
            None => verdict.split(", ").collect(),
        };
        for word in words {
            assert!(tests.contains(word), "{kind} | {what}: there is no test {word}");
            named += 1;
        }
    }
    assert!(seen.len() > 100 && named > 100, "{} rows, {named} tests", seen.len());
}

#[tokio::test]
async fn what_hello_announces_has_a_row_and_what_has_a_row_is_announced() {
    let rig = Rig::new().await;
    let session = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    for (kind, list) in [("method", "methods"), ("event", "events")] {
        let announced = session.hello["features"][list].as_array().unwrap().iter();
        let announced: BTreeSet<&str> = announced.map(|name| name.as_str().unwrap()).collect();
        let rows: BTreeSet<&str> =
            rows().filter(|row| row.kind == kind && !row.verdict.starts_with("not ours")).map(|row| row.what).collect();
        assert_eq!(announced, rows, "{kind}: announced, and in the table");
    }
}

#[test]
fn every_detail_code_of_our_refusals_has_a_row() {
    let codes: BTreeSet<String> = ["protocol/refusal/words.rs", "protocol/refusal/unauthorized.rs", "protocol/call.rs"]
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(root().join("src").join(file)).unwrap();
            let is_code = |word: &str| {
                word.len() > 8
                    && word.contains('_')
                    && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
            };
            text.split('"').filter(|word| is_code(word)).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(codes.len() > 15, "{codes:?}");
    // The classes of errors are no codes of details.
    let classes = ["INVALID_REQUEST"];
    let missing: Vec<_> = codes
        .iter()
        .filter(|code| !classes.contains(&code.as_str()))
        .filter(|code| !rows().any(|row| row.what.split([',', ' ']).any(|word| word == code.as_str())))
        .collect();
    assert!(missing.is_empty(), "no row has {missing:?}");
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let parts: Vec<&str> = line.split(" | ").collect();
        let [kind, what, verdict] = parts[..] else { panic!("not a row: {line}") };
        Row { kind, what, verdict }
    })
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
