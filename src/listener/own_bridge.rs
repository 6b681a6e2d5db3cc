//! Whether a listener trusts what our own container network hides strangers behind: no configuration may begin to hold
//! that does, unless the operator says so in words.

use ipnet::IpNet;
use thiserror::Error;

use super::Settings;
use crate::origin::{Network, ProxyProtocol, TrustOwnBridge};

/// A trusted range that takes in our own container network, or its gateway.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("listener {listener} trusts {entry} in {list}, and that takes in {bridge} of our own container network")]
pub struct OwnBridgeError {
    listener: String,
    list: &'static str,
    entry: String,
    bridge: String,
}

impl OwnBridgeError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        "the runtime shows strangers with that address, and each could then claim to be anybody: trust your proxy's own \
         address alone (docker inspect names it); if nobody else can come that way, set danger_trust_own_bridge = true"
    }
}

/// Judges the lists of all `listeners` on a machine with this `network`.
///
/// # Errors
/// The first list that would believe everybody.
pub fn judge(listeners: &[Settings], network: &Network) -> Result<(), OwnBridgeError> {
    for listener in listeners.iter().filter(|listener| listener.origin.own_bridge == TrustOwnBridge::No) {
        let from = match &listener.origin.proxy_protocol {
            ProxyProtocol::Off => None,
            ProxyProtocol::Required { from } => Some(("proxy_protocol_from", from)),
        };
        for (list, ranges) in [("trusted_proxies", &listener.origin.trusted_proxies)].into_iter().chain(from) {
            let masked = ranges.iter().find_map(|range| Some((range, network.masks_in(range)?)));
            if let Some((entry, bridge)) = masked {
                let (entry, bridge) = (shown(entry), shown(bridge));
                return Err(OwnBridgeError { listener: listener.name.clone(), list, entry, bridge });
            }
        }
    }
    Ok(())
}

fn shown(range: IpNet) -> String {
    if range.prefix_len() == range.max_prefix_len() { range.addr().to_string() } else { range.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::{Protocol, Serve};
    use crate::net::range::{Ranges, Width};
    use crate::origin;
    use crate::origin::container::Container;
    use crate::origin::link::{Link, LinkKind};

    #[test]
    fn the_bridge_that_hides_everybody_is_trusted_by_an_explicit_word_only() {
        let addresses = vec!["172.18.0.2/16".parse().unwrap()];
        let link = Link { name: "eth0".to_owned(), kind: LinkKind::Veth, addresses };
        let network = Network::new(["172.18.0.1".parse().unwrap()], 0).with_links(&[link], Some(Container::Mount));
        let ranges = |entries: &[&str]| Ranges::parse(entries, Width::Narrow).unwrap();
        let judged = |trusted: &[&str], from: &[&str], own_bridge| {
            let proxy_protocol = match from {
                [] => ProxyProtocol::Off,
                from => ProxyProtocol::Required { from: ranges(from) },
            };
            let origin =
                origin::Settings { proxy_protocol, trusted_proxies: ranges(trusted), own_bridge, ..Default::default() };
            let (protocol, serve) = (Protocol::Https, Serve::All);
            let settings = Settings { name: "web".to_owned(), bind: Vec::new(), protocol, serve, origin };
            judge(&[settings], &network).map_err(|error| error.to_string())
        };
        for (trusted, from, part) in [
            (&["172.18.0.1"][..], &[][..], "trusts 172.18.0.1 in trusted_proxies"),
            (&["10.0.0.2", "172.18.0.0/16"], &[], "trusts 172.18.0.0/16 in trusted_proxies"),
            (&[], &["172.18.0.1"], "trusts 172.18.0.1 in proxy_protocol_from"),
        ] {
            let error = judged(trusted, from, TrustOwnBridge::No).unwrap_err();
            assert!(error.contains(part) && error.contains("takes in 172.18.0.1 of"), "{error}");
            assert_eq!(judged(trusted, from, TrustOwnBridge::Allowed), Ok(()));
        }
        assert_eq!(judged(&["172.18.0.7", "127.0.0.1", "::1"], &["172.18.0.8"], TrustOwnBridge::No), Ok(()));
    }
}
