//! What of the vectors cannot exist on a socket, and where the sockets end otherwise than `explain --batch`: as data.

use doorward::origin::proxy_protocol::{Decoded, decode};

use super::case::Case;
use super::{TRANSPORTS, Transport};

/// Why a case has no bytes over a transport.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    /// Its configuration is refused, so there is no socket to call: `doorward check` is asked instead.
    Configuration,
    /// Its names differ by the case of their letters only, and HTTP/2 has one (RFC 9113 §8.2.1).
    LetterCase,
    /// No packet comes from an unspecified address.
    Unspecified,
    /// It ends before any request, so no transport is told from another: it runs once, as HTTP/1.1.
    Unfinished,
}

/// The cases that cannot run, each over the transports for which its reason counts.
pub(super) const CANNOT: [(&str, Reason); 12] = [
    ("XFF-11", Reason::LetterCase),
    ("CIDR-14", Reason::Configuration),
    ("CIDR-15", Reason::Configuration),
    ("CIDR-16", Reason::Configuration),
    ("CIDR-19", Reason::Configuration),
    ("CIDR-21", Reason::Configuration),
    ("CIDR-22", Reason::Configuration),
    ("CIDR-23", Reason::Configuration),
    ("PP2-17", Reason::Unfinished),
    ("LOC-35", Reason::Unspecified),
    ("PP1-29", Reason::Unfinished),
    ("PP1-30", Reason::Unfinished),
];

/// Where sockets end otherwise than `--batch`, and why both are right. Only what a case does not say makes a difference.
pub(super) const DIFFERENT: [(&str, &[Transport], &str); 7] = [
    ("HDR-24", &[Transport::Http2], CONNECTION),
    ("HDR-25", &[Transport::Http2], CONNECTION),
    ("LOC-20", &ALL, NAMES),
    ("LOC-21", &ALL, NAMES),
    ("LOC-22", &[Transport::Http1, Transport::Http2, Transport::PlainHttp1], ORIGIN),
    ("LOC-23", &[Transport::Http1, Transport::Http2, Transport::PlainHttp1], ORIGIN),
    ("LOC-41", &TRANSPORTS, HOST),
];

const ALL: [Transport; 5] =
    [Transport::Http1, Transport::Http2, Transport::PlainHttp1, Transport::PlainWebSocket, Transport::WebSocket];

const CONNECTION: &str = "a Connection line is malformed in HTTP/2 and its stream is reset (RFC 9113 §8.2.2)";
const HOST: &str = "a request without a Host is refused, 400; --batch asks whose it would be";
const NAMES: &str = "a Host that is not in edge.names is refused, 421; a case has no edge.names";
const ORIGIN: &str = "a GET is served whatever its Origin; --batch takes each case for a WebSocket's request";

/// The reason in the table.
pub(super) fn listed(id: &str, transport: Transport) -> Option<Reason> {
    let reason = CANNOT.iter().find(|(listed, _)| *listed == id).map(|(_, reason)| *reason);
    reason.filter(|reason| reason.transports().contains(&transport))
}

impl Reason {
    pub(super) const ALL: [Self; 4] = [Self::Configuration, Self::LetterCase, Self::Unspecified, Self::Unfinished];

    /// Whether the case itself says so.
    pub(super) fn holds(self, case: &Case, transport: Transport) -> bool {
        let says = match self {
            Self::Configuration => case.is_configuration(),
            Self::LetterCase => differ_by_case_only(case),
            Self::Unspecified => case.peer.is_unspecified(),
            Self::Unfinished => is_unfinished(case),
        };
        says && self.transports().contains(&transport)
    }

    fn transports(self) -> &'static [Transport] {
        match self {
            Self::Configuration | Self::Unspecified => &ALL,
            Self::LetterCase => &[Transport::Http2],
            Self::Unfinished => &[Transport::Http2, Transport::WebSocket],
        }
    }
}

fn differ_by_case_only(case: &Case) -> bool {
    let names = || case.headers.iter().map(|(name, _)| name);
    names().any(|one| names().any(|other| one != other && one.eq_ignore_ascii_case(other)))
}

/// Whether a required PROXY header breaks off. One that breaks off behind a carriage return does so at the next byte,
/// which must come.
fn is_unfinished(case: &Case) -> bool {
    let first = case.first();
    let required = case.listener.proxy_protocol == "required";
    required && !first.ends_with(b"\r") && matches!(decode(&first), Ok(Decoded::Incomplete))
}
