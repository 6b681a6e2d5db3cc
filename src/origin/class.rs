//! What kind of address a caller has: the closed set on which rules, logs and people rest.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use serde::Deserialize;
use serde::Serialize;

use super::network::Network;
use super::network::Place;
use super::trail::Step;

/// What kind of caller this is. No class is a permission.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A neighbour on our own container network.
    Container,
    /// On this machine, proven by the local rule.
    Local,
    /// An address that hides the caller: a gateway of ours, or loopback without the proof that makes it local
    /// (port forwarders, tunnels and rootless containers show every stranger as loopback).
    Nat,
    /// A private, link-local or shared address.
    Private,
    /// Any other address.
    Public,
    /// A tailnet address that tailscaled's whois confirms.
    Tailnet,
    /// No address can be vouched for.
    Unattributed,
}

impl Class {
    /// The word used in claims, logs and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Local => "local",
            Self::Nat => "nat",
            Self::Private => "private",
            Self::Public => "public",
            Self::Tailnet => "tailnet",
            Self::Unattributed => "unattributed",
        }
    }

    /// The class of a caller at `ip` who is not local, on a machine with this `network`, and the evidence for it.
    pub(super) fn of(ip: IpAddr, network: &Network) -> (Self, Step) {
        if ip.is_loopback() {
            return (Self::Nat, Step::NatLoopback);
        }
        match network.place_of(ip) {
            Some(Place::BridgeHost) => (Self::Nat, Step::NatBridge),
            Some(Place::Gateway) => (Self::Nat, Step::NatGateway),
            Some(Place::Neighbour) => (Self::Container, Step::ContainerNeighbour),
            Some(Place::Own) => (Self::Nat, Step::NatOwnAddress),
            Some(Place::Runtime) => (Self::Nat, Step::NatRuntime),
            None if is_private(ip) => (Self::Private, Step::PrivateAddress),
            None => (Self::Public, Step::PublicAddress),
        }
    }
}

/// RFC 1918, RFC 4193, link-local, and the shared space of RFC 6598 (carriers, and tailnets that nobody confirmed).
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || is_site_local(ip),
    }
}

/// 100.64.0.0/10 (RFC 6598): carriers give their customers addresses of it, and tailnets their nodes.
pub(super) fn is_shared(ip: Ipv4Addr) -> bool {
    ip.to_bits() >> 22 == Ipv4Addr::new(100, 64, 0, 0).to_bits() >> 22
}

fn is_site_local(ip: Ipv6Addr) -> bool {
    // fec0::/10, deprecated by RFC 3879 and still met in old networks.
    ip.to_bits() >> 118 == 0xfec0 >> 6
}

/// Whether an address that came as bytes on the wire can belong to a caller at all: not loopback, unspecified,
/// multicast, broadcast or IPv4-compatible.
pub(super) fn can_be_claimed(ip: IpAddr) -> bool {
    !ip.is_loopback() && can_be_peer(ip) && !is_ipv4_compatible(ip)
}

/// Whether the other end of a TCP connection can have this address. The kernel never says otherwise; a bug might.
pub(super) fn can_be_peer(ip: IpAddr) -> bool {
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    // 0.0.0.0/8 is "this network" (RFC 1122 §3.2.1.3).
    let this_network = matches!(ip, IpAddr::V4(ip) if ip.to_bits() >> 24 == 0);
    !(broadcast || this_network || ip.is_unspecified() || ip.is_multicast())
}

