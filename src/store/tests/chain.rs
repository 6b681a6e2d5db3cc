//! The audit log tells of everything that changed who may enter, and nobody takes anything out of it unnoticed.

use std::fs;

use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnectOptions;

use super::super::testing::*;
use super::super::*;
use crate::store::head::path_of;

#[tokio::test]
async fn an_entry_that_is_edited_removed_moved_or_added_is_found() {
    for sql in [
        "UPDATE audit_log SET entry = replace(entry, 'owner', 'nobody') WHERE sequence = 3",
        "UPDATE audit_log SET hash = (SELECT hash FROM audit_log WHERE sequence = 2) WHERE sequence = 3",
        "UPDATE audit_log SET at = at + 1 WHERE sequence = 3",
        "UPDATE audit_log SET act = 'connect' WHERE sequence = 3",
        "UPDATE audit_log SET device_id = NULL WHERE sequence = 3",
        "DELETE FROM audit_log WHERE sequence = 3",
        "DELETE FROM audit_log WHERE sequence = 1",
        "DELETE FROM audit_log WHERE sequence <= 3;
         INSERT INTO seals SELECT 'audit_log', 3, json_extract(entry, '$.previous') FROM audit_log WHERE sequence = 4",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE sequence = 5",
        "UPDATE audit_log SET sequence = 60 WHERE sequence = 2; UPDATE audit_log SET sequence = 2 WHERE sequence = 3;
         UPDATE audit_log SET sequence = 3 WHERE sequence = 60",
        "INSERT INTO audit_log SELECT 6, at, act, device_id, entry, hash FROM audit_log WHERE sequence = 5",
    ] {
        let (folder, store) = with_entries(5).await;
        assert_eq!(store.verify_audit().await.unwrap(), 5);
        let mut other = SqliteConnectOptions::new().filename(file(&folder)).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        let error = store.verify_audit().await.unwrap_err();
        let found = matches!(error, StoreError::Altered { table: "audit_log", .. } | StoreError::Behind { .. });
        assert!(found && !error.hint().is_empty(), "{sql}: {error}");
        close(store).await;
        other.close().await.unwrap();
        assert!(Store::open(&file(&folder)).await.is_err(), "{sql}: it was opened");
    }
}

#[tokio::test]
async fn an_older_copy_in_the_place_of_the_store_is_refused() {
    let (folder, store) = with_entries(3).await;
    close(store).await;
    let older = fs::read(file(&folder)).unwrap();
    let store = Store::open(&file(&folder)).await.unwrap();
    store.commit(&[Change::DropDevice(known_id(1))], &act("device.pair.remove")).await.unwrap();
    close(store).await;
    fs::write(file(&folder), &older).unwrap();
    let error = Store::open(&file(&folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::Behind { found: 3, known: 4, .. }), "{error}");
    assert_eq!(fs::read(file(&folder)).unwrap(), older);
}

#[tokio::test]
async fn a_write_ahead_log_that_lost_its_end_is_noticed() {
    let (folder, store) = with_entries(1).await;
    let log = folder.path().join("doorward.sqlite-wal");
    let before = fs::metadata(&log).unwrap().len();
    store.commit(&[Change::DropDevice(known_id(1))], &act("device.pair.remove")).await.unwrap();
    // As a crash leaves them: what was committed last stands in the log alone.
    let crashed = |cut: Option<usize>| {
        let crashed = tempfile::tempdir().unwrap();
        for name in [FILE_NAME, "doorward.sqlite-wal", "doorward.head"] {
            fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
        }
        if let Some(at) = cut {
            let log = crashed.path().join("doorward.sqlite-wal");
            let mut bytes = fs::read(&log).unwrap();
            bytes[at] ^= 1;
            fs::write(&log, bytes).unwrap();
        }
        crashed
    };
    let whole = crashed(None);
    assert_eq!(Store::open(&file(&whole)).await.unwrap().devices_count().await.unwrap(), 0);
    // SQLite drops a frame whose checksum is wrong, with all that follow, and says nothing.
    let damaged = crashed(Some(usize::try_from(before).unwrap() + 100));
    let error = Store::open(&file(&damaged)).await.unwrap_err();
    assert!(matches!(error, StoreError::Behind { found: 1, known: 2, .. }), "{error}");
}

#[tokio::test]
async fn what_keeps_the_end_must_be_there_and_readable_and_one_torn_slot_is_no_fault() {
    let (folder, store) = with_entries(3).await;
    close(store).await;
    let head = path_of(&file(&folder));
    let whole = fs::read(&head).unwrap();
    assert_eq!(whole.len(), 1_024);
    for slot in [0, 512] {
        let mut torn = whole.clone();
        torn[slot + 20..slot + 60].fill(b'x');
        fs::write(&head, &torn).unwrap();
        let opened = Store::open(&file(&folder)).await;
        close(opened.unwrap_or_else(|error| panic!("slot {slot}: {error}"))).await;
        fs::write(&head, &whole).unwrap();
    }
    fs::write(&head, vec![b'x'; 1_024]).unwrap();
    assert!(matches!(Store::open(&file(&folder)).await.unwrap_err(), StoreError::Head(_)));
    fs::remove_file(&head).unwrap();
    let error = Store::open(&file(&folder)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Headless { path } if *path == head), "{error}");
    // And a store that is gone is not begun anew by itself.
    fs::write(&head, &whole).unwrap();
    fs::set_permissions(&head, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::remove_file(file(&folder)).unwrap();
    let error = Store::open(&file(&folder)).await.unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
    assert!(error.hint().contains("doorward.head") && !file(&folder).exists(), "{}", error.hint());
}

