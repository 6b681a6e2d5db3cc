//! What is wrong with a private file, and the command that mends it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::limits::KEY_FILE_BYTES_MAX;
use crate::base::owner_command::quoted_path;
use crate::base::printable::printable_path;

/// A private file that was not read or not written. The operator's to mend.
#[derive(Debug, Error)]
#[error("{fault}: {}", printable_path(path))]
pub struct PrivateFileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

impl PrivateFileError {
    /// `fault` of `path`.
    pub fn new(path: &Path, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault }
    }

    /// Whether there simply is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(&self.fault, Fault::Io(cause) if cause.kind() == io::ErrorKind::NotFound)
    }

    /// The same for a file of the operator's own, which we never make.
    pub fn operators_hint(&self) -> String {
        let path = quoted_path(&self.path);
        match &self.fault {
            Fault::Empty | Fault::Garbage(_) | Fault::NotText | Fault::TooLong => format!("write {path} anew"),
            Fault::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {
                format!("make {path}, or name the file that is meant")
            }
            Fault::Io(cause) if cause.kind() == io::ErrorKind::PermissionDenied => self.let_us_in(),
            Fault::Io(_) => format!("see that the disk of {path} is well"),
            Fault::NotAFile => format!("name the file itself, not {path}"),
            Fault::Owner { wanted, .. } => format!("chown -h {wanted} {path}, and the file it points to"),
            _ => self.hint(),
        }
    }

    /// How a file becomes ours to read.
    fn let_us_in(&self) -> String {
        let (path, own) = (quoted_path(&self.path), rustix::process::geteuid().as_raw());
        format!("chown {own} {path} && chmod 600 {path}, and let uid {own} pass through the folders above it")
    }

    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        let path = quoted_path(&self.path);
        match &self.fault {
            Fault::Empty | Fault::Garbage(_) | Fault::NotText | Fault::TooLong => {
                format!("restore {path} from a backup, or move it away and start again: a new one is made")
            }
            Fault::Exists => format!("look what {path} is, and move it away"),
            Fault::HardLink => format!("cp -p {path} {path}.copy && mv {path}.copy {path}"),
            Fault::Io(cause) if cause.kind() == io::ErrorKind::PermissionDenied => self.let_us_in(),
            Fault::Io(_) => format!("see that this user may read and write {path}, and that the disk is not full"),
            Fault::Mode { found, .. } if found & STICKY != 0 => {
                format!("{path} is there for everybody: name a folder of doorward's own by `state_dir`")
            }
            Fault::Mode { wanted, .. } => format!("chmod {wanted:o} {path}"),
            Fault::NotAFile | Fault::NotAFolder => format!("move {path} away"),
            Fault::Owner { wanted, .. } => format!("chown {wanted} {path}, or start as its owner"),
            Fault::Symlink => format!("put what {path} points to in its place"),
        }
    }
}

/// The bit of a folder that everybody shares, such as /tmp.
pub const STICKY: u32 = 0o1000;

/// What is wrong with a private file or folder.
#[derive(Debug, Error)]
pub enum Fault {
    /// Nothing in it.
    #[error("file is empty")]
    Empty,
    /// There already.
    #[error("file exists already")]
    Exists,
    /// It can be read, and is not what belongs there.
    #[error("file has other content than {0}")]
    Garbage(&'static str),
    /// It has a second name, by which somebody else may reach it.
    #[error("file has more than one link")]
    HardLink,
    /// The system refused.
    #[error("file cannot be used ({0})")]
    Io(io::Error),
    /// Others may read or write it.
    #[error("mode is {found:o}, must be {wanted:o} or less")]
    Mode {
        /// Its mode.
        found: u32,
        /// The widest that is taken.
        wanted: u32,
    },
    /// A folder, a device, a FIFO.
    #[error("not a regular file")]
    NotAFile,
    /// Something else than a folder.
    #[error("not a folder")]
    NotAFolder,
    /// Not UTF-8.
    #[error("file is not text")]
    NotText,
    /// Another user's.
    #[error("owner is uid {found}, must be {wanted}")]
    Owner {
        /// Its owner.
        found: u32,
        /// This process.
        wanted: u32,
    },
    /// A symbolic link, which somebody else may point elsewhere.
    #[error("is a symbolic link")]
    Symlink,
    /// Larger than any such file.
    #[error("file is larger than {KEY_FILE_BYTES_MAX} bytes")]
    TooLong,
}
