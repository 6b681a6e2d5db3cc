//! Promise: an upgrade of the store that is cut off at any moment leaves the old schema or a newer one, never a mixture, and
//! the next start goes on; a copy of before is there as soon as anything was changed.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::support::gateway_client::Device;
use crate::support::instance::{Instance, OWNERS};
use crate::support::namespace::Namespace;

const OLD: &str = include_str!("../vectors/store-schema-1.sql");
/// Enough for a death to come in the middle.
const DEVICES: usize = 300;
const DEATHS: u64 = 12;

#[test]
fn an_upgrade_that_is_killed_goes_on_at_the_next_start_and_loses_no_device() {
    let host = Namespace::new();
    let old = tempfile::tempdir().unwrap();
    let old = old.path().join("old.sqlite");
    tokio::runtime::Runtime::new().unwrap().block_on(make(&old));
    let mut unfinished = 0;
    for death in 0..DEATHS {
        let mut doorward = Instance::stopped(&host, OWNERS);
        let state = doorward.folder().join("state");
        fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
        let store = state.join("doorward.sqlite");
        fs::copy(&old, &store).unwrap();
        fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).unwrap();
        doorward.start_and_kill(Duration::from_millis(20 + death * 25));
        // A change stands in the log first.
        let log = fs::metadata(state.join("doorward.sqlite-wal")).map_or(0, |log| log.len());
        let is_changed = log > 0 || fs::read(&store).unwrap() != fs::read(&old).unwrap();
        let copies = fs::read_dir(state.join("backups")).map_or(0, |copies| {
            copies
                .filter(|copy| copy.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "sqlite"))
                .count()
        });
        assert!(copies > 0 || !is_changed, "death {death}: changed, and no copy of before");
        unfinished += u64::from(!state.join("admin.sock").exists());
        doorward.restart();
        assert_eq!(doorward.paired().len(), DEVICES, "death {death}");
        assert_eq!(doorward.json(&["store", "check"])["whole"], true, "death {death}");
        assert_eq!(doorward.json(&["audit", "--limit", "1"])["entries"][0]["sequence"], DEVICES, "death {death}");
    }
    assert!(unfinished > 0, "every upgrade was over before its death");
}

async fn make(path: &Path) {
    let options =
        SqliteConnectOptions::new().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    let mut store = options.connect().await.unwrap();
    store.execute(OLD).await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    for number in 0..DEVICES {
        let device = Device::new();
        let (id, key) = (device.id(), device.public_key());
        sqlx::query(
            "INSERT INTO devices VALUES ($1, $2, '{\"clientId\":\"cli\",\"clientMode\":\"cli\",\"platform\":\"linux\"}', NULL,
             'owner', 1, 2, NULL)",
        )
        .bind(&id)
        .bind(key)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO grants VALUES ($1, 'operator', '[\"operator.read\"]', 1, NULL, NULL, NULL, NULL, NULL)",
        )
        .bind(&id)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query("INSERT INTO audit VALUES ($1, 2, 'device.pair.approve', 'owner', NULL, 'device.put', $2, NULL, NULL, NULL)")
            .bind(i64::try_from(number).unwrap() + 1)
            .bind(&id)
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    store.close().await.unwrap();
}
