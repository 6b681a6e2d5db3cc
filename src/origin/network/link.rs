//! An interface of this machine, as the kernel describes it.

use ipnet::IpNet;

/// One interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: LinkKind,
    /// Its addresses, each with the prefix of the network it is on.
    pub addresses: Vec<IpNet>,
}

/// What kind of interface, as far as it matters who is behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LinkKind {
    /// A bridge: whoever has one joins others, a container runtime's host most of all.
    Bridge,
    /// Hardware, a tunnel, a neighbour on the host's own network: anything else.
    Other,
    /// One end of a virtual cable: what Docker and Podman give a container on a bridge network.
    Veth,
}

/// Names that container runtimes give the bridges they make.
const RUNTIME_BRIDGES: [&str; 9] =
    ["docker", "br-", "podman", "cni", "nerdctl", "lxcbr", "lxdbr", "incusbr", "cilium_"];

impl Link {
    /// Whether this is a bridge that a container runtime made.
    pub(super) fn is_runtime_bridge(&self) -> bool {
        self.kind == LinkKind::Bridge && RUNTIME_BRIDGES.iter().any(|prefix| self.name.starts_with(prefix))
    }
}
