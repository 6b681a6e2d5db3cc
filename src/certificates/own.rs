//! The local CA's part while the instance runs: its leaf follows this machine's own names and addresses, and its certificate is
//! offered to devices as long as some name of ours is shown with it.

use std::cmp::Reverse;
use std::path::PathBuf;
use std::sync::Arc;

use super::acme::kept::Kept;
use super::local_ca::authority::Authority;
use super::local_ca::leaves::Issued;
use super::local_ca::{LocalCa, LocalCaError, copy};
use super::{Certificates, Covered, Renewal, Settings, Shown, files, is_wanted, local_names, stored};
use crate::base::clock::UnixMillis;
use crate::certificates::CertificateError;
use crate::net::host::Host;
use rustls::pki_types::CertificateDer;

impl Certificates {
    /// The local CA, for devices that are to trust it.
    pub fn authority(&self) -> &Authority {
        self.ca.authority()
    }

    /// The names of ours that are shown with the local leaf now. None where every name has another certificate: the CA is of
    /// no use to devices then.
    pub fn local_ca_names(&self) -> Option<Vec<Host>> {
        self.resolver.names_of_leaf()
    }

    /// This machine's own names and addresses that the local leaf is for.
    pub fn own_names(&self) -> Vec<Host> {
        self.shown().own.clone()
    }

    /// Shows a leaf for `own` too from the next handshake on, in place of the names and addresses that this machine had
    /// before. What the CA may not sign is left out.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was shown is shown on.
    pub fn follow(&self, own: Vec<Host>, now: UnixMillis) -> Result<Renewal, CertificateError> {
        let mut shown = self.shown();
        let own = permitted(own, &self.ca);
        if shown.own == own {
            return Ok(Renewal::NotDue);
        }
        let local = self.ca.leaf(&shown.local_names(&own, &self.ca), now)?;
        (shown.own, shown.local) = (own, local.leaves);
        self.resolver.replace(shown.served(now));
        Ok(if local.issued == Issued::Anew { Renewal::Renewed } else { Renewal::NotDue })
    }

    /// The chain that `host` is shown, as far as the disk tells it: the first certificate, then those that lead to its root.
    /// None when no certificate is for that name. Reads only.
    ///
    /// # Errors
    /// [`CertificateError`] where the local CA or a configured file cannot be read.
    pub fn find_chain(
        settings: &Settings,
        host: &Host,
        now: UnixMillis,
    ) -> Result<Option<Vec<CertificateDer<'static>>>, CertificateError> {
        let mut files =
            settings.files.iter().map(|pair| files::read(pair).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        // What lies about and cannot be read is not shown either.
        let dropped = files::dropped::find(&settings.dir).pairs;
        let dropped = dropped.iter().filter(|pair| !settings.files.contains(pair));
        let mut dropped: Vec<_> = dropped.filter_map(|pair| files::load(pair, now).ok().map(Arc::new)).collect();
        dropped.sort_by_key(|pair| Reverse(pair.validity.ends));
        files.extend(dropped);
        let ca = LocalCa::find(&settings.state_dir)?;
        let issued = stored(&Kept::of(&settings.state_dir), &settings.acme).into_values();
        let issued = issued
            .filter(|pair| pair.names.covers(host) && is_wanted(&settings.acme, host))
            .max_by_key(|pair| pair.validity.ends);
        let mut covering: Vec<_> = files.into_iter().chain(issued).filter(|pair| pair.names.covers(host)).collect();
        // As they are shown: what is over comes last.
        covering.sort_by_key(|pair| !pair.validity.lasts(now));
        let leaf = || ca.and_then(|ca| ca.last_leaf_for(host)).map(|leaf| vec![leaf]);
        Ok(covering.first().map(|pair| pair.certified.cert.clone()).or_else(leaf))
    }

    /// Issues the local leaf anew, due or not.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was shown is shown on.
    pub fn reissue_local(&self, now: UnixMillis) -> Result<(), CertificateError> {
        let mut shown = self.shown();
        shown.local = self.ca.issue_leaf(&shown.local_names(&shown.own, &self.ca), now)?;
        self.resolver.replace(shown.served(now));
        Ok(())
    }
}

/// What a device would believe of `own`.
pub(super) fn permitted(own: Vec<Host>, ca: &LocalCa) -> Vec<Host> {
    own.into_iter().filter(|name| ca.permits(name)).collect()
}

impl Shown {
    /// The names the local leaf is to carry, where `own` are the machine's.
    pub(super) fn local_names(&self, own: &[Host], ca: &LocalCa) -> Vec<Host> {
        local_names(&self.names, own, Covered { files: &self.pairs.loaded(), wanted: &self.wanted }, ca)
    }
}

/// A new local CA in place of the old one under `settings`, for the names of now, put where people find it. Answers with it
/// and where the old one is kept. Nobody may run on that state meanwhile.
///
/// # Errors
/// [`LocalCaError`].
pub fn recreate_ca(settings: &Settings, now: UnixMillis) -> Result<(Authority, Option<PathBuf>), LocalCaError> {
    let (ca, kept) = LocalCa::recreate(&settings.state_dir, &settings.names, now)?;
    copy::publish_or_warn(&settings.dir, ca.authority());
    Ok((ca.authority().clone(), kept))
}
