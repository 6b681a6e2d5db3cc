//! Host names and authorities, read strictly: what a Host header, an SNI or an Origin may say.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use crate::base::limits::AUTHORITY_BYTES_MAX;

/// The zones that no resolver of the Internet answers for.
const LOCAL_ZONES: [&str; 5] = ["home.arpa", "internal", "lan", "local", "localhost"];

/// A host: an address, or a DNS name in lower case without a trailing dot.
///
/// Invariant: a name has only letters, digits, `-`, `_` and `.`, and no empty label, so it can stand in a
/// URL, a certificate and a log line. Addresses are canonical.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    /// An IPv4 or IPv6 address.
    Address(IpAddr),
    /// A DNS name.
    Name(String),
}

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address with or without brackets; no port.
    ///
    /// # Errors
    /// [`HostError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > AUTHORITY_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(HostError::Bracket)?;
            return match inner.parse::<IpAddr>() {
                Ok(IpAddr::V6(ip)) => Ok(Self::Address(IpAddr::V6(ip).to_canonical())),
                _ => Err(HostError::Address),
            };
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Address(ip.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let good = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(plain);
        if name.is_empty() || name.len() > 253 || !name.split('.').all(good) {
            return Err(HostError::Name);
        }
        // A last label of digits is an address in some readers (WHATWG URL), never a name.
        if name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit())) {
            return Err(HostError::Address);
        }
        Ok(Self::Name(name))
    }

    /// Whether this is exactly `localhost` or a loopback address. `localhost.evil.example` is not.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Address(ip) => ip.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }

    /// Whether nothing on the Internet leads here by this: a loopback, private or link-local address, or a name that only
    /// this machine or a household's own resolver knows (RFC 6761, RFC 6762, RFC 8375).
    pub fn is_local_only(&self) -> bool {
        match self {
            Self::Address(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
            Self::Address(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            Self::Name(name) => {
                let below = |zone: &str| name.strip_suffix(zone).is_some_and(|front| front.ends_with('.'));
                name == "localhost" || LOCAL_ZONES.iter().any(|zone| below(zone))
            }
        }
    }
}

impl fmt::Display for Host {
    /// As in a URL: IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Address(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `host` or `host:port`, as a Host header or a URL has it (RFC 9110 §7.2). User information is an error.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, if one was written.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port`.
    ///
    /// # Errors
    /// [`HostError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.len() > AUTHORITY_BYTES_MAX {
            return Err(HostError::TooLong);
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inner, after) = rest.split_once(']').ok_or(HostError::Bracket)?;
                let port = match after.strip_prefix(':') {
                    Some(port) => Some(port),
                    None if after.is_empty() => None,
                    None => return Err(HostError::Bracket),
                };
                match inner.parse::<IpAddr>() {
                    Ok(IpAddr::V6(ip)) => (Host::Address(IpAddr::V6(ip).to_canonical()), port),
                    _ => return Err(HostError::Address),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (Host::parse(host)?, Some(port)),
                None => (Host::parse(text)?, None),
            },
        };
        let port = port.map(parse_port).transpose()?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => self.host.fmt(f),
        }
    }
}

/// Reads a port: one to five digits, no sign, no leading zero, not 0.
///
/// # Errors
/// [`HostError::Port`].
pub fn parse_port(text: &str) -> Result<u16, HostError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if plain => Ok(port),
        _ => Err(HostError::Port),
    }
}

/// A scheme as far as doorward speaks it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A web origin (RFC 6454 §4): scheme, host and port, the port always written out.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct WebOrigin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, the scheme's own where none was written.
    pub port: u16,
}

impl WebOrigin {
    /// Reads `scheme://host[:port]` and nothing more: no path, no user, no `null`.
    ///
    /// # Errors
    /// [`HostError`] names the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (scheme, rest) = text.split_once("://").ok_or(HostError::Scheme)?;
        let scheme = if scheme.eq_ignore_ascii_case("https") {
            Scheme::Https
        } else if scheme.eq_ignore_ascii_case("http") {
            Scheme::Http
        } else {
            return Err(HostError::Scheme);
        };
        let authority = Authority::parse(rest)?;
        Ok(Self { scheme, host: authority.host, port: authority.port.unwrap_or(scheme.default_port()) })
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Why a host, an authority or an origin could not be read.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HostError {
    /// Not a whole IP address.
    #[error("not an ip address")]
    Address,
    /// Brackets that do not close, or text after them.
    #[error("brackets do not match")]
    Bracket,
    /// Nothing there.
    #[error("empty host")]
    Empty,
    /// Not a DNS name.
    #[error("not a host name")]
    Name,
    /// Not a port.
    #[error("not a port")]
    Port,
    /// No scheme, or not `http` or `https`.
    #[error("not an http or https origin")]
    Scheme,
    /// Longer than any name.
    #[error("host too long")]
    TooLong,
}

/// Whether a token may have this character (RFC 9110 §5.6.2).
pub fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_spelling() {
        let shown = |text: &str| Host::parse(text).map(|host| host.to_string());
        assert_eq!(shown("Claw.Example.COM."), Ok("claw.example.com".to_owned()));
        assert_eq!(shown("::FFFF:127.0.0.1"), Ok("127.0.0.1".to_owned()));
        assert_eq!(shown("[2001:DB8::1]"), Ok("[2001:db8::1]".to_owned()));
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            "a/b",
            "a@b",
            "a,b",
            "[::1",
            "[127.0.0.1]",
            "127.1",
            "0x7f.1",
            "010.0.0.1",
            "é.example",
        ] {
            assert!(shown(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_loopback_itself_is_loopback() {
        let loopback = |text: &str| Host::parse(text).unwrap().is_loopback();
        for yes in ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(loopback(yes), "{yes}");
        }
        for no in ["localhost.evil.example", "127.0.0.1.nip.io", "evil-localhost", "10.0.0.1", "::127.0.0.1"] {
            assert!(!loopback(no), "{no}");
        }
    }

    #[test]
    fn authorities_keep_host_and_port_apart() {
        let port = |text: &str| Authority::parse(text).map(|authority| authority.port);
        assert_eq!(port("claw.example:18789"), Ok(Some(18789)));
        assert_eq!(port("[::1]:443"), Ok(Some(443)));
        assert_eq!(port("[::1]"), Ok(None));
        for bad in ["a:", "a:0", "a:065", "a:65536", "a:http", "a:-1", "[::1]x", "[::1]:", "::1", "user@a", "a:1:2"] {
            assert!(port(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn origins_are_exact() {
        let same = |one: &str, two: &str| WebOrigin::parse(one).unwrap() == WebOrigin::parse(two).unwrap();
        assert!(same("https://Claw.example", "https://claw.example:443"));
        assert!(!same("https://claw.example", "http://claw.example"));
        assert!(!same("https://claw.example", "https://claw.example:8443"));
        for bad in ["null", "", "claw.example", "https://", "https://a/b", "https://a@b", "file:///x", "https://a#b"] {
            assert!(WebOrigin::parse(bad).is_err(), "{bad:?}");
        }
    }
}
