//! Certificates of public CAs by ACME (RFC 8555): ordered, renewed and kept without anybody thinking of it.
//!
//! Promise: orders are made for configured names only; what is tried is counted on disk before it is tried, so that no
//! crash loop burns a CA's limits; a certificate is replaced by a better one and by nothing else; and until there is one,
//! and whatever fails, the local CA serves the name.

pub mod acceptance;
pub mod account;
pub mod attempts;
pub mod backoff;
pub mod challenge;
mod cause;
pub mod clock_check;
pub mod dns;
pub mod failure;
pub mod kept;
pub mod order;
pub mod plan;
mod proof;
pub mod renewal;
pub mod runner;
pub mod subject;
pub mod suggestion;
pub mod unreachable;
pub mod wire;

use std::path::PathBuf;

use instant_acme::ChallengeType;
use rcgen::KeyPair;

use crate::certificates::root;
use crate::net::host::Host;

use failure::AcmeError;
use subject::Subject;

/// The directory of a configuration that names none: Let's Encrypt's.
pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// `[[certificates.acme]]`: one certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// What it is for, each once.
    pub names: Vec<Subject>,
    /// The CAs' directories, the best first. At least one.
    pub directories: Vec<String>,
    /// Where the CA may write to, as `mailto:`.
    pub contact: Vec<String>,
    /// How we may show that the names are ours, the best first. At least one.
    pub challenges: Vec<ChallengeKind>,
    /// How DNS-01 is answered, if it is among them.
    pub dns: Option<dns::Settings>,
    /// The kind of its key.
    pub key_type: KeyType,
    /// The CA's name for a kind of certificate.
    pub profile: Option<String>,
    /// The roots of directories that no browser knows.
    pub root_file: Option<PathBuf>,
    /// The account that one of the CAs knows us by.
    pub eab: Option<ExternalAccount>,
}

/// `eab`: an account that was made by hand (RFC 8555 §7.3.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExternalAccount {
    /// At which directory.
    pub directory: String,
    /// Its name there.
    pub kid: String,
    /// The secret, in base64url.
    pub hmac_file: PathBuf,
}

/// The kind of a certificate's key. RSA keys come from files only.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyType {
    /// ECDSA on the curve that every client knows.
    #[default]
    P256,
    /// ECDSA on the curve that some rules ask for.
    P384,
}

impl KeyType {
    /// A new key.
    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        KeyPair::generate_for(match self {
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        })
    }
}

/// How we show that a name is ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChallengeKind {
    /// A value in the DNS.
    Dns01,
    /// An answer on port 80.
    Http01,
    /// A handshake on port 443.
    TlsAlpn01,
}

impl ChallengeKind {
    /// Whether `subject` can be shown to be ours so (RFC 8555 §8.4, RFC 8738 §7): a wildcard only in the DNS, and an
    /// address only at its ports.
    pub fn suits(self, subject: &Subject) -> bool {
        match subject {
            Subject::Host(Host::Name(_)) => true,
            Subject::Host(Host::Address(_)) => self != Self::Dns01,
            Subject::Wildcard(_) => self == Self::Dns01,
        }
    }

    /// The protocol's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dns01 => "dns-01",
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl From<ChallengeKind> for ChallengeType {
    fn from(kind: ChallengeKind) -> Self {
        match kind {
            ChallengeKind::Dns01 => Self::Dns01,
            ChallengeKind::Http01 => Self::Http01,
            ChallengeKind::TlsAlpn01 => Self::TlsAlpn01,
        }
    }
}

impl Settings {
    /// Reads the files that it names, as an order will.
    ///
    /// # Errors
    /// [`AcmeError::RootFile`], [`AcmeError::Eab`] or [`AcmeError::Dns`].
    pub fn judge(&self) -> Result<(), AcmeError> {
        if let Some(file) = &self.root_file {
            root::read(file).map_err(AcmeError::RootFile)?;
        }
        if let Some(eab) = &self.eab {
            account::external_key(eab)?;
        }
        if let Some(dns) = &self.dns {
            dns.judge()?;
        }
        Ok(())
    }
}
