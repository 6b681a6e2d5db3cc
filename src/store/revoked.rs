//! What was taken back, kept beside the store, so that no older copy of the store gives it again: a device that was
//! removed, a grant that was revoked or narrowed, a token that was replaced; and which devices a person did not want.
//!
//! Written before the change itself. One that then fails leaves a line that says too much, which costs a pairing after a
//! restore and lets nobody in.
//!
//! The store itself knows when something was last taken back. A file that is missing, or knows of less, was lost: then
//! nobody can say who was removed, and that is never the same as nobody.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use sqlx::SqliteConnection;
use tracing::error;
use tracing::warn;

use crate::base::limits::REJECTED_MAX;
use crate::base::limits::TAKEN_BACK_MAX;
use crate::base::private_file;
use crate::base::private_file::Fault;
use crate::base::private_file::PrivateFileError;
use crate::base::secret::Secret;
use crate::pairing::device::DeviceId;
use crate::pairing::import::Footing;
use crate::pairing::paired::Grant;
use crate::pairing::paired::PairedDevice;
use crate::pairing::step::Change;
use crate::protocol::scope::Role;
use crate::store::error::StoreError;

/// Everything that was taken back.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revoked {
    /// What is said here of before this entry of the audit log is no more than a part.
    floor: i64,
    /// The last entry that took something back, where what was said of it here was lost; 0 where nothing was.
    #[serde(default, skip_serializing_if = "is_zero")]
    lost: i64,
    taken: Vec<Taken>,
    /// Devices whose request a person rejected, the latest; no rule lets them in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<String>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// One thing that a copy of the store does not know of, if its audit log ends before `sequence`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taken {
    pub(super) sequence: i64,
    device: String,
    /// All of them where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// What becomes of a device of an older copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// Nothing was taken from it since.
    Kept,
    /// It was removed since, or nobody can say.
    Removed,
    /// It lost these roles since, or something in them.
    Revoked(Vec<Role>),
}

impl Revoked {
    /// What is kept beside the store at `path`, which says that something was last taken back by entry `last`.
    pub(super) fn read(path: &Path, last: Option<i64>) -> Result<Self, StoreError> {
        let mut revoked = Self::written(path)?.unwrap_or_default();
        if let Some(last) = last.filter(|last| *last > revoked.last()) {
            (revoked.floor, revoked.lost) = (last, last);
        }
        Ok(revoked)
    }

    /// What the file says, if it is there.
    pub(super) fn written(path: &Path) -> Result<Option<Self>, StoreError> {
        let path = path_of(path);
        let text = match private_file::read(&path) {
            Err(error) if error.is_absent() => return Ok(None),
            read => read.map_err(StoreError::Revoked)?,
        };
        let garbage = |_| StoreError::Revoked(PrivateFileError::new(&path, Fault::Garbage("what was taken back")));
        serde_json::from_str(text.expose()).map(Some).map_err(garbage)
    }

    fn write(&self, path: &Path) -> Result<(), StoreError> {
        // Never: numbers and plain text.
        let text = serde_json::to_string(self).unwrap_or_default();
        private_file::replace(&path_of(path), &Secret::new(text)).map_err(StoreError::Revoked)
    }

    /// Adds `more` to what is kept beside the store at `path`; durable when this returns.
    pub(super) fn add(
        path: &Path,
        last: Option<i64>,
        more: Vec<Taken>,
        rejected: &[DeviceId],
    ) -> Result<(), StoreError> {
        let mut revoked = Self::read(path, last)?;
        for device in rejected.iter().map(DeviceId::to_string) {
            revoked.rejected.retain(|old| *old != device);
            revoked.rejected.push(device);
        }
        let forgotten = revoked.rejected.len().saturating_sub(REJECTED_MAX);
        revoked.rejected.drain(..forgotten);
        for taken in more {
            revoked.taken.retain(|old| (&old.device, &old.role) != (&taken.device, &taken.role));
            revoked.taken.push(taken);
        }
        let surplus = revoked.taken.len().saturating_sub(TAKEN_BACK_MAX);
        for forgotten in revoked.taken.drain(..surplus) {
            revoked.floor = revoked.floor.max(forgotten.sequence);
        }
        revoked.write(path)
    }

    /// What is wrong with it, if some of it was lost.
    pub(super) fn fault(&self, path: &Path) -> Option<StoreError> {
        (self.lost != 0).then(|| StoreError::Forgotten { path: path_of(path), through: self.lost })
    }

