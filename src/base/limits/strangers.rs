//! What somebody may make us judge, keep and tell before a person knows him: wrong secrets, and requests that wait.

use std::time::Duration;

// ---- Requests that wait ----------------------------------------------------------------------

/// Pending requests in total: what a person still looks through.
pub const PENDING_MAX: usize = 50;
/// Pending requests from one IPv4 address or IPv6 /64: a person brings a few devices at a time.
pub const PENDING_PER_CLIENT_MAX: usize = 3;
/// The same from one IPv6 /56, which is one home's (RFC 6177).
pub const PENDING_PER_HOUSEHOLD_MAX: usize = 2 * PENDING_PER_CLIENT_MAX;
/// The same from one IPv6 /48, which one customer can have whole.
pub const PENDING_PER_SITE_MAX: usize = 2 * PENDING_PER_HOUSEHOLD_MAX;
/// Of [`PENDING_MAX`], kept for callers from this machine's own networks and for devices already paired.
pub const PENDING_RESERVE: usize = 10;
/// A request keeps its place for this long whoever else wants to wait: a person needs time to read it, and however many
/// come, no more than [`PENDING_MAX`] take another's place, and are written down, in this time.
pub const PENDING_KEPT: Duration = Duration::from_secs(60);

/// A device whose request a person rejected may not begin another for this long.
pub const REJECTION_COOL_DOWN: Duration = Duration::from_secs(60);
/// Rejected devices that are remembered for that long, the latest.
pub const REJECTIONS_MAX: usize = 1_000;
/// A request that has just taken the place of the same device's stands this long, whatever else the device asks for: each
/// change is two entries of the audit log.
pub const REQUEST_SETTLE: Duration = Duration::from_secs(10);
/// Requests that are remembered for that long, the latest. More than can wait, and change, in it.
pub const REQUESTS_SETTLING_MAX: usize = 1_000;

// ---- Notices ---------------------------------------------------------------------------------

/// A source that keeps asking is told of once in this time; more of it is told when that is over.
pub const NOTICE_PERIOD: Duration = Duration::from_secs(60);
/// Requests of one IPv4 address or IPv6 /64 that are told of at once: as many as may wait there. No more are told of in as many
/// times [`NOTICE_PERIOD`].
pub const NOTICES_PER_CLIENT_MAX: u32 = 3;
/// Requests of all strangers together that are told of within [`NOTICE_PERIOD`]; as many again of the owner's own networks.
pub const NOTICES_MAX: usize = 30;

// ---- Wrong secrets ---------------------------------------------------------------------------

/// Wrong secrets from one client within [`FAILURE_WINDOW`] before it is locked out.
pub const FAILURES_MAX: u32 = 10;
/// The same from one IPv6 /56, which is one home's (RFC 6177). Four times as many as from a /64, so that whoever rents one
/// /64 of it, and is locked out by then, has used up a quarter and locked no neighbour out.
pub const FAILURES_PER_HOUSEHOLD_MAX: u32 = 4 * FAILURES_MAX;
/// The same from one IPv6 /48, which one customer can have whole; four times as many again, for the homes in one.
pub const FAILURES_PER_SITE_MAX: u32 = 4 * FAILURES_PER_HOUSEHOLD_MAX;
/// The same from all strangers together, for which nobody is locked out: it ends with the flood. Somebody with a /48 of his
/// own has used up a sixth when he is locked out. It bounds the table of failures, too, so that nothing is ever dropped
/// from it: no lock can be washed away.
pub const FAILURES_OF_ALL_MAX: u32 = 1_000;
/// The window in which wrong secrets are counted.
pub const FAILURE_WINDOW: Duration = Duration::from_secs(60);
/// How long a client, or a network of IPv6, that guessed too often is refused.
pub const LOCKOUT: Duration = Duration::from_secs(300);
/// What has left the window is forgotten this often.
pub const FAILURE_SWEEP_PERIOD: Duration = Duration::from_secs(60);
