//! The event loops: one thread with a runtime of its own for each core, and the way they end.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pingora_core::apps::ServerApp;
use pingora_proxy::{HttpProxy, ProxyHttp};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::Edge;
use super::access_log::head_refused;
use super::context::Connection;
use super::proxy;
use crate::base::limits::DRAIN_RESERVE;
use crate::listener::accept::{Serve, accept};
use crate::listener::bind::Bound;
use crate::listener::caps::Caps;
use crate::listener::connection::Door;
use crate::listener::io::EdgeIo;

/// One listener with its bound addresses.
#[derive(Debug)]
pub struct Listening {
    /// How its connections are greeted.
    pub door: Door,
    /// Its addresses, each with a socket for every event loop.
    pub bound: Vec<Bound>,
}

/// The event loops, serving.
#[derive(Debug)]
pub struct Workers {
    edge: Edge,
    caps: Caps,
    closing: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

/// The event loops could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address has another number of sockets than there are event loops.
    #[error("sockets and event loops differ in number")]
    Sockets,
    /// No thread, or no runtime.
    #[error("cannot start an event loop: {0}")]
    Thread(#[from] io::Error),
}

/// What one event loop serves.
struct Share {
    sockets: Vec<(Door, StdListener)>,
    edge: Edge,
    caps: Caps,
    closing: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
}

/// How many event loops this machine gets: one for each core.
pub fn event_loops() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Workers {
    /// Serves `listening` on as many event loops as each address has sockets.
    ///
    /// # Errors
    /// [`StartError`]; nothing is served then.
    pub fn start(edge: Edge, listening: Vec<Listening>, caps: Caps) -> Result<Self, StartError> {
        let (closing, closed) = watch::channel(false);
        let (stop, stopped) = watch::channel(false);
        let loops = listening.iter().flat_map(|listening| &listening.bound).map(|bound| bound.sockets.len()).max();
        let mut shares: Vec<Vec<(Door, StdListener)>> = (0..loops.unwrap_or(0)).map(|_| Vec::new()).collect();
        for Listening { door, bound } in listening {
            for bound in bound {
                if bound.sockets.len() != shares.len() {
                    return Err(StartError::Sockets);
                }
                for (share, socket) in shares.iter_mut().zip(bound.sockets) {
                    share.push((door.clone(), socket));
                }
            }
        }
        let mut workers = Self { edge: edge.clone(), caps: caps.clone(), closing, stop, threads: Vec::new() };
        for (index, sockets) in shares.into_iter().enumerate() {
            let share = Share {
                sockets,
                edge: edge.clone(),
                caps: caps.clone(),
                closing: closed.clone(),
                stop: stopped.clone(),
            };
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("edge-{index}"));
            workers.threads.push(thread.spawn(move || share.serve(runtime))?);
        }
        Ok(workers)
    }

    /// Stops: no new connections, running requests finish, WebSockets are told 1012 over the window; after `window`
    /// everything that is left is cut.
    pub async fn drain(mut self, window: Duration) {
        self.edge.stop_taking();
        self.closing.send_replace(true);
        let spread = window.saturating_sub(DRAIN_RESERVE).max(window / 2);
        let core = self.edge.core().clone();
        let closed = async {
            tokio::join!(core.drain(spread), self.caps.idle());
        };
        if timeout(window, closed).await.is_err() {
            warn!(connections = self.caps.open(), "drain window over, cutting what is left");
        }
        self.stop.send_replace(true);
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A panic was reported by the thread itself.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

impl Drop for Workers {
    /// Without a drain the event loops end at once.
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Share {
    fn serve(self, runtime: Runtime) {
        runtime.block_on(async {
            let Self { sockets, edge, caps, mut closing, mut stop } = self;
            let service = Service { proxy: Arc::new(proxy::build(edge)), closing: closing.clone() };
            for (door, socket) in sockets {
                match TcpListener::from_std(socket) {
                    Ok(socket) => {
                        tokio::spawn(accept(socket, door, caps.clone(), service.clone(), closing.clone()));
                    }
                    Err(error) => tracing::error!(%error, listener = %door.settings.name, "cannot listen"),
                }
            }
            // Both fail only when the workers are gone, which is a stop too.
            tokio::select! {
                _ = closing.wait_for(|closing| *closing) => service.proxy.cleanup().await,
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let _ = stop.wait_for(|stop| *stop).await;
        });
        // Dropping every task closes what is left.
        runtime.shutdown_background();
    }
}

/// Hands connections to this event loop's proxy.
pub(super) struct Service<P> {
    pub(super) proxy: Arc<HttpProxy<P>>,
    pub(super) closing: watch::Receiver<bool>,
}

impl<P> Clone for Service<P> {
    fn clone(&self) -> Self {
        Self { proxy: Arc::clone(&self.proxy), closing: self.closing.clone() }
    }
}

impl<P> Serve for Service<P>
where
    P: ProxyHttp + Send + Sync + 'static,
    P::CTX: Send + Sync,
{
    async fn serve(&self, mut io: Box<EdgeIo>) {
        let facts = Arc::clone(io.facts());
        io.attach(Arc::new(Connection::new(Arc::clone(&facts))));
        self.proxy.process_new(io, &self.closing).await;
        if let Some(fault) = facts.head_fault() {
            head_refused(fault, &facts);
        }
    }
}
