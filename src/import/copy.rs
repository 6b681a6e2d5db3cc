//! A copy of a SQLite database that a gateway may be writing to, in a folder of ours that goes with it.
//!
//! SQLite itself would leave a `-wal` and a `-shm` beside the database, and reading it as immutable would leave out what
//! stands in its log. So the files are copied: the database, then its log, and then the database is compared with its copy.
//! If it did not change meanwhile, its log was not merged into it while it was read; a log that is cut off or begins anew
//! then reads as far as its last whole transaction, by its own checksums (SQLite file format §4.2).
//!
//! A rollback journal is never copied: SQLite would play it back, and remove whatever file it names as the journal above it
//! (SQLite file format §3). A log holds pages alone.

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
use crate::import::ImportError;
use crate::import::files;

/// The copy. It holds secrets: its folder is for us alone, and is removed with it.
#[derive(Debug)]
pub(super) struct Copy {
    folder: TempDir,
}

const NAME: &str = "copy.sqlite";

impl Copy {
    /// Copies the database at `path`.
    pub(super) fn of(path: &Path) -> Result<Self, ImportError> {
        let failed = |cause| ImportError::Uncopied { path: std::env::temp_dir(), cause };
        let folder = tempfile::Builder::new().prefix("doorward-import-").tempdir().map_err(failed)?;
        let copy = Self { folder };
        for attempt in 0..IMPORT_COPIES_MAX {
            if attempt > 0 {
                thread::sleep(IMPORT_COPY_PAUSE);
            }
            if is_in_a_write(path)? {
                continue;
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
