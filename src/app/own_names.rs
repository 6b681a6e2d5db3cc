//! This machine's own names and addresses, as a household's devices dial them: its `.local` name, and what it has on private
//! networks just now.

use std::fs;
use std::net::IpAddr;

use crate::base::limits::OWN_NAMES_MAX;
use crate::listener::{self, Protocol, Serve};
use crate::net::host::Host;
use crate::origin::Network;

/// Where the kernel tells the host's name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// The names and addresses of now under which one of `listeners` is reached, names first. Empty where none is to be reached
/// from another machine.
pub(super) fn of_now(network: &Network, listeners: &[listener::Settings]) -> Vec<Host> {
    of(network, &fs::read_to_string(HOST_NAME).unwrap_or_default(), listeners)
}

fn of(network: &Network, host_name: &str, listeners: &[listener::Settings]) -> Vec<Host> {
    let reached = network.household_addresses().filter(|ip| listeners.iter().any(|listener| serves(listener, *ip)));
    let addresses: Vec<Host> = reached.map(Host::Address).collect();
    if addresses.is_empty() {
        return addresses;
    }
    local_names(host_name.trim()).into_iter().chain(addresses).take(OWN_NAMES_MAX).collect()
}

/// Whether `listener` serves with TLS at `ip`.
fn serves(listener: &listener::Settings, ip: IpAddr) -> bool {
    let at = |bound: IpAddr| bound == ip || (bound.is_unspecified() && bound.is_ipv4() == ip.is_ipv4());
    let with_tls = listener.protocol != Protocol::Http && listener.serve == Serve::All;
    with_tls && listener.bind.iter().any(|address| at(address.ip()))
}

/// The name that multicast DNS answers to (RFC 6762), and the host's whole name where it has more than one label. A single
/// label alone is nobody's: it may be a public domain's name.
fn local_names(host_name: &str) -> Vec<Host> {
    let Ok(Host::Name(whole)) = Host::parse(host_name) else { return Vec::new() };
    let (first, more) = whole.split_once('.').unwrap_or((&whole, ""));
    if first == "localhost" {
        return Vec::new();
    }
    let local = Host::Name(format!("{first}.local"));
    let named = (!more.is_empty() && more != "local").then(|| Host::Name(whole.clone()));
    std::iter::once(local).chain(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::place::Environment;
    use crate::origin::link::{Link, LinkKind};

    #[test]
    fn only_private_addresses_at_which_we_serve_are_ours() {
        let shown = |bind: &str| names(&format!("bind = [\"{bind}\"]"), "pi\n");
        assert_eq!(shown("0.0.0.0:443"), ["pi.local", "192.168.7.7", "10.0.0.9"]);
        assert_eq!(shown("192.168.7.7:443"), ["pi.local", "192.168.7.7"]);
        assert_eq!(shown("[::]:443"), ["pi.local", "[fd00::7]"]);
        assert!(shown("127.0.0.1:443").is_empty() && shown("203.0.113.7:443").is_empty());
        assert!(names("bind = [\"0.0.0.0:80\"]\nprotocol = \"http\"", "pi").is_empty(), "no tls, no certificate");
    }

    #[test]
    fn a_host_name_is_known_by_its_local_name_and_never_by_one_label() {
        for (name, shown) in [
            ("pi", &["pi.local"][..]),
            ("pi.lan", &["pi.local", "pi.lan"]),
            ("pi.local", &["pi.local"]),
            ("com", &["com.local"]),
            ("localhost", &[]),
            ("localhost.localdomain", &[]),
            ("", &[]),
            ("a b", &[]),
            ("192.168.7.7", &[]),
        ] {
            let names: Vec<_> = local_names(name).iter().map(ToString::to_string).collect();
            assert_eq!(names, shown, "{name}");
        }
    }

    fn names(listener: &str, host_name: &str) -> Vec<String> {
        let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
        let text = format!("[edge]\nnames = [\"a.lan\"]\n[[listener]]\n{listener}\n");
        let config = Config::parse(&text, None, &environment).unwrap();
        let link = |name: &str, kind, addresses: &[&str]| Link {
            name: name.to_owned(),
            kind,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let links = [
            link("lo", LinkKind::Other, &["127.0.0.1/8", "::1/128"]),
            link("eth0", LinkKind::Other, &["192.168.7.7/24", "203.0.113.7/24", "fd00::7/64", "fe80::7/64"]),
            link("docker0", LinkKind::Bridge, &["172.17.0.1/16"]),
            link("br0", LinkKind::Bridge, &["10.0.0.9/8"]),
            link("tailscale0", LinkKind::Other, &["100.64.0.7/32"]),
        ];
        let network = Network::default().with_links(&links, None);
        of(&network, host_name, &config.listeners).iter().map(ToString::to_string).collect()
    }
}
