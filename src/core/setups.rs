//! Setup codes: secrets that let one device in without a person's look at it. Kept in memory only, as hashes: they live ten
//! minutes of the machine's own clock, asleep or not, and a restart ends them all, so neither a clock that jumps nor a copy
//! of the state folder can make one live again. What one was redeemed for is durable: it is a paired device like any other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::base::clock::UnixMillis;
use crate::base::clock::Uptime;
use crate::base::limits::SETUP_CODE_LIFE;
use crate::base::limits::SETUP_CODES_MAX;
use crate::base::limits::SETUP_OUTCOME_LIFE;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::core::Inner;
use crate::core::broadcast;
use crate::pairing::device::DeviceId;
use crate::pairing::invite;
use crate::pairing::setup::Offer;
use crate::pairing::setup::SetupProfile;
use crate::protocol::event;

/// The codes that were made lately.
#[derive(Debug, Default)]
pub(super) struct Setups(Mutex<VecDeque<Setup>>);

#[derive(Debug)]
struct Setup {
    id: String,
    secret: Fingerprint,
    profile: SetupProfile,
    made: Uptime,
    redeemed: Option<Redeemed>,
}

#[derive(Debug)]
struct Redeemed {
    device: DeviceId,
    name: Option<String>,
    at: UnixMillis,
    delivery: Option<Delivery>,
}

/// Whether the device heard what it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Delivery {
    /// It took our answer.
    Confirmed,
    /// It went away before.
    Uncertain,
}

/// What a device was given for its code, on the way to it. Dropped before the device took it, wherever that was, those who
/// administer are told that it may not know.
#[derive(Debug)]
pub(super) struct Handover {
    core: Arc<Inner>,
    device: DeviceId,
}

impl Handover {
    pub(super) fn new(core: Arc<Inner>, device: DeviceId) -> Self {
        Self { core, device }
    }

    /// The device took it.
    pub(super) fn confirm(self) {
        self.tell(Delivery::Confirmed);
    }

    fn tell(&self, delivery: Delivery) {
        // Only the first word counts.
        let Some(payload) = self.core.setups.delivered(&self.device, delivery) else { return };
        let name = match delivery {
            Delivery::Confirmed => event::DEVICE_SETUP_COMPLETED,
            Delivery::Uncertain => event::DEVICE_SETUP_UNCERTAIN,
        };
        broadcast::setup(&self.core.registry, name, &payload);
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.tell(Delivery::Uncertain);
    }
}

/// A code that was just made.
#[derive(Debug)]
pub(super) struct Minted {
    /// What it is called; no secret.
    pub(super) id: String,
    /// The secret itself.
    pub(super) secret: Secret<String>,
}

impl Setup {
    fn is_open(&self, now: Uptime) -> bool {
        now.since(self.made) < SETUP_CODE_LIFE
    }

    fn payload(&self) -> Option<(Delivery, Value)> {
        let redeemed = self.redeemed.as_ref()?;
        let mut payload = json!({ "setupId": self.id, "deviceId": redeemed.device, "access": self.profile.access,
                                  "ts": redeemed.at.0 });
        if let (Some(name), Value::Object(fields)) = (&redeemed.name, &mut payload) {
            fields.insert("deviceName".to_owned(), json!(name));
        }
        Some((redeemed.delivery?, payload))
    }
}

