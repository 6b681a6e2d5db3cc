//! Sockets that have not had `hello-ok`: few for each client, and not many in all.
//!
//! Counted by the client that the assertion names, so that a shared proxy does not make strangers of one another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use http::HeaderMap;
use http::header::ORIGIN;

use crate::base::limits::SOCKETS_BEFORE_HELLO_MAX;
use crate::base::limits::SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX;
use crate::identity::claims::Assertion;
use crate::identity::verifier::Verified;
use crate::net::addr::ClientKey;
use crate::pairing::request::client_of;
use crate::pairing::step::Page;

/// Leave for one WebSocket to begin the handshake; counted until it is dropped or had `hello-ok`.
#[derive(Debug)]
pub struct Admission {
    verified: Verified,
    page: Page,
    _place: Place,
}

impl Admission {
    /// What the edge found out about the caller.
    pub fn claims(&self) -> &Assertion {
        self.verified.claims()
    }

    /// What a decision about this socket rests on: the assertion, and whether a page sent the request.
    pub(super) fn evidence(&self) -> (Verified, Page) {
        (self.verified.clone(), self.page)
    }
}

/// Whether a request says that a page in a browser sent it (RFC 6454 §7).
pub(super) fn page(headers: &HeaderMap) -> Page {
    if headers.contains_key(ORIGIN) { Page::Present } else { Page::Absent }
}

/// Counts the sockets before `hello-ok`.
#[derive(Clone, Debug, Default)]
pub(super) struct Lobby(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    seats: HashMap<Seat, usize>,
    all: usize,
}

/// Who is counted as one. This machine's own users stand apart from a service that shares their loopback address.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Seat {
    client: ClientKey,
    local: bool,
}

impl Lobby {
    /// A place for one more socket of this client, if there is one. The total never keeps the owner out.
    pub(super) fn enter(&self, verified: Verified, page: Page) -> Option<Admission> {
        let claims = verified.claims();
        let seat = Seat { client: client_of(&claims.origin), local: claims.origin.local };
        let mut waiting = self.waiting();
        let of_client = waiting.seats.get(&seat).copied().unwrap_or_default();
        let full = waiting.all >= SOCKETS_BEFORE_HELLO_MAX && !seat.local;
        if full || of_client >= SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX {
            return None;
        }
        waiting.all += 1;
        *waiting.seats.entry(seat).or_default() += 1;
        drop(waiting);
        Some(Admission { verified, page, _place: Place { lobby: self.clone(), seat } })
    }

    /// Sockets that wait now.
    pub(super) fn all(&self) -> usize {
        self.waiting().all
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Both counts change together and nothing between can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One counted place, given back when dropped.
#[derive(Debug)]
struct Place {
    lobby: Lobby,
    seat: Seat,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.lobby.waiting();
        waiting.all = waiting.all.saturating_sub(1);
        if let Entry::Occupied(mut entry) = waiting.seats.entry(self.seat) {
            match entry.get().checked_sub(1) {
                None | Some(0) => drop(entry.remove()),
                Some(left) => *entry.get_mut() = left,
            }
        }
    }
}
