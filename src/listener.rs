//! The doors: accepting within caps, PROXY headers, the kernel's word on a loopback peer, TLS, and the
//! limits of a connection that HTTP cannot see.
//!
//! Each event loop has its own sockets and its own accept loop; what comes out is an [`io::EdgeIo`]
//! that carries the [`facts::ConnectionFacts`] to every request.

use std::net::SocketAddr;

use crate::net::addr::PeerAddr;
use crate::origin;
use crate::origin::Network;
use crate::origin::ProxyProtocol;
use crate::origin::exposure::Exposure;

pub mod accept;
pub mod bind;
pub mod caps;
pub mod connection;
pub mod facts;
pub mod head;
pub mod io;
pub mod knock;
pub mod live;
pub mod own_bridge;
pub mod owner;
mod plain_http;
mod refusal;
mod standing;
pub mod tally;
mod transport;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

/// One `[[listener]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in logs, assertions and answers.
    pub name: String,
    /// The addresses it listens on, all of them or none.
    pub bind: Vec<SocketAddr>,
    /// What is spoken on them.
    pub protocol: Protocol,
    /// What is served there.
    pub serve: Serve,
    /// What is read and believed there about who is calling.
    pub origin: origin::Settings,
}

impl Settings {
    /// Whether `peer` may ask for more here than for health.
    ///
    /// Plain HTTP off loopback is only for the proxies that end TLS in front of it: a caller who comes past them
    /// would send the gateway's token in clear.
    pub fn serves(&self, peer: PeerAddr, network: &Network) -> bool {
        let past_a_proxy = matches!(self.origin.proxy_protocol, ProxyProtocol::Required { .. });
        let plain = self.protocol == Protocol::Http && self.serve == Serve::All && !past_a_proxy;
        let outside = self.bind.iter().any(|address| !address.ip().is_loopback());
        !(plain && outside) || self.is_trusted_way(peer, network)
    }

    /// Whether `peer` may ask in plain HTTP, as far as `network` knows who can come here: a published port that is not
    /// proven closed to strangers would let them, and an owner who takes it for closed, send secrets in clear.
    pub fn serves_plain(&self, peer: PeerAddr, network: &Network) -> bool {
        let port = self.origin.local.published_port();
        port.is_none_or(|port| network.exposure(port) == Exposure::Closed) || self.is_trusted_way(peer, network)
    }

    fn is_trusted_way(&self, peer: PeerAddr, network: &Network) -> bool {
        peer.ip().is_loopback() || self.origin.trusts(peer.ip(), network)
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// TLS or plain, by the first byte of each connection.
    Auto,
    /// Plain HTTP.
    Http,
    /// TLS only.
    Https,
}

/// What is served on a listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Serve {
    /// Everything.
    All,
    /// A redirect to https.
    Redirect,
}

impl Protocol {
    /// The configuration's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Serve {
    /// The configuration's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Redirect => "redirect",
        }
    }
}

#[cfg(test)]
mod serving {
    use super::*;
    use crate::net::range::{Ranges, Width};

