//! What we read out of certificates: the names they are for, the time they hold, and what a CA may sign (RFC 5280).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use instant_acme::CertificateIdentifier;
use ipnet::IpNet;
use rustls::pki_types::{Der, ServerName};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;

use crate::base::clock::UnixMillis;
use crate::net::host::Host;

/// Reads one DER certificate; `None` unless it is exactly one.
pub fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    parse_x509_certificate(der).ok().and_then(|(rest, certificate)| rest.is_empty().then_some(certificate))
}

/// The time in which a certificate holds, in seconds since 1970.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// From this second on.
    pub begins: i64,
    /// Until this second.
    pub ends: i64,
}

impl Validity {
    /// That of `certificate`.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let validity = certificate.validity();
        Self { begins: validity.not_before.timestamp(), ends: validity.not_after.timestamp() }
    }

    /// How long that is.
    pub fn life(self) -> Duration {
        Duration::from_secs(u64::try_from(self.ends.saturating_sub(self.begins)).unwrap_or(0))
    }

    /// Whether it is not over at `now`.
    pub fn lasts(self, now: UnixMillis) -> bool {
        self.ends >= now.0.div_euclid(1000)
    }

    /// Whether it has begun and is not over at `now`.
    pub fn holds(self, now: UnixMillis) -> bool {
        self.begins <= now.0.div_euclid(1000) && self.lasts(now)
    }

    /// Its beginning.
    pub fn begins_at(self) -> UnixMillis {
        UnixMillis::of_seconds(self.begins)
    }

    /// Its end.
    pub fn ends_at(self) -> UnixMillis {
        UnixMillis::of_seconds(self.ends)
    }

    /// Whether two thirds of it are over at `now`: the time to renew.
    pub fn is_due(self, now: UnixMillis) -> bool {
        let third = self.ends.saturating_sub(self.begins) / 3;
        now.0.div_euclid(1000) >= self.ends.saturating_sub(third)
    }
}

/// What a CA knows a certificate by when it speaks of its renewal (RFC 9773 §4.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateId {
    authority: Vec<u8>,
    serial: Vec<u8>,
}

impl CertificateId {
    /// That of the leaf of `certified`; none when it does not name its issuer's key.
    pub fn of(certified: &CertifiedKey) -> Option<Self> {
        let leaf = parse(certified.cert.first()?)?;
        let authority = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
            _ => None,
        })?;
        Some(Self { authority: authority.0.to_vec(), serial: leaf.raw_serial().to_vec() })
    }

    /// As ACME writes it.
    pub fn for_renewal(&self) -> CertificateIdentifier<'static> {
        CertificateIdentifier::new(Der::from_slice(&self.authority), Der::from_slice(&self.serial)).into_owned()
    }
}

/// A number of the leaf's own, the same at every start.
pub fn seed(certified: &CertifiedKey) -> u64 {
    let digest = Sha256::digest(certified.cert.first().map(AsRef::as_ref).unwrap_or_default());
    digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// The names a certificate is for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Names {
    /// Names and addresses, each as it is.
    pub exact: Vec<Host>,
    /// The parents of wildcards: `example.com` for `*.example.com`.
    pub wildcards: Vec<String>,
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact.iter().map(ToString::to_string);
        let all: Vec<_> = exact.chain(self.wildcards.iter().map(|parent| format!("*.{parent}"))).collect();
        f.write_str(&all.join(", "))
    }
}

impl Names {
    /// The subject alternative names of `certificate`; what no client could ask for is left out.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self::default();
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return names };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => match name.strip_prefix("*.") {
                    Some(parent) => names.wildcards.extend(dns_name(parent)),
                    None => names.exact.extend(dns_name(name).map(Host::Name)),
                },
                GeneralName::IPAddress(bytes) => names.exact.extend(address(bytes).map(Host::Address)),
                _ => {}
            }
        }
        names
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// Whether the certificate is for `host`. A wildcard stands for exactly one label (RFC 6125 §6.4.3).
    pub fn covers(&self, host: &Host) -> bool {
        let by_wildcard = |name: &str| {
            name.split_once('.').is_some_and(|(_, parent)| self.wildcards.iter().any(|wildcard| wildcard == parent))
        };
        self.exact.contains(host) || matches!(host, Host::Name(name) if by_wildcard(name))
    }
}

