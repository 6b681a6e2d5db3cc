//! What a gateway's settings trust that nobody should, and what doorward does in its place.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use ipnet::IpNet;
use ipnet::Ipv4Net;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::import::settings::Settings;
use crate::import::settings::Stated;
use crate::net::host::Host;
use crate::net::host::Scheme;
use crate::net::host::WebOrigin;
use crate::store::keys::token;

/// One thing that is trusted and should not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    /// The key.
    pub key: &'static str,
    /// What stands there, fit to be shown; never a secret.
    pub found: String,
    /// What is wrong with it.
    pub why: &'static str,
    /// What doorward does.
    pub instead: &'static str,
}

/// Everything that is found in `settings`, in a fixed order.
pub fn find(settings: &Settings) -> Vec<Mistake> {
    let mut found = Vec::new();
    if settings.includes {
        note(
            &mut found,
            "$include",
            "other files",
            "what stands in them was not looked at",
            "reads one file; put all settings of the gateway into one and name it with --openclaw-json",
        );
    }
    auth(settings, &mut found);
    control_ui(settings, &mut found);
    for entry in &settings.gateway.trusted_proxies {
        found.extend(proxy(entry));
    }
    network(settings, &mut found);
    found
}

fn note(found: &mut Vec<Mistake>, key: &'static str, value: impl ToString, why: &'static str, instead: &'static str) {
    found.push(Mistake { key, found: printable(&value.to_string(), LABEL_CHARS_MAX), why, instead });
}

fn auth(settings: &Settings, found: &mut Vec<Mistake>) {
    let auth = &settings.gateway.auth;
    if auth.mode.as_deref() == Some("none") {
        note(
            found,
            "gateway.auth.mode",
            "none",
            "whoever reaches the port is let in",
            "asks everybody for the gateway token or an approved device",
        );
    }
    if auth.mode.as_deref() == Some("trusted-proxy") {
        note(
            found,
            "gateway.auth.mode",
            "trusted-proxy",
            "whoever can send from the proxy's address is whoever they say",
            "takes a name from a proxy only in a token that its issuer signed ([[identity]])",
        );
    }
    if let Stated::Plain(secret) = auth.stated() {
        if !token::is_sound(&secret) {
            note(
                found,
                "the gateway token",
                "not shown",
                "it is short, a sample or made of few characters: it can be guessed",
                "makes a random token of its own and takes no such one",
            );
        }
        if settings.mode & 0o044 != 0 {
            note(
                found,
                "the file itself",
                format!("mode {:04o}", settings.mode),
                "other users of that machine can read the gateway token in it",
                "keeps the token in a file of mode 0600; after this, replace the old one there",
            );
        }
    }
    if auth.allow_tailscale == Some(true) {
        note(
            found,
            "gateway.auth.allowTailscale",
            "true",
            "a header names the person, and whoever reaches the port can send it",
            "asks tailscaled itself who is calling ([tailscale] whois)",
        );
    }
    if auth.trusted_proxy.device_auto_approve.enabled {
        note(
            found,
            "gateway.auth.trustedProxy.deviceAutoApprove",
            "enabled",
            "devices are let in by a header, without a person's word",
            "lets a person approve each device, or a rule that names the verified identity",
        );
    }
    if auth.trusted_proxy.allow_loopback {
        note(
            found,
            "gateway.auth.trustedProxy.allowLoopback",
            "true",
            "every program on that machine can say that it is anybody",
            "asks the kernel whose program a caller at loopback is",
        );
    }
}

fn control_ui(settings: &Settings, found: &mut Vec<Mistake>) {
    let ui = &settings.gateway.control_ui;
    if ui.dangerously_disable_device_auth {
        note(
            found,
            "gateway.controlUi.dangerouslyDisableDeviceAuth",
            "true",
            "whoever has the token is in, from anywhere, and nobody can be taken out again",
            "knows each browser by a key of its own, always; TLS makes that possible everywhere",
        );
    }
    if ui.allow_insecure_auth {
        note(
            found,
            "gateway.controlUi.allowInsecureAuth",
            "true",
            "the token goes over the network in plain text and is enough alone",
            "serves TLS with a certificate of its own CA or a public one, so that browsers have their key",
        );
    }
    if ui.dangerously_allow_host_header_origin_fallback {
        note(
            found,
            "gateway.controlUi.dangerouslyAllowHostHeaderOriginFallback",
            "true",
            "a page that leads its own name to that address is taken for yours (DNS rebinding)",
            "answers only the names in edge.names",
        );
    }
    for origin in &ui.allowed_origins {
        match WebOrigin::parse(origin.trim()) {
            Err(_) if origin.contains('*') => note(
                found,
                "gateway.controlUi.allowedOrigins",
                origin,
                "every web page that you visit may talk to the gateway",
                "takes its own origin and those in edge.origins, each written out",
            ),
            Err(_) => note(found, "gateway.controlUi.allowedOrigins", origin, "it is no origin", "leaves it out"),
            Ok(WebOrigin { scheme: Scheme::Http, host, .. }) if !host.is_loopback() => note(
                found,
                "gateway.controlUi.allowedOrigins",
                origin,
                "whoever sits on the way can change that page",
                "is reached by https; leaves it out",
            ),
            Ok(_) => {}
        }
    }
}

