//! Which certificate is shown to whom: from files for the names they cover, from a public CA for those that it has signed,
//! from tailscaled for this machine's own on its tailnet, from the local CA for all others.
//!
//! One resolver for all listeners, swapped whole, so that a handshake sees the old set or the new. Each listener has
//! tickets of its own: what one listener let in cannot be resumed at another.

pub mod acme;
pub mod alarm;
pub mod client_auth;
pub mod doubt;
mod feed;
pub mod files;
pub mod local_ca;
mod own;
pub mod resolver;
pub mod root;
pub mod server_tls;
pub mod standing;
pub mod tailnet;
mod tls_ends;
pub mod x509;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::crypto::CryptoProvider;
use thiserror::Error;
use tracing::{error, warn};

use crate::base::clock::UnixMillis;
use crate::certificates::acme::attempts::Board;
use crate::certificates::acme::challenge::Challenges;
use crate::certificates::acme::failure::AcmeError;
use crate::certificates::acme::kept::{Id, Kept};
use crate::certificates::client_auth::{ClientAuthError, ClientCertificates};
use crate::certificates::files::pairs::Pairs;
use crate::certificates::files::watch::tell;
use crate::certificates::files::{FileError, FilePair, Loaded};
use crate::certificates::local_ca::leaves::Leaves;
use crate::certificates::local_ca::{LocalCa, LocalCaError, copy};
use crate::certificates::resolver::{Resolver, Served};
use crate::certificates::tls_ends::TlsEnds;
use crate::net::host::Host;
use crate::tailscale;

pub use own::recreate_ca;

/// What is shown, and where it is kept.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where our own keys are kept.
    pub state_dir: PathBuf,
    /// `certificates.dir`: where people find the CA's certificate.
    pub dir: PathBuf,
    /// `edge.names`.
    pub names: Vec<Host>,
    /// This machine's own names and addresses, where those are answered too: as they are at the start.
    pub own: Vec<Host>,
    /// `[[certificates.file]]`.
    pub files: Vec<FilePair>,
    /// `[[certificates.acme]]`.
    pub acme: Vec<acme::Settings>,
    /// `client_certificates` of each listener that ends TLS, by its name; off where it is not named.
    pub clients: BTreeMap<String, ClientCertificates>,
    /// `tailscale.certificates`.
    pub tailnet: Option<tailscale::Settings>,
}

/// All certificates of this edge.
#[derive(Debug)]
pub struct Certificates {
    board: Board,
    ca: LocalCa,
    challenges: Challenges,
    kept: Kept,
    resolver: Arc<Resolver>,
    tls_ends: Mutex<TlsEnds>,
    /// Locked for the whole of a renewal or replacement: one at a time.
    shown: Mutex<Shown>,
}

/// What a renewal shows again.
#[derive(Debug)]
struct Shown {
    names: Vec<Host>,
    /// This machine's own names and addresses, as they are now.
    own: Vec<Host>,
    pairs: Pairs,
    /// What is to be had from public CAs, and what was.
    wanted: Vec<acme::Settings>,
    issued: BTreeMap<Id, Arc<files::Loaded>>,
    /// What tailscaled has given, by the name it was asked for.
    of_tailnet: BTreeMap<Host, Arc<files::Loaded>>,
    local: Arc<Leaves>,
}

impl Shown {
    /// Of what holds at `now`: files first for the names they cover, then what a CA has issued for the names it is wanted
    /// for; between them what was read from files that are gone since, for names that nothing as good is for. What is over
    /// comes last. A name that was taken out of an order keeps its certificate as long as another wants it.
    fn served(&self, now: UnixMillis) -> Served {
        let gone = self.pairs.gone();
        let is_gone = |file: &Arc<Loaded>| gone.iter().any(|gone| Arc::ptr_eq(gone, file));
        let files: Vec<_> = self.pairs.loaded().into_iter().filter(|file| !is_gone(file)).collect();
        let own: Vec<Id> = self.wanted.iter().map(|wanted| Id::of(&wanted.names)).collect();
        let mut issued: Vec<_> = self.issued.iter().collect();
        issued.sort_by_key(|(id, loaded)| (!own.contains(id), Reverse(loaded.validity.ends)));
        let names = &self.names;
        let is_free = |name: &Host| !files.iter().any(|file| file.validity.lasts(now) && file.names.covers(name));
        let only = |loaded: &Loaded, is_for: &dyn Fn(&Host) -> bool| {
            let is_for = |name: &&Host| is_for(name) && is_free(name) && loaded.names.covers(name);
            let names = x509::Names { exact: names.iter().filter(is_for).cloned().collect(), wildcards: Vec::new() };
            Arc::new(Loaded { certified: Arc::clone(&loaded.certified), names, ..*loaded })
        };
        let issued = issued.into_iter().map(|(_, loaded)| only(loaded, &|name| is_wanted(&self.wanted, name)));
        // Last, so that a CA's own is the first of a name's.
        let of_tailnet = self.of_tailnet.iter().map(|(own, loaded)| only(loaded, &|name| name == own));
        let of_cas: Vec<_> = issued.chain(of_tailnet).collect();
        let left = gone.iter().filter_map(|gone| {
            // What a rehearsal has brought takes no certificate's place that browsers believe.
            let is_better = |other: &&Arc<Loaded>| other.validity.lasts(now) && other.root >= gone.root;
            let better: Vec<_> = of_cas.iter().filter(is_better).cloned().collect();
            gone.without_names_of(&better).map(Arc::new)
        });
        let left: Vec<_> = left.collect();
        let mut pairs: Vec<_> = files.iter().chain(&left).chain(&of_cas).cloned().collect();
        // Stable: else the order is as it is.
        pairs.sort_by_key(|pair| !pair.validity.lasts(now));
        Served::new(&[names.as_slice(), &self.own].concat(), &pairs, Arc::clone(&self.local))
    }
}

