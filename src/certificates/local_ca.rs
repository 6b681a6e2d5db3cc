//! A certificate authority of this house alone, for names that no public one will sign.
//!
//! A device that trusts it trusts it for little: its constraints, fixed when it is made, permit local names, private and loopback
//! addresses, and the names configured then. Whoever steals its key can be no bank.

pub mod authority;
pub(super) mod copy;
pub mod issue;
pub mod leaves;
mod recreate;

use std::path::{Path, PathBuf};

use rcgen::{Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::base::clock::UnixMillis;
use crate::base::limits::LEAF_NAMES_MAX;
use crate::base::owner_command::quoted_path;
use crate::base::printable::printable_path;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::x509::{self, Permitted, Validity};
use crate::net::host::Host;

use authority::Authority;

/// Its folder under the state folder, and the CA's own file there.
const FOLDER: &str = "local-ca";
const FILE: &str = "ca.pem";
/// Its leaves beside it.
const LEAF: &str = "leaf.pem";

/// The local CA, from its file.
pub struct LocalCa {
    /// `<state>/local-ca`.
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    authority: Authority,
    permitted: Permitted,
    ends: i64,
}

impl std::fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LocalCa").field(&self.permitted).finish()
    }
}

impl LocalCa {
    /// Reads the CA under `state_dir`; makes it on first start, permitted to sign `names` besides what is local.
    ///
    /// # Errors
    /// [`LocalCaError`] with the file and the way out; a CA that devices may trust already is never replaced. One that is over
    /// is none: it may be the clock.
    pub fn open(state_dir: &Path, names: &[Host], now: UnixMillis) -> Result<Self, LocalCaError> {
        let folder = state_dir.join(FOLDER);
        private_file::ensure_folder(&folder)?;
        if let Some(ca) = Self::stored(&folder)? {
            return Ok(ca);
        }
        // Before it is made: what its leaf would be refused for, it is not to be made for.
        wanted_names(names)?;
        let path = folder.join(FILE);
        private_file::create(&path, &issue::authority(names, now)?)?;
        // Never: it was made just now.
        let gone = || PrivateFileError::new(&path, Fault::Garbage("the ca that was made just now")).into();
        Self::stored(&folder)?.ok_or_else(gone)
    }

    /// The CA under `state_dir` as it stands, if one was made; makes nothing.
    ///
    /// # Errors
    /// As [`LocalCa::open`].
    pub fn find(state_dir: &Path) -> Result<Option<Self>, LocalCaError> {
        let folder = state_dir.join(FOLDER);
        match private_file::check_folder(&folder) {
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(()) => Self::stored(&folder),
        }
    }

    fn stored(folder: &Path) -> Result<Option<Self>, LocalCaError> {
        let path = folder.join(FILE);
        let text = match private_file::read(&path) {
            Err(error) if error.is_absent() => return Ok(None),
            read => read?,
        };
        let ca = Self::from_pem(folder.to_owned(), &text);
        Ok(Some(ca.map_err(|what| PrivateFileError::new(&path, Fault::Garbage(what)))?))
    }

    fn from_pem(folder: PathBuf, text: &Secret<String>) -> Result<Self, &'static str> {
        const WHAT: &str = "a ca certificate and its private key in pem";
        let (key, certificate) = read_pair(text).ok_or(WHAT)?;
        let parsed = x509::parse(&certificate).filter(|parsed| parsed.is_ca()).ok_or(WHAT)?;
        let key = KeyPair::try_from(&key).map_err(|_| WHAT)?;
        if rcgen::PublicKeyData::subject_public_key_info(&key) != parsed.public_key().raw {
            return Err("a ca certificate and the private key of that same certificate");
        }
        let (permitted, ends) = (Permitted::of(&parsed), Validity::of(&parsed).ends);
        drop(parsed);
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| WHAT)?;
        Ok(Self { folder, issuer, authority: Authority::new(certificate), permitted, ends })
    }

    /// Its certificate, for devices that are to trust it.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Why it signs nothing at `now`, if it does not: its own time is over, or the clock is ahead by years.
    ///
    /// # Errors
    /// [`LocalCaError::Expired`].
    pub fn check_time(&self, now: UnixMillis) -> Result<(), LocalCaError> {
        if now.0.div_euclid(1000) <= self.ends {
            return Ok(());
        }
        Err(LocalCaError::Expired { path: self.folder.join(FILE), ends: UnixMillis::of_seconds(self.ends), now })
    }

    /// Whether it can be `now`: the clock was set, and not beyond this CA's own time. What is signed by another clock is not
    /// kept, and takes the place of nothing that is.
    pub fn can_be(&self, now: UnixMillis) -> bool {
        now.is_set() && self.check_time(now).is_ok()
    }

    /// Whether devices would believe a leaf for `name`.
    pub fn permits(&self, name: &Host) -> bool {
        self.permitted.permits(name)
    }
}

