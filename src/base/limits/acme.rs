//! What a CA may take of our time and room, and how often it is asked.

use std::time::Duration;

/// What an ACME server takes for one answer, its connection included.
pub const ACME_ANSWER_WAIT: Duration = Duration::from_secs(30);
/// An ACME server's answer but for a chain. As many as there are names in an order may be kept for a while.
pub const ACME_ANSWER_BYTES_MAX: usize = 64 << 10;
/// A certificate chain.
pub const ACME_CHAIN_BYTES_MAX: usize = 256 << 10;
/// From the word that a challenge stands ready to the CA's verdict. It looks from several places.
pub const ACME_VALIDATION_WAIT: Duration = Duration::from_secs(90);
/// From a signing request to the certificate.
pub const ACME_ISSUE_WAIT: Duration = Duration::from_secs(90);
/// The first look whether an order has moved; each later one waits longer.
pub const ACME_POLL_WAIT: Duration = Duration::from_millis(250);
/// Anew with a fresh nonce, for each message; the library has tried three times then.
pub const ACME_NONCE_TRIES: usize = 10;
/// One attempt with all its steps. What is left of an order is gone on with later.
pub const ACME_ATTEMPT_WAIT: Duration = Duration::from_secs(600);
/// How often it is looked at what a certificate of a CA needs next. Looking costs nothing and asks nobody.
pub const ACME_LOOK_PERIOD: Duration = Duration::from_secs(5);
/// An order that was looked at so often in vain is given up. With the waits between, that takes more than an hour.
pub const ACME_RESUMES_MAX: u32 = 4;
/// From a certificate to the next order, where the CA wants one after another renewed before its time; never more than a
/// quarter of its life. Fewer than the five certificates for the same names that a CA signs in a week.
pub const ACME_EARLY_WAITS: [Duration; 3] =
    [Duration::from_secs(3_600), Duration::from_secs(43_200), Duration::from_secs(129_600)];
/// A window that begins longer before its certificate was not meant.
pub const ACME_WINDOW_PAST_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Profiles of a CA that a fault names.
pub const ACME_PROFILES_SHOWN_MAX: usize = 10;
/// From one look at a clock that is wrong to the next, at most.
pub const ACME_CLOCK_PERIOD_MAX: Duration = Duration::from_secs(300);
/// From a failure to the next order. Together with the spread: at most four orders in the first hour, where a CA's limit
/// is five failed validations.
pub const ACME_RETRY_WAITS: [Duration; 8] = [
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
    Duration::from_secs(3_600),
    Duration::from_secs(10_800),
    Duration::from_secs(21_600),
    Duration::from_secs(43_200),
    Duration::from_secs(86_400),
];
/// The longest of these waits while there is no certificate yet.
pub const ACME_RETRY_WAIT_FIRST_MAX: Duration = Duration::from_secs(21_600);
/// A CA that asks for more time than this has not meant it.
pub const ACME_RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How often a CA is asked when it would have a certificate renewed, unless it says otherwise; and the bounds of what it may say.
pub const ACME_RENEWAL_INFO_PERIOD: Duration = Duration::from_secs(6 * 3600);
/// The least of it.
pub const ACME_RENEWAL_INFO_PERIOD_MIN: Duration = Duration::from_secs(60);
/// The most of it.
pub const ACME_RENEWAL_INFO_PERIOD_MAX: Duration = Duration::from_secs(24 * 3600);
/// What a name server takes for one answer.
pub const DNS_ANSWER_WAIT: Duration = Duration::from_secs(3);
/// Datagrams that are sent for one answer before TCP is tried.
pub const DNS_DATAGRAM_TRIES: usize = 2;
/// A request that is longer goes by TCP at once (RFC 1035 §4.2.1).
pub const DNS_DATAGRAM_REQUEST_BYTES_MAX: usize = 512;
/// An answer's datagram.
pub const DNS_DATAGRAM_BYTES_MAX: usize = 4096;
/// Name servers that are asked, and addresses of one of them.
pub const DNS_SERVERS_MAX: usize = 16;
/// The addresses of one.
pub const DNS_ADDRESSES_MAX: usize = 4;
/// Aliases that are followed to the place where a value is to be written.
pub const DNS_ALIAS_HOPS_MAX: usize = 8;
/// From a value's writing until every name server shows it: transfers to secondaries take their time.
pub const DNS_VISIBLE_WAIT: Duration = Duration::from_secs(180);
/// Between two looks whether they do.
pub const DNS_VISIBLE_PERIOD: Duration = Duration::from_secs(1);
/// How long a value may stand in caches.
pub const DNS_VALUE_TTL_SECONDS: u32 = 60;
/// How far a name server's clock may be from ours (RFC 8945 §10 has five minutes).
pub const DNS_FUDGE_SECONDS: u16 = 300;
/// Values that were written by orders and are still to be removed.
pub const DNS_LEFT_MAX: usize = 1_000;
/// A value that cannot be removed for so long is left to people.
pub const DNS_LEFT_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Where name servers answer (RFC 1035 §4.2).
pub const DNS_PORT: u16 = 53;
/// What a hook takes for one value.
pub const ACME_HOOK_WAIT: Duration = Duration::from_secs(120);
/// What is kept of a hook's output.
pub const ACME_HOOK_OUTPUT_BYTES_MAX: usize = 4096;
/// And read of it at once.
pub const ACME_HOOK_READ_BYTES: usize = 1_024;
/// A hook and its words.
pub const ACME_HOOK_WORDS_MAX: usize = 32;
/// A clock further from the CA's than this orders nothing.
pub const ACME_CLOCK_SKEW_MAX: Duration = Duration::from_secs(3600);
/// What is waited at a CA's wish that is no limit of it: a quarter of what a certificate still holds, within these bounds.
pub const ACME_PATIENCE_MIN: Duration = Duration::from_secs(3_600);
/// The most of it.
pub const ACME_PATIENCE_MAX: Duration = Duration::from_secs(24 * 3600);
/// What is shown of a CA's words.
pub const ACME_SHOWN_CHARS_MAX: usize = 300;
/// Stored certificates of CAs that are looked at.
pub const ACME_PAIRS_MAX: usize = 200;
/// Characters of a certificate's first name that its files are called by.
pub const ACME_FILE_NAME_CHARS_MAX: usize = 100;
/// Names in one order; the limit of the CAs that people use.
pub const ACME_NAMES_MAX: usize = 100;
