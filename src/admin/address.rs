//! The address a person types to reach the dashboard, out of what is configured.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::edge;
use crate::listener;
use crate::listener::Protocol;
use crate::listener::Serve;
use crate::net::host::Host;
use crate::net::host::Scheme;
use crate::net::host::WebOrigin;
use crate::origin::LocalRule;

/// The best address among `listeners`: one where the owner is local, else one with a configured name.
pub fn dashboard<'a>(
    listeners: impl Iterator<Item = &'a listener::Settings> + Clone,
    names: &[Host],
    https_port: u16,
) -> Option<String> {
    let local = |listener: &&listener::Settings| listener.origin.local != LocalRule::Never;
    let serving = || listeners.clone().filter(|listener| listener.serve == Serve::All);
    let of_local = serving().filter(local).find_map(|listener| {
        let bound = match listener.origin.local {
            // In a container: the owner's browser is on the host.
            LocalRule::PublishedLoopback { port, .. } => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            LocalRule::Loopback { .. } | LocalRule::Never => preferred(&listener.bind)?,
        };
        // A browser calls loopback secure without TLS, and no certificate warning is in the way.
        let scheme = if listener.protocol == Protocol::Https { Scheme::Https } else { Scheme::Http };
        Some(WebOrigin { scheme, host: Host::Address(bound.ip()), port: bound.port() })
    });
    let named = || {
        let listener = serving().find(|listener| !local(listener))?;
        let bound = preferred(&listener.bind)?;
        // Plain http stands behind a proxy, which has the public port.
        let port = if listener.protocol == Protocol::Http { https_port } else { bound.port() };
        let host = names.first().cloned()?;
        Some(WebOrigin { scheme: Scheme::Https, host, port })
    };
    of_local.or_else(named).map(|origin| format!("{origin}/"))
}

/// Whether callers dial the ports that we bind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ports {
    /// They do.
    AsBound,
    /// A container's runtime maps them.
    Mapped,
}

/// Whether `listener` serves more than this machine.
pub(super) fn is_far(listener: &listener::Settings) -> bool {
    listener.serve == Serve::All && listener.origin.local == LocalRule::Never
}

/// Whether `host` is found by multicast DNS alone (RFC 6762).
pub(super) fn is_multicast(host: &Host) -> bool {
    matches!(host, Host::Name(name) if name.ends_with(".local"))
}

/// The address for a device that is anywhere: that of the first configured name that any device finds, where a listener
/// serves more than this machine, else the best one for the owner. Its port is `https_port`, unless all that we bind for TLS are others.
pub fn anywhere<'a>(
    listeners: impl Iterator<Item = &'a listener::Settings> + Clone,
    edge: &edge::Settings,
    ports: Ports,
) -> Option<WebOrigin> {
    let mut names = edge.names.iter().chain(&edge.own).filter(|host| !host.is_loopback());
    // What needs multicast DNS is found by few phones.
    let found = names.clone().find(|host| !is_multicast(host));
    let bound: Vec<_> = listeners
        .clone()
        .filter(|listener| is_far(listener) && listener.protocol != Protocol::Http)
        .flat_map(|listener| &listener.bind)
        .map(SocketAddr::port)
        .collect();
    let other = bound.first().filter(|_| ports == Ports::AsBound && !bound.contains(&edge.https_port));
    let port = other.copied().unwrap_or(edge.https_port);
    let named = listeners.clone().any(is_far).then(|| found.or_else(|| names.next())).flatten();
    let named = named.map(|host| WebOrigin { scheme: Scheme::Https, host: host.clone(), port });
    named.or_else(|| {
        let names: Vec<_> = edge.names.iter().chain(&edge.own).cloned().collect();
        WebOrigin::parse(dashboard(listeners, &names, edge.https_port)?.trim_end_matches('/')).ok()
    })
}

