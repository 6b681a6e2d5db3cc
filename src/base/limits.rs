//! A limit on everything, in one place: each loop, queue, buffer, retry and wait names a constant
//! from here, unit last. The values are those of the design's table and of the newer gateway.

mod acme;
mod certificates;
mod forwarding;
mod household;
mod import;
mod log;
mod metrics;
mod pairing;
mod store;
mod strangers;
mod upstream;

use std::time::Duration;

pub use acme::*;
pub use certificates::*;
pub use forwarding::*;
pub use household::*;
pub use import::*;
pub use log::*;
pub use metrics::*;
pub use pairing::*;
pub use store::*;
pub use strangers::*;
pub use upstream::*;

// ---- Connections -------------------------------------------------------------------------

/// A required PROXY header must be whole within this time.
pub const PROXY_HEADER_WAIT: Duration = Duration::from_secs(3);
/// PROXY header and TLS handshake together, from `accept`.
pub const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);
/// A version 2 PROXY header in full: 16 fixed bytes, 216 of addresses, and what TLVs fit.
pub const PROXY_V2_BYTES_MAX: usize = 536;
/// A version 1 PROXY line with its CRLF (PROXY protocol section 2.1).
pub const PROXY_V1_BYTES_MAX: usize = 107;
/// TLVs in one version 2 PROXY header.
pub const PROXY_TLVS_MAX: usize = 64;
/// How long a browser that came by https comes by nothing else (RFC 6797 §6.1.1): a year, in seconds.
pub const HTTPS_HELD: &str = "max-age=31536000";
/// The kernel's queue of connections not yet accepted, for each listening socket.
pub const ACCEPT_BACKLOG: i32 = 4096;
/// Open connections in total; further ones are closed at once.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Of these, kept for callers from loopback.
pub const CONNECTIONS_RESERVE: usize = 64;
/// One client may hold this part of all connections, where descriptors are few.
pub const CONNECTIONS_PER_CLIENT_DIVISOR: usize = 8;
/// Open connections that no shortage of descriptors takes from one client: as many as a busy browser has.
pub const CONNECTIONS_PER_CLIENT_MIN: usize = 64;
/// Open connections from one client address (an IPv6 /64 counts as one). Loopback is exempt.
pub const CONNECTIONS_PER_CLIENT_MAX: usize = 1_024;
/// Descriptors kept for everything but connections: store, log, admin socket, listeners.
pub const DESCRIPTORS_RESERVE: usize = 256;
/// Sockets of a `/proc/net` table that are read.
pub const PROC_SOCKETS_MAX: usize = 100_000;
/// One answer of the kernel to the question who owns a socket: a header, a socket and a few attributes.
pub const SOCKET_ANSWER_BYTES_MAX: usize = 4_096;
/// Descriptors of one process that are looked at to find who holds a port.
pub const PROC_DESCRIPTORS_MAX: usize = 4_096;
/// Pause after `accept` failed for want of descriptors, so that the loop never spins.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A whois at tailscaled, from the wait for a place to the answer; the TLS handshake goes on meanwhile.
pub const WHOIS_WAIT: Duration = Duration::from_secs(2);
/// Questions to tailscaled at once; further ones wait within [`WHOIS_WAIT`].
pub const WHOIS_AT_ONCE_MAX: usize = 64;
/// tailscaled's word on a connection's peer; a request that comes later asks again.
pub const WHOIS_LIFE: Duration = Duration::from_secs(300);
/// One answer of tailscaled: a node with its host's facts, a user with groups, capabilities.
pub const WHOIS_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Addresses of one node of a tailnet; it has two.
pub const WHOIS_ADDRESSES_MAX: usize = 64;

/// A fault that repeats is logged this often.
pub const WARN_PERIOD: Duration = Duration::from_secs(10);
/// Refused WebSockets are told in so many lines of the log in each period; more would be a stranger's way to fill the disk.
pub const REFUSAL_LINES_MAX: usize = 100;
/// That period.
pub const REFUSAL_LINES_PERIOD: Duration = Duration::from_secs(10);
/// Sources of a kind, nearby or of the world, of whom the log advises something in one [`ADVICE_PERIOD`].
pub const ADVICE_SOURCES_PER_SHARE_MAX: usize = 32;
/// After this, it may advise the same again.
pub const ADVICE_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// Bytes in which a plain caller of a TLS port shows that it speaks HTTP; the longest registered method has 17.
pub const METHOD_BYTES_MAX: usize = 32;

