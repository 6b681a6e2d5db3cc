//! Wrong secrets are counted by who sends them, and who sends too many is not listened to for a while.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use crate::base::limits::FAILURE_CLIENTS_MAX;
use crate::base::limits::FAILURE_SWEEP_PERIOD;
use crate::base::limits::FAILURE_WINDOW;
use crate::base::limits::FAILURES_MAX;
use crate::base::limits::FAILURES_OVERFLOW_MAX;
use crate::base::limits::LOCKOUT;
use crate::base::secret::Fingerprint;
use crate::identity::claims::OriginClaim;
use crate::pairing::caller::CallerKey;
use crate::pairing::credential::Shared;
use crate::pairing::device::DeviceId;
use crate::pairing::device::Proof;
use crate::pairing::paired::PairedDevice;
use crate::pairing::step::Verdict;
use crate::protocol::connect::Auth;

/// Who is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subject {
    /// A caller's address. All strangers behind it share one count.
    Caller(CallerKey),
    /// A paired device that proved its key: strangers at its address cannot lock it out.
    Device(DeviceId),
}

impl Subject {
    /// Who is counted for a connect from `origin` with this `proof`, where `paired` is what is stored under its id.
    pub fn of(origin: &OriginClaim, proof: &Proof, paired: Option<&PairedDevice>) -> Self {
        match (proof, paired) {
            (Proof::Proven(device), Some(paired)) if paired.key == device.key() => Self::Device(device.id()),
            _ => Self::Caller(CallerKey::of(origin)),
        }
    }
}

/// The counts.
///
/// Invariant: failures and reservations of one subject never exceed [`FAILURES_MAX`] within [`FAILURE_WINDOW`], so
/// parallel guesses cannot be judged before the first of them is counted.
#[derive(Debug, Default)]
pub struct Throttle {
    subjects: HashMap<Subject, Count>,
    /// Those for whom the table had no room share a count with their like.
    overflow: HashMap<Crowd, Count>,
    swept_at: Option<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Count {
    /// When each failure within the window happened, oldest first.
    failures: Vec<Instant>,
    /// When leave was given for each secret that is still being judged.
    reserved: Vec<Instant>,
    locked_until: Option<Instant>,
}

/// Leave to judge one secret. Until [`Throttle::settle`] says otherwise it counts as a failure.
#[derive(Debug)]
#[must_use = "an unsettled reservation stays counted"]
pub struct Reservation {
    subject: Subject,
    place: Place,
    at: Instant,
}

/// Where a subject is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// Together with all of that crowd for whom the table had no room.
    Overflow(Crowd),
    /// By itself.
    Own,
}

/// Whoever shares a count when the table is full. Strangers can fill it, so they must not share one with the owner.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Crowd {
    /// Paired devices that proved their keys.
    Devices,
    /// Callers at this machine.
    Local,
    /// Everybody else.
    Strangers,
}

impl Crowd {
    fn of(subject: Subject) -> Self {
        match subject {
            Subject::Caller(caller) if caller.is_local() => Self::Local,
            Subject::Caller(_) => Self::Strangers,
            Subject::Device(_) => Self::Devices,
        }
    }
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
        now: Instant,
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
    pub fn reserve(&mut self, subject: Subject, now: Instant) -> Result<Reservation, Locked> {
        let has_own = self.subjects.contains_key(&subject) || self.has_room(now);
        let place = if has_own { Place::Own } else { Place::Overflow(Crowd::of(subject)) };
        let (count, most) = self.count(subject, place);
        count.forget(now);
        if let Some(until) = count.locked_until {
            return Err(Locked { remaining: until.saturating_duration_since(now) });
        }
        if count.failures.len() + count.reserved.len() >= most {
            let oldest = count.failures.first().or(count.reserved.first()).copied().unwrap_or(now);
            return Err(Locked { remaining: FAILURE_WINDOW.saturating_sub(now.saturating_duration_since(oldest)) });
        }
        count.reserved.push(now);
        Ok(Reservation { subject, place, at: now })
    }

    /// Says what came of it.
    pub fn settle(&mut self, reservation: Reservation, verdict: Verdict, now: Instant) {
        let Reservation { subject, place, at } = reservation;
        let (count, most) = self.count(subject, place);
        if let Some(index) = count.reserved.iter().position(|reserved| *reserved == at) {
            count.reserved.swap_remove(index);
        }
        count.forget(now);
        match (verdict, place) {
            (Verdict::Right, Place::Own) => count.failures.clear(),
            // One who knows the secret does not speak for the others.
            (Verdict::Right, Place::Overflow(_)) | (Verdict::Unjudged, _) => {}
            (Verdict::Wrong, _) => {
                count.failures.push(now);
                if count.failures.len() >= most {
                    count.failures.clear();
                    count.locked_until = Some(now + LOCKOUT);
                }
            }
        }
        if place == Place::Own && self.subjects.get(&subject).is_some_and(Count::is_clean) {
            self.subjects.remove(&subject);
        }
    }

    fn count(&mut self, subject: Subject, place: Place) -> (&mut Count, usize) {
        let (count, most) = match place {
            Place::Overflow(crowd) => (self.overflow.entry(crowd).or_default(), FAILURES_OVERFLOW_MAX),
            Place::Own => (self.subjects.entry(subject).or_default(), FAILURES_MAX),
        };
        (count, usize::try_from(most).unwrap_or(usize::MAX))
    }

    /// Whether one more subject can be remembered, after the clean ones are forgotten. Who is locked, or being judged,
    /// or has failed within the window, is never forgotten: else a flood of addresses would wash locks away.
    fn has_room(&mut self, now: Instant) -> bool {
        let full = self.subjects.len() >= FAILURE_CLIENTS_MAX;
        let due = self.swept_at.is_none_or(|swept| now.saturating_duration_since(swept) >= FAILURE_SWEEP_PERIOD);
        if full && due {
            self.swept_at = Some(now);
            self.subjects.retain(|_, count| {
                count.forget(now);
                !count.is_clean()
            });
        }
        self.subjects.len() < FAILURE_CLIENTS_MAX
    }
}

impl Count {
    fn forget(&mut self, now: Instant) {
        let recent = |at: &Instant| now.saturating_duration_since(*at) < FAILURE_WINDOW;
        self.failures.retain(recent);
        self.reserved.retain(recent);
        self.locked_until = self.locked_until.filter(|until| now < *until);
    }

    fn is_clean(&self) -> bool {
        self.failures.is_empty() && self.reserved.is_empty() && self.locked_until.is_none()
    }
}

#[cfg(test)]
mod tests;
