//! Why nothing could be read. The operator's to mend.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::base::limits::IMPORT_COPIES_MAX;
use crate::base::limits::IMPORT_DEVICES_MAX;
use crate::import::settings::FILE;

/// Why the state of the other gateway counts for nothing.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It was written to each time it was read.
    #[error("the database changed each of {IMPORT_COPIES_MAX} times that it was copied: {}", .0.display())]
    Changing(PathBuf),
    /// SQLite cannot read it.
    #[error("the database cannot be read ({cause}): {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: sqlx::Error,
    },
    /// Anybody could have added a device.
    #[error("others than its owner can write to it (mode {mode:04o}): {}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not what the gateway writes.
    #[error("not a list of devices as the gateway writes it ({cause}): {}", path.display())]
    Garbage {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Its gateway ended, or hangs, within a write: what the database says is neither what was before nor what was meant.
    #[error("that gateway was stopped in the middle of a write: {}", .0.display())]
    Interrupted(PathBuf),
    /// A link, which may lead anywhere.
    #[error("a symbolic link: {}", .0.display())]
    Link(PathBuf),
    /// No gateway's state.
    #[error("neither state/openclaw.sqlite nor devices/paired.json is there: {}", .0.display())]
    Nothing(PathBuf),
    /// A pipe, a device or a folder.
    #[error("not a regular file: {}", .0.display())]
    NotAFile(PathBuf),
    /// No folder.
    #[error("not a folder: {}", .0.display())]
    NotAFolder(PathBuf),
    /// Larger than any.
    #[error("larger than {max} bytes: {}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// More than anybody has.
    #[error("more than {IMPORT_DEVICES_MAX} devices: {}", .0.display())]
    TooMany(PathBuf),
    /// Somebody else's, who could have added a device.
    #[error("it belongs to uid {uid}, and the state folder to uid {owner}: {}", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose the state folder is.
        owner: u32,
    },
    /// It cannot be copied.
    #[error("no copy of the database can be made ({cause}): {}", path.display())]
    Uncopied {
        /// Where to.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A database of another shape.
    #[error("the database has no table of paired devices as 2026.9 has it: {}", .0.display())]
    UnknownSchema(PathBuf),
    /// Settings that nobody can read.
    #[error("not settings as the gateway reads them ({cause}): {}", path.display())]
    Unsettled {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The file cannot be read.
    #[error("cannot be read ({cause}): {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl ImportError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Changing(_) => "stop that gateway and repeat this".to_owned(),
            Self::Database { .. } | Self::Garbage { .. } => {
                "let that gateway start once, it mends or tells what is wrong; nothing was taken over".to_owned()
            }
            Self::Exposed { path, .. } => {
                format!("look at its devices first, then: chmod go-w {}", path.display())
            }
            Self::Interrupted(_) => "start and stop that gateway once, then import".to_owned(),
            Self::Link(path) if path.ends_with(FILE) => format!("name it with --openclaw-json {}", path.display()),
            Self::Link(path) => format!("name the folder where {} really is", path.display()),
            Self::NotAFolder(path) if path.is_file() => {
                let folder = path.ancestors().skip(1).find(|folder| {
                    ["state/openclaw.sqlite", "devices/paired.json", FILE]
                        .iter()
                        .any(|file| folder.join(file).is_file())
                });
                match folder {
                    Some(folder) => format!("name the whole state folder: {}", folder.display()),
                    None => {
                        "name the whole state folder of the gateway, such as ~/.openclaw, and no file of it".to_owned()
                    }
                }
            }
            Self::Nothing(_) | Self::NotAFolder(_) => {
                "name the state folder of the gateway: ~/.openclaw, or what $OPENCLAW_STATE_DIR says there".to_owned()
            }
            Self::NotAFile(_) | Self::TooLarge { .. } | Self::TooMany(_) => "is this the right folder?".to_owned(),
            Self::Uncopied { .. } => {
                "make room there for as much as the database takes, and for what doorward itself writes".to_owned()
            }
            Self::Owner { path, owner, .. } => {
                format!("look at its devices first, then: chown {owner} {}", path.display())
            }
            Self::UnknownSchema(_) => {
                "this doorward knows 2026.1 and 2026.9: see that the gateway is one of them, and was \
                                       started once"
                    .to_owned()
            }
            Self::Unsettled { .. } => {
                "mend it as that gateway tells (`openclaw doctor`), or name another with --openclaw-json".to_owned()
            }
            Self::Unreadable { .. } => "run this as the user that runs that gateway, or as root".to_owned(),
        }
    }
}
