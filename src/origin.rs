//! Who is calling, and how we know: from socket peer, PROXY header and forwarding header to one [`Origin`].
//!
//! Promise: bytes on the wire never choose the client's address unless their sender is listed for that very
//! mechanism, they never make anyone local, and a claim that cannot be read ends as *unattributed*, never
//! as the next best guess. Pure: no socket, no disk, no clock.

pub mod class;
pub mod forwarded;
pub mod header;
pub mod network;
pub mod proxy_protocol;
pub mod request;
pub mod tailnet;
pub mod trail;
pub mod witness;

mod local;
mod resolve;
#[cfg(test)]
pub(crate) mod testing;

use std::net::IpAddr;

use http::HeaderName;

use crate::net::addr::PeerAddr;
use crate::net::range::Ranges;

pub use self::class::Class;
use self::forwarded::names::is_folded_equal;
use self::forwarded::names::is_forwarding;
pub use self::header::ClientIpHeader;
pub use self::network::Network;
pub use self::network::container;
pub use self::network::exposure;
pub use self::network::link;
pub use self::resolve::ClientAddr;
pub use self::resolve::Facts;
pub use self::resolve::Kind;
pub use self::resolve::Locality;
pub use self::resolve::Origin;
pub use self::resolve::Source;
pub use self::resolve::Via;
pub use self::resolve::resolve;
pub use self::resolve::resolve_with;
pub use self::tailnet::Whois;

/// What one listener reads, and from whom. The default reads nothing and calls nobody local.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who may be local here.
    pub local: LocalRule,
    /// Whether each connection opens with a PROXY header.
    pub proxy_protocol: ProxyProtocol,
    /// The one header that may name the client.
    pub client_ip_header: ClientIpHeader,
    /// From whom that header counts.
    pub trusted_proxies: Ranges,
    /// The single-address headers and token headers that any listener reads: nobody's own to send, here either.
    pub named_headers: Vec<HeaderName>,
    /// Whether our own container network may be trusted here, though it hides strangers.
    pub own_bridge: TrustOwnBridge,
}

impl Settings {
    /// Whether a header of this name is a trace of forwarding here: one of the known families, one that a listener reads,
    /// or a spelling of either. Such a header is stripped before a request goes further.
    pub fn is_forwarding(&self, name: &HeaderName) -> bool {
        let named = |named: &HeaderName| is_folded_equal(name.as_str(), named.as_str());
        is_forwarding(name.as_str())
            || self.named_headers.iter().any(named)
            || matches!(&self.client_ip_header, ClientIpHeader::Single(own) if named(own))
    }

    /// Whether what `speaker` says of its caller counts here: whoever asks, asks this, with the network of now.
    ///
    /// A listed address of our own container network behind which a runtime hides strangers is none to believe. A start
    /// refuses such a list; a network that the container joins later is judged here.
    pub fn trusts(&self, speaker: IpAddr, network: &Network) -> bool {
        self.trusted_proxies.contains(speaker) && !self.masks(speaker, network)
    }

    /// Whether `peer` may open a connection here at all. As with [`Settings::trusts`], what hides strangers may send no
    /// PROXY header.
    pub fn admits(&self, peer: PeerAddr, network: &Network) -> bool {
        match &self.proxy_protocol {
            ProxyProtocol::Off => true,
            ProxyProtocol::Required { from } => from.contains(peer.ip()) && !self.masks(peer.ip(), network),
        }
    }

    fn masks(&self, ip: IpAddr, network: &Network) -> bool {
        self.own_bridge == TrustOwnBridge::No && network.masks_in(ip.into()).is_some()
    }
}

/// Who may be local on a listener.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum LocalRule {
    /// A loopback peer whose socket belongs to this process's user (root only if `uids` names it too), to a person, or to one
    /// of `uids`. The configuration gives this only to listeners that are bound to loopback alone.
    Loopback {
        /// `local_uids`: service accounts that the operator vouches for.
        uids: Vec<u32>,
    },
    /// Nobody.
    #[default]
    Never,
    /// In a container: its network's default gateway, through a port that is published on the host's loopback only.
    PublishedLoopback {
        /// `published_port`: the port on the host.
        port: u16,
        /// `local_peers`: addresses that a runtime's own machine shows in place of that gateway.
        peers: Vec<IpAddr>,
    },
}

impl LocalRule {
    /// The port of the host's that the rule rests on, if it rests on one.
    pub fn published_port(&self) -> Option<u16> {
        match self {
            Self::PublishedLoopback { port, .. } => Some(*port),
            Self::Loopback { .. } | Self::Never => None,
        }
    }
}

/// Whether a listener may trust the bridge of our own container network, or its gateway: an operator's explicit word.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TrustOwnBridge {
    /// `danger_trust_own_bridge`.
    Allowed,
    /// It does not start then.
    #[default]
    No,
}

/// Whether a listener's connections open with a PROXY header.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ProxyProtocol {
    /// They do not: a PROXY signature is garbage.
    #[default]
    Off,
    /// They must, and only these may connect.
    Required {
        /// `proxy_protocol_from`.
        from: Ranges,
    },
}

/// The kernel's word on who holds the other end of a loopback connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// `explain --batch` has no connection to ask about and takes the condition as met.
    Assumed,
    /// The socket belongs to this user.
    Known {
        /// Its numeric id.
        uid: u32,
    },
    /// The kernel cannot tell, or was not asked.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::range::Width;

    #[test]
    fn only_listed_senders_are_admitted_where_a_proxy_header_is_required() {
        let from = |entries: &[&str]| Ranges::parse(entries, Width::Narrow).unwrap();
        let admits = |proxy_protocol: &ProxyProtocol, peer: &str| {
            let settings = Settings { proxy_protocol: proxy_protocol.clone(), ..Settings::default() };
            settings.admits(PeerAddr::from_accept(peer.parse().unwrap()), &Network::default())
        };
        let required = ProxyProtocol::Required { from: from(&["10.0.0.2"]) };
        assert!(admits(&required, "10.0.0.2:1"));
        assert!(admits(&required, "[::ffff:10.0.0.2]:1"));
        assert!(!admits(&required, "10.0.0.3:1"));
        assert!(!admits(&ProxyProtocol::Required { from: from(&[]) }, "127.0.0.1:1"));
        assert!(admits(&ProxyProtocol::Off, "10.0.0.3:1"));
    }

    #[test]
    fn what_hides_strangers_is_believed_by_an_explicit_word_only() {
        let listed = || Ranges::parse(&["10.0.0.0/24"], Width::Narrow).unwrap();
        let speaks = |own_bridge, ip: &str, network: &Network| {
            let proxy_protocol = ProxyProtocol::Required { from: listed() };
            let settings = Settings { proxy_protocol, trusted_proxies: listed(), own_bridge, ..Settings::default() };
            let (trusted, peer) = (settings.trusts(ip.parse().unwrap(), network), (ip.parse::<IpAddr>().unwrap(), 1));
            assert_eq!(settings.admits(PeerAddr::from_accept(peer.into()), network), trusted, "{ip}");
            trusted
        };
        let (elsewhere, joined) = (Network::default(), testing::joined());
        assert!(speaks(TrustOwnBridge::No, testing::GATEWAY, &elsewhere));
        assert!(!speaks(TrustOwnBridge::No, testing::GATEWAY, &joined));
        assert!(speaks(TrustOwnBridge::Allowed, testing::GATEWAY, &joined));
        assert!(speaks(TrustOwnBridge::No, "10.0.0.3", &joined));
        assert!(!speaks(TrustOwnBridge::Allowed, "10.0.1.3", &joined));
    }
}