fn network(settings: &Settings, found: &mut Vec<Mistake>) {
    let gateway = &settings.gateway;
    if gateway.allow_real_ip_fallback {
        note(
            found,
            "gateway.allowRealIpFallback",
            "true",
            "a proxy that does not set that header passes on what a stranger wrote in it",
            "reads one header, the one that client_ip_header names",
        );
    }
    if let Some(bind @ ("lan" | "custom" | "tailnet")) = gateway.bind.as_deref().filter(|_| !gateway.tls.enabled) {
        note(
            found,
            "gateway.bind",
            bind,
            "the token goes over the network in plain text",
            "serves everything but loopback by TLS",
        );
    }
    if gateway.tailscale.mode.as_deref() == Some("funnel") {
        note(
            found,
            "gateway.tailscale.mode",
            "funnel",
            "the whole Internet comes in as 127.0.0.1",
            "takes a program of root's at loopback for a stranger: name it only where it adds no header",
        );
    }
}

/// What is wrong with an entry of `trustedProxies`.
fn proxy(entry: &str) -> Option<Mistake> {
    let (why, instead) = match judge(entry) {
        Judged::Bridge => (
            "a container runtime shows strangers with that address: each of them can say that he is anybody",
            "never trusts the gateway of a bridge; it names each proxy by its own address",
        ),
        Judged::Everyone => ("everybody can say that he is anybody", "refuses it"),
        Judged::Unreadable => ("it is no address, so nobody knows whom it trusts", "refuses it"),
        Judged::Wide => (
            "everybody in that range can say that he is anybody",
            "names each proxy by its own address in trusted_proxies",
        ),
        Judged::Proxy(_) => return None,
    };
    let mut found = Vec::new();
    note(&mut found, "gateway.trustedProxies", entry, why, instead);
    found.pop()
}

/// What an entry of `trustedProxies` is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Judged {
    /// The gateway of a bridge, or a range with one.
    Bridge,
    /// No range at all.
    Everyone,
    /// One address, which may be a proxy's own.
    Proxy(IpAddr),
    /// Neither an address nor a range.
    Unreadable,
    /// More than one address.
    Wide,
}

/// Judges an entry of `trustedProxies`.
pub(super) fn judge(entry: &str) -> Judged {
    let entry = entry.trim();
    let range = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(|ip| IpNet::from(ip.to_canonical())));
    let Ok(range) = range else { return Judged::Unreadable };
    if range.prefix_len() == 0 {
        return Judged::Everyone;
    }
    let is_host = range.prefix_len() == range.max_prefix_len();
    let ip = range.addr().to_canonical();
    if BRIDGES.iter().any(|bridge| is_bridge(&range, bridge)) {
        return Judged::Bridge;
    }
    if is_host { Judged::Proxy(ip) } else { Judged::Wide }
}

/// Where container runtimes put their bridges, and whether each address there hides callers, or the first one of each
/// network does.
const BRIDGES: [(Ipv4Net, Hides); 9] = [
    // Docker's default pools, and networks of one's own within the first.
    (Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12), Hides::First { bits: 24 }),
    (Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16), Hides::First { bits: 20 }),
    // Podman's first network, and those that it makes: 10.89.0.0 to the end of 10.0.0.0/8.
    (Ipv4Net::new_assert(Ipv4Addr::new(10, 88, 0, 0), 15), Hides::First { bits: 24 }),
    (Ipv4Net::new_assert(Ipv4Addr::new(10, 90, 0, 0), 15), Hides::First { bits: 24 }),
    (Ipv4Net::new_assert(Ipv4Addr::new(10, 92, 0, 0), 14), Hides::First { bits: 24 }),
    (Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 11), Hides::First { bits: 24 }),
    (Ipv4Net::new_assert(Ipv4Addr::new(10, 128, 0, 0), 9), Hides::First { bits: 24 }),
    // The virtual machine of Docker Desktop, and that of slirp4netns.
    (Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 65, 0), 24), Hides::All),
    (Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 0), 24), Hides::All),
];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Hides {
    All,
    /// The first address of each network of so many bits.
    First {
        bits: u8,
    },
}

fn is_bridge(range: &IpNet, (bridge, hides): &(Ipv4Net, Hides)) -> bool {
    let IpNet::V4(range) = range else { return false };
    match hides {
        _ if !bridge.contains(range) && !range.contains(bridge) => false,
        Hides::First { bits } if range.prefix_len() > *bits => {
            let network = Ipv4Net::new(range.addr(), *bits).map_or(range.addr(), |network| network.network());
            range.contains(&Ipv4Addr::from(u32::from(network).saturating_add(1)))
        }
        Hides::All | Hides::First { .. } => true,
    }
}

/// The names by which the gateway was reached, as far as its settings tell.
pub(super) fn names(settings: &Settings) -> Vec<Host> {
    let gateway = &settings.gateway;
    let origins = gateway.public_origin.iter().chain(&gateway.control_ui.allowed_origins);
    let mut names = Vec::new();
    for origin in origins.filter_map(|origin| WebOrigin::parse(origin.trim()).ok()) {
        if !origin.host.is_loopback() && !names.contains(&origin.host) {
            names.push(origin.host);
        }
    }
    names
}
