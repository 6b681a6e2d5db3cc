//! The catalogue of attacks on secrets and limits, and the rows about floods of requests, each by its number; where each
//! is tested says `tests/vectors/limits_rows.txt`.

use std::fs;
use std::time::Duration;

use doorward::base::limits::{LOCKOUT, NOTICE_PERIOD, NOTICES_MAX, PENDING_MAX, PENDING_RESERVE, REJECTION_COOL_DOWN};
use doorward::core::{Decider, Timing};
use doorward::store::FILE_NAME;
use futures_util::SinkExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::caller::Caller;
use super::support::core_rig::{HERE, LAN, Rig, with_device_token};
use super::support::gateway_client::{Ask, Device, Outcome, call, connect_frame, next_frame, verdict};
use super::support::instance::Instance;
use super::support::namespace::Namespace;
use super::support::wait::wait_until;

const FAR: &str = "198.51.100.7";
/// What a flood may leave in the store.
const STORE_BYTES_MAX: u64 = 1024 * 1024;
/// The same in the write-ahead log beside it: SQLite's 1,000 pages before it is written over, and what one change adds.
const LOG_BYTES_MAX: u64 = 5 * 1024 * 1024;

#[tokio::test]
async fn row_124_after_ten_wrong_secrets_nothing_is_judged_for_five_minutes() {
    let rig = Rig::new().await;
    let codes = guess(&rig, &vec![FAR; 40], &Ask::operator("wrong")).await;
    assert_eq!(codes.iter().filter(|code| *code == "AUTH_TOKEN_MISMATCH").count(), 10, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| *code == "AUTH_RATE_LIMITED").count(), 30);
    let five_minutes = i64::try_from(LOCKOUT.as_millis()).unwrap();
    rig.clock.advance(five_minutes - 1);
    assert_eq!(guess(&rig, &[FAR], &rig.ask()).await, ["AUTH_RATE_LIMITED"]);
    rig.clock.advance(1);
    assert_eq!(guess(&rig, &[FAR], &rig.ask()).await, ["PAIRING_REQUIRED"]);
}

#[tokio::test]
async fn row_125_a_device_token_beside_a_wrong_secret_hides_nothing() {
    let rig = Rig::new().await;
    let mut ask = Ask::operator("wrong");
    ask.device_token = Some("no token of anybody".to_owned());
    let codes = guess(&rig, &[FAR; 12], &ask).await;
    assert_eq!(codes.iter().filter(|code| *code == "AUTH_RATE_LIMITED").count(), 2, "{codes:?}");
}

#[tokio::test]
async fn row_126_one_address_in_many_spellings_has_one_count() {
    let rig = Rig::new().await;
    let spellings = [FAR, "::ffff:198.51.100.7", "::ffff:c633:6407", "0:0:0:0:0:FFFF:C633:6407"];
    let all: Vec<&str> = spellings.into_iter().cycle().take(12).collect();
    let codes = guess(&rig, &all, &Ask::operator("wrong")).await;
    assert_eq!(codes[10..], ["AUTH_RATE_LIMITED", "AUTH_RATE_LIMITED"], "{codes:?}");
}

#[tokio::test]
async fn row_127_the_networks_of_one_home_count_together() {
    let rig = Rig::new().await;
    let networks: Vec<String> = (0..50).map(|number| format!("2001:db8:7:7{number:02x}::1")).collect();
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    let codes = guess(&rig, &networks, &Ask::operator("wrong")).await;
    assert_eq!(codes.iter().filter(|code| *code == "AUTH_TOKEN_MISMATCH").count(), 40, "{codes:?}");
    let others = ["2001:db8:7:800::1", "2001:db8:8::1", LAN];
    assert_eq!(guess(&rig, &others, &rig.ask()).await, ["PAIRING_REQUIRED"; 3], "nobody else is concerned");
}

#[tokio::test]
async fn row_129_a_paired_owner_gets_in_from_the_address_that_an_attacker_has_locked() {
    let rig = Rig::new().await;
    let (device, ask) = (Device::new(), rig.ask().with_scopes(&["operator.read"]));
    let token = rig.pair(&device, &["operator.read"]).await;
    let codes = guess(&rig, &[LAN; 11], &Ask::operator("wrong")).await;
    assert_eq!(codes[10], "AUTH_RATE_LIMITED");
    rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    rig.connect(LAN, Some(&device), &ask).await.hello();
    rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
}

#[tokio::test]
async fn row_131_of_many_guesses_at_once_ten_are_judged() {
    let rig = Rig::new().await;
    let (device, ask) = (Device::new(), Ask::operator("wrong"));
    // As many as one address may have before hello.
    let outcomes = join_all((0..30).map(|_| rig.connect(FAR, Some(&device), &ask))).await;
    let codes: Vec<String> = outcomes.into_iter().map(code).collect();
    assert_eq!(codes.iter().filter(|code| *code == "AUTH_TOKEN_MISMATCH").count(), 10, "{codes:?}");
}

