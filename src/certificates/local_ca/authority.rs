//! The local CA as devices come to know it: its certificate in the forms that they install, and its fingerprints in the form
//! that their installers show.
//!
//! Nothing here is secret. Whether the certificate that reached a device is this one, only its fingerprint tells.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use rustls::pki_types::CertificateDer;
use uuid::Builder;

use crate::base::pem;
use crate::certificates::x509;

/// The certificate of the local CA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authority {
    der: CertificateDer<'static>,
    pem: String,
    name: String,
}

impl Authority {
    /// Of its certificate.
    pub(crate) fn new(der: CertificateDer<'static>) -> Self {
        let pem = pem::encode("CERTIFICATE", &der).expose().clone();
        let name = x509::parse(&der).and_then(|parsed| {
            let name = parsed.subject().iter_common_name().next()?.as_str().ok()?;
            Some(name.to_owned())
        });
        Self { der, pem, name: name.unwrap_or_default() }
    }

    /// In PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// In DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// What devices list it as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it begins and ends.
    pub fn validity(&self) -> Option<x509::Validity> {
        x509::parse(&self.der).map(|parsed| x509::Validity::of(&parsed))
    }

    /// Its SHA-256 fingerprint, as `AB:CD:…`.
    pub fn sha256(&self) -> String {
        colons(digest::digest(&SHA256, &self.der).as_ref())
    }

    /// Its SHA-1 thumbprint, all that Windows' own installer shows. Nobody can make a second certificate for a given one, in
    /// SHA-1 either.
    pub fn sha1(&self) -> String {
        colons(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.der).as_ref())
    }

    /// As an Apple configuration profile. The same CA is the same profile always, so that it is replaced and not doubled.
    pub fn mobileconfig(&self) -> String {
        let name = escaped(&self.name);
        let data: String = lines(&STANDARD.encode(&self.der));
        let [profile, payload] = ["profile", "payload"].map(|part| self.identifier(part));
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n<dict>\n\
             \t<key>PayloadContent</key>\n\t<array>\n\t\t<dict>\n\
             \t\t\t<key>PayloadCertificateFileName</key>\n\t\t\t<string>doorward-ca.crt</string>\n\
             \t\t\t<key>PayloadContent</key>\n\t\t\t<data>\n{data}\t\t\t</data>\n\
             \t\t\t<key>PayloadDescription</key>\n\t\t\t<string>Lets this device trust the doorward of this house. It is \
             limited to local names, private addresses and the names configured when it was made.</string>\n\
             \t\t\t<key>PayloadDisplayName</key>\n\t\t\t<string>{name}</string>\n\
             \t\t\t<key>PayloadIdentifier</key>\n\t\t\t<string>doorward.local-ca.{payload}</string>\n\
             \t\t\t<key>PayloadType</key>\n\t\t\t<string>com.apple.security.root</string>\n\
             \t\t\t<key>PayloadUUID</key>\n\t\t\t<string>{payload}</string>\n\
             \t\t\t<key>PayloadVersion</key>\n\t\t\t<integer>1</integer>\n\t\t</dict>\n\t</array>\n\
             \t<key>PayloadDescription</key>\n\t<string>Compare the certificate's SHA-256 fingerprint with the one that \
             doorward shows on the machine it runs on, before you trust it.</string>\n\
             \t<key>PayloadDisplayName</key>\n\t<string>{name}</string>\n\
             \t<key>PayloadIdentifier</key>\n\t<string>doorward.local-ca.{profile}</string>\n\
             \t<key>PayloadRemovalDisallowed</key>\n\t<false/>\n\
             \t<key>PayloadType</key>\n\t<string>Configuration</string>\n\
             \t<key>PayloadUUID</key>\n\t<string>{profile}</string>\n\
             \t<key>PayloadVersion</key>\n\t<integer>1</integer>\n\
             </dict>\n</plist>\n"
        )
    }

    /// A UUID of this certificate's own for a `part` of its profile (RFC 9562 §5.8).
    fn identifier(&self, part: &str) -> String {
        let mut context = digest::Context::new(&SHA256);
        context.update(b"doorward mobileconfig ");
        context.update(part.as_bytes());
        context.update(&self.der);
        let bytes = context.finish().as_ref().first_chunk().copied().unwrap_or_default();
        Builder::from_custom_bytes(bytes).into_uuid().to_string().to_ascii_uppercase()
    }
}

fn colons(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}

/// Base64 as property lists have it: short lines.
fn lines(base64: &str) -> String {
    base64.as_bytes().chunks(64).map(|line| format!("\t\t\t{}\n", String::from_utf8_lossy(line))).collect()
}

/// As text of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::certificates::local_ca::LocalCa;

    #[test]
    fn one_ca_has_one_profile_and_another_has_another() {
        let open = || {
            let folder = tempfile::tempdir().unwrap();
            LocalCa::open(folder.path(), &[], Clock::system().now()).unwrap().authority().clone()
        };
        let (one, other) = (open(), open());
        assert_eq!(one.mobileconfig(), Authority::new(one.der.clone()).mobileconfig());
        assert_ne!(one.identifier("profile"), one.identifier("payload"));
        assert_ne!(one.identifier("profile"), other.identifier("profile"));
        assert!(one.name().starts_with("doorward local CA "), "{}", one.name());
        assert_ne!(one.name(), other.name());
    }

    #[test]
    fn fingerprints_are_written_as_installers_show_them() {
        let authority = Authority::new(CertificateDer::from(b"abc".to_vec()));
        assert_eq!(authority.sha1(), "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D");
        assert!(authority.sha256().starts_with("BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3"));
        assert_eq!((authority.sha256().len(), authority.name()), (95, ""));
    }
}
