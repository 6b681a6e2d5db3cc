//! What stands in a file where certificates or a key in PEM (RFC 7468) were looked for, told by its first bytes and its
//! labels, and the command that makes PEM of it. Pure.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::PrivateKeyDer;

use crate::base::owner_command::quoted_path;
use crate::certificates::x509;

/// What a file is to hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// A certificate, and those that lead to its root.
    Certificate,
    /// Its private key.
    Key,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Key => "private key",
        })
    }
}

/// What it holds in place of that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A certificate in DER.
    Der,
    /// A private key in DER.
    DerKey,
    /// PEM behind a byte order mark.
    Marked,
    /// A key of SSH's.
    OpenSsh,
    /// A certificate and its key in one encrypted file.
    Pkcs12,
    /// Certificates in PKCS #7.
    Pkcs7,
    /// A public key.
    PublicKey,
    /// A request for a certificate.
    Request,
    /// A certificate with OpenSSL's own notes on it.
    Trusted,
    /// PEM in UTF-16.
    Utf16,
}

/// What UTF-8 is marked with by programs of Windows.
const MARK: &[u8] = b"\xef\xbb\xbf";
/// How PEM begins, and how that looks in UTF-16 of either order.
const BEGIN: &[u8] = b"-----BEGIN ";
const WIDE: [&[u8]; 4] = [b"\xff\xfe", b"\xfe\xff", b"-\0-\0", b"\0-\0-"];
/// How PKCS #12 begins: a sequence whose length has two bytes, and version 3 (RFC 7292 §4).
const PKCS12: (&[u8], &[u8]) = (b"\x30\x82", b"\x02\x01\x03");

impl Form {
    /// What `bytes` are, where that is not `part` in PEM; none where they are that, or nobody can say.
    pub fn of(bytes: &[u8], part: Part) -> Option<Self> {
        if contains(bytes, &[MARK, BEGIN].concat()) {
            return Some(Self::Marked);
        }
        if WIDE.iter().any(|begin| bytes.starts_with(begin)) {
            return Some(Self::Utf16);
        }
        let has = |label: &str| contains(bytes, &[BEGIN, label.as_bytes(), b"-----"].concat());
        if has("PKCS12") || bytes.starts_with(PKCS12.0) && bytes.get(4..7) == Some(PKCS12.1) {
            return Some(Self::Pkcs12);
        }
        if x509::parse(bytes).is_some() {
            return Some(Self::Der);
        }
        if PrivateKeyDer::try_from(bytes).is_ok() {
            return Some(Self::DerKey);
        }
        let labels: &[(&str, Self)] = match part {
            Part::Certificate if has("CERTIFICATE") => &[],
            Part::Certificate => &[
                ("TRUSTED CERTIFICATE", Self::Trusted),
                ("PKCS7", Self::Pkcs7),
                ("CERTIFICATE REQUEST", Self::Request),
                ("NEW CERTIFICATE REQUEST", Self::Request),
            ],
            Part::Key if contains(bytes, b" PRIVATE KEY-----") && !has("OPENSSH PRIVATE KEY") => &[],
            Part::Key => &[("OPENSSH PRIVATE KEY", Self::OpenSsh), ("PUBLIC KEY", Self::PublicKey)],
        };
        labels.iter().find(|(label, _)| has(label)).map(|(_, form)| *form)
    }

    /// The command that mends the file at `path`.
    pub fn hint(self, path: &Path) -> String {
        match self {
            Self::Der => mended(path, "openssl x509 -inform der", " -in "),
            Self::DerKey => mended(path, "openssl pkey -inform der", " -in "),
            Self::Marked => mended(path, r"LC_ALL=C sed 's/\xEF\xBB\xBF//'", " "),
            Self::OpenSsh => "use a key that openssl has made, with a certificate for it".to_owned(),
            Self::Pkcs12 => format!(
                "openssl pkcs12 -nokeys -in {0} -out {1} && (umask 077; openssl pkcs12 -nocerts -nodes -in {0} -out {2}), and \
                 name those two",
                quoted_path(path),
                quoted_path(&with_ending(path, ".crt")),
                quoted_path(&with_ending(path, ".key")),
            ),
            Self::Pkcs7 => mended(path, "openssl pkcs7 -print_certs", " -in "),
            Self::PublicKey => "name the private key: this one is the public half of it".to_owned(),
            Self::Request => "name the certificate that the ca has made of this request".to_owned(),
            Self::Trusted => mended(path, "openssl x509", " -in "),
            Self::Utf16 => mended(path, "iconv -f UTF-16 -t UTF-8", " "),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Der | Self::DerKey => "in der, not in pem",
            Self::Marked => "pem behind a byte order mark",
            Self::OpenSsh => "a key of ssh's, which tls does not read",
            Self::Pkcs12 => "in pkcs #12, not in pem",
            Self::Pkcs7 => "in pkcs #7, not in pem",
            Self::PublicKey => "a public key",
            Self::Request => "a request for a certificate",
            Self::Trusted => "a certificate of openssl's own form",
            Self::Utf16 => "pem in utf-16",
        })
    }
}

/// The command that puts what `command` prints of the file at `path` in its place. Its owner, its mode and a link to it stay
/// as they are, and where `command` fails, all does.
pub(super) fn mended(path: &Path, command: &str, before: &str) -> String {
    let (own, new) = (quoted_path(path), quoted_path(&beside(path)));
    format!("(umask 077; {command}{before}{own} > {new} && cat {new} > {own} && rm {new})")
}

/// A name for what is made of it meanwhile.
pub(super) fn beside(path: &Path) -> PathBuf {
    with_ending(path, ".new")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