#[tokio::test]
async fn row_133_what_is_no_secret_opens_nothing() {
    let rig = Rig::new().await;
    let (right, mut number) = (rig.token.clone(), 0);
    let look_alike = right.replacen(|letter: char| letter.is_ascii_alphanumeric(), "\u{ff41}", 1);
    for text in [
        "",
        " ",
        "\0",
        "null",
        "true",
        "[]",
        "{}",
        &format!("{right}\n"),
        &format!(" {right}"),
        &format!("{right}\0"),
        right.get(1..).unwrap(),
        &right.repeat(2),
        &look_alike,
        &"x".repeat(40_000),
    ] {
        number += 1;
        // From the machine itself, where the right one would let it in at once.
        let outcome = rig.connect(HERE, Some(&Device::new()), &Ask::operator(text)).await;
        assert!(!matches!(outcome, Outcome::Hello(_)), "{number}");
        rig.clock.advance(i64::try_from(LOCKOUT.as_millis()).unwrap());
    }
    rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
}

#[tokio::test]
async fn row_133_what_is_no_text_is_no_secret_either_in_any_field() {
    let rig = Rig::new().await;
    let right = json!({ "token": rig.token });
    // The owner's command line: with the right secret it needs no device.
    assert!(matches!(connect_with(&rig, &right).await, Outcome::Hello(_)));
    let million = "x".repeat(1_000_000);
    for wrong in [json!(null), json!([]), json!({}), json!(0), json!(true), json!([rig.token]), json!(million)] {
        let fields = ["token", "password", "deviceToken", "bootstrapToken"];
        let auths = fields.into_iter().map(|field| json!({ field: wrong }));
        for auth in auths.chain([wrong.clone()]) {
            let shown: String = auth.to_string().chars().take(60).collect();
            assert!(!matches!(connect_with(&rig, &auth).await, Outcome::Hello(_)), "{shown}");
            rig.clock.advance(i64::try_from(LOCKOUT.as_millis()).unwrap());
        }
    }
    assert!(matches!(connect_with(&rig, &json!([right])).await, Outcome::Refused(_)));
    assert_eq!(rig.listing().await, json!({ "pending": [], "paired": [] }));
    assert!(matches!(connect_with(&rig, &right).await, Outcome::Hello(_)));
}

#[tokio::test]
async fn row_135_a_secret_that_is_written_into_its_file_is_in_force_and_ends_what_stood_on_the_old_one() {
    let rig = Rig::with(Timing { upkeep_period: Duration::from_millis(50), ..Timing::default() }).await;
    let session = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let (file, fresh) = (rig.state.path().join("gateway-token"), "k3yPq9vTz0aWx7LmN2bRc5dEk3yPq9vTz0a");
    fs::write(&file, format!("{fresh}\n")).unwrap();
    let close = tokio::time::timeout(Duration::from_secs(10), session.closed()).await.expect("it stays open");
    assert_eq!(close.0, 4001, "{close:?}");
    assert_eq!(code(rig.connect(HERE, Some(&Device::new()), &rig.ask()).await), "AUTH_TOKEN_MISMATCH");
    rig.connect(HERE, Some(&Device::new()), &Ask::operator(fresh)).await.hello();
}

#[test]
fn row_135_what_cannot_be_a_secret_is_refused_in_its_file_and_the_old_one_stays() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, "");
    let (token, caller) = (doorward.token(), Caller::plain("127.0.0.1:18789"));
    fs::write(doorward.folder().join("state/gateway-token"), "changeme").unwrap();
    wait_until(|| doorward.log().contains("gateway token not taken from its file"));
    let refusal = call(&host, &caller, &Device::new(), Ask::operator("changeme")).refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    call(&host, &caller, &Device::new(), Ask::operator(&token)).hello();
}

#[tokio::test]
async fn row_138_two_thousand_requests_from_everywhere_neither_hide_the_owner_nor_fill_the_disk() {
    let rig = Rig::new().await;
    let (owner, mut ids) = (Device::new(), Vec::new());
    for number in 0..2_000_u32 {
        let from = format!("2001:db8:{:x}:{:x}::1", number % 1_000, number / 1_000);
        rig.connect(&from, Some(&Device::new()), &rig.ask()).await.refused();
        rig.clock.advance(50);
        if number % 500 == 400 {
            let refusal = rig.connect("192.168.1.30", Some(&owner), &rig.ask()).await.refused();
            ids.push(refusal.error["details"]["requestId"].clone());
        }
    }
    assert!(ids.iter().all(|id| id.is_string() && *id == ids[0]), "{ids:?}");
    let pending = rig.listing().await["pending"].as_array().unwrap().clone();
    assert!(pending.len() <= PENDING_MAX - PENDING_RESERVE + 1, "{}", pending.len());
    assert!(pending[..3].iter().any(|request| request["requestId"] == ids[0]), "{pending:#?}");
    let bytes = |name: &str| fs::metadata(rig.state.path().join(name)).map_or(0, |file| file.len());
    let (store, log) = (bytes(FILE_NAME), bytes("doorward.sqlite-wal"));
    assert!(store > 0 && store < STORE_BYTES_MAX, "the store has {store} bytes");
    assert!(log < LOG_BYTES_MAX, "its log has {log} bytes");
    let approved = rig.core.pairings().approve(ids[0].as_str().unwrap(), None, &Decider::owner()).await;
    approved.unwrap();
}

