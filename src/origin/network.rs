//! What this machine knows of its own network: the gateways that hide callers, and whom we run as.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::base::limits::GATEWAYS_MAX;

/// Facts of this machine, read once and handed to every decision.
#[derive(Clone, Debug, Default)]
pub struct Network {
    gateways: Vec<IpAddr>,
    own_uid: u32,
}

impl Network {
    /// A machine that reaches the world through `gateways` and runs us as `own_uid`.
    pub fn new(gateways: impl IntoIterator<Item = IpAddr>, own_uid: u32) -> Self {
        let mut gateways: Vec<_> = gateways.into_iter().take(GATEWAYS_MAX).map(|ip| ip.to_canonical()).collect();
        gateways.sort_unstable();
        gateways.dedup();
        Self { gateways, own_uid }
    }

    /// The same from the kernel's routing tables: the text of `/proc/net/route` and of `/proc/net/ipv6_route`.
    /// Lines that cannot be read name no gateway.
    pub fn from_routes(route: &str, ipv6_route: &str, own_uid: u32) -> Self {
        let ipv4 = route.lines().filter_map(ipv4_gateway).map(IpAddr::V4);
        let ipv6 = ipv6_route.lines().filter_map(ipv6_gateway).map(IpAddr::V6);
        Self::new(ipv4.chain(ipv6), own_uid)
    }

    /// Whether `ip` is the next hop of a default route: callers behind its NAT all look like it.
    pub fn is_gateway(&self, ip: IpAddr) -> bool {
        self.gateways.contains(&ip)
    }

    /// The default gateways.
    pub fn gateways(&self) -> &[IpAddr] {
        &self.gateways
    }

    /// The user we run as.
    pub fn own_uid(&self) -> u32 {
        self.own_uid
    }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses hexadecimal in the machine's own byte order.
fn ipv4_gateway(line: &str) -> Option<Ipv4Addr> {
    let field = |at: usize| u32::from_str_radix(line.split_ascii_whitespace().nth(at)?, 16).ok();
    let (gateway, mask) = (field(2)?, field(7)?);
    (mask == 0 && gateway != 0).then(|| Ipv4Addr::from(gateway.to_ne_bytes()))
}

/// `destination length source length gateway …`, hexadecimal in network byte order.
fn ipv6_gateway(line: &str) -> Option<Ipv6Addr> {
    let field = |at: usize| u128::from_str_radix(line.split_ascii_whitespace().nth(at)?, 16).ok();
    let (length, gateway) = (field(1)?, field(4)?);
    (length == 0 && gateway != 0).then(|| Ipv6Addr::from_bits(gateway))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn default_gateways_are_read_from_the_routing_tables() {
        let route = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth0\t0000080A\t090012AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     tun0\t00000000\t0900080A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
                     garbage\n";
        let ipv6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                    fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n\
                    20010db8000000000000000000000000 20 00000000000000000000000000000000 00 \
                    fe800000000000000000000000000002 00000400 00000001 00000000 00000003     eth0\n\
                    fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
                    00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n";
        let network = Network::from_routes(route, ipv6, 7);
        let expected: Vec<IpAddr> = vec!["172.18.0.1".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(network.gateways(), expected);
        assert!(network.is_gateway("172.18.0.1".parse().unwrap()));
        assert!(!network.is_gateway("172.18.0.2".parse().unwrap()));
        assert_eq!(network.own_uid(), 7);
    }

    #[test]
    fn a_machine_without_routes_has_no_gateway() {
        assert!(Network::from_routes("", "", 0).gateways().is_empty());
    }

    #[test]
    fn gateways_beyond_the_bound_are_not_kept() {
        let many = (0..1_000_u32).map(|n| IpAddr::V4(Ipv4Addr::from_bits(n + 1)));
        assert_eq!(Network::new(many, 0).gateways().len(), GATEWAYS_MAX);
    }
}