/// What the leaves for `names` are for.
///
/// # Errors
/// [`LocalCaError::TooManyNames`].
pub(super) fn wanted_names(names: &[Host]) -> Result<Vec<Host>, LocalCaError> {
    let wanted = issue::leaf_names(names);
    if wanted.len() > LEAF_NAMES_MAX { Err(LocalCaError::TooManyNames) } else { Ok(wanted) }
}

fn read_pair(text: &Secret<String>) -> Option<(PrivateKeyDer<'static>, CertificateDer<'static>)> {
    let text = text.expose().as_bytes();
    Some((PrivateKeyDer::from_pem_slice(text).ok()?, CertificateDer::from_pem_slice(text).ok()?))
}

/// Why the local CA signs nothing. The operator's to mend.
#[derive(Debug, Error)]
pub enum LocalCaError {
    /// The CA's own time is over by this machine's clock.
    #[error("local ca ended on {}, and the clock of this machine says {}: {}", ends.date(), now.date(), printable_path(path))]
    Expired {
        /// Its file.
        path: PathBuf,
        /// When it ends.
        ends: UnixMillis,
        /// By the clock.
        now: UnixMillis,
    },
    /// A file cannot be read or written.
    #[error("local ca: {0}")]
    File(#[from] PrivateFileError),
    /// A certificate could not be made.
    #[error("local ca: {0}")]
    Issue(#[from] rcgen::Error),
    /// A name outside what devices let this CA sign.
    #[error("local ca may not sign for a name that was not configured when it was made: {name}")]
    NotPermitted {
        /// The name.
        name: Host,
    },
    /// No random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(#[from] getrandom::Error),
    /// More names than one certificate carries.
    #[error("more than {LEAF_NAMES_MAX} names for the local certificate")]
    TooManyNames,
    /// A leaf that no client would believe.
    #[error("local certificate would not be believed: {0}")]
    Unbelievable(rustls::Error),
}

impl LocalCaError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            // First: a clock that is wrong for a day must not cost the trust of every device.
            Self::Expired { path, .. } => format!(
                "date: is that right? If not, set this machine's clock (timedatectl), and all is as before. Only if it is: \
                 doorward certs recreate-ca; each device must then install the new one in place of {}",
                quoted_path(path)
            ),
            Self::File(error) => error.hint(),
            Self::Issue(_) | Self::Random(_) => "start again".to_owned(),
            Self::NotPermitted { name } => format!(
                "give {name} a certificate by `[[certificates.acme]]` or `[[certificates.file]]`, or make a new local ca that \
                 may sign for it with `doorward certs recreate-ca`; each device must then install the new one"
            ),
            Self::TooManyNames => "shorten `edge.names`".to_owned(),
            Self::Unbelievable(_) => "see that this machine's clock is right: date".to_owned(),
        }
    }
}

/// A leaf of the CA in `ca_pem` for whatever `names`, its constraints or not, as whoever holds its key can make.
#[cfg(test)]
pub(crate) fn tests_leaf(ca_pem: &str, names: &[Host], now: UnixMillis) -> String {
    let text = Secret::new(ca_pem.to_owned());
    let ca = LocalCa::from_pem(PathBuf::new(), &text).unwrap();
    issue::leaves(&ca.issuer, &[names.to_vec()], ca.ends, now).unwrap().expose().clone()
}
