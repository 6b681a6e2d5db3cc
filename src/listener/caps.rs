//! How many connections may be open: in total, with a reserve for the owner, and per client. A
//! [`Seat`] is the leave to be open; it goes back when the connection's stream is dropped, whoever
//! holds that by then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::base::limits::{
    CONNECTIONS_MAX, CONNECTIONS_PER_CLIENT_DIVISOR, CONNECTIONS_PER_CLIENT_MAX, CONNECTIONS_PER_CLIENT_MIN,
    CONNECTIONS_RESERVE, DESCRIPTORS_RESERVE, DRAIN_POLL,
};
use crate::net::addr::{ClientKey, PeerAddr};

/// The caps of one instance; cheap to clone, shared by all accept loops.
#[derive(Clone, Debug)]
pub struct Caps(Arc<Shared>);

/// What the caps allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Open connections in total.
    pub total: usize,
    /// Of these, kept for callers from loopback.
    pub reserve: usize,
    /// Open connections of one client; loopback is exempt.
    pub per_client: usize,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    open: AtomicUsize,
    clients: Mutex<HashMap<ClientKey, usize>>,
}

/// Leave for one connection to be open. Dropping it gives the place back.
#[derive(Debug)]
pub struct Seat {
    caps: Caps,
    client: Option<ClientKey>,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum CapError {
    /// This client holds as many as one client may.
    #[error("too many connections of one client")]
    Client,
    /// All places are taken, but for the reserve.
    #[error("too many connections")]
    Total,
}

impl Limits {
    /// The design's limits, lowered where this process may not open so many descriptors.
    pub fn within_descriptors() -> Self {
        let descriptors = raise_descriptor_limit().map_or(CONNECTIONS_MAX, |descriptors| {
            let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
            descriptors.saturating_sub(DESCRIPTORS_RESERVE).max(descriptors / 2)
        });
        Self::of_total(CONNECTIONS_MAX.min(descriptors))
    }

    /// The design's limits in proportion to `total`, so that one client can never hold them all.
    fn of_total(total: usize) -> Self {
        let share = (total / CONNECTIONS_PER_CLIENT_DIVISOR).max(CONNECTIONS_PER_CLIENT_MIN);
        Self { total, reserve: CONNECTIONS_RESERVE.min(total / 8), per_client: CONNECTIONS_PER_CLIENT_MAX.min(share) }
    }
}

impl Caps {
    /// Caps with nobody in.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared { limits, open: AtomicUsize::new(0), clients: Mutex::default() }))
    }

    /// A place for a connection from `peer`, counted in total; who is counted as its client is said
    /// with [`Seat::count_for`] once that is known.
    ///
    /// # Errors
    /// [`CapError::Total`].
    pub fn admit(&self, peer: PeerAddr) -> Result<Seat, CapError> {
        let Limits { total, reserve, .. } = self.0.limits;
        let places = if peer.ip().is_loopback() { total } else { total.saturating_sub(reserve) };
        let taken = self.0.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| {
            Some(open.saturating_add(1)).filter(|open| *open <= places)
        });
        taken.map_err(|_| CapError::Total)?;
        Ok(Seat { caps: self.clone(), client: None })
    }

    /// What they allow.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Connections open now, WebSockets included.
    pub fn open(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Waits until no connection is open.
    pub async fn idle(&self) {
        // Polled, not notified: only a drain waits here, and a wake on every close would cost all others.
        while self.open() > 0 {
            tokio::time::sleep(DRAIN_POLL).await;
        }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<ClientKey, usize>> {
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, client: ClientKey) {
        let mut clients = self.clients();
        if let Some(count) = clients.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                clients.remove(&client);
            }
        }
    }
}

impl Seat {
    /// Counts this connection as one of `client`, instead of whom it was counted for before.
    ///
    /// # Errors
    /// [`CapError::Client`]; the seat is then counted for nobody.
    pub fn count_for(&mut self, client: IpAddr) -> Result<(), CapError> {
        self.count(client, ClientKey::of(client))
    }

