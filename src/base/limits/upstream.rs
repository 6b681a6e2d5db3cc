//! Limits of the bridge to a real gateway.

use std::time::Duration;

/// Paths of the upstream that a configuration opens.
pub const OPEN_PATHS_MAX: usize = 64;
/// TCP, TLS and the upgrade together, to the upstream.
pub const UPSTREAM_DIAL_WAIT: Duration = Duration::from_secs(4);
/// TCP and TLS to one address of it: with one that is dead there is time for another.
pub const UPSTREAM_CONNECT_WAIT: Duration = Duration::from_secs(2);
/// The id of a request that waits at the upstream, as its owner copies it into a command.
pub const UPSTREAM_REQUEST_ID_CHARS_MAX: usize = 64;
/// From the upgrade to the answer to our `connect`.
pub const UPSTREAM_HELLO_WAIT: Duration = Duration::from_secs(8);
/// How long a caller waits for an upstream that is not there at this moment, as while it restarts.
pub const UPSTREAM_READY_WAIT: Duration = Duration::from_secs(2);
/// Sockets of callers on their way to the upstream's `hello-ok` at once: the newer gateway has 32 places for one address.
pub const UPSTREAM_DIALS_MAX: usize = 16;
/// How long an address of the upstream's name is believed.
pub const UPSTREAM_ADDRESS_LIFE: Duration = Duration::from_secs(10);
/// The shortest pause before our own connection to the upstream is tried again, whoever waits for it. With each failure the
/// pause doubles, so the first is twice this.
pub const UPSTREAM_RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest pause.
pub const UPSTREAM_RETRY_MAX: Duration = Duration::from_secs(15);
/// How long a token that the upstream refused is not shown to it again: ten wrong ones within a minute lock our address out, and
/// with it its owner's own browser.
pub const UPSTREAM_TOKEN_PAUSE: Duration = Duration::from_secs(30);
/// How often our own connection asks the upstream for a sign of life.
pub const UPSTREAM_PING_PERIOD: Duration = Duration::from_secs(5);
/// How long it waits for one.
pub const UPSTREAM_PONG_WAIT: Duration = Duration::from_secs(10);
/// Periods of the upstream's `tick` without a word of it, after which a bridged session ends.
pub const UPSTREAM_SILENT_TICKS: u32 = 3;
/// The head of the upstream's answer to an upgrade, and the part of a refusal's body that is read.
pub const UPSTREAM_HEAD_BYTES_MAX: usize = 16 * 1024;
/// The upstream's page, in which its build id stands.
pub const UPSTREAM_PAGE_BYTES_MAX: usize = 256 * 1024;
/// Secrets of the upstream that are looked for in what it sends.
pub const UPSTREAM_SECRETS_MAX: usize = 16;
/// Calls of our own connection that wait for their answer.
pub const UPSTREAM_CALLS_MAX: usize = 64;
/// How long an answer to one is waited for.
pub const UPSTREAM_CALL_WAIT: Duration = Duration::from_secs(10);
/// Sockets without a web origin that have the upstream's own challenge, for they may be nodes': with the dials under way they
/// stay below the upstream's 32.
pub const UPSTREAM_GUESTS_MAX: usize = 8;
/// The same of one caller.
pub const UPSTREAM_GUESTS_PER_CALLER_MAX: usize = 2;
/// Of all of them those that strangers leave to callers who were let in before.
pub const UPSTREAM_GUESTS_RESERVE: usize = 4;
/// How long the upstream may take for a challenge: clients wait 750 ms for theirs.
pub const UPSTREAM_CHALLENGE_WAIT: Duration = Duration::from_millis(500);
/// How often a request's credential is looked at again because something was taken back meanwhile.
pub const UPSTREAM_LOOKS_MAX: usize = 3;
/// After which a caller over HTTP is told to ask a gateway again that does not answer.
pub const UPSTREAM_ASK_AGAIN: Duration = Duration::from_secs(2);
/// After which a browser that was shown that asks by itself.
pub const UPSTREAM_REFRESH: Duration = Duration::from_secs(5);
/// After which a client of the protocol is told to come again: the gateway's own while it starts.
pub const UPSTREAM_COME_AGAIN: Duration = Duration::from_millis(500);
/// The same where nobody is there, or a person must act first.
pub const UPSTREAM_COME_LATER: Duration = Duration::from_secs(2);
/// How long a place at the upstream is kept for a caller that has its challenge and says nothing.
pub const UPSTREAM_GUEST_WAIT: Duration = Duration::from_secs(2);
