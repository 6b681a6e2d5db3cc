//! Requests that are at the upstream: few of each client, not too many in all, and over as soon as what let them through is
//! taken back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::base::limits::FORWARDED_REQUESTS_MAX;
use crate::base::limits::FORWARDED_REQUESTS_PER_CLIENT_MAX;
use crate::base::limits::FORWARDED_REQUESTS_PER_SITE_MAX;
use crate::base::limits::FORWARDED_REQUESTS_PER_STRANGER_MAX;
use crate::base::limits::FORWARDED_REQUESTS_RESERVE;
use crate::base::limits::FORWARDED_STRANGER_WAIT;
use crate::core::upstream::guests::Standing;
use crate::net::addr::SiteKey;
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
    /// Strangers, by their site.
    sites: HashMap<SiteKey, usize>,
    held: HashMap<u64, (Holder, Arc<AtomicBool>)>,
    next: u64,
    /// How often something was taken back.
    ends: u64,
}

/// Who asks for a place.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Asker {
    /// Under whose quota it counts.
    pub(in crate::core) client: CallerKey,
    /// What it was let through by.
    pub(in crate::core) holder: Holder,
    /// Whether somebody there was let in before: a browser says nothing of its sender when it loads a page.
    pub(in crate::core) standing: Standing,
}

impl Asker {
    fn is_stranger(self) -> bool {
        self.holder == Holder::Anybody && self.standing == Standing::Stranger
    }

    /// The site under which it counts too.
    fn site(self) -> Option<SiteKey> {
        self.client.site().filter(|_| self.is_stranger())
    }
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
    asker: Asker,
    over: Arc<AtomicBool>,
    /// When a stranger's is over whatever happens.
    until: Option<Instant>,
}

impl Passes {
    /// Now, before a credential is looked at.
    pub(in crate::core) fn moment(&self) -> Moment {
        Moment(self.open().ends)
    }

