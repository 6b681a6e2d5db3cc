//! Devices that another gateway had paired, on their way here: what each becomes, and what stands against it.
//!
//! Nobody gains by moving: a device that is paired here keeps what it has, and one that was removed here stays out unless
//! the owner names it. A token that comes along counts as handed out under the gateway's secret of that moment, so that
//! replacing the secret voids it as it voids all others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::base::clock::UnixMillis;
use crate::base::secret::Fingerprint;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Grant;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::step::Change;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// A device as another gateway had it, read and judged; of its tokens only the hashes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MovedDevice {
    /// Its key; its id follows from it.
    pub key: DevicePublicKey,
    /// What it said about itself there.
    pub profile: Profile,
    /// A person's name for it.
    pub label: Option<String>,
    /// When it was first approved there, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// What it may be, and as that, do.
    pub grants: Vec<MovedGrant>,
}

/// What a device may do in one role.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MovedGrant {
    /// The role.
    pub role: Role,
    /// Its scopes, all of them.
    pub scopes: Scopes,
    /// Its token, where that comes along.
    pub token: Option<MovedToken>,
}

/// A device token as it is kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MovedToken {
    /// Its hash.
    pub fingerprint: Fingerprint,
    /// When it was handed out there, in milliseconds since 1970.
    pub created_at_ms: i64,
}

impl MovedDevice {
    /// Its id.
    pub fn id(&self) -> DeviceId {
        self.key.id()
    }

    /// As it is paired here, with tokens on the word of `issuer`. No date lies in the future: it would tell a rotation
    /// that never was.
    fn paired(&self, issuer: Issuer, now: UnixMillis) -> PairedDevice {
        let past = |millis: i64| UnixMillis(millis.clamp(0, now.0.max(0)));
        let created_at = past(self.created_at_ms);
        let grants = self.grants.iter().map(|grant| {
            let token = grant.token.map(|token| DeviceToken {
                fingerprint: token.fingerprint,
                issuer,
                created_at: past(token.created_at_ms),
                rotated_at: None,
                last_used_at: None,
            });
            (grant.role, Grant { scopes: grant.scopes.clone(), token, created_at, revoked_at: None })
        });
        PairedDevice {
            key: self.key,
            profile: self.profile.clone(),
            label: self.label.clone(),
            grants: grants.collect::<BTreeMap<_, _>>(),
            approved_via: ApprovedVia::Import,
            created_at,
            approved_at: now,
            last_seen_at: None,
        }
    }
}

/// What is known here of a device that wants to move in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing.
    New,
    /// It is paired here, or was, and its grants were taken back.
    Paired,
    /// It was removed here.
    Removed,
    /// Nothing, but so much was removed here that not all of it is remembered.
    Unsure,
}

/// Whether devices move, or it is only asked what would become of them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moving {
    /// They move.
    Done,
    /// It is only asked.
    Planned,
}

/// What becomes of a device.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is paired here from now on.
    Moves,
    /// It keeps what it has here.
    Stays,
    /// It was removed here, and stays out.
    StaysOut,
    /// Whether it was removed here nobody can say, so it stays out.
    StaysOutUnsure,
}

/// Decides about one device; `again` says that the owner named it.
fn fate(standing: Standing, again: Again) -> Fate {
    match (standing, again) {
        (Standing::Paired, _) => Fate::Stays,
        (Standing::New, _) | (Standing::Removed | Standing::Unsure, Again::Named) => Fate::Moves,
        (Standing::Removed, Again::Unnamed) => Fate::StaysOut,
        (Standing::Unsure, Again::Unnamed) => Fate::StaysOutUnsure,
    }
}

/// Whether the owner named a device that may have been removed here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Again {
    Named,
    Unnamed,
}

/// What becomes of each device, and the changes that make it so: all of them are one act.
pub fn decide(
    devices: &[(MovedDevice, Standing)],
    again: &[DeviceId],
    issuer: Issuer,
    now: UnixMillis,
) -> (Vec<(DeviceId, Fate)>, Vec<Change>) {
    let (mut fates, mut changes) = (Vec::new(), Vec::new());
    for (device, standing) in devices {
        let named = if again.contains(&device.id()) { Again::Named } else { Again::Unnamed };
        let fate = fate(*standing, named);
        // One that is there twice is one device: the first is it.
        if fates.iter().any(|(id, _)| *id == device.id()) {
            continue;
        }
        if fate == Fate::Moves {
            changes.push(Change::PutDevice(Box::new(device.paired(issuer, now))));
        }
        fates.push((device.id(), fate));
    }
    (fates, changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::paired::Generation;
    use crate::protocol::scope::Scope;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn nobody_gains_by_moving() {
        let (device, id) = (moved(7), moved(7).id());
        for (standing, again, fate) in [
            (Standing::New, &[][..], Fate::Moves),
            (Standing::New, &[id], Fate::Moves),
            (Standing::Paired, &[], Fate::Stays),
            (Standing::Paired, &[id], Fate::Stays),
            (Standing::Removed, &[], Fate::StaysOut),
            (Standing::Removed, &[moved(8).id()], Fate::StaysOut),
            (Standing::Removed, &[id], Fate::Moves),
            (Standing::Unsure, &[], Fate::StaysOutUnsure),
            (Standing::Unsure, &[id], Fate::Moves),
        ] {
            let (fates, changes) = decide(&[(device.clone(), standing)], again, issuer(), NOW);
            assert_eq!(fates, [(id, fate)], "{standing:?} {again:?}");
            assert_eq!(changes.len(), usize::from(fate == Fate::Moves), "{standing:?} {again:?}");
        }
    }

    #[test]
    fn a_device_is_paired_with_what_it_brought_under_the_secret_of_now() {
        let both = [(moved(7), Standing::New), (moved(7), Standing::New)];
        let (fates, changes) = decide(&both, &[], issuer(), NOW);
        assert_eq!(fates.len(), 1, "one that is there twice is one");
        let [Change::PutDevice(paired)] = &changes[..] else { panic!("{changes:?}") };
        let grant = &paired.grants[&Role::Operator];
        let token = grant.token.unwrap();
        assert_eq!((token.fingerprint, token.issuer), (Fingerprint::of(b"token"), issuer()));
        assert_eq!(grant.scopes, [Scope::READ].into_iter().collect());
        assert_eq!((&paired.approved_via, paired.approved_at, paired.last_seen_at), (&ApprovedVia::Import, NOW, None));
        assert_eq!((paired.created_at, token.created_at), (UnixMillis(1), NOW), "no date lies in the future");
        let next = Generation::of(&Fingerprint::of(b"the next secret"));
        assert!(!token.issuer.holds(next), "a new secret voids it");
    }

    fn issuer() -> Issuer {
        Issuer::Gateway(Generation::of(&Fingerprint::of(b"secret")))
    }

    fn moved(seed: u8) -> MovedDevice {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        MovedDevice {
            key: DevicePublicKey::from_bytes(key.to_bytes()).unwrap(),
            profile: Profile {
                client_id: crate::protocol::connect::ClientId::Cli,
                client_mode: crate::protocol::connect::ClientMode::Cli,
                platform: "linux".to_owned(),
                display_name: None,
                device_family: None,
            },
            label: None,
            created_at_ms: 1,
            grants: vec![MovedGrant {
                role: Role::Operator,
                scopes: [Scope::READ].into_iter().collect(),
                token: Some(MovedToken { fingerprint: Fingerprint::of(b"token"), created_at_ms: i64::MAX }),
            }],
        }
    }
}
