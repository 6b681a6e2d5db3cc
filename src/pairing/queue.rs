//! Who waits for a person, and whose place a newcomer may take. However many come, what waits stays short enough to read, no
//! source fills it, and the owner finds a place from his own networks.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::base::clock::UnixMillis;
use crate::base::limits::PENDING_KEPT;
use crate::base::limits::PENDING_MAX;
use crate::base::limits::PENDING_PER_CLIENT_MAX;
use crate::base::limits::PENDING_PER_HOUSEHOLD_MAX;
use crate::base::limits::PENDING_PER_SITE_MAX;
use crate::base::limits::PENDING_RESERVE;
use crate::identity::claims::OriginClaim;
use crate::net::addr::HouseholdKey;
use crate::net::addr::SiteKey;
use crate::origin::Class;
use crate::pairing::caller::CallerKey;
use crate::pairing::device::DeviceId;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::pairing::request::RequestId;
use crate::protocol::refusal::PendingLimit;

/// How likely it is the owner who waits there.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Standing {
    /// Anywhere else.
    Far,
    /// On this machine's own networks, or a device that is paired and asks for more.
    Near,
    /// At this machine.
    Here,
}

impl Standing {
    /// That of a device at `origin`.
    pub fn of(origin: &OriginClaim, repair: Repair) -> Self {
        match origin.class {
            _ if origin.local => Self::Here,
            Class::Local | Class::Private | Class::Tailnet => Self::Near,
            Class::Container | Class::Nat | Class::Public | Class::Unattributed => match repair {
                Repair::No => Self::Far,
                Repair::Yes => Self::Near,
            },
        }
    }
}

/// One request that waits, as far as its place goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Waiter {
    /// Its id.
    pub request: RequestId,
    /// Whose it is.
    pub device: DeviceId,
    /// Under whose quota it counts.
    pub caller: CallerKey,
    /// How likely it is the owner's.
    pub standing: Standing,
    /// Since when it waits.
    pub created_at: UnixMillis,
}

impl Waiter {
    /// The place of `request`.
    pub fn of(request: &PendingRequest) -> Self {
        Self {
            request: request.id,
            device: request.device(),
            caller: request.caller(),
            standing: Standing::of(&request.origin, request.repair),
            created_at: request.created_at,
        }
    }

    /// Whether it has been here long enough for another to take its place. A clock that was set back says nothing.
    fn is_seen(&self, now: UnixMillis) -> bool {
        let kept = i64::try_from(PENDING_KEPT.as_millis()).unwrap_or(i64::MAX);
        now.since(self.created_at).abs() >= kept
    }

    fn source(&self) -> Source {
        self.caller.site().map_or(Source::Caller(self.caller), Source::Site)
    }
}

/// Who may be one person: an IPv4 address, or whatever lies in one IPv6 /48.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Source {
    Caller(CallerKey),
    Site(SiteKey),
}

/// All requests that wait now, expired ones left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Queue(Vec<Waiter>);

impl FromIterator<Waiter> for Queue {
    fn from_iter<I: IntoIterator<Item = Waiter>>(waiters: I) -> Self {
        Self(waiters.into_iter().collect())
    }
}

