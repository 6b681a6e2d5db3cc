//! Every admitted socket of the process, so that any thread can reach one: to tell it something, or to end it.
//!
//! Kept in as many shards as the ping period has seconds. Each second one shard is looked after, so every socket is
//! pinged once in a period without a timer of its own.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::core::outbound::Budget;
use crate::core::outbound::Event;
use crate::core::outbound::Numbering;
use crate::core::outbound::Outbound;
use crate::core::upstream::is_ours;
use crate::identity::claims::OriginClaim;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::paired::Issuer;
use crate::protocol::event::Presence;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;
use crate::protocol::version::Version;

/// What other threads may know of an admitted socket.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its place in the registry; never given twice.
    number: u64,
    /// What was known of it when it was admitted.
    pub(super) arrival: Arrival,
    /// What waits to be sent to it.
    pub(super) outbound: Outbound,
    /// Whether it gave a sign of life since the last ping.
    alive: AtomicBool,
}

impl Peer {
    /// Whether it is an operator that holds `scope`.
    pub(super) fn is_operator_with(&self, scope: &Scope) -> bool {
        self.arrival.role == Role::Operator && self.arrival.scopes.covers(scope)
    }

    /// As whom it decides.
    pub(super) fn approver(&self) -> Approver {
        Approver::Session { device: self.arrival.device, scopes: self.arrival.scopes.clone() }
    }

    /// Notes a sign of life.
    pub(super) fn lives(&self) {
        self.alive.store(true, Ordering::Relaxed);
    }

    /// Whether it was told to close, or is gone. Asked at the desk, where sockets are told, the answer is exact.
    pub(super) fn is_ending(&self) -> bool {
        self.outbound.is_closing()
    }

    /// Whether an event of this name is ours to tell it.
    fn hears(&self, event: &str) -> bool {
        match self.arrival.served {
            Served::Here => true,
            Served::Upstream => is_ours(event),
        }
    }

    /// Ends the socket for `failure`.
    pub(super) fn end(&self, failure: &Failure) {
        self.outbound.close(failure.close(self.arrival.version));
    }
}

/// Who answers what a socket calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Served {
    /// Our core.
    Here,
    /// The gateway behind us, but for what is about devices.
    Upstream,
}

/// What is known of a socket when it is admitted.
#[derive(Debug)]
pub(super) struct Arrival {
    /// The connection id of edge and log.
    pub(super) connection: String,
    /// Its device, unless it came without one.
    pub(super) device: Option<DeviceId>,
    /// In whose words it is spoken to.
    pub(super) version: Version,
    /// Its role.
    pub(super) role: Role,
    /// What it was granted.
    pub(super) scopes: Scopes,
    /// On whose word it was let in.
    pub(super) issuer: Issuer,
    /// Where it calls from, if it has a device and may come to ask for more.
    pub(super) origin: Option<Box<OriginClaim>>,
    /// The address that it reached us by, if it administers.
    pub(super) url: Option<String>,
    /// How it stands in the presence list.
    pub(super) presence: Presence,
    /// Who answers it.
    pub(super) served: Served,
}

/// A part of the sockets, by number.
type Shard = Mutex<HashMap<u64, Arc<Peer>>>;

/// The admitted sockets.
#[derive(Debug)]
pub(super) struct Registry {
    shards: Box<[Shard]>,
    next: AtomicU64,
    open: AtomicUsize,
    /// Counts changes of the presence list.
    presence: AtomicU64,
    budget: Arc<Budget>,
}