    /// The last entry of the audit log that took something back.
    pub(super) fn last(&self) -> i64 {
        self.taken.iter().map(|taken| taken.sequence).fold(self.floor, i64::max)
    }

    /// Whether `device` was removed once, as far back as this goes; where some of it was lost, everybody may have been.
    pub(super) fn has_removed(&self, device: &DeviceId) -> bool {
        let id = device.to_string();
        self.lost != 0 || self.taken.iter().any(|taken| taken.device == id && taken.role.is_none())
    }

    /// Whether a person rejected a request of `device` once, as far back as this goes.
    pub(super) fn has_rejected(&self, device: &DeviceId) -> bool {
        self.rejected.contains(&device.to_string())
    }

    /// What is remembered of a device that is not paired now.
    pub(super) fn footing(&self, device: &DeviceId) -> Footing {
        let id = device.to_string();
        match (self.taken.iter().any(|taken| taken.device == id), self.floor) {
            (true, _) => Footing::Removed,
            (false, 0) => Footing::New,
            (false, _) => Footing::Unsure,
        }
    }

    /// What becomes of `device`, as a copy has it whose audit log ends with entry `end`.
    pub(super) fn fate(&self, device: &PairedDevice, end: i64) -> Fate {
        let id = device.id().to_string();
        let mut roles = Vec::new();
        if end < self.floor {
            return Fate::Removed;
        }
        for taken in self.taken.iter().filter(|taken| taken.device == id && taken.sequence > end) {
            match taken.role.as_deref().map(Role::parse) {
                Some(Some(role)) => roles.push(role),
                _ => return Fate::Removed,
            }
        }
        if roles.is_empty() { Fate::Kept } else { Fate::Revoked(roles) }
    }
}

/// The last entry of the audit log that took something back, as the store that `connection` reads says.
pub(super) async fn last_taken(connection: &mut SqliteConnection) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT number FROM seals WHERE name = 'taken_back'").fetch_optional(connection).await
}

/// Has the store say that entry `last` took something back.
pub(super) async fn note(connection: &mut SqliteConnection, last: i64) -> Result<(), sqlx::Error> {
    let noted = sqlx::query(
        "INSERT INTO seals (name, number, total) VALUES ('taken_back', $1, '')
         ON CONFLICT (name) DO UPDATE SET number = max(number, excluded.number)",
    );
    noted.bind(last).execute(connection).await.map(drop)
}

/// At the start: a file for a store from which nothing was ever taken back, so that one which is missing was lost. What was
/// lost is told; what cannot be written now is tried again at the next start.
pub(super) async fn settle(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let last = last_taken(connection).await.map_err(StoreError::Query)?;
    match (Revoked::written(path), last) {
        (Ok(None), None) => {
            if let Err(fault) = Revoked::default().write(path) {
                warn!(%fault, "the file of what was taken back is not made");
            }
        }
        (Ok(Some(revoked)), None) if revoked.last() > 0 => {
            note(connection, revoked.last()).await.map_err(StoreError::Write)?;
        }
        _ => {}
    }
    let fault = match Revoked::read(path, last) {
        Ok(revoked) => revoked.fault(path),
        Err(fault) => Some(fault),
    };
    if let Some(fault) = fault {
        error!(%fault, hint = %fault.hint(), "who was removed is not known any more");
    }
    Ok(())
}

/// What `change` takes from the device that stood there `before`, as entry `sequence` of the audit log.
pub(super) fn taken_by(change: &Change, before: Option<&PairedDevice>, sequence: i64) -> Vec<Taken> {
    let taken = |device: &DeviceId, role: Option<Role>| Taken {
        sequence,
        device: device.to_string(),
        role: role.map(|role| role.as_str().to_owned()),
    };
    match (change, before) {
        (Change::DropDevice(device), _) => vec![taken(device, None)],
        (Change::PutDevice(after), Some(before)) => {
            let roles = before.living_roles().into_iter();
            roles.filter(|role| is_less(before, after, *role)).map(|role| taken(&after.id(), Some(role))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether `after` has less in `role` than `before`, or another token.
fn is_less(before: &PairedDevice, after: &PairedDevice, role: Role) -> bool {
    let Some(before) = before.living_grant(role) else { return false };
    let Some(after) = after.living_grant(role) else { return true };
    let fingerprint = |grant: &Grant| grant.token.map(|token| token.fingerprint);
    let other_token = before.token.is_some() && fingerprint(before) != fingerprint(after);
    other_token || !after.scopes.covers_all(&before.scopes)
}

fn path_of(path: &Path) -> PathBuf {
    path.with_extension("revoked")
}