impl Queue {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds `newcomer` a place, after those of `replaced` are given up: `None` is a free one, else whose it is to be.
    ///
    /// # Errors
    /// [`PendingLimit`] when nobody has to make room for it yet.
    pub fn place(
        &self,
        newcomer: &Waiter,
        replaced: &[RequestId],
        now: UnixMillis,
    ) -> Result<Option<Waiter>, PendingLimit> {
        let others: Vec<&Waiter> = self.0.iter().filter(|waiter| !replaced.contains(&waiter.request)).collect();
        if let Some(mates) = full_width(&others, newcomer) {
            let seen = mates.iter().copied().filter(|mate| mate.is_seen(now));
            return longest_of_the_biggest(seen, &mates).map(Some).ok_or(PendingLimit::Client);
        }
        let count = |standing| others.iter().filter(|waiter| waiter.standing == standing).count();
        let (far, near) = (count(Standing::Far), count(Standing::Near) + count(Standing::Here));
        let crowded = newcomer.standing == Standing::Far && far >= PENDING_MAX.saturating_sub(PENDING_RESERVE);
        let has_one = others.len() < self.0.len();
        if has_one || (others.len() < PENDING_MAX && !crowded) {
            return Ok(None);
        }
        let may_go = |waiter: &&Waiter| match newcomer.standing {
            Standing::Here => waiter.standing != Standing::Here,
            Standing::Near if near < PENDING_RESERVE => waiter.standing == Standing::Far,
            Standing::Far if crowded => waiter.standing == Standing::Far && waiter.is_seen(now),
            Standing::Far | Standing::Near => waiter.standing != Standing::Here && waiter.is_seen(now),
        };
        let going = others.iter().copied().filter(may_go);
        longest_of_the_biggest(going, &others).map(Some).ok_or(PendingLimit::All)
    }
}

/// Those who wait in the narrowest network of `newcomer` that has its share already, if one has.
fn full_width<'w>(others: &[&'w Waiter], newcomer: &Waiter) -> Option<Vec<&'w Waiter>> {
    let own = newcomer.caller;
    let wider = [own.household().map(Network::Household), own.site().map(Network::Site)];
    [Network::Client(own)].into_iter().chain(wider.into_iter().flatten()).find_map(|network| {
        let mates: Vec<&Waiter> = others.iter().copied().filter(|other| network.holds(&other.caller)).collect();
        (mates.len() >= network.places()).then_some(mates)
    })
}

/// What has a share of the places.
#[derive(Clone, Copy, Debug)]
enum Network {
    Client(CallerKey),
    Household(HouseholdKey),
    Site(SiteKey),
}

impl Network {
    fn holds(self, caller: &CallerKey) -> bool {
        match self {
            Self::Client(own) => own == *caller,
            Self::Household(own) => caller.household() == Some(own),
            Self::Site(own) => caller.site() == Some(own),
        }
    }

    fn places(self) -> usize {
        match self {
            Self::Client(_) => PENDING_PER_CLIENT_MAX,
            Self::Household(_) => PENDING_PER_HOUSEHOLD_MAX,
            Self::Site(_) => PENDING_PER_SITE_MAX,
        }
    }
}

/// Of `going`, who has waited longest of the source that has most places among `all`.
fn longest_of_the_biggest<'w>(going: impl Iterator<Item = &'w Waiter>, all: &[&Waiter]) -> Option<Waiter> {
    let places = Places::of(all.iter().copied().copied());
    going.min_by_key(|waiter| (Reverse(places.held_by(waiter)), waiter.created_at, waiter.request)).copied()
}

/// How many places each source has.
struct Places(BTreeMap<Source, usize>);

impl Places {
    fn of(waiters: impl Iterator<Item = Waiter>) -> Self {
        let mut places = BTreeMap::new();
        for waiter in waiters {
            *places.entry(waiter.source()).or_default() += 1;
        }
        Self(places)
    }

    fn held_by(&self, waiter: &Waiter) -> usize {
        self.0.get(&waiter.source()).copied().unwrap_or_default()
    }
}

/// The order in which a person reads what waits: what is likely his own first, then whoever has few requests, then the
/// newest. So nobody who fills the list pushes the owner's request out of sight.
pub fn put_in_order(requests: &mut [PendingRequest]) {
    let places = Places::of(requests.iter().map(Waiter::of));
    requests.sort_by_cached_key(|request| rank(&Waiter::of(request), &places));
}

fn rank(waiter: &Waiter, places: &Places) -> impl Ord + use<> {
    (Reverse(waiter.standing), places.held_by(waiter), Reverse(waiter.created_at), waiter.request)
}

#[cfg(test)]
mod tests;
