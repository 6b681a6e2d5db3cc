//! A certificate and its key from PEM files that the operator names. What would fail in a browser is refused at the start,
//! with the exact way to mend it.

pub mod dropped;
pub mod pairs;
pub mod stamp;
pub mod watch;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use thiserror::Error;

use crate::base::clock::UnixMillis;
use crate::base::limits::CHAIN_CERTIFICATES_MAX;
use crate::base::owner_command::quoted;
use crate::base::private_file::{self, Fault, Link, Owners, PrivateFileError, check_closed, check_owner};
use crate::base::secret::Secret;
use crate::certificates::root::Root;
use crate::certificates::x509::{self, Names, Validity};

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
    judge(read_chain(&pair.cert)?, read_key(&pair.key)?, &pair.cert, &pair.key)
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

/// Links are followed, here and for the key: ACME clients keep the current pair behind one (`live/…/privkey.pem`).
fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let text = private_file::open(path, Link::Followed)
        .and_then(|file| read_bytes(path, file))
        .map_err(FileError::CertFile)?;
    chain_of(&text, path)
}

fn chain_of(text: &Secret<Vec<u8>>, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
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
    let text = private_file::open(path, Link::Followed).and_then(|file| {
        check_private(path, &file)?;
        read_bytes(path, file)
    });
    key_of(&text.map_err(FileError::KeyFile)?, path)
}

fn key_of(text: &Secret<Vec<u8>>, path: &Path) -> Result<Arc<dyn SigningKey>, FileError> {
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

/// The key must be its owner's alone, and the owner we or root; so must the owner of a link to it, who could point it elsewhere.
fn check_private(path: &Path, file: &File) -> Result<(), PrivateFileError> {
    let judged = || {
        let (target, link) = (file.metadata().map_err(Fault::Io)?, fs::symlink_metadata(path).map_err(Fault::Io)?);
        check_owner(&target, Owners::UsOrRoot)?;
        check_owner(&link, Owners::UsOrRoot)?;
        check_closed(&target)
    };
    judged().map_err(|fault| PrivateFileError::new(path, fault))
}

/// A configured pair that is not shown. The operator's to mend.
#[derive(Debug, Error)]
pub enum FileError {
    /// The certificate's file cannot be read.
    #[error("certificate: {0}")]
    CertFile(PrivateFileError),
    /// Its time is over.
    #[error("certificate has expired: {}", .0.display())]
    Expired(PathBuf),
    /// A folder that is looked through for pairs, and that others can put something into.
    #[error("certificates' folder: {}", folder_words(.0))]
    Folder(PrivateFileError),
    /// The key asks for a passphrase.
    #[error("private key is encrypted: {}", .0.display())]
    KeyEncrypted(PathBuf),
    /// The key's file cannot be read, or others can reach it.
    #[error("private key: {0}")]
    KeyFile(PrivateFileError),
    /// A kind of key that TLS here cannot use.
    #[error("private key is of an unsupported kind: {}", .0.display())]
    KeyKind(PathBuf),
    /// The key is not the certificate's.
    #[error("certificate {} and private key {} do not belong together", cert.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// No certificate in the file.
    #[error("no certificate in the file: {}", .0.display())]
    NoCertificate(PathBuf),
    /// No private key in the file.
    #[error("no private key in the file: {}", .0.display())]
    NoKey(PathBuf),
    /// No client could match a name.
    #[error("certificate names no host (no subject alternative name): {}", .0.display())]
    NoNames(PathBuf),
    /// Not a certificate in PEM.
    #[error("not a certificate in pem: {}", .0.display())]
    NotACertificate(PathBuf),
    /// Its extended key usage forbids servers.
    #[error("certificate is not for servers: {}", .0.display())]
    NotForServers(PathBuf),
    /// Its time has not begun.
    #[error("certificate is not valid yet: {}", .0.display())]
    NotYetValid(PathBuf),
    /// The chain does not start with the key's certificate, or a link is missing.
    #[error("certificates are in the wrong order, or one is missing: {}", .0.display())]
    Order(PathBuf),
    /// Longer than any chain.
    #[error("file holds more than {CHAIN_CERTIFICATES_MAX} certificates: {}", .0.display())]
    TooLong(PathBuf),
}

impl FileError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::Expired(path) => {
                format!("renew {} at its issuer, or take the pair out of `[[certificates.file]]`", path.display())
            }
            Self::Folder(error) => folder_hint(error),
            Self::CertFile(error) | Self::KeyFile(error) => error.operators_hint(),
            Self::KeyEncrypted(path) => {
                format!("umask 077; openssl pkey -in {0} -out {0}.plain, and name that file", path.display())
            }
            Self::KeyKind(_) => "use a P-256, P-384, Ed25519 or RSA (2048 bits and up) key".to_owned(),
            Self::Mismatch { cert, .. } => {
                format!(
                    "compare `openssl x509 -noout -pubkey -in {}` with `openssl pkey -pubout` of the key",
                    cert.display()
                )
            }
            Self::NoCertificate(path) => {
                format!("`cert` names the certificate, `key` its key; {} may be the other one", path.display())
            }
            Self::NoKey(path) => {
                format!("`key` names the private key in pem; {} may be the certificate", path.display())
            }
            Self::NoNames(_) => "have it issued anew with its names as subject alternative names".to_owned(),
            Self::NotACertificate(path) => {
                format!("openssl x509 -inform der -in {0} -out {0}.pem, if it is der", path.display())
            }
            Self::NotForServers(_) => "have it issued anew for server authentication".to_owned(),
            Self::NotYetValid(_) => "see that this machine's clock is right: date".to_owned(),
            Self::Order(path) => format!(
                "put the server's certificate first in {}, then each issuer after what it issued",
                path.display()
            ),
            Self::TooLong(path) => format!("leave only the certificate and its chain in {}", path.display()),
        }
    }
}

fn folder_words(error: &PrivateFileError) -> String {
    match &error.fault {
        Fault::Mode { found, .. } => {
            format!("mode is {found:o}, only its owner may write to it: {}", error.path.display())
        }
        _ => error.to_string(),
    }
}

fn folder_hint(error: &PrivateFileError) -> String {
    let path = quoted(&error.path.display().to_string());
    match &error.fault {
        Fault::Io(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            let own = rustix::process::geteuid().as_raw();
            format!("chown {own} {path} && chmod 700 {path}, and let uid {own} pass through the folders above it")
        }
        Fault::Mode { .. } => format!("chmod go-w {path}"),
        _ => error.operators_hint(),
    }
}
