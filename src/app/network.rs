//! What this machine's network looks like now, read from the kernel and from what a container runtime left behind.

mod links;

use std::fs;
use std::io;
use std::path::Path;

use crate::origin::Network;
use crate::origin::container::{Container, Mark, Traces};

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

fn container() -> Option<Container> {
    // A network that somebody made inside (a namespace of a test, a VPN's) is not the one that the runtime gave. Where
    // the first process may not be looked at, ours counts as its own.
    let network_of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    if network_of("1").zip(network_of("self")).is_some_and(|(first, own)| first != own) {
        return None;
    }
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
    use crate::origin::link::Link;

    #[test]
    fn this_machine_can_be_read() {
        let network = read().unwrap();
        assert_eq!(network.own_uid(), rustix::process::geteuid().as_raw());
        let loopback = |link: &Link| link.addresses.contains(&"127.0.0.1/8".parse().unwrap());
        assert!(links::links().unwrap().iter().any(loopback), "{:?}", links::links());
    }
}
