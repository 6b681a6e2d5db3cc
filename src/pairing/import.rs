//! The import of devices that another gateway had paired: what becomes of each, and what stands against it.
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
pub struct ImportedDevice {
    /// Its key; its id follows from it.
    pub key: DevicePublicKey,
    /// What it said about itself there.
    pub profile: Profile,
    /// A person's name for it.
    pub label: Option<String>,
    /// When it was first approved there, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// What it may be, and as that, do.
    pub grants: Vec<ImportedGrant>,
}

/// What a device may do in one role.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportedGrant {
    /// The role.
    pub role: Role,
    /// Its scopes, all of them.
    pub scopes: Scopes,
    /// Its token, where that comes along.
    pub token: Option<ImportedToken>,
}

/// A device token as it is kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportedToken {
    /// Its hash.
    pub fingerprint: Fingerprint,
    /// When it was handed out there, in milliseconds since 1970.
    pub created_at_ms: i64,
}

impl ImportedDevice {
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
pub enum Footing {
    /// Nothing.
    New,
    /// It is paired here, or was, and its grants were taken back.
    Paired,
    /// It was removed here.
    Removed,
    /// Nothing, but so much was removed here that not all of it is remembered.
    Unsure,
}

/// An import, as the owner asks for it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Import {
    /// The devices.
    pub devices: Vec<ImportedDevice>,
    /// Those of them that move in although they may have been removed here.
    pub again: Vec<DeviceId>,
    /// Whether it is done.
    pub mode: Mode,
}

/// Whether devices move in, or it is only asked what would become of them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
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
fn fate(footing: Footing, again: Again) -> Fate {
    match (footing, again) {
        (Footing::Paired, _) => Fate::Stays,
        (Footing::New, _) | (Footing::Removed | Footing::Unsure, Again::Named) => Fate::Moves,
        (Footing::Removed, Again::Unnamed) => Fate::StaysOut,
        (Footing::Unsure, Again::Unnamed) => Fate::StaysOutUnsure,
    }
}

/// Whether the owner named a device that may have been removed here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Again {
    Named,
    Unnamed,
}

impl Import {
    /// The devices' ids, in their order.
    pub fn ids(&self) -> Vec<DeviceId> {
        self.devices.iter().map(ImportedDevice::id).collect()
    }

    /// What becomes of them where nothing is known of any.
    pub fn of_strangers(&self) -> Vec<(DeviceId, Fate)> {
        self.ids().into_iter().map(|id| (id, fate(Footing::New, Again::Unnamed))).collect()
    }

    /// What becomes of each device, of which `footings` are known in the same order, and the changes that make it so: all
    /// of them are one act.
    pub fn decide(
        &self,
        footings: &[Footing],
        issuer: Issuer,
        now: UnixMillis,
    ) -> (Vec<(DeviceId, Fate)>, Vec<Change>) {
        let (mut fates, mut changes) = (Vec::new(), Vec::new());
        for (device, footing) in self.devices.iter().zip(footings) {
            let named = if self.again.contains(&device.id()) { Again::Named } else { Again::Unnamed };
            let fate = fate(*footing, named);
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::paired::Generation;
    use crate::protocol::scope::Scope;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn nobody_gains_by_moving() {
        let (device, id) = (imported(7), imported(7).id());
        for (footing, again, fate) in [
            (Footing::New, &[][..], Fate::Moves),
            (Footing::New, &[id], Fate::Moves),
            (Footing::Paired, &[], Fate::Stays),
            (Footing::Paired, &[id], Fate::Stays),
            (Footing::Removed, &[], Fate::StaysOut),
            (Footing::Removed, &[imported(8).id()], Fate::StaysOut),
            (Footing::Removed, &[id], Fate::Moves),
            (Footing::Unsure, &[], Fate::StaysOutUnsure),
            (Footing::Unsure, &[id], Fate::Moves),
        ] {
            let import = Import { devices: vec![device.clone()], again: again.to_vec(), mode: Mode::Done };
            let (fates, changes) = import.decide(&[footing], issuer(), NOW);
            assert_eq!(fates, [(id, fate)], "{footing:?} {again:?}");
            assert_eq!(changes.len(), usize::from(fate == Fate::Moves), "{footing:?} {again:?}");
        }
    }

    #[test]
    fn a_device_is_paired_with_what_it_brought_under_the_secret_of_now() {
        let both = Import { devices: vec![imported(7), imported(7)], again: Vec::new(), mode: Mode::Done };
        let (fates, changes) = both.decide(&[Footing::New; 2], issuer(), NOW);
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

    fn imported(seed: u8) -> ImportedDevice {
        let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]).verifying_key();
        ImportedDevice {
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
            grants: vec![ImportedGrant {
                role: Role::Operator,
                scopes: [Scope::READ].into_iter().collect(),
                token: Some(ImportedToken { fingerprint: Fingerprint::of(b"token"), created_at_ms: i64::MAX }),
            }],
        }
    }
}
