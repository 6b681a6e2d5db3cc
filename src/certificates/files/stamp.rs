//! What tells a file from the one that stood there before: of what is behind a link, and of the link. A file that was put
//! back with its old time is another one all the same.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The stamp of one path; that of nothing where nothing is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stamp([Option<Seen>; 2]);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Seen {
    device: u64,
    inode: u64,
    mode: u32,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of what lies at `path` now.
    pub fn of(path: &Path) -> Self {
        Self([fs::metadata(path), fs::symlink_metadata(path)].map(|found| found.ok().map(|found| Seen::of(&found))))
    }
}

impl Seen {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            mode: found.mode(),
            size: found.size(),
            written: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}
