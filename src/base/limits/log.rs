//! What the log may take of memory, disk and time.

use std::time::Duration;

/// Characters of a file's path wherever it is shown: no system takes more.
pub const SHOWN_PATH_CHARS_MAX: usize = 4_096;
/// Characters of a path in the access log.
pub const LOG_PATH_CHARS_MAX: usize = 512;
/// Characters of a method or another single word in the access log.
pub const LOG_WORD_CHARS_MAX: usize = 32;
/// Lines of the access log are gathered for this long, so that many leave in one system call.
pub const LOG_GATHER_WAIT: Duration = Duration::from_millis(50);
/// With so many bytes of them they leave earlier.
pub const LOG_GATHERED_BYTES_SOON: usize = 256 * 1024;
/// Bytes of them that wait while standard error takes none; further lines are dropped and counted.
pub const LOG_GATHERED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// At the end, standard error has this long to take what is left.
pub const LOG_CLOSE_WAIT: Duration = Duration::from_secs(3);
