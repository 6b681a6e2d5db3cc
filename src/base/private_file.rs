//! A file for its owner alone: read only if nobody else can read or swap it, made whole or not at all.

mod fault;
mod link;

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::base::limits::KEY_FILE_BYTES_MAX;
use crate::base::secret::Secret;

pub use fault::{Fault, PrivateFileError, STICKY};
pub use link::follow;

/// What others must not have on a private file or folder: any access at all.
const OTHERS: u32 = 0o077;
/// What others must not have on a folder that holds private files: the right to swap them.
const OTHERS_WRITE: u32 = 0o022;

/// Whether a link in a file's place is followed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// It is: for files that tools of the operator keep behind one.
    Followed,
    /// It is not: somebody else may point it elsewhere.
    Refused,
}

/// Who may own a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners {
    /// Only the user we run as.
    Us,
    /// That user, or root, who can do anything anyway.
    UsOrRoot,
}

/// Reads a file that must be ours: regular, one link, mode 0600 or less, our uid, not a symlink, text, not empty.
///
/// # Errors
/// [`PrivateFileError`], whose hint is the command that mends it.
pub fn read(path: &Path) -> Result<Secret<String>, PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    let file = open(path, Link::Refused)?;
    let metadata = file.metadata().map_err(|cause| fail(Fault::Io(cause)))?;
    check_file(&metadata).map_err(fail)?;
    read_text(file).map_err(fail)
}

/// Checks that something is a regular file of ours, with one name, that nobody else can look into.
///
/// # Errors
/// [`Fault`] for the first thing that is wrong.
pub fn check_file(metadata: &Metadata) -> Result<(), Fault> {
    if metadata.is_symlink() {
        return Err(Fault::Symlink);
    }
    if !metadata.is_file() {
        return Err(Fault::NotAFile);
    }
    check_owner(metadata, Owners::Us).and_then(|()| check_closed(metadata))?;
    if metadata.nlink() == 1 { Ok(()) } else { Err(Fault::HardLink) }
}

/// Opens a regular file to read it.
///
/// # Errors
/// [`PrivateFileError`] for anything else.
pub fn open(path: &Path, link: Link) -> Result<File, PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    // NONBLOCK: a FIFO in its place must not hold the start up.
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    flags.set(OFlags::NOFOLLOW, link == Link::Refused);
    let file: File = match rustix::fs::openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::LOOP) => return Err(fail(Fault::Symlink)),
        Err(cause) => return Err(fail(Fault::Io(cause.into()))),
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(fail(Fault::NotAFile)),
        Err(cause) => Err(fail(Fault::Io(cause))),
    }
}

/// Opens a regular file of the operator's own whose word counts: only we and root may own it, and nobody else may write it.
///
/// # Errors
/// [`PrivateFileError`] for anything else.
pub fn open_unwritable(path: &Path) -> Result<File, PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    let file = open(path, Link::Followed)?;
    let metadata = file.metadata().map_err(|cause| fail(Fault::Io(cause)))?;
    check_owner(&metadata, Owners::UsOrRoot).map_err(fail)?;
    check_unwritable(&metadata).map_err(fail)?;
    Ok(file)
}

/// Reads a secret of the operator's own: closed to others, and owned by us or root. A link is followed, for tools keep the
/// current file behind one (`live/…/privkey.pem`); so must its owner be, who could point it elsewhere.
///
/// # Errors
/// [`PrivateFileError`] for anything else.
pub fn read_operators(path: &Path) -> Result<Secret<Vec<u8>>, PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    let file = open(path, Link::Followed)?;
    let judged = || {
        let (target, link) = (file.metadata().map_err(Fault::Io)?, fs::symlink_metadata(path).map_err(Fault::Io)?);
        check_owner(&target, Owners::UsOrRoot)?;
        check_owner(&link, Owners::UsOrRoot)?;
        check_closed(&target)
    };
    judged().and_then(|()| read_bytes(file)).map_err(fail)
}

/// Reads text of bounded size out of an open file; empty is an error.
///
/// # Errors
/// [`Fault`].
pub fn read_text(file: File) -> Result<Secret<String>, Fault> {
    text(&read_bytes(file)?)
}

/// What was read, as text; empty is an error.
///
/// # Errors
/// [`Fault`].
pub fn text(bytes: &Secret<Vec<u8>>) -> Result<Secret<String>, Fault> {
    match std::str::from_utf8(bytes.expose()) {
        Ok(text) if text.trim().is_empty() => Err(Fault::Empty),
        Ok(text) => Ok(Secret::new(text.to_owned())),
        Err(_) => Err(Fault::NotText),
    }
}

/// Reads an open file of bounded size.
///
/// # Errors
/// [`Fault`].
pub fn read_bytes(file: File) -> Result<Secret<Vec<u8>>, Fault> {
    let mut bytes = Vec::new();
    let read = file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    // Whatever comes of it, what was read leaves memory when it is dropped.
    let bytes = Secret::new(bytes);
    read.map_err(Fault::Io)?;
    if bytes.expose().len() as u64 > KEY_FILE_BYTES_MAX { Err(Fault::TooLong) } else { Ok(bytes) }
}

/// Checks who owns a file or folder.
///
/// # Errors
/// [`Fault::Owner`].
pub fn check_owner(metadata: &Metadata, owners: Owners) -> Result<(), Fault> {
    let (own, uid) = (rustix::process::geteuid().as_raw(), metadata.uid());
    let may = uid == own || owners == Owners::UsOrRoot && uid == 0;
    if may { Ok(()) } else { Err(Fault::Owner { found: uid, wanted: own }) }
}

