//! Who vouches for a certificate: a CA that every browser knows, or one that only some devices were told to trust.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::provider;
use super::x509::{Names, Validity, server_name};
use crate::base::limits::ROOTS_MAX;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::net::host::Host;

/// Whose root a chain leads to; the later, the more believe it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Root {
    /// None that browsers have.
    Private,
    /// One of those that browsers have (Mozilla's list).
    Public,
}

impl Root {
    /// Where `chain`, which is for `names` and holds for `validity`, leads to.
    pub fn of(chain: &[CertificateDer<'_>], names: &Names, validity: Validity) -> Self {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self::among(roots, chain, names, validity)
    }

    /// The same with other roots in the place of the public ones.
    fn among(roots: RootCertStore, chain: &[CertificateDer<'_>], names: &Names, validity: Validity) -> Self {
        let Some((leaf, above)) = chain.split_first() else { return Self::Private };
        let Some(name) = first_name(names) else { return Self::Private };
        // Whether it still holds is for whoever it is shown to.
        let Ok(begins) = u64::try_from(validity.begins) else { return Self::Private };
        let then = UnixTime::since_unix_epoch(std::time::Duration::from_secs(begins.saturating_add(1)));
        let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build() else {
            return Self::Private;
        };
        match verifier.verify_server_cert(leaf, above, &name, &[], then) {
            Ok(_) => Self::Public,
            Err(_) => Self::Private,
        }
    }
}

/// The roots in a PEM file of the operator's own.
///
/// # Errors
/// [`PrivateFileError`], when it cannot be read, others can write it, or it holds none.
pub fn read(path: &Path) -> Result<RootCertStore, PrivateFileError> {
    let fail = |fault| PrivateFileError::new(path, fault);
    let text = private_file::read_bytes(private_file::open_unwritable(path)?).map_err(fail)?;
    let mut roots = RootCertStore::empty();
    let unfit = || fail(Fault::Garbage("the certificates of a few hundred roots in pem"));
    for der in CertificateDer::pem_slice_iter(text.expose()).take(ROOTS_MAX + 1) {
        der.ok().and_then(|der| roots.add(der).ok()).ok_or_else(unfit)?;
    }
    if (1..=ROOTS_MAX).contains(&roots.len()) { Ok(roots) } else { Err(unfit()) }
}

/// One name that the certificate is for, as a client would ask for it.
fn first_name(names: &Names) -> Option<ServerName<'static>> {
    let below = || names.wildcards.first().map(|parent| Host::Name(format!("a.{parent}")));
    server_name(&names.exact.first().cloned().or_else(below)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;
    use crate::certificates::x509;

    #[test]
    fn a_chain_is_public_when_it_leads_to_a_root_that_browsers_have() {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        for (names, asked) in
            [(["claw.example", "b.example"], "claw.example"), (["*.claw.example", "192.0.2.7"], "192.0.2.7")]
        {
            let leaf = CertificateParams::new(names.map(str::to_owned)).unwrap();
            let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
            let chain = [leaf.der().clone(), root.der().clone()];
            let parsed = x509::parse(&chain[0]).unwrap();
            let (names, validity) = (Names::of(&parsed), Validity { begins: 1_700_000_000, ends: 1_900_000_000 });
            assert!(names.covers(&Host::parse(asked).unwrap()));
            let mut roots = RootCertStore::empty();
            roots.add(root.der().clone()).unwrap();
            assert_eq!(Root::among(roots, &chain, &names, validity), Root::Public);
            // Mozilla does not know it; and neither does anybody a name that is none.
            assert_eq!(Root::of(&chain, &names, validity), Root::Private);
            assert_eq!(Root::of(&[], &names, validity), Root::Private);
            assert_eq!(Root::of(&chain, &Names::default(), validity), Root::Private);
        }
    }

    #[test]
    fn roots_are_read_of_a_file_that_nobody_else_can_write_and_that_holds_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("roots.pem");
        let pem = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        fs::write(&path, pem.repeat(2)).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        for text in ["", "nothing", &format!("{pem}{}", pem.replace("MI", "MM")), &pem.repeat(ROOTS_MAX + 1)] {
            fs::write(&path, text).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error.fault, Fault::Garbage(_) | Fault::TooLong), "{error}");
        }
        fs::write(&path, &pem).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(read(&path).unwrap_err().fault, Fault::Mode { .. }));
    }
}
