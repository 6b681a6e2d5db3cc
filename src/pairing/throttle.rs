//! Wrong secrets are counted by who sends them, and who sends too many is not listened to for a while.

use std::collections::HashMap;
use std::time::Duration;
use std::time::Instant;

use crate::base::limits::FAILURE_CLIENTS_MAX;
use crate::base::limits::FAILURE_WINDOW;
use crate::base::limits::FAILURES_MAX;
use crate::base::limits::FAILURES_OVERFLOW_MAX;
use crate::base::limits::LOCKOUT;
use crate::net::addr::ClientKey;
use crate::pairing::device::DeviceId;
use crate::pairing::step::Verdict;

/// Who is counted.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Subject {
    /// A client's address. All strangers behind it share one count.
    Client(ClientKey),
    /// A paired device that proved its key: strangers at its address cannot lock it out.
    Device(DeviceId),
}

/// The counts.
///
/// Invariant: failures and reservations of one subject never exceed [`FAILURES_MAX`] within [`FAILURE_WINDOW`], so
/// parallel guesses cannot be judged before the first of them is counted.
#[derive(Debug, Default)]
pub struct Throttle {
    subjects: HashMap<Subject, Count>,
    overflow: Count,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Start of the window and failures in it.
    window: Option<(Instant, u32)>,
    /// Secrets being judged now.
    reserved: u32,
    locked_until: Option<Instant>,
}

/// Leave to judge one secret. It counts as a failure until [`Throttle::settle`] says otherwise.
#[derive(Debug)]
#[must_use = "an unsettled reservation stays counted"]
pub struct Reservation {
    subject: Subject,
    overflow: bool,
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
    /// Asks for leave to judge a secret of `subject`.
    ///
    /// # Errors
    /// [`Locked`]; then the secret must not be looked at, right or wrong.
    pub fn reserve(&mut self, subject: Subject, now: Instant) -> Result<Reservation, Locked> {
        let overflow = !self.subjects.contains_key(&subject) && !self.make_room(now);
        let (count, most) = self.count(subject, overflow);
        count.forget(now);
        if let Some(until) = count.locked_until {
            return Err(Locked { remaining: until.saturating_duration_since(now) });
        }
        let failures = count.window.map_or(0, |(_, failures)| failures);
        if failures.saturating_add(count.reserved) >= most {
            return Err(Locked { remaining: FAILURE_WINDOW });
        }
        count.reserved += 1;
        Ok(Reservation { subject, overflow })
    }

    /// Says what came of it.
    pub fn settle(&mut self, reservation: Reservation, verdict: Verdict, now: Instant) {
        let Reservation { subject, overflow } = reservation;
        let (count, most) = self.count(subject, overflow);
        count.reserved = count.reserved.saturating_sub(1);
        count.forget(now);
        match verdict {
            Verdict::Unjudged => {}
            Verdict::Right if overflow => {}
            Verdict::Right => count.window = None,
            Verdict::Wrong => {
                let (start, failures) = count.window.unwrap_or((now, 0));
                count.window = Some((start, failures.saturating_add(1)));
                if failures.saturating_add(1) >= most {
                    (count.window, count.locked_until) = (None, Some(now + LOCKOUT));
                }
            }
        }
        if !overflow && self.subjects.get(&subject).is_some_and(Count::is_clean) {
            self.subjects.remove(&subject);
        }
    }

    /// How many subjects are remembered.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    fn count(&mut self, subject: Subject, overflow: bool) -> (&mut Count, u32) {
        if overflow {
            (&mut self.overflow, FAILURES_OVERFLOW_MAX)
        } else {
            (self.subjects.entry(subject).or_default(), FAILURES_MAX)
        }
    }

    /// Whether one more subject can be remembered, after the clean ones are forgotten. Who is locked, or being judged,
    /// or has failed within the window, is never forgotten: else a flood of addresses would wash locks away.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.subjects.len() < FAILURE_CLIENTS_MAX {
            return true;
        }
        self.subjects.retain(|_, count| {
            count.forget(now);
            !count.is_clean()
        });
        self.subjects.len() < FAILURE_CLIENTS_MAX
    }
}

impl Count {
    fn forget(&mut self, now: Instant) {
        self.window = self.window.filter(|(start, _)| now.saturating_duration_since(*start) < FAILURE_WINDOW);
        self.locked_until = self.locked_until.filter(|until| now < *until);
    }

    fn is_clean(&self) -> bool {
        self.window.is_none() && self.reserved == 0 && self.locked_until.is_none()
    }
}
