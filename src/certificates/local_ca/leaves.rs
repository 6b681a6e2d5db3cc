//! What the local CA signs: a leaf for each name and one for all addresses, so that who knows one name learns no other from
//! it. A caller that dials an address sends no name, and behind NAT nobody knows which address it dialled.
//!
//! They have one key and stand in one file, and so are replaced together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use super::{LEAF, LocalCa, LocalCaError, issue, wanted_names};
use crate::base::clock::{EARLIEST, UnixMillis};
use crate::base::limits::LEAF_NAMES_MAX;
use crate::base::private_file::{self, Fault, PrivateFileError};
use crate::base::secret::Secret;
use crate::certificates::provider;
use crate::certificates::x509::{self, Names, Validity};
use crate::net::host::Host;

/// The name that every house has.
const LOCALHOST: &str = "localhost";

/// The leaves of one time.
#[derive(Clone, Debug)]
pub struct Leaves {
    /// For all addresses.
    addresses: Arc<CertifiedKey>,
    /// For each name its own.
    names: BTreeMap<String, Arc<CertifiedKey>>,
    hosts: Vec<Host>,
    validity: Validity,
}

/// What is to be shown, and whether it is new.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// For rustls.
    pub leaves: Arc<Leaves>,
    /// Whether they are new.
    pub issued: Issued,
}

/// Whether leaves were issued just now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Issued {
    /// They were.
    Anew,
    /// The stored ones are still good.
    Before,
}

impl Leaves {
    /// That for `name`; for one that none is for, that which tells no other.
    pub fn for_name(&self, name: &str) -> &Arc<CertifiedKey> {
        self.names.get(name).or_else(|| self.names.get(LOCALHOST)).unwrap_or(&self.addresses)
    }

    /// That for every address.
    pub fn for_addresses(&self) -> &Arc<CertifiedKey> {
        &self.addresses
    }

    /// What they are for, all together.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The time in which all of them hold.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// One for everything that it names.
    #[cfg(test)]
    pub(crate) fn single(certified: Arc<CertifiedKey>) -> Arc<Self> {
        let parsed = x509::parse(&certified.cert[0]).unwrap();
        let (hosts, validity) = (Names::of(&parsed).exact, Validity::of(&parsed));
        drop(parsed);
        Arc::new(Self { addresses: certified, names: BTreeMap::new(), hosts, validity })
    }
}

impl LocalCa {
    /// The leaves for what is always local and `names`: the stored ones, or new ones if those are due, not begun yet or for
    /// other names. By a clock that cannot be right none is due, and new ones are dated as the stored ones are, or from the
    /// earliest time that it can be, and not kept.
    ///
    /// # Errors
    /// [`LocalCaError::NotPermitted`] for a name that this CA may not sign.
    pub fn leaf(&self, names: &[Host], now: UnixMillis) -> Result<Leaf, LocalCaError> {
        let groups = self.groups(names)?;
        if let Some(leaves) = self.stored_leaves(&self.folder.join(LEAF), &groups, now)? {
            return Ok(Leaf { leaves: Arc::new(leaves), issued: Issued::Before });
        }
        Ok(Leaf { leaves: self.issue(&groups, now)?, issued: Issued::Anew })
    }

    /// New leaves as [`LocalCa::leaf`] has them, in place of the stored ones, due or not.
    ///
    /// # Errors
    /// As [`LocalCa::leaf`]; and [`LocalCaError::Expired`].
    pub fn issue_leaf(&self, names: &[Host], now: UnixMillis) -> Result<Arc<Leaves>, LocalCaError> {
        self.check_time(now)?;
        self.issue(&self.groups(names)?, now)
    }

    fn issue(&self, groups: &[Vec<Host>], now: UnixMillis) -> Result<Arc<Leaves>, LocalCaError> {
        let date = if self.can_be(now) { now } else { self.last_date() };
        let text = issue::leaves(&self.issuer, groups, self.ends, date)?;
        // What no client would believe is never shown, nor put in place of what some client believes.
        let leaves = self.believed(&text, groups, now)?;
        if self.can_be(now) {
            private_file::replace(&self.folder.join(LEAF), &text)?;
        }
        Ok(Arc::new(leaves))
    }

    /// When the stored leaves were issued, which is nearer to the truth than a clock that cannot be right; else the earliest
    /// time that it can be.
    fn last_date(&self) -> UnixMillis {
        let text = private_file::read(&self.folder.join(LEAF)).ok();
        let leaf = text.and_then(|text| read(&text)).and_then(|(_, leaves)| leaves.into_iter().next());
        let validity = leaf.and_then(|leaf| x509::parse(&leaf).map(|leaf| Validity::of(&leaf)));
        validity.map_or(EARLIEST, |validity| issue::issued_at(validity.begins))
    }

