//! What this machine knows of its own network: the gateways that hide callers, its links, whether it is a container,
//! how far its published ports reach, and whom we run as.

pub mod container;
pub mod exposure;
pub mod link;

mod routes;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use ipnet::IpNet;

use self::container::Container;
use self::container::Users;
use self::exposure::Dial;
use self::exposure::Exposure;
use self::link::Link;
use self::link::LinkKind;
use crate::base::limits::GATEWAYS_MAX;
use crate::base::limits::LINK_ADDRESSES_MAX;

/// Facts of this machine, read now and then and handed to every decision.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Network {
    gateways: Vec<IpAddr>,
    ground: Ground,
    /// What the bridge networks of container runtimes are made of, ours as a container or ours as their host.
    bridges: Vec<OwnBridge>,
    /// Every address of ours.
    own: Vec<IpAddr>,
    exposures: Vec<(u16, Exposure)>,
    /// By what each of them was found.
    dials: Vec<(u16, Vec<Dial>)>,
    own_uid: u32,
    users: Users,
}

/// Whose network we are on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Ground {
    /// A container with a network of its own.
    Contained(Container),
    /// No container.
    #[default]
    Machine,
    /// A container that shares its host's network, or runs a runtime of its own: it stands among the host's neighbours.
    Sharing(Container),
}

/// A container runtime's bridge network that this machine is on, as a container or as the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct OwnBridge {
    range: IpNet,
    /// The host's address on it, behind which it hides callers.
    host: Option<IpAddr>,
}

/// What an address is to this machine, by evidence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// The host's address on a container network of ours.
    BridgeHost,
    /// The next hop of a default route.
    Gateway,
    /// Another container on a network of ours.
    Neighbour,
    /// Our own, in a container: a runtime's port forwarder wears it.
    Own,
    /// An address that a container runtime's virtual machine or user-mode network shows in place of every caller.
    Runtime,
}

impl Network {
    /// A machine that reaches the world through `gateways` and runs us as `own_uid`.
    pub fn new(gateways: impl IntoIterator<Item = IpAddr>, own_uid: u32) -> Self {
        let mut gateways: Vec<_> = gateways.into_iter().take(GATEWAYS_MAX).map(|ip| ip.to_canonical()).collect();
        gateways.sort_unstable();
        gateways.dedup();
        Self { gateways, own_uid, ..Self::default() }
    }

    /// The same from the kernel's routing tables: the text of `/proc/net/route` and of `/proc/net/ipv6_route`.
    /// Lines that cannot be read name no gateway.
    pub fn from_routes(route: &str, ipv6_route: &str, own_uid: u32) -> Self {
        let ipv4 = route.lines().filter_map(routes::ipv4_gateway).map(IpAddr::V4);
        let ipv6 = ipv6_route.lines().filter_map(routes::ipv6_gateway).map(IpAddr::V6);
        Self::new(ipv4.chain(ipv6), own_uid)
    }

    /// The same machine with these links, as a container or not.
    #[must_use]
    pub fn with_links(self, links: &[Link], container: Option<Container>) -> Self {
        let has_bridge = links.iter().any(|link| link.kind == LinkKind::Bridge);
        let ground = match container {
            None => Ground::Machine,
            Some(container) if has_bridge => Ground::Sharing(container),
            Some(container) => Ground::Contained(container),
        };
        let of = |belongs: fn(&Link) -> bool| {
            let links = links.iter().filter(move |link| belongs(link));
            links.flat_map(|link| &link.addresses).take(LINK_ADDRESSES_MAX).copied()
        };
        let bridges = match ground {
            Ground::Contained(_) => {
                of(|link| link.kind == LinkKind::Veth).filter(is_bridge_range).map(OwnBridge::inside).collect()
            }
            Ground::Machine | Ground::Sharing(_) => {
                of(Link::is_runtime_bridge).filter(is_bridge_range).map(OwnBridge::of_host).collect()
            }
        };
        let own = of(|_| true).map(|address| address.addr().to_canonical()).collect();
        Self { ground, bridges, own, ..self }
    }

    /// The same machine, where the users of our namespace are these.
    #[must_use]
    pub fn with_users(self, users: Users) -> Self {
        Self { users, ..self }
    }

    /// The same machine, whose published `port` reaches this far.
    #[must_use]
    pub fn with_exposure(mut self, port: u16, exposure: Exposure) -> Self {
        self.exposures.retain(|(known, _)| *known != port);
        self.exposures.push((port, exposure));
        self
    }

    /// The same machine, where the last probe of the published `port` made these dials.
    #[must_use]
    pub fn with_dials(mut self, port: u16, dials: Vec<Dial>) -> Self {
        self.dials.retain(|(known, _)| *known != port);
        self.dials.push((port, dials));
        self
    }

    /// The same machine, with what is known of its published ports left out.
    #[must_use]
    pub fn without_exposures(self) -> Self {
        Self { exposures: Vec::new(), dials: Vec::new(), ..self }
    }

    /// Whether `ip` is the next hop of a default route: callers behind its NAT all look like it.
    pub fn is_gateway(&self, ip: IpAddr) -> bool {
        self.gateways.contains(&ip)
    }

    /// The default gateways.
    pub fn gateways(&self) -> &[IpAddr] {
        &self.gateways
    }

