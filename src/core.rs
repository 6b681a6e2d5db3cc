//! The authority on who may enter: verifies the assertion, speaks the gateway protocol, pairs.
//!
//! One [`Core`] serves every event loop of the process. It accepts nothing without exactly one valid
//! assertion, wherever the call comes from.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

/// The core: cheap to clone, shared by all event loops.
#[derive(Clone, Debug)]
pub struct Core(());

/// Leave for one WebSocket to begin the handshake; counted until it is dropped or had `hello-ok`.
#[derive(Debug)]
pub struct Admission(());

impl Core {
    /// Answers a request that is no WebSocket upgrade.
    pub async fn answer(&self, _request: Request<Bytes>) -> Response<Bytes> {
        not_ready()
    }

    /// Judges an upgrade request before the edge sends its 101.
    ///
    /// # Errors
    /// The answer to send in place of the 101.
    pub fn admit_socket(&self, _parts: &Parts) -> Result<Admission, Response<Bytes>> {
        Err(not_ready())
    }

    /// Serves one WebSocket from the bytes after the 101 to its end. `early` are the bytes that arrived
    /// with the head. Box `io`: the future keeps it by value.
    pub async fn serve_socket<S>(&self, _admission: Admission, _io: S, _early: Vec<u8>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
    }

    /// Closes every WebSocket with 1012 `service restart`, spread over `window`, and takes no new ones.
    pub async fn drain(&self, _window: Duration) {}
}

fn not_ready() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
