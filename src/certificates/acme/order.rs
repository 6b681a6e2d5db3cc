//! One order, from its making to the certificate in its file. After each step enough is on disk to go on from there.

use std::time::Duration;

use instant_acme::{Identifier, NewOrder, Order, OrderStatus, RetryPolicy};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tracing::{info, warn};

use crate::base::clock::{Clock, millis};
use crate::base::limits::{
    ACME_ISSUE_WAIT, ACME_PATIENCE_MAX, ACME_PATIENCE_MIN, ACME_POLL_WAIT, ACME_VALIDATION_WAIT, CHAIN_CERTIFICATES_MAX,
};
use crate::base::pem;
use crate::base::secret::Secret;
use crate::certificates::acme::Settings;
use crate::certificates::acme::acceptance;
use crate::certificates::acme::account::{self, insist};
use crate::certificates::acme::attempts::{Board, Stage};
use crate::certificates::acme::backoff::{OpenOrder, Record};
use crate::certificates::acme::challenge::Challenges;
use crate::certificates::acme::dns::left;
use crate::certificates::acme::failure::{AcmeError, Next, Reason};
use crate::certificates::acme::kept::{Id, Kept};
use crate::certificates::acme::runner::spread;
use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::wire::Wire;
use crate::certificates::files::Loaded;
use crate::certificates::x509::CertificateId;

/// Let's Encrypt's word for certificates of six days: the only ones that it signs for addresses.
const SHORT_LIVED: &str = "shortlived";

/// What an order is made with.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// What is wanted.
    pub settings: &'a Settings,
    /// What its files are called.
    pub id: &'a Id,
    /// What is shown now.
    pub held: Option<&'a Loaded>,
    /// Where they are.
    pub kept: &'a Kept,
    /// Where people see how far it is.
    pub board: &'a Board,
    /// Where a CA's questions are answered.
    pub challenges: &'a Challenges,
    /// What time it is.
    pub clock: &'a Clock,
}

