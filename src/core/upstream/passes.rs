//! Requests that are at the upstream: few of each client, not too many in all, and over as soon as what let them through is
//! taken back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::base::limits::FORWARDED_REQUESTS_MAX;
use crate::base::limits::FORWARDED_REQUESTS_PER_CLIENT_MAX;
use crate::base::limits::FORWARDED_REQUESTS_RESERVE;
use crate::pairing::caller::CallerKey;
use crate::pairing::device::DeviceId;
use crate::pairing::paired::Issuer;
use crate::protocol::scope::Role;

/// What a request was let through by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum Holder {
    /// Nothing: anybody may.
    Anybody,
    /// A device's token.
    Device {
        /// Whose.
        device: DeviceId,
        /// As what.
        role: Role,
        /// On whose word it was handed out.
        issuer: Issuer,
    },
    /// The gateway's secret.
    Secret,
}

impl Holder {
    /// Whether another gateway secret ends it.
    pub(in crate::core) fn stands_on_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Device { issuer: Issuer::Gateway(_), .. })
    }

    /// Whether it is `device`, as `role` or as whatever it is.
    pub(in crate::core) fn is(self, device: &DeviceId, role: Option<Role>) -> bool {
        matches!(self, Self::Device { device: own, role: as_what, .. } if own == *device && role.is_none_or(|role| role == as_what))
    }
}

/// All that are there; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(in crate::core) struct Passes(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    clients: HashMap<CallerKey, usize>,
    held: HashMap<u64, (Holder, Arc<AtomicBool>)>,
    next: u64,
    /// How often something was taken back.
    ends: u64,
}

/// The state of things when a credential was looked at.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Moment(u64);

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum NoPlace {
    /// There are too many already.
    Full,
    /// Something was taken back meanwhile: the credential must be looked at again.
    Stale,
}

/// The place of one request; free again when it is dropped.
#[derive(Debug)]
pub(in crate::core) struct Pass {
    passes: Passes,
    number: u64,
    client: CallerKey,
    over: Arc<AtomicBool>,
}

impl Passes {
    /// Now, before a credential is looked at.
    pub(in crate::core) fn moment(&self) -> Moment {
        Moment(self.open().ends)
    }

    /// A place for a request of `client`, which was let through by `holder` as things stood at `moment`.
    pub(in crate::core) fn enter(&self, client: CallerKey, holder: Holder, moment: Moment) -> Result<Pass, NoPlace> {
        let mut open = self.open();
        if open.ends != moment.0 && holder != Holder::Anybody {
            return Err(NoPlace::Stale);
        }
        let reserve = if holder == Holder::Anybody { FORWARDED_REQUESTS_RESERVE } else { 0 };
        let of_client = open.clients.get(&client).copied().unwrap_or_default();
        let most = FORWARDED_REQUESTS_MAX.saturating_sub(reserve);
        if open.held.len() >= most || of_client >= FORWARDED_REQUESTS_PER_CLIENT_MAX {
            return Err(NoPlace::Full);
        }
        let (number, over) = (open.next, Arc::new(AtomicBool::new(false)));
        open.next = open.next.saturating_add(1);
        *open.clients.entry(client).or_default() += 1;
        open.held.insert(number, (holder, Arc::clone(&over)));
        drop(open);
        Ok(Pass { passes: self.clone(), number, client, over })
    }

    /// Ends all that were let through by what `is_void` says so of. Whoever looked at a credential before this looks again.
    pub(in crate::core) fn end(&self, is_void: impl Fn(Holder) -> bool) {
        let mut open = self.open();
        open.ends = open.ends.saturating_add(1);
        for (_, over) in open.held.values().filter(|(holder, _)| is_void(*holder)) {
            over.store(true, Ordering::Release);
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // Whole between calls; a panic in between would leave one place taken at most.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// Whether what let this request through was taken back: nothing more of it may pass.
    pub(in crate::core) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.passes.open();
        open.held.remove(&self.number);
        if let Entry::Occupied(mut count) = open.clients.entry(self.client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Fingerprint;
    use crate::pairing::paired::Generation;

    #[test]
    fn one_client_leaves_places_to_others_and_strangers_leave_some_to_those_who_are_known() {
        let passes = Passes::default();
        let enter = |number: usize, holder| passes.enter(client(number), holder, passes.moment());
        let mut held: Vec<Pass> =
            (0..FORWARDED_REQUESTS_PER_CLIENT_MAX).map(|_| enter(0, Holder::Anybody).unwrap()).collect();
        assert_eq!(enter(0, Holder::Secret).unwrap_err(), NoPlace::Full);
        let others = FORWARDED_REQUESTS_MAX - FORWARDED_REQUESTS_RESERVE - held.len();
        held.extend((0..others).map(|number| enter(1 + number, Holder::Anybody).unwrap()));
        assert_eq!(enter(9_000, Holder::Anybody).unwrap_err(), NoPlace::Full);
        held.extend((0..FORWARDED_REQUESTS_RESERVE).map(|number| enter(2_000 + number, Holder::Secret).unwrap()));
        assert_eq!(enter(9_000, Holder::Secret).unwrap_err(), NoPlace::Full);
        drop(held);
        assert!(passes.open().clients.is_empty() && passes.open().held.is_empty());
    }

    #[test]
    fn what_is_taken_back_ends_at_once_and_nothing_else() {
        let passes = Passes::default();
        let (alice, bob) = (device(1), device(2));
        let of = |device, role, issuer| Holder::Device { device, role, issuer };
        let gateway = Issuer::Gateway(Generation::of(&Fingerprint::of(b"secret")));
        let holders = [
            of(alice, Role::Operator, gateway),
            of(alice, Role::Node, Issuer::Setup),
            of(bob, Role::Operator, Issuer::Identity),
            Holder::Secret,
            Holder::Anybody,
        ];
        let held: Vec<Pass> =
            holders.iter().map(|holder| passes.enter(client(1), *holder, passes.moment()).unwrap()).collect();
        let over = || held.iter().map(Pass::is_over).collect::<Vec<_>>();
        passes.end(|holder| holder.is(&alice, Some(Role::Node)));
        assert_eq!(over(), [false, true, false, false, false]);
        passes.end(Holder::stands_on_secret);
        assert_eq!(over(), [true, true, false, true, false]);
        passes.end(|holder| holder.is(&bob, None));
        assert_eq!(over(), [true, true, true, true, false]);
    }

    #[test]
    fn a_credential_that_was_looked_at_before_something_was_taken_back_is_looked_at_again() {
        let passes = Passes::default();
        let before = passes.moment();
        passes.end(|_| false);
        assert_eq!(passes.enter(client(1), Holder::Secret, before).unwrap_err(), NoPlace::Stale);
        assert!(passes.enter(client(1), Holder::Anybody, before).is_ok());
        assert!(passes.enter(client(1), Holder::Secret, passes.moment()).is_ok());
    }

    fn client(number: usize) -> CallerKey {
        let [.., high, low] = number.to_be_bytes();
        CallerKey::stranger([198, 51, high, low])
    }

    fn device(number: u8) -> DeviceId {
        format!("{number:064x}").parse().unwrap()
    }
}
