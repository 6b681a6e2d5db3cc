//! The household: a host that runs doorward and a LAN machine, joined by a cable, with IPv4 and IPv6.

use super::namespace::Namespace;

/// A host (10.77.0.1, fd77::1) and a LAN machine (10.77.0.2, fd77::2).
#[derive(Debug)]
pub(crate) struct Household {
    pub(crate) host: Namespace,
    pub(crate) lan: Namespace,
}

/// doorward on that host: its loopback for the owner, its LAN addresses with TLS for everybody else.
pub(crate) const HOUSEHOLD: &str = r#"
[edge]
names = ["10.77.0.1", "fd77::1"]

[[listener]]
name = "home"
bind = ["127.0.0.1:18789", "[::1]:18789"]
protocol = "auto"
local = "loopback"
local_uids = [0]

[[listener]]
name = "lan"
bind = ["10.77.0.1:8443", "[fd77::1]:8443"]
protocol = "https"
"#;

/// doorward on that host behind one door, with the certificate `claw.crt` for `claw.lan`.
pub(crate) const CLAW_DOOR: &str = r#"
[edge]
names = ["claw.lan"]

[[listener]]
name = "door"
bind = ["10.77.0.1:8443"]

[[certificates.file]]
cert = "claw.crt"
key = "claw.key"
"#;

impl Household {
    /// Both machines, cabled.
    pub(crate) fn new() -> Self {
        let (host, lan) = (Namespace::new(), Namespace::new());
        host.cable("lan0", &lan, "eth0");
        for address in ["10.77.0.1/24", "fd77::1/64"] {
            host.address("lan0", address);
        }
        for address in ["10.77.0.2/24", "fd77::2/64"] {
            lan.address("eth0", address);
        }
        Self { host, lan }
    }
}