// ---- HTTP --------------------------------------------------------------------------------

/// A request's head must be whole this long after its first byte.
pub const HEAD_WAIT: Duration = Duration::from_secs(5);
/// A connection that has not begun its first request: shorter than [`IDLE_WAIT`], because a place that was never used is
/// the cheapest to hold.
pub const FIRST_HEAD_WAIT: Duration = Duration::from_secs(10);
/// A kept-alive connection without a request.
pub const IDLE_WAIT: Duration = Duration::from_secs(60);
/// A request's body, from head to last byte, on routes we answer ourselves.
pub const BODY_WAIT: Duration = Duration::from_secs(30);
/// Bytes that are read and thrown away after a refusal, so that the caller sees the refusal and not a reset.
pub const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// They are read in pieces of this size.
pub const LINGER_PIECE_BYTES: usize = 2_048;
/// How long such a refusal takes, answer and waiting for these bytes together.
pub const LINGER_WAIT: Duration = Duration::from_secs(1);
/// An answer, from its first byte to its last.
pub const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Plain bytes gathered into one TLS record and one system call.
pub const CORK_BYTES_MAX: usize = 16 * 1024;
/// Bytes of one request's head.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of one request.
pub const HEAD_LINES_MAX: usize = 100;
/// Body bytes on routes that we answer ourselves.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Requests on one kept-alive connection.
pub const REQUESTS_PER_CONNECTION_MAX: u32 = 10_000;
/// Elements of one forwarding header that are walked; more end as unattributed.
pub const FORWARDED_HOPS_MAX: usize = 32;
/// Bytes of one node of `Forwarded` that are read: the longest IPv6 address in brackets with a port, and room.
pub const FORWARDED_NODE_BYTES_MAX: usize = 64;
/// Parameters of one element of `Forwarded`; RFC 7239 has four, and each is compared with those before it.
pub const FORWARDED_PARAMETERS_MAX: usize = 16;
/// Bytes of a file of ranges.
pub const RANGE_LIST_BYTES_MAX: u64 = 1024 * 1024;
/// Age at which a list of a provider's ranges gets a warning: by then some of it may be somebody else's.
pub const RANGE_LIST_DAYS_MAX: i64 = 365;
/// Steps of one origin's trail: PROXY header, trust, hops, client, class, the conditions of the local rule, and room.
pub const TRAIL_STEPS_MAX: usize = 15;
/// Bytes of a Host, SNI or Origin value that are read at all.
pub const AUTHORITY_BYTES_MAX: usize = 300;

// ---- This machine's network ----------------------------------------------------------------

/// Default gateways of this machine that are remembered.
pub const GATEWAYS_MAX: usize = 32;
/// Addresses of this machine's own interfaces that are remembered.
pub const LINK_ADDRESSES_MAX: usize = 256;
/// Links of this machine; more are not told apart.
pub const LINKS_MAX: usize = 4_096;
/// Parts of one answer of the kernel that are read.
pub const NETLINK_ANSWERS_MAX: usize = 10_000;
/// Processes we descend from that are looked at.
pub const ANCESTORS_MAX: usize = 32;
/// A dial of the published port is refused within this time, or nothing is proven.
pub const PROBE_WAIT: Duration = Duration::from_secs(2);
/// Our own listener has heard the probe within this time.
pub const PROBE_HEARD_WAIT: Duration = Duration::from_secs(1);
/// Addresses of the host that one probe dials.
pub const PROBE_ADDRESSES_MAX: usize = 8;

// ---- The assertion -----------------------------------------------------------------------