fn is_ipv4_compatible(ip: IpAddr) -> bool {
    // ::a.b.c.d (RFC 4291 §2.5.5.1, deprecated): some readers make 127.0.0.1 of ::127.0.0.1.
    matches!(ip, IpAddr::V6(ip) if ip.to_bits() >> 32 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::network::container::Container;
    use crate::origin::network::link::Link;
    use crate::origin::network::link::LinkKind;

    #[test]
    fn every_address_has_its_class() {
        let network = Network::new(["172.18.0.1".parse().unwrap(), "fe80::1".parse().unwrap()], 0);
        for (ip, class) in [
            ("172.18.0.1", Class::Nat),
            ("fe80::1", Class::Nat),
            ("127.0.0.1", Class::Nat),
            ("::1", Class::Nat),
            ("172.18.0.2", Class::Private),
            ("10.0.0.0", Class::Private),
            ("10.255.0.255", Class::Private),
            ("11.0.0.0", Class::Public),
            ("172.15.255.255", Class::Public),
            ("172.31.255.255", Class::Private),
            ("172.32.0.0", Class::Public),
            ("192.168.65.1", Class::Private),
            ("169.254.1.1", Class::Private),
            ("100.63.255.255", Class::Public),
            ("100.64.0.0", Class::Private),
            ("100.127.255.255", Class::Private),
            ("100.128.0.0", Class::Public),
            ("203.0.113.9", Class::Public),
            ("fbff::1", Class::Public),
            ("fc00::1", Class::Private),
            ("fdff::1", Class::Private),
            ("fe80::2", Class::Private),
            ("febf::2", Class::Private),
            ("fec0::2", Class::Private),
            ("2001:db8::1", Class::Public),
        ] {
            assert_eq!(Class::of(ip.parse().unwrap(), &network).0, class, "{ip}");
        }
    }

    #[test]
    fn every_class_names_its_evidence() {
        let link = |name: &str, address: &str| Link {
            name: name.to_owned(),
            kind: LinkKind::Veth,
            addresses: vec![address.parse().unwrap()],
        };
        let links = [link("eth0", "172.18.0.2/16"), link("eth1", "172.19.0.2/16")];
        let network = Network::new(["172.18.0.1".parse().unwrap()], 0).with_links(&links, Some(Container::Mount));
        for (ip, class, evidence) in [
            ("127.0.0.1", Class::Nat, Step::NatLoopback),
            ("172.18.0.1", Class::Nat, Step::NatGateway),
            ("172.19.0.1", Class::Nat, Step::NatBridge),
            ("172.18.0.2", Class::Nat, Step::NatOwnAddress),
            ("192.168.65.1", Class::Nat, Step::NatRuntime),
            ("172.18.0.3", Class::Container, Step::ContainerNeighbour),
            ("10.77.0.2", Class::Private, Step::PrivateAddress),
            ("203.0.113.9", Class::Public, Step::PublicAddress),
        ] {
            assert_eq!(Class::of(ip.parse().unwrap(), &network), (class, evidence), "{ip}");
            assert!(evidence.phrase().starts_with(class.as_str()), "{evidence:?}");
        }
    }

    #[test]
    fn what_no_caller_can_have_is_no_claim() {
        for bad in [
            "127.0.0.1",
            "127.255.0.1",
            "::1",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "239.255.255.255",
            "ff02::1",
            "255.255.255.255",
            "::127.0.0.1",
            "::7f00:1",
            "::203.0.113.9",
        ] {
            assert!(!can_be_claimed(bad.parse().unwrap()), "{bad}");
        }
        for good in ["1.0.0.1", "203.0.113.9", "10.0.0.1", "2001:db8::1", "fe80::1", "64:ff9b::7f00:1", "2002:7f00:1::"]
        {
            assert!(can_be_claimed(good.parse().unwrap()), "{good}");
        }
        assert!(can_be_peer("127.0.0.1".parse().unwrap()));
        assert!(can_be_peer("::7f00:1".parse().unwrap()));
        assert!(!can_be_peer("0.0.0.0".parse().unwrap()));
    }

    #[test]
    fn the_word_is_the_same_in_json_and_in_text() {
        for class in [
            Class::Container,
            Class::Local,
            Class::Nat,
            Class::Private,
            Class::Public,
            Class::Tailnet,
            Class::Unattributed,
        ] {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
        }
    }
}
