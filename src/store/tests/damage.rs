//! No bit of the file can change, and no part of it be cut away, without being noticed or without meaning nothing.

use std::fs;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnectOptions;

use super::super::testing::*;
use super::super::*;

/// Bits that are flipped, one after the other; `tests/bench/faults` takes 10,000.
fn rounds() -> usize {
    std::env::var("DOORWARD_DAMAGE_ROUNDS").map_or(400, |rounds| rounds.parse().unwrap())
}

#[tokio::test]
async fn no_flipped_bit_and_no_cut_is_taken_for_what_was_written() {
    let (folder, store) = filled().await;
    let before = content(&store).await.unwrap();
    close(store).await;
    let whole = fs::read(file(&folder)).unwrap();
    let (mut noticed, mut seed) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    for round in 0..rounds() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let place = usize::try_from(seed >> 16).unwrap() % (whole.len() * 8);
        let mut damaged = whole.clone();
        match round % 8 {
            0 => damaged.truncate(place / 8),
            _ => damaged[place / 8] ^= 1 << (place % 8),
        }
        noticed += usize::from(is_noticed(&folder, &damaged, &before, round).await);
    }
    assert!(noticed * 8 > rounds(), "only {noticed} of {} were noticed: is the store read at all?", rounds());
}

/// That a store with these bytes is refused and left alone, or says what it always said.
async fn is_noticed(folder: &tempfile::TempDir, bytes: &[u8], before: &Content, round: usize) -> bool {
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("{FILE_NAME}{ending}")));
    }
    fs::write(file(folder), bytes).unwrap();
    let store = match Store::open(&file(folder)).await {
        Err(_) => {
            assert_eq!(fs::read(file(folder)).unwrap(), bytes, "round {round}: it was refused, and written to");
            return true;
        }
        Ok(store) => store,
    };
    let after = content(&store).await;
    close(store).await;
    match after {
        Err(_) => true,
        Ok(after) => {
            assert!(after == *before, "round {round}: altered content was taken: {after:#?}");
            false
        }
    }
}

#[tokio::test]
async fn a_row_that_somebody_edits_adds_or_removes_is_noticed_at_the_next_start() {
    for sql in [
        "UPDATE devices SET label = 'attic'",
        "UPDATE devices SET last_seen_at = 7",
        "UPDATE grants SET revoked_at = NULL",
        "UPDATE grants SET scopes = '[\"operator.admin\"]'",
        "UPDATE grants SET token_hash = NULL, token_created_at = NULL",
        "DELETE FROM grants WHERE role = 'node'",
        "DELETE FROM grants; DELETE FROM devices",
        "DELETE FROM devices WHERE rowid = 1",
        "INSERT INTO grants (device_id, role, scopes, created_at) SELECT device_id, 'visitor', '[]', 1 FROM devices LIMIT 1",
        "INSERT INTO grants (device_id, role, scopes, created_at) VALUES ('nobody', 'operator', '[]', 1)",
        "UPDATE requests SET scopes = '[]'",
        "UPDATE requests SET refreshed_uptime = refreshed_uptime + 1000",
        "DELETE FROM requests",
        "UPDATE invites SET scopes = '[\"operator.admin\"]'",
        "UPDATE invites SET device_id = NULL, redeemed_at = 1",
        "UPDATE invites SET made_uptime = made_uptime + 1000",
        "UPDATE invites SET life = life * 2",
        "DELETE FROM invites",
        "UPDATE seals SET number = number + 1",
        "DELETE FROM seals",
        "DROP INDEX requests_by_device",
        "CREATE TRIGGER t AFTER INSERT ON requests BEGIN DELETE FROM devices; END",
    ] {
        let (folder, store) = filled().await;
        close(store).await;
        let options = SqliteConnectOptions::new().filename(file(&folder)).foreign_keys(false);
        let mut other = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        let bytes = fs::read(file(&folder)).unwrap();
        let Err(error) = Store::open(&file(&folder)).await else { panic!("{sql}: it was opened") };
        assert!(matches!(error, StoreError::Altered { .. } | StoreError::Corrupt { .. }), "{sql}: {error}");
        assert!(error.to_string().ends_with(&file(&folder).display().to_string()), "{sql}: {error}");
        assert_eq!(fs::read(file(&folder)).unwrap(), bytes, "{sql}");
    }
}

#[tokio::test]
async fn a_record_that_is_altered_under_a_running_store_is_nobody_and_nothing_seals_it() {
    let (folder, store) = filled().await;
    let mut other = SqliteConnectOptions::new().filename(file(&folder)).connect().await.unwrap();
    let sql = "UPDATE grants SET scopes = '[\"operator.admin\"]' WHERE device_id = $1";
    sqlx::query(sql).bind(known_id(1).to_string()).execute(&mut other).await.unwrap();
    let refused = |error: StoreError| {
        assert!(matches!(&error, StoreError::Altered { table: "devices", row, .. } if *row == known_id(1).to_string()));
        assert!(error.to_string().contains(&known_id(1).to_string()), "{error}");
    };
    refused(store.known_device(&known_id(1)).await.unwrap_err());
    refused(store.devices().await.unwrap_err());
    // Its neighbour is served, and a sight of both leaves what is wrong as it is.
    assert!(store.known_device(&known_id(2)).await.unwrap().device.is_some());
    for seed in [1, 2] {
        let seen = Change::Seen { device: known_id(seed), role: Role::Operator, at: NOW.plus(9) };
        store.commit(&[seen], &act("connect")).await.unwrap();
    }
    store.flush(&act("seen")).await.unwrap();
    refused(store.known_device(&known_id(1)).await.unwrap_err());
    let neighbour = store.known_device(&known_id(2)).await.unwrap().device.unwrap();
    assert_eq!(neighbour.last_seen_at, Some(NOW.plus(9)));
}

#[tokio::test]
async fn the_way_back_names_the_newest_backup() {
    let (folder, store) = filled().await;
    close(store).await;
    let backups = folder.path().join("backups");
    fs::create_dir(&backups).unwrap();
    let hint = |text: &str| {
        let error = StoreError::Empty { path: file(&folder) };
        assert!(error.hint().contains(text), "{}", error.hint());
    };
    hint("pair every device again");
    for day in [21, 22] {
        fs::write(backups.join(format!("doorward-202611{day}T000000Z.sqlite")), "").unwrap();
    }
    hint("doorward-20261122T000000Z.sqlite");
}

type Content = (Vec<PairedDevice>, Vec<PendingRequest>, Option<Invite>, Vec<Value>);

async fn content(store: &Store) -> Result<Content, StoreError> {
    let all = Filter { most: usize::MAX, ..Filter::default() };
    Ok((store.devices().await?, store.requests().await?, store.invite().await?, store.audit(&all).await?))
}

async fn filled() -> (tempfile::TempDir, Store) {
    let (folder, store) = fresh().await;
    store.commit(&[super::invites::an_open_one()], &act("test")).await.unwrap();
    for seed in 1..=3 {
        store.commit(&[put(&device(seed))], &act("test")).await.unwrap();
        store.commit(&[Change::PutRequest(Box::new(request(seed + 3)))], &act("test")).await.unwrap();
    }
    (folder, store)
}
