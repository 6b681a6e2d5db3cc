//! Picks the certificate for a handshake. The set is swapped whole; a name nobody covers gets the local leaf.
//!
//! A caller that dials an address sends no name (RFC 6066 §3). What it dialled is then the address of our own end, and
//! behind NAT or a load balancer, where that is none of ours, the address we are configured for.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use smallvec::SmallVec;

use crate::certificates::acme::challenge::{self, Challenges};
use crate::certificates::files::Loaded;
use crate::certificates::local_ca::leaves::Leaves;
use crate::certificates::root::Root;
use crate::net::host::Host;

/// The name that the local leaf is for beside ours.
const LOCALHOST: &str = "localhost";

/// One name's certificates; several when it has keys of several kinds.
type Candidates = Vec<Candidate>;

#[derive(Clone)]
struct Candidate {
    certified: Arc<CertifiedKey>,
    root: Root,
}

/// The certificates shown at one time.
pub struct Served {
    /// Names without a wildcard.
    exact: HashMap<String, Candidates>,
    /// Wildcards by the part behind `*.`.
    wildcards: HashMap<String, Candidates>,
    addresses: HashMap<IpAddr, Candidates>,
    /// Addresses that only the local leaf is for.
    of_leaf: HashSet<IpAddr>,
    /// Every name that the local leaf may be shown for: those it is for, and those that are configured.
    own: HashSet<String>,
    /// The first configured address that a file covers: for callers of whom nobody knows what they dialled.
    elsewhere: Option<IpAddr>,
    /// The names of ours that the local leaf is for, unless each has another certificate.
    names_of_leaf: Option<Vec<Host>>,
    local: Arc<Leaves>,
}

/// What a caller wants a certificate for.
#[derive(Clone, Copy, Debug)]
enum Wanted<'a> {
    Address(IpAddr),
    Name(&'a str),
    Unknown,
}

impl Served {
    /// `files` for the names they cover, `local` for all others of `names`.
    pub fn new(names: &[Host], files: &[Arc<Loaded>], local: Arc<Leaves>) -> Self {
        let mut served = Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            addresses: HashMap::new(),
            of_leaf: HashSet::new(),
            own: HashSet::new(),
            elsewhere: None,
            names_of_leaf: None,
            local,
        };
        for file in files {
            for host in &file.names.exact {
                let candidate = Candidate { certified: Arc::clone(&file.certified), root: file.root };
                match host {
                    Host::Name(name) => served.exact.entry(name.clone()).or_default().push(candidate),
                    Host::Address(ip) => served.addresses.entry(ip.to_canonical()).or_default().push(candidate),
                }
            }
            for parent in &file.names.wildcards {
                served
                    .wildcards
                    .entry(parent.clone())
                    .or_default()
                    .push(Candidate { certified: Arc::clone(&file.certified), root: file.root });
            }
        }
        for name in names {
            match name {
                Host::Address(ip) if served.covers(*ip) => served.elsewhere = served.elsewhere.or(Some(*ip)),
                Host::Address(ip) => drop(served.of_leaf.insert(*ip)),
                Host::Name(name) => drop(served.own.insert(name.clone())),
            }
        }
        for name in served.local.hosts().to_vec() {
            match name {
                // There is always a leaf for loopback; that serves nobody from elsewhere.
                Host::Address(ip) if ip.is_loopback() => {}
                Host::Address(ip) => drop(served.of_leaf.insert(ip.to_canonical())),
                Host::Name(name) if name == LOCALHOST && !names.is_empty() => {}
                Host::Name(name) => drop(served.own.insert(name)),
            }
        }
        let of_leaf: Vec<Host> = names.iter().filter(|name| served.is_of_leaf(name)).cloned().collect();
        // Without a name there is still the machine's own loopback.
        served.names_of_leaf = (names.is_empty() || !of_leaf.is_empty()).then_some(of_leaf);
        served
    }

    /// Whether there is a certificate for `name`, or at least a door of that name.
    fn knows(&self, name: &str, dialled: Option<IpAddr>) -> bool {
        let name = plain(name);
        // All the world knows that name, and it leads nobody else to us.
        let at_loopback = || name == LOCALHOST && dialled.is_some_and(|address| address.to_canonical().is_loopback());
        self.of_files(Wanted::Name(&name)).is_some() || self.own.contains(&name) || at_loopback()
    }

    /// Whether every certificate that may be shown for `name` is one that browsers believe.
    fn is_public(&self, name: &str) -> bool {
        let public = |candidates: &Candidates| candidates.iter().all(|candidate| candidate.root == Root::Public);
        self.of_files(Wanted::Name(name)).is_some_and(public)
    }

    /// Whether a file is for `address`.
    fn covers(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// Whether the local leaf is what `host` is shown with.
    fn is_of_leaf(&self, host: &Host) -> bool {
        let wanted = match host {
            Host::Address(ip) => Wanted::Address(*ip),
            Host::Name(name) => Wanted::Name(name),
        };
        self.of_files(wanted).is_none()
    }

    fn of_files(&self, wanted: Wanted<'_>) -> Option<&Candidates> {
        match wanted {
            Wanted::Name(name) => {
                let name = plain(name);
                let by_wildcard = || self.wildcards.get(name.split_once('.')?.1);
                self.exact.get(&name).or_else(by_wildcard)
            }
            Wanted::Address(address) if self.covers(address) => self.addresses.get(&address),
            Wanted::Address(address) if address.is_loopback() || self.of_leaf.contains(&address) => None,
            Wanted::Address(_) | Wanted::Unknown => self.addresses.get(&self.elsewhere?),
        }
    }

    /// What a client that wants `wanted` and can check `schemes` is shown.
    fn pick(&self, wanted: Wanted<'_>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let candidates = self.of_files(wanted).map(Vec::as_slice).unwrap_or_default();
        let usable = candidates.iter().find(|candidate| candidate.certified.key.choose_scheme(schemes).is_some());
        let found = usable.or(candidates.first()).map(|candidate| Arc::clone(&candidate.certified));
        found.or_else(|| self.leaf_for(wanted))
    }

    /// The local leaf: for a name its own, and that for addresses, which tells all of them, only to whoever dials where one
    /// is served.
    fn leaf_for(&self, wanted: Wanted<'_>) -> Option<Arc<CertifiedKey>> {
        let shows = match wanted {
            Wanted::Name(name) => return Some(Arc::clone(self.local.for_name(&plain(name)))),
            Wanted::Address(address) if address.is_loopback() || self.of_leaf.contains(&address) => true,
            // Behind NAT our own end is a private address; a public one that is not ours is nobody's door.
            Wanted::Address(address) => Host::Address(address).is_local_only() && !self.of_leaf.is_empty(),
            Wanted::Unknown => !self.of_leaf.is_empty(),
        };
        shows.then(|| Arc::clone(self.local.for_addresses()))
    }
}

