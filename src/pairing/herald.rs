//! Which requests operators are told of at once, and which a little later. The first of a source is told at once, and so are as
//! many as may wait there; one that asks and asks is told of once a minute, and no flood is more than a few lines a minute.
//! What is held back is told as soon as its time has come, if it still waits then.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::clock::Uptime;
use crate::base::limits::NOTICE_PERIOD;
use crate::base::limits::NOTICES_MAX;
use crate::base::limits::NOTICES_PER_CLIENT_MAX;
use crate::base::limits::PENDING_MAX;
use crate::pairing::queue::Standing;
use crate::pairing::queue::Waiter;
use crate::pairing::request::RequestId;

/// For how long it is remembered who was told of.
const MEMORY: Duration = NOTICE_PERIOD.saturating_mul(NOTICES_PER_CLIENT_MAX);

/// What was told lately, and what is held back.
#[derive(Debug, Default)]
pub struct Herald {
    /// Oldest first.
    told: VecDeque<(Uptime, Waiter)>,
    /// Oldest first, no more than may wait.
    held: VecDeque<Waiter>,
}

impl Herald {
    /// Whether operators are to be told of `request` now; else it is held back.
    pub fn announce(&mut self, request: Waiter, now: Uptime) -> bool {
        let tells = self.tells(&request, now);
        if tells {
            self.told.push_back((now, request));
        } else {
            if self.held.len() >= PENDING_MAX {
                self.held.pop_front();
            }
            self.held.push_back(request);
        }
        tells
    }

    /// Forgets a request that has ended; whether operators had not been told of it, so that its end is none of their news.
    pub fn forget(&mut self, request: &RequestId) -> bool {
        let before = self.held.len();
        self.held.retain(|held| held.request != *request);
        self.held.len() < before
    }

    /// Forgets that a request was told of: somebody was there and approved it, so the next of that source is no flood.
    pub fn approved(&mut self, request: &RequestId) {
        self.told.retain(|(_, told)| told.request != *request);
    }

    /// Those held back whose time has come. They count as told.
    pub fn due(&mut self, now: Uptime) -> Vec<RequestId> {
        let mut due = Vec::new();
        for waiter in std::mem::take(&mut self.held) {
            if self.tells(&waiter, now) {
                self.told.push_back((now, waiter));
                due.push(waiter.request);
            } else {
                self.held.push_back(waiter);
            }
        }
        due
    }

    fn tells(&mut self, request: &Waiter, now: Uptime) -> bool {
        let over = self.told.partition_point(|(at, _)| now.since(*at) >= MEMORY);
        self.told.drain(..over);
        let is_far = request.standing == Standing::Far;
        let of_client = self.told.iter().filter(|(_, other)| other.caller == request.caller).count();
        let recent = || self.told.iter().filter(|(at, _)| now.since(*at) < NOTICE_PERIOD);
        let of_crowd = recent().filter(|(_, other)| (other.standing == Standing::Far) == is_far).count();
        let repeated = recent().any(|(_, other)| other.device == request.device);
        !repeated && of_crowd < NOTICES_MAX && of_client < usize::try_from(NOTICES_PER_CLIENT_MAX).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;