impl Registry {
    /// An empty registry that is gone round in `rounds` steps.
    pub(super) fn new(rounds: usize) -> Self {
        let shards = (0..rounds.max(1)).map(|_| Mutex::default()).collect();
        let (next, open, presence) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicU64::new(1));
        Self { shards, next, open, presence, budget: Arc::default() }
    }

    /// Lists a socket from now until what is returned is dropped.
    pub(super) fn register(self: &Arc<Self>, arrival: Arrival) -> Registered {
        let numbering = match arrival.served {
            Served::Here => Numbering::Ours,
            Served::Upstream => Numbering::None,
        };
        let peer = Arc::new(Peer {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            arrival,
            outbound: Outbound::new(Arc::clone(&self.budget), numbering),
            alive: AtomicBool::new(true),
        });
        self.shard(peer.number).insert(peer.number, Arc::clone(&peer));
        self.open.fetch_add(1, Ordering::Relaxed);
        self.presence.fetch_add(1, Ordering::Relaxed);
        Registered { registry: Arc::clone(self), peer }
    }

    /// How many sockets are admitted now.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Changes of the presence list so far.
    pub(super) fn presence_version(&self) -> u64 {
        self.presence.load(Ordering::Relaxed)
    }

    /// Queues `event` for every socket that `wants` it.
    pub(super) fn tell(&self, event: &Arc<Event>, wants: impl Fn(&Peer) -> bool) {
        self.each(|peer| {
            if wants(peer) && peer.hears(event.name) && peer.outbound.push(event).is_err() {
                peer.end(&Failure::SlowConsumer);
            }
        });
    }

    /// Ends every socket that `which` picks, for `failure`.
    pub(super) fn end(&self, failure: &Failure, which: impl Fn(&Peer) -> bool) {
        self.each(|peer| {
            if which(peer) {
                peer.end(failure);
            }
        });
    }

    /// Whether a socket of `device` is open.
    pub(super) fn is_connected(&self, device: &DeviceId) -> bool {
        self.shards.iter().any(|shard| lock(shard).values().any(|peer| peer.arrival.device.as_ref() == Some(device)))
    }

    /// The devices that have an open socket.
    pub(super) fn devices(&self) -> HashSet<DeviceId> {
        let mut devices = HashSet::new();
        self.each(|peer| devices.extend(peer.arrival.device));
        devices
    }

    /// Looks at each admitted socket.
    pub(super) fn each(&self, mut look: impl FnMut(&Peer)) {
        for shard in &self.shards {
            lock(shard).values().for_each(|peer| look(peer));
        }
    }

    /// Steps of one round.
    pub(super) fn steps(&self) -> usize {
        self.shards.len()
    }

    /// The sockets of one step of the round; steps beyond the last begin again.
    pub(super) fn step(&self, step: usize) -> Vec<Arc<Peer>> {
        let shard = step.checked_rem(self.shards.len()).and_then(|index| self.shards.get(index));
        shard.map(|shard| lock(shard).values().cloned().collect()).unwrap_or_default()
    }

    /// Pings the sockets of one step of the round; those that gave no sign of life since their last ping are ended.
    pub(super) fn ping(&self, step: usize) {
        for peer in self.step(step) {
            if peer.alive.swap(false, Ordering::Relaxed) {
                peer.outbound.ping();
            } else {
                peer.end(&Failure::PongLate);
            }
        }
    }

    fn shard(&self, number: u64) -> MutexGuard<'_, HashMap<u64, Arc<Peer>>> {
        let count = u64::try_from(self.shards.len()).unwrap_or(1);
        let index = number.checked_rem(count).and_then(|index| usize::try_from(index).ok()).unwrap_or_default();
        match self.shards.get(index) {
            Some(shard) => lock(shard),
            // Never: a remainder is below the divisor, and there is at least one shard.
            None => unreachable!("a registry has shards"),
        }
    }
}

/// One socket's entry in the registry; dropped with the socket.
#[derive(Debug)]
pub(super) struct Registered {
    registry: Arc<Registry>,
    peer: Arc<Peer>,
}

impl Registered {
    /// The socket.
    pub(super) fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // First: whoever cannot find it any more must not find it deciding either.
        self.peer.outbound.end();
        if self.registry.shard(self.peer.number).remove(&self.peer.number).is_some() {
            self.registry.open.fetch_sub(1, Ordering::Relaxed);
            self.registry.presence.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn lock(shard: &Shard) -> MutexGuard<'_, HashMap<u64, Arc<Peer>>> {
    // A map is whole between calls; the closures run under it do not panic.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
