//! An upgrade interrupted anywhere: the store is of one schema or the next, and the copy of before is whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;
use crate::store::FILE_NAME;
use crate::store::Store;
use crate::store::file;
use crate::store::schema;
use crate::store::whole::End;

/// As if a later version brought two more, the second of which has two statements.
const ONE: &[&str] = &["CREATE TABLE later (word TEXT NOT NULL)"];
const TWO: &[&str] = &["INSERT INTO later VALUES ('kept')", "CREATE INDEX later_by_word ON later (word)"];
/// Its second statement fails.
const BROKEN: &[&str] = &["INSERT INTO later VALUES ('half')", "CREATE TABLE later (word TEXT)"];

#[tokio::test]
async fn an_upgrade_copies_the_store_first_and_the_copy_is_private_whole_and_of_before() {
    let (_folder, path, mut connection) = store().await;
    run(&mut connection, &path, &with(&[ONE, TWO])).await.unwrap();
    assert_eq!(version(&mut connection).await, schema::VERSION + 2);
    let backups = backups(&path);
    let [backup] = backups.as_slice() else { panic!("{backups:?}") };
    let ending = format!("-before-schema-{}.sqlite", schema::VERSION + 2);
    assert!(backup.to_str().unwrap().ends_with(&ending), "{}", backup.display());
    assert_eq!(fs::metadata(backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(backup.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let mut copy = SqliteConnectOptions::new().filename(backup).read_only(true).connect().await.unwrap();
    assert_eq!(version(&mut copy).await, schema::VERSION);
    assert!(!has_later(&mut copy).await);
    // It is a store like any other, but for the end of its audit log, which is its own.
    file::check(backup, schema::MIGRATIONS, End::Own).await.unwrap();
    // Nothing is left to do, so nothing is copied again.
    run(&mut connection, &path, &with(&[ONE, TWO])).await.unwrap();
    assert_eq!(self::backups(&path).len(), 1);
}

#[tokio::test]
async fn a_step_that_fails_halfway_leaves_the_schema_before_it_and_the_next_start_goes_on() {
    let (_folder, path, mut connection) = store().await;
    let error = run(&mut connection, &path, &with(&[ONE, BROKEN])).await.unwrap_err();
    assert!(matches!(error, StoreError::Write(_)), "{error}");
    assert_eq!(version(&mut connection).await, schema::VERSION + 1);
    assert_eq!(words(&mut connection).await, Vec::<String>::new());
    run(&mut connection, &path, &with(&[ONE, TWO])).await.unwrap();
    assert_eq!(version(&mut connection).await, schema::VERSION + 2);
    assert_eq!(words(&mut connection).await, ["kept"]);
}

#[tokio::test]
async fn without_a_copy_nothing_is_upgraded() {
    let (folder, path, mut connection) = store().await;
    fs::write(folder.path().join("backups"), "a file in the way").unwrap();
    let error = run(&mut connection, &path, &with(&[ONE])).await.unwrap_err();
    assert!(matches!(&error, StoreError::Backup { .. }), "{error}");
    assert!(error.hint().contains("backups"), "{}", error.hint());
    assert_eq!(version(&mut connection).await, schema::VERSION);
    assert!(!has_later(&mut connection).await);
}

#[tokio::test]
async fn a_new_store_needs_no_copy() {
    let (folder, path, connection) = store().await;
    drop(connection);
    assert_eq!(backups(&path), Vec::<PathBuf>::new());
    assert!(!folder.path().join("backups").exists());
}

async fn store() -> (tempfile::TempDir, PathBuf, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    drop(Store::open(&path).await.unwrap());
    let connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    (folder, path, connection)
}

fn with(more: &[&'static [&'static str]]) -> Vec<&'static [&'static str]> {
    schema::MIGRATIONS.iter().chain(more).copied().collect()
}

async fn version(connection: &mut SqliteConnection) -> i64 {
    whole::pragma(connection, "PRAGMA user_version").await.unwrap()
}

async fn has_later(connection: &mut SqliteConnection) -> bool {
    let found = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM sqlite_master WHERE name = 'later'");
    found.fetch_one(connection).await.unwrap() == 1
}

async fn words(connection: &mut SqliteConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT word FROM later").fetch_all(connection).await.unwrap()
}

fn backups(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path.with_file_name("backups")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}