impl Job<'_> {
    /// Makes a new order and brings it to its certificate, which takes the place of one that lives for `life` and that
    /// the CA may know by `replaces`. The directories are asked in their order.
    ///
    /// # Errors
    /// [`AcmeError`] of the last directory that was asked.
    pub async fn order(
        &self,
        record: &mut Record,
        life: Option<Duration>,
        replaces: Option<&CertificateId>,
    ) -> Result<Loaded, AcmeError> {
        // Of a failure it may have been the cause.
        let replaces = replaces.filter(|_| record.failures == 0);
        let (attempt, now) = (record.failures, self.clock.now());
        record.begin(life, spread(), now);
        // First of all: an attempt that nobody would know of after a crash is not made.
        self.kept.keep_record(self.id, record)?;
        let mut failed = None;
        for directory in &self.settings.directories {
            if !record.is_awake(directory, now) {
                continue;
            }
            if let Some(error) = failed.take() {
                warn!(%error, next = directory, "no certificate from this ca; the next one is asked");
            }
            let wire = Wire::new(self.settings.root_file.as_deref(), self.clock.clone())?;
            let error = match self.order_at(directory, &wire, record, attempt, replaces).await {
                Ok(loaded) => return self.finish(loaded, directory, record),
                Err(error) => error,
            };
            self.heed(&error, directory, &wire, record);
            if error.next() != Next::AnotherCa {
                return Err(error);
            }
            failed = Some(error);
        }
        record.wait_for(&self.settings.directories);
        let nobody = AcmeError::Refused { reason: Reason::RateLimited, detail: String::new(), looked: None };
        Err(failed.unwrap_or(nobody))
    }

    /// Goes on with the order that `record` has.
    ///
    /// # Errors
    /// [`AcmeError`].
    pub async fn resume(&self, record: &mut Record) -> Result<Loaded, AcmeError> {
        let Some(open) = record.order.clone() else { return Err(AcmeError::Stuck) };
        let wire = Wire::new(self.settings.root_file.as_deref(), self.clock.clone())?;
        let resumed = async {
            let account = account::open(self.settings, &open.directory, self.kept, &wire).await?;
            wire.check_clock()?;
            let mut order = insist(&wire, async || account.order(open.url.clone()).await).await?;
            let key = KeyPair::from_pem(&open.key)?;
            self.complete(&mut order, &key, &wire, record.failures.saturating_sub(1)).await
        };
        match resumed.await {
            Ok(loaded) => self.finish(loaded, &open.directory, record),
            Err(error) => {
                self.heed(&error, &open.directory, &wire, record);
                // The CA cannot be reached: its order is as good as before.
                Err(if matches!(error, AcmeError::Unreachable(_)) { AcmeError::Stuck } else { error })
            }
        }
    }

    /// What a failure says about the next attempt.
    fn heed(&self, error: &AcmeError, directory: &str, wire: &Wire, record: &mut Record) {
        if let (AcmeError::Stuck, Some(order), Some(wait)) = (error, &mut record.order, wire.heard().come_back) {
            let wait = millis(self.patience_for(wait));
            order.next_ms = self.clock.now().plus(wait).0;
        }
        if let Some(wait) = wire.heard().retry_after {
            // Only the limits of a CA are kept to whatever comes of it.
            let is_limit = matches!(error, AcmeError::Refused { reason: Reason::RateLimited, .. });
            let wait = if is_limit { wait } else { self.patience_for(wait) };
            record.rest(directory, wait, self.clock.now());
            record.wait_for(&self.settings.directories);
        }
        if matches!(error, AcmeError::Refused { reason: Reason::AccountUnknown, .. })
            && let Err(error) = account::refuse(self.settings, directory, self.kept)
        {
            warn!(%error, hint = %error.hint(), "an account that its ca does not know is still in use");
        }
    }

    /// What of `asked` is waited where a certificate is shown that must not end meanwhile.
    fn patience_for(&self, asked: Duration) -> Duration {
        let Some(held) = self.held else { return asked.min(ACME_PATIENCE_MAX) };
        let left = held.validity.ends.saturating_sub(self.clock.now().0.div_euclid(1_000));
        let quarter = Duration::from_secs(u64::try_from(left / 4).unwrap_or(0));
        asked.min(quarter.clamp(ACME_PATIENCE_MIN, ACME_PATIENCE_MAX))
    }

    fn finish(&self, loaded: Loaded, directory: &str, record: &mut Record) -> Result<Loaded, AcmeError> {
        let (life, now) = (loaded.validity.life(), self.clock.now());
        record.succeed(directory, life, now);
        self.kept.keep_record(self.id, record)?;
        Ok(loaded)
    }

    async fn order_at(
        &self,
        directory: &str,
        wire: &Wire,
        record: &mut Record,
        attempt: u32,
        replaces: Option<&CertificateId>,
    ) -> Result<Loaded, AcmeError> {
        let account = account::open(self.settings, directory, self.kept, wire).await?;
        wire.check_clock()?;
        let identifiers: Vec<Identifier> = self.settings.names.iter().map(Subject::identifier).collect();
        let offered: Vec<&str> = account.profiles().map(|profile| profile.name).collect();
        let profile = profile(self.settings, &offered)?;
        let wanted = || {
            let plain = NewOrder::new(&identifiers);
            match profile {
                Some(profile) => plain.profile(profile),
                None => plain,
            }
        };
        let replaces = replaces.filter(|_| record.issued_by.as_deref() == Some(directory));
        let first = replaces.map_or_else(wanted, |id| wanted().replaces(id.for_renewal()));
        let key = self.settings.key_type.generate()?;
        let mut order = match insist(wire, async || account.new_order(&first).await).await {
            Err(error) if replaces.is_some() && error.is_of_replacement() => {
                // What an order replaces is a help for the CA, and nothing that the certificate needs.
                insist(wire, async || account.new_order(&wanted()).await).await?
            }
            made => made?,
        };
        record.order = Some(OpenOrder {
            directory: directory.to_owned(),
            url: order.url().to_owned(),
            key: key.serialize_pem(),
            made_ms: self.clock.now().0,
            next_ms: 0,
            resumes: 0,
        });
        self.kept.keep_record(self.id, record)?;
        info!(names = %Names(&self.settings.names), directory, "order made");
        self.complete(&mut order, &key, wire, attempt).await
    }

    /// Brings an order from wherever it stands to its certificate.
    async fn complete(&self, order: &mut Order, key: &KeyPair, wire: &Wire, attempt: u32) -> Result<Loaded, AcmeError> {
        self.check_size(order)?;
        if order.state().status == OrderStatus::Pending {
            let proven = self.validate(order, wire, attempt).await;
            // What is in the DNS goes whatever came of it; after a crash, or an attempt that took too long, a broom takes it.
            left::withdraw(self.id, self.kept, self.clock).await;
            proven?;
        }
        match order.state().status {
            OrderStatus::Invalid | OrderStatus::Pending => return Err(self.verdict(order, wire).await),
            OrderStatus::Ready => {
                let request = request(&self.settings.names, key)?;
                insist(wire, async || order.finalize_csr(&request).await).await?;
            }
            OrderStatus::Processing | OrderStatus::Valid => {}
        }
        self.board.advance(self.id, Stage::Issuing);
        info!(names = %Names(&self.settings.names), "the ca is content, and signs");
        let patience = patience(ACME_ISSUE_WAIT);
        let chain = insist(wire, async || order.poll_certificate(&patience).await).await?;
        self.keep(key, &chain)
    }

    /// Has the CA look at our answers.
    async fn validate(&self, order: &mut Order, wire: &Wire, attempt: u32) -> Result<(), AcmeError> {
        self.board.advance(self.id, Stage::Proving);
        let answers = self.prove(order, wire, attempt).await?;
        info!(names = %Names(&self.settings.names), "the ca is looking whether the names are ours");
        let patience = patience(ACME_VALIDATION_WAIT);
        let ready = insist(wire, async || order.poll_ready(&patience).await).await;
        drop(answers);
        match ready {
            // The order says more than the answer to a poll.
            Ok(_) | Err(AcmeError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Judges a chain as a client would, and puts it in place with its key.
    fn keep(&self, key: &KeyPair, chain: &str) -> Result<Loaded, AcmeError> {
        let unusable = |what: &str| AcmeError::Unusable(what.to_owned());
        let mut text = key.serialize_pem();
        for der in CertificateDer::pem_slice_iter(chain.as_bytes()).take(CHAIN_CERTIFICATES_MAX + 1) {
            // Written anew: whatever else stood in the answer stays out of the file.
            let der = der.map_err(|_| unusable("it is no chain in pem"))?;
            text.push_str(pem::encode("CERTIFICATE", &der).expose());
        }
        let now = self.clock.now();
        self.kept.keep_pair(self.id, &Secret::new(text), |read| {
            let loaded = read?;
            acceptance::judge(&loaded, &self.settings.names, self.held, now)?;
            Ok(loaded)
        })
    }
}

fn patience(timeout: Duration) -> RetryPolicy {
    RetryPolicy::new().initial_delay(ACME_POLL_WAIT).backoff(1.5).timeout(timeout)
}

/// The profile to ask for: the configured one; for an address the one that CAs sign addresses by, if this CA has it.
fn profile<'a>(settings: &'a Settings, offered: &[&str]) -> Result<Option<&'a str>, AcmeError> {
    match &settings.profile {
        Some(profile) if offered.contains(&profile.as_str()) => Ok(Some(profile)),
        Some(profile) => {
            let offered = offered.iter().map(|name| (*name).to_owned()).collect();
            Err(AcmeError::NoProfile { wanted: profile.clone(), offered })
        }
        None => {
            let short = settings.names.iter().any(Subject::is_address) && offered.contains(&SHORT_LIVED);
            Ok(short.then_some(SHORT_LIVED))
        }
    }
}

