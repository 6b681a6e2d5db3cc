//! What is kept on disk, in a folder of its own under the state folder: accounts, certificates with their keys, and the
//! record of the attempts. Each file is written beside and renamed, so a crash leaves the old one or the new.

use std::fmt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use instant_acme::AccountCredentials;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::base::limits::{ACME_FILE_NAME_CHARS_MAX, ACME_PAIRS_MAX};
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::acme::backoff::Record;
use crate::certificates::acme::subject::Subject;
use crate::certificates::files::{self, FileError, FilePair, Loaded};

/// Its name under the state folder.
const FOLDER: &str = "acme";
/// What a certificate's file is called behind its name.
const PAIR: &str = "pem";
/// And an account's that was set aside.
const REFUSED: &str = "refused";

/// A certificate in the folder, or why it cannot be used.
pub type Stored = (Id, Result<Loaded, FileError>);

/// The folder.
#[derive(Clone, Debug)]
pub struct Kept(PathBuf);

/// What files about one set of names are called.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Id(String);

impl Id {
    /// That of a certificate for exactly `names`, in whatever order.
    pub fn of(names: &[Subject]) -> Self {
        let mut all: Vec<String> = names.iter().map(Subject::to_string).collect();
        all.sort();
        all.dedup();
        let first = all.first().map(String::as_str).unwrap_or_default();
        // Without its `*.` a subject has no character that means anything in a path; a long name is cut.
        let first = first.trim_start_matches("*.").trim_matches(['[', ']']);
        let shown: String =
            first.chars().take(ACME_FILE_NAME_CHARS_MAX).map(|char| if char == ':' { '_' } else { char }).collect();
        Self(format!("{shown}-{}", digest(&all.join("\n"))))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Enough of a digest to tell some files apart.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

impl Kept {
    /// The folder under `state_dir`; nothing is made.
    pub fn of(state_dir: &Path) -> Self {
        Self(state_dir.join(FOLDER))
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// The record of `id`; an empty one if nothing was tried yet.
    ///
    /// # Errors
    /// When it is there and cannot be read: then nobody may order, for nobody knows how often that was done.
    pub fn record(&self, id: &Id) -> Result<Record, PrivateFileError> {
        Ok(self.read(&self.path(id, "json"), "what was tried for a certificate")?.unwrap_or_default())
    }

    /// Replaces the record of `id`.
    ///
    /// # Errors
    /// [`PrivateFileError`]; then the old one stands.
    pub fn keep_record(&self, id: &Id, record: &Record) -> Result<(), PrivateFileError> {
        self.write(&self.path(id, "json"), record)
    }

    /// The account at `directory`, as `kid` if that is an external account's.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn account(&self, directory: &str, kid: Option<&str>) -> Result<Option<AccountCredentials>, PrivateFileError> {
        self.read(&self.account_path(directory, kid), "an account of a ca")
    }

    /// Keeps the account at `directory`.
    ///
    /// # Errors
    /// [`PrivateFileError`].
    pub fn keep_account(
        &self,
        directory: &str,
        kid: Option<&str>,
        account: &AccountCredentials,
    ) -> Result<(), PrivateFileError> {
        self.write(&self.account_path(directory, kid), account)
    }

    /// Sets aside an account that its CA says it does not know: that may be a slip of the CA's.
    ///
    /// # Errors
    /// [`PrivateFileError`].
    pub fn refuse_account(&self, directory: &str, kid: Option<&str>) -> Result<(), PrivateFileError> {
        let path = self.account_path(directory, kid);
        rename(&path, &path.with_extension(REFUSED))
    }

    /// Takes back an account that was set aside, if there is one and no other in its place.
    ///
    /// # Errors
    /// [`PrivateFileError`].
    pub fn restore_account(&self, directory: &str, kid: Option<&str>) -> Result<(), PrivateFileError> {
        let path = self.account_path(directory, kid);
        match path.exists() {
            true => Ok(()),
            false => rename(&path.with_extension(REFUSED), &path),
        }
    }

    /// Puts a key and its chain in place of what is there for `id`, once `judge` has taken what was read back.
    ///
    /// # Errors
    /// What `judge` says, or that it could not be written; then what was there stands.
    pub fn keep_pair<E>(
        &self,
        id: &Id,
        text: &Secret<String>,
        judge: impl FnOnce(Result<Loaded, FileError>) -> Result<Loaded, E>,
    ) -> Result<Loaded, E>
    where
        E: From<PrivateFileError>,
    {
        private_file::ensure_folder(&self.0)?;
        let candidate = self.path(id, "candidate");
        private_file::replace(&candidate, text)?;
        let judged = judge(read_pair(&candidate));
        private_file::remove(&candidate)?;
        let loaded = judged?;
        private_file::replace(&self.path(id, PAIR), text)?;
        Ok(loaded)
    }

    /// The certificates in the folder, each with its name, those of `first` before all others; what cannot be used comes
    /// with why.
    ///
    /// # Errors
    /// When the folder is there and cannot be looked into: it is not taken for an empty one.
    pub fn pairs(&self, first: &[Id]) -> Result<Vec<Stored>, PrivateFileError> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| PrivateFileError::new(&self.0, Fault::Io(error)))?,
        };
        let pairs = entries.flatten().map(|entry| entry.path());
        let pairs = pairs.filter(|path| path.extension().is_some_and(|extension| extension == PAIR));
        let mut pairs: Vec<Id> = pairs.filter_map(|path| Some(Id(path.file_stem()?.to_str()?.to_owned()))).collect();
        pairs.sort_by_key(|id| (!first.contains(id), id.clone()));
        pairs.truncate(ACME_PAIRS_MAX);
        let read = |id: Id| (id.clone(), read_pair(&self.path(&id, PAIR)));
        Ok(pairs.into_iter().map(read).collect())
    }

    fn path(&self, id: &Id, extension: &str) -> PathBuf {
        self.0.join(format!("{id}.{extension}"))
    }

    fn account_path(&self, directory: &str, kid: Option<&str>) -> PathBuf {
        let whose = format!("{directory}\n{}", kid.unwrap_or_default());
        self.0.join(format!("account-{}.json", digest(&whose)))
    }

    fn read<T: DeserializeOwned>(&self, path: &Path, what: &'static str) -> Result<Option<T>, PrivateFileError> {
        let text = match private_file::read(path) {
            Err(error) if error.is_absent() => return Ok(None),
            read => read?,
        };
        let read = serde_json::from_str(text.expose());
        read.map(Some).map_err(|_| PrivateFileError::new(path, Fault::Garbage(what)))
    }

    fn write(&self, path: &Path, value: &impl Serialize) -> Result<(), PrivateFileError> {
        private_file::ensure_folder(&self.0)?;
        // Never an error: these are plain fields.
        let text = serde_json::to_string(value)
            .map_err(|_| PrivateFileError::new(path, Fault::Garbage("what can be written")))?;
        private_file::replace(path, &Secret::new(text))
    }
}