#[tokio::test]
async fn row_155_a_rejected_device_has_a_minute_to_think_and_then_one_request() {
    let rig = Rig::new().await;
    let (device, ask) = (Device::new(), rig.ask());
    let mut operator = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let first = rig.connect(LAN, Some(&device), &ask).await.refused();
    let id = first.error["details"]["requestId"].as_str().unwrap().to_owned();
    rig.core.pairings().reject(&id, &Decider::owner()).await.unwrap();
    for _ in 0..20 {
        let refusal = rig.connect(LAN, Some(&device), &ask).await.refused();
        assert_eq!(refusal.error["details"]["reason"], "rejected", "{refusal:?}");
        assert!(refusal.error["retryAfterMs"].as_u64().unwrap() <= 60_000);
    }
    assert_eq!(rig.listing().await["pending"], json!([]));
    rig.clock.advance(i64::try_from(REJECTION_COOL_DOWN.as_millis()).unwrap());
    // Every five seconds for an hour, with one id all the time.
    let mut ids = Vec::new();
    for _ in 0..720 {
        let refusal = rig.connect(LAN, Some(&device), &ask).await.refused();
        ids.push(refusal.error["details"]["requestId"].as_str().unwrap().to_owned());
        rig.clock.advance(5_000);
    }
    assert!(ids.iter().all(|id| *id == ids[0]));
    operator.call("device.pair.list", json!({})).await.unwrap();
    assert_eq!(operator.heard("device.pair.requested").len(), 2, "one for each request");
}

#[tokio::test]
async fn row_194_a_flood_of_requests_is_a_few_notices() {
    let rig = Rig::new().await;
    let mut operator = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let device = Device::new();
    for number in 0..300_u32 {
        // Another request each time: one device that moves about, and many from everywhere.
        rig.connect(&format!("192.168.1.{}", number % 250), Some(&device), &rig.ask()).await.refused();
        let from = format!("2001:db8:{number:x}::1");
        rig.connect(&from, Some(&Device::new()), &rig.ask()).await.refused();
    }
    operator.call("device.pair.list", json!({})).await.unwrap();
    let told = operator.heard("device.pair.requested");
    assert_eq!(told.iter().filter(|request| request["deviceId"] == device.id()).count(), 1);
    assert_eq!(told.len(), 1 + NOTICES_MAX, "strangers");
    let ended = operator.heard("device.pair.resolved");
    assert!(ended.len() <= told.len(), "what nobody was told of ends in silence: {}", ended.len());
    // What was held back and still waits is told of when its minute is over.
    while !operator.heard("device.pair.requested").is_empty() {
        operator.event("device.pair.requested").await;
    }
    rig.clock.advance(i64::try_from(NOTICE_PERIOD.as_millis()).unwrap());
    let late = async { while operator.event("device.pair.requested").await["deviceId"] != device.id() {} };
    tokio::time::timeout(Duration::from_secs(60), late).await.expect("not told");
}

/// What each of these callers is told, one after the other, each with a new device.
async fn guess(rig: &Rig, callers: &[&str], ask: &Ask) -> Vec<String> {
    let mut codes = Vec::new();
    for from in callers {
        codes.push(code(rig.connect(from, Some(&Device::new()), ask).await));
    }
    codes
}

/// What a command line at this machine is told that comes with this as its `auth`.
async fn connect_with(rig: &Rig, auth: &Value) -> Outcome {
    let mut socket = rig.dial(HERE).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
    let mut frame = connect_frame(&challenge, None, &rig.ask().with_scopes(&["operator.read"]));
    frame["params"]["auth"] = auth.clone();
    // Whoever is cut off in the middle of a word hears why all the same, or nothing.
    match socket.send(Message::text(frame.to_string())).await {
        Ok(()) => verdict(socket).await,
        Err(fault) => Outcome::NotUpgraded(0, fault.to_string()),
    }
}

fn code(outcome: Outcome) -> String {
    outcome.refused().error["details"]["code"].as_str().unwrap_or("-").to_owned()
}