/// Checks that nobody but its owner can look into a file or folder.
///
/// # Errors
/// [`Fault::Mode`].
pub fn check_closed(metadata: &Metadata) -> Result<(), Fault> {
    check_mode(metadata, OTHERS)
}

/// Checks that nobody but its owner can write to a file, or swap what is in a folder.
///
/// # Errors
/// [`Fault::Mode`].
pub fn check_unwritable(metadata: &Metadata) -> Result<(), Fault> {
    check_mode(metadata, OTHERS_WRITE)
}

fn check_mode(metadata: &Metadata, forbidden: u32) -> Result<(), Fault> {
    let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
    let found = metadata.mode() & 0o7777;
    if found & forbidden == 0 { Ok(()) } else { Err(Fault::Mode { found, wanted }) }
}

/// What [`create`] and [`replace`] do when the file is there already.
#[derive(Clone, Copy)]
enum Existing {
    Keep,
    Replace,
}

/// Makes a file of mode 0600 that holds `text`: whole, and durable when this returns.
///
/// # Errors
/// [`PrivateFileError`], also when something of that name is there already: it stays as it is.
pub fn create(path: &Path, text: &Secret<String>) -> Result<(), PrivateFileError> {
    write(path, text, Existing::Keep).map_err(|fault| PrivateFileError::new(path, fault))
}

/// As [`create`], in place of what stood there. Readers see the old text or the new, nothing in between.
///
/// # Errors
/// [`PrivateFileError`]; then the old file is untouched.
pub fn replace(path: &Path, text: &Secret<String>) -> Result<(), PrivateFileError> {
    write(path, text, Existing::Replace).map_err(|fault| PrivateFileError::new(path, fault))
}

fn write(path: &Path, text: &Secret<String>, existing: Existing) -> Result<(), Fault> {
    // Written beside and renamed: a crash or a full disk leaves no half file under the real name.
    let beside = beside(path)?;
    let result = write_beside(&beside, text).and_then(|()| match existing {
        Existing::Keep => rename_to_new(&beside, path),
        Existing::Replace => fs::rename(&beside, path).map_err(Fault::Io),
    });
    if result.is_err() {
        // Nothing more can be done if this fails too; the next attempt removes it.
        let _ = fs::remove_file(&beside);
    }
    result?;
    sync_folder_of(path).map_err(Fault::Io)
}

fn beside(path: &Path) -> Result<PathBuf, Fault> {
    let mut name = path.file_name().ok_or(Fault::NotAFile)?.to_owned();
    name.push(".new");
    Ok(path.with_file_name(name))
}

fn write_beside(path: &Path, text: &Secret<String>) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(Fault::Io(cause)),
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let owner = Mode::RUSR | Mode::WUSR;
    let mut file: File = rustix::fs::openat(CWD, path, flags, owner).map_err(|cause| Fault::Io(cause.into()))?.into();
    // Whatever the umask says.
    rustix::fs::fchmod(&file, owner).map_err(|cause| Fault::Io(cause.into()))?;
    file.write_all(text.expose().as_bytes()).and_then(|()| file.sync_all()).map_err(Fault::Io)
}

/// Gives a whole file of ours the name it is to have, durably; something of that name stays as it is.
///
/// # Errors
/// [`PrivateFileError`].
pub fn name(from: &Path, to: &Path) -> Result<(), PrivateFileError> {
    let named = rename_to_new(from, to).and_then(|()| sync_folder_of(to).map_err(Fault::Io));
    named.map_err(|fault| PrivateFileError::new(to, fault))
}

fn rename_to_new(from: &Path, to: &Path) -> Result<(), Fault> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(Fault::Exists),
        // A file system without NOREPLACE. The state folder is locked, so nobody else makes the file in between.
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(to).is_err() => {
            fs::rename(from, to).map_err(Fault::Io)
        }
        Err(Errno::INVAL | Errno::NOSYS) => Err(Fault::Exists),
        Err(cause) => Err(Fault::Io(cause.into())),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Makes sure that `path` is a folder of ours in which nobody else can swap files; makes it with mode 0700 if absent.
///
/// # Errors
/// [`PrivateFileError`] for a symlink, a foreign owner, or a folder that others may write to.
pub fn ensure_folder(path: &Path) -> Result<(), PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_folder_of(path).map_err(|cause| fail(Fault::Io(cause)))?,
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {}
        Err(cause) => return Err(fail(Fault::Io(cause))),
    }
    check_folder(path)
}

/// As [`ensure_folder`], but makes nothing.
///
/// # Errors
/// As [`ensure_folder`], and when there is no such folder.
pub fn check_folder(path: &Path) -> Result<(), PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    let metadata = fs::symlink_metadata(path).map_err(|cause| fail(Fault::Io(cause)))?;
    if metadata.is_symlink() {
        return Err(fail(Fault::Symlink));
    }
    if !metadata.is_dir() {
        return Err(fail(Fault::NotAFolder));
    }
    check_owner(&metadata, Owners::Us).and_then(|()| check_mode(&metadata, OTHERS_WRITE)).map_err(fail)
}

/// Removes a private file for good. One that is gone already is no error.
///
/// # Errors
/// [`PrivateFileError`] when it stays.
pub fn remove(path: &Path) -> Result<(), PrivateFileError> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(Fault::Io(cause)),
        _ => sync_folder_of(path).map_err(Fault::Io),
    }
    .map_err(|fault| PrivateFileError::new(path, fault))
}

#[cfg(test)]
mod tests;
