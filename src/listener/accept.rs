//! The accept loop: one for each socket, on the event loop that serves what it takes.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::caps::Caps;
use super::connection::{ConnectionError, Door, Seen, establish};
use super::facts::{ConnectionFacts, ConnectionId};
use super::io::EdgeIo;
use crate::base::limits::{ACCEPT_PAUSE, WARN_PERIOD};
use crate::net::addr::PeerAddr;
use crate::telemetry::gate::Gate;

/// Who serves the connections that were established.
pub trait Serve: Clone + Send + 'static {
    /// Serves one connection to its end.
    fn serve(&self, io: Box<EdgeIo>) -> impl Future<Output = ()> + Send;

    /// Is told of one that came to no request.
    fn failed(&self, _facts: ConnectionFacts, _error: &ConnectionError) {}
}

/// Accepts on `socket` until `closing` is true; each connection runs in its own task of this event loop.
pub async fn accept<S: Serve>(socket: TcpListener, door: Door, caps: Caps, service: S, closing: watch::Receiver<bool>) {
    // Each loop counts for itself.
    let (mut closing, door) = (closing, Door { tally: door.tally.apart(), ..door });
    let mut warned: Option<Instant> = None;
    let told = Arc::new(Told::default());
    loop {
        let accepted = tokio::select! {
            biased;
            _ = closing.wait_for(|closing| *closing) => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => greet(stream, PeerAddr::from_accept(peer), &told, &door, &caps, &service),
            Err(error) if is_of_one_connection(&error) => debug!(%error, "connection gone before accept"),
            Err(error) => {
                // No descriptors or no memory: the connection stays in the queue and `accept` would fail
                // again at once, so the loop pauses instead of spinning.
                if warned.is_none_or(|at| at.elapsed() >= WARN_PERIOD) {
                    warned = Some(Instant::now());
                    warn!(listener = %door.settings.load().name, %error, "cannot accept connections; raise the limit of open files (ulimit -n)");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn greet<S: Serve>(stream: TcpStream, peer: PeerAddr, told: &Arc<Told>, door: &Door, caps: &Caps, service: &S) {
    door.tally.accepted();
    // Named before anything of it is read, so that every line about it can be found by that name.
    let admitted = caps.admit(peer).map_err(ConnectionError::from);
    let (seat, id) = match admitted.and_then(|seat| Ok((seat, ConnectionId::random()?))) {
        Ok(admitted) => admitted,
        Err(error) => {
            door.tally.refused(&error);
            debug!(peer = %peer.socket(), %error, "connection refused");
            return;
        }
    };
    let (door, service, told) = (door.clone(), service.clone(), Arc::clone(told));
    tokio::spawn(async move {
        let mut seen = Seen::default();
        match establish(stream, &id, peer, seat, &door, &mut seen).await {
            Ok(io) => service.serve(io).await,
            Err(error) => {
                door.tally.refused(&error);
                tell(&error, &id, peer, &door, &told);
                service.failed(ConnectionFacts::failed(id, &door, peer, seen.proxy_header), &error);
            }
        }
    });
}

/// What was told lately, each kind apart: a flood of one hides none of another.
#[derive(Debug, Default)]
struct Told {
    clients: Gate,
    names: Gate,
    plain: Gate,
}

/// The line of a connection that came to no request.
fn tell(error: &ConnectionError, conn: &ConnectionId, peer: PeerAddr, door: &Door, told: &Told) {
    let (settings, peer) = (door.settings.load(), peer.socket());
    let listener = &settings.name;
    // A person may sit there and wonder.
    let puzzle = match error {
        ConnectionError::PlainHttp => Some((&told.plain, "use https:// there, not http://")),
        ConnectionError::ClientCertificate(_) => {
            Some((&told.clients, "show a certificate that a CA of this listener's client_ca signed and that holds now"))
        }
        ConnectionError::UnknownName(_) => Some((&told.names, "add it to edge.names, if it is yours")),
        _ => None,
    };
    let now = std::time::Instant::now();
    match puzzle.and_then(|(gate, next)| gate.pass(now).map(|held_back| (held_back, next))) {
        Some((held_back, next)) => {
            info!(%conn, %listener, %peer, %error, held_back, next, "connection refused");
        }
        None => debug!(%conn, %listener, %peer, %error, "connection refused"),
    }
}

/// What `accept(2)` reports about the connection it was to return, not about us.
fn is_of_one_connection(error: &io::Error) -> bool {
    const PASSING: [Errno; 11] = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::INTR,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NONET,
        Errno::NOPROTOOPT,
        Errno::PERM,
        Errno::PROTO,
    ];
    Errno::from_io_error(error).is_some_and(|errno| PASSING.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_is_ours_and_a_reset_is_theirs() {
        for ours in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL] {
            assert!(!is_of_one_connection(&ours.into()), "{ours}");
        }
        for theirs in [Errno::CONNABORTED, Errno::PROTO, Errno::HOSTUNREACH] {
            assert!(is_of_one_connection(&theirs.into()), "{theirs}");
        }
    }
}
