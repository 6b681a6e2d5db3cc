//! What certificates from files, of the tailnet and of callers may take of our time and room.

use std::time::Duration;

/// How often the certificate of an open connection is judged again, where nothing that it is judged by changes.
pub const CLIENT_CERTIFICATE_PERIOD: Duration = Duration::from_secs(60);

/// The tailnet's certificate, which tailscaled may have to order at a CA first.
pub const TAILNET_CERT_WAIT: Duration = Duration::from_secs(120);
/// How often it is looked at whether tailscaled is to be asked for one. Looking asks nobody.
pub const TAILNET_LOOK_PERIOD: Duration = Duration::from_secs(5);
/// How often tailscaled is asked for names, and for a certificate that is due.
pub const TAILNET_ASK_PERIOD: Duration = Duration::from_secs(3600);
/// After it was asked in vain; each time twice as long.
pub const TAILNET_RETRY_WAIT: Duration = Duration::from_secs(10);
/// But no longer.
pub const TAILNET_RETRY_WAIT_MAX: Duration = Duration::from_secs(3600);
/// Names of one machine on its tailnet; it has one, or a few.
pub const TAILNET_NAMES_MAX: usize = 16;
/// Certificate files are looked at this often without being told: not every file system tells.
pub const FILES_LOOK_PERIOD: Duration = Duration::from_secs(20);
/// A pair is taken when nothing was written for so long: it is two files.
pub const FILES_QUIET_WAIT: Duration = Duration::from_millis(700);
/// However much is written there.
pub const FILES_QUIET_WAIT_MAX: Duration = Duration::from_secs(5);
/// Names of one folder that are looked through for certificates.
pub const FOLDER_ENTRIES_MAX: usize = 1_000;
/// Pairs that lie in `certificates.dir` without being configured.
pub const DROPPED_PAIRS_MAX: usize = 100;
/// Folders that the kernel is asked to watch for certificate files.
pub const WATCHED_FOLDERS_MAX: usize = 500;
/// Certificates of CAs, or lists of theirs, in one file that callers are checked by.
pub const CLIENT_AUTHORITIES_MAX: usize = 100;
/// Names of a caller's certificate that stand in an assertion.
pub const CLIENT_CERT_NAMES_MAX: usize = 8;
/// One of them, or its subject.
pub const CLIENT_CERT_WORD_CHARS_MAX: usize = 128;
/// Certificates begin this much in the past, for clients whose clock is late.
pub const CERTIFICATE_BACKDATE: Duration = Duration::from_secs(3600);
/// Roots in one file that a server of ours to ask is known by; Mozilla's list is half of it.
pub const ROOTS_MAX: usize = 300;
/// Certificates in one chain.
pub const CHAIN_CERTIFICATES_MAX: usize = 10;
/// Local CAs that are kept aside from one second.
pub const AUTHORITIES_ASIDE_MAX: u8 = 255;
/// Names one local leaf carries.
pub const LEAF_NAMES_MAX: usize = 100;
