//! The edge's signing keys: one file each, named by the time it was made and its thumbprint, the newest one signs.
//!
//! A replaced key stays for its overlap, so that what it signed is still believed and an edge that drains is not cut off.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::clock::UnixMillis;
use crate::base::limits::{SIGNING_KEY_LIFE, SIGNING_KEY_OVERLAP, SIGNING_KEYS_MAX};
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::identity::jwks::JwkSet;
use crate::identity::signer::{SigningKey, SigningKeyError};

/// Their folder under the state folder.
const FOLDER: &str = "keys";

/// What a look at the keys' ages came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Maintained {
    /// Keys whose overlap is over were dropped.
    Dropped,
    /// A new key signs from now on.
    Rotated,
    /// Nothing was due.
    Unchanged,
}

/// What becomes of the key that a rotation replaces.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replaced {
    /// It verifies until its overlap ends.
    Overlaps,
    /// It was seen by others: it is gone at once.
    Compromised,
}

/// One key, as a list shows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// Its thumbprint.
    pub kid: String,
    /// When it was made.
    pub created: UnixMillis,
    /// The end of its overlap; none for the key that signs.
    pub verifies_until: Option<UnixMillis>,
}

/// The edge's signing keys.
///
/// Invariant: never empty; the newest comes first, and each stands durably in its file.
#[derive(Debug)]
pub struct SigningKeys {
    folder: PathBuf,
    current: Stored,
    replaced: Vec<Stored>,
}

#[derive(Clone, Debug)]
struct Stored {
    created: u64,
    path: PathBuf,
    key: Arc<SigningKey>,
}

impl Stored {
    fn created(&self) -> UnixMillis {
        UnixMillis(i64::try_from(self.created).unwrap_or(i64::MAX).saturating_mul(1000))
    }
}

impl SigningKeys {
    /// Says what [`SigningKeys::open`] would refuse, and makes nothing.
    ///
    /// # Errors
    /// As [`SigningKeys::open`].
    pub fn judge(state_dir: &Path) -> Result<(), SigningKeysError> {
        let folder = state_dir.join(FOLDER);
        match private_file::check_folder(&folder) {
            Err(error) if error.is_absent() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(()) => read_all(&folder).map(drop),
        }
    }

    /// Reads the keys under `state_dir`; makes the first one on first start.
    ///
    /// # Errors
    /// [`SigningKeysError`] with the file and the way out; no file is ever replaced.
    pub fn open(state_dir: &Path, now: UnixMillis) -> Result<Self, SigningKeysError> {
        let folder = state_dir.join(FOLDER);
        private_file::ensure_folder(&folder)?;
        let mut stored = read_all(&folder)?;
        if stored.is_empty() {
            stored.push(make(&folder, now.seconds())?);
        }
        // Never: at least one was read or made above.
        Self::of(stored, folder.clone()).ok_or(SigningKeysError::TooMany(folder))
    }

    /// The keys under `state_dir` as they stand, if there are any; makes nothing.
    ///
    /// # Errors
    /// As [`SigningKeys::open`].
    pub fn find(state_dir: &Path) -> Result<Option<Self>, SigningKeysError> {
        let folder = state_dir.join(FOLDER);
        match private_file::check_folder(&folder) {
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(Self::of(read_all(&folder)?, folder)),
        }
    }

    fn of(mut stored: Vec<Stored>, folder: PathBuf) -> Option<Self> {
        stored.sort_by_key(|stored| stored.created);
        let current = stored.pop()?;
        stored.reverse();
        Some(Self { folder, current, replaced: stored })
    }

    /// The key that signs.
    pub fn current(&self) -> Arc<SigningKey> {
        Arc::clone(&self.current.key)
    }

    /// When it was made, in seconds.
    pub fn created(&self) -> UnixMillis {
        self.current.created()
    }

    /// All keys that verify, the current one first.
    pub fn list(&self) -> Vec<Listed> {
        let overlap = i64::try_from(SIGNING_KEY_OVERLAP.as_millis()).unwrap_or(i64::MAX);
        let listed = |stored: &Stored, verifies_until| Listed {
            kid: stored.key.kid().to_owned(),
            created: stored.created(),
            verifies_until,
        };
        // All that were replaced go together, an overlap after the last replacement.
        let until = self.created().plus(overlap);
        let replaced = self.replaced.iter().map(|stored| listed(stored, Some(until)));
        std::iter::once(listed(&self.current, None)).chain(replaced).collect()
    }

    /// The public halves of all keys that verify, the current one first.
    pub fn public(&self) -> JwkSet {
        let keys = std::iter::once(&self.current).chain(&self.replaced);
        JwkSet::new(keys.map(|stored| stored.key.public().clone()).collect())
    }

