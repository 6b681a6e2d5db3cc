//! The two real formats, and everything that they must not be.

mod files;
mod mistakes;
mod rows;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use tempfile::TempDir;

use super::*;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::protocol::scope::Scope;

/// What a 2026.1.29 gateway wrote of two command lines that were paired with it.
const JANUARY: &str = include_str!("../../tests/vectors/openclaw-2026.1-paired.json");
/// The same of a 2026.9.6 gateway.
const SEPTEMBER: &str = include_str!("../../tests/vectors/openclaw-2026.9.sql");
const GATEWAY_TOKEN: &str = "test-token-0123456789abcdef0123456789";

#[tokio::test]
async fn devices_of_the_older_gateway_come_with_their_tokens_and_scopes() {
    let state = january(JANUARY);
    let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
    assert_eq!((found.release, found.waiting, found.unfit.len()), (Release::January, 0, 0));
    let written: Value = serde_json::from_str(JANUARY).unwrap();
    assert_eq!(found.arrivals.len(), written.as_object().unwrap().len());
    for arrival in &found.arrivals {
        let written = &written[arrival.device.id().to_string()];
        let [grant] = &arrival.device.grants[..] else { panic!("{arrival:#?}") };
        let token = grant.token.expect("its token");
        assert_eq!(arrival.device.key.to_string(), written["publicKey"]);
        assert!(token.fingerprint.is(written["tokens"]["operator"]["token"].as_str().unwrap()));
        assert_eq!(serde_json::to_value(&grant.scopes).unwrap(), written["scopes"]);
        assert!(arrival.losses.is_empty() && !arrival.is_unapproved() && arrival.is_untold(), "{arrival:#?}");
    }
}

#[tokio::test]
async fn devices_of_the_newer_gateway_come_with_their_tokens_and_scopes() {
    let (state, connection) = september("").await;
    connection.close().await.unwrap();
    let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
    assert_eq!((found.release, found.waiting, found.unfit.len()), (Release::September, 0, 0));
    let [arrival] = &found.arrivals[..] else { panic!("{found:#?}") };
    assert_eq!(arrival.device.id().to_string(), "5d3b74c9f098dd14458a5c6eab8a84c73845e20282757772934d40e4c20f5649");
    let [grant] = &arrival.device.grants[..] else { panic!("{arrival:#?}") };
    assert!(grant.token.unwrap().fingerprint.is("ZBDowBqw8ui7R9YElyM29T825A6P-qNZco4a_6xYyHY"));
    assert_eq!(grant.scopes, [Scope::READ].into_iter().collect());
    assert_eq!((arrival.via.as_deref(), arrival.from), (Some("owner"), Whence::Address("10.99.9.1".parse().unwrap())));
}

#[tokio::test]
async fn a_database_in_use_is_read_with_its_log_and_nothing_is_left_beside_it() {
    // The connection stays open: the rows stand in the log only, as while the gateway runs.
    let (state, connection) = september(
        "INSERT INTO device_pairing_pending (request_id, device_id, public_key, ts) VALUES ('r', 'd', 'k', 1)",
    )
    .await;
    let folder = state.path().join("state");
    let before = contents(&folder);
    assert!(before.iter().any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()), "no log");
    let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
    assert_eq!((found.arrivals.len(), found.waiting), (1, 1));
    assert_eq!(contents(&folder), before);
    // As after the gateway was stopped.
    connection.close().await.unwrap();
    let before = contents(&folder);
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!(devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap().arrivals.len(), 1);
    assert_eq!(contents(&folder), before);
}

