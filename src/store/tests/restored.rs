//! A restore brings back what was lost, and nothing that was taken back.

use std::fs;

use super::super::testing::*;
use super::super::*;
use crate::protocol::scope::Scopes;

#[tokio::test]
async fn a_backup_comes_back_whole_without_what_was_taken_back_since() {
    let (folder, store) = fresh().await;
    for seed in 1..=6 {
        store.commit(&[put(&device(seed))], &act("device.pair.approve")).await.unwrap();
    }
    store.commit(&[Change::PutRequest(Box::new(request(9)))], &act("connect")).await.unwrap();
    let backup = store.backup(None).await.unwrap();
    // Since: one removed, one revoked, one narrowed, one with another token, one that was only seen, one that is new.
    store.commit(&[Change::DropDevice(known_id(1))], &act("device.pair.remove")).await.unwrap();
    for (seed, change) in [(2, Since::Revoked), (3, Since::Narrowed), (4, Since::Rotated), (5, Since::Renamed)] {
        store.commit(&[put(&changed(seed, change))], &act("device.token.revoke")).await.unwrap();
    }
    store.commit(&[put(&device(7))], &act("device.pair.approve")).await.unwrap();
    let ended = all(&store).await.last().unwrap()["sequence"].as_i64().unwrap();
    close(store).await;

    let (path, clock) = (file(&folder), Clock::system());
    let before = fs::read(&path).unwrap();
    let plan = Store::plan_restore(&path, &backup, &clock).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), before, "a plan changed something");
    assert!(!folder.path().join("doorward.sqlite.restored").exists());
    let ids = |seeds: &[u8]| {
        let mut ids: Vec<_> = seeds.iter().map(|seed| known_id(*seed).to_string()).collect();
        ids.sort();
        ids
    };
    assert_eq!((plan.backup_ends, sorted(&plan.paired)), (7, ids(&[5, 6])));
    assert_eq!(sorted(&plan.stay_out), ids(&[1, 2, 3, 4]));
    assert_eq!((plan.come_back.clone(), plan.get_lost.as_deref().map(sorted)), (Some(vec![]), Some(ids(&[3, 4, 7]))));
    assert_eq!(Store::restore(&path, &backup, &clock).await.unwrap(), plan);

    let store = Store::open(&path).await.unwrap();
    let living: Vec<_> =
        store.devices().await.unwrap().into_iter().filter(|device| !device.living_roles().is_empty()).collect();
    assert_eq!(sorted(&living.iter().map(|device| device.id().to_string()).collect::<Vec<_>>()), ids(&[5, 6]));
    assert_eq!(store.requests().await.unwrap(), [], "what waited then waits no more");
    // The log goes on above every number that was given out, and says what happened.
    let entries = all(&store).await;
    let restored = entries.iter().find(|entry| entry["change"] == "store.restored").unwrap();
    assert_eq!(restored["sequence"].as_i64(), Some(ended + 1));
    assert_eq!(restored["detail"]["through"], 7);
    store.verify_audit().await.unwrap();
    // What is approved anew after a restore stays so over the next one.
    store.commit(&[put(&device(1))], &act("device.pair.approve")).await.unwrap();
    let second = store.backup(None).await.unwrap();
    close(store).await;
    let plan = Store::restore(&path, &second, &clock).await.unwrap();
    assert_eq!(sorted(&plan.paired), sorted(&[ids(&[5, 6]), ids(&[1])].concat()).as_slice());
    // And the first backup still gives back nothing of what was taken.
    let plan = Store::plan_restore(&path, &backup, &clock).await.unwrap();
    assert_eq!((sorted(&plan.paired), sorted(&plan.stay_out)), (ids(&[5, 6]), ids(&[1, 2, 3, 4])));
}

#[tokio::test]
async fn a_damaged_or_lost_store_is_replaced_and_kept() {
    let (folder, store) = fresh().await;
    store.commit(&[put(&device(1)), put(&device(2))], &act("device.pair.approve")).await.unwrap();
    let backup = store.backup(Some(&folder.path().join("copy.sqlite"))).await.unwrap();
    store.commit(&[Change::DropDevice(known_id(2))], &act("device.pair.remove")).await.unwrap();
    close(store).await;
    let (path, clock) = (file(&folder), Clock::system());
    fs::write(&path, "garbage").unwrap();
    let plan = Store::restore(&path, &backup, &clock).await.unwrap();
    assert_eq!((plan.paired, plan.come_back), (vec![known_id(1).to_string()], None));
    close(Store::open(&path).await.unwrap()).await;
    let aside = fs::read_dir(folder.path().join("backups")).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_str().unwrap().ends_with("-before-restore.sqlite")).collect();
    assert_eq!(fs::read(&aside[0]).unwrap(), b"garbage");
    fs::remove_file(&path).unwrap();
    Store::restore(&path, &backup, &clock).await.unwrap();
    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.devices_count().await.unwrap(), 1);
}

