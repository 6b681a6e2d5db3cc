//! Whole copies of the store: made beside their name, read back, and only then given it. Private as the store itself.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use sqlx::SqliteConnection;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::base::clock::Clock;
use crate::base::clock::UnixMillis;
use crate::base::limits::BACKUPS_BEFORE_UPGRADE_MAX;
use crate::base::limits::BACKUPS_PER_SECOND_MAX;
use crate::base::private_file;
use crate::store::error::StoreError;
use crate::store::file;
use crate::store::migration::Migrations;
use crate::store::whole::End;

/// The folder of the backups, beside the store.
const FOLDER: &str = "backups";
/// What the name of a backup ends with that an upgrade to some schema made.
const BEFORE_UPGRADE: &str = "-before-schema-";
/// What the name of a store ends with that a restore replaced: it may be damaged.
const SET_ASIDE: &str = "-before-restore";

/// Copies the store at `path`, as `connection` sees it, before it goes through `migrations`; the oldest of such copies go.
pub(super) async fn before_upgrade(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: Migrations<'_>,
) -> Result<PathBuf, StoreError> {
    let folder = folder(path)?;
    let backup = unused(&folder, &format!("{BEFORE_UPGRADE}{}", migrations.len()), Clock::system().now());
    make(connection, &backup, migrations).await?;
    prune(&folder).map_err(|cause| fault(&folder, cause))?;
    Ok(backup)
}

/// Copies what `connection` sees to `backup`, which must not be there yet: durable and verified when this returns.
/// It may lack some of `migrations`.
pub(super) async fn make(
    connection: &mut SqliteConnection,
    backup: &Path,
    migrations: Migrations<'_>,
) -> Result<(), StoreError> {
    let fresh = file::beside(backup, ".new");
    let made = write(connection, &fresh, backup, migrations).await;
    if made.is_err() {
        // It was never a backup; if it cannot be removed, its name says what it is.
        let _ = fs::remove_file(&fresh);
    }
    made
}

async fn write(
    connection: &mut SqliteConnection,
    fresh: &Path,
    backup: &Path,
    migrations: Migrations<'_>,
) -> Result<(), StoreError> {
    let failed = |cause: io::Error| fault(backup, cause);
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // Made here, for its mode; SQLite fills a file that is there only if it is empty.
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh).map_err(failed)?;
    let name = fresh.to_str().ok_or_else(|| fault(backup, "its name is not text"))?;
    sqlx::query("VACUUM INTO $1").bind(name).execute(connection).await.map_err(|error| fault(backup, error))?;
    fs::File::open(fresh).and_then(|file| file.sync_all()).map_err(failed)?;
    file::check(fresh, migrations, End::Own).await.map_err(|error| fault(backup, error))?;
    private_file::name(fresh, backup).map_err(|error| fault(backup, error))
}

/// The folder of the backups of the store at `path`, made if need be.
fn folder(path: &Path) -> Result<PathBuf, StoreError> {
    let folder = path.with_file_name(FOLDER);
    private_file::ensure_folder(&folder).map_err(|error| fault(&folder, error))?;
    Ok(folder)
}

/// A new name among the backups of the store at `path`.
pub(super) fn fresh_name(path: &Path, now: UnixMillis) -> Result<PathBuf, StoreError> {
    Ok(unused(&folder(path)?, "", now))
}

/// Moves the store at `path` among its backups, whole or not, with the files that SQLite keeps beside it.
pub(super) fn set_aside(path: &Path, now: UnixMillis) -> Result<(), StoreError> {
    let aside = unused(&folder(path)?, SET_ASIDE, now);
    for ending in ["-wal", "-shm", "-journal", ""] {
        match fs::rename(file::beside(path, ending), file::beside(&aside, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fault(&aside, error)),
            _ => {}
        }
    }
    Ok(())
}

/// The newest copy that is there of the store at `path`.
pub(super) fn newest(path: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(path.with_file_name(FOLDER)).ok()?;
    let copies = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_copy = |name: &str| name.ends_with(".sqlite") && !name.contains(SET_ASIDE);
    copies.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_copy)).max()
}

/// A name that says when, and is not taken.
fn unused(folder: &Path, ending: &str, now: UnixMillis) -> PathBuf {
    let nth = |number: usize| {
        let number = if number == 0 { String::new() } else { format!(".{number}") };
        folder.join(format!("doorward-{}{number}{ending}.sqlite", stamp(now)))
    };
    // Where all are taken, making it fails and says so.
    (0..BACKUPS_PER_SECOND_MAX).map(nth).find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| nth(0))
}

/// `20261121T172247Z`: sorted by name is sorted by time.
fn stamp(now: UnixMillis) -> String {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let at = OffsetDateTime::from_unix_timestamp(now.0.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(format).unwrap_or_default()
}

/// Removes the oldest copies that upgrades made, beyond as many as are kept.
fn prune(folder: &Path) -> io::Result<()> {
    let mut made = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("doorward-") && name.contains(BEFORE_UPGRADE) && name.ends_with(".sqlite") {
            made.push(path);
        }
    }
    made.sort();
    let surplus = made.len().saturating_sub(BACKUPS_BEFORE_UPGRADE_MAX);
    made.iter().take(surplus).try_for_each(fs::remove_file)
}

fn fault(path: &Path, cause: impl ToString) -> StoreError {
    StoreError::Backup { path: path.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_copies_of_upgrades_go_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let name = |day: usize| format!("doorward-202611{day:02}T000000Z-before-schema-2.sqlite");
        let others = ["doorward-20200101T000000Z.sqlite", "notes", "doorward-20200101T000000Z-before-schema-2.txt"];
        others.iter().for_each(|other| fs::write(folder.path().join(other), "").unwrap());
        (1..=BACKUPS_BEFORE_UPGRADE_MAX + 3).for_each(|day| fs::write(folder.path().join(name(day)), "").unwrap());
        prune(folder.path()).unwrap();
        let left: Vec<_> = (1..20).filter(|day| folder.path().join(name(*day)).exists()).collect();
        assert_eq!(left, (4..=BACKUPS_BEFORE_UPGRADE_MAX + 3).collect::<Vec<_>>());
        assert!(others.iter().all(|other| folder.path().join(other).exists()));
    }

    #[test]
    fn two_copies_of_one_second_have_two_names() {
        let (folder, now) = (tempfile::tempdir().unwrap(), UnixMillis(1_793_491_200_999));
        let first = unused(folder.path(), "", now);
        assert!(first.ends_with("doorward-20261101T000000Z.sqlite"), "{}", first.display());
        fs::write(&first, "").unwrap();
        assert!(unused(folder.path(), "", now).ends_with("doorward-20261101T000000Z.1.sqlite"));
        assert_eq!(stamp(UnixMillis(i64::MAX)), "19700101T000000Z");
    }
}
