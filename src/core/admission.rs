//! Sockets that have not had `hello-ok`: few for each client, and not many in all.
//!
//! Counted by the client that the assertion names, so that a shared proxy does not make strangers of one another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use http::HeaderMap;
use http::header::ORIGIN;

use crate::base::limits::SOCKETS_BEFORE_HELLO_MAX;
use crate::base::limits::SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX;
use crate::base::limits::SOCKETS_BEFORE_HELLO_PER_SITE_MAX;
use crate::base::limits::SOCKETS_BEFORE_HELLO_RESERVE;
use crate::core::upstream::Standing;
use crate::decisions::Case;
use crate::identity::claims::Assertion;
use crate::identity::verifier::Verified;
use crate::net::addr::SiteKey;
use crate::pairing::acquaintances::Acquaintances;
use crate::pairing::caller::CallerKey;
use crate::pairing::step::Page;

/// Leave for one WebSocket to begin the handshake; counted until it is dropped or had `hello-ok`.
#[derive(Debug)]
pub struct Admission {
    verified: Verified,
    page: Page,
    place: Place,
    case: Option<Box<Case>>,
}

impl Admission {
    /// Remembers that this client had `hello-ok`.
    pub(super) fn succeeded(&self) {
        self.place.lobby.waiting().admitted.add(self.place.seat);
    }

    /// Under whose quota it counts, and whether somebody there had `hello-ok` before.
    pub(super) fn seat(&self) -> (CallerKey, Standing) {
        (self.place.seat, self.place.lobby.standing(&self.place.seat))
    }

    /// Takes along the facts by which the edge judged the request, for whoever asks why it ended as it did.
    #[must_use]
    pub fn with_case(self, case: Case) -> Self {
        Self { case: Some(Box::new(case)), ..self }
    }

    /// These facts; once.
    pub(super) fn take_case(&mut self) -> Option<Case> {
        self.case.take().map(|case| *case)
    }

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
    seats: HashMap<CallerKey, usize>,
    sites: HashMap<SiteKey, usize>,
    all: usize,
    /// The clients that had `hello-ok`.
    admitted: Acquaintances,
}

impl Waiting {
    /// Takes a place, if there is one. The total never keeps the owner out, nor do strangers those who were here before.
    fn enter(&mut self, seat: CallerKey) -> bool {
        let known = seat.is_local() || self.admitted.include(&seat);
        let reserve = if known { 0 } else { SOCKETS_BEFORE_HELLO_RESERVE };
        let all_max = SOCKETS_BEFORE_HELLO_MAX.saturating_sub(reserve);
        let of_client = self.seats.get(&seat).copied().unwrap_or_default();
        let of_site = seat.site().and_then(|site| self.sites.get(&site)).copied().unwrap_or_default();
        let full =
            (self.all >= all_max && !seat.is_local()) || (of_site >= SOCKETS_BEFORE_HELLO_PER_SITE_MAX && !known);
        if full || of_client >= SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX {
            return false;
        }
        self.all += 1;
        *self.seats.entry(seat).or_default() += 1;
        if let Some(site) = seat.site() {
            *self.sites.entry(site).or_default() += 1;
        }
        true
    }

    fn leave(&mut self, seat: CallerKey) {
        self.all = self.all.saturating_sub(1);
        give_back(&mut self.seats, seat);
        if let Some(site) = seat.site() {
            give_back(&mut self.sites, site);
        }
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut entry) = counts.entry(key) {
        match entry.get().checked_sub(1) {
            None | Some(0) => drop(entry.remove()),
            Some(left) => *entry.get_mut() = left,
        }
    }
}

impl Lobby {
    /// A place for one more socket of this client, if there is one.
    pub(super) fn enter(&self, verified: Verified, page: Page) -> Option<Admission> {
        let claims = verified.claims();
        let seat = CallerKey::of(&claims.origin);
        let entered = self.waiting().enter(seat);
        entered.then(|| Admission { verified, page, place: Place { lobby: self.clone(), seat }, case: None })
    }

    /// Whether somebody of `caller` had `hello-ok` before.
    pub(super) fn standing(&self, caller: &CallerKey) -> Standing {
        let known = caller.is_local() || self.waiting().admitted.include(caller);
        if known { Standing::Known } else { Standing::Stranger }
    }

    /// Sockets that wait now.
    pub(super) fn all(&self) -> usize {
        self.waiting().all
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // The counts change together and nothing between can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One counted place, given back when dropped.
#[derive(Debug)]
struct Place {
    lobby: Lobby,
    seat: CallerKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lobby.waiting().leave(self.seat);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn strangers_leave_places_to_those_who_were_here_before() {
        let mut waiting = Waiting::default();
        waiting.admitted.add(address("2001:db8::1"));
        let strangers = (0..u32::MAX).map(|number| CallerKey::stranger(Ipv4Addr::from_bits(number)));
        let entered = strangers.take(2 * SOCKETS_BEFORE_HELLO_MAX).filter(|seat| waiting.enter(*seat)).count();
        assert_eq!(entered, SOCKETS_BEFORE_HELLO_MAX - SOCKETS_BEFORE_HELLO_RESERVE);
        assert!(!waiting.enter(address("2001:db8:1::1")));
        assert!(waiting.enter(address("2001:db8::1")) && waiting.enter(CallerKey::owner()));
        waiting.leave(address("0.0.0.1"));
        waiting.leave(address("0.0.0.2"));
        waiting.leave(address("0.0.0.3"));
        assert!(waiting.enter(address("2001:db8:1::1")));
    }

    #[test]
    fn one_customers_many_networks_count_together_too() {
        let mut waiting = Waiting::default();
        let of_site = |network: usize| address(&format!("2001:db8:7:{network:x}::1"));
        let entered = (0..1_000).filter(|number| waiting.enter(of_site(number / 20))).count();
        assert_eq!(entered, SOCKETS_BEFORE_HELLO_PER_SITE_MAX);
        assert!(waiting.enter(address("2001:db8:8::1")));
        // Who was here before is not kept out by neighbours.
        assert!(!waiting.enter(of_site(999)));
        waiting.admitted.add(of_site(999));
        assert!(waiting.enter(of_site(999)));
        for number in 0..SOCKETS_BEFORE_HELLO_PER_SITE_MAX {
            waiting.leave(of_site(number / 20));
        }
        waiting.leave(of_site(999));
        waiting.leave(address("2001:db8:8::1"));
        assert!(waiting.seats.is_empty() && waiting.sites.is_empty() && waiting.all == 0);
    }

    #[test]
    fn strangers_at_the_owners_address_have_no_share_in_his_places() {
        let (mut waiting, tunnel) = (Waiting::default(), address("127.0.0.1"));
        waiting.admitted.add(CallerKey::owner());
        for number in 0..SOCKETS_BEFORE_HELLO_MAX - SOCKETS_BEFORE_HELLO_RESERVE {
            assert!(waiting.enter(CallerKey::stranger(Ipv4Addr::from_bits(u32::try_from(number).unwrap()))));
        }
        assert!(!waiting.enter(tunnel));
        assert!(waiting.enter(CallerKey::owner()));
    }

    fn address(text: &str) -> CallerKey {
        CallerKey::stranger(text.parse::<std::net::IpAddr>().unwrap())
    }
}
