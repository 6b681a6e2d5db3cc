//! What may pass to the upstream over HTTP, and how long it may take.

use std::time::Duration;

/// Body bytes of one request that goes up. Nothing of it is kept: this ends what never would.
pub const FORWARDED_BODY_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// A piece of such a body, from the one before; each of an answer, as its caller takes it.
pub const FORWARDED_PIECE_WAIT: Duration = Duration::from_secs(30);
/// After this, a body that goes up must have come at [`FORWARDED_BYTES_PER_SECOND_MIN`] in the mean.
pub const FORWARDED_BODY_GRACE: Duration = Duration::from_secs(60);
/// Slower is nobody's line: a modem of old brings three times as much.
pub const FORWARDED_BYTES_PER_SECOND_MIN: u64 = 1024;
/// How long the upstream may think between two pieces of its answer: an agent's turn takes its time.
pub const FORWARDED_ANSWER_WAIT: Duration = Duration::from_secs(3600);
/// Requests at the upstream at once. Each is a connection there.
pub const FORWARDED_REQUESTS_MAX: usize = 1_024;
/// Of these, kept for callers that are known.
pub const FORWARDED_REQUESTS_RESERVE: usize = 256;
/// Of one client, an IPv6 /64 counted as one.
pub const FORWARDED_REQUESTS_PER_CLIENT_MAX: usize = 256;
/// Of one client that nobody knows: what a browser asks for at once while it loads the page, twice.
pub const FORWARDED_REQUESTS_PER_STRANGER_MAX: usize = 128;
/// Of all strangers in one IPv6 /48 together.
pub const FORWARDED_REQUESTS_PER_SITE_MAX: usize = 256;
/// How long the answer to a stranger may take in all: its files are small, and who reads slowly holds a place.
pub const FORWARDED_STRANGER_WAIT: Duration = Duration::from_secs(300);
/// TCP to the upstream.
pub const FORWARDED_CONNECT_WAIT: Duration = Duration::from_secs(3);
/// TCP and TLS to the upstream.
pub const FORWARDED_HANDSHAKE_WAIT: Duration = Duration::from_secs(6);
/// A connection to the upstream that nobody uses: the upstream closes it after five seconds (Node), and what it closes while
/// we send is lost.
pub const FORWARDED_IDLE_WAIT: Duration = Duration::from_secs(3);
/// How often one request is sent, if need be.
pub const SENDS_MAX: usize = 2;
/// Connections to the upstream that each event loop keeps.
pub const FORWARDED_IDLE_MAX: usize = 32;
