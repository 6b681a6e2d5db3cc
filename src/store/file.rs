//! Opening the file, or making it, so that no fault in between ever looks like an empty store.
//!
//! A new store is built whole under another name and then renamed into place: a file of our name is
//! therefore always a whole store, and one that is not stops the start.

use std::fs;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqliteSynchronous;

use crate::base::limits::STORE_BUSY_WAIT;
use crate::base::limits::STORE_LOG_BYTES_KEPT;
use crate::base::private_file;
use crate::base::private_file::Fault;
use crate::base::private_file::PrivateFileError;
use crate::store::audit;
use crate::store::error::StoreError;
use crate::store::head;
use crate::store::head::Head;
use crate::store::head::HeadFile;
use crate::store::migration;
use crate::store::migration::Migrations;
use crate::store::revoked;
use crate::store::revoked::Revoked;
use crate::store::schema;
use crate::store::whole;
use crate::store::whole::End;
use crate::store::whole::corrupt;
use crate::store::whole::damaged;
use crate::store::whole::refuse_newer;

/// The first bytes of every SQLite file (SQLite file format §1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens the store at `path`, makes it if there is none.
pub(super) async fn open(path: &Path) -> Result<(SqliteConnection, HeadFile), StoreError> {
    match look(path)? {
        Found::Nothing => create(path).await?,
        Found::Store => check(path, schema::MIGRATIONS, End::Kept).await?,
    }
    // A store of before there was such a file gets one that every log follows from, before it counts on it.
    head::ensure(path)?;
    let mut connection = writable(path).connect().await.map_err(|error| damaged(path, &error))?;
    migration::run(&mut connection, path, schema::MIGRATIONS).await?;
    let mut kept = HeadFile::open(path)?;
    let last = audit::last(&mut connection).await.map_err(StoreError::Query)?;
    kept.write(last).map_err(|cause| StoreError::Head(PrivateFileError::new(kept.path(), Fault::Io(cause))))?;
    revoked::settle(&mut connection, path).await?;
    Ok((connection, kept))
}

/// Says what [`open`] would refuse, and writes nothing, not even SQLite's own files beside the store.
pub(super) async fn judge(path: &Path) -> Result<(), StoreError> {
    match look(path)? {
        Found::Nothing => Ok(()),
        Found::Store => check(path, schema::MIGRATIONS, End::Kept).await,
    }
}

/// Everything that is wrong with the store at `path`; writes nothing.
pub(super) async fn faults(path: &Path) -> Result<Vec<StoreError>, StoreError> {
    if is_absent(path)? {
        return Ok(Vec::new());
    }
    let mut connection = readable(path).connect().await.map_err(|error| damaged(path, &error))?;
    let faults = async {
        let mut faults = whole::faults(&mut connection, path, schema::MIGRATIONS, End::Kept).await?;
        // Opening refuses nothing for it.
        let last = revoked::last_taken(&mut connection).await.map_err(StoreError::Query)?;
        faults.extend(Revoked::read(path, last)?.fault(path));
        Ok(faults)
    };
    let faults = faults.await;
    let _closed = connection.close().await;
    faults
}

/// Whether there is no store, and never was.
pub(super) fn is_absent(path: &Path) -> Result<bool, StoreError> {
    Ok(matches!(look(path)?, Found::Nothing))
}

/// What lies where the store belongs.
#[derive(Debug)]
enum Found {
    Nothing,
    Store,
}

