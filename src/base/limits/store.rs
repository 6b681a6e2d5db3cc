//! What the store waits for, keeps and forgets.

use std::time::Duration;

/// How long a statement waits for another process that has the store locked.
pub const STORE_BUSY_WAIT: Duration = Duration::from_secs(5);
/// Bytes that the store's write-ahead log keeps once it was merged; text, as SQLite reads it.
pub const STORE_LOG_BYTES_KEPT: &str = "4194304";
/// Backups kept of those that an upgrade makes before it changes the store.
pub const BACKUPS_BEFORE_UPGRADE_MAX: usize = 8;
/// Records that a look through a whole table of the store has in memory at once.
pub const STORE_PAGE_RECORDS: i64 = 500;
/// Entries of the audit log; of one that is longer, the oldest are dropped.
pub const AUDIT_ENTRIES_MAX: i64 = 20_000;
/// Entries of the audit log that are dropped at a time.
pub const AUDIT_ENTRIES_DROPPED: i64 = 5_000;
/// Things taken back that are kept beside the store for the day an older copy of it is restored.
pub const TAKEN_BACK_MAX: usize = 2_000;
/// Devices whose request a person rejected that are remembered beside the store, the latest: no rule lets them in.
pub const REJECTED_MAX: usize = 2_000;
/// Backups made within the same second.
pub const BACKUPS_PER_SECOND_MAX: usize = 100;