    /// The same for a node that its tailnet vouches for. All of a tailnet lies in one /48, and most of it in one /64: there an
    /// IPv6 address is one machine's, and what a guest does must not keep the owner out.
    ///
    /// # Errors
    /// [`CapError::Client`]; the seat is then counted for nobody.
    pub fn count_for_node(&mut self, node: IpAddr) -> Result<(), CapError> {
        self.count(node, ClientKey::alone(node))
    }

    fn count(&mut self, client: IpAddr, key: ClientKey) -> Result<(), CapError> {
        if let Some(before) = self.client.take() {
            self.caps.release(before);
        }
        if client.is_loopback() {
            return Ok(());
        }
        let mut clients = self.caps.clients();
        let count = clients.entry(key).or_default();
        if *count >= self.caps.0.limits.per_client {
            return Err(CapError::Client);
        }
        *count = count.saturating_add(1);
        drop(clients);
        self.client = Some(key);
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            self.caps.release(client);
        }
        self.caps.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Raises the soft limit of descriptors to the hard one, because a default of 1,024 would end a front
/// door early, and returns it. `None` means no limit.
fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_never_holds_more_than_its_part() {
        for (total, per_client) in [(20_000, 1_024), (4_000, 500), (600, 75), (256, 64)] {
            assert_eq!(Limits::of_total(total).per_client, per_client, "{total}");
        }
    }

    #[test]
    fn the_reserve_is_for_loopback() {
        let caps = caps(3, 1, 9);
        let stranger = peer("192.0.2.1:1");
        let seats = [caps.admit(stranger).unwrap(), caps.admit(stranger).unwrap()];
        assert_eq!(caps.admit(stranger).unwrap_err(), CapError::Total);
        let owner = caps.admit(peer("127.0.0.1:1")).unwrap();
        assert_eq!(caps.admit(peer("[::1]:1")).unwrap_err(), CapError::Total);
        assert_eq!(caps.open(), 3);
        drop((seats, owner));
        assert_eq!(caps.open(), 0);
    }

    #[test]
    fn one_client_cannot_take_all_places() {
        let caps = caps(100, 0, 2);
        let seat = |ip: &str| {
            let mut seat = caps.admit(peer("198.51.100.1:1")).unwrap();
            seat.count_for(ip.parse().unwrap()).map(|()| seat)
        };
        let held = [seat("2001:db8::1").unwrap(), seat("2001:db8::ffff").unwrap()];
        assert_eq!(seat("2001:db8::2").unwrap_err(), CapError::Client);
        assert_eq!(caps.open(), 2, "a refused seat is given back");
        let other = seat("2001:db8:0:1::1").unwrap();
        drop(held);
        assert!(seat("2001:db8::2").is_ok());
        drop(other);
        assert!(caps.clients().is_empty(), "clients that left are forgotten");
    }

    #[test]
    fn a_seat_moves_to_the_client_a_proxy_names() {
        let caps = caps(100, 0, 1);
        let mut seat = caps.admit(peer("10.0.0.1:1")).unwrap();
        seat.count_for("10.0.0.1".parse().unwrap()).unwrap();
        seat.count_for("192.0.2.1".parse().unwrap()).unwrap();
        let keys: Vec<_> = caps.clients().keys().map(ToString::to_string).collect();
        assert_eq!(keys, ["192.0.2.1"]);
    }

    #[test]
    fn loopback_is_not_counted_per_client() {
        let caps = caps(100, 0, 1);
        let mut seats = [caps.admit(peer("127.0.0.1:1")).unwrap(), caps.admit(peer("127.0.0.1:2")).unwrap()];
        for seat in &mut seats {
            assert_eq!(seat.count_for("127.0.0.1".parse().unwrap()), Ok(()));
        }
    }

    fn caps(total: usize, reserve: usize, per_client: usize) -> Caps {
        Caps::new(Limits { total, reserve, per_client })
    }

    fn peer(addr: &str) -> PeerAddr {
        PeerAddr::from_accept(addr.parse().unwrap())
    }
}