    #[test]
    fn plain_http_off_loopback_is_only_for_the_proxies() {
        let ranges = |entries: &[&str]| Ranges::parse(entries, Width::Narrow).unwrap();
        let required = || ProxyProtocol::Required { from: ranges(&["10.0.0.2"]) };
        for (bind, protocol, serve, proxy_protocol, peer, served) in [
            ("10.0.0.5:80", Protocol::Http, Serve::All, ProxyProtocol::Off, "10.0.0.2:1", true),
            ("10.0.0.5:80", Protocol::Http, Serve::All, ProxyProtocol::Off, "10.0.0.3:1", false),
            ("0.0.0.0:80", Protocol::Http, Serve::All, ProxyProtocol::Off, "203.0.113.9:1", false),
            ("0.0.0.0:80", Protocol::Http, Serve::All, ProxyProtocol::Off, "127.0.0.1:1", true),
            ("127.0.0.1:80", Protocol::Http, Serve::All, ProxyProtocol::Off, "127.0.0.1:1", true),
            ("10.0.0.5:80", Protocol::Http, Serve::All, required(), "10.0.0.3:1", true),
            ("10.0.0.5:80", Protocol::Http, Serve::Redirect, ProxyProtocol::Off, "10.0.0.3:1", true),
            ("10.0.0.5:443", Protocol::Https, Serve::All, ProxyProtocol::Off, "10.0.0.3:1", true),
        ] {
            let trusted_proxies = ranges(&["10.0.0.2"]);
            let origin = origin::Settings { proxy_protocol, trusted_proxies, ..origin::Settings::default() };
            let name = "plain".to_owned();
            let settings = Settings { name, bind: vec![bind.parse().unwrap()], protocol, serve, origin };
            let peer = PeerAddr::from_accept(peer.parse().unwrap());
            assert_eq!(settings.serves(peer, &Network::default()), served, "{bind} {peer:?}");
        }
    }

    #[test]
    fn what_hides_strangers_is_no_proxy_that_ended_tls() {
        let trusted_proxies = Ranges::parse(&["10.0.0.0/24"], Width::Narrow).unwrap();
        let local = origin::LocalRule::PublishedLoopback { port: 18_789, peers: Vec::new() };
        let origin = origin::Settings { local, trusted_proxies, ..origin::Settings::default() };
        let (name, bind) = ("plain".to_owned(), vec!["0.0.0.0:80".parse().unwrap()]);
        let settings = Settings { name, bind, protocol: Protocol::Http, serve: Serve::All, origin };
        for (peer, network, served) in [
            ("10.0.0.3", origin::testing::joined(), true),
            (origin::testing::GATEWAY, Network::default(), true),
            (origin::testing::GATEWAY, origin::testing::joined(), false),
        ] {
            let address = PeerAddr::from_accept((peer.parse::<std::net::IpAddr>().unwrap(), 1).into());
            assert_eq!(settings.serves(address, &network), served, "{peer}");
            assert_eq!(settings.serves_plain(address, &network), served, "{peer}");
        }
    }

    #[test]
    fn a_published_port_speaks_plain_http_to_strangers_only_when_it_is_proven_closed() {
        let at = "172.18.0.1:18789".parse().unwrap();
        let unproven = Exposure::Unproven { at, from: "172.18.0.0/16".parse().unwrap() };
        let open = Exposure::Open { at, by: crate::origin::exposure::Answerer::Somebody };
        let published = || origin::LocalRule::PublishedLoopback { port: 18_789, peers: Vec::new() };
        for (local, exposure, peer, served) in [
            (published(), Exposure::Closed, "172.18.0.1:1", true),
            (published(), Exposure::Pending, "172.18.0.1:1", false),
            (published(), Exposure::NoHost, "172.18.0.1:1", false),
            (published(), unproven, "172.18.0.1:1", false),
            (published(), open, "172.18.0.1:1", false),
            (published(), open, "203.0.113.9:1", false),
            (published(), open, "10.0.0.2:1", true),
            (published(), open, "127.0.0.1:1", true),
            (origin::LocalRule::Never, open, "172.18.0.1:1", true),
            (origin::LocalRule::Loopback { uids: Vec::new() }, open, "172.18.0.1:1", true),
        ] {
            let trusted_proxies = Ranges::parse(&["10.0.0.2"], Width::Narrow).unwrap();
            let origin = origin::Settings { local, trusted_proxies, ..origin::Settings::default() };
            let (name, protocol, serve) = ("published".to_owned(), Protocol::Auto, Serve::All);
            let settings = Settings { name, bind: Vec::new(), protocol, serve, origin };
            let network = Network::default().with_exposure(18_789, exposure);
            let peer = PeerAddr::from_accept(peer.parse().unwrap());
            assert_eq!(settings.serves_plain(peer, &network), served, "{peer:?} {exposure}");
        }
    }
}
