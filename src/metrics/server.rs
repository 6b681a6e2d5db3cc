//! The addresses on which the numbers are read: few connections, each with one request and a short life.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, error, warn};

use super::answer::{Verdict, answer, judge};
use super::{Numbers, Settings};
use crate::base::limits::{
    ACCEPT_PAUSE, METRICS_AUDIT_PERIOD, METRICS_CONNECTIONS_MAX, METRICS_HEAD_BYTES_MAX, METRICS_HEAD_LINES_MAX,
    METRICS_HEAD_WAIT, METRICS_WAIT,
};
use crate::listener::bind::{self, BindError};

/// The bound addresses.
#[derive(Debug, Default)]
pub struct Server {
    sockets: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

/// The addresses cannot be had.
#[derive(Debug, Error)]
pub enum ServerError {
    /// Somebody else has one of them, or it is not ours.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A bound socket cannot be waited for.
    #[error("cannot listen for metrics: {0}")]
    Socket(#[from] io::Error),
}

impl Server {
    /// Binds every address of `settings`, or none. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`] for the first address that cannot be had.
    pub fn bind(settings: &Settings) -> Result<Self, ServerError> {
        let mut server = Self::default();
        for bound in bind::bind(&settings.bind, 1)? {
            server.addresses.push(bound.address);
            for socket in bound.sockets {
                server.sockets.push(TcpListener::from_std(socket)?);
            }
        }
        Ok(server)
    }

    /// The addresses, as the kernel knows them.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Tells `numbers` until dropped; nothing at all where nothing is bound.
    pub async fn serve(&self, numbers: Arc<Numbers>) -> Infallible {
        if self.sockets.is_empty() {
            return pending().await;
        }
        let places = Arc::new(Semaphore::new(METRICS_CONNECTIONS_MAX));
        let accepting = self.sockets.iter().map(|socket| accept(socket, Arc::clone(&places), Arc::clone(&numbers)));
        tokio::join!(join_all(accepting), look_after(&numbers));
        pending().await
    }
}

/// Looks through the audit log now and then: at every scrape would be more often than it costs nothing.
async fn look_after(numbers: &Numbers) {
    let mut due = interval(METRICS_AUDIT_PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        numbers.look_at_audit().await;
    }
}

async fn accept(socket: &TcpListener, places: Arc<Semaphore>, numbers: Arc<Numbers>) {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                // Only now: an address that nobody calls takes no place from the others. Never an error: the semaphore is
                // not closed. Were it, nobody would be let in.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let numbers = Arc::clone(&numbers);
                tokio::spawn(async move {
                    if timeout(METRICS_WAIT, converse(stream, numbers)).await.is_err() {
                        debug!("metrics connection took too long");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "metrics cannot be asked for");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, numbers: Arc<Numbers>) {
    let service = service_fn(|request| tell(request, Arc::clone(&numbers)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(METRICS_HEAD_WAIT)
        .max_buf_size(METRICS_HEAD_BYTES_MAX)
        .max_headers(METRICS_HEAD_LINES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        debug!(%error, "metrics connection ended");
    }
}

async fn tell(request: Request<Incoming>, numbers: Arc<Numbers>) -> Result<Response<Full<Bytes>>, Infallible> {
    // A body is nobody's here: the connection ends with the answer.
    let (head, _) = request.into_parts();
    let response = match judge(&head, &numbers.names()) {
        Verdict::Refused(status, why) => answer(status, why),
        Verdict::Numbers => match numbers.text().await {
            Ok(text) => answer(StatusCode::OK, text),
            Err(fault) => {
                error!(%fault, "metrics cannot be told");
                answer(StatusCode::INTERNAL_SERVER_ERROR, "internal: see the log\n")
            }
        },
    };
    Ok(response.map(Full::new))
}
