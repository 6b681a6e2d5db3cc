//! One question to tailscaled's LocalAPI: HTTP/1.1 over its unix socket, bounded in size. Time and number are the asker's.

use std::io;
use std::path::Path;

use bytes::Bytes;
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;

use super::whois::WhoisError;
use crate::base::limits::WHOIS_ANSWER_BYTES_MAX;
use crate::net::addr::PeerAddr;

/// The only Host that tailscaled answers.
const AUTHORITY: &str = "local-tailscaled.sock";
/// Where it tells of its own node.
pub(super) const STATUS: &str = "/localapi/v0/status?peers=false";

/// What tailscaled answers about `peer`; nothing where it knows no such peer (404).
pub(super) async fn whois(socket: &Path, peer: PeerAddr) -> Result<Option<Bytes>, LocalApiError> {
    // An address and a port need no escape (RFC 3986 §3.4, but for the brackets, which are).
    let addr = peer.socket().to_string().replace('[', "%5B").replace(']', "%5D");
    match get(socket, &format!("/localapi/v0/whois?addr={addr}&proto=tcp")).await {
        Err(LocalApiError::Refused(StatusCode::NOT_FOUND)) => Ok(None),
        answer => answer.map(Some),
    }
}

/// What tailscaled says of its own node.
pub(super) async fn status(socket: &Path) -> Result<Bytes, LocalApiError> {
    get(socket, STATUS).await
}

async fn get(socket: &Path, target: &str) -> Result<Bytes, LocalApiError> {
    match ask(socket, target).await? {
        (StatusCode::OK, body) => Ok(body),
        (status, _) => Err(LocalApiError::Refused(status)),
    }
}

/// What tailscaled answers a GET of `target`.
pub(super) async fn ask(socket: &Path, target: &str) -> Result<(StatusCode, Bytes), LocalApiError> {
    let stream = UnixStream::connect(socket).await.map_err(LocalApiError::Unreachable)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(target).header(HOST, AUTHORITY).body(Empty::<Bytes>::new())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), WHOIS_ANSWER_BYTES_MAX);
        match body.collect().await {
            Ok(body) => Ok((status, body.to_bytes())),
            // A refusal is one, whatever becomes of its words.
            Err(_) if status != StatusCode::OK => Ok((status, Bytes::new())),
            Err(error) => Err(LocalApiError::Body(error.to_string())),
        }
    };
    // The connection is driven here and dies here: nothing of a question is left behind.
    tokio::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = connection => match ended {
            Err(error) => Err(error.into()),
            // All was read from the socket; the rest is in memory.
            Ok(()) => answer.await,
        },
    }
}

/// Why tailscaled gave no answer to go by.
#[derive(Debug, Error)]
pub(super) enum LocalApiError {
    /// The body broke off or is larger than any answer.
    #[error("answer unreadable: {0}")]
    Body(String),
    /// Not in time.
    #[error("no answer in time")]
    Deadline,
    /// Not HTTP.
    #[error("not http: {0}")]
    Http(#[from] hyper::Error),
    /// It did not like the question.
    #[error("refused: {0}")]
    Refused(StatusCode),
    /// The question cannot be written.
    #[error("unwritable request: {0}")]
    Request(#[from] http::Error),
    /// The socket.
    #[error("socket unreachable: {0}")]
    Unreachable(io::Error),
    /// The answer is not what tailscaled says.
    #[error(transparent)]
    Whois(#[from] WhoisError),
}

impl LocalApiError {
    /// What the operator can do about it.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let this user open the socket, or switch off what asks there in `[tailscale]`"
            }
            Self::Unreachable(_) => {
                "is tailscaled running? in a container, mount its socket into it; else set `tailscale.socket`"
            }
            Self::Refused(_) => "tailscaled refuses this user: run as root, or as the `--operator` user",
            Self::Deadline => "is tailscaled well? `tailscale status` asks the same socket",
            Self::Body(_) | Self::Http(_) | Self::Request(_) | Self::Whois(_) => {
                "does `tailscale.socket` name tailscaled's own socket?"
            }
        }
    }

    /// Which line of the log it is.
    pub(super) fn bit(&self) -> u8 {
        match self {
            Self::Unreachable(error) if error.kind() == io::ErrorKind::PermissionDenied => 1,
            Self::Unreachable(_) => 2,
            Self::Refused(_) => 4,
            Self::Deadline => 8,
            Self::Body(_) | Self::Http(_) | Self::Request(_) => 16,
            Self::Whois(_) => 32,
        }
    }
}
