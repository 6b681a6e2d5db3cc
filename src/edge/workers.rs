//! The event loops: one thread with a runtime of its own for each core, and the way they end.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pingora_core::apps::ServerApp;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::Edge;
use super::phases;
use super::service::{Remembering, Service};
use crate::base::limits::DRAIN_RESERVE;
use crate::listener::accept::{Serve, accept};
use crate::listener::bind::Bound;
use crate::listener::caps::Caps;
use crate::listener::connection::Door;

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
    pulse: Pulse,
    threads: Vec<JoinHandle<()>>,
}

/// Whether the event loops live; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pulse {
    ended: watch::Receiver<usize>,
}

/// The event loops could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// A bound socket cannot be waited for.
    #[error("cannot listen on {address}: {cause}")]
    Socket {
        /// Its address.
        address: SocketAddr,
        /// What the kernel said.
        cause: io::Error,
    },
    /// An address has another number of sockets than there are event loops.
    #[error("sockets and event loops differ in number")]
    Sockets,
    /// No thread, or no runtime.
    #[error("cannot start an event loop: {0}")]
    Thread(#[from] io::Error),
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
        let (deaths, ended) = watch::channel(0);
        let deaths = Arc::new(deaths);
        let event_loops = spread(listening)?
            .into_iter()
            .map(|sockets| {
                let runtime = Background(Some(Builder::new_current_thread().enable_all().build()?));
                Ok(EventLoop {
                    sockets: runtime.listen(sockets)?,
                    runtime,
                    edge: edge.clone(),
                    caps: caps.clone(),
                    closing: closed.clone(),
                    stop: stopped.clone(),
                    life: Life(Arc::clone(&deaths)),
                })
            })
            .collect::<Result<Vec<_>, StartError>>()?;
        let mut workers = Self { edge, caps, closing, stop, pulse: Pulse { ended }, threads: Vec::new() };
        for (index, event_loop) in event_loops.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("edge-{index}"));
            workers.threads.push(thread.spawn(move || event_loop.serve())?);
        }
        Ok(workers)
    }

    /// Whether they live, for those who only look on.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits until an event loop ends although nobody told it to. What it served is cut off then, and what its
    /// sockets are still sent by the kernel nobody accepts: an instance without one of its loops must end.
    pub async fn ended(&self) {
        let mut ended = self.pulse.ended.clone();
        // Never an error while an event loop lives: each holds the other end. When all are gone it is over too.
        let _ = ended.wait_for(|ended| *ended > 0).await;
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

impl Pulse {
    /// Whether every event loop lives.
    pub fn beats(&self) -> bool {
        *self.ended.borrow() == 0
    }
}

/// The sockets of each event loop: one of every address.
fn spread(listening: Vec<Listening>) -> Result<Vec<Vec<(Door, StdListener)>>, StartError> {
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
    Ok(shares)
}

/// One event loop, ready to serve.
struct EventLoop {
    runtime: Background,
    sockets: Vec<(Door, TcpListener)>,
    edge: Edge,
    caps: Caps,
    closing: watch::Receiver<bool>,
    stop: watch::Receiver<bool>,
    life: Life,
}

/// A runtime that may be dropped anywhere: what it still runs is cut, not waited for.
struct Background(Option<Runtime>);

/// Held by an event loop's thread; its drop, a panic's too, is that loop's end.
struct Life(Arc<watch::Sender<usize>>);

/// Why accepting is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Over {
    /// An accept loop is gone: a fault of ours.
    Broken,
    /// Nobody new is taken, and who is in may finish.
    Closing,
    /// Told to stop at once.
    Stop,
}

impl EventLoop {
    fn serve(self) {
        let Self { runtime, sockets, edge, caps, closing, mut stop, life } = self;
        runtime.run(async {
            let service = Service { proxy: Arc::new(phases::build(edge.clone())), closing: closing.clone() };
            let service = Remembering { service, edge };
            match attend(sockets, caps, service.clone(), closing, stop.clone()).await {
                Over::Broken => tracing::error!("an accept loop ended by itself: this event loop serves no more"),
                Over::Closing => {
                    service.service.proxy.cleanup().await;
                    // Fails only when the workers are gone, which is a stop too.
                    let _ = stop.wait_for(|stop| *stop).await;
                }
                Over::Stop => {}
            }
        });
        // In this order: whoever hears of the end finds every connection of this loop closed.
        drop(runtime);
        drop(life);
    }
}

/// Accepts on all `sockets` until told otherwise.
async fn attend<S: Serve>(
    sockets: Vec<(Door, TcpListener)>,
    caps: Caps,
    service: S,
    mut closing: watch::Receiver<bool>,
    mut stop: watch::Receiver<bool>,
) -> Over {
    let mut accepting = JoinSet::new();
    for (door, socket) in sockets {
        accepting.spawn(accept(socket, door, caps.clone(), service.clone(), closing.clone()));
    }
    tokio::select! {
        biased;
        // Both fail only when the workers are gone, which is a stop too.
        _ = stop.wait_for(|stop| *stop) => return Over::Stop,
        _ = closing.wait_for(|closing| *closing) => return Over::Closing,
        _ = accepting.join_next() => {}
    }
    Over::without_an_accept_loop(&closing, &stop)
}

