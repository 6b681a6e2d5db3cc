//! Files of a gateway's state folder, opened to be read only: no link is followed inside it, no pipe waited for.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::base::limits::IMPORT_FILE_BYTES_MAX;
use crate::base::private_file;
use crate::base::private_file::Fault;
use crate::base::private_file::Link;
use crate::base::private_file::PrivateFileError;
use crate::import::ImportError;

/// A gateway's state folder. Nobody but its owner can write to it: who can, puts a folder of his own in the place of any
/// in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    owner: u32,
}

impl Folder {
    /// The folder at `path`; a link to it is the owner's own.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let unreadable = |cause| ImportError::Unreadable { path: path.to_path_buf(), cause };
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                let folder = Self { path: path.to_path_buf(), owner: found.uid() };
                folder.is_owners_alone(path, &found).map(|()| folder)
            }
            Ok(_) => Err(ImportError::NotAFolder(path.to_path_buf())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Err(ImportError::NotAFolder(path.to_path_buf())),
            Err(cause) => Err(unreadable(cause)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file in a folder of it, if it is there. Whoever can write to it could have let anybody in, so that must be its
    /// owner alone.
    pub(super) fn file(&self, folder: &str, name: &str) -> Result<Option<(PathBuf, File)>, ImportError> {
        let inner = self.path.join(folder);
        match fs::symlink_metadata(&inner) {
            Ok(found) if found.is_symlink() => return Err(ImportError::Link(inner)),
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(ImportError::NotAFolder(inner)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ImportError::Unreadable { path: inner, cause }),
        }
        let path = inner.join(name);
        let Some(file) = open(&path)? else { return Ok(None) };
        for path in [&inner, &path] {
            let found =
                fs::symlink_metadata(path).map_err(|cause| ImportError::Unreadable { path: path.clone(), cause })?;
            self.is_owners_alone(path, &found)?;
        }
        Ok(Some((path, file)))
    }

    /// That nobody can write to what is at `path` but the owner of the folder, root, and who runs this.
    fn is_owners_alone(&self, path: &Path, found: &fs::Metadata) -> Result<(), ImportError> {
        let (path, mode, uid) = (path.to_path_buf(), found.mode() & 0o7777, found.uid());
        if mode & 0o022 != 0 {
            return Err(ImportError::Exposed { path, mode });
        }
        if [self.owner, 0, rustix::process::geteuid().as_raw()].contains(&uid) {
            return Ok(());
        }
        Err(ImportError::Owner { path, uid, owner: self.owner })
    }
}

/// A regular file that is no link, if it is there.
pub(super) fn open(path: &Path) -> Result<Option<File>, ImportError> {
    match private_file::open(path, Link::Refused) {
        Ok(file) => Ok(Some(file)),
        Err(PrivateFileError { fault: Fault::Io(cause), .. }) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(refused(path, error.fault)),
    }
}

pub(super) fn refused(path: &Path, fault: Fault) -> ImportError {
    let path = path.to_path_buf();
    match fault {
        Fault::Io(cause) => ImportError::Unreadable { path, cause },
        Fault::NotAFile => ImportError::NotAFile(path),
        Fault::Symlink => ImportError::Link(path),
        other => ImportError::Unreadable { path, cause: io::Error::other(other) },
    }
}

/// The whole text of a file. It may hold tokens, so it leaves memory when it is dropped.
pub(super) fn text(path: &Path, file: File) -> Result<Zeroizing<String>, ImportError> {
    let unreadable = |cause| ImportError::Unreadable { path: path.to_path_buf(), cause };
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(IMPORT_FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > IMPORT_FILE_BYTES_MAX) {
        return Err(ImportError::TooLarge { path: path.to_path_buf(), max: IMPORT_FILE_BYTES_MAX });
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(ImportError::Garbage { path: path.to_path_buf(), cause: "not utf-8".to_owned() }),
    }
}
