//! The one place that answers "who is calling?".

use std::net::IpAddr;

use http::HeaderMap;
use serde::Deserialize;
use serde::Serialize;
use smallvec::SmallVec;

use super::ClientIpHeader;
use super::Network;
use super::Owner;
use super::ProxyProtocol;
use super::Settings;
use super::class::Class;
use super::class::can_be_claimed;
use super::class::can_be_peer;
use super::forwarded;
use super::local;
use super::proxy_protocol;
use super::tailnet;
use super::tailnet::Whois;
use super::trail::Step;
use super::trail::Trail;
use super::witness::Silent;
use super::witness::Witness;
use crate::net::addr::ClientKey;
use crate::net::addr::PeerAddr;
use crate::net::host::Authority;
use crate::net::host::Scheme;

/// What is known of one request, before anyone judges it.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The other end of our socket.
    pub peer: PeerAddr,
    /// The PROXY header with which the connection opened.
    pub proxy_header: Option<&'a proxy_protocol::Header>,
    /// The kernel's word on the peer's socket.
    pub owner: Owner,
    /// tailscaled's word on the peer.
    pub tailnet: Whois,
    /// The request's header lines, as they came.
    pub headers: &'a HeaderMap,
    /// The request's target, from [`super::request::read_authority`].
    pub authority: Option<&'a Authority>,
    /// The request's scheme.
    pub scheme: Scheme,
}

/// Who is calling, and how we know.
///
/// Invariant: made only by [`resolve`]; `local` is never the outcome of bytes on the wire.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The client; none where nobody we trust can say.
    pub client: Option<ClientAddr>,
    /// The client's port, where whoever named the client also named it.
    pub port: Option<u16>,
    /// What kind of caller.
    pub class: Class,
    /// Whether at this machine.
    pub local: Locality,
    /// The other end of our socket.
    pub peer: PeerAddr,
    /// Who named the client.
    pub source: Source,
    /// What stands between the peer and the client, nearest to us first: a trusted source in the PROXY
    /// header, then passed hops of the header.
    pub via: Via,
    /// How it was found.
    pub trail: Trail,
}

impl Origin {
    /// Whether there is a client.
    pub fn kind(&self) -> Kind {
        if self.client.is_some() { Kind::Ip } else { Kind::Unattributed }
    }

    /// Under what this caller is counted: its own address, or the peer's when nobody can say.
    pub fn client_key(&self) -> ClientKey {
        ClientKey::of(self.client.map_or(self.peer.ip(), ClientAddr::ip))
    }

    /// Whether the local rule holds.
    pub fn is_local(&self) -> bool {
        self.local == Locality::Local
    }
}

/// What stands between the peer and the client; so many find room without an allocation.
pub type Via = SmallVec<[IpAddr; 4]>;

/// The caller's address, as far as somebody we trust vouches for it.
///
/// Invariant: canonical, and made only by [`resolve`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClientAddr(IpAddr);

impl ClientAddr {
    /// The address.
    pub fn ip(self) -> IpAddr {
        self.0
    }
}

/// Whether the caller has an address.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It has one.
    Ip,
    /// Nobody we trust can say: a stranger.
    Unattributed,
}

/// Whether the caller is at this machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Locality {
    /// Anywhere else, or not proven.
    Elsewhere,
    /// Proven by every condition of the local rule.
    Local,
}

/// Who named the client, or had to and did not.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// `Forwarded`.
    Forwarded,
    /// The kernel: the client is the other end of our socket.
    Peer,
    /// A PROXY header.
    ProxyProtocol,
    /// A header of one address.
    SingleHeader,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Finds the caller from `facts`, reading only what `settings` say, on a machine with this `network`.
pub fn resolve(facts: &Facts<'_>, settings: &Settings, network: &Network) -> Origin {
    resolve_with(facts, settings, network, &mut Silent)
}

/// The same, told to `witness` as it happens.
pub fn resolve_with<W: Witness>(facts: &Facts<'_>, settings: &Settings, network: &Network, witness: &mut W) -> Origin {
    let mut trail = Trail::default();
    let mut via = Via::new();
    let Found { client, source, step } = find(facts, Rules { settings, network }, &mut via, &mut trail, witness);
    trail.push(step);
    let judged = local::judge(facts, settings, network);
    let (class, local) = match (client, judged) {
        (Some(_), Ok(())) => (Class::Local, Locality::Local),
        (Some((ip, _)), Err(_)) => (class_elsewhere(ip, facts, settings, network, &mut trail), Locality::Elsewhere),
        (None, _) => (Class::Unattributed, Locality::Elsewhere),
    };
    match judged {
        Ok(()) => trail.push(Step::Local),
        Err(failed) => failed.steps().for_each(|step| trail.push(step)),
    }
    let (client, port) = client.map_or((None, None), |(ip, port)| (Some(ClientAddr(ip)), port));
    Origin { client, port, class, local, peer: facts.peer, source, via, trail }
}

