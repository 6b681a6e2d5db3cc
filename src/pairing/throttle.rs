//! Wrong secrets are counted by who sends them, and who sends too many is not listened to for a while.
//!
//! Each is counted against its client, against the IPv6 /56 and /48 that the client lies in, and against all of its crowd
//! together; leave to judge one is given only where every one of these counts has room, and is taken from all of them
//! before the secret is looked at. Paired devices that proved their keys, the owner at this machine, and clients that knew
//! the secret before are counted apart from strangers and without the wider networks: nobody else's guesses keep them out.
//! The counts are kept in memory: a restart, which no stranger can cause, forgets them, and a stranger cannot wear out the disk.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::clock::Uptime;
use crate::base::limits::FAILURE_SWEEP_PERIOD;
use crate::base::limits::FAILURE_WINDOW;
use crate::base::limits::FAILURES_MAX;
use crate::base::limits::FAILURES_OF_ALL_MAX;
use crate::base::limits::FAILURES_PER_HOUSEHOLD_MAX;
use crate::base::limits::FAILURES_PER_SITE_MAX;
use crate::base::limits::LOCKOUT;
use crate::base::secret::Fingerprint;
use crate::identity::claims::OriginClaim;
use crate::net::addr::HouseholdKey;
use crate::net::addr::SiteKey;
use crate::pairing::acquaintances::Acquaintances;
use crate::pairing::caller::CallerKey;
use crate::pairing::credential::Shared;
use crate::pairing::device::DeviceId;
use crate::pairing::device::Proof;
use crate::pairing::paired::PairedDevice;
use crate::pairing::queue::Standing;
use crate::pairing::request::Repair;
use crate::pairing::step::Verdict;
use crate::protocol::connect::Auth;

/// Who is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subject {
    /// A caller's address. All strangers behind it share one count.
    Caller(CallerKey, Standing),
    /// A paired device that proved its key: strangers at its address cannot lock it out.
    Device(DeviceId),
}

impl Subject {
    /// Who is counted for a connect from `origin` with this `proof`, where `paired` is what is stored under its id.
    pub fn of(origin: &OriginClaim, proof: &Proof, paired: Option<&PairedDevice>) -> Self {
        match (proof, paired) {
            (Proof::Proven(device), Some(paired)) if paired.key == device.key() => Self::Device(device.id()),
            _ => Self::Caller(CallerKey::of(origin), Standing::of(origin, Repair::No)),
        }
    }
}

/// The counts.
///
/// Invariant: failures and reservations of one bucket never exceed its limit within [`FAILURE_WINDOW`], so parallel guesses
/// cannot be judged before the first of them is counted. As each crowd is a bucket too, only so many others can hold
/// anything, and none is dropped that does.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: HashMap<Bucket, Count>,
    /// Who was seen to know the secret.
    known: Acquaintances,
    swept_at: Uptime,
}

/// What failures are counted under.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Bucket {
    Client(CallerKey),
    Crowd(Crowd),
    Device(DeviceId),
    Household(HouseholdKey),
    Site(SiteKey),
}

/// Who shares a budget. Strangers can use theirs up, so they must not share one with the owner.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Crowd {
    /// Paired devices that proved their keys.
    Devices,
    /// Strangers.
    Far,
    /// Callers at this machine.
    Here,
    /// Callers who knew the secret.
    Known,
    /// Callers from this machine's own networks.
    Near,
}

impl Bucket {
    /// How many failures it holds, and for how long whoever reaches that is not listened to.
    fn limit(self) -> (usize, Option<Duration>) {
        let (most, lockout) = match self {
            Self::Client(_) | Self::Device(_) => (FAILURES_MAX, Some(LOCKOUT)),
            Self::Crowd(_) => (FAILURES_OF_ALL_MAX, None),
            Self::Household(_) => (FAILURES_PER_HOUSEHOLD_MAX, Some(LOCKOUT)),
            Self::Site(_) => (FAILURES_PER_SITE_MAX, Some(LOCKOUT)),
        };
        (usize::try_from(most).unwrap_or(usize::MAX), lockout)
    }
}

#[derive(Clone, Debug, Default)]
struct Count {
    /// When each failure within the window happened, oldest first.
    failures: Vec<Uptime>,
    /// When leave was given for each secret that is still being judged.
    reserved: Vec<Uptime>,
    locked_until: Option<Uptime>,
}

/// Leave to judge one secret. Until [`Throttle::settle`] says otherwise it counts as a failure.
#[derive(Debug)]
#[must_use = "an unsettled reservation stays counted"]
pub struct Reservation {
    subject: Subject,
    /// Where it is counted, the subject's own count first.
    buckets: Vec<Bucket>,
    at: Uptime,
}

/// No secret is judged for this subject now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Locked {
    /// How long that lasts.
    pub remaining: Duration,
}

