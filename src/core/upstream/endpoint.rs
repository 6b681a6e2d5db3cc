//! Where the upstream is: `http`, `https`, `ws` or `wss`, a host and a port. The four schemes are two: HTTP and WebSocket are
//! one port there.

use std::fmt;

use rustls::pki_types::ServerName;
use thiserror::Error;

use crate::net::host::Authority;
use crate::net::host::Host;
use crate::net::host::HostError;
use crate::net::host::Scheme;

/// The upstream's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    scheme: Scheme,
    host: Host,
    port: u16,
}

impl Endpoint {
    /// Reads `scheme://host[:port]`, with or without one slash behind it and nothing more.
    ///
    /// # Errors
    /// [`EndpointError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (scheme, rest) = text.split_once("://").ok_or(EndpointError::Scheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" | "ws" => Scheme::Http,
            "https" | "wss" => Scheme::Https,
            _ => return Err(EndpointError::Scheme),
        };
        if rest.contains('#') {
            return Err(EndpointError::Fragment);
        }
        if rest.contains('?') {
            return Err(EndpointError::Query);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        if !path.is_empty() {
            return Err(EndpointError::Path);
        }
        let Authority { host, port } = Authority::parse(authority).map_err(EndpointError::Host)?;
        if let Host::Address(address) = &host
            && (address.is_unspecified() || address.is_multicast())
        {
            return Err(EndpointError::Nowhere);
        }
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.default_port()) })
    }

    /// How it is spoken to.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Whom it must prove to be, where it speaks TLS; none for a name that no certificate can have.
    pub(super) fn server_name(&self) -> Option<ServerName<'static>> {
        match &self.host {
            Host::Address(address) => Some(ServerName::IpAddress((*address).into())),
            Host::Name(name) => ServerName::try_from(name.clone()).ok(),
        }
    }

    /// Its host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its port, the scheme's own where none was written.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Endpoint {
    /// As a URL, with the port always.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme.as_str(), self.host, self.port)
    }
}

/// Why a text is no place of an upstream.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum EndpointError {
    /// What no server is ever asked for.
    #[error("a fragment is no part of a gateway's address")]
    Fragment,
    /// The host or the port.
    #[error(transparent)]
    Host(HostError),
    /// An address that nobody can be dialled by.
    #[error("no machine has this address")]
    Nowhere,
    /// The gateway is asked at its root.
    #[error("a path is no part of a gateway's address")]
    Path,
    /// A query.
    #[error("a query is no part of a gateway's address")]
    Query,
    /// Another scheme, or none.
    #[error("not an http, https, ws or wss address")]
    Scheme,
    /// A credential in an address would stand in every log.
    #[error("a user or password is no part of a gateway's address")]
    UserInfo,
}

impl EndpointError {
    /// What to write instead.
    pub fn hint(self) -> &'static str {
        match self {
            Self::UserInfo => "put the gateway token into a file of its own and name it in `token_file`",
            Self::Nowhere => "write the address that the gateway is reached by, as \"http://127.0.0.1:18790\"",
            Self::Fragment | Self::Host(_) | Self::Path | Self::Query | Self::Scheme => {
                "write scheme, host and port only, as \"http://127.0.0.1:18790\" or \"http://openclaw:18789\""
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_schemes_are_two() {
        for (text, shown, scheme) in [
            ("http://127.0.0.1:18790", "http://127.0.0.1:18790", Scheme::Http),
            ("ws://127.0.0.1:18790/", "http://127.0.0.1:18790", Scheme::Http),
            ("WSS://Claw.Example", "https://claw.example:443", Scheme::Https),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", Scheme::Https),
            ("http://openclaw", "http://openclaw:80", Scheme::Http),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.to_string().as_str(), endpoint.scheme()), (shown, scheme), "{text}");
        }
    }

    /// Brackets belong to a URL: no certificate has them.
    #[test]
    fn it_proves_to_be_a_name_or_a_bare_address() {
        for (text, expected) in [
            ("https://Claw.Example", Some("claw.example")),
            ("https://192.0.2.7:1", Some("192.0.2.7")),
            ("https://[2001:db8::1]:8443", Some("2001:db8::1")),
        ] {
            let name = Endpoint::parse(text).unwrap().server_name();
            assert_eq!(name.map(|name| name.to_str().into_owned()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_what_to_write() {
        for (text, error) in [
            ("127.0.0.1:18790", EndpointError::Scheme),
            ("unix:///run/x", EndpointError::Scheme),
            ("http://", EndpointError::Host(HostError::Empty)),
            ("http://a b", EndpointError::Host(HostError::Name)),
            ("http://a:0", EndpointError::Host(HostError::Port)),
            ("http://0.0.0.0:1", EndpointError::Nowhere),
            ("http://[::]:1", EndpointError::Nowhere),
            ("http://224.0.0.1:1", EndpointError::Nowhere),
            ("http://u:p@a", EndpointError::UserInfo),
            ("http://a/ui", EndpointError::Path),
            ("http://a//", EndpointError::Path),
            ("http://a?token=1", EndpointError::Query),
            ("http://a/#token=1", EndpointError::Fragment),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "{text}");
            assert!(!error.hint().is_empty());
        }
    }
}
