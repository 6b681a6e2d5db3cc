//! Certificates of callers: which CA's we take, which of them were taken back, and what one says about its holder. It names
//! the holder and opens nothing by itself.
//!
//! A certificate that is bad, over, foreign or taken back ends the handshake. Where callers show one, nothing is resumed: a
//! ticket would outlive what was checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

use crate::base::limits::{CLIENT_AUTHORITIES_MAX, CLIENT_CERT_NAMES_MAX, CLIENT_CERT_WORD_CHARS_MAX};
use crate::base::owner_command::quoted_path;
use crate::base::printable::{is_plain, printable, printable_path};
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

/// Judges what a caller has `shown` as a handshake at this time would.
///
/// # Errors
/// [`ClientCertificateFault`].
pub(super) fn judge(
    verifier: &dyn ClientCertVerifier,
    shown: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), ClientCertificateFault> {
    match shown.split_first() {
        None if verifier.client_auth_mandatory() => Err(ClientCertificateFault::Absent),
        None => Ok(()),
        Some((own, others)) => {
            let judged = verifier.verify_client_cert(own, others, now);
            judged
                .map(drop)
                .map_err(|error| ClientCertificateFault::of(&error).unwrap_or(ClientCertificateFault::Malformed))
        }
    }
}

/// What a verified certificate says about its holder, in bounded and printable words.
pub fn claim(certificate: &CertificateDer<'_>) -> Option<ClientCertClaim> {
    let parsed = x509::parse(certificate)?;
    let is_word = |text: &String| text.chars().count() <= CLIENT_CERT_WORD_CHARS_MAX;
    let word = |text: String| Some(printable(&text, usize::MAX)).filter(is_word);
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
        subject: Some(distinguished(parsed.subject())).filter(is_word).unwrap_or_default(),
        san: names.take(CLIENT_CERT_NAMES_MAX).filter_map(word).collect(),
    })
}

/// A distinguished name as text that has one reading (RFC 4514 §2.4, in the certificate's own order): no value can pass for
/// a second attribute.
fn distinguished(name: &X509Name<'_>) -> String {
    let attribute = |attribute: &AttributeTypeAndValue<'_>| {
        let oid = attribute.attr_type();
        let kind = oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned);
        let value = attribute.as_str().map_or_else(|_| "#".to_owned(), escaped);
        format!("{kind}={value}")
    };
    let relative =
        |relative: &RelativeDistinguishedName<'_>| relative.iter().map(attribute).collect::<Vec<_>>().join("+");
    name.iter_rdn().map(relative).collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let shown = value.chars().enumerate().map(|(at, char)| match char {
        '"' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => format!("\\{char}"),
        '#' if at == 0 => "\\#".to_owned(),
        ' ' if at == 0 || at == last => "\\ ".to_owned(),
        plain if is_plain(plain) => plain.to_string(),
        // By the bytes of its UTF-8, as the standard writes what cannot be shown.
        other => other.to_string().bytes().map(|byte| format!("\\{byte:02x}")).collect(),
    });
    shown.collect()
}

/// Why a caller's certificate does not let it in, in our own words: what it holds would write the log.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ClientCertificateFault {
    /// None was shown.
    #[error("none shown")]
    Absent,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Not one that can be read, or not its holder's.
    #[error("bad")]
    Malformed,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYet,
    /// Made for something else.
    #[error("not for clients")]
    Purpose,
    /// Its CA has taken it back.
    #[error("revoked")]
    Revoked,
    /// No list of its CA says whether it was taken back, or the list is out of date.
    #[error("nothing says whether it is revoked")]
    RevocationUnknown,
    /// By a CA that is not taken.
    #[error("by another ca")]
    UnknownIssuer,
}

impl ClientCertificateFault {
    /// What `error` says of a caller's certificate; nothing where it says something else.
    pub fn of(error: &rustls::Error) -> Option<Self> {
        match error {
            rustls::Error::NoCertificatesPresented => Some(Self::Absent),
            rustls::Error::InvalidCertRevocationList(_) => Some(Self::RevocationUnknown),
            rustls::Error::InvalidCertificate(cause) => Some(match cause {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYet,
                CertificateError::Revoked => Self::Revoked,
                CertificateError::UnknownRevocationStatus
                | CertificateError::ExpiredRevocationList
                | CertificateError::ExpiredRevocationListContext { .. } => Self::RevocationUnknown,
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Self::Purpose,
                _ => Self::Malformed,
            }),
            _ => None,
        }
    }
}

/// Why callers' certificates cannot be checked. The operator's to mend.
#[derive(Debug, Error)]
pub enum ClientAuthError {
    /// No CA's certificate in the file.
    #[error("not a ca's certificate in pem: {}", printable_path(.0))]
    Authority(PathBuf),
    /// A file cannot be read.
    #[error("client certificates: {0}")]
    File(PrivateFileError),
    /// No list in the file.
    #[error("not a revocation list in pem: {}", printable_path(.0))]
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
                format!("openssl crl -inform der -in {0} -out {0}.pem, if it is der, and name that", quoted_path(path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    fn said_of(subject: &[(DnType, &str)], san: Vec<SanType>) -> ClientCertClaim {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = san;
        claim(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der()).unwrap()
    }

    #[test]
    fn no_value_of_a_subject_passes_for_a_second_attribute() {
        let honest = said_of(&[(DnType::CommonName, "eve"), (DnType::OrganizationalUnitName, "Admins")], Vec::new());
        assert_eq!(honest.subject, "CN=eve,OU=Admins");
        for (value, shown) in [
            ("eve,OU=Admins", r"CN=eve\,OU\=Admins"),
            ("eve, OU=Admins", r"CN=eve\, OU\=Admins"),
            ("eve+OU=Admins", r"CN=eve\+OU\=Admins"),
            (r"eve\", r"CN=eve\\"),
            ("#05", r"CN=\#05"),
            (" eve ", r"CN=\ eve\ "),
            ("e\nve\u{202e}", r"CN=e\0ave\e2\80\ae"),
        ] {
            assert_eq!(said_of(&[(DnType::CommonName, value)], Vec::new()).subject, shown, "{value:?}");
        }
    }

    #[test]
    fn what_is_too_long_to_be_told_whole_is_not_told() {
        let long = "x".repeat(CLIENT_CERT_WORD_CHARS_MAX);
        let mail = |text: &str| SanType::Rfc822Name(text.to_owned().try_into().unwrap());
        let told = said_of(&[(DnType::CommonName, &long)], vec![mail(&long), mail("a@b.example")]);
        assert_eq!((&*told.subject, &*told.san), ("", &["email:a@b.example".to_owned()][..]));
    }

    #[test]
    fn what_a_certificate_holds_is_no_part_of_the_words_on_it() {
        let purposes = CertificateError::InvalidPurposeContext {
            required: rustls::ExtendedKeyPurpose::ClientAuth,
            presented: vec![rustls::ExtendedKeyPurpose::Other(vec![usize::MAX; 10_000])],
        };
        for (cause, fault) in [
            (purposes, ClientCertificateFault::Purpose),
            (CertificateError::UnknownIssuer, ClientCertificateFault::UnknownIssuer),
            (CertificateError::Revoked, ClientCertificateFault::Revoked),
            (CertificateError::BadEncoding, ClientCertificateFault::Malformed),
        ] {
            let found = ClientCertificateFault::of(&rustls::Error::InvalidCertificate(cause)).unwrap();
            assert_eq!(found, fault);
            assert!(found.to_string().len() < 50, "{found}");
        }
        assert_eq!(ClientCertificateFault::of(&rustls::Error::DecryptError), None, "no word on a certificate");
    }
}
