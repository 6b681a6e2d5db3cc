//! What is kept on disk, in a folder of its own under the state folder: accounts, certificates with their keys, and the
//! record of the attempts. Each file is written beside and renamed, so a crash leaves the old one or the new.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::base::limits::ACME_PAIRS_MAX;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::acme::backoff::Record;
use crate::certificates::acme::subject::Subject;
use crate::certificates::files::{self, FileError, FilePair, Loaded};

/// Its name under the state folder.
const FOLDER: &str = "acme";
/// What a certificate's file is called behind its name.
const PAIR: &str = "pem";

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
        let shown: String = first.chars().take(100).map(|char| if char == ':' { '_' } else { char }).collect();
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

    /// Forgets an account that its CA does not know.
    ///
    /// # Errors
    /// [`PrivateFileError`].
    pub fn forget_account(&self, directory: &str, kid: Option<&str>) -> Result<(), PrivateFileError> {
        private_file::remove(&self.account_path(directory, kid))
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

    /// The certificates in the folder, each with its name; what cannot be used comes with why.
    pub fn pairs(&self) -> Vec<(Id, Result<Loaded, FileError>)> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let pairs = entries.flatten().map(|entry| entry.path());
        let pairs = pairs.filter(|path| path.extension().is_some_and(|extension| extension == PAIR));
        let mut pairs: Vec<PathBuf> = pairs.take(ACME_PAIRS_MAX).collect();
        pairs.sort();
        let named = pairs.into_iter().filter_map(|path| {
            let id = Id(path.file_stem()?.to_str()?.to_owned());
            Some((id, read_pair(&path)))
        });
        named.collect()
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
        let shown = || kept.pairs().remove(0).1.unwrap().names.exact;
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