/// IPv4 before IPv6: people read it more easily, and it is what the gateway's own tools use.
fn preferred(bind: &[SocketAddr]) -> Option<SocketAddr> {
    let ipv4 = |address: &&SocketAddr| matches!(address.ip(), IpAddr::V4(_));
    bind.iter().find(ipv4).or(bind.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::place::Environment;

    fn address(text: &str) -> Option<String> {
        let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
        let config = Config::parse(text, None, &environment).unwrap();
        dashboard(config.listeners.iter(), &config.edge.names, config.edge.https_port)
    }

    #[test]
    fn the_owner_is_sent_where_he_is_local() {
        assert_eq!(address("").as_deref(), Some("http://127.0.0.1:18789/"));
        let lan = "[edge]\nnames = [\"claw.lan\"]\n[[listener]]\nbind = [\"[::]:443\"]\n";
        assert_eq!(address(lan).as_deref(), Some("https://claw.lan/"));
        let both = format!("{lan}[[listener]]\nbind = [\"[::1]:7\"]\nlocal = \"loopback\"\n");
        assert_eq!(address(&both).as_deref(), Some("https://[::1]:7/"));
        let published = "[[listener]]\nbind = [\"0.0.0.0:18789\"]\nprotocol = \"auto\"\n\
                         local = \"published-loopback\"\npublished_port = 8080\n";
        assert_eq!(address(published).as_deref(), Some("http://127.0.0.1:8080/"));
    }

    #[test]
    fn behind_a_proxy_the_public_port_counts() {
        let proxied = "[edge]\nnames = [\"claw.example\"]\nhttps_port = 8443\n[[listener]]\nbind = [\"10.0.0.5:8080\"]\n\
                       protocol = \"http\"\nserve = \"all\"\ntrusted_proxies = [\"10.0.0.2\"]\n";
        assert_eq!(address(proxied).as_deref(), Some("https://claw.example:8443/"));
    }

    #[test]
    fn a_device_anywhere_is_sent_to_the_first_name_that_is_served_to_all() {
        let anywhere_by = |text: &str, ports: Ports| {
            let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
            let config = Config::parse(text, None, &environment).unwrap();
            super::anywhere(config.listeners.iter(), &config.edge, ports).map(|door| door.to_string())
        };
        let anywhere = |text: &str| anywhere_by(text, Ports::Mapped);
        let names = "[edge]\nnames = [\"localhost\", \"claw.example\", \"b.example\"]\nhttps_port = 8443\n";
        let far = "[[listener]]\nbind = [\"0.0.0.0:443\"]\n";
        let mdns = "[edge]\nnames = [\"pi.local\", \"192.168.7.7\"]\n";
        assert_eq!(anywhere(&format!("{mdns}{far}")).as_deref(), Some("https://192.168.7.7"));
        assert_eq!(
            anywhere(&format!("{}{far}", mdns.replace("\"192.168.7.7\"", ""))).as_deref(),
            Some("https://pi.local")
        );
        let near =
            "[[listener]]\nname = \"near\"\nbind = [\"127.0.0.1:18789\"]\nprotocol = \"auto\"\nlocal = \"loopback\"\n";
        let redirect = "[[listener]]\nname = \"plain\"\nbind = [\"0.0.0.0:80\"]\nprotocol = \"http\"\n";
        assert_eq!(anywhere(&format!("{names}{near}{far}")).as_deref(), Some("https://claw.example:8443"));
        assert_eq!(anywhere(&format!("{names}{near}")).as_deref(), Some("http://127.0.0.1:18789"));
        // Nobody maps a port of a machine's own.
        let bound = format!("{names}{far}");
        assert_eq!(anywhere_by(&bound, Ports::AsBound).as_deref(), Some("https://claw.example"));
        let both = format!("{names}{far}[[listener]]\nname = \"more\"\nbind = [\"0.0.0.0:8443\"]\n");
        assert_eq!(anywhere_by(&both, Ports::AsBound).as_deref(), Some("https://claw.example:8443"));
        assert_eq!(anywhere("").as_deref(), Some("http://127.0.0.1:18789"));
        assert_eq!(anywhere(&format!("{names}{redirect}")), None);
    }

    #[test]
    fn there_may_be_none() {
        assert_eq!(address("[[listener]]\nbind = [\"0.0.0.0:80\"]\nprotocol = \"http\"\n"), None);
        assert_eq!(address("[[listener]]\nbind = [\"0.0.0.0:443\"]\n"), None);
    }
}