/// Longest life of an assertion, `exp - iat`, and that of a shared one.
pub const ASSERTION_LIFE_SECONDS: u64 = 30;
/// Life of a single-use assertion: it is read at once, and the shorter it lives the more of them the replay memory holds.
pub const ASSERTION_SINGLE_LIFE_SECONDS: u64 = 10;
/// Rounding allowed between edge and core on one host, whose clock is the same.
pub const ASSERTION_LEEWAY_SAME_HOST_SECONDS: u64 = 2;
/// Clock difference allowed between edge and core on different hosts.
pub const ASSERTION_LEEWAY_SECONDS: u64 = 60;
/// An assertion without `req` is shared for at most this long.
pub const ASSERTION_SHARED_SECONDS: u64 = 10;
/// Bytes of one compact assertion.
pub const ASSERTION_BYTES_MAX: usize = 8 * 1024;
/// Characters of a `jti`.
pub const ASSERTION_ID_CHARS_MAX: usize = 64;
/// Bytes of a request's method, or of its `Sec-WebSocket-Key` (24 by RFC 6455), that an assertion repeats.
pub const ASSERTION_WORD_BYTES_MAX: usize = 64;
/// Shared assertions remembered by one verifier.
pub const ASSERTIONS_SHARED_MAX: usize = 4_096;
/// Single-use `jti` remembered by one verifier; when it is full, requests are refused, never let through.
pub const REPLAYS_MAX: usize = 200_000;
/// Of [`REPLAYS_MAX`], kept for requests that open a WebSocket.
pub const REPLAYS_RESERVE: usize = 50_000;
/// Bytes of one identity token of another product.
pub const FOREIGN_TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Longest life of such a token, `exp - iat`: Cloudflare Access lets a session's last a month.
pub const FOREIGN_LIFE_SECONDS_MAX: u64 = 31 * 24 * 3600;
/// Clock difference allowed between its issuer and us.
pub const FOREIGN_LEEWAY_SECONDS: u64 = 60;
/// Bytes of one issuer's JWK Set.
pub const JWK_SET_BYTES_MAX: usize = 256 * 1024;
/// From the first look for an issuer's name to the last byte of its set.
pub const JWK_SET_FETCH_WAIT: Duration = Duration::from_secs(10);
/// The dial of one of the addresses of its host, within [`JWK_SET_FETCH_WAIT`]: an address family without a route is common.
pub const JWK_SET_DIAL_WAIT: Duration = Duration::from_secs(3);
/// A request whose key is not known waits this long for a newer set, and is refused then.
pub const JWK_SET_WAIT: Duration = Duration::from_secs(3);
/// Age at which a set is fetched again: a key that its issuer withdrew is believed no longer than this.
pub const JWK_SET_REFRESH_PERIOD: Duration = Duration::from_secs(3600);
/// How often a set in a file is read again.
pub const JWK_SET_FILE_PERIOD: Duration = Duration::from_secs(10);
/// After a failure it is tried again this soon.
pub const JWK_SET_RETRY_PERIOD: Duration = Duration::from_secs(15);
/// Unknown keys cause a fetch at most this often.
pub const JWK_SET_ASK_PERIOD: Duration = Duration::from_secs(60);
/// Unknown keys cause a look into the file at most this often.
pub const JWK_SET_FILE_ASK_PERIOD: Duration = Duration::from_secs(1);
/// A set that cannot be had anew is gone by for this long.
pub const JWK_SET_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Issuers whose identity tokens are read.
pub const ISSUERS_MAX: usize = 16;
/// Keys in one issuer's set.
pub const FOREIGN_KEYS_MAX: usize = 64;
/// Age after which the signing key is replaced.
pub const SIGNING_KEY_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// A replaced signing key still verifies for this long, so that a draining edge is believed.
pub const SIGNING_KEY_OVERLAP: Duration = Duration::from_secs(3600);
/// Signing keys at once: the current one, and those in their overlap.
pub const SIGNING_KEYS_MAX: usize = 16;

// ---- The gateway protocol ----------------------------------------------------------------

