//! Addresses, named for what they prove.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The other end of our own socket. The kernel vouches for it; nothing else is this certain.
///
/// Invariant: canonical (`::ffff:a.b.c.d` is `a.b.c.d`), because one host must have one spelling in
/// every list and every limit.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddr(SocketAddr);

impl PeerAddr {
    /// Takes the address that `accept` returned.
    pub fn from_accept(addr: SocketAddr) -> Self {
        Self(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
    }

    /// The address without its port.
    pub fn ip(self) -> IpAddr {
        self.0.ip()
    }

    /// The address with its port.
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

/// Who is counted as one for limits and quotas: an IPv4 address, or an IPv6 /64, which is what one
/// subscriber gets (RFC 6177).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientKey(Network);

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Network {
    /// This address and no other.
    Alone(IpAddr),
    /// The /64 that begins with this address.
    Subscriber(Ipv6Addr),
}

impl ClientKey {
    /// The key under which `ip` is counted.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => Network::Alone(IpAddr::V4(ip)),
            IpAddr::V6(ip) => Network::Subscriber(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
        })
    }

    /// The key of `ip` where its /64 is no subscriber's: its neighbours there are others' machines.
    pub fn alone(ip: IpAddr) -> Self {
        Self(Network::Alone(ip.to_canonical()))
    }

    /// The IPv6 /48 it lies in; an address that stands alone is nobody's by the thousand.
    pub fn site(self) -> Option<SiteKey> {
        match self.0 {
            Network::Alone(_) => None,
            Network::Subscriber(ip) => Some(SiteKey(ip.to_bits() >> 80)),
        }
    }

    /// The IPv6 /56 it lies in.
    pub fn household(self) -> Option<HouseholdKey> {
        match self.0 {
            Network::Alone(_) => None,
            Network::Subscriber(ip) => Some(HouseholdKey(ip.to_bits() >> 72)),
        }
    }
}

/// An IPv6 /56: what providers give a home (RFC 6177 §2), with 256 [`ClientKey`]s in it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HouseholdKey(u128);

impl fmt::Display for HouseholdKey {
    /// `2001:db8:0:100::/56`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/56", Ipv6Addr::from_bits(self.0 << 72))
    }
}

impl fmt::Display for SiteKey {
    /// `2001:db8::/48`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/48", Ipv6Addr::from_bits(self.0 << 80))
    }
}

/// An IPv6 /48: the most that one customer gets (RFC 6177), with 65536 [`ClientKey`]s in it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SiteKey(u128);

impl fmt::Display for ClientKey {
    /// `192.0.2.1` or `fe80::1`, or `2001:db8::/64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Network::Alone(ip) => ip.fmt(f),
            Network::Subscriber(ip) => write!(f, "{ip}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_peer_is_its_ipv4_address() {
        let peer = PeerAddr::from_accept("[::ffff:192.0.2.1]:7".parse().unwrap());
        assert_eq!(peer.socket().to_string(), "192.0.2.1:7");
    }

    #[test]
    fn one_subscriber_is_one_key() {
        let key = |ip: &str| ClientKey::of(ip.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1").to_string(), "2001:db8::/64");
    }

    #[test]
    fn who_stands_alone_is_counted_with_nobody() {
        let alone = |ip: &str| ClientKey::alone(ip.parse().unwrap());
        assert_ne!(alone("fe80::1"), alone("fe80::2"));
        assert_ne!(alone("fe80::"), ClientKey::of("fe80::".parse().unwrap()));
        assert_eq!(alone("::ffff:192.0.2.1"), ClientKey::of("192.0.2.1".parse().unwrap()));
        assert_eq!((alone("fe80::1").household(), alone("fe80::1").site()), (None, None));
        assert_eq!(alone("fe80::1").to_string(), "fe80::1");
    }

    #[test]
    fn one_customers_networks_are_one_household_and_one_site() {
        let key = |ip: &str| ClientKey::of(ip.parse().unwrap());
        let here = key("2001:db8:7:1ff::1");
        assert_eq!(here.household(), key("2001:db8:7:100::1").household());
        assert_ne!(here.household(), key("2001:db8:7:200::1").household());
        assert_eq!(here.site(), key("2001:db8:7:ff00::1").site());
        assert_ne!(here.site(), key("2001:db8:8:1ff::1").site());
        let names = (here.household().unwrap().to_string(), here.site().unwrap().to_string());
        assert_eq!(names, ("2001:db8:7:100::/56".to_owned(), "2001:db8:7::/48".to_owned()));
        assert_eq!((key("192.0.2.1").household(), key("::ffff:192.0.2.1").site()), (None, None));
    }
}
