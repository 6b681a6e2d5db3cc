//! The shapes of networks that container runtimes make, and whose each address is there.

use super::*;
use crate::origin::network::container::Mark;

const DOCKER: Option<Container> = Some(Container::Marked(Mark::Dockerenv));

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

#[test]
fn addresses_beyond_the_bound_are_not_kept() {
    let many: Vec<_> = (0..=LINK_ADDRESSES_MAX).map(|n| format!("172.18.{}.{}/16", n / 250, n % 250 + 2)).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let network = machine(&["172.18.0.1"]).with_links(&[link("eth0", LinkKind::Veth, &many)], DOCKER);
    let place = |n: usize| network.place_of(format!("172.18.{}.{}", n / 250, n % 250 + 2).parse().unwrap());
    assert_eq!(place(LINK_ADDRESSES_MAX - 1), Some(Place::Own));
    assert_eq!(place(LINK_ADDRESSES_MAX), Some(Place::Neighbour));
}

/// Two Docker networks, the first with IPv6 and the default routes.
fn docker() -> Network {
    let links = [
        link("eth0", LinkKind::Veth, &["172.18.0.2/16", "fd18::2/64", "fe80::42:acff:fe12:2/64"]),
        link("eth1", LinkKind::Veth, &["172.19.0.5/16"]),
    ];
    machine(&["172.18.0.1", "fd18::1"]).with_links(&links, DOCKER)
}

#[test]
fn each_shape_of_network_tells_whose_an_address_is() {
    type Shape<'a> = (&'a str, Network, &'a [(&'a str, Option<Place>)]);
    let shapes: [Shape<'_>; 8] = [
        (
            "docker",
            docker(),
            &[
                ("172.18.0.1", Some(Place::Gateway)),
                ("fd18::1", Some(Place::Gateway)),
                ("172.19.0.1", Some(Place::BridgeHost)),
                ("172.18.0.7", Some(Place::Neighbour)),
                ("172.19.255.254", Some(Place::Neighbour)),
                ("fd18::7", Some(Place::Neighbour)),
                ("172.18.0.2", Some(Place::Own)),
                ("fe80::1", None),
                ("172.20.0.7", None),
                ("10.77.0.2", None),
                ("203.0.113.9", None),
                ("192.168.65.1", Some(Place::Runtime)),
            ],
        ),
        (
            "podman, root",
            machine(&["10.88.0.1"])
                .with_links(&[link("eth0", LinkKind::Veth, &["10.88.0.9/16"])], Some(Container::Mount)),
            &[("10.88.0.1", Some(Place::Gateway)), ("10.88.0.8", Some(Place::Neighbour))],
        ),
        (
            "podman on another network",
            machine(&["10.89.0.1"])
                .with_links(&[link("eth0", LinkKind::Veth, &["10.89.0.9/24"])], Some(Container::Mount)),
            &[("10.88.0.1", Some(Place::Runtime)), ("10.88.0.8", None), ("169.254.1.2", Some(Place::Runtime))],
        ),
        (
            "slirp4netns",
            machine(&["10.0.2.2"])
                .with_links(&[link("tap0", LinkKind::Other, &["10.0.2.100/24"])], Some(Container::Cgroup)),
            &[
                ("10.0.2.2", Some(Place::Gateway)),
                ("10.0.2.100", Some(Place::Own)),
                ("10.0.2.3", Some(Place::Runtime)),
                ("192.168.1.7", None),
            ],
        ),
        (
            "pasta, which copies the host's address and gateway",
            machine(&["192.168.1.1"])
                .with_links(&[link("enp1s0", LinkKind::Other, &["192.168.1.5/24"])], Some(Container::Mount)),
            &[
                ("192.168.1.1", Some(Place::Gateway)),
                ("192.168.1.5", Some(Place::Own)),
                ("192.168.1.7", None),
                ("169.254.1.2", Some(Place::Runtime)),
            ],
        ),
        (
            "macvlan: neighbours of the host",
            machine(&["192.168.1.1"]).with_links(&[link("eth0", LinkKind::Other, &["192.168.1.9/24"])], DOCKER),
            &[("192.168.1.1", Some(Place::Gateway)), ("192.168.1.7", None)],
        ),
        (
            "network_mode: host",
            host(DOCKER),
            &[("10.77.0.254", Some(Place::Gateway)), ("10.77.0.2", None), ("172.17.0.5", None), ("172.17.0.1", None)],
        ),
        (
            "the Docker host itself",
            host(None),
            &[("172.17.0.5", None), ("172.17.0.1", None), ("10.77.0.1", None), ("192.168.65.1", None)],
        ),
    ];
    for (shape, network, expected) in shapes {
        for (ip, place) in expected {
            assert_eq!(network.place_of(ip.parse().unwrap()), *place, "{shape}: {ip}");
        }
    }
}

