//! A CA of the tests' own: what it signs is for servers or for clients, for a time, and can be taken back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder};
use time::OffsetDateTime;

/// A root and its key.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) serial: u64,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Client,
    Server,
}

impl Authority {
    /// A new one by this name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `names`, whose subject is the first of them, that holds from yesterday for 30 days.
    pub(crate) fn issue(&self, purpose: Purpose, names: &[&str]) -> Pair {
        self.issue_for(purpose, names, -86_400, 30 * 86_400)
    }

    /// One that holds from and to these seconds from now.
    pub(crate) fn issue_for(&self, purpose: Purpose, names: &[&str], begins: i64, ends: i64) -> Pair {
        let sans: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(sans).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params.extended_key_usages = vec![match purpose {
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
        }];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let now = OffsetDateTime::now_utc();
        params.not_before = now + time::Duration::seconds(begins);
        params.not_after = now + time::Duration::seconds(ends);
        let serial = u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into().unwrap()) >> 2;
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        Pair { cert: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem(), serial }
    }

    /// The list of what it has taken back.
    pub(crate) fn revoke(&self, pairs: &[&Pair]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked_certs = pairs
            .iter()
            .map(|pair| RevokedCertParams {
                serial_number: SerialNumber::from(pair.serial),
                revocation_time: now - Duration::from_secs(60),
                reason_code: None,
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: now - Duration::from_secs(3600),
            next_update: now + Duration::from_secs(86_400),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

impl Pair {
    /// A client that shows it where it is asked for one.
    pub(crate) fn shown_by(&self, config: ConfigBuilder<ClientConfig, WantsClientCert>) -> ClientConfig {
        let chain = CertificateDer::pem_slice_iter(self.cert.as_bytes()).map(Result::unwrap).collect();
        config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()).unwrap()
    }

    /// Writes it as `NAME.crt` and `NAME.key`, which is its owner's alone.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        self.write_cert(folder, name);
        self.write_key(folder, name);
    }

    /// Only the certificate.
    pub(crate) fn write_cert(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.crt")), &self.cert).unwrap();
    }

    /// Only the key.
    pub(crate) fn write_key(&self, folder: &Path, name: &str) {
        let path = folder.join(format!("{name}.key"));
        fs::write(&path, &self.key).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
