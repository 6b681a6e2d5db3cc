//! A copy of a SQLite database that a gateway may be writing to, in a folder of ours that goes with it.
//!
//! SQLite itself would leave a `-wal` and a `-shm` beside the database, and reading it as immutable would leave out what
//! stands in its log. So the files are copied: the database, then its log, and then the database is compared with its copy.
//! If it did not change meanwhile, its log was not merged into it while it was read; a log that is cut off or begins anew
//! then reads as far as its last whole transaction, by its own checksums (SQLite file format §4.2).
//!
//! A rollback journal is never copied: SQLite would play it back, and remove whatever file it names as the journal above it
//! (SQLite file format §3). A log holds pages alone.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

use tempfile::TempDir;

use crate::base::limits::IMPORT_BLOCK_BYTES;
use crate::base::limits::IMPORT_COPIES_MAX;
use crate::base::limits::IMPORT_COPY_PAUSE;
use crate::base::limits::IMPORT_DATABASE_BYTES_MAX;
use crate::base::limits::IMPORT_ROOM_KEPT_BYTES;
use crate::import::ImportError;
use crate::import::files;

/// The copy. It holds secrets: its folder is for us alone, and is removed with it. Should we be killed before, the next
/// import removes it: the kernel frees its lock.
#[derive(Debug)]
pub(super) struct Snapshot {
    folder: TempDir,
    _lock: File,
}

/// How the names of such folders begin.
const FOLDER: &str = "doorward-import-";

const NAME: &str = "copy.sqlite";

impl Snapshot {
    /// Copies the database at `path` to a folder in `room`.
    pub(super) fn of(path: &Path, room: &Path) -> Result<Self, ImportError> {
        sweep(room);
        let failed = |cause| ImportError::Uncopied { path: room.to_path_buf(), cause };
        let folder = tempfile::Builder::new().prefix(FOLDER).tempdir_in(room).map_err(failed)?;
        let lock = File::open(folder.path()).map_err(failed)?;
        lock.try_lock().map_err(|fault| failed(fault.into()))?;
        let copy = Self { folder, _lock: lock };
        for attempt in 0..IMPORT_COPIES_MAX {
            if attempt > 0 {
                thread::sleep(IMPORT_COPY_PAUSE);
            }
            if is_in_a_write(path)? {
                continue;
            }
            if !has_room(path, room)? {
                return Err(failed(io::ErrorKind::StorageFull.into()));
            }
            for ending in ["", "-wal"] {
                copy.take(path, ending)?;
            }
            if is_same(path, &copy.path())? && !is_in_a_write(path)? {
                return Ok(copy);
            }
        }
        let path = path.to_path_buf();
        Err(if is_in_a_write(&path)? { ImportError::Interrupted(path) } else { ImportError::Changing(path) })
    }

    /// The copied database.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(NAME)
    }

    fn take(&self, database: &Path, ending: &str) -> Result<(), ImportError> {
        let (from, to) = (beside(database, ending), beside(&self.path(), ending));
        let failed = |cause| ImportError::Uncopied { path: to.clone(), cause };
        let Some(source) = files::open(&from)? else {
            return match std::fs::remove_file(&to) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(cause)),
                _ => Ok(()),
            };
        };
        let mut target = File::create(&to).map_err(failed)?;
        let copied = io::copy(&mut source.take(IMPORT_DATABASE_BYTES_MAX.saturating_add(1)), &mut target);
        if copied.map_err(failed)? > IMPORT_DATABASE_BYTES_MAX {
            return Err(ImportError::TooLarge { path: from, max: IMPORT_DATABASE_BYTES_MAX });
        }
        Ok(())
    }
}

/// Removes what imports left that were killed. What cannot be removed now stays for the next.
fn sweep(room: &Path) {
    for entry in fs::read_dir(room).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(FOLDER))
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours && File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok()) {
            let _left = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether there is room for a copy of the database at `path`.
fn has_room(path: &Path, room: &Path) -> Result<bool, ImportError> {
    let mut needed = 0_u64;
    for path in [path.to_path_buf(), beside(path, "-wal")] {
        if let Some(file) = files::open(&path)? {
            let found = file.metadata().map_err(|cause| ImportError::Unreadable { path, cause })?;
            needed = needed.saturating_add(found.len());
        }
    }
    let failed = |cause: rustix::io::Errno| ImportError::Uncopied { path: room.to_path_buf(), cause: cause.into() };
    let disk = rustix::fs::statvfs(room).map_err(failed)?;
    Ok(is_enough(disk.f_bavail.saturating_mul(disk.f_frsize), needed))
}

fn is_enough(free: u64, needed: u64) -> bool {
    needed.saturating_add(IMPORT_ROOM_KEPT_BYTES) <= free
}

/// Whether a rollback journal lies beside a database: then that does not say what its gateway meant, in whole or in part.
fn is_in_a_write(path: &Path) -> Result<bool, ImportError> {
    let journal = beside(path, "-journal");
    let Some(file) = files::open(&journal)? else { return Ok(false) };
    let unreadable = |cause| ImportError::Unreadable { path: journal.clone(), cause };
    Ok(file.metadata().map_err(unreadable)?.len() > 0)
}

/// Whether a database still is what was copied.
fn is_same(path: &Path, copy: &Path) -> Result<bool, ImportError> {
    let unreadable = |cause| ImportError::Unreadable { path: path.to_path_buf(), cause };
    let Some(source) = files::open(path)? else { return Ok(false) };
    let mut copied = File::open(copy).map_err(unreadable)?;
    let mut source = source;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    loop {
        block(&mut source, &mut theirs).map_err(unreadable)?;
        block(&mut copied, &mut ours).map_err(unreadable)?;
        if ours != theirs {
            return Ok(false);
        }
        if ours.is_empty() {
            return Ok(true);
        }
    }
}

fn block(file: &mut File, into: &mut Vec<u8>) -> io::Result<()> {
    into.clear();
    file.take(u64::try_from(IMPORT_BLOCK_BYTES).unwrap_or(u64::MAX)).read_to_end(into).map(drop)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_leaves_room_for_what_doorward_writes() {
        let needed = 1 << 30;
        assert!(is_enough(needed + IMPORT_ROOM_KEPT_BYTES, needed));
        assert!(!is_enough(needed + IMPORT_ROOM_KEPT_BYTES - 1, needed) && !is_enough(u64::MAX - 1, u64::MAX));
    }
}