impl Locked {
    /// The same in milliseconds, at least one.
    pub fn retry_after_ms(self) -> u64 {
        u64::try_from(self.remaining.as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

impl Throttle {
    /// Judges the shared secret in `auth`, if `subject` may have one judged. The reservation must be settled with
    /// the verdict of the decision; there is none where nothing was judged.
    pub fn judge(
        &mut self,
        subject: Subject,
        auth: &Auth,
        gateway: &Fingerprint,
        now: Uptime,
    ) -> (Shared, Option<Reservation>) {
        if auth.is_empty() {
            return (Shared::Missing, None);
        }
        match self.reserve(subject, now) {
            Ok(reservation) => (Shared::judge(auth, gateway), Some(reservation)),
            Err(locked) => (Shared::Locked { retry_after_ms: locked.retry_after_ms() }, None),
        }
    }

    /// Asks for leave to judge a secret of `subject`.
    ///
    /// # Errors
    /// [`Locked`]; then the secret must not be looked at, right or wrong.
    pub fn reserve(&mut self, subject: Subject, now: Uptime) -> Result<Reservation, Locked> {
        self.sweep(now);
        let buckets = self.buckets_of(subject);
        let remaining = buckets.iter().filter_map(|bucket| {
            let (most, _) = bucket.limit();
            self.counts.get_mut(bucket)?.refuses(most, now)
        });
        if let Some(remaining) = remaining.max() {
            return Err(Locked { remaining });
        }
        for bucket in &buckets {
            self.counts.entry(*bucket).or_default().reserved.push(now);
        }
        Ok(Reservation { subject, buckets, at: now })
    }

    /// Says what came of it.
    pub fn settle(&mut self, reservation: Reservation, verdict: Verdict, now: Uptime) {
        let Reservation { subject, buckets, at } = reservation;
        if let (Verdict::Right, Some(own)) = (verdict, buckets.first()) {
            // One who knows the secret speaks for its own address, and not for the others in its networks.
            self.counts.entry(*own).or_default().failures.clear();
            if let Subject::Caller(caller, _) = subject {
                self.known.add(caller);
            }
        }
        for bucket in buckets {
            let count = self.counts.entry(bucket).or_default();
            if let Some(index) = count.reserved.iter().position(|reserved| *reserved == at) {
                count.reserved.swap_remove(index);
            }
            count.forget(now);
            if verdict == Verdict::Wrong {
                count.fail(bucket.limit(), now);
            }
            if count.is_clean() {
                self.counts.remove(&bucket);
            }
        }
    }

    /// Forgets who knew the secret: there is another one now.
    pub fn forget_known(&mut self) {
        self.known = Acquaintances::default();
    }

    /// Where a failure of `subject` counts, its own count first.
    fn buckets_of(&self, subject: Subject) -> Vec<Bucket> {
        let (caller, crowd) = match subject {
            Subject::Device(device) => return vec![Bucket::Device(device), Bucket::Crowd(Crowd::Devices)],
            Subject::Caller(caller, Standing::Here) => (caller, Crowd::Here),
            Subject::Caller(caller, _) if self.known.include(&caller) => (caller, Crowd::Known),
            Subject::Caller(caller, Standing::Near) => (caller, Crowd::Near),
            Subject::Caller(caller, Standing::Far) => (caller, Crowd::Far),
        };
        let own = [Bucket::Client(caller), Bucket::Crowd(crowd)];
        let strange = matches!(crowd, Crowd::Far | Crowd::Near);
        let wider = [caller.household().map(Bucket::Household), caller.site().map(Bucket::Site)];
        own.into_iter().chain(wider.into_iter().flatten().filter(|_| strange)).collect()
    }

    fn sweep(&mut self, now: Uptime) {
        if now.since(self.swept_at) >= FAILURE_SWEEP_PERIOD {
            self.swept_at = now;
            self.counts.retain(|_, count| {
                count.forget(now);
                !count.is_clean()
            });
        }
    }
}

impl Count {
    /// For how long nothing more is judged that counts here; nothing if it is.
    fn refuses(&mut self, most: usize, now: Uptime) -> Option<Duration> {
        self.forget(now);
        if let Some(until) = self.locked_until {
            return Some(until.since(now));
        }
        let is_full = self.failures.len() + self.reserved.len() >= most;
        let oldest = self.failures.first().or(self.reserved.first()).copied().unwrap_or(now);
        is_full.then(|| FAILURE_WINDOW.saturating_sub(now.since(oldest)))
    }

    fn fail(&mut self, (most, lockout): (usize, Option<Duration>), now: Uptime) {
        self.failures.push(now);
        if let Some(lockout) = lockout.filter(|_| self.failures.len() >= most) {
            self.failures.clear();
            self.locked_until = Some(now.plus(lockout));
        }
    }

    fn forget(&mut self, now: Uptime) {
        let recent = |at: &Uptime| now.since(*at) < FAILURE_WINDOW;
        let over = self.failures.partition_point(|at| !recent(at));
        self.failures.drain(..over);
        self.reserved.retain(recent);
        self.locked_until = self.locked_until.filter(|until| now < *until);
    }

    fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.reserved.is_empty() && self.locked_until.is_none()
    }
}

#[cfg(test)]
mod tests;