impl Over {
    /// An accept loop ended. A watch wakes its waiters one after the other, so the loop may have been told to close, and
    /// have done so, before we were woken: taken for a fault that would cut everybody off at the start of a drain.
    fn without_an_accept_loop(closing: &watch::Receiver<bool>, stop: &watch::Receiver<bool>) -> Self {
        match (*stop.borrow(), *closing.borrow()) {
            (true, _) => Self::Stop,
            (false, true) => Self::Closing,
            (false, false) => Self::Broken,
        }
    }
}

impl Background {
    /// Makes `sockets` wait on this runtime.
    fn listen(&self, sockets: Vec<(Door, StdListener)>) -> Result<Vec<(Door, TcpListener)>, StartError> {
        let _inside = self.0.as_ref().map(Runtime::enter);
        let listen = |(door, socket): (Door, StdListener)| {
            let address = socket.local_addr()?;
            let socket = TcpListener::from_std(socket).map_err(|cause| StartError::Socket { address, cause })?;
            Ok((door, socket))
        };
        sockets.into_iter().map(listen).collect()
    }

    fn run(&self, work: impl Future<Output = ()>) {
        // Never none: only the drop takes it.
        if let Some(runtime) = &self.0 {
            runtime.block_on(work);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Dropping every task closes what is left.
            runtime.shutdown_background();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended = ended.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::caps::Limits;
    use crate::listener::io::EdgeIo;
    use crate::listener::{self, Protocol, bind};
    use crate::origin;

    const WAIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_broken_accept_loop_is_noticed_and_a_closed_one_is_not_broken() {
        for (clones, expected) in [(1, Over::Broken), (9, Over::Closing)] {
            let (door, bound) = door();
            let address = bound.address;
            let sockets =
                bound.sockets.into_iter().map(|socket| (door.clone(), TcpListener::from_std(socket).unwrap()));
            let (closing, closed) = watch::channel(false);
            let (_stop, stopped) = watch::channel(false);
            let caps = Caps::new(Limits { total: 9, reserve: 0, per_client: 9 });
            let attended = tokio::spawn(attend(sockets.collect(), caps, Fragile { clones }, closed, stopped));
            let _caller = tokio::net::TcpStream::connect(address).await.unwrap();
            if expected == Over::Closing {
                closing.send_replace(true);
            }
            assert_eq!(timeout(WAIT, attended).await.unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn an_accept_loop_that_was_told_to_close_before_we_were_is_not_broken() {
        for (closing, stop, expected) in [
            (false, false, Over::Broken),
            (true, false, Over::Closing),
            (false, true, Over::Stop),
            (true, true, Over::Stop),
        ] {
            let ((_close, closing), (_stop, stop)) = (watch::channel(closing), watch::channel(stop));
            assert_eq!(Over::without_an_accept_loop(&closing, &stop), expected);
        }
    }

    #[tokio::test]
    async fn the_pulse_stops_with_the_first_event_loop_that_ends_or_panics() {
        for panics in [true, false] {
            let (deaths, ended) = watch::channel(0);
            let (deaths, pulse) = (Arc::new(deaths), Pulse { ended });
            let (other, life) = (Life(Arc::clone(&deaths)), Life(deaths));
            assert!(pulse.beats());
            let thread = std::thread::spawn(move || {
                let _life = life;
                assert!(!panics, "on purpose");
            });
            assert_eq!(thread.join().is_err(), panics);
            assert!(!pulse.beats());
            drop(other);
        }
    }

    #[tokio::test]
    async fn a_runtime_may_be_dropped_inside_another() {
        drop(Background(Some(Builder::new_current_thread().build().unwrap())));
    }

    #[test]
    fn every_address_has_a_socket_for_every_event_loop_or_nothing_starts() {
        let (door, one) = door();
        let two = bind::bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap().remove(0);
        let uneven = vec![Listening { door, bound: vec![one, two] }];
        assert!(matches!(spread(uneven), Err(StartError::Sockets)));
    }

    fn door() -> (Door, Bound) {
        let settings = listener::Settings {
            name: "test".to_owned(),
            bind: vec!["127.0.0.1:0".parse().unwrap()],
            protocol: Protocol::Http,
            serve: listener::Serve::All,
            origin: origin::Settings::default(),
        };
        let bound = bind::bind(&settings.bind, 1).unwrap().remove(0);
        let settings = listener::live::Live::new(settings);
        (Door::plain(settings), bound)
    }

    /// A service that can be cloned so often: once for its accept loop, then for each connection there.
    struct Fragile {
        clones: usize,
    }

    impl Clone for Fragile {
        fn clone(&self) -> Self {
            Self { clones: self.clones.checked_sub(1).expect("on purpose") }
        }
    }

    impl Serve for Fragile {
        async fn serve(&self, _: Box<EdgeIo>) {}
    }
}