fn dns_name(text: &str) -> Option<String> {
    match Host::parse(text) {
        Ok(Host::Name(name)) => Some(name),
        _ => None,
    }
}

/// What a client asks for that dials `host`; none for what no client could ask for.
pub(super) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Address(ip) => Some(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => ServerName::try_from(name.clone()).ok(),
    }
}

/// An address as a certificate writes it.
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
        16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        _ => None,
    }
}

/// What a CA may sign for, by its name constraints (RFC 5280 §4.2.1.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Permitted {
    /// Anything.
    All,
    /// These DNS names with everything below them, and these ranges.
    Only {
        /// Names without a leading dot.
        names: Vec<String>,
        /// Addresses.
        ranges: Vec<IpNet>,
    },
}

impl Permitted {
    /// What `certificate` permits. What it says in a way that we cannot read permits nothing.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let (mut names, mut ranges) = (Vec::new(), Vec::new());
        let trees = match certificate.name_constraints() {
            Ok(None) => return Self::All,
            Ok(Some(constraints)) => constraints.value.permitted_subtrees.as_deref().unwrap_or_default(),
            Err(_) => &[],
        };
        for tree in trees {
            match &tree.base {
                GeneralName::DNSName(name) => names.push(name.trim_start_matches('.').to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => ranges.extend(range(bytes)),
                _ => {}
            }
        }
        Self::Only { names, ranges }
    }

    /// Whether a leaf for `host` would be believed.
    pub fn permits(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Only { ranges, .. }, Host::Address(ip)) => ranges.iter().any(|range| range.contains(ip)),
            (Self::Only { names, .. }, Host::Name(name)) => names.iter().any(|permitted| {
                name.strip_suffix(permitted.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }),
        }
    }
}

/// An address and its mask, each half of the bytes.
fn range(bytes: &[u8]) -> Option<IpNet> {
    let (network, mask) = bytes.split_at_checked(bytes.len() / 2)?;
    IpNet::with_netmask(address(network)?, address(mask)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_label() {
        let names =
            Names { exact: vec![host("a.example"), host("192.0.2.1")], wildcards: vec!["b.example".to_owned()] };
        for yes in ["a.example", "192.0.2.1", "x.b.example"] {
            assert!(names.covers(&host(yes)), "{yes}");
        }
        for no in ["b.example", "x.y.b.example", "x.a.example", "192.0.2.2", "xb.example"] {
            assert!(!names.covers(&host(no)), "{no}");
        }
    }

    #[test]
    fn constraints_permit_a_name_and_what_is_below_it() {
        let permitted = Permitted::Only {
            names: vec!["local".to_owned(), "claw.example".to_owned()],
            ranges: vec!["10.0.0.0/8".parse().unwrap(), "fc00::/7".parse().unwrap()],
        };
        for yes in ["local", "claw.local", "a.b.local", "claw.example", "10.1.2.3", "fd00::1"] {
            assert!(permitted.permits(&host(yes)), "{yes}");
        }
        for no in ["notlocal", "local.example", "example", "11.0.0.1", "2001:db8::1", "localhost"] {
            assert!(!permitted.permits(&host(no)), "{no}");
        }
    }

    #[test]
    fn a_third_before_its_end_is_the_time_to_renew() {
        let validity = Validity { begins: 1_000, ends: 4_000 };
        assert!(!validity.is_due(UnixMillis(2_999_999)));
        assert!(validity.is_due(UnixMillis(3_000_000)));
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }
}
