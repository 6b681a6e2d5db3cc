//! What a CA has sent is taken only if it is better than what is there. Pure.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::UnixTime;

use crate::base::clock::{UnixMillis, millis};
use crate::base::limits::ACME_CLOCK_SKEW_MAX;
use crate::certificates::acme::failure::AcmeError;
use crate::certificates::acme::renewal;
use crate::certificates::acme::subject::Subject;
use crate::certificates::files::Loaded;
use crate::certificates::provider;
use crate::certificates::x509::{seed, server_name};
use crate::net::host::Host;

/// Whether `loaded` may take the place of `held` for `names` at `now`.
///
/// # Errors
/// [`AcmeError::Unusable`] with what is wrong with it.
pub fn judge(loaded: &Loaded, names: &[Subject], held: Option<&Loaded>, now: UnixMillis) -> Result<(), AcmeError> {
    let unusable = |what: &str| Err(AcmeError::Unusable(what.to_owned()));
    if let Some(name) = names.iter().find(|name| !name.is_in(&loaded.names)) {
        return Err(AcmeError::Unusable(format!("it is not for {name}")));
    }
    let skew = millis(ACME_CLOCK_SKEW_MAX);
    if loaded.validity.ends_at() <= now {
        return unusable("it is over already");
    }
    // A second's haste of the CA's clock is no fault; a certificate of tomorrow is.
    if loaded.validity.begins_at() > now.plus(skew) {
        return unusable("it does not hold yet");
    }
    let is_due = renewal::due(loaded.validity, seed(&loaded.certified), None) <= now;
    if is_due && held.is_some_and(|held| loaded.validity.ends <= held.validity.ends) {
        return unusable("it is older than the one that is shown");
    }
    match is_signed(loaded, names, now) {
        true => Ok(()),
        false => unusable("its chain does not hold"),
    }
}

/// Whether each certificate of the chain is signed by the next. The last is believed: whose it is, browsers judge.
fn is_signed(loaded: &Loaded, names: &[Subject], now: UnixMillis) -> bool {
    let Some((leaf, above)) = loaded.certified.cert.split_first() else { return false };
    let Some((top, between)) = above.split_last() else { return true };
    let mut roots = RootCertStore::empty();
    if roots.add(top.clone()).is_err() {
        return false;
    }
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build() else {
        return false;
    };
    // A moment at which it holds, however hasty the CA's clock is.
    let seconds = now.seconds().max(u64::try_from(loaded.validity.begins).unwrap_or(0));
    let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    names.iter().all(|name| {
        let name = match name {
            Subject::Host(host) => server_name(host),
            Subject::Wildcard(parent) => server_name(&Host::Name(format!("any.{parent}"))),
        };
        name.is_some_and(|name| verifier.verify_server_cert(leaf, between, &name, &[], now).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::sign::CertifiedKey;

    use super::*;
    use crate::certificates::x509::{self, Names, Validity};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY: i64 = 86_400;

    #[test]
    fn only_a_certificate_that_is_better_takes_the_place_of_one() {
        let held = issued("a.example", -60, 30);
        for (name, from, to, fault) in [
            ("a.example", 0, 90, None),
            // Shorter by choice of a profile is no fault.
            ("a.example", 0, 6, None),
            ("b.example", 0, 90, Some("it is not for a.example")),
            ("a.example", -90, 0, Some("it is over already")),
            ("a.example", 1, 91, Some("it does not hold yet")),
            ("a.example", -60, 29, Some("it is older than the one that is shown")),
        ] {
            let judged =
                judge(&issued(name, from, to), &names(), Some(&held), NOW).err().map(|error| error.to_string());
            let expected = fault.map(|fault| format!("the ca's certificate cannot be used: {fault}"));
            assert_eq!(judged, expected, "{name} {from} {to}");
        }
        assert!(judge(&issued("a.example", -60, 29), &names(), None, NOW).is_ok(), "better than none");
    }

    #[test]
    fn a_chain_with_a_stranger_above_the_leaf_is_not_taken() {
        let (mut own, other) = (issued("a.example", 0, 90), issued("a.example", 0, 90));
        let mixed = vec![own.certified.cert[0].clone(), other.certified.cert[1].clone()];
        own.certified = Arc::new(CertifiedKey::new(mixed, Arc::clone(&own.certified.key)));
        let judged = judge(&own, &names(), None, NOW).unwrap_err();
        assert_eq!(judged.to_string(), "the ca's certificate cannot be used: its chain does not hold");
    }

    fn names() -> Vec<Subject> {
        vec![Subject::parse("a.example").unwrap()]
    }

    /// From a CA of its own, from so many days after now to so many.
    fn issued(name: &str, from: i64, to: i64) -> Loaded {
        let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(NOW.0 / 1_000 + days * DAY).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        (params.not_before, params.not_after) = (at(-1_000), at(1_000));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::new([name.to_owned()]).unwrap());
        (params.not_before, params.not_after) = (at(from), at(to));
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let der = key.serialize_der();
        let key = rustls::crypto::ring::sign::any_supported_type(&der.try_into().unwrap()).unwrap();
        let parsed = x509::parse(leaf.der()).unwrap();
        let (names, validity) = (Names::of(&parsed), Validity::of(&parsed));
        let chain = vec![leaf.der().clone(), issuer.der().clone()];
        Loaded {
            certified: Arc::new(CertifiedKey::new(chain, key)),
            names,
            validity,
            root: crate::certificates::root::Root::Private,
        }
    }
}