impl Certificates {
    /// Reads the files and the local CA; makes the latter on first start, and a leaf when one is due.
    ///
    /// # Errors
    /// [`CertificateError`] with the file and the way out.
    pub fn open(settings: Settings, now: UnixMillis) -> Result<Self, CertificateError> {
        let (pairs, news) = Pairs::open(&settings.files, &settings.dir, now)?;
        let files = pairs.loaded();
        for error in settings.acme.iter().filter_map(|wanted| wanted.judge().err()) {
            // What there is is shown on; the orders say it again.
            error!(%error, hint = %error.hint(), "no certificate can be ordered");
        }
        for doubt in doubt::doubts(&settings, now) {
            warn!(hint = doubt.hint(), "{doubt}");
        }
        let tls_ends = TlsEnds::open(&settings.clients)?;
        let ca = LocalCa::open(&settings.state_dir, &settings.names, now)?;
        let own = own::permitted(settings.own, &ca);
        let covered = Covered { files: &files, wanted: &settings.acme };
        let local = ca.leaf(&local_names(&settings.names, &own, covered, &ca), now)?;
        copy::publish_or_warn(&settings.dir, ca.authority());
        let (kept, challenges) = (Kept::of(&settings.state_dir), Challenges::default());
        let Settings { names, acme: wanted, .. } = settings;
        let (issued, of_tailnet) = (stored(&kept, &wanted), BTreeMap::new());
        let shown = Shown { names, own, pairs, wanted, issued, of_tailnet, local: local.leaves };
        let resolver = Arc::new(Resolver::new(shown.served(now), challenges.clone()));
        news.iter().for_each(tell);
        let (tls_ends, board) = (Mutex::new(tls_ends), Board::default());
        Ok(Self { board, ca, challenges, kept, resolver, tls_ends, shown: Mutex::new(shown) })
    }

    /// Reads the files that `settings` name, those of before too, and shows them and a local leaf for its names from the
    /// next handshake on. The folders stay: only a restart changes those.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was shown is shown on.
    pub fn replace(&self, settings: &Settings, now: UnixMillis) -> Result<(), CertificateError> {
        let mut shown = self.shown();
        let (pairs, news) = shown.pairs.reopen(&settings.files, &settings.dir, now)?;
        let files = pairs.loaded();
        settings.acme.iter().try_for_each(acme::Settings::judge)?;
        let covered = Covered { files: &files, wanted: &settings.acme };
        let local = self.ca.leaf(&local_names(&settings.names, &shown.own, covered, &self.ca), now)?;
        // Before anything is taken: the last that can fail.
        self.tls_ends().replace(&settings.clients)?;
        shown.names.clone_from(&settings.names);
        shown.wanted.clone_from(&settings.acme);
        (shown.pairs, shown.local) = (pairs, local.leaves);
        self.resolver.replace(shown.served(now));
        news.iter().for_each(tell);
        Ok(())
    }

    /// Says everything that [`Certificates::open`] would refuse or leave out, and makes nothing.
    pub fn judge(settings: &Settings, now: UnixMillis) -> Vec<CertificateError> {
        let (files, faults) = Pairs::judge(&settings.files, &settings.dir, now);
        let mut faults: Vec<CertificateError> = faults.into_iter().map(CertificateError::from).collect();
        let judged = LocalCa::find(&settings.state_dir).and_then(|ca| match ca {
            Some(ca) => {
                let covered = Covered { files: &files, wanted: &settings.acme };
                ca.judge_leaf(&local_names(&settings.names, &settings.own, covered, &ca), now)
            }
            // One that is still to be made may sign for every name there is now.
            None => local_ca::wanted_names(&settings.names).map(drop),
        });
        faults.extend(judged.err().map(CertificateError::from));
        faults.extend(settings.clients.values().filter_map(|asked| asked.open().err()).map(CertificateError::from));
        faults.extend(settings.acme.iter().filter_map(|wanted| wanted.judge().err()).map(CertificateError::from));
        faults
    }