#[test]
fn only_a_containers_own_gateway_forwards_for_the_host() {
    for (network, forwards, not) in [
        (docker(), &["172.18.0.1", "fd18::1"][..], &["172.19.0.1", "172.18.0.7", "172.18.0.2"][..]),
        // A router of the LAN forwards for the world.
        (host(DOCKER), &[], &["10.77.0.254", "172.17.0.1"]),
        (host(None), &[], &["10.77.0.254", "172.17.0.1"]),
        (
            machine(&["192.168.1.1"]).with_links(&[link("eth0", LinkKind::Other, &["192.168.1.9/24"])], DOCKER),
            &[],
            &["192.168.1.1"],
        ),
        (
            machine(&["10.0.2.2"]).with_links(&[link("tap0", LinkKind::Other, &["10.0.2.100/24"])], DOCKER),
            &[],
            &["10.0.2.2"],
        ),
        (
            machine(&["172.18.0.1"]).with_links(&[link("eth0", LinkKind::Veth, &["172.18.0.2/16"])], None),
            &[],
            &["172.18.0.1"],
        ),
        (
            machine(&["203.0.113.1"]).with_links(&[link("eth0", LinkKind::Veth, &["203.0.113.2/24"])], DOCKER),
            &[],
            &["203.0.113.1"],
        ),
    ] {
        for ip in forwards {
            assert!(network.is_forwarder(ip.parse().unwrap()), "{network:?} {ip}");
        }
        for ip in not {
            assert!(!network.is_forwarder(ip.parse().unwrap()), "{network:?} {ip}");
        }
    }
}

#[test]
fn the_host_is_dialled_at_every_bridge_we_are_on_and_nowhere_else() {
    let expected = [("172.18.0.1", "172.18.0.0/16"), ("172.19.0.1", "172.19.0.0/16"), ("fd18::1", "fd18::/64")];
    let expected = expected.map(|(host, on)| (host.parse().unwrap(), on.parse().unwrap()));
    assert_eq!(docker().host_addresses(), expected);
    for none in [host(DOCKER), host(None), machine(&["172.18.0.1"])] {
        assert!(none.host_addresses().is_empty(), "{none:?}");
    }
}

#[test]
fn a_trusted_range_that_takes_in_our_bridge_is_noticed_and_a_neighbour_is_not() {
    let pasta = machine(&["192.168.1.1"]).with_links(&[link("eth0", LinkKind::Other, &["192.168.1.5/24"])], DOCKER);
    for (network, range, masked) in [
        (docker(), "172.18.0.1/32", Some("172.18.0.1/32")),
        (docker(), "172.18.0.0/16", Some("172.18.0.1/32")),
        (docker(), "172.16.0.0/12", Some("172.18.0.1/32")),
        (docker(), "172.18.0.0/24", Some("172.18.0.1/32")),
        (docker(), "172.19.0.1/32", Some("172.19.0.1/32")),
        (docker(), "fd18::/64", Some("fd18::1/128")),
        (docker(), "172.18.0.7/32", None),
        (docker(), "172.18.1.0/24", None),
        (docker(), "10.77.0.0/24", None),
        (docker(), "127.0.0.0/16", None),
        (pasta, "192.168.1.1/32", Some("192.168.1.1/32")),
        (host(None), "172.17.0.1/32", Some("172.17.0.1/32")),
        (host(None), "172.17.0.0/16", Some("172.17.0.1/32")),
        (host(None), "172.17.0.2/32", None),
        (host(None), "10.77.0.254/32", None),
        (host(DOCKER), "172.17.0.0/16", Some("172.17.0.1/32")),
        (host(DOCKER), "10.77.0.254/32", None),
        (machine(&["192.168.1.1"]), "192.168.1.0/24", None),
    ] {
        let found = network.masks_in(range.parse().unwrap());
        assert_eq!(found, masked.map(|masked| masked.parse().unwrap()), "{network:?} {range}");
    }
    // A network of which we hold the first address ourselves is trusted whole by whoever trusts all of it.
    let first = machine(&[]).with_links(&[link("eth0", LinkKind::Veth, &["172.20.0.1/16"])], DOCKER);
    assert_eq!(first.masks_in("172.20.0.0/16".parse().unwrap()), Some("172.20.0.0/16".parse().unwrap()));
}

#[test]
fn a_port_is_pending_until_a_probe_has_ended() {
    let at = "172.18.0.1:18789".parse().unwrap();
    let network = docker();
    assert_eq!(network.exposure(18789), Exposure::Pending);
    let open = Exposure::Open { at, by: exposure::Answerer::Somebody };
    let network = network.with_exposure(18789, open).with_exposure(18790, Exposure::Closed);
    assert_eq!((network.exposure(18789), network.exposure(18790)), (open, Exposure::Closed));
    assert!(open.hint(18789).unwrap().contains("-p 127.0.0.1:18789:18789"));
    let unproven = Exposure::Unproven { at, from: "172.18.0.0/16".parse().unwrap() };
    let command = "sudo ufw allow proto tcp from 172.18.0.0/16 to 172.18.0.1 port 18789)";
    assert!(unproven.hint(18789).unwrap().contains(command), "{:?}", unproven.hint(18789));
    let network = network.with_exposure(18789, Exposure::Closed);
    assert_eq!(network.exposure(18789), Exposure::Closed);
    assert_eq!(network.without_exposures(), docker());
}

fn machine(gateways: &[&str]) -> Network {
    Network::new(gateways.iter().map(|ip| ip.parse().unwrap()), 990)
}

/// A machine on a LAN that runs Docker.
fn host(container: Option<Container>) -> Network {
    let links = [
        link("eth0", LinkKind::Veth, &["10.77.0.1/24"]),
        link("docker0", LinkKind::Bridge, &["172.17.0.1/16"]),
        link("virbr0", LinkKind::Bridge, &["192.168.122.1/24"]),
    ];
    machine(&["10.77.0.254"]).with_links(&links, container)
}

fn link(name: &str, kind: LinkKind, addresses: &[&str]) -> Link {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Link { name: name.to_owned(), kind, addresses }
}
