//! An invite: a one-time secret by which the owner lets the next device in without being asked. One is open at a time, it is
//! kept as a hash, and only a `connect` that proves a device's key redeems it.
//!
//! Invites begin with a word of their own. So one is known wherever a client sends it, those that have one field for all
//! credentials included, and it is never compared with the gateway's secret, nor that with it.

use std::fmt;

use crate::base::clock::UnixMillis;
use crate::base::limits::CLOCK_BACK_MS_MAX;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::pairing::device::DeviceId;
use crate::protocol::connect::Auth;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// What every invite's secret begins with, and no gateway token may.
pub const PREFIX: &str = "doorward-invite-";

/// An invite, as it is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Invite {
    /// What it is called; no secret.
    pub id: InviteId,
    /// The hash of its secret.
    pub secret: Fingerprint,
    /// What an operator's device gets for it.
    pub scopes: Scopes,
    /// When it was made, by the wall clock as it stands now.
    pub made_at: UnixMillis,
    /// For how long it counts, in milliseconds.
    pub life_ms: i64,
    /// Who has had it.
    pub redeemed: Option<Redeemed>,
}

/// Who has redeemed an invite or a setup code, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Redeemed {
    /// The device.
    pub device: DeviceId,
    /// When.
    pub at: UnixMillis,
}

/// The name of an invite, for lists and logs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InviteId(uuid::Uuid);

impl InviteId {
    /// A new one.
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4())
    }

    /// Reads what [`InviteId`]'s `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Invite {
    /// Whether its time is over. As with a request that waits, a clock that went back by more than a little ends it too.
    pub fn is_over(&self, now: UnixMillis) -> bool {
        let age = now.since(self.made_at);
        age >= self.life_ms || age < -CLOCK_BACK_MS_MAX
    }

    /// Whether the next device may redeem it.
    pub fn is_open(&self, now: UnixMillis) -> bool {
        self.redeemed.is_none() && !self.is_over(now)
    }

    /// Until when it counts.
    pub fn ends_at(&self) -> UnixMillis {
        self.made_at.plus(self.life_ms)
    }

    /// Whether `secret` is this invite's, its time is not over, and nobody but `device` has had it.
    pub fn admits(&self, secret: &Secret<String>, device: &DeviceId, now: UnixMillis) -> bool {
        let own = self.redeemed.is_none_or(|redeemed| redeemed.device == *device);
        self.secret.is(secret.expose()) && own && !self.is_over(now)
    }
}

/// What an invite gives when the owner names nothing else: daily use, neither administration nor pairing.
pub fn usual_scopes() -> Scopes {
    [Scope::APPROVALS, Scope::READ, Scope::WRITE].into_iter().collect()
}

/// A new secret.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn secret() -> Result<Secret<String>, getrandom::Error> {
    Ok(Secret::new(format!("{PREFIX}{}", Secret::random()?.expose())))
}

/// Whether `text` means to be an invite, whatever it is worth.
pub fn is_meant(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// Takes an invite out of the fields of the gateway's secret, where clients put it that know no other, into its own. The
/// signature was checked before, over the credentials as they were sent.
pub fn set_apart(auth: &mut Auth) {
    for field in [&mut auth.token, &mut auth.password] {
        let found = field.take_if(|secret| is_meant(secret.expose()));
        auth.bootstrap_token = auth.bootstrap_token.take().or(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::device::DevicePublicKey;

    const NOW: UnixMillis = UnixMillis(1_795_216_312_920);
    const LIFE: i64 = 600_000;

    #[test]
    fn an_invite_is_for_one_device_and_for_its_time() {
        let (secret, [one, two]) = (secret().unwrap(), [1, 2].map(device));
        let free = invite(&secret);
        let had = Invite { redeemed: Some(Redeemed { device: one, at: NOW }), ..free.clone() };
        let wrong = super::secret().unwrap();
        for (name, invite, secret, device, after, admits, open) in [
            ("free", &free, &secret, one, 0, true, true),
            ("nearly over", &free, &secret, two, LIFE - 1, true, true),
            ("over", &free, &secret, one, LIFE, false, false),
            ("the clock went back a little", &free, &secret, one, -CLOCK_BACK_MS_MAX, true, true),
            ("the clock went back", &free, &secret, one, -CLOCK_BACK_MS_MAX - 1, false, false),
            ("another secret", &free, &wrong, one, 0, false, true),
            ("had by this device", &had, &secret, one, 0, true, false),
            ("had by this device, over", &had, &secret, one, LIFE, false, false),
            ("had by another", &had, &secret, two, 0, false, false),
        ] {
            let now = NOW.plus(after);
            assert_eq!((invite.admits(secret, &device, now), invite.is_open(now)), (admits, open), "{name}");
        }
        assert_eq!(free.ends_at(), NOW.plus(LIFE));
    }

    #[test]
    fn an_invite_is_known_in_every_field_and_leaves_the_gateways_secret_alone() {
        let invite = "doorward-invite-x";
        // token, password, bootstrap token; what is left in each.
        for (sent, left) in [
            ([Some(invite), None, None], [None, None, Some(invite)]),
            ([Some(invite), Some(invite), None], [None, None, Some(invite)]),
            ([None, Some(invite), None], [None, None, Some(invite)]),
            ([Some("secret"), Some(invite), None], [Some("secret"), None, Some(invite)]),
            ([Some(invite), None, Some("setup")], [None, None, Some("setup")]),
            ([Some("secret"), Some("secret"), None], [Some("secret"), Some("secret"), None]),
            ([Some("Doorward-invite-x"), None, None], [Some("Doorward-invite-x"), None, None]),
            ([None, None, Some("setup")], [None, None, Some("setup")]),
        ] {
            let [token, password, bootstrap_token] =
                sent.map(|text| text.map(|text: &str| Secret::new(text.to_owned())));
            let mut auth = Auth { token, password, device_token: None, bootstrap_token };
            set_apart(&mut auth);
            let found = [&auth.token, &auth.password, &auth.bootstrap_token];
            let found = found.map(|secret| secret.as_ref().map(|secret| secret.expose().as_str()));
            assert_eq!(found, left, "{sent:?}");
        }
    }

    #[test]
    fn a_secret_is_long_its_own_and_needs_no_escape_in_an_address() {
        let [one, two] = [(); 2].map(|()| secret().unwrap());
        assert!(is_meant(one.expose()) && !one.is(two.expose()));
        assert_eq!(one.expose().len(), PREFIX.len() + 43);
        assert!(one.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert!(!usual_scopes().covers(&Scope::ADMIN) && !usual_scopes().covers(&Scope::PAIRING));
    }

    fn invite(secret: &Secret<String>) -> Invite {
        Invite {
            id: InviteId::random(),
            secret: secret.fingerprint(),
            scopes: usual_scopes(),
            made_at: NOW,
            life_ms: LIFE,
            redeemed: None,
        }
    }

    fn device(seed: u8) -> DeviceId {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        DevicePublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap().id()
    }
}