    /// Makes a new key and signs with it from now on.
    ///
    /// # Errors
    /// [`SigningKeysError`]; then everything is as before, save that a compromised key's file may be left to remove.
    pub fn rotate(&mut self, replaced: Replaced, now: UnixMillis) -> Result<(), SigningKeysError> {
        if replaced == Replaced::Overlaps && self.replaced.len() + 1 >= SIGNING_KEYS_MAX {
            return Err(SigningKeysError::TooMany(self.folder.clone()));
        }
        // Newer than the current one even when the clock went back, so that the next start picks the same.
        let created = now.seconds().max(self.current.created.saturating_add(1));
        let old = std::mem::replace(&mut self.current, make(&self.folder, created)?);
        self.replaced.insert(0, old);
        match replaced {
            Replaced::Overlaps => Ok(()),
            Replaced::Compromised => remove_all(&std::mem::take(&mut self.replaced)),
        }
    }

    /// Rotates if the current key has reached its age, and drops those whose overlap is over.
    ///
    /// # Errors
    /// [`SigningKeysError`], with the keys as before.
    pub fn maintain(&mut self, now: UnixMillis) -> Result<Maintained, SigningKeysError> {
        let age = now.seconds().saturating_sub(self.current.created);
        if age >= SIGNING_KEY_LIFE.as_secs() {
            self.rotate(Replaced::Overlaps, now)?;
            return Ok(Maintained::Rotated);
        }
        if self.replaced.is_empty() || age < SIGNING_KEY_OVERLAP.as_secs() {
            return Ok(Maintained::Unchanged);
        }
        remove_all(&self.replaced)?;
        self.replaced.clear();
        Ok(Maintained::Dropped)
    }
}

/// Removes every file that can be removed, then reports the first that cannot: none is left behind for another's sake.
fn remove_all(stored: &[Stored]) -> Result<(), SigningKeysError> {
    let removed: Vec<_> = stored.iter().map(|stored| private_file::remove(&stored.path)).collect();
    Ok(removed.into_iter().collect::<Result<(), _>>()?)
}

fn read_all(folder: &Path) -> Result<Vec<Stored>, SigningKeysError> {
    let fail = |cause: io::Error| PrivateFileError::new(folder, Fault::Io(cause));
    let mut stored = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let Some(created) = name.to_str().and_then(created_by_name) else { continue };
        if stored.len() >= SIGNING_KEYS_MAX {
            return Err(SigningKeysError::TooMany(folder.to_owned()));
        }
        stored.push(read(folder.join(&name), created)?);
    }
    Ok(stored)
}

fn read(path: PathBuf, created: u64) -> Result<Stored, SigningKeysError> {
    let garbage = |what| PrivateFileError::new(&path, Fault::Garbage(what));
    let pem = private_file::read(&path)?;
    let key = SigningKey::from_pem(pem.expose()).map_err(|_| garbage("an ed25519 private key in pem"))?;
    if path.file_name().is_none_or(|name| name != file_name(created, key.kid()).as_str()) {
        return Err(garbage("the key that its name says").into());
    }
    Ok(Stored { created, path, key: Arc::new(key) })
}

fn make(folder: &Path, created: u64) -> Result<Stored, SigningKeysError> {
    let (key, pem) = SigningKey::generate()?;
    let path = folder.join(file_name(created, key.kid()));
    private_file::create(&path, &pem)?;
    Ok(Stored { created, path, key: Arc::new(key) })
}

fn file_name(created: u64, kid: &str) -> String {
    format!("edge-{created}-{kid}.pem")
}

/// `edge-<seconds>-<kid>.pem`: anything else in the folder is not ours to read.
fn created_by_name(name: &str) -> Option<u64> {
    let (created, kid) = name.strip_prefix("edge-")?.strip_suffix(".pem")?.split_once('-')?;
    if kid.is_empty() { None } else { created.parse().ok() }
}

/// Why there are no signing keys. The operator's to mend.
#[derive(Debug, Error)]
pub enum SigningKeysError {
    /// A file cannot be read or written.
    #[error("signing key: {0}")]
    File(#[from] PrivateFileError),
    /// No key could be made.
    #[error("signing key: {0}")]
    Key(#[from] SigningKeyError),
    /// More files than keys can be in their overlap.
    #[error("more than {SIGNING_KEYS_MAX} signing keys: {}", .0.display())]
    TooMany(PathBuf),
}

impl SigningKeysError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::Key(_) => "start again".to_owned(),
            Self::TooMany(folder) => format!("remove the oldest `edge-*.pem` files of {}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const START: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn the_first_key_is_made_once_and_kept() {
        let state = tempfile::tempdir().unwrap();
        SigningKeys::judge(state.path()).unwrap();
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "a judgement makes nothing");
        let first = SigningKeys::open(state.path(), START).unwrap();
        SigningKeys::judge(state.path()).unwrap();
        let again = SigningKeys::open(state.path(), START.plus(5_000)).unwrap();
        assert_eq!(first.current().kid(), again.current().kid());
        assert_eq!(again.created(), START);
        assert_eq!(again.public().keys().len(), 1);
    }