/// What is not there needs no other name.
fn rename(from: &Path, to: &Path) -> Result<(), PrivateFileError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PrivateFileError::new(from, Fault::Io(error))),
        _ => Ok(()),
    }
}

/// Key and chain stand in one file, so that they are replaced together.
fn read_pair(path: &Path) -> Result<Loaded, FileError> {
    files::read(&FilePair { cert: path.to_owned(), key: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::net::host::Host;

    #[test]
    fn names_in_another_order_are_the_same_certificate() {
        let id = |names: &[&str]| Id::of(&names.iter().map(|name| Subject::parse(name).unwrap()).collect::<Vec<_>>()).0;
        let (one, other) = (id(&["a.example", "b.example"]), id(&["b.example", "a.example"]));
        assert_eq!(one, other);
        assert!(one.starts_with("a.example-"));
        assert_ne!(id(&["a.example"]), id(&["a.example", "b.example"]));
        assert_ne!(id(&["a.example"]), id(&["*.a.example"]));
        assert!(id(&["*.a.example"]).starts_with("a.example-"));
        assert!(id(&["2001:db8::1"]).starts_with("2001_db8__1-"));
    }

    #[test]
    fn a_record_is_for_its_owner_alone_and_one_that_cannot_be_read_is_no_empty_one() {
        let state = tempfile::tempdir().unwrap();
        let (kept, id) = (Kept::of(state.path()), Id("x".to_owned()));
        assert_eq!(kept.record(&id).unwrap(), Record::default());
        let record = Record { failures: 3, ..Record::default() };
        kept.keep_record(&id, &record).unwrap();
        assert_eq!(kept.record(&id).unwrap(), record);
        let path = kept.path(&id, "json");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "{").unwrap();
        assert!(matches!(kept.record(&id).unwrap_err().fault, Fault::Garbage(_)));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(kept.record(&id).unwrap_err().fault, Fault::Mode { .. }));
    }

    #[test]
    fn what_is_wanted_is_read_before_all_that_ever_was_and_a_folder_nobody_can_read_is_no_empty_one() {
        let state = tempfile::tempdir().unwrap();
        let kept = Kept::of(state.path());
        assert!(kept.pairs(&[]).unwrap().is_empty());
        fs::create_dir(&kept.0).unwrap();
        for number in 0..=ACME_PAIRS_MAX {
            fs::write(kept.0.join(format!("{number:04}.pem")), "").unwrap();
        }
        let last = Id(format!("{ACME_PAIRS_MAX:04}"));
        let read = kept.pairs(std::slice::from_ref(&last)).unwrap();
        assert_eq!((read.len(), &read[0].0), (ACME_PAIRS_MAX, &last));
        fs::remove_dir_all(&kept.0).unwrap();
        fs::write(&kept.0, "").unwrap();
        assert!(matches!(kept.pairs(&[]).unwrap_err().fault, Fault::Io(_)));
    }

    #[test]
    fn an_account_that_was_set_aside_comes_back_unless_there_is_another() {
        let state = tempfile::tempdir().unwrap();
        let kept = Kept::of(state.path());
        fs::create_dir(&kept.0).unwrap();
        let path = kept.account_path("https://ca.example", None);
        let (refuse, restore) = (
            || kept.refuse_account("https://ca.example", None).unwrap(),
            || kept.restore_account("https://ca.example", None),
        );
        refuse();
        restore().unwrap();
        fs::write(&path, "one").unwrap();
        refuse();
        assert!(!path.exists());
        restore().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        refuse();
        fs::write(&path, "two").unwrap();
        restore().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    }

    #[test]
    fn a_certificate_that_is_not_taken_leaves_the_old_one() {
        let state = tempfile::tempdir().unwrap();
        let (kept, id) = (Kept::of(state.path()), Id("x".to_owned()));
        let pair = |name: &str| {
            let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
            Secret::new(format!("{}{}", made.signing_key.serialize_pem(), made.cert.pem()))
        };
        let take = |text: &Secret<String>| {
            kept.keep_pair(&id, text, |read| read.map_err(|_| PrivateFileError::new(Path::new(""), Fault::Empty)))
        };
        let shown = || kept.pairs(&[]).unwrap().remove(0).1.unwrap().names.exact;
        let expected = vec![Host::parse("a.example").unwrap()];
        assert_eq!(take(&pair("a.example")).unwrap().names.exact, expected);
        assert_eq!(shown(), expected);
        assert!(take(&Secret::new("-----BEGIN".to_owned())).is_err());
        // The key of another.
        let mixed = format!("{}{}", pair("b.example").expose(), pair("c.example").expose());
        let (key, rest) = mixed.split_once("-----BEGIN CERT").unwrap();
        let chain = rest.rsplit_once("-----BEGIN CERT").unwrap().1;
        assert!(take(&Secret::new(format!("{key}-----BEGIN CERT{chain}"))).is_err());
        assert_eq!(shown(), expected);
        assert_eq!(fs::read_dir(&kept.0).unwrap().count(), 1, "nothing is left beside it");
    }
}
