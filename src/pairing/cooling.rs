//! Devices whose request a person rejected: they cannot ask again at once, else a "no" would be worth nothing.
//!
//! Kept in memory: a restart forgets it, and costs the owner one more "no" at most.

use std::collections::HashMap;
use std::time::Duration;

use crate::base::clock::Uptime;
use crate::base::limits::REJECTION_COOL_DOWN;
use crate::base::limits::REJECTIONS_MAX;
use crate::pairing::device::DeviceId;

/// Those that were rejected lately.
#[derive(Debug, Default)]
pub struct Cooling(HashMap<DeviceId, Uptime>);

impl Cooling {
    /// Notes that a request of `device` was rejected now.
    pub fn note(&mut self, device: DeviceId, now: Uptime) {
        self.0.retain(|_, rejected| now.since(*rejected) < REJECTION_COOL_DOWN);
        if self.0.len() >= REJECTIONS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(_, at)| **at).map(|(device, _)| *device)
        {
            self.0.remove(&oldest);
        }
        self.0.insert(device, now);
    }

    /// For how long `device` may not ask for anything new.
    pub fn remaining(&self, device: &DeviceId, now: Uptime) -> Option<Duration> {
        let left = REJECTION_COOL_DOWN.saturating_sub(now.since(*self.0.get(device)?));
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
        assert_eq!((cooling.0.len(), cooling.remaining(&device(0), now)), (REJECTIONS_MAX, None));
        cooling.note(device(0), now.plus(2 * REJECTION_COOL_DOWN));
        assert_eq!(cooling.0.len(), 1, "what is over is forgotten");
    }

    fn device(number: u64) -> DeviceId {
        format!("{number:064x}").parse().unwrap()
    }
}
