//! Which certificate is shown to whom: from files for the names they cover, from the local CA for all others.
//!
//! One resolver for all listeners, swapped whole, so that a handshake sees the old set or the new. Each listener has
//! tickets of its own: what one listener let in cannot be resumed at another.

pub mod files;
pub mod local_ca;
pub mod resolver;
pub mod server_tls;
pub mod x509;

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::CryptoProvider;
use thiserror::Error;
use tracing::warn;

use crate::base::clock::UnixMillis;
use crate::certificates::files::{FileError, FilePair};
use crate::certificates::local_ca::{LocalCa, LocalCaError};
use crate::certificates::resolver::{Resolver, Served};
use crate::net::host::Host;

/// The CA's certificate among the operator's own, for people to find.
const CA_COPY_FILE: &str = "local-ca.crt";
/// Everybody may read it, and only its owner replaces it.
const CA_COPY_MODE: u32 = 0o644;
/// Everybody may look into the folder that is made for it.
const OPEN_FOLDER_MODE: u32 = 0o755;

/// What is shown, and where it is kept.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where our own keys are kept.
    pub state_dir: PathBuf,
    /// `certificates.dir`: where people find the CA's certificate.
    pub dir: PathBuf,
    /// `edge.names`.
    pub names: Vec<Host>,
    /// `[[certificates.file]]`.
    pub files: Vec<FilePair>,
}

/// All certificates of this edge.
#[derive(Debug)]
pub struct Certificates {
    ca: LocalCa,
    resolver: Arc<Resolver>,
    /// Locked for the whole of a renewal or replacement: one at a time.
    shown: Mutex<Shown>,
}

/// What a renewal shows again.
#[derive(Debug)]
struct Shown {
    names: Vec<Host>,
    files: Vec<Arc<files::Loaded>>,
}

impl Certificates {
    /// Reads the files and the local CA; makes the latter on first start, and a leaf when one is due.
    ///
    /// # Errors
    /// [`CertificateError`] with the file and the way out.
    pub fn open(settings: Settings, now: UnixMillis) -> Result<Self, CertificateError> {
        let files = load(&settings.files, now)?;
        let ca = LocalCa::open(&settings.state_dir, &settings.names, now)?;
        let local = ca.leaf(&local_names(&settings.names, &files, &ca), now)?;
        if let Err(error) = publish(&settings.dir, ca.certificate_pem()) {
            let file = settings.dir.join(CA_COPY_FILE);
            warn!(file = %file.display(), %error, "the local ca's certificate is not where devices are to get it");
        }
        let resolver = Arc::new(Resolver::new(Served::new(&settings.names, &files, local.certified)));
        Ok(Self { ca, resolver, shown: Mutex::new(Shown { names: settings.names, files }) })
    }

    /// Reads the files that `settings` name, those of before too, and shows them and a local leaf for its names from the
    /// next handshake on. The folders stay: only a restart changes those.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was shown is shown on.
    pub fn replace(&self, settings: &Settings, now: UnixMillis) -> Result<(), CertificateError> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let files = load(&settings.files, now)?;
        let local = self.ca.leaf(&local_names(&settings.names, &files, &self.ca), now)?;
        self.resolver.replace(Served::new(&settings.names, &files, local.certified));
        *shown = Shown { names: settings.names.clone(), files };
        Ok(())
    }

    /// Says everything that [`Certificates::open`] would refuse, and makes nothing.
    pub fn judge(settings: &Settings, now: UnixMillis) -> Vec<CertificateError> {
        let (mut files, mut faults) = (Vec::new(), Vec::new());
        for pair in &settings.files {
            match files::load(pair, now) {
                Ok(loaded) => files.push(Arc::new(loaded)),
                Err(error) => faults.push(error.into()),
            }
        }
        let judged = LocalCa::find(&settings.state_dir, now).and_then(|ca| match ca {
            Some(ca) => ca.judge_leaf(&local_names(&settings.names, &files, &ca), now),
            // One that is still to be made may sign for every name there is now.
            None => local_ca::wanted_names(&settings.names).map(drop),
        });
        faults.extend(judged.err().map(CertificateError::from));
        faults
    }

    /// Issues the local leaf anew if it is due, and shows it from the next handshake on. To be called every hour or so.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was shown is shown on.
    pub fn renew(&self, now: UnixMillis) -> Result<Renewal, CertificateError> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let local = self.ca.leaf(&local_names(&shown.names, &shown.files, &self.ca), now)?;
        if local.issued == local_ca::Issued::Anew {
            self.resolver.replace(Served::new(&shown.names, &shown.files, local.certified));
            return Ok(Renewal::Renewed);
        }
        Ok(Renewal::NotDue)
    }

    /// What the listeners' configurations ask.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// The local CA's certificate in PEM, for devices that are to trust it.
    pub fn ca_pem(&self) -> &str {
        self.ca.certificate_pem()
    }
}

/// Whether a renewal was due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    /// Nothing to do.
    NotDue,
    /// A new leaf is shown.
    Renewed,
}

fn load(pairs: &[FilePair], now: UnixMillis) -> Result<Vec<Arc<files::Loaded>>, FileError> {
    pairs.iter().map(|pair| files::load(pair, now).map(Arc::new)).collect()
}

/// The names the local leaf is to carry: all of ours, but for those that the CA may not sign and a file is shown for anyway.
fn local_names(names: &[Host], files: &[Arc<files::Loaded>], ca: &LocalCa) -> Vec<Host> {
    let is_covered = |name: &Host| files.iter().any(|file| file.names.covers(name));
    names.iter().filter(|name| ca.permits(name) || !is_covered(name)).cloned().collect()
}

/// Puts the CA's certificate where people find it, readable by every account whatever the umask says: it is no secret.
fn publish(folder: &Path, pem: &str) -> io::Result<()> {
    make_open_folder(folder)?;
    let path = folder.join(CA_COPY_FILE);
    if fs::read_to_string(&path).is_ok_and(|text| text == pem) {
        return let_all_read(&path);
    }
    // Written beside and renamed, so that a link in its place is replaced and never written through.
    let beside = folder.join(format!("{CA_COPY_FILE}.new"));
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).open(&beside)?;
    file.write_all(pem.as_bytes())?;
    file.set_permissions(Permissions::from_mode(CA_COPY_MODE))?;
    fs::rename(&beside, &path)
}

/// Makes `folder` and those above it that are not there; what is there stays as it is.
fn make_open_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_open_folder(above)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, Permissions::from_mode(OPEN_FOLDER_MODE))
}

/// Mends the mode of a copy that was made private; somebody else's file is theirs.
fn let_all_read(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_file() && own && found.mode() & CA_COPY_MODE != CA_COPY_MODE {
        fs::set_permissions(path, Permissions::from_mode(CA_COPY_MODE))?;
    }
    Ok(())
}

/// The cryptography that TLS uses here, named rather than left to whatever was installed for the process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Why there is no certificate to show. The operator's to mend.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A configured pair.
    #[error(transparent)]
    File(#[from] FileError),
    /// The local CA.
    #[error(transparent)]
    LocalCa(#[from] LocalCaError),
    /// TLS itself.
    #[error("tls: {0}")]
    Tls(rustls::Error),
}

impl CertificateError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::File(error) => error.hint(),
            Self::LocalCa(error) => error.hint(),
            Self::Tls(_) => "start again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