    /// The stored leaf for `host` as it is, if there is one that can be read.
    pub fn last_leaf_for(&self, host: &Host) -> Option<CertificateDer<'static>> {
        let (_, leaves) = read(&private_file::read(&self.folder.join(LEAF)).ok()?)?;
        let is_for = |leaf: &CertificateDer<'_>| x509::parse(leaf).is_some_and(|leaf| Names::of(&leaf).covers(host));
        leaves.into_iter().find(is_for)
    }

    /// Says what [`LocalCa::leaf`] would refuse, and issues nothing.
    ///
    /// # Errors
    /// As [`LocalCa::leaf`].
    pub fn judge_leaf(&self, names: &[Host], now: UnixMillis) -> Result<(), LocalCaError> {
        self.stored_leaves(&self.folder.join(LEAF), &self.groups(names)?, now).map(drop)
    }

    /// What each leaf is for: the first all addresses, each other one name.
    fn groups(&self, names: &[Host]) -> Result<Vec<Vec<Host>>, LocalCaError> {
        let wanted = wanted_names(names)?;
        if let Some(name) = wanted.iter().find(|name| !self.permits(name)) {
            return Err(LocalCaError::NotPermitted { name: name.clone() });
        }
        let (addresses, names): (Vec<Host>, Vec<Host>) =
            wanted.into_iter().partition(|host| matches!(host, Host::Address(_)));
        Ok(std::iter::once(addresses).chain(names.into_iter().map(|name| vec![name])).collect())
    }

    /// The stored leaves, unless they are to be issued anew: nothing but time and names is lost by that.
    fn stored_leaves(
        &self,
        path: &Path,
        groups: &[Vec<Host>],
        now: UnixMillis,
    ) -> Result<Option<Leaves>, LocalCaError> {
        let text = match private_file::read(path) {
            Ok(text) => text,
            Err(error) if error.is_absent() => return Ok(None),
            Err(PrivateFileError { fault: Fault::Empty | Fault::NotText | Fault::TooLong, .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some((_, leaves)) = read(&text) else { return Ok(None) };
        let is_good = |(leaf, group): (&CertificateDer<'_>, &Vec<Host>)| {
            let Some(parsed) = x509::parse(leaf) else { return false };
            let (names, validity) = (Names::of(&parsed).exact, Validity::of(&parsed));
            let has_same_names = names.len() == group.len() && group.iter().all(|name| names.contains(name));
            has_same_names && (!self.can_be(now) || validity.holds(now) && !validity.is_due(now))
        };
        let are_good = leaves.len() == groups.len() && leaves.iter().zip(groups).all(is_good);
        Ok(if are_good { self.believed(&text, groups, now).ok() } else { None })
    }

    /// Reads leaves and their key, and looks at each as a client does: our CA its only root, each name in turn.
    fn believed(&self, text: &Secret<String>, groups: &[Vec<Host>], now: UnixMillis) -> Result<Leaves, LocalCaError> {
        let unreadable = || LocalCaError::Unbelievable(rustls::Error::General("leaf unreadable".to_owned()));
        let (key, certificates) = read(text).ok_or_else(unreadable)?;
        let key = any_supported_type(&key).map_err(LocalCaError::Unbelievable)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.authority.der())).map_err(LocalCaError::Unbelievable)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let verifier = verifier.map_err(|_| unreadable())?;
        let (mut of_addresses, mut of_names) = (None, BTreeMap::new());
        let mut validity = Validity { begins: i64::MIN, ends: i64::MAX };
        for (certificate, group) in certificates.into_iter().zip(groups) {
            let own = x509::parse(&certificate).map(|leaf| Validity::of(&leaf)).ok_or_else(unreadable)?;
            validity = Validity { begins: validity.begins.max(own.begins), ends: validity.ends.min(own.ends) };
            // By a clock that cannot be right, a moment at which it holds: whether it does now is for callers to judge.
            let now = if self.can_be(now) { now } else { own.begins_at() };
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds()));
            for name in group {
                let name = x509::server_name(name).ok_or_else(unreadable)?;
                let verified = verifier.verify_server_cert(&certificate, &[], &name, &[], now);
                verified.map_err(LocalCaError::Unbelievable)?;
            }
            let certified = CertifiedKey::new(vec![certificate], Arc::clone(&key));
            certified.keys_match().map_err(LocalCaError::Unbelievable)?;
            match group.as_slice() {
                [Host::Name(name)] => drop(of_names.insert(name.clone(), Arc::new(certified))),
                _ => of_addresses = Some(Arc::new(certified)),
            }
        }
        let addresses = of_addresses.ok_or_else(unreadable)?;
        Ok(Leaves { addresses, names: of_names, hosts: groups.concat(), validity })
    }
}

/// A key and the leaves that have it.
fn read(text: &Secret<String>) -> Option<(PrivateKeyDer<'static>, Vec<CertificateDer<'static>>)> {
    let text = text.expose().as_bytes();
    let leaves = CertificateDer::pem_slice_iter(text).take(LEAF_NAMES_MAX + 1).collect::<Result<_, _>>().ok()?;
    Some((PrivateKeyDer::from_pem_slice(text).ok()?, leaves))
}
