//! Where the audit log ends, kept in a file of its own beside the store.
//!
//! A store that was cut short, put back to an older copy, or whose write-ahead log lost its last part, is whole in itself: only this
//! file knows that there was more. It is written after each change of the store, never before, so it is never ahead of it.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::OFlags;
use serde::Deserialize;
use serde::Serialize;

use crate::base::private_file;
use crate::base::private_file::Fault;
use crate::base::private_file::PrivateFileError;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::store::error::StoreError;

/// One sector, which a disk writes whole or not at all.
const SLOT_BYTES: usize = 512;
/// Written in turn, so that one is whole whatever happens to the other.
const SLOTS: u64 = 2;

/// The last entry of an audit log: its number and its hash. The default is that of an empty one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Head {
    pub(super) sequence: i64,
    pub(super) hash: Fingerprint,
}

impl Default for Head {
    fn default() -> Self {
        Self { sequence: 0, hash: Fingerprint::from_bytes([0; 32]) }
    }
}

/// The file, open to be written.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    path: PathBuf,
    next: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    sequence: i64,
    hash: String,
    check: String,
}

/// Where the head of the store at `path` stands.
pub(super) fn path_of(path: &Path) -> PathBuf {
    path.with_extension("head")
}

/// What the file beside the store at `path` says, if it is there.
pub(super) fn read(path: &Path) -> Result<Option<Head>, StoreError> {
    let path = path_of(path);
    match private_file::read(&path) {
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(StoreError::Head(error)),
        Ok(text) => match newest(text.expose()) {
            Some((_, head)) => Ok(Some(head)),
            None => Err(garbage(&path)),
        },
    }
}

/// Makes the file for a store without a history, if there is none.
pub(super) fn ensure(path: &Path) -> Result<(), StoreError> {
    if read(path)?.is_some() {
        return Ok(());
    }
    write_new(path, Head::default())
}

/// Puts a file that says `head` in the place of any other: for a store that was put back.
pub(super) fn write_new(path: &Path, head: Head) -> Result<(), StoreError> {
    // Both slots at once, so that no block of the disk has to be found for it later, when the disk may be full.
    let text = [slot(head), slot(head)].concat();
    private_file::replace(&path_of(path), &Secret::new(text)).map_err(StoreError::Head)
}

impl HeadFile {
    /// Opens the file beside the store at `path`, which [`ensure`] made.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path_of(path);
        let text = private_file::read(&path).map_err(StoreError::Head)?;
        let (slot, _) = newest(text.expose()).ok_or_else(|| garbage(&path))?;
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let opened = fs::OpenOptions::new().write(true).custom_flags(flags).open(&path);
        let failed = |cause| StoreError::Head(PrivateFileError::new(&path, Fault::Io(cause)));
        let file = opened.map_err(failed)?;
        Ok(Self { file, path, next: (slot + 1) % SLOTS })
    }

    /// Says that the log ends with `head` now.
    pub(super) fn write(&mut self, head: Head) -> io::Result<()> {
        let bytes = u64::try_from(SLOT_BYTES).unwrap_or_default();
        self.file.write_all_at(slot(head).as_bytes(), self.next.saturating_mul(bytes))?;
        self.next = (self.next + 1) % SLOTS;
        Ok(())
    }

    /// The file's name, for the log.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// One slot: a line of JSON, filled up with spaces.
fn slot(head: Head) -> String {
    let slot = Slot { sequence: head.sequence, hash: head.hash.to_hex(), check: check(head) };
    // Never: numbers and plain text; and it is far shorter than a slot.
    let mut text = serde_json::to_string(&slot).unwrap_or_default();
    while text.len() + 1 < SLOT_BYTES {
        text.push(' ');
    }
    text.push('\n');
    text
}

fn check(head: Head) -> String {
    Fingerprint::of(format!("{} {}", head.sequence, head.hash.to_hex()).as_bytes()).to_hex()
}

/// The slot that was written last, of those that are whole.
fn newest(text: &str) -> Option<(u64, Head)> {
    let read = |(number, line): (u64, &str)| {
        let slot: Slot = serde_json::from_str(line).ok()?;
        let head = Head { sequence: slot.sequence, hash: Fingerprint::from_hex(&slot.hash)? };
        (check(head) == slot.check).then_some((number, head))
    };
    (0..SLOTS).zip(text.lines()).filter_map(read).max_by_key(|(_, head)| head.sequence)
}

fn garbage(path: &Path) -> StoreError {
    StoreError::Head(PrivateFileError::new(path, Fault::Garbage("the end of an audit log")))
}
