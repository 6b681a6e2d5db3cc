//! Sockets that may be nodes' and hold one at the upstream before anybody knows who they are. Few: the upstream has 32 places for
//! all that comes from our address, and strangers must never fill them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::base::limits::UPSTREAM_GUESTS_MAX;
use crate::base::limits::UPSTREAM_GUESTS_PER_CALLER_MAX;
use crate::base::limits::UPSTREAM_GUESTS_RESERVE;
use crate::pairing::caller::CallerKey;

/// Whether somebody at a caller's address was let in before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum Standing {
    /// Somebody was, or it is the owner at this machine.
    Known,
    /// Nobody was.
    Stranger,
}

/// Counts them.
#[derive(Clone, Debug, Default)]
pub(super) struct Guests(Arc<Mutex<Count>>);

#[derive(Debug, Default)]
struct Count {
    callers: HashMap<CallerKey, usize>,
    all: usize,
}

impl Guests {
    /// A place for one more of this caller, if there is one.
    pub(super) fn enter(&self, caller: CallerKey, standing: Standing) -> Option<Place> {
        let mut count = self.count();
        let most = match standing {
            Standing::Known => UPSTREAM_GUESTS_MAX,
            Standing::Stranger => UPSTREAM_GUESTS_MAX.saturating_sub(UPSTREAM_GUESTS_RESERVE),
        };
        let own = count.callers.get(&caller).copied().unwrap_or_default();
        if count.all >= most || own >= UPSTREAM_GUESTS_PER_CALLER_MAX {
            return None;
        }
        count.all += 1;
        count.callers.insert(caller, own + 1);
        Some(Place { guests: self.clone(), caller })
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        // The counts change together and nothing between can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One counted place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    guests: Guests,
    caller: CallerKey,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut count = self.guests.count();
        count.all = count.all.saturating_sub(1);
        let left = count.callers.get(&self.caller).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            count.callers.remove(&self.caller);
        } else {
            count.callers.insert(self.caller, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn strangers_leave_places_and_one_caller_has_few() {
        let guests = Guests::default();
        let caller = |number: u32| CallerKey::stranger(Ipv4Addr::from_bits(number));
        let strangers: Vec<Place> = (0..40).filter_map(|n| guests.enter(caller(n), Standing::Stranger)).collect();
        assert_eq!(strangers.len(), UPSTREAM_GUESTS_MAX - UPSTREAM_GUESTS_RESERVE);
        let known = |number: u32| guests.enter(caller(number), Standing::Known);
        let of_one: Vec<Place> = (0..5).filter_map(|_| known(100)).collect();
        assert_eq!(of_one.len(), UPSTREAM_GUESTS_PER_CALLER_MAX);
        let others: Vec<Place> = (101..140).filter_map(known).collect();
        assert_eq!(strangers.len() + of_one.len() + others.len(), UPSTREAM_GUESTS_MAX);
        drop((strangers, of_one, others));
        assert!(guests.count().all == 0 && guests.count().callers.is_empty());
        assert!(guests.enter(caller(1), Standing::Stranger).is_some());
    }
}