/// The one resolver of all listeners.
pub struct Resolver {
    served: ArcSwap<Served>,
    challenges: Challenges,
    /// For callers without a name, at an address that is none of ours: a health check needs no more, and learns no more.
    nameless: Option<Arc<CertifiedKey>>,
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A certificate that names nobody.
fn nameless() -> Option<Arc<CertifiedKey>> {
    let key = KeyPair::generate().ok()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let certificate = params.self_signed(&key).ok()?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = any_supported_type(&der).ok()?;
    Some(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

impl Resolver {
    /// Shows `served`, and to a CA that asks by `acme-tls/1` what answers it in `challenges`.
    pub fn new(served: Served, challenges: Challenges) -> Self {
        Self { served: ArcSwap::from_pointee(served), challenges, nameless: nameless() }
    }

    /// Shows `served` from the next handshake on.
    pub fn replace(&self, served: Served) {
        self.served.store(Arc::new(served));
    }

    /// The names of ours that are shown with the local leaf; none where each has another certificate.
    pub fn names_of_leaf(&self) -> Option<Vec<Host>> {
        self.served.load().names_of_leaf.clone()
    }

    /// Whether a handshake that asks for `hello` can lead anywhere: no name, one that is served here, or a CA's question.
    /// What nobody configured costs no signature, and tells no name of ours (RFC 6066 §3). `dialled` is where the caller came
    /// to, if that is known.
    pub fn answers(&self, hello: &ClientHello<'_>, dialled: Option<IpAddr>) -> bool {
        let mut protocols = hello.alpn().into_iter().flatten();
        let is_question = protocols.any(|protocol| protocol == challenge::ALPN.as_bytes());
        is_question || hello.server_name().is_none_or(|name| self.served.load().knows(name, dialled))
    }

    /// Whether what is shown for `name` is believed by every browser.
    pub fn is_public(&self, name: &Host) -> bool {
        matches!(name, Host::Name(name) if self.served.load().is_public(name))
    }

    fn resolve(&self, hello: &ClientHello<'_>, dialled: Wanted<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 8737 §3: whoever asks for that protocol gets the answer to a challenge, or nothing.
        // A list with others in it is nobody's question: HTTP would be spoken over the answer.
        let protocols: SmallVec<[&[u8]; 4]> = hello.alpn().into_iter().flatten().collect();
        if protocols.contains(&challenge::ALPN.as_bytes()) {
            return self.challenges.tls(hello.server_name().filter(|_| protocols.len() == 1)?);
        }
        let wanted = hello.server_name().map_or(dialled, Wanted::Name);
        self.served.load().pick(wanted, hello.signature_schemes()).or_else(|| self.nameless.clone())
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.resolve(&hello, Wanted::Unknown)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver(…)")
    }
}

/// The resolver as one connection asks it, whose caller dialled this address.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) address: IpAddr,
    pub(super) resolver: Arc<Resolver>,
}

impl ResolvesServerCert for Dialled {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.resolver.resolve(&hello, Wanted::Address(self.address.to_canonical()))
    }
}