    /// Issues the local leaf anew if it is due, and shows it from the next handshake on. To be called every hour or so.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was shown is shown on.
    pub fn renew(&self, now: UnixMillis) -> Result<Renewal, CertificateError> {
        self.ca.check_time(now)?;
        let mut shown = self.shown();
        let local = self.ca.leaf(&shown.local_names(&shown.own, &self.ca), now)?;
        if local.issued == local_ca::leaves::Issued::Anew {
            shown.local = local.leaves;
            self.resolver.replace(shown.served(now));
            return Ok(Renewal::Renewed);
        }
        Ok(Renewal::NotDue)
    }

    /// As [`Certificates::renew`], but only where what is shown does not hold: it was issued by a clock that was wrong, or the
    /// machine slept. Cheap, to be called every minute.
    ///
    /// # Errors
    /// As [`Certificates::renew`].
    pub fn renew_what_does_not_hold(&self, now: UnixMillis) -> Result<Renewal, CertificateError> {
        let holds = self.shown().local.validity().holds(now);
        if holds || !self.ca.can_be(now) { Ok(Renewal::NotDue) } else { self.renew(now) }
    }

    /// What is to be had from public CAs, as configured now.
    pub fn wanted(&self) -> Vec<acme::Settings> {
        self.shown().wanted.clone()
    }

    /// What is being done for those of public CAs.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Where a CA's questions are answered.
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// Where what is from CAs is kept.
    pub fn kept(&self) -> Kept {
        self.kept.clone()
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the listeners' configurations ask.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// The local CA's certificate in PEM, for devices that are to trust it.
    pub fn ca_pem(&self) -> &str {
        self.authority().pem()
    }
}

/// Whether a renewal was due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    /// Nothing to do.
    NotDue,
    /// A new leaf is shown.
    Renewed,
}

/// What CAs have issued before this start. The time is not looked at: a clock that is wrong takes nothing down.
fn stored(kept: &Kept, wanted: &[acme::Settings]) -> BTreeMap<Id, Arc<files::Loaded>> {
    let mut stored = BTreeMap::new();
    let own: Vec<Id> = wanted.iter().map(|wanted| Id::of(&wanted.names)).collect();
    let pairs = kept.pairs(&own).unwrap_or_else(|error| {
        error!(%error, hint = %error.hint(), "the certificates of cas cannot be looked for");
        Vec::new()
    });
    for (id, pair) in pairs {
        match pair {
            Ok(loaded) => drop(stored.insert(id, Arc::new(loaded))),
            Err(error) => warn!(%error, hint = %error.hint(), "a ca's certificate cannot be shown; it is ordered anew"),
        }
    }
    stored
}

fn is_wanted(wanted: &[acme::Settings], name: &Host) -> bool {
    wanted.iter().flat_map(|wanted| &wanted.names).any(|subject| subject.covers(name))
}

/// What else there is for our names.
#[derive(Clone, Copy)]
struct Covered<'a> {
    files: &'a [Arc<files::Loaded>],
    wanted: &'a [acme::Settings],
}

/// The names the local leaves are to be for: all of ours, but for those that the CA may not sign and that a file or a public
/// CA is there for; and of the machine's `own` those that it may sign.
fn local_names(names: &[Host], own: &[Host], covered: Covered<'_>, ca: &LocalCa) -> Vec<Host> {
    let is_covered = |name: &Host| {
        is_wanted(covered.wanted, name)
            || tailnet::is_tailnets(name)
            || covered.files.iter().any(|file| file.names.covers(name))
    };
    let named = names.iter().filter(|name| ca.permits(name) || !is_covered(name));
    named.chain(own.iter().filter(|name| ca.permits(name))).cloned().collect()
}

/// The cryptography that TLS uses here, named rather than left to whatever was installed for the process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Why there is no certificate to show. The operator's to mend.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// What a public CA is to be asked with.
    #[error("acme: {0}")]
    Acme(#[from] AcmeError),
    /// What callers' certificates are checked by.
    #[error(transparent)]
    ClientAuth(#[from] ClientAuthError),
    /// A configured pair.
    #[error(transparent)]
    File(#[from] FileError),
    /// The local CA.
    #[error(transparent)]
    LocalCa(#[from] LocalCaError),
    /// TLS itself.
    #[error("tls: {0}")]
    Tls(rustls::Error),
}

impl CertificateError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::Acme(error) => error.hint(),
            Self::ClientAuth(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::LocalCa(error) => error.hint(),
            Self::Tls(_) => "start again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