    /// A place for a request of `asker`, whose credential was looked at as things stood at `moment`. Strangers leave places
    /// to those who were here before, and the total never keeps the owner at this machine out.
    pub(in crate::core) fn enter(&self, asker: Asker, moment: Moment) -> Result<Pass, NoPlace> {
        let mut open = self.open();
        if open.ends != moment.0 && asker.holder != Holder::Anybody {
            return Err(NoPlace::Stale);
        }
        if open.is_full_for(asker) {
            return Err(NoPlace::Full);
        }
        let (number, over) = (open.next, Arc::new(AtomicBool::new(false)));
        open.next = open.next.saturating_add(1);
        *open.clients.entry(asker.client).or_default() += 1;
        if let Some(site) = asker.site() {
            *open.sites.entry(site).or_default() += 1;
        }
        open.held.insert(number, (asker.holder, Arc::clone(&over)));
        drop(open);
        let until = asker.is_stranger().then(|| Instant::now() + FORWARDED_STRANGER_WAIT);
        Ok(Pass { passes: self.clone(), number, asker, over, until })
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

impl Open {
    fn is_full_for(&self, asker: Asker) -> bool {
        let stranger = asker.is_stranger();
        let reserve = if stranger { FORWARDED_REQUESTS_RESERVE } else { 0 };
        let of_client_max =
            if stranger { FORWARDED_REQUESTS_PER_STRANGER_MAX } else { FORWARDED_REQUESTS_PER_CLIENT_MAX };
        let of_client = self.clients.get(&asker.client).copied().unwrap_or_default();
        let of_site = asker.site().and_then(|site| self.sites.get(&site)).copied().unwrap_or_default();
        let all_full = self.held.len() >= FORWARDED_REQUESTS_MAX.saturating_sub(reserve);
        (all_full && !asker.client.is_local())
            || of_client >= of_client_max
            || of_site >= FORWARDED_REQUESTS_PER_SITE_MAX
    }
}

impl Pass {
    /// Whether what let this request through was taken back, or a stranger took too long: nothing more of it may pass.
    pub(in crate::core) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.passes.open();
        open.held.remove(&self.number);
        give_back(&mut open.clients, self.asker.client);
        if let Some(site) = self.asker.site() {
            give_back(&mut open.sites, site);
        }
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::base::secret::Fingerprint;
    use crate::pairing::paired::Generation;

    #[test]
    fn strangers_leave_places_to_those_who_are_known_and_nobody_keeps_the_owner_out() {
        let passes = Passes::default();
        let enter = |asker| passes.enter(asker, passes.moment());
        let mut held: Vec<Pass> =
            (0..FORWARDED_REQUESTS_PER_STRANGER_MAX).map(|_| enter(stranger(client(0))).unwrap()).collect();
        assert_eq!(enter(stranger(client(0))).unwrap_err(), NoPlace::Full);
        let others = FORWARDED_REQUESTS_MAX - FORWARDED_REQUESTS_RESERVE - held.len();
        held.extend((0..others).map(|number| enter(stranger(client(1 + number))).unwrap()));
        assert_eq!(enter(stranger(client(9_000))).unwrap_err(), NoPlace::Full);
        // Known by its credential, or by its address alone, as a browser is that asks for the page.
        held.push(enter(Asker { holder: Holder::Secret, ..stranger(client(9_000)) }).unwrap());
        let known = |number| Asker { standing: Standing::Known, ..stranger(client(number)) };
        held.extend((1..FORWARDED_REQUESTS_RESERVE).map(|number| enter(known(2_000 + number)).unwrap()));
        assert_eq!(enter(known(9_000)).unwrap_err(), NoPlace::Full);
        let owner = Asker { standing: Standing::Known, ..stranger(CallerKey::owner()) };
        held.extend((0..FORWARDED_REQUESTS_PER_CLIENT_MAX).map(|_| enter(owner).unwrap()));
        assert_eq!(enter(owner).unwrap_err(), NoPlace::Full);
        drop(held);
        assert!(passes.open().clients.is_empty() && passes.open().held.is_empty());
    }

    #[test]
    fn one_customers_many_networks_count_together_too() {
        let passes = Passes::default();
        let of_site = |network: usize| {
            let address: IpAddr = format!("2001:db8:7:{network:x}::1").parse().unwrap();
            stranger(CallerKey::stranger(address))
        };
        let entered = (0..1_000).filter_map(|number| passes.enter(of_site(number), passes.moment()).ok());
        let held: Vec<Pass> = entered.collect();
        assert_eq!(held.len(), FORWARDED_REQUESTS_PER_SITE_MAX);
        let known = Asker { standing: Standing::Known, ..of_site(999) };
        assert!(passes.enter(known, passes.moment()).is_ok());
        drop(held);
        assert!(passes.open().sites.is_empty());
    }

    #[test]
    fn a_strangers_request_ends_and_nobody_elses_does() {
        let passes = Passes::default();
        let until = |asker| passes.enter(asker, passes.moment()).unwrap().until;
        let asker = stranger(client(1));
        assert!(until(asker).is_some());
        assert_eq!(until(Asker { standing: Standing::Known, ..asker }), None);
        assert_eq!(until(Asker { holder: Holder::Secret, ..asker }), None);
        let mut late = passes.enter(asker, passes.moment()).unwrap();
        assert!(!late.is_over());
        late.until = Some(Instant::now());
        assert!(late.is_over());
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
            holders.iter().map(|holder| passes.enter(asker(*holder), passes.moment()).unwrap()).collect();
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
        assert_eq!(passes.enter(asker(Holder::Secret), before).unwrap_err(), NoPlace::Stale);
        assert!(passes.enter(asker(Holder::Anybody), before).is_ok());
        assert!(passes.enter(asker(Holder::Secret), passes.moment()).is_ok());
    }

    fn asker(holder: Holder) -> Asker {
        Asker { holder, ..stranger(client(1)) }
    }

    fn stranger(client: CallerKey) -> Asker {
        Asker { client, holder: Holder::Anybody, standing: Standing::Stranger }
    }

    fn client(number: usize) -> CallerKey {
        let [.., high, low] = number.to_be_bytes();
        CallerKey::stranger([198, 51, high, low])
    }

    fn device(number: u8) -> DeviceId {
        format!("{number:064x}").parse().unwrap()
    }
}
