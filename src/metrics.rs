//! The numbers of a running instance, for a monitor of its owner's: `GET /metrics` in Prometheus' text format, on addresses
//! of their own that no listener for callers shares.
//!
//! Promise: nothing that a stranger chose is ever in it. What tells rows apart is a word of this program, the name of a
//! listener or a name that a certificate of ours is for, so that no flood of names makes it grow. No secret, address or device
//! is in it.

mod answer;
mod numbers;
mod page;
mod process;
pub mod server;

use std::net::{IpAddr, SocketAddr};

use crate::origin::class::is_private;

pub use numbers::{Numbers, Sources};

/// `[admin]`: where the numbers are read; nowhere unless configured.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// The addresses, all of them or none.
    pub bind: Vec<SocketAddr>,
}

/// Whether only this machine, its own networks or a tailnet can dial `ip`. A wildcard is every address that there is.
pub fn is_kept_in(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || is_private(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_internet_cannot_dial_is_kept_in() {
        for (ip, kept_in) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("10.0.0.5", true),
            ("172.18.0.2", true),
            ("192.168.1.2", true),
            ("100.64.0.7", true),
            ("fd7a:115c:a1e0::1", true),
            ("fe80::1", true),
            ("0.0.0.0", false),
            ("::", false),
            ("203.0.113.7", false),
            ("::ffff:203.0.113.7", false),
            ("2001:db8::1", false),
            ("172.32.0.1", false),
        ] {
            assert_eq!(is_kept_in(ip.parse().unwrap()), kept_in, "{ip}");
        }
    }
}
