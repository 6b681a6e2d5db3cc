//! A `doorward.toml` for what a gateway's settings mean, without what they should not have trusted.

use std::fmt::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use crate::base::limits::SHOWN_PATH_CHARS_MAX;
use crate::base::printable::printable;
use crate::import::mistakes;
use crate::import::mistakes::Judged;
use crate::import::settings::Settings;
use crate::net::host::Scheme;
use crate::net::host::WebOrigin;

/// The gateway's own port where its settings name none.
const PORT: u16 = 18789;
/// Where the LAN comes in by TLS, or the second where the gateway had the first.
const TLS_PORT: u16 = 8443;
const OTHER_TLS_PORT: u16 = 18443;

/// Whom a gateway let in by its `bind`.
enum Reach {
    /// Its own machine.
    Loopback,
    /// One address of its.
    One(IpAddr),
    /// Every address.
    All,
    /// Its tailnet.
    Tailnet,
}

/// The configuration, as text.
pub fn toml(settings: &Settings) -> String {
    let gateway = &settings.gateway;
    let port = gateway.port.filter(|port| *port != 0).unwrap_or(PORT);
    let tls = if port == TLS_PORT { OTHER_TLS_PORT } else { TLS_PORT };
    let mut text =
        "# Made by `doorward import openclaw`; conf/reference.toml tells every key. Judge it with `doorward check`.\n"
            .to_owned();
    let reach = reach(settings);
    edge(&mut text, settings, &reach, tls);
    let _ = write!(
        text,
        "\n# The owner, at this machine, on the port that the gateway had: stop it there, or move it to another.\n\
         [[listener]]\nname = \"local\"\nbind = [\"127.0.0.1:{port}\", \"[::1]:{port}\"]\nprotocol = \"auto\"\nlocal = \"loopback\"\n"
    );
    match reach {
        Reach::All => lan(&mut text, &[IpAddr::V4(Ipv4Addr::UNSPECIFIED)], tls),
        Reach::One(ip) => lan(&mut text, &[ip], tls),
        Reach::Loopback => {}
        Reach::Tailnet => {
            let _ = write!(
                text,
                "\n# Its tailnet: put this machine's address in the tailnet here (tailscale ip), and its name into edge.names.\n\
                 #[[listener]]\n#name = \"tailnet\"\n#bind = [\"100.64.0.1:{tls}\"]\n"
            );
        }
    }
    proxies(&mut text, settings, port, tls);
    if gateway.auth.allow_tailscale == Some(true)
        || gateway.tailscale.mode.is_some()
        || gateway.bind.as_deref() == Some("tailnet")
    {
        text.push_str("\n# Who calls from the tailnet, by tailscaled's own word.\n#[tailscale]\n#whois = true\n#certificates = true\n");
    }
    if let (Some(cert), Some(key)) = (&gateway.tls.cert_path, &gateway.tls.key_path) {
        let shown = |path: &str| printable(path, SHOWN_PATH_CHARS_MAX);
        let _ = write!(
            text,
            "\n# Its certificate, once the key is a file of mode 0600 of the user that runs doorward.\n\
             #[[certificates.file]]\n#cert = \"{}\"\n#key = \"{}\"\n",
            shown(cert),
            shown(key)
        );
    }
    text
}

fn reach(settings: &Settings) -> Reach {
    let gateway = &settings.gateway;
    match (gateway.bind.as_deref(), gateway.custom_bind_host.as_deref().map(|host| host.trim().parse::<IpAddr>())) {
        (Some("lan"), _) => Reach::All,
        (Some("custom"), Some(Ok(ip))) if ip.is_unspecified() => Reach::All,
        (Some("custom"), Some(Ok(ip))) if !ip.is_loopback() => Reach::One(ip),
        (Some("tailnet"), _) => Reach::Tailnet,
        _ => Reach::Loopback,
    }
}

fn edge(text: &mut String, settings: &Settings, reach: &Reach, tls: u16) {
    let names = mistakes::names(settings);
    let origins = settings.gateway.control_ui.allowed_origins.iter();
    let mut origins: Vec<_> = origins.filter_map(|origin| WebOrigin::parse(origin.trim()).ok()).collect();
    origins.retain(|origin| origin.scheme == Scheme::Https && !origin.host.is_loopback());
    text.push_str("\n[edge]\n");
    if names.is_empty() {
        text.push_str("# The names and addresses that people call. Behind a proxy nobody is answered by another.\n");
    }
    let _ = writeln!(text, "names = [{}]", quoted(&names));
    if !origins.is_empty() {
        let _ = writeln!(text, "origins = [{}]", quoted(&origins));
    }
    match reach {
        Reach::All | Reach::One(_) => {
            let _ = writeln!(
                text,
                "# This machine's own names and addresses in the LAN, too.\nlan_names = true\nhttps_port = {tls}"
            );
        }
        Reach::Loopback | Reach::Tailnet => {}
    }
}

fn lan(text: &mut String, ips: &[IpAddr], tls: u16) {
    let bind: Vec<_> = ips.iter().map(|ip| SocketAddr::new(*ip, tls)).collect();
    let _ = write!(
        text,
        "\n# Everybody else, by TLS. Devices are to trust certs/local-ca.crt, or see [[certificates.acme]].\n\
         [[listener]]\nname = \"lan\"\nbind = [{}]\nprotocol = \"https\"\n",
        quoted(&bind)
    );
}

/// A listener of their own for proxies: who comes by them is never local.
fn proxies(text: &mut String, settings: &Settings, port: u16, tls: u16) {
    let entries = settings.gateway.trusted_proxies.iter();
    let mut proxies: Vec<IpAddr> = entries
        .filter_map(|entry| match mistakes::judge(entry) {
            Judged::Proxy(ip) => Some(ip),
            _ => None,
        })
        .collect();
    proxies.sort();
    proxies.dedup();
    if proxies.is_empty() {
        return;
    }
    let here = proxies.iter().all(IpAddr::is_loopback);
    let ip = if here { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let mut next = [1, 2].into_iter().filter_map(|more| port.checked_add(more));
    let port = next.find(|next| *next != tls).unwrap_or(PORT);
    let _ = write!(
        text,
        "\n# The reverse proxy: let it send to this port. See that it sets X-Forwarded-For and X-Forwarded-Proto itself.\n\
         [[listener]]\nname = \"proxied\"\nbind = [\"{}\"]\nprotocol = \"http\"\nserve = \"all\"\n\
         client_ip_header = \"x-forwarded-for\"\ntrusted_proxies = [{}]\n",
        SocketAddr::new(ip.into(), port),
        quoted(&proxies)
    );
}

/// Hosts, origins and addresses hold nothing that a TOML string would read otherwise.
fn quoted<T: ToString>(values: &[T]) -> String {
    values.iter().map(|value| format!("\"{}\"", value.to_string())).collect::<Vec<_>>().join(", ")
}
