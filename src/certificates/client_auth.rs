//! Certificates of callers: which CA's we take, which of them were taken back, and what one says about its holder. It names
//! the holder and opens nothing by itself.
//!
//! A certificate that is bad, over, foreign or taken back ends the handshake. Where callers show one, nothing is resumed: a
//! ticket would outlive what was checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::extensions::GeneralName;

use crate::base::limits::{CLIENT_AUTHORITIES_MAX, CLIENT_CERT_NAMES_MAX, CLIENT_CERT_WORD_CHARS_MAX};
use crate::base::printable::printable;
use crate::base::private_file::{self, PrivateFileError};
use crate::certificates::{provider, x509};
use crate::identity::claims::ClientCertClaim;
use crate::identity::jose;

/// `client_certificates`: whether callers of a listener show a certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientCertificates {
    /// None is asked for.
    #[default]
    Off,
    /// One is asked for; whoever has none is let in without.
    Optional(Authorities),
    /// Nobody comes in without.
    Required(Authorities),
}

/// Whose certificates are taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authorities {
    /// `client_ca`: the CA's certificates.
    pub ca: PathBuf,
    /// `client_crl`: their lists of what they have taken back.
    pub crl: Option<PathBuf>,
}

/// What a listener asks of its callers, read from its files.
#[derive(Clone, Debug)]
pub(super) struct ClientAuth {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    /// Of everything that was read: what is the same needs no new end of TLS.
    pub(super) digest: [u8; 32],
}

impl ClientCertificates {
    /// Whose certificates are taken, where any are.
    pub fn authorities(&self) -> Option<&Authorities> {
        match self {
            Self::Off => None,
            Self::Optional(authorities) | Self::Required(authorities) => Some(authorities),
        }
    }

    /// Reads the files; nothing where no certificate is asked for.
    ///
    /// # Errors
    /// [`ClientAuthError`] with the file.
    pub(super) fn open(&self) -> Result<Option<ClientAuth>, ClientAuthError> {
        let Some(Authorities { ca, crl }) = self.authorities() else { return Ok(None) };
        let bytes = read(ca)?;
        let (mut roots, mut hash) = (RootCertStore::empty(), Sha256::new());
        hash.update([u8::from(matches!(self, Self::Required(_)))]);
        hash.update(Sha256::digest(&bytes));
        let unreadable = || ClientAuthError::Authority(ca.clone());
        for certificate in CertificateDer::pem_slice_iter(&bytes).take(CLIENT_AUTHORITIES_MAX) {
            roots.add(certificate.map_err(|_| unreadable())?).map_err(|_| unreadable())?;
        }
        if roots.is_empty() {
            return Err(unreadable());
        }
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        if let Some(crl) = crl {
            let bytes = read(crl)?;
            hash.update(Sha256::digest(&bytes));
            let lists = CertificateRevocationListDer::pem_slice_iter(&bytes).take(CLIENT_AUTHORITIES_MAX);
            let lists = lists.collect::<Result<Vec<_>, _>>().ok().filter(|lists| !lists.is_empty());
            let lists = lists.ok_or_else(|| ClientAuthError::List(crl.clone()))?;
            // One that nobody has said anything about, or whose list is out of date, is refused.
            builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
        }
        if matches!(self, Self::Optional(_)) {
            builder = builder.allow_unauthenticated();
        }
        let verifier = builder.build().map_err(|cause| match (cause, crl) {
            (VerifierBuilderError::InvalidCrl(_), Some(crl)) => ClientAuthError::List(crl.clone()),
            _ => unreadable(),
        })?;
        Ok(Some(ClientAuth { verifier, digest: hash.finalize().into() }))
    }

    /// The files it reads.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let files = |authorities: &Authorities| [Some(authorities.ca.clone()), authorities.crl.clone()];
        self.authorities().map(files).into_iter().flatten().flatten().collect()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientAuthError> {
    let file = private_file::open_unwritable(path).map_err(ClientAuthError::File)?;
    let bytes = private_file::read_bytes(file);
    let bytes = bytes.map_err(|fault| ClientAuthError::File(PrivateFileError::new(path, fault)))?;
    Ok(bytes.expose().clone())
}

/// What a verified certificate says about its holder, in bounded and printable words.
pub fn claim(certificate: &CertificateDer<'_>) -> Option<ClientCertClaim> {
    let parsed = x509::parse(certificate)?;
    let word = |text: &str| printable(text, CLIENT_CERT_WORD_CHARS_MAX);
    let names = parsed.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("dns:{name}")),
        GeneralName::IPAddress(bytes) => x509::address(bytes).map(|ip| format!("ip:{ip}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(name) => Some(format!("uri:{name}")),
        _ => None,
    });
    Some(ClientCertClaim {
        sha256: jose::encode(Sha256::digest(certificate)),
        subject: word(&parsed.subject().to_string()),
        san: names.map(|name| word(&name)).take(CLIENT_CERT_NAMES_MAX).collect(),
    })
}

/// Why callers' certificates cannot be checked. The operator's to mend.
#[derive(Debug, Error)]
pub enum ClientAuthError {
    /// No CA's certificate in the file.
    #[error("not a ca's certificate in pem: {}", .0.display())]
    Authority(PathBuf),
    /// A file cannot be read.
    #[error("client certificates: {0}")]
    File(PrivateFileError),
    /// No list in the file.
    #[error("not a revocation list in pem: {}", .0.display())]
    List(PathBuf),
}

impl ClientAuthError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::Authority(_) => {
                "`client_ca` names the certificate of the CA that signs your clients, in pem".to_owned()
            }
            Self::File(error) => error.operators_hint(),
            Self::List(path) => {
                format!("openssl crl -inform der -in {0} -out {0}.pem, if it is der, and name that", path.display())
            }
        }
    }
}
