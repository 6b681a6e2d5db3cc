//! A certificate and its key from PEM files that the operator names. What would fail in a browser is refused at the start,
//! with the exact way to mend it.

pub mod dropped;
mod fault;
pub mod form;
pub mod pairs;
pub mod stamp;
pub mod watch;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use crate::base::clock::UnixMillis;
use crate::base::limits::CHAIN_CERTIFICATES_MAX;
use crate::base::private_file::{self, Link, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::root::Root;
use crate::certificates::x509::{self, Names, Validity};

pub use fault::FileError;
use form::{Form, Part};

/// `[[certificates.file]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FilePair {
    /// The certificate, then those that lead to its root.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A pair that is good to be shown.
pub struct Loaded {
    /// For rustls.
    pub certified: Arc<CertifiedKey>,
    /// The names it is for.
    pub names: Names,
    /// The time it holds.
    pub validity: Validity,
    /// Who vouches for it.
    pub root: Root,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Loaded").field(&self.names).finish()
    }
}

impl Loaded {
    /// The same for the names that none of `others` is for; none where there is no such name.
    pub fn without_names_of(&self, others: &[Arc<Self>]) -> Option<Self> {
        let Names { mut exact, mut wildcards } = self.names.clone();
        exact.retain(|host| !others.iter().any(|other| other.names.covers(host)));
        wildcards.retain(|parent| !others.iter().any(|other| other.names.wildcards.contains(parent)));
        let names = Names { exact, wildcards };
        (!names.is_empty()).then(|| Self { certified: Arc::clone(&self.certified), names, ..*self })
    }
}

/// Certificates and key of one text, which came from `source`, as [`load`] judges those of files.
///
/// # Errors
/// [`FileError`] for the first thing that is wrong.
pub fn from_pem(text: &Secret<Vec<u8>>, source: &Path, now: UnixMillis) -> Result<Loaded, FileError> {
    let loaded = judge(chain_of(text, source)?, key_of(text, source)?, source, source)?;
    in_time(loaded, source, now)
}

/// Reads `pair` and checks that a client would take it at `now`.
///
/// # Errors
/// [`FileError`] for the first thing that is wrong.
pub fn load(pair: &FilePair, now: UnixMillis) -> Result<Loaded, FileError> {
    in_time(read(pair)?, &pair.cert, now)
}

fn in_time(loaded: Loaded, cert: &Path, now: UnixMillis) -> Result<Loaded, FileError> {
    if !now.is_set() {
        // Nobody knows whether it holds; what is shown is for the caller to judge, by a clock that is right.
        return Ok(loaded);
    }
    let (validity, now) = (loaded.validity, now.0.div_euclid(1000));
    if now > validity.ends {
        return Err(FileError::Expired(cert.to_owned()));
    }
    if now < validity.begins {
        return Err(FileError::NotYetValid(cert.to_owned()));
    }
    Ok(loaded)
}

/// As [`load`], whatever time it is.
///
/// # Errors
/// [`FileError`] for the first thing that is wrong.
pub fn read(pair: &FilePair) -> Result<Loaded, FileError> {
    let chain = read_chain(&pair.cert).map_err(|error| if is_swapped(pair) { swapped(pair) } else { error })?;
    judge(chain, read_key(&pair.key)?, &pair.cert, &pair.key)
}

/// Whether each file of `pair` holds what the other should.
fn is_swapped(pair: &FilePair) -> bool {
    let text = |path: &Path| private_file::open(path, Link::Followed).and_then(|file| read_bytes(path, file)).ok();
    let (Some(cert), Some(key)) = (text(&pair.cert), text(&pair.key)) else { return false };
    PrivateKeyDer::from_pem_slice(cert.expose()).is_ok() && CertificateDer::from_pem_slice(key.expose()).is_ok()
}

fn swapped(pair: &FilePair) -> FileError {
    FileError::Swapped { cert: pair.cert.clone(), key: pair.key.clone() }
}