impl Setups {
    /// A new code that gives `profile`; none when too many are open.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub(super) fn mint(&self, profile: SetupProfile, now: Uptime) -> Result<Option<Minted>, getrandom::Error> {
        let secret = Secret::random()?;
        let mut setups = self.swept(now);
        if setups.iter().filter(|setup| setup.is_open(now) && setup.redeemed.is_none()).count() >= SETUP_CODES_MAX {
            return Ok(None);
        }
        let id = Uuid::new_v4().to_string();
        let setup = Setup { id: id.clone(), secret: secret.fingerprint(), profile, made: now, redeemed: None };
        setups.push_back(setup);
        Ok(Some(Minted { id, secret }))
    }

    /// Judges the code that `device` sent.
    pub(super) fn judge(&self, secret: &Secret<String>, device: &DeviceId, now: Uptime) -> Offer {
        let setups = self.swept(now);
        // Every code is compared, so that time does not tell which one was nearly right.
        let found =
            setups.iter().fold(None, |found, setup| if setup.secret.is(secret.expose()) { Some(setup) } else { found });
        let found = found.filter(|setup| setup.is_open(now));
        let had = |redeemed: &Redeemed| invite::Redeemed { device: redeemed.device, at: redeemed.at };
        match found.map(|setup| (setup, setup.redeemed.as_ref().map(had))) {
            Some((setup, redeemed)) if redeemed.is_none_or(|redeemed| redeemed.device == *device) => {
                Offer::Good { profile: setup.profile.clone(), redeemed }
            }
            Some(_) | None => Offer::Void,
        }
    }

    /// Binds the code to the device that it has let in; durable by now. When that was at first stands also in its tokens.
    pub(super) fn redeem(&self, secret: &Secret<String>, device: DeviceId, name: Option<&str>, at: UnixMillis) {
        let mut setups = self.setups();
        if let Some(setup) = setups.iter_mut().find(|setup| setup.secret.is(secret.expose())) {
            let at = setup.redeemed.as_ref().map_or(at, |redeemed| redeemed.at);
            setup.redeemed = Some(Redeemed { device, name: name.map(str::to_owned), at, delivery: None });
        }
    }

    /// Notes whether `device` heard what its code gave it; the news of it, once.
    fn delivered(&self, device: &DeviceId, delivery: Delivery) -> Option<Value> {
        let mut setups = self.setups();
        let waits = |redeemed: &Redeemed| redeemed.device == *device && redeemed.delivery.is_none();
        let setup = setups.iter_mut().find(|setup| setup.redeemed.as_ref().is_some_and(waits))?;
        setup.redeemed.as_mut()?.delivery = Some(delivery);
        setup.payload().map(|(_, payload)| payload)
    }

    /// What became of the code of this id: `{}` as long as nothing has.
    pub(super) fn status(&self, id: &str, now: Uptime) -> Value {
        let setups = self.swept(now);
        let outcome = setups.iter().find(|setup| setup.id == id).and_then(Setup::payload);
        match outcome {
            Some((Delivery::Confirmed, payload)) => json!({ "completion": payload }),
            Some((Delivery::Uncertain, payload)) => json!({ "deliveryUncertain": payload }),
            None => json!({}),
        }
    }

    /// Ends all codes that nobody redeemed.
    pub(super) fn void(&self) {
        self.setups().retain(|setup| setup.redeemed.is_some());
    }

    /// The codes, without those that are over and of no interest any more.
    fn swept(&self, now: Uptime) -> MutexGuard<'_, VecDeque<Setup>> {
        let mut setups = self.setups();
        setups.retain(|setup| {
            let age = now.since(setup.made);
            age < if setup.redeemed.is_some() { SETUP_OUTCOME_LIFE } else { SETUP_CODE_LIFE }
        });
        while setups.len() > 4 * SETUP_CODES_MAX {
            setups.pop_front();
        }
        setups
    }

    fn setups(&self) -> MutexGuard<'_, VecDeque<Setup>> {
        // A list of whole entries; nothing under this lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pairing::device::DevicePublicKey;
    use crate::pairing::setup::SetupKind;

    #[test]
    fn a_code_is_for_ten_minutes_and_for_the_first_device_that_redeems_it() {
        let (setups, start) = (Setups::default(), Uptime::default());
        let [one, two] = [1, 2].map(device);
        let Minted { id, secret } = minted(&setups, start);
        let good = |redeemed| Offer::Good { profile: SetupKind::Limited.profile(), redeemed };
        let had = Some(invite::Redeemed { device: one, at: UnixMillis(7) });
        assert_eq!(setups.judge(&Secret::new("guess".to_owned()), &one, start), Offer::Void);
        assert_eq!(setups.judge(&secret, &one, start), good(None));
        assert_eq!(setups.judge(&secret, &two, start), good(None), "a look binds nothing");
        assert_eq!(setups.status(&id, start), json!({}));
        setups.redeem(&secret, one, Some("Ann"), UnixMillis(7));
        assert_eq!(setups.judge(&secret, &two, start), Offer::Void);
        assert_eq!(setups.judge(&secret, &one, start), good(had));
        assert_eq!(setups.judge(&secret, &one, start.plus(SETUP_CODE_LIFE)), Offer::Void);
        let told = setups.delivered(&one, Delivery::Confirmed).unwrap();
        let expected = json!({ "setupId": id, "deviceId": one, "deviceName": "Ann", "access": "limited", "ts": 7 });
        assert_eq!(told, expected);
        assert_eq!(setups.delivered(&one, Delivery::Confirmed), None, "told twice");
        setups.redeem(&secret, one, Some("Ann"), UnixMillis(9));
        assert_eq!(setups.judge(&secret, &one, start), good(had), "what it has was given then");
        setups.delivered(&one, Delivery::Confirmed).unwrap();
        assert_eq!(setups.status(&id, start), json!({ "completion": expected }));
    }

    #[test]
    fn codes_are_few_and_end_by_themselves_or_together() {
        let (setups, start) = (Setups::default(), Uptime::default());
        let codes: Vec<_> = (0..SETUP_CODES_MAX).map(|_| minted(&setups, start)).collect();
        assert!(setups.mint(SetupKind::Node.profile(), start).unwrap().is_none());
        let later = start.plus(SETUP_CODE_LIFE);
        assert!(setups.mint(SetupKind::Node.profile(), later).unwrap().is_some());
        assert_eq!(setups.setups().len(), 1);
        setups.void();
        assert!(setups.setups().is_empty());
        assert_eq!(setups.judge(&codes[0].secret, &device(1), start.plus(Duration::from_secs(1))), Offer::Void);
    }

    fn minted(setups: &Setups, now: Uptime) -> Minted {
        setups.mint(SetupKind::Limited.profile(), now).unwrap().unwrap()
    }

    fn device(seed: u8) -> DeviceId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        DevicePublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap().id()
    }
}