/// A WebSocket must send `connect` within this time (the newer gateway: 15 s).
pub const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// What is read from a socket at once; kept by every idle one.
pub const SOCKET_READ_BYTES: usize = 1_024;
/// Frames that may arrive while `connect` is looked at.
pub const FRAMES_BEFORE_HELLO_MAX: usize = 15;
/// A frame before `hello-ok`, and all that arrive while `connect` is looked at, together.
pub const FRAME_BYTES_BEFORE_HELLO_MAX: usize = 64 * 1024;
/// A message after `hello-ok`: `policy.maxPayload`.
pub const MESSAGE_BYTES_MAX: usize = 26_214_400;
/// Queued for one socket: `policy.maxBufferedBytes`.
pub const OUTBOUND_BYTES_PER_SOCKET_MAX: usize = 52_428_800;
/// Queued for all sockets together.
pub const OUTBOUND_BYTES_TOTAL_MAX: usize = 256 * 1024 * 1024;
/// Sockets of one client that have not had `hello-ok`; the next one gets 503.
pub const SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX: usize = 32;
/// The same from one IPv6 /48, which one customer can have whole (RFC 6177).
pub const SOCKETS_BEFORE_HELLO_PER_SITE_MAX: usize = 8 * SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX;
/// Sockets of all clients that have not had `hello-ok`.
pub const SOCKETS_BEFORE_HELLO_MAX: usize = 4_096;
/// Of these, kept for clients that were admitted before.
pub const SOCKETS_BEFORE_HELLO_RESERVE: usize = 1_024;
/// Clients remembered as admitted before, the latest ones.
pub const CLIENTS_ADMITTED_MAX: usize = 10_000;
/// Period of the `tick` event: `policy.tickIntervalMs`.
pub const TICK_PERIOD: Duration = Duration::from_secs(30);
/// Period of WebSocket pings after `hello-ok`.
pub const PING_PERIOD: Duration = Duration::from_secs(25);
/// While draining, sockets are told in groups, this far apart.
pub const DRAIN_STEP: Duration = Duration::from_millis(100);
/// Between our close frame and the end of the socket.
pub const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// Period of the core's own round of upkeep.
pub const UPKEEP_PERIOD: Duration = Duration::from_secs(1);
/// Pending requests are looked through for expired ones this often.
pub const EXPIRY_PERIOD: Duration = Duration::from_secs(5);
/// Sights of devices that wait are written this often.
pub const SEEN_FLUSH_PERIOD: Duration = Duration::from_secs(60);
/// Entries of the presence list.
pub const PRESENCE_ENTRIES_MAX: usize = 100;
/// Changes of the presence list are told at most this often.
pub const PRESENCE_PERIOD: Duration = Duration::from_secs(1);
/// With many sockets, presence is told only as often as keeps below this.
pub const PRESENCE_BYTES_PER_SECOND: usize = 4 * 1024 * 1024;
/// A close reason in UTF-8 bytes, as the gateway cuts it.
pub const CLOSE_REASON_BYTES_MAX: usize = 120;
/// Calls without the needed role or scope before the socket is closed.
pub const UNAUTHORIZED_CALLS_MAX: u32 = 10;
/// Messages one socket may send in a second after `hello-ok`, on average.
pub const MESSAGES_PER_SECOND_MAX: u32 = 1_000;
/// Difference between a device's `signedAt` and our clock.
pub const SIGNED_AT_SKEW_MS: i64 = 120_000;
/// Scopes one `connect` may ask for.
pub const SCOPES_MAX: usize = 64;
/// Characters of one scope.
pub const SCOPE_CHARS_MAX: usize = 96;
/// Faults named in one answer to parameters that do not fit their schema.
pub const SCHEMA_FAULTS_MAX: usize = 8;
/// Entries of `caps`, `commands` or `permissions` in one `connect`.
pub const CAPABILITIES_MAX: usize = 1_024;
/// Characters of a public key in any accepted spelling (PEM is the longest).
pub const PUBLIC_KEY_CHARS_MAX: usize = 512;
/// Characters of a token or password that are compared at all.
pub const CREDENTIAL_CHARS_MAX: usize = 4_096;
/// Characters of a client's `buildId`, as the gateway's schema has it.
pub const BUILD_ID_CHARS_MAX: usize = 96;
/// Characters of a client's `timeZone`, as the gateway's schema has it.
pub const TIME_ZONE_CHARS_MAX: usize = 64;
/// Characters of an unknown method that are repeated in the answer.
pub const METHOD_SHOWN_CHARS_MAX: usize = 64;
/// Characters of an unexpected property that are repeated in the answer.
pub const PROPERTY_SHOWN_CHARS_MAX: usize = 48;
/// Characters of any identifier or label a stranger sends.
pub const LABEL_CHARS_MAX: usize = 256;

// ---- Decisions that can be explained -------------------------------------------------------