    #[test]
    fn a_key_of_age_is_replaced_and_overlaps() {
        let state = tempfile::tempdir().unwrap();
        let mut keys = SigningKeys::open(state.path(), START).unwrap();
        let old = keys.current();
        let due = START.plus(i64::try_from(SIGNING_KEY_LIFE.as_millis()).unwrap());
        assert_eq!(keys.maintain(due.plus(-1_000)).unwrap(), Maintained::Unchanged);
        assert_eq!(keys.maintain(due).unwrap(), Maintained::Rotated);
        assert_ne!(keys.current().kid(), old.kid());
        // The next start reads the same: new one signs, old one verifies.
        let mut keys = SigningKeys::open(state.path(), due).unwrap();
        assert_ne!(keys.current().kid(), old.kid());
        assert!(keys.public().find(old.kid()).is_some());
        let over = due.plus(i64::try_from(SIGNING_KEY_OVERLAP.as_millis()).unwrap());
        assert_eq!(keys.maintain(over.plus(-1_000)).unwrap(), Maintained::Unchanged);
        assert_eq!(keys.maintain(over).unwrap(), Maintained::Dropped);
        assert!(keys.public().find(old.kid()).is_none());
        assert_eq!(fs::read_dir(state.path().join("keys")).unwrap().count(), 1);
    }

    #[test]
    fn a_compromised_key_is_gone_at_once_even_if_the_clock_went_back() {
        let state = tempfile::tempdir().unwrap();
        let mut keys = SigningKeys::open(state.path(), START).unwrap();
        let old = keys.current();
        keys.rotate(Replaced::Compromised, START.plus(-86_400_000)).unwrap();
        let new = keys.current();
        assert!(keys.public().find(old.kid()).is_none());
        assert_eq!(SigningKeys::open(state.path(), START).unwrap().current().kid(), new.kid());
        keys.rotate(Replaced::Overlaps, START.plus(-2 * 86_400_000)).unwrap();
        let newest = keys.current();
        assert_eq!(SigningKeys::open(state.path(), START).unwrap().current().kid(), newest.kid());
    }

    #[test]
    fn a_file_that_cannot_be_removed_keeps_no_other() {
        let state = tempfile::tempdir().unwrap();
        let mut keys = SigningKeys::open(state.path(), START).unwrap();
        let first = only_key(state.path());
        keys.rotate(Replaced::Overlaps, START.plus(1_000)).unwrap();
        let before = keys.replaced.len();
        // The newer of the two cannot be removed: a folder stands where its file was.
        let newer = keys.current.path.clone();
        fs::remove_file(&newer).unwrap();
        fs::create_dir(&newer).unwrap();
        assert!(keys.rotate(Replaced::Compromised, START.plus(2_000)).is_err());
        assert_eq!((before, first.exists(), newer.exists()), (1, false, true));
    }

    #[test]
    fn a_key_that_cannot_be_read_stops_the_start_and_stays() {
        let state = tempfile::tempdir().unwrap();
        let path = only_key(state.path());
        let good = fs::read_to_string(&path).unwrap();
        let open = || {
            let error = SigningKeys::open(state.path(), START).unwrap_err();
            assert_eq!(SigningKeys::judge(state.path()).unwrap_err().to_string(), error.to_string());
            error
        };
        let middle = good.lines().nth(1).unwrap();
        let flipped = good.replace(middle, &middle.chars().rev().collect::<String>());
        let half = good.split_at(40).0;
        for bad in ["", "garbage", half, &good.replace("PRIVATE", "PUBLIC"), &flipped] {
            fs::write(&path, bad).unwrap();
            let error = open();
            assert!(error.to_string().ends_with(&path.display().to_string()), "{error}");
            assert!(error.hint().contains(&path.display().to_string()));
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(open().hint(), format!("chmod 600 {}", path.display()));
    }

    #[test]
    fn other_files_in_the_folder_are_left_alone() {
        let state = tempfile::tempdir().unwrap();
        let path = only_key(state.path());
        for name in ["README", "edge-1.pem", "edge-x-y.pem", "edge-1-.pem", "edge-1-y.pem.new"] {
            fs::write(path.with_file_name(name), "not ours").unwrap();
        }
        assert_eq!(SigningKeys::open(state.path(), START).unwrap().public().keys().len(), 1);
    }

    #[test]
    fn keys_do_not_pile_up() {
        let state = tempfile::tempdir().unwrap();
        let mut keys = SigningKeys::open(state.path(), START).unwrap();
        for _ in 1..SIGNING_KEYS_MAX {
            keys.rotate(Replaced::Overlaps, START).unwrap();
        }
        assert!(matches!(keys.rotate(Replaced::Overlaps, START), Err(SigningKeysError::TooMany(_))));
        assert!(SigningKeys::open(state.path(), START).is_ok());
        assert!(keys.rotate(Replaced::Compromised, START).is_ok());
    }

    fn only_key(state: &Path) -> PathBuf {
        SigningKeys::open(state, START).unwrap().current.path.clone()
    }
}
