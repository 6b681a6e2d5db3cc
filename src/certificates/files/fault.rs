//! Why a certificate file is not shown, and the command that mends it: copied as it stands, it works.

use std::path::PathBuf;

use thiserror::Error;

use super::form::{Form, Part, mended};
use crate::base::limits::CHAIN_CERTIFICATES_MAX;
use crate::base::owner_command::quoted_path;
use crate::base::printable::printable_path;
use crate::base::private_file::{Fault, PrivateFileError};

/// A configured pair that is not shown. The operator's to mend.
#[derive(Debug, Error)]
pub enum FileError {
    /// The certificate's file cannot be read.
    #[error("certificate: {0}")]
    CertFile(PrivateFileError),
    /// Its time is over.
    #[error("certificate has expired: {}", printable_path(.0))]
    Expired(PathBuf),
    /// The file holds something else, or in another form, than certificates or a key in PEM.
    #[error("{part} is {form}: {}", printable_path(path))]
    Form {
        /// What it is.
        form: Form,
        /// What it is to be.
        part: Part,
        /// The file.
        path: PathBuf,
    },
    /// A folder that is looked through for pairs, and that others can put something into.
    #[error("certificates' folder: {}", folder_words(.0))]
    Folder(PrivateFileError),
    /// The key asks for a passphrase.
    #[error("private key is encrypted: {}", printable_path(.0))]
    KeyEncrypted(PathBuf),
    /// The key's file cannot be read, or others can reach it.
    #[error("private key: {0}")]
    KeyFile(PrivateFileError),
    /// A kind of key that TLS here cannot use.
    #[error("private key is of an unsupported kind: {}", printable_path(.0))]
    KeyKind(PathBuf),
    /// The key is not the certificate's.
    #[error("certificate {} and private key {} do not belong together", printable_path(cert), printable_path(key))]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// No certificate in the file.
    #[error("no certificate in the file: {}", printable_path(.0))]
    NoCertificate(PathBuf),
    /// No private key in the file.
    #[error("no private key in the file: {}", printable_path(.0))]
    NoKey(PathBuf),
    /// No client could match a name.
    #[error("certificate names no host (no subject alternative name): {}", printable_path(.0))]
    NoNames(PathBuf),
    /// Not a certificate in PEM.
    #[error("not a certificate in pem: {}", printable_path(.0))]
    NotACertificate(PathBuf),
    /// Its extended key usage forbids servers.
    #[error("certificate is not for servers: {}", printable_path(.0))]
    NotForServers(PathBuf),
    /// Its time has not begun.
    #[error("certificate is not valid yet: {}", printable_path(.0))]
    NotYetValid(PathBuf),
    /// The chain does not start with the key's certificate, or a link is missing.
    #[error("certificates are in the wrong order, or one is missing: {}", printable_path(.0))]
    Order(PathBuf),
    /// Each file holds what the other should.
    #[error(
        "the certificate's file {} holds the private key, and the key's file the certificate",
        printable_path(cert)
    )]
    Swapped {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Longer than any chain.
    #[error("file holds more than {CHAIN_CERTIFICATES_MAX} certificates: {}", printable_path(.0))]
    TooLong(PathBuf),
}

impl FileError {
    /// Whether nothing but the time is wrong, which may be the clock's fault.
    pub fn is_of_time(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::NotYetValid(_))
    }

    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::Expired(path) => {
                let path = quoted_path(path);
                format!(
                    "see that this machine's clock is right: date; if it is, renew {path} at its issuer, or take the pair out of \
                     `[[certificates.file]]`"
                )
            }
            Self::Folder(error) => folder_hint(error),
            Self::Form { form, path, .. } => form.hint(path),
            Self::CertFile(error) | Self::KeyFile(error) => error.operators_hint(),
            Self::KeyEncrypted(path) => mended(path, "openssl pkey", " -in "),
            Self::KeyKind(_) => "use a P-256, P-384, Ed25519 or RSA (2048 bits and up) key".to_owned(),
            Self::Mismatch { cert, key } => format!(
                "put the key of that certificate into {1}: `openssl x509 -noout -pubkey -in {0}` and `openssl pkey -pubout -in {1}` \
                 print the same for a pair",
                quoted_path(cert),
                quoted_path(key)
            ),
            Self::NoCertificate(path) => {
                let path = quoted_path(path);
                format!("`cert` names the certificate, `key` its key; {path} may be the other one")
            }
            Self::NoKey(path) => {
                format!("`key` names the private key in pem; {} may be the certificate", quoted_path(path))
            }
            Self::NoNames(_) => "have it issued anew with its names as subject alternative names".to_owned(),
            Self::NotACertificate(path) => format!("copy {} anew from its issuer", quoted_path(path)),
            Self::NotForServers(_) => "have it issued anew for server authentication".to_owned(),
            Self::NotYetValid(_) => "see that this machine's clock is right: date".to_owned(),
            Self::Order(path) => format!(
                "put the server's certificate first in {}, then each issuer after what it issued",
                quoted_path(path)
            ),
            Self::Swapped { cert, key } => {
                let aside = quoted_path(&super::form::beside(cert));
                let (cert, key) = (quoted_path(cert), quoted_path(key));
                format!("mv {cert} {aside} && mv {key} {cert} && mv {aside} {key} && chmod 600 {key}")
            }
            Self::TooLong(path) => format!("leave only the certificate and its chain in {}", quoted_path(path)),
        }
    }
}

fn folder_words(error: &PrivateFileError) -> String {
    match &error.fault {
        Fault::Mode { found, .. } => {
            format!("mode is {found:o}, only its owner may write to it: {}", printable_path(&error.path))
        }
        _ => error.to_string(),
    }
}

fn folder_hint(error: &PrivateFileError) -> String {
    let path = quoted_path(&error.path);
    match &error.fault {
        Fault::Io(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            let own = rustix::process::geteuid().as_raw();
            format!("chown {own} {path} && chmod 700 {path}, and let uid {own} pass through the folders above it")
        }
        Fault::Mode { .. } => format!("chmod go-w {path}"),
        Fault::Owner { wanted, .. } => format!("chown {wanted} {path}"),
        _ => error.operators_hint(),
    }
}
