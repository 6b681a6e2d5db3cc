//! Why an instance did not start, and what its operator does about it.

use std::io;

use thiserror::Error;

use crate::admin::server::SocketError;
use crate::certificates::CertificateError;
use crate::core::CoreError;
use crate::edge::workers::StartError;
use crate::identity::signer::SigningKeyError;
use crate::listener::bind::BindError;
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
    /// Told twice to end: what was left is cut.
    #[error("ended at the second signal, before everybody was told")]
    Forced,
    /// The signing keys.
    #[error(transparent)]
    Keys(#[from] SigningKeysError),
    /// The state folder.
    #[error(transparent)]
    Lock(#[from] LockError),
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
}

impl AppError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Bind(error) => bind_hint(error),
            Self::Certificates(error) => error.hint(),
            Self::Core(CoreError::Token(error)) => error.hint(),
            Self::Core(CoreError::Stopped) | Self::Signer(_) => "start again".to_owned(),
            Self::Forced => "clients reconnect by themselves".to_owned(),
            Self::Keys(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Runtime(_) | Self::Start(_) => {
                "see the limits of threads, memory and open files (ulimit -a)".to_owned()
            }
            Self::Socket(error) => socket_hint(error),
            Self::Store(error) => error.hint(),
        }
    }
}

fn bind_hint(error: &BindError) -> String {
    match error {
        BindError::Denied { address } => format!(
            "ports below 1024 need a right: `AmbientCapabilities=CAP_NET_BIND_SERVICE` in the unit, or another port than {}",
            address.port()
        ),
        BindError::Failed { .. } => "see that the address is one of this machine (ip address)".to_owned(),
        BindError::Taken { .. } => "end that process, or name another address in `bind`. If it is an OpenClaw gateway: doorward \
             takes its place at this port, so give the gateway another one first (`openclaw config set gateway.port 18790`)"
            .to_owned(),
        BindError::Unavailable { .. } => "`ip address` lists the addresses this machine has; name one of them in `bind`".to_owned(),
    }
}

fn socket_hint(error: &SocketError) -> String {
    match error {
        SocketError::Bind { .. } => {
            "a socket's path has at most 107 characters: name a shorter `state_dir`, or set $RUNTIME_DIRECTORY"
                .to_owned()
        }
        SocketError::InTheWay(path) => format!("look what {} is, and move it away", path.display()),
        SocketError::Taken(_) => "give each instance its own $RUNTIME_DIRECTORY".to_owned(),
    }
}
