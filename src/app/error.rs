//! Why an instance did not start, and what its operator does about it.

use std::io;

use thiserror::Error;

use crate::admin::server::SocketError;
use crate::certificates::CertificateError;
use crate::core::CoreError;
use crate::core::upstream::UpstreamError;
use crate::edge::workers::StartError;
use crate::identity::signer::SigningKeyError;
use crate::listener::bind::BindError;
use crate::listener::own_bridge::OwnBridgeError;
use crate::metrics::server::ServerError;
use crate::store::StoreError;
use crate::store::keys::signing::SigningKeysError;

use super::lock::LockError;

/// Why it did not start, or did not end well.
#[derive(Debug, Error)]
pub enum AppError {
    /// A listener's address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No certificate to show.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// The core.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// One of the threads that serve connections is gone: a fault of ours.
    #[error("an event loop ended by itself")]
    EventLoop,
    /// Told twice to end: what was left is cut.
    #[error("ended at the second signal, before everybody was told")]
    Forced,
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] SigningKeysError),
    /// The state folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Where the numbers are to be read.
    #[error("metrics: {0}")]
    Metrics(#[from] ServerError),
    /// Who hides callers behind it is not known, and a stranger would look like a neighbour.
    #[error("this machine's routes cannot be read: {0}")]
    Network(io::Error),
    /// A listener trusts what hides strangers.
    #[error(transparent)]
    OwnBridge(#[from] OwnBridgeError),
    /// The desk's runtime or a signal handler.
    #[error("cannot run: {0}")]
    Runtime(io::Error),
    /// The signer.
    #[error(transparent)]
    Signer(#[from] SigningKeyError),
    /// The admin socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The event loops.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is needed to speak to the upstream.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl AppError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Bind(error) => error.hint(),
            Self::Certificates(error) => error.hint(),
            Self::Core(CoreError::Token(error)) => error.hint(),
            Self::Core(CoreError::Store(error)) => error.hint(),
            Self::Core(CoreError::Stopped) | Self::Signer(_) => "start again".to_owned(),
            Self::EventLoop => "the log tells why; please report it, and start again".to_owned(),
            Self::Forced => "clients reconnect by themselves".to_owned(),
            Self::Keys(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Metrics(ServerError::Bind(error)) => error.hint(),
            Self::Metrics(ServerError::Socket(_)) => "see the limit of open files (ulimit -n)".to_owned(),
            Self::Network(_) => "let this user read /proc/net/route and /proc/net/ipv6_route".to_owned(),
            Self::OwnBridge(error) => error.hint().to_owned(),
            Self::Runtime(_) | Self::Start(_) => {
                "see the limits of threads, memory and open files (ulimit -a)".to_owned()
            }
            Self::Socket(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Upstream(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::lock::{Holder, LockError};
    use crate::store::keys::device::DeviceKeyError;
    use crate::store::keys::token::TokenError;

    #[test]
    fn every_refusal_to_start_says_what_to_do() {
        let cause = || io::Error::from(io::ErrorKind::PermissionDenied);
        let held = LockError::Held { state_dir: "/s".into(), holder: Holder { pid: Some(7), socket: None } };
        let taken = BindError::Taken { address: "127.0.0.1:9".parse().unwrap(), holder: None };
        let garbage = DeviceKeyError::Garbage("/d".into());
        let errors: [(AppError, &str); 13] = [
            (AppError::Upstream(garbage.into()), "rm /d"),
            (AppError::Metrics(ServerError::Bind(taken)), "end that process"),
            (AppError::Metrics(ServerError::Socket(cause())), "ulimit -n"),
            (BindError::Taken { address: "127.0.0.1:1".parse().unwrap(), holder: None }.into(), "end that process"),
            (AppError::Core(CoreError::Token(TokenError::TooShort("/t".into()))), "openssl rand -hex 32 > /t"),
            (AppError::Core(CoreError::Stopped), "start again"),
            (AppError::EventLoop, "report it"),
            (AppError::Forced, "reconnect"),
            (SigningKeysError::TooMany("/k".into()).into(), "files of /k"),
            (held.into(), "`kill 7`"),
            (AppError::Network(cause()), "/proc/net/route"),
            (AppError::Runtime(cause()), "ulimit -a"),
            (SocketError::Taken("/a".into()).into(), "$RUNTIME_DIRECTORY"),
        ];
        for (error, act) in errors {
            assert!(error.hint().contains(act), "{error}: {}", error.hint());
        }
    }
}
