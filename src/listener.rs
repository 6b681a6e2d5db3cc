//! The doors: accepting within caps, PROXY headers, the kernel's word on a loopback peer, TLS, and the
//! limits of a connection that HTTP cannot see.
//!
//! Each event loop has its own sockets and its own accept loop; what comes out is an [`io::EdgeIo`]
//! that carries the [`facts::ConnectionFacts`] to every request.

use std::net::SocketAddr;

use crate::net::addr::PeerAddr;
use crate::origin;
use crate::origin::ProxyProtocol;

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
    pub fn serves(&self, peer: PeerAddr) -> bool {
        let past_a_proxy = matches!(self.origin.proxy_protocol, ProxyProtocol::Required { .. });
        let plain = self.protocol == Protocol::Http && self.serve == Serve::All && !past_a_proxy;
        let outside = self.bind.iter().any(|address| !address.ip().is_loopback());
        !(plain && outside) || peer.ip().is_loopback() || self.origin.trusted_proxies.contains(peer.ip())
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
            assert_eq!(settings.serves(PeerAddr::from_accept(peer.parse().unwrap())), served, "{bind} {peer}");
        }
    }
}
