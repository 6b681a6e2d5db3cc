//! What this machine's network looks like now, read from the kernel and from what a container runtime left behind.

mod links;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::limits::ANCESTORS_MAX;
use crate::origin::Network;
use crate::origin::container::{Container, Mark, Traces, Users};

/// A look at the network.
pub(super) struct Looked {
    /// What was found.
    pub(super) network: Network,
    /// What could not be.
    pub(super) unread: Option<LinksUnread>,
}

/// The kernel does not tell of its links, as in a sandbox without netlink: no neighbour is told from others then, and no
/// forwarder is believed.
#[derive(Debug, Error)]
#[error(
    "the kernel does not tell of this machine's links, so no container is told from others and nobody is local there: {0}"
)]
pub(super) struct LinksUnread(#[from] io::Error);

impl LinksUnread {
    /// What to do about it.
    pub(super) fn hint(&self) -> &'static str {
        "let this process open netlink sockets: RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK in its systemd \
         unit, socket(AF_NETLINK) in its seccomp profile"
    }
}

/// The network of now.
///
/// # Errors
/// When the routes cannot be read: whom gateways hide is then not known.
pub(super) fn read() -> io::Result<Looked> {
    let own_uid = rustix::process::geteuid().as_raw();
    let network = Network::from_routes(&table("/proc/net/route")?, &table("/proc/net/ipv6_route")?, own_uid);
    let (links, unread) = match links::links() {
        Ok(links) => (links, None),
        Err(error) => (Vec::new(), Some(error.into())),
    };
    let network = network.with_links(&links, container()).with_users(users());
    Ok(Looked { network, unread })
}

fn users() -> Users {
    match fs::read_to_string("/proc/self/uid_map") {
        Ok(map) => Users::of(&map),
        // A kernel that maps nobody's users.
        Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new("/proc/self").exists() => Users::Machine,
        Err(_) => Users::Mapped,
    }
}

fn container() -> Option<Container> {
    // A network that somebody made inside (a namespace of a test, a VPN's) is not the one that the runtime gave.
    if is_other(&network_of("self"), ancestors().map(|process| network_of(&process))) {
        return None;
    }
    let marks: Vec<Mark> = Mark::ALL.into_iter().filter(|mark| Path::new(mark.path()).exists()).collect();
    // What cannot be read proves nothing.
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let (cgroup, mountinfo) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    Container::detect(&Traces { marks: &marks, cgroup: &cgroup, mountinfo: &mountinfo })
}

/// Whether one of `theirs` is another network than `own`. Those that we may not look at say nothing.
fn is_other(own: &Option<PathBuf>, theirs: impl IntoIterator<Item = Option<PathBuf>>) -> bool {
    own.is_some() && theirs.into_iter().any(|network| network.is_some() && network != *own)
}

/// The name of a process's network namespace.
fn network_of(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

/// Those we descend from, our parent first, and the first process of all. A container may not let us look at the last
/// one, but at whoever started us elsewhere than it is itself.
fn ancestors() -> impl Iterator<Item = String> {
    let parent = |process: &String| parent_in(&fs::read_to_string(format!("/proc/{process}/status")).ok()?);
    std::iter::successors(parent(&"self".to_owned()), parent).take(ANCESTORS_MAX).chain(["1".to_owned()])
}

/// The parent that `/proc/<process>/status` names; the kernel says 0 for one that we cannot see.
fn parent_in(status: &str) -> Option<String> {
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    (parent != "0").then(|| parent.to_owned())
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
        let Looked { network, unread } = read().unwrap();
        assert!(unread.is_none(), "{unread:?}");
        assert_eq!(network.own_uid(), rustix::process::geteuid().as_raw());
        let loopback = |link: &Link| link.addresses.contains(&"127.0.0.1/8".parse().unwrap());
        assert!(links::links().unwrap().iter().any(loopback), "{:?}", links::links());
    }

    #[test]
    fn a_network_other_than_that_of_those_who_started_us_is_not_the_runtimes() {
        let network = |number: u32| Some(PathBuf::from(format!("net:[{number}]")));
        for (own, theirs, other) in [
            (network(1), vec![network(1), network(1)], false),
            (network(1), vec![network(1), network(2)], true),
            (network(1), vec![network(2), network(1)], true),
            (network(1), vec![None, network(2)], true),
            // Nobody may be looked at: ours counts as the runtime's.
            (network(1), vec![None, None], false),
            (network(1), vec![], false),
            (None, vec![network(2)], false),
        ] {
            assert_eq!(is_other(&own, theirs.clone()), other, "{own:?} {theirs:?}");
        }
    }

    #[test]
    fn those_we_descend_from_are_known_up_to_the_first() {
        assert_eq!(parent_in("Name:\tx\nPid:\t7\nPPid:\t5\nTracerPid:\t0\n").as_deref(), Some("5"));
        assert_eq!(parent_in("PPid:\t0\n"), None);
        assert_eq!(parent_in("Name:\tPPid:\n"), None);
        let found: Vec<String> = ancestors().collect();
        assert_eq!(found.first(), Some(&std::os::unix::process::parent_id().to_string()), "{found:?}");
        assert_eq!(found.last().map(String::as_str), Some("1"));
    }
}