    /// Our addresses on private networks (RFC 1918, RFC 4193) that a household's other devices may dial: none of loopback, and
    /// none that only containers see.
    pub fn household_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let is_bridge = |ip: IpAddr| self.bridges.iter().any(|bridge| bridge.host == Some(ip));
        self.own.iter().copied().filter(move |ip| is_household(*ip) && !is_bridge(*ip))
    }

    /// Whether one of our IPv4 addresses may be reached from the Internet itself.
    pub fn has_public_ipv4(&self) -> bool {
        let shared =
            |ip: Ipv4Addr| ip.octets().starts_with(&[100]) && ip.octets().get(1).is_some_and(|byte| byte & 0xc0 == 64);
        self.own.iter().any(|ip| match ip {
            IpAddr::V4(ip) => {
                !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared(*ip))
            }
            IpAddr::V6(_) => false,
        })
    }

    /// How we know that this is a container, if it is one.
    pub fn container(&self) -> Option<Container> {
        match self.ground {
            Ground::Contained(container) | Ground::Sharing(container) => Some(container),
            Ground::Machine => None,
        }
    }

    /// How far the published `port` reaches.
    pub fn exposure(&self, port: u16) -> Exposure {
        self.exposures.iter().find(|(known, _)| *known == port).map(|(_, exposure)| *exposure).unwrap_or_default()
    }

    /// The dials by which it was found how far the published `port` reaches.
    pub fn dials(&self, port: u16) -> &[Dial] {
        self.dials.iter().find(|(known, _)| *known == port).map_or(&[], |(_, dials)| dials)
    }

    /// Whether `ip` is the default gateway of a container's own bridge network: the only address from which the
    /// runtime's port forwarder speaks for the host.
    pub(super) fn is_forwarder(&self, ip: IpAddr) -> bool {
        self.is_contained() && self.is_gateway(ip) && self.bridges.iter().any(|bridge| bridge.range.contains(&ip))
    }

    /// Where the host can be reached on our own container networks, each with that network: default gateways there, and
    /// each network's first address. Empty outside of a container, or where it shares its host's network.
    pub fn host_addresses(&self) -> Vec<(IpAddr, IpNet)> {
        if !self.is_contained() {
            return Vec::new();
        }
        let mut hosts = Vec::new();
        for bridge in &self.bridges {
            let gateways = self.gateways.iter().copied().filter(|ip| bridge.range.contains(ip));
            hosts.extend(gateways.chain(bridge.host).map(|host| (host, bridge.range)));
        }
        hosts.sort_unstable();
        hosts.dedup_by_key(|(host, _)| *host);
        hosts
    }

    /// What of our own container networks a trusted `range` takes in, though everybody can look like it: the host's
    /// address there, or a network whole. One neighbour is nobody's mask.
    pub fn masks_in(&self, range: IpNet) -> Option<IpNet> {
        let gateways = self.gateways.iter().filter(|_| self.is_contained()).copied();
        let hosts = gateways.chain(self.bridges.iter().filter_map(|bridge| bridge.host));
        let host = hosts.map(IpNet::from).find(|host| range.contains(host));
        let whole = || self.bridges.iter().map(|bridge| bridge.range).find(|whole| range.contains(whole));
        host.or_else(whole)
    }

    /// Whose the users of our namespace are.
    pub fn users(&self) -> Users {
        self.users
    }

    /// The user we run as.
    pub fn own_uid(&self) -> u32 {
        self.own_uid
    }

    /// What `ip` is to us; none for an address like any other.
    pub(super) fn place_of(&self, ip: IpAddr) -> Option<Place> {
        if self.is_gateway(ip) {
            return Some(Place::Gateway);
        }
        if !self.is_contained() {
            return None;
        }
        match self.bridges.iter().find(|bridge| bridge.range.contains(&ip)) {
            _ if self.own.contains(&ip) => Some(Place::Own),
            Some(bridge) if bridge.host == Some(ip) => Some(Place::BridgeHost),
            Some(_) => Some(Place::Neighbour),
            None if is_of_runtime(ip) => Some(Place::Runtime),
            None => None,
        }
    }

    /// Whether we are a container with a network of its own.
    pub(super) fn is_contained(&self) -> bool {
        matches!(self.ground, Ground::Contained(_))
    }
}

impl OwnBridge {
    /// The network of a container that has this address. Runtimes give the host the first one.
    fn inside(own: IpNet) -> Self {
        let range = own.trunc();
        let first = match range.network() {
            IpAddr::V4(network) => IpAddr::V4(Ipv4Addr::from_bits(network.to_bits().saturating_add(1))),
            IpAddr::V6(network) => IpAddr::V6(Ipv6Addr::from_bits(network.to_bits().saturating_add(1))),
        };
        Self { range, host: Some(first).filter(|first| *first != own.addr()) }
    }

    /// The network of a host that has this address on it.
    fn of_host(own: IpNet) -> Self {
        Self { range: own.trunc(), host: Some(own.addr()) }
    }
}

/// Whether a runtime's bridge can have this network: a private one, and not of a single address.
fn is_bridge_range(own: &IpNet) -> bool {
    let private = match own.addr() {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    };
    private && own.prefix_len() < own.max_prefix_len()
}

/// Docker Desktop's virtual machine (192.168.65.0/24), slirp4netns (10.0.2.0/24), Podman's default bridge and what pasta
/// and Podman map the host to. A container only: elsewhere these are addresses like any other.
fn is_of_runtime(ip: IpAddr) -> bool {
    let IpAddr::V4(ip) = ip else { return false };
    matches!(ip.octets(), [192, 168, 65, _] | [10, 0, 2, _] | [10, 88, 0, 1] | [169, 254, 1, 2])
}

fn is_household(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests;
