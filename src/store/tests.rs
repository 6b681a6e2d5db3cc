//! The store's promises: durable, whole, and never an empty one in place of one that cannot be read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;

mod chain;
mod damage;
mod invites;
mod restored;
mod windows;

use super::testing::*;
use super::*;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::queue::Waiter;
use crate::pairing::step::RequestEnd;

#[tokio::test]
async fn what_is_committed_is_read_back_exactly_also_by_the_next_process() {
    let (folder, store) = fresh().await;
    let (device, request) = (device(1), request(2));
    store.commit(&[put(&device), Change::PutRequest(Box::new(request.clone()))], &act("test")).await.unwrap();
    drop(store);
    let store = Store::open(&file(&folder)).await.unwrap();
    assert_eq!(store.devices().await.unwrap(), std::slice::from_ref(&device));
    assert_eq!(store.requests().await.unwrap(), std::slice::from_ref(&request));
    let known = store.known(&device.id(), NOW).await.unwrap();
    assert_eq!((known.device, known.requests.len()), (Some(device), 0));
    assert_eq!(known.waiting, [Waiter::of(&request)].into_iter().collect::<Queue>());
    assert_eq!(store.request(&request.id).await.unwrap(), Some(request.clone()));
    let end = Change::DropRequest { id: request.id, end: RequestEnd::Rejected };
    store.commit(&[end, Change::DropDevice(known_id(1))], &act("test")).await.unwrap();
    assert_eq!((store.devices_count().await.unwrap(), store.requests().await.unwrap().len()), (0, 0));
}

#[tokio::test]
async fn only_what_is_not_expired_counts_as_waiting() {
    let (_folder, store) = fresh().await;
    let store = store.by(Clock::fixed(NOW));
    let request = request(1);
    store.commit(&[Change::PutRequest(Box::new(request.clone()))], &act("test")).await.unwrap();
    for ahead in [-6_000, -5_000, 0, 299_999, 300_000] {
        let now = NOW.plus(ahead);
        let waiting = store.known(&request.device(), now).await.unwrap().waiting.len();
        assert_eq!(waiting == 0, request.is_expired(now, store.pending_life()), "{ahead} ms later");
    }
}

#[tokio::test]
async fn a_request_that_is_seen_again_leaves_no_second_row() {
    let (_folder, store) = fresh().await;
    let mut request = request(1);
    for seen in 0..3 {
        request.refreshed_at = NOW.plus(seen * 1_000);
        store.commit(&[Change::PutRequest(Box::new(request.clone()))], &act("connect")).await.unwrap();
    }
    assert_eq!(store.request(&request.id).await.unwrap().unwrap().refreshed_at, NOW.plus(2_000));
    assert_eq!(audit(&store).await.len(), 1);
    // A new id is a new request.
    let end = Change::DropRequest { id: request.id, end: RequestEnd::Superseded };
    request.id = RequestId::random();
    store.commit(&[end, Change::PutRequest(Box::new(request))], &act("connect")).await.unwrap();
    assert_eq!(audit(&store).await.len(), 3);
}

#[tokio::test]
async fn each_change_leaves_its_row_in_the_audit_log() {
    let (_folder, store) = fresh().await;
    let request = request(1);
    store.commit(&[Change::PutRequest(Box::new(request.clone()))], &act("connect")).await.unwrap();
    let end = Change::DropRequest { id: request.id, end: RequestEnd::Approved };
    store.commit(&[end, put(&device(1))], &act("device.pair.approve")).await.unwrap();
    let rows = audit(&store).await;
    let word = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let told: Vec<_> =
        rows.iter().map(|row| (row["sequence"].as_i64().unwrap(), word(row, "act"), word(row, "change"))).collect();
    assert_eq!(
        told,
        [
            (3, "device.pair.approve", "device.put"),
            (2, "device.pair.approve", "request.approved"),
            (1, "connect", "request.put"),
        ]
        .map(|(sequence, act, change)| (sequence, act.to_owned(), change.to_owned()))
    );
    for row in &rows[1..] {
        assert_eq!(row["digest"], request.digest().to_string(), "what was approved is what was asked");
    }
    assert_eq!((&rows[0]["actor"], &rows[0]["at"]), (&"owner".into(), &NOW.0.into()));
    assert_eq!(store.verify_audit().await.unwrap(), 3);
}