/// A signing request for `names` (RFC 2986), in DER.
fn request(names: &[Subject], key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = names.iter().map(Subject::alternative_name).collect::<Result<_, rcgen::Error>>()?;
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// Names for a log line.
pub(super) struct Names<'a>(pub(super) &'a [Subject]);

impl std::fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<String> = self.0.iter().map(Subject::to_string).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::acme::KeyType;

    #[test]
    fn an_address_asks_for_the_short_lived_profile_where_there_is_one() {
        let settings = |name: &str, profile: Option<&str>| Settings {
            names: vec![Subject::parse(name).unwrap()],
            directories: Vec::new(),
            contact: Vec::new(),
            challenges: Vec::new(),
            dns: None,
            key_type: KeyType::P256,
            profile: profile.map(str::to_owned),
            root_file: None,
            eab: None,
        };
        let offered = ["classic", "shortlived"];
        assert_eq!(profile(&settings("192.0.2.1", None), &offered).unwrap(), Some("shortlived"));
        assert_eq!(profile(&settings("192.0.2.1", None), &offered[..1]).unwrap(), None);
        assert_eq!(profile(&settings("192.0.2.1", Some("classic")), &offered).unwrap(), Some("classic"));
        assert_eq!(profile(&settings("a.example", None), &offered).unwrap(), None);
        let error = profile(&settings("a.example", Some("short")), &offered).unwrap_err();
        assert!(matches!(error, AcmeError::NoProfile { .. }), "{error}");
    }

    #[test]
    fn each_type_of_key_makes_a_request_that_names_everything() {
        for (kind, algorithm) in
            [(KeyType::P256, &rcgen::PKCS_ECDSA_P256_SHA256), (KeyType::P384, &rcgen::PKCS_ECDSA_P384_SHA384)]
        {
            let key = KeyPair::from_pem(&kind.generate().unwrap().serialize_pem()).unwrap();
            assert!(key.is_compatible(algorithm));
            let names = ["a.example", "*.a.example", "192.0.2.1"].map(|name| Subject::parse(name).unwrap());
            let read =
                rcgen::CertificateSigningRequestParams::from_der(&request(&names, &key).unwrap().into()).unwrap();
            assert_eq!(read.params.subject_alt_names.len(), 3);
        }
    }
}
