//! What can go wrong with the store. Each variant names the file and, through [`StoreError::hint`], what to do.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::quoted;
use crate::base::printable::printable;
use crate::base::private_file::PrivateFileError;
use crate::store::backup;
use crate::store::head;
use crate::store::whole;

/// Why the store could not be opened, read or written.
///
/// Whatever it is, the file was left as it was: unreadable state is never taken for empty state.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no store yet.
    #[error("there is no store yet: {}", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// A record is not what doorward wrote there.
    #[error("the store was altered by something else, in table {table}, row {}: {}", printable(row, LABEL_CHARS_MAX), path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The table.
        table: &'static str,
        /// The id of the row, or what is wrong with the whole table.
        row: String,
    },
    /// It ends before what was acknowledged: an older copy, or one that was cut short.
    #[error("the store ends at entry {found} of its audit log, doorward had written {known}: {}", path.display())]
    Behind {
        /// The file.
        path: PathBuf,
        /// The last entry that is there.
        found: i64,
        /// The last entry that was written.
        known: i64,
    },
    /// A backup could not be made, and what it was to come before was not done.
    #[error("no backup of the store could be made, nothing was changed ({cause}): {}", path.display())]
    Backup {
        /// The backup.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The file is there, but its content is not whole.
    #[error("the store is damaged ({detail}): {}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the check found first.
        detail: String,
    },
    /// A new store could not be made.
    #[error("the store cannot be created ({cause}): {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The file is there and holds nothing.
    #[error("the store is empty, which doorward never leaves behind: {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A database, but not one of ours.
    #[error("the file is not a doorward store: {}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There was a store, and it is not there any more.
    #[error("the store is missing, and it was not empty: {}", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// Something was taken back, and the file that keeps what is missing or older than that.
    #[error("what was taken back is forgotten, through entry {through} of the audit log: {}", path.display())]
    Forgotten {
        /// The file.
        path: PathBuf,
        /// The last entry that took something back.
        through: i64,
    },
    /// The file that keeps the end of the audit log cannot be used.
    #[error("the end of the audit log: {0}")]
    Head(#[source] PrivateFileError),
    /// The file that keeps the end of the audit log is not there.
    #[error("the file that keeps the end of the audit log is missing: {}", path.display())]
    Headless {
        /// The file.
        path: PathBuf,
    },
    /// It has a second name, by which somebody else may reach it.
    #[error("the store has more than one link: {}", path.display())]
    HardLink {
        /// The file.
        path: PathBuf,
    },
    /// A backup with a write-ahead log beside it, which holds a part of it.
    #[error("the backup is a store in use, or a part of one, its log is beside it: {}", path.display())]
    InUse {
        /// The log.
        path: PathBuf,
    },
    /// The file's mode lets others read or write it.
    #[error("the store is open to others (mode {mode:o}): {}", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Written by a newer doorward; nothing was touched.
    #[error("the store has schema {found}, this doorward knows up to {known}: {}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's schema.
        found: i64,
        /// The newest schema this program knows.
        known: i64,
    },
    /// A link, folder, pipe or device in the store's place.
    #[error("the store is not a regular file: {}", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The system or another process keeps us from opening it.
    #[error("the store cannot be opened ({cause}): {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        cause: String,
    },
    /// A write-ahead log without its store: the main file was taken away.
    #[error("the store is missing but its write-ahead log is there: {}", path.display())]
    Orphan {
        /// The log.
        path: PathBuf,
    },
    /// The file belongs to another user.
    #[error("the store belongs to uid {owner}: {}", path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The system does not let us look at the file.
    #[error("the store cannot be read ({source}): {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A question was not answered.
    #[error("the store could not be read: {0}")]
    Query(#[source] sqlx::Error),
    /// A backup could not be put in the place of the store.
    #[error("the backup could not be put in the place of the store ({cause}): {}", path.display())]
    Restore {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        cause: String,
    },
    /// The file that keeps what was taken back cannot be used.
    #[error("what was taken back, nothing was changed: {0}")]
    Revoked(#[source] PrivateFileError),
    /// What was to be done beside the store did not come to its end.
    #[error("the store could not be asked: {0}")]
    Thread(#[source] tokio::task::JoinError),
    /// A row that cannot have been written by us.
    #[error("the store holds a value that cannot be: {table}.{column}")]
    Value {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// A change was not made durable, and nothing of it was applied.
    #[error("the store could not be written, nothing was changed: {0}")]
    Write(#[source] sqlx::Error),
}

impl StoreError {
    /// The same, of the store at `path`: rows do not know where they are.
    #[must_use]
    pub(super) fn at(self, path: &Path) -> Self {
        match self {
            Self::Altered { table, row, .. } => Self::Altered { path: path.to_owned(), table, row },
            Self::Behind { found, known, .. } => Self::Behind { path: path.to_owned(), found, known },
            Self::Query(error) if whole::is_damage(&error) => whole::damaged(path, &error),
            other => other,
        }
    }

    /// What the operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Backup { path, .. } => {
                format!("see that this user may write {}, and that the disk is not full", path.display())
            }
            Self::Absent { .. } => "the first `doorward run` makes it".to_owned(),
            Self::Altered { path, .. }
            | Self::Behind { path, .. }
            | Self::Corrupt { path, .. }
            | Self::Empty { path } => restore(path),
            Self::Create { path, .. } => {
                format!("make the folder of {} writable for the user that runs doorward", path.display())
            }
            Self::Foreign { path } => format!("set state_dir to a folder of its own, or move {} away", path.display()),
            Self::Forgotten { path, through } => format!(
                "put {0} back from a copy; until then no rule approves a device and import keeps out whom it does not know; if \
                 those who were removed do not matter any more, write {{\"floor\":{through},\"taken\":[]}} to {0}, mode 600",
                path.display()
            ),
            Self::Gone { path } => format!(
                "{}; to begin anew, with no device paired, remove {} too",
                restore(path),
                head::path_of(path).display()
            ),
            Self::Head(error) => {
                format!("{}; or {}", error.operators_hint(), restore(&error.path.with_extension("sqlite")))
            }
            Self::Headless { path } => format!("put it back, or {}", restore(&path.with_extension("sqlite"))),
            Self::HardLink { path } => {
                format!("cp -p {0} {0}.copy && mv {0}.copy {0}", quoted(&path.display().to_string()))
            }
            Self::InUse { .. } => {
                "make the copy by `doorward store backup`, or copy the file after doorward ended".to_owned()
            }
            Self::Restore { path, .. } => {
                format!("nothing of it is lost: see that this user may write {}, and repeat it", path.display())
            }
            Self::Revoked(error) => error.operators_hint(),
            Self::Mode { path, .. } => format!("chmod 600 {}", quoted(&path.display().to_string())),
            Self::Newer { .. } => "run the newer doorward, or restore the backup made before the upgrade".to_owned(),
            Self::NotAFile { path } => format!("remove {} and put the store itself there", path.display()),
            Self::Orphan { path } => {
                let store = path.with_extension("sqlite");
                format!("put {} back beside {}, they belong together", store.display(), path.display())
            }
            Self::Owner { path, .. } => format!("chown the file to the user that runs doorward: {}", path.display()),
            Self::Open { path, .. } | Self::Read { path, .. } => {
                format!("let the user that runs doorward read and write {}", path.display())
            }
            Self::Query(_) | Self::Write(_) => {
                "look at the disk: full, read-only or failing; doorward goes on as soon as it can write".to_owned()
            }
            Self::Thread(_) => "please report this, with the log; doorward goes on".to_owned(),
            Self::Value { .. } => "the file was changed by something else: restore a backup".to_owned(),
        }
    }
}

/// The way back: the newest backup, if there is one.
fn restore(path: &Path) -> String {
    match backup::newest(path) {
        Some(backup) => {
            format!("go back to the newest backup: doorward store restore {}", quoted(&backup.display().to_string()))
        }
        None => format!(
            "restore a backup: doorward store restore FILE; without one, stop doorward, move {}, its -wal and -shm files \
             and its .head file aside, and pair every device again",
            path.display()
        ),
    }
}
