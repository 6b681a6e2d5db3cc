//! Picks the certificate for a handshake. The set is swapped whole; a name nobody covers gets the local leaf.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::certificates::files::Loaded;
use crate::net::host::Host;

/// The certificates shown at one time.
pub struct Served {
    /// Names without a wildcard; several when a name has keys of several kinds.
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// Wildcards by the part behind `*.`.
    wildcards: HashMap<String, Vec<Arc<CertifiedKey>>>,
    addresses: Vec<Host>,
    local: Arc<CertifiedKey>,
}

impl Served {
    /// `files` for the names they cover, `local` for all others.
    pub fn new(files: &[Arc<Loaded>], local: Arc<CertifiedKey>) -> Self {
        let mut served = Self { exact: HashMap::new(), wildcards: HashMap::new(), addresses: Vec::new(), local };
        for file in files {
            for host in &file.names.exact {
                match host {
                    Host::Name(name) => served.exact.entry(name.clone()).or_default().push(Arc::clone(&file.certified)),
                    Host::Address(_) => served.addresses.push(host.clone()),
                }
            }
            for parent in &file.names.wildcards {
                served.wildcards.entry(parent.clone()).or_default().push(Arc::clone(&file.certified));
            }
        }
        served
    }

    fn of_files(&self, name: &str) -> Option<&[Arc<CertifiedKey>]> {
        let by_wildcard = || self.wildcards.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(by_wildcard).map(Vec::as_slice)
    }

    /// What a client that asks for `name` and can check `schemes` is shown.
    fn pick(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Arc<CertifiedKey> {
        let name = name.map(|name| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase());
        let candidates = name.and_then(|name| self.of_files(&name)).unwrap_or_default();
        let usable = candidates.iter().find(|candidate| candidate.key.choose_scheme(schemes).is_some());
        Arc::clone(usable.or(candidates.first()).unwrap_or(&self.local))
    }
}

/// The one resolver of all listeners.
pub struct Resolver(ArcSwap<Served>);

impl Resolver {
    /// Shows `served`.
    pub fn new(served: Served) -> Self {
        Self(ArcSwap::from_pointee(served))
    }

    /// Shows `served` from the next handshake on.
    pub fn replace(&self, served: Served) {
        self.0.store(Arc::new(served));
    }

    /// Whether `host` is served from a certificate of the operator's, not from the local CA.
    pub fn is_from_file(&self, host: &Host) -> bool {
        let served = self.0.load();
        match host {
            Host::Address(_) => served.addresses.contains(host),
            Host::Name(name) => served.of_files(name).is_some(),
        }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().pick(hello.server_name(), hello.signature_schemes()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}
