//! How the upstream is, as far as our own connection to it shows, and what its owner can do about it.

use std::fmt;

use http::StatusCode;

use crate::core::upstream::dial::DialError;
use crate::protocol::refusal::Upstream as Told;
use crate::protocol::version::Version;

/// How the upstream is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It will not have us.
    Refuses(Reason),
    /// It took our connection and says nothing any more.
    Silent,
    /// It is there and does not serve yet; or nobody has asked it so far.
    Starting,
    /// It is served through.
    Up {
        /// Its release.
        version: String,
        /// What it speaks.
        protocol: Version,
    },
    /// Nobody answers there.
    Unreachable(Unreachable),
}

/// Why the upstream will not have us. All but the first its owner must mend.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reason {
    /// It has too many sockets open that have not said who they are.
    Busy,
    /// Too many wrong tokens came from our address; it takes none for some minutes.
    LockedOut,
    /// Its `hello-ok` says nothing.
    HelloEmpty,
    /// It lets us in, and to do nothing.
    NoRights,
    /// It has not approved our device.
    NotPaired {
        /// The request that waits there.
        request: Option<String>,
    },
    /// Something else; its own words.
    Other(String),
    /// It speaks no version that we speak.
    Protocol {
        /// What it expects.
        expected: Option<u8>,
    },
    /// It takes us for a proxy that hides who calls.
    Proxied,
    /// Its token is another than ours.
    Token,
    /// It was not asked, for the file with its token cannot be used.
    TokenFile {
        /// What is wrong with the file.
        cause: String,
        /// What mends it.
        hint: String,
    },
    /// It does not take the web origin that we name.
    WebOrigin,
}

/// Why nobody answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unreachable {
    /// The connection was refused or broke off.
    Connect(String),
    /// Its name has no address.
    Name(String),
    /// What answers is no gateway.
    NotGateway(String),
    /// Nobody answered in time.
    TimedOut,
    /// TLS failed.
    Tls(String),
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(cause) => write!(f, "no connection: {cause}"),
            Self::Name(cause) => write!(f, "its name has no address: {cause}"),
            Self::NotGateway(cause) => write!(f, "what answers is no gateway: {cause}"),
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Tls(cause) => write!(f, "tls fails: {cause}"),
        }
    }
}

impl std::error::Error for Unreachable {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("it has too many open sockets"),
            Self::HelloEmpty => f.write_str("its hello-ok has no payload"),
            Self::LockedOut => f.write_str("it takes no token for some minutes, for too many were wrong"),
            Self::NoRights => f.write_str("it gives us no rights"),
            Self::NotPaired { request: Some(request) } => {
                write!(f, "it has not approved doorward yet: request {request}")
            }
            Self::NotPaired { request: None } => f.write_str("it has not approved doorward yet"),
            Self::Other(words) => write!(f, "it says: {words}"),
            Self::Protocol { expected: Some(expected) } => write!(f, "it speaks protocol {expected}"),
            Self::Protocol { expected: None } => f.write_str("it speaks another protocol"),
            Self::Proxied => f.write_str("it lists our address in gateway.trustedProxies"),
            Self::Token => f.write_str("its token is another than ours"),
            Self::TokenFile { cause, .. } => write!(f, "it was not asked: {cause}"),
            Self::WebOrigin => f.write_str("it does not take our web origin"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuses(reason @ Reason::TokenFile { .. }) => reason.fmt(f),
            Self::Refuses(reason) => write!(f, "refuses us: {reason}"),
            Self::Silent => f.write_str("silent: it took the connection and says nothing"),
            Self::Starting => f.write_str("starting"),
            Self::Up { version, protocol } => write!(f, "up: {version}, protocol {}", protocol.number()),
            Self::Unreachable(cause) => write!(f, "not reachable: {cause}"),
        }
    }
}

impl State {
    /// Whether clients are served.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// One stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Refuses(_) => "refuses",
            Self::Silent => "silent",
            Self::Starting => "starting",
            Self::Up { .. } => "up",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// What a client is told while it is so.
    pub(super) fn told(&self) -> Told {
        match self {
            Self::Refuses(Reason::Busy) | Self::Starting | Self::Up { .. } => Told::Starting,
            Self::Refuses(_) => Told::Refuses,
            Self::Silent => Told::Silent,
            Self::Unreachable(_) => Told::Unreachable,
        }
    }
}

impl From<DialError> for State {
    fn from(error: DialError) -> Self {
        let odd = |cause: String| Self::Unreachable(Unreachable::NotGateway(cause));
        match error {
            DialError::Refused { status: StatusCode::FORBIDDEN, body } if body.contains("proxy_attribution") => {
                Self::Refuses(Reason::Proxied)
            }
            DialError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, body }
                if body.contains("unauthenticated") =>
            {
                Self::Refuses(Reason::Busy)
            }
            DialError::Refused {
                status: StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT,
                ..
            } => Self::Starting,
            DialError::Connect(cause) => Self::Unreachable(Unreachable::Connect(cause.to_string())),
            DialError::Tls(cause) => Self::Unreachable(Unreachable::Tls(cause.to_string())),
            // A runtime's proxy accepts and hangs up while nobody listens behind it.
            DialError::Http(cause) if cause.is_incomplete_message() || cause.is_canceled() || cause.is_closed() => {
                Self::Unreachable(Unreachable::Connect("closed at once".to_owned()))
            }
            DialError::Http(cause) => odd(cause.to_string()),
            error @ (DialError::Name
            | DialError::NoRoots
            | DialError::NotWebSocket
            | DialError::Refused { .. }
            | DialError::Request(_)) => odd(error.to_string()),
        }
    }
}
