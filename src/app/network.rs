//! What this machine's network looks like now, read from the kernel and from what a container runtime left behind; and
//! whether a listener trusts what our own container network hides strangers behind.

mod links;

use std::fs;
use std::io;
use std::path::Path;

use crate::listener;
use crate::net::range::Ranges;
use crate::origin::container::{Container, Mark, Traces};
use crate::origin::{Network, ProxyProtocol, TrustOwnBridge};

use super::AppError;

/// The network of now.
///
/// # Errors
/// When the routes cannot be read: whom gateways hide is then not known.
pub(super) fn read() -> io::Result<Network> {
    let own_uid = rustix::process::geteuid().as_raw();
    let network = Network::from_routes(&table("/proc/net/route")?, &table("/proc/net/ipv6_route")?, own_uid);
    // A sandbox without netlink: no neighbour is told from others then, and no forwarder is believed.
    let links = links::links().unwrap_or_else(|error| {
        tracing::debug!(%error, "links cannot be read");
        Vec::new()
    });
    Ok(network.on(&links, container()))
}

/// What of our own container networks `listeners` trust, though every stranger can look like it.
pub(super) fn judge(listeners: &[listener::Settings], network: &Network) -> Vec<AppError> {
    let mut faults = Vec::new();
    for listener in listeners.iter().filter(|listener| listener.origin.own_bridge == TrustOwnBridge::No) {
        let mut trusted = vec![("trusted_proxies", &listener.origin.trusted_proxies)];
        if let ProxyProtocol::Required { from } = &listener.origin.proxy_protocol {
            trusted.push(("proxy_protocol_from", from));
        }
        for (list, ranges) in trusted {
            faults.extend(masks(ranges, network).map(|(entry, bridge)| AppError::OwnBridge {
                listener: listener.name.clone(),
                list,
                entry,
                bridge,
            }));
        }
    }
    faults
}

fn masks<'a>(ranges: &'a Ranges, network: &'a Network) -> impl Iterator<Item = (String, String)> + 'a {
    let shown = |range: ipnet::IpNet| {
        if range.prefix_len() == range.max_prefix_len() { range.addr().to_string() } else { range.to_string() }
    };
    ranges.iter().filter_map(move |range| Some((shown(range), shown(network.masks_in(range)?))))
}

fn container() -> Option<Container> {
    let marks: Vec<Mark> = Mark::ALL.into_iter().filter(|mark| Path::new(mark.path()).exists()).collect();
    // What cannot be read proves nothing.
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let (cgroup, mountinfo) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    Container::detect(&Traces { marks: &marks, cgroup: &cgroup, mountinfo: &mountinfo })
}

/// A routing table of the kernel; a kernel without that protocol has none, and so no route by it.
fn table(file: &str) -> io::Result<String> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| io::Error::new(error.kind(), format!("{error}: {file}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::place::Environment;
    use crate::origin::link::{Link, LinkKind};

    const MACHINE: &str =
        "[edge]\nnames = [\"claw.example\"]\n[[listener]]\nname = \"web\"\nbind = [\"0.0.0.0:443\"]\n";

    #[test]
    fn this_machine_can_be_read() {
        let network = read().unwrap();
        assert_eq!(network.own_uid(), rustix::process::geteuid().as_raw());
        let loopback = |link: &Link| link.addresses.contains(&"127.0.0.1/8".parse().unwrap());
        assert!(links::links().unwrap().iter().any(loopback), "{:?}", links::links());
    }

    #[test]
    fn the_bridge_that_hides_everybody_is_trusted_by_an_explicit_word_only() {
        let link =
            Link { name: "eth0".to_owned(), kind: LinkKind::Veth, addresses: vec!["172.18.0.2/16".parse().unwrap()] };
        let network = Network::new(["172.18.0.1".parse().unwrap()], 0).on(&[link], Some(Container::Mount));
        let faults = |keys: &str| {
            let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
            let config = Config::parse(&format!("{MACHINE}{keys}\n"), None, &environment).unwrap();
            judge(&config.listeners, &network).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (keys, expected) in [
            ("trusted_proxies = [\"172.18.0.1\"]", Some("trusts 172.18.0.1 in trusted_proxies")),
            ("trusted_proxies = [\"10.0.0.2\", \"172.18.0.0/16\"]", Some("trusts 172.18.0.0/16 in trusted_proxies")),
            (
                "proxy_protocol = \"required\"\nproxy_protocol_from = [\"172.18.0.1\"]",
                Some("trusts 172.18.0.1 in proxy_protocol_from"),
            ),
            ("trusted_proxies = [\"172.18.0.7\", \"127.0.0.1\", \"::1\"]", None),
            ("trusted_proxies = [\"172.18.0.1\"]\ndanger_trust_own_bridge = true", None),
        ] {
            let found = faults(keys);
            assert_eq!(found.len(), usize::from(expected.is_some()), "{keys}: {found:?}");
            assert!(found.iter().zip(expected).all(|(found, part)| found.contains(part)), "{keys}: {found:?}");
        }
    }
}
