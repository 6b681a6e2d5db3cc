//! Devices that must leave something be for a while: one whose request a person rejected cannot ask again at once, else a
//! "no" would be worth nothing; and a request that has just changed stands, else one device could fill the audit log.
//!
//! Kept in memory: a restart forgets it, and costs the owner one more "no" at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::base::clock::Uptime;
use crate::base::limits::REJECTION_COOL_DOWN;
use crate::base::limits::REJECTIONS_MAX;
use crate::base::limits::REQUEST_SETTLE;
use crate::base::limits::REQUESTS_SETTLING_MAX;
use crate::pairing::device::DeviceId;
use crate::protocol::scope::Role;

/// What happened lately.
#[derive(Debug)]
pub struct Cooling {
    rejected: Recent<DeviceId>,
    changed: Recent<(DeviceId, Role)>,
}

impl Default for Cooling {
    fn default() -> Self {
        Self {
            rejected: Recent::new(REJECTION_COOL_DOWN, REJECTIONS_MAX),
            changed: Recent::new(REQUEST_SETTLE, REQUESTS_SETTLING_MAX),
        }
    }
}

impl Cooling {
    /// Notes that a request of `device` was rejected now.
    pub fn note(&mut self, device: DeviceId, now: Uptime) {
        self.rejected.note(device, now);
    }

    /// For how long `device` may not ask for anything new.
    pub fn remaining(&self, device: &DeviceId, now: Uptime) -> Option<Duration> {
        self.rejected.remaining(device, now)
    }

    /// Notes that what `device` asks for as `role` has changed now.
    pub fn changed(&mut self, device: DeviceId, role: Role, now: Uptime) {
        self.changed.note((device, role), now);
    }

    /// As what the request of `device` stands for now.
    pub fn settling(&self, device: &DeviceId, now: Uptime) -> Vec<Role> {
        let roles = [Role::Node, Role::Operator].into_iter();
        roles.filter(|role| self.changed.remaining(&(*device, *role), now).is_some()).collect()
    }
}

/// When each of the latest happened, as long as that matters.
#[derive(Debug)]
struct Recent<K> {
    at: HashMap<K, Uptime>,
    period: Duration,
    most: usize,
}

impl<K: Copy + Eq + Hash> Recent<K> {
    fn new(period: Duration, most: usize) -> Self {
        Self { at: HashMap::new(), period, most }
    }

    fn note(&mut self, key: K, now: Uptime) {
        self.at.retain(|_, at| now.since(*at) < self.period);
        if self.at.len() >= self.most
            && let Some(oldest) = self.at.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key)
        {
            self.at.remove(&oldest);
        }
        self.at.insert(key, now);
    }

    fn remaining(&self, key: &K, now: Uptime) -> Option<Duration> {
        let left = self.period.saturating_sub(now.since(*self.at.get(key)?));
        Some(left).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_device_cools_down_for_a_minute_and_few_are_remembered() {
        let (mut cooling, now) = (Cooling::default(), Uptime::default().plus(Duration::from_secs(9)));
        cooling.note(device(0), now);
        assert_eq!(cooling.remaining(&device(0), now), Some(REJECTION_COOL_DOWN));
        assert_eq!(cooling.remaining(&device(1), now), None);
        assert_eq!(cooling.remaining(&device(0), now.plus(REJECTION_COOL_DOWN)), None);
        for number in 1..=REJECTIONS_MAX {
            cooling.note(device(u64::try_from(number).unwrap()), now.plus(Duration::from_secs(1)));
        }
        assert_eq!((cooling.rejected.at.len(), cooling.remaining(&device(0), now)), (REJECTIONS_MAX, None));
        cooling.note(device(0), now.plus(2 * REJECTION_COOL_DOWN));
        assert_eq!(cooling.rejected.at.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn a_changed_request_stands_for_ten_seconds_in_its_role_and_few_are_remembered() {
        let (mut cooling, now) = (Cooling::default(), Uptime::default());
        cooling.changed(device(0), Role::Operator, now);
        let last = now.plus(REQUEST_SETTLE.saturating_sub(Duration::from_millis(1)));
        assert_eq!(cooling.settling(&device(0), last), [Role::Operator]);
        assert_eq!(cooling.settling(&device(0), now.plus(REQUEST_SETTLE)), []);
        assert_eq!(cooling.settling(&device(1), now), []);
        for number in 0..=REQUESTS_SETTLING_MAX {
            cooling.changed(device(u64::try_from(number).unwrap()), Role::Node, now.plus(Duration::from_secs(1)));
        }
        assert_eq!(cooling.changed.at.len(), REQUESTS_SETTLING_MAX);
    }

    fn device(number: u64) -> DeviceId {
        format!("{number:064x}").parse().unwrap()
    }
}