#[tokio::test]
async fn a_change_that_fails_halfway_changes_nothing() {
    let (folder, store) = fresh().await;
    let before = device(1);
    store.commit(&[put(&before)], &act("test")).await.unwrap();
    let mut other = SqliteConnectOptions::new().filename(file(&folder)).connect().await.unwrap();
    let failing = "CREATE TRIGGER full BEFORE INSERT ON audit_log BEGIN SELECT RAISE(ABORT, 'disk full'); END";
    sqlx::query(failing).execute(&mut other).await.unwrap();
    let error = store.commit(&[put(&device(2)), Change::DropDevice(before.id())], &act("test")).await.unwrap_err();
    assert!(matches!(error, StoreError::Write(_)), "{error}");
    assert_eq!(store.devices().await.unwrap(), std::slice::from_ref(&before));
    // It goes on as soon as it can write again.
    sqlx::query("DROP TRIGGER full").execute(&mut other).await.unwrap();
    store.commit(&[Change::DropDevice(before.id())], &act("test")).await.unwrap();
    assert_eq!(store.devices_count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_sight_waits_for_the_next_change_and_is_shown_at_once() {
    let (folder, store) = fresh().await;
    let device = device(1);
    store.commit(&[put(&device)], &act("test")).await.unwrap();
    let seen = Change::Seen { device: device.id(), role: Role::Operator, at: NOW.plus(7) };
    store.commit(std::slice::from_ref(&seen), &act("connect")).await.unwrap();
    assert_eq!(store.devices().await.unwrap()[0].last_seen_at, Some(NOW.plus(7)));
    assert_eq!(audit(&store).await.len(), 1);
    store.flush(&act("seen")).await.unwrap();
    let again = Store::open(&file(&folder)).await.unwrap();
    let found = again.devices().await.unwrap().remove(0);
    assert_eq!(found.last_seen_at, Some(NOW.plus(7)));
    assert_eq!(found.grants[&Role::Operator].token.unwrap().last_used_at, Some(NOW.plus(7)));
}

#[tokio::test]
async fn damage_stops_the_start_and_leaves_the_file_alone() {
    let (folder, store) = fresh().await;
    store.commit(&[put(&device(1))], &act("test")).await.unwrap();
    close(store).await;
    let whole = fs::read(file(&folder)).unwrap();
    assert!(!folder.path().join("doorward.sqlite-wal").exists(), "the log was not merged");
    for keep in [0, 1, 15, 16, 99, 100, 511, 4_096, whole.len() - 4_096, whole.len() - 1] {
        refused(&folder, &whole[..keep], &format!("cut to {keep} bytes")).await;
    }
    for (at, name) in [(0, "magic"), (16, "page size"), (100, "schema page"), (4_096 * 2, "a page of ours")] {
        let mut flipped = whole.clone();
        flipped[at..at + 8].fill(0xff);
        refused(&folder, &flipped, name).await;
    }
    for (bytes, name) in [(&b"[]"[..], "json"), (&[0; 8_192][..], "zeroes")] {
        refused(&folder, bytes, name).await;
    }
    fs::write(file(&folder), &whole).unwrap();
    assert_eq!(Store::open(&file(&folder)).await.unwrap().devices_count().await.unwrap(), 1);
}

#[tokio::test]
async fn values_that_cannot_be_are_an_error_not_an_absence() {
    for (table, column, value) in [
        ("devices", "device_id", "0000000000000000000000000000000000000000000000000000000000000000"),
        ("devices", "public_key", "AAAA"),
        ("devices", "profile", "{}"),
        ("devices", "approved_via", "magic"),
        ("grants", "role", "king"),
        ("grants", "scopes", "[\"a,b\"]"),
        ("grants", "token_hash", "xyz"),
        ("requests", "origin", "{}"),
        ("requests", "request_id", "latest"),
    ] {
        let (folder, store) = fresh().await;
        let request = Change::PutRequest(Box::new(request(2)));
        store.commit(&[put(&device(1)), request], &act("test")).await.unwrap();
        let options = SqliteConnectOptions::new().filename(file(&folder)).foreign_keys(false);
        let mut other: SqliteConnection = options.connect().await.unwrap();
        let sql = sqlx::AssertSqlSafe(format!("UPDATE {table} SET {column} = $1 WHERE rowid = 1"));
        sqlx::query(sql).bind(value).execute(&mut other).await.unwrap();
        let read = async { Ok::<_, StoreError>((store.devices().await?, store.requests().await?)) }.await;
        let error = read.unwrap_err();
        assert!(matches!(&error, StoreError::Altered { .. }), "{table}.{column}: {error}");
    }
}

#[tokio::test]
async fn no_connect_and_no_change_looks_through_a_whole_table_of_devices_or_entries() {
    let (_folder, store) = fresh().await;
    let mut connection = store.connection.lock().await;
    for question in [
        seal::DEVICES.questions(),
        seal::INVITES.questions(),
        seal::REQUESTS.questions(),
        vec![
            "SELECT request_id FROM requests WHERE device_id = $1 ORDER BY created_at",
            "SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1",
            "SELECT number, total FROM seals WHERE name = $1",
            "DELETE FROM grants WHERE device_id = $1",
            "DELETE FROM devices WHERE device_id = $1",
            devices::COUNT_BY_RULE,
        ],
    ]
    .concat()
    {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {question}"));
        let steps = sqlx::query(plan).fetch_all(&mut *connection).await.unwrap();
        for step in steps {
            let step: String = sqlx::Row::get(&step, "detail");
            // The last entry is the end of an index, whatever its length.
            let is_end = question.ends_with("LIMIT 1");
            assert!(is_end || !step.starts_with("SCAN"), "{question}: {step}");
            assert!(!is_end || step.contains("USING INDEX"), "{question}: {step}");
        }
    }
}

#[tokio::test]
async fn a_rule_has_room_until_its_share_of_devices_is_paired_by_it() {
    let (_folder, store) = fresh().await;
    let rule = |name: &str| RuleName::parse(name).unwrap();
    let by = |number: usize, approved_via: ApprovedVia| {
        let key = ed25519_dalek::SigningKey::from_bytes(
            &[u8::try_from(number % 256).unwrap(), u8::try_from(number / 256).unwrap()].repeat(16).try_into().unwrap(),
        );
        let key = DevicePublicKey::from_bytes(*key.verifying_key().as_bytes()).unwrap();
        Change::PutDevice(Box::new(PairedDevice { key, approved_via, ..device(1) }))
    };
    let mut changes: Vec<_> = (1..RULE_DEVICES_MAX).map(|number| by(number, ApprovedVia::Rule(rule("full")))).collect();
    changes.push(by(RULE_DEVICES_MAX, ApprovedVia::Silent));
    changes.push(by(RULE_DEVICES_MAX + 1, ApprovedVia::Rule(rule("full-2"))));
    store.commit(&changes, &act("test")).await.unwrap();
    assert_eq!(store.room_under(&rule("full")).await.unwrap(), Room::Left);
    store.commit(&[by(RULE_DEVICES_MAX + 2, ApprovedVia::Rule(rule("full")))], &act("test")).await.unwrap();
    for (name, room) in [("full", Room::Full), ("full-2", Room::Left), ("none", Room::Left)] {
        assert_eq!(store.room_under(&rule(name)).await.unwrap(), room, "{name}");
    }
    // A person's word about one of them is that person's from then on.
    store.commit(&[by(1, ApprovedVia::Owner)], &act("test")).await.unwrap();
    assert_eq!(store.room_under(&rule("full")).await.unwrap(), Room::Left);
}

#[tokio::test]
async fn a_judgement_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    Store::judge(&file(&folder)).await.unwrap();
    assert!(!file(&folder).exists());
    close(Store::open(&file(&folder)).await.unwrap()).await;
    Store::judge(&file(&folder)).await.unwrap();
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names.iter().all(|name| name == FILE_NAME || name == "doorward.head" || name == "doorward.revoked"),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_newer_or_foreign_store_is_refused_without_a_write() {
    let (folder, store) = fresh().await;
    close(store).await;
    alter(&folder, "PRAGMA user_version = 1000").await;
    let newer = refused(&folder, &fs::read(file(&folder)).unwrap(), "newer").await;
    assert!(matches!(newer, StoreError::Newer { found: 1_000, known: schema::VERSION, .. }), "{newer}");
    for foreign in ["PRAGMA user_version = 1; PRAGMA application_id = 7", "PRAGMA user_version = 0"] {
        alter(&folder, foreign).await;
        let error = refused(&folder, &fs::read(file(&folder)).unwrap(), foreign).await;
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_newer_version_that_only_the_log_knows_is_refused_too() {
    let (folder, store) = fresh().await;
    let mut other = SqliteConnectOptions::new().filename(file(&folder)).connect().await.unwrap();
    sqlx::query("PRAGMA user_version = 200").execute(&mut other).await.unwrap();
    // A copy of all three files, as a crash leaves them: the header still says ours.
    let crashed = tempfile::tempdir().unwrap();
    for name in [FILE_NAME, "doorward.sqlite-wal"] {
        fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    assert_eq!(i64::from(fs::read(file(&crashed)).unwrap()[63]), schema::VERSION);
    let error = Store::open(&file(&crashed)).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 200, .. }), "{error}");
    drop(store);
}

#[tokio::test]
async fn only_a_plain_private_file_of_ours_is_a_store() {
    let (folder, store) = fresh().await;
    close(store).await;
    let path = file(&folder);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert!(matches!(error, StoreError::Mode { mode: 0o640, .. }), "{error}");
    assert_eq!(error.hint(), format!("chmod 600 {}", path.display()));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

    let (second, log) = (folder.path().join("second name"), folder.path().join("doorward.sqlite-wal"));
    fs::hard_link(&path, &second).unwrap();
    assert!(matches!(Store::open(&path).await.unwrap_err(), StoreError::HardLink { .. }));
    fs::remove_file(&second).unwrap();
    fs::write(&second, b"precious").unwrap();
    symlink(&second, &log).unwrap();
    assert!(matches!(Store::open(&path).await.unwrap_err(), StoreError::NotAFile { path } if path == log));
    assert_eq!(fs::read(&second).unwrap(), b"precious");
    fs::remove_file(&log).unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    symlink(&path, file(&elsewhere)).unwrap();
    assert!(matches!(Store::open(&file(&elsewhere)).await.unwrap_err(), StoreError::NotAFile { .. }));
    fs::remove_file(file(&elsewhere)).unwrap();
    fs::create_dir(file(&elsewhere)).unwrap();
    assert!(matches!(Store::open(&file(&elsewhere)).await.unwrap_err(), StoreError::NotAFile { .. }));
    fs::remove_dir(file(&elsewhere)).unwrap();
    fs::write(elsewhere.path().join("doorward.sqlite-wal"), b"x").unwrap();
    assert!(matches!(Store::open(&file(&elsewhere)).await.unwrap_err(), StoreError::Orphan { .. }));
    let nowhere = Path::new("/proc/doorward/doorward.sqlite");
    assert!(matches!(Store::open(nowhere).await.unwrap_err(), StoreError::Create { .. }));
}

#[tokio::test]
async fn an_interrupted_first_start_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["doorward.sqlite.new", "doorward.sqlite.new-wal"] {
        fs::write(folder.path().join(name), b"half").unwrap();
    }
    let store = Store::open(&file(&folder)).await.unwrap();
    assert_eq!(store.devices_count().await.unwrap(), 0);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains(".new")), "{names:?}");
}

/// That a store with these bytes does not open, and that they are still there afterwards.
async fn refused(folder: &tempfile::TempDir, bytes: &[u8], why: &str) -> StoreError {
    fs::write(file(folder), bytes).unwrap();
    let judged = Store::judge(&file(folder)).await.unwrap_err();
    let error = Store::open(&file(folder)).await.err().unwrap_or_else(|| panic!("{why}: it was opened"));
    assert_eq!(judged.to_string(), error.to_string(), "{why}");
    assert!(error.to_string().contains("doorward.sqlite") && !error.hint().is_empty(), "{why}: {error}");
    assert_eq!(fs::read(file(folder)).unwrap(), bytes, "{why}: it was written to");
    error
}

async fn alter(folder: &tempfile::TempDir, sql: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(file(folder)).connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// The audit log, the newest entry first.
async fn audit(store: &Store) -> Vec<Value> {
    let mut entries = store.audit(&Filter { most: usize::MAX, ..Filter::default() }).await.unwrap();
    entries.reverse();
    entries
}