#[tokio::test]
async fn a_long_log_loses_its_oldest_entries_and_stays_one_chain() {
    let (folder, store) = with_entries(12).await;
    let mut connection = store.connection.lock().await;
    assert_eq!(audit::shorten(&mut connection, 12, 4, NOW).await.unwrap(), None);
    let end = audit::shorten(&mut connection, 11, 4, NOW).await.unwrap();
    drop(connection);
    store.ends_with(end);
    assert_eq!(store.verify_audit().await.unwrap(), 9);
    let entries = all(&store).await;
    assert_eq!((&entries[0]["sequence"], &entries[8]["change"]), (&json!(5), &json!("audit.dropped")));
    store.record(&act("test"), Line { change: "more", ..Line::default() }).await.unwrap();
    close(store).await;
    let store = Store::open(&file(&folder)).await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap(), 10);
    // Who takes more away cannot say so.
    sqlx::raw_sql(
        "DELETE FROM audit_log WHERE sequence = 5;
         UPDATE seals SET number = 5, total = (SELECT json_extract(entry, '$.previous') FROM audit_log WHERE sequence = 6)
         WHERE name = 'audit_log'",
    )
    .execute(&mut *store.connection.lock().await)
    .await
    .unwrap();
    assert!(store.verify_audit().await.is_err());
}

#[tokio::test]
async fn entries_are_found_by_time_device_and_word() {
    let (_folder, store) = fresh().await;
    for (seed, name, at) in [(1, "connect", 0), (2, "device.pair.approve", 10), (1, "device.token.revoke", 20)] {
        store.commit(&[put(&device(seed))], &Act { at: NOW.plus(at), ..act(name) }).await.unwrap();
    }
    let found = async |filter: Filter| {
        let entries = store.audit(&filter).await.unwrap();
        entries.iter().map(|entry| entry["sequence"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let any = || Filter { most: 10, ..Filter::default() };
    assert_eq!(found(any()).await, [1, 2, 3]);
    assert_eq!(found(Filter { most: 2, ..any() }).await, [2, 3]);
    assert_eq!(found(Filter { since: Some(NOW.plus(10)), ..any() }).await, [2, 3]);
    let device = Some(known_id(1).to_string().split_at(8).0.to_owned());
    assert_eq!(found(Filter { device, ..any() }).await, [1, 3]);
    assert_eq!(found(Filter { action: Some("approve".to_owned()), ..any() }).await, [2]);
}

#[tokio::test]
async fn a_store_of_the_first_schema_keeps_all_it_holds() {
    let (folder, store) = fresh().await;
    close(store).await;
    // Made anew, as the first version made it.
    for name in [FILE_NAME, "doorward.head"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let mut old = SqliteConnectOptions::new().filename(file(&folder)).create_if_missing(true).connect().await.unwrap();
    sqlx::query(schema::SET_APPLICATION_ID).execute(&mut old).await.unwrap();
    migration::steps(&mut old, &schema::MIGRATIONS[..1]).await.unwrap();
    let key = key(1);
    let rows = format!(
        r#"INSERT INTO devices VALUES ('{0}', '{1}', '{{"clientId":"cli","clientMode":"cli","platform":"linux"}}', NULL,
             'owner', 1, 2, 3);
           INSERT INTO grants VALUES ('{0}', 'operator', '["operator.read"]', 1, NULL, NULL, NULL, NULL, NULL);
           INSERT INTO audit VALUES (1, 5, 'connect', 'client:10.0.0.1', 'c1', 'request.put', '{0}', 'r', 'd', '{{"a":1}}');
           INSERT INTO audit VALUES (2, 6, 'device.pair.approve', 'owner', NULL, 'device.put', '{0}', NULL, NULL, NULL)"#,
        key.id(),
        key
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    fs::set_permissions(file(&folder), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let store = Store::open(&file(&folder)).await.unwrap();
    assert_eq!(store.devices().await.unwrap()[0].id(), key.id());
    assert_eq!(store.verify_audit().await.unwrap(), 2);
    let entries = all(&store).await;
    assert_eq!((&entries[0]["actor"], &entries[0]["detail"]), (&json!("client:10.0.0.1"), &json!({"a": 1})));
    assert_eq!(fs::read_dir(folder.path().join("backups")).unwrap().count(), 1);
    close(store).await;
    Store::judge(&file(&folder)).await.unwrap();
}

async fn all(store: &Store) -> Vec<Value> {
    store.audit(&Filter { most: usize::MAX, ..Filter::default() }).await.unwrap()
}

async fn with_entries(number: i64) -> (tempfile::TempDir, Store) {
    let (folder, store) = fresh().await;
    store.commit(&[put(&device(1))], &act("device.pair.approve")).await.unwrap();
    for entry in 1..number {
        let line = Line { change: "test", device: Some(known_id(1)), detail: json!(entry), ..Line::default() };
        store.record(&act("device.pair.approve"), line).await.unwrap();
    }
    (folder, store)
}