/// Looks at the file without SQLite, which would write: kind, owner, mode, and the header's schema version.
fn look(path: &Path) -> Result<Found, StoreError> {
    let read = |source| StoreError::Read { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let log = beside(path, "-wal");
            let had_a_history = head::read(path)?.is_some_and(|head| head != Head::default());
            return match fs::symlink_metadata(&log) {
                Ok(_) => Err(StoreError::Orphan { path: log }),
                Err(_) if had_a_history => Err(StoreError::Gone { path: path.to_owned() }),
                Err(_) => Ok(Found::Nothing),
            };
        }
        Err(error) => return Err(read(error)),
    };
    check_private(path, &metadata)?;
    // SQLite's own files, which it reads, writes and removes with the store.
    for ending in ["-wal", "-shm", "-journal"] {
        let path = beside(path, ending);
        if let Ok(metadata) = fs::symlink_metadata(&path) {
            check_private(&path, &metadata)?;
        }
    }
    if metadata.len() == 0 {
        return Err(StoreError::Empty { path: path.to_owned() });
    }
    let mut header = [0; 100];
    let mut file = fs::File::open(path).map_err(read)?;
    file.read_exact(&mut header).map_err(|_| corrupt(path, "the header is cut short"))?;
    let (magic, rest) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    let page_bytes = match rest.get(..2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes) {
        Some(1) => 65_536,
        bytes => u64::from(bytes.unwrap_or_default()).max(1),
    };
    // Only a log that is still to be merged explains a page that is not whole.
    if metadata.len() % page_bytes != 0 && log_bytes(path) == 0 {
        return Err(corrupt(path, "the last page is cut short"));
    }
    // SQLite file format §1.3: the user version is the big-endian number at offset 60.
    let version = rest.get(44..48).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    refuse_newer(path, version.map(i64::from).unwrap_or_default(), schema::VERSION)?;
    Ok(Found::Store)
}

/// That a backup is a file of ours alone, and not a store in use: what stands in a log beside it would be left out.
pub(super) fn check_backup(path: &Path) -> Result<(), StoreError> {
    let read = |source| StoreError::Read { path: path.to_owned(), source };
    check_private(path, &fs::symlink_metadata(path).map_err(read)?)?;
    match log_bytes(path) {
        0 => Ok(()),
        _ => Err(StoreError::InUse { path: beside(path, "-wal") }),
    }
}

fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    let path = path.to_owned();
    private_file::check_file(metadata).map_err(|fault| match fault {
        Fault::HardLink => StoreError::HardLink { path },
        Fault::Mode { found, .. } => StoreError::Mode { path, mode: found },
        Fault::Owner { found, .. } => StoreError::Owner { path, owner: found },
        _ => StoreError::NotAFile { path },
    })
}

/// Looks at the content through a connection that cannot write: its schema (the log may know better than the header, and
/// what goes beyond `migrations` is not ours to read), and whether it is whole.
pub(super) async fn check(path: &Path, migrations: Migrations<'_>, end: End) -> Result<(), StoreError> {
    let mut connection = readable(path).connect().await.map_err(|error| damaged(path, &error))?;
    let checked = whole::check(&mut connection, path, migrations, end).await;
    // Errors on closing a connection that only read say nothing about the file.
    let _closed = connection.close().await;
    checked
}

/// A connection that cannot write.
pub(super) fn readable(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(STORE_BUSY_WAIT);
    // Without a log there is nothing to merge, so nothing needs to be made beside the file.
    options.immutable(log_bytes(path) == 0).pragma("trusted_schema", "OFF").disable_statement_logging()
}

/// Builds a store with all tables under another name, and renames it into place when it is on the disk.
async fn create(path: &Path) -> Result<(), StoreError> {
    let fresh = beside(path, ".new");
    let failed = |cause: String| StoreError::Create { path: path.to_owned(), cause };
    // What an interrupted first start left behind; it was never the store.
    for leftover in ["", "-wal", "-shm", "-journal"] {
        match fs::remove_file(beside(&fresh, leftover)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error.to_string())),
            _ => {}
        }
    }
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(|error| failed(error.to_string()))?;
    let mut connection = writable(&fresh).connect().await.map_err(|error| failed(error.to_string()))?;
    sqlx::query(schema::SET_APPLICATION_ID)
        .execute(&mut connection)
        .await
        .map_err(|error| failed(error.to_string()))?;
    migration::steps(&mut connection, schema::MIGRATIONS).await?;
    // Closing the only connection moves the log into the file and removes it.
    connection.close().await.map_err(|error| failed(error.to_string()))?;
    head::ensure(path)?;
    let rename = || {
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    rename().map_err(|error: io::Error| failed(error.to_string()))
}

pub(super) fn writable(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL loses the last commits in a power cut; an acknowledged change must survive one.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(STORE_BUSY_WAIT)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .pragma("journal_size_limit", STORE_LOG_BYTES_KEPT)
        .disable_statement_logging()
}

/// The length of the log that is still to be merged.
fn log_bytes(path: &Path) -> u64 {
    fs::symlink_metadata(beside(path, "-wal")).map_or(0, |log| log.len())
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