fn judge(
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
    cert_path: &Path,
    key_path: &Path,
) -> Result<Loaded, FileError> {
    let parsed = chain.iter().map(|der| x509::parse(der)).collect::<Option<Vec<_>>>();
    let parsed = parsed.ok_or_else(|| FileError::NotACertificate(cert_path.to_owned()))?;
    let Some((leaf, above)) = parsed.split_first() else { return Err(FileError::NoCertificate(cert_path.to_owned())) };

    let own = key.public_key().ok_or_else(|| FileError::KeyKind(key_path.to_owned()))?;
    let is_own =
        |certificate: &x509_parser::certificate::X509Certificate<'_>| certificate.public_key().raw == own.as_ref();
    if !is_own(leaf) {
        return Err(match above.iter().any(is_own) {
            true => FileError::Order(cert_path.to_owned()),
            false => FileError::Mismatch { cert: cert_path.to_owned(), key: key_path.to_owned() },
        });
    }
    let linked = |pair: &[x509_parser::certificate::X509Certificate<'_>]| match pair {
        [below, above] => below.issuer().as_raw() == above.subject().as_raw(),
        _ => true,
    };
    if !parsed.windows(2).all(linked) {
        return Err(FileError::Order(cert_path.to_owned()));
    }
    let validity = Validity::of(leaf);
    let purposes = leaf.extended_key_usage().ok().flatten();
    if purposes.is_some_and(|purposes| !purposes.value.server_auth && !purposes.value.any) {
        return Err(FileError::NotForServers(cert_path.to_owned()));
    }
    let names = Names::of(leaf);
    if names.exact.is_empty() && names.wildcards.is_empty() {
        return Err(FileError::NoNames(cert_path.to_owned()));
    }
    drop(parsed);
    let root = Root::of(&chain, &names, validity);
    Ok(Loaded { certified: Arc::new(CertifiedKey::new(chain, key)), names, validity, root })
}

/// A link is followed, as the key's is.
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = private_file::open(path, Link::Followed)
        .and_then(|file| read_bytes(path, file))
        .map_err(FileError::CertFile)?;
    chain_of(&text, path)
}

fn chain_of(text: &Secret<Vec<u8>>, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    // First: behind a mark the first certificate would be passed over, and the rest taken for the chain.
    check_form(text, Part::Certificate, path)?;
    let chain = CertificateDer::pem_slice_iter(text.expose()).take(CHAIN_CERTIFICATES_MAX + 1);
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|_| FileError::NotACertificate(path.to_owned()))?;
    if chain.is_empty() {
        return Err(FileError::NoCertificate(path.to_owned()));
    }
    if chain.len() > CHAIN_CERTIFICATES_MAX {
        return Err(FileError::TooLong(path.to_owned()));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<Arc<dyn SigningKey>, FileError> {
    key_of(&private_file::read_operators(path).map_err(FileError::KeyFile)?, path)
}

fn check_form(text: &Secret<Vec<u8>>, part: Part, path: &Path) -> Result<(), FileError> {
    match Form::of(text.expose(), part) {
        Some(form) => Err(FileError::Form { form, part, path: path.to_owned() }),
        None => Ok(()),
    }
}

fn key_of(text: &Secret<Vec<u8>>, path: &Path) -> Result<Arc<dyn SigningKey>, FileError> {
    check_form(text, Part::Key, path)?;
    match PrivateKeyDer::from_pem_slice(text.expose()) {
        Ok(der) => any_supported_type(&der).map_err(|_| FileError::KeyKind(path.to_owned())),
        Err(_) if contains(text.expose(), b"ENCRYPTED") => Err(FileError::KeyEncrypted(path.to_owned())),
        Err(_) => Err(FileError::NoKey(path.to_owned())),
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn read_bytes(path: &Path, file: File) -> Result<Secret<Vec<u8>>, PrivateFileError> {
    private_file::read_bytes(file).map_err(|fault| PrivateFileError::new(path, fault))
}
