//! Scope upgrades that a session asked for and waits for: how each ended, told to whoever asked and to nobody else.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use tokio::sync::watch;

use crate::base::limits::PENDING_MAX;
use crate::base::limits::UPGRADE_OUTCOME_LIFE;
use crate::base::limits::UPGRADE_WAITERS_MAX;
use crate::pairing::device::DeviceId;
use crate::pairing::request::RequestId;
use crate::pairing::step::RequestEnd;

/// The upgrades that wait, and those that ended lately.
#[derive(Debug, Default)]
pub(super) struct Upgrades(Mutex<HashMap<RequestId, Upgrade>>);

#[derive(Debug)]
struct Upgrade {
    device: DeviceId,
    end: watch::Sender<Option<RequestEnd>>,
    ended_at: Option<Instant>,
}

/// Why nobody can wait for an upgrade.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unwatchable {
    /// There is none of this id that is this device's.
    Gone,
    /// Enough wait for it already.
    Full,
}

impl Upgrades {
    /// Notes that `device` asked for the upgrade of this id, at the desk where it was made.
    pub(super) fn note(&self, id: RequestId, device: DeviceId) {
        let fresh = || Upgrade { device, end: watch::Sender::new(None), ended_at: None };
        self.upgrades().entry(id).or_insert_with(fresh);
    }

    /// Notes that the request of this id has ended, if it was for an upgrade.
    pub(super) fn ended(&self, id: &RequestId, end: RequestEnd, now: Instant) {
        let mut upgrades = self.upgrades();
        upgrades.retain(|_, upgrade| {
            upgrade.ended_at.is_none_or(|at| now.saturating_duration_since(at) < UPGRADE_OUTCOME_LIFE)
        });
        if let Some(upgrade) = upgrades.get_mut(id) {
            upgrade.ended_at = Some(now);
            upgrade.end.send_replace(Some(end));
        }
    }

    /// The end of the upgrade of this id, as soon as there is one.
    ///
    /// # Errors
    /// [`Unwatchable`].
    pub(super) fn watch(
        &self,
        id: &RequestId,
        device: &DeviceId,
        now: Instant,
    ) -> Result<watch::Receiver<Option<RequestEnd>>, Unwatchable> {
        let upgrades = self.upgrades();
        let upgrade = upgrades.get(id).filter(|upgrade| upgrade.device == *device).ok_or(Unwatchable::Gone)?;
        if upgrade.ended_at.is_some_and(|at| now.saturating_duration_since(at) >= UPGRADE_OUTCOME_LIFE) {
            return Err(Unwatchable::Gone);
        }
        if upgrade.end.receiver_count() >= UPGRADE_WAITERS_MAX {
            return Err(Unwatchable::Full);
        }
        Ok(upgrade.end.subscribe())
    }

    fn upgrades(&self) -> MutexGuard<'_, HashMap<RequestId, Upgrade>> {
        // A map of whole entries, and no more of them than requests may wait, besides those that ended just now.
        let upgrades = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        debug_assert!(upgrades.values().filter(|upgrade| upgrade.ended_at.is_none()).count() <= PENDING_MAX + 1);
        upgrades
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::device::DevicePublicKey;

    #[test]
    fn an_upgrade_is_told_to_the_device_that_asked_and_for_a_while() {
        let (upgrades, now, id) = (Upgrades::default(), Instant::now(), RequestId::random());
        let [own, other] = [1, 2].map(device);
        upgrades.note(id, own);
        assert_eq!(upgrades.watch(&id, &other, now).unwrap_err(), Unwatchable::Gone);
        assert_eq!(upgrades.watch(&RequestId::random(), &own, now).unwrap_err(), Unwatchable::Gone);
        let waiting: Vec<_> = (0..UPGRADE_WAITERS_MAX).map(|_| upgrades.watch(&id, &own, now).unwrap()).collect();
        assert_eq!(upgrades.watch(&id, &own, now).unwrap_err(), Unwatchable::Full);
        upgrades.ended(&id, RequestEnd::Approved, now);
        assert!(waiting.iter().all(|end| *end.borrow() == Some(RequestEnd::Approved)));
        drop(waiting);
        assert_eq!(*upgrades.watch(&id, &own, now).unwrap().borrow(), Some(RequestEnd::Approved));
        assert_eq!(upgrades.watch(&id, &own, now + UPGRADE_OUTCOME_LIFE).unwrap_err(), Unwatchable::Gone);
        upgrades.ended(&RequestId::random(), RequestEnd::Rejected, now + UPGRADE_OUTCOME_LIFE);
        assert!(upgrades.upgrades().is_empty(), "what ended long ago is kept");
    }

    fn device(seed: u8) -> DeviceId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        DevicePublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap().id()
    }
}