#[tokio::test]
async fn a_token_of_an_earlier_gateway_token_does_not_come_along() {
    let old = |secret: &str| OldSecret::Known { kind: SecretKind::Token, secret: Secret::new(secret.to_owned()) };
    let generation = base64(Fingerprint::of(format!("token\0{GATEWAY_TOKEN}").as_bytes()));
    for (kind, generation, secret, expected) in [
        ("shared-gateway-auth", Some(&generation), old(GATEWAY_TOKEN), None),
        ("shared-gateway-auth", Some(&generation), old("another-token"), Some(Why::IssuerStale)),
        ("shared-gateway-auth", Some(&generation), OldSecret::Unknown, Some(Why::IssuerUnknown)),
        ("shared-gateway-auth", None, old(GATEWAY_TOKEN), Some(Why::IssuerUnknown)),
        ("something-new", Some(&generation), old(GATEWAY_TOKEN), Some(Why::IssuerUnknown)),
    ] {
        let issuer = serde_json::json!({ "kind": kind, "generation": generation });
        let statement = format!(
            "UPDATE device_pairing_paired SET tokens_json = json_set(tokens_json, '$.operator.issuer', json('{issuer}'))"
        );
        let (state, _connection) = september(&statement).await;
        let found = devices(state.path(), &secret, &room()).await.unwrap();
        let arrival = &found.arrivals[0];
        assert_eq!(arrival.losses.first().map(|loss| loss.why), expected, "{kind} {generation:?} {secret:?}");
        assert_eq!(arrival.device.grants[0].token.is_some(), expected.is_none());
        assert!(!arrival.device.grants[0].scopes.is_empty(), "the device itself comes");
    }
    let browser = "UPDATE device_pairing_paired SET client_id = 'openclaw-control-ui', client_mode = 'webchat'";
    let (state, _connection) = september(browser).await;
    let found = devices(state.path(), &old(GATEWAY_TOKEN), &room()).await.unwrap();
    assert_eq!(found.arrivals[0].losses[0].why, Why::LegacyBrowser);
}

#[tokio::test]
async fn whoever_was_let_in_from_elsewhere_by_itself_is_told_apart() {
    for (via, from, unapproved) in [
        ("'silent'", "'172.18.0.1'", true),
        ("'trusted-cidr'", "'192.168.1.5'", true),
        ("'trusted-proxy'", "'203.0.113.9'", true),
        ("'silent'", "'127.0.0.1'", false),
        ("'silent'", "'::ffff:127.0.0.1'", false),
        ("'silent'", "NULL", false),
        ("'silent'", "''", true),
        ("'silent'", "'fe80::1%eth0'", true),
        ("'silent'", "'203.0.113.7, 10.0.0.1'", true),
        ("'silent'", "'203.0.113.7:5000'", true),
        ("'silent'", "'::1'", false),
        ("'ssh-verified'", "'203.0.113.7'", true),
        ("'ssh-verified'", "NULL", false),
        ("'owner'", "'172.18.0.1'", false),
        ("'bootstrap'", "'203.0.113.9'", false),
        ("NULL", "'203.0.113.9'", false),
    ] {
        let (state, _connection) =
            september(&format!("UPDATE device_pairing_paired SET approved_via = {via}, remote_ip = {from}")).await;
        let found = devices(state.path(), &OldSecret::Unknown, &room()).await.unwrap();
        assert_eq!(found.arrivals[0].is_unapproved(), unapproved, "{via} {from}");
    }
}

/// Where copies are made.
fn room() -> std::path::PathBuf {
    std::env::temp_dir()
}

/// A state folder of the older gateway with this list of paired devices.
fn january(paired: &str) -> TempDir {
    let state = tempfile::tempdir().unwrap();
    write(&state.path().join("devices/paired.json"), paired.as_bytes());
    state
}

/// A state folder of the newer gateway, after this statement; its database is in use while the connection lives.
async fn september(statement: &str) -> (TempDir, SqliteConnection) {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("state/openclaw.sqlite");
    fs::create_dir(path.parent().unwrap()).unwrap();
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.journal_mode(SqliteJournalMode::Wal).connect().await.unwrap();
    for script in [SEPTEMBER, statement] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(script.to_owned())).execute(&mut connection).await.unwrap();
    }
    (state, connection)
}

/// Writes a file as a gateway does: for its user alone.
fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The names and bytes of a folder, in order.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // The index of the log is shared memory between processes; SQLite itself says that its bytes mean nothing.
    let mut found: Vec<_> = names
        .map(|path| {
            let bytes = if path.to_str().unwrap().ends_with("-shm") { Vec::new() } else { fs::read(&path).unwrap() };
            (path.file_name().unwrap().to_str().unwrap().to_owned(), bytes)
        })
        .collect();
    found.sort();
    found
}

fn base64(hash: Fingerprint) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(hash.as_bytes())
}
