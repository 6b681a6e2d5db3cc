//! What a monitor may take of us when it reads the numbers.

use std::time::Duration;

/// One connection to the numbers, from `accept` to its end.
pub const METRICS_WAIT: Duration = Duration::from_secs(10);
/// A request's head there, from the connection's beginning.
pub const METRICS_HEAD_WAIT: Duration = Duration::from_secs(5);
/// The same in bytes: the least that the reader of heads has room for.
pub const METRICS_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Header lines of one.
pub const METRICS_HEAD_LINES_MAX: usize = 100;
/// Connections there at once; further ones wait.
pub const METRICS_CONNECTIONS_MAX: usize = 8;
/// Addresses on which the numbers are read.
pub const METRICS_ADDRESSES_MAX: usize = 8;
/// How often the chain of the audit log is looked through for them.
pub const METRICS_AUDIT_PERIOD: Duration = Duration::from_secs(3_600);