#[tokio::test]
async fn only_a_whole_private_backup_is_put_in_the_place_of_the_store() {
    let (folder, store) = fresh().await;
    store.commit(&[put(&device(1))], &act("device.pair.approve")).await.unwrap();
    let backup = store.backup(None).await.unwrap();
    assert!(matches!(store.backup(Some(&backup)).await.unwrap_err(), StoreError::Backup { .. }), "it was written over");
    close(store).await;
    let (path, clock) = (file(&folder), Clock::system());
    let (before, good) = (fs::read(&path).unwrap(), fs::read(&backup).unwrap());
    let refused = async |what: &str| {
        let error = Store::restore(&path, &backup, &clock).await.expect_err(what);
        assert_eq!(fs::read(&path).unwrap(), before, "{what}");
        error
    };
    fs::write(&backup, &good[..good.len() - 4_096]).unwrap();
    refused("cut").await;
    fs::write(&backup, &good).unwrap();
    fs::write(backup.with_extension("sqlite-wal"), "log").unwrap();
    assert!(matches!(refused("a log beside it").await, StoreError::InUse { .. }));
    fs::remove_file(backup.with_extension("sqlite-wal")).unwrap();
    fs::set_permissions(&backup, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(refused("open to others").await, StoreError::Mode { .. }));
    fs::remove_file(&backup).unwrap();
    assert!(matches!(refused("nothing there").await, StoreError::Read { .. }));
}

#[tokio::test]
async fn no_backup_of_before_gives_back_what_nobody_remembers() {
    for damaged in [None, Some("garbage")] {
        let (folder, store) = fresh().await;
        store.commit(&[put(&device(1)), put(&device(2))], &act("device.pair.approve")).await.unwrap();
        let before = store.backup(Some(&folder.path().join("before.sqlite"))).await.unwrap();
        store.commit(&[Change::DropDevice(known_id(2))], &act("device.pair.remove")).await.unwrap();
        let after = store.backup(Some(&folder.path().join("after.sqlite"))).await.unwrap();
        close(store).await;
        fs::remove_file(folder.path().join("doorward.revoked")).unwrap();
        if let Some(bytes) = damaged {
            fs::write(file(&folder), bytes).unwrap();
        }
        let plan = Store::restore(&file(&folder), &before, &Clock::system()).await.unwrap();
        assert_eq!(sorted(&plan.stay_out), sorted(&[1, 2].map(|seed| known_id(seed).to_string())), "{damaged:?}");
        let store = Store::open(&file(&folder)).await.unwrap();
        assert_eq!(store.past(&known_id(2)).await.unwrap(), Past::Removed, "{damaged:?}: it is still not known");
        close(store).await;
        // To a machine of which nothing is left, a backup comes as it is.
        let fresh = tempfile::tempdir().unwrap();
        let plan = Store::restore(&file(&fresh), &after, &Clock::system()).await.unwrap();
        assert_eq!(plan.paired, [known_id(1).to_string()], "{damaged:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_kept_as_taken_back_is_not_taken_back() {
    let (folder, store) = fresh().await;
    store.commit(&[put(&device(1))], &act("device.pair.approve")).await.unwrap();
    fs::remove_file(folder.path().join("doorward.revoked")).unwrap();
    fs::create_dir(folder.path().join("doorward.revoked")).unwrap();
    let error = store.commit(&[Change::DropDevice(known_id(1))], &act("device.pair.remove")).await.unwrap_err();
    assert!(matches!(error, StoreError::Revoked(_)), "{error}");
    assert_eq!(store.devices_count().await.unwrap(), 1);
    fs::remove_dir(folder.path().join("doorward.revoked")).unwrap();
    store.commit(&[Change::DropDevice(known_id(1))], &act("device.pair.remove")).await.unwrap();
}

enum Since {
    Narrowed,
    Renamed,
    Revoked,
    Rotated,
}

fn changed(seed: u8, since: Since) -> PairedDevice {
    let mut device = device(seed);
    let grant = device.grants.get_mut(&Role::Operator).unwrap();
    match since {
        Since::Narrowed => grant.scopes = Scopes::NONE,
        Since::Renamed => device.label = Some("attic".to_owned()),
        Since::Revoked => (grant.token, grant.revoked_at) = (None, Some(NOW)),
        Since::Rotated => grant.token = None,
    }
    device
}

async fn all(store: &Store) -> Vec<Value> {
    store.audit(&Filter { most: usize::MAX, ..Filter::default() }).await.unwrap()
}

fn sorted(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort();
    ids
}