/// Refusals kept of callers who proved that they know the gateway's secret or a device token.
pub const DECISIONS_VOUCHED_MAX: usize = 512;
/// Of these, from one IPv4 address or IPv6 /64.
pub const DECISIONS_VOUCHED_PER_CLIENT_MAX: usize = 64;
/// Refusals kept of callers on this machine, its own networks and the tailnet.
pub const DECISIONS_NEAR_MAX: usize = 1_024;
/// Of these, from one IPv4 address or IPv6 /64.
pub const DECISIONS_NEAR_PER_CLIENT_MAX: usize = 64;
/// Refusals kept of everybody else.
pub const DECISIONS_STRANGERS_MAX: usize = 2_048;
/// Of these, from one IPv4 address or IPv6 /64.
pub const DECISIONS_STRANGERS_PER_CLIENT_MAX: usize = 16;
/// Of these, from one IPv6 /48, which one customer can have whole (RFC 6177).
pub const DECISIONS_STRANGERS_PER_SITE_MAX: usize = 64;
/// Decisions kept that let somebody in.
pub const DECISIONS_SERVED_MAX: usize = 1_024;
/// Of these, from one IPv4 address or IPv6 /64.
pub const DECISIONS_SERVED_PER_CLIENT_MAX: usize = 64;
/// Bytes of header lines kept with one decision, names and values.
pub const DECISION_LINE_BYTES_MAX: usize = 2_048;
/// Characters kept of a path.
pub const DECISION_PATH_CHARS_MAX: usize = 256;
/// Scopes kept of what a `connect` asks for, or is granted.
pub const DECISION_SCOPES_MAX: usize = 16;
/// Callers that `explain --last-denied` names beside the last one.
pub const DECISION_OTHERS_MAX: usize = 8;
/// Entries of the audit log about one device among which `explain` looks for what became of its request.
pub const DECISION_SINCE_ENTRIES_MAX: usize = 1_000;

// ---- Pairing -----------------------------------------------------------------------------

/// Life of a pending request, from its last refresh, if the operator says nothing else.
pub const PENDING_LIFE_SECONDS: i64 = 300;
/// Two readings of one moment differ by this much at most, for rounding.
pub const MOMENT_ROUNDING_MS: i64 = 10;
/// A device's last sight is written down at most this often.
pub const SEEN_PERIOD_MS: i64 = 300_000;
/// A request that was seen more than this ahead of now counts as expired: its time cannot be known.
pub const CLOCK_BACK_MS_MAX: i64 = 5_000;

// ---- People ------------------------------------------------------------------------------

/// Of a drain's window, kept for the sockets that were told last to close.
pub const DRAIN_RESERVE: Duration = Duration::from_secs(3);
/// How often a drain looks whether all connections are closed.
pub const DRAIN_POLL: Duration = Duration::from_millis(20);
/// SIGTERM to exit, unless `edge.drain_seconds` says otherwise.
pub const DRAIN_SECONDS: u64 = 30;
/// The longest drain that may be configured: what a service manager still waits for.
pub const DRAIN_SECONDS_MAX: i64 = 3_600;
/// Characters of the name of an edge, a core or a listener: it stands in every assertion.
pub const ID_CHARS_MAX: usize = 64;
/// Addresses in one `local_peers`.
pub const LOCAL_PEERS_MAX: usize = 16;
/// Characters of a refused value that are repeated; its line stands below anyway.
pub const CONFIG_SHOWN_CHARS_MAX: usize = 80;
/// Bytes of the lock's file that are read: a pid and a path.
pub const LOCK_FILE_BYTES_MAX: u64 = 8 * 1024;
/// One question on the admin socket.
pub const ADMIN_LINE_BYTES_MAX: usize = 1024 * 1024;
/// One answer on the admin socket: the list of every device.
pub const ADMIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Each step of an admin command: its line read, its work done, its answer written.
pub const ADMIN_WAIT: Duration = Duration::from_secs(10);
/// A reload's answer to whoever asked for it, well within [`ADMIN_WAIT`]; the reload itself goes on.
pub const RELOAD_WAIT: Duration = Duration::from_secs(8);
/// Admin commands at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 16;
/// Bytes that `explain --batch` reads.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often signing keys and certificates are looked at; both last much longer.
pub const MAINTENANCE_PERIOD: Duration = Duration::from_secs(3600);
/// How often this machine's routes are read.
pub const NETWORK_PERIOD: Duration = Duration::from_secs(60);
/// The one-time page that signs the owner's browser in lies there this long.
pub const DASHBOARD_FILE_LIFE: Duration = Duration::from_secs(10);
/// Bytes of a configuration file.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// A gateway token that an operator chose is at least this long.
pub const GATEWAY_TOKEN_CHARS_MIN: usize = 24;
/// Different characters in it; the samples that are known are not all that people type.
pub const GATEWAY_TOKEN_DIFFERENT_CHARS_MIN: usize = 8;
/// Bytes of a file of secrets, keys or certificates.
pub const KEY_FILE_BYTES_MAX: u64 = 256 * 1024;