/// The class of a client who is not local. What hides callers stays that, whoever vouches for it.
fn class_elsewhere(ip: IpAddr, facts: &Facts<'_>, settings: &Settings, network: &Network, trail: &mut Trail) -> Class {
    let (class, evidence) = Class::of(ip, network);
    if matches!(class, Class::Container | Class::Nat) {
        trail.push(evidence);
        return class;
    }
    let (confirmed, step) = tailnet::judge(ip, facts, settings, network);
    if let Some(step) = step {
        trail.push(step);
    }
    if confirmed {
        return Class::Tailnet;
    }
    trail.push(evidence);
    class
}

/// By what the evidence is judged.
#[derive(Clone, Copy)]
struct Rules<'a> {
    settings: &'a Settings,
    network: &'a Network,
}

/// What the evidence comes to.
struct Found {
    client: Option<(IpAddr, Option<u16>)>,
    source: Source,
    step: Step,
}

impl Found {
    fn nobody(source: Source, step: Step) -> Self {
        Self { client: None, source, step }
    }
}

fn find<W: Witness>(facts: &Facts<'_>, rules: Rules<'_>, via: &mut Via, trail: &mut Trail, witness: &mut W) -> Found {
    let Rules { settings, network } = rules;
    let speaker = match Speaker::of(facts, rules, trail) {
        Ok(speaker) => speaker,
        Err(nobody) => return nobody,
    };
    let Some(source) = source_of(&settings.client_ip_header) else {
        trail.push(Step::HeaderNotRead);
        return speaker.itself();
    };
    if !settings.trusts(speaker.ip, network) {
        let listed = settings.trusted_proxies.contains(speaker.ip);
        trail.push(if listed { Step::HeaderMasked } else { Step::HeaderUntrusted });
        return speaker.itself();
    }
    trail.push(Step::TrustedProxy);
    if speaker.source == Source::ProxyProtocol {
        via.push(speaker.ip);
    }
    let passed = via.len();
    let chain = forwarded::Chain::new(settings, network, via, witness);
    let walk = forwarded::client(&settings.client_ip_header, facts.headers, chain);
    if via.len() > passed {
        trail.push(Step::HopsPassed);
    }
    of_walk(walk, source)
}

fn source_of(header: &ClientIpHeader) -> Option<Source> {
    match header {
        ClientIpHeader::Forwarded => Some(Source::Forwarded),
        ClientIpHeader::None => None,
        ClientIpHeader::Single(_) => Some(Source::SingleHeader),
        ClientIpHeader::XForwardedFor => Some(Source::XForwardedFor),
    }
}

fn of_walk(walk: forwarded::Walk, source: Source) -> Found {
    match walk {
        forwarded::Walk::Absent => Found::nobody(source, Step::HeaderAbsent),
        forwarded::Walk::AllTrusted => Found::nobody(source, Step::ChainWithoutClient),
        forwarded::Walk::Client { ip, port } => Found { client: Some((ip, port)), source, step: Step::HopIsClient },
        forwarded::Walk::NotPossible => Found::nobody(source, Step::HopNotPossible),
        forwarded::Walk::Repeated => Found::nobody(source, Step::HeaderRepeated),
        forwarded::Walk::TooMany => Found::nobody(source, Step::HopsTooMany),
        forwarded::Walk::Ungrammatical => Found::nobody(source, Step::HeaderUngrammatical),
        forwarded::Walk::Unreadable => Found::nobody(source, Step::HopUnreadable),
    }
}

/// Who speaks on this connection: the peer, or the source in a required PROXY header.
struct Speaker {
    ip: IpAddr,
    port: u16,
    source: Source,
}

impl Speaker {
    fn of(facts: &Facts<'_>, rules: Rules<'_>, trail: &mut Trail) -> Result<Self, Found> {
        let Rules { settings, network } = rules;
        let peer = Self { ip: facts.peer.ip(), port: facts.peer.socket().port(), source: Source::Peer };
        let claimed = match (&settings.proxy_protocol, facts.proxy_header) {
            (ProxyProtocol::Off, None) => return Ok(peer),
            (ProxyProtocol::Required { .. }, Some(header)) if settings.admits(facts.peer, network) => header.source,
            // The listener closes most such connections; from those that stay nobody is believed.
            _ => return Err(Found::nobody(Source::ProxyProtocol, Step::ProxyHeaderMismatch)),
        };
        match claimed {
            proxy_protocol::Source::Address(address) => {
                trail.push(Step::ProxyHeaderAddress);
                Ok(Self { ip: address.ip(), port: address.port(), source: Source::ProxyProtocol })
            }
            proxy_protocol::Source::Real => {
                trail.push(Step::ProxyHeaderReal);
                Ok(peer)
            }
        }
    }

    /// The speaker is the client, if it can be one.
    fn itself(self) -> Found {
        let (possible, yes, no) = match self.source {
            Source::ProxyProtocol => (can_be_claimed(self.ip), Step::ProxyHeaderIsClient, Step::ProxyHeaderNotPossible),
            _ => (can_be_peer(self.ip), Step::PeerIsClient, Step::PeerNotPossible),
        };
        if possible {
            Found { client: Some((self.ip, Some(self.port))), source: self.source, step: yes }
        } else {
            Found::nobody(self.source, no)
        }
    }
}

#[cfg(test)]
mod tests;
