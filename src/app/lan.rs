//! `doorward run --lan`: the built-in local profile, and the LAN's own doors beside it. What a household needs to know of
//! them is said here: the addresses, the page for devices with its QR code, and the local CA's fingerprints.

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use thiserror::Error;
use tracing::info;

use crate::certificates::Certificates;
use crate::certificates::local_ca::authority::Authority;
use crate::config::place::Environment;
use crate::config::{Config, ConfigError};
use crate::listener::Protocol;
use crate::listener::bind::{self, BindError};
use crate::net::host::{Host, Scheme, WebOrigin};
use crate::onboarding;
use crate::origin::Network;

use super::network;
use super::qr;

/// The standard ports, and ours where those are taken or root's.
const HTTPS_PORTS: [u16; 2] = [443, 18_443];
const HTTP_PORTS: [u16; 2] = [80, 18_080];
/// The plain listener's name in the profile.
const PLAIN: &str = "lan-http";

/// The profile for this machine as it is now.
///
/// # Errors
/// [`LanError`].
pub fn profile(environment: &Environment) -> Result<Config, LanError> {
    let network = network::read().map_err(LanError::Network)?.network;
    if network.container().is_some() {
        return Err(LanError::Contained);
    }
    let bind = addresses(&network);
    if bind.is_empty() {
        return Err(LanError::NoAddress);
    }
    let (https, http) = (free(&bind, HTTPS_PORTS), free(&bind, HTTP_PORTS));
    Ok(Config::built_in(&text(&bind, https, http, environment.is_root()), environment)?)
}

/// What is bound: any address of ours, so that one that changes is served at once; but on a machine that the Internet reaches
/// too, the private ones alone.
fn addresses(network: &Network) -> Vec<IpAddr> {
    let private: Vec<_> = network.household_addresses().filter(IpAddr::is_ipv4).collect();
    if private.is_empty() || network.has_public_ipv4() { private } else { vec![Ipv4Addr::UNSPECIFIED.into()] }
}

/// The first of `ports` that we may have; the last one, if none: the start then says who has it.
fn free(bind: &[IpAddr], [standard, own]: [u16; 2]) -> u16 {
    let addresses: Vec<_> = bind.iter().map(|ip| SocketAddr::new(*ip, standard)).collect();
    let refused = bind::judge(&addresses);
    if refused.iter().all(|error| matches!(error, BindError::Unavailable { .. })) { standard } else { own }
}

fn text(bind: &[IpAddr], https: u16, http: u16, is_root: bool) -> String {
    let list = |port: u16| {
        let quoted: Vec<_> = bind.iter().map(|ip| format!("\"{}\"", SocketAddr::new(*ip, port))).collect();
        quoted.join(", ")
    };
    let uids = if is_root { "local_uids = [0]\n" } else { "" };
    format!(
        "[edge]\nlan_names = true\nhttps_port = {https}\n\n\
         [[listener]]\nname = \"local\"\nbind = [\"127.0.0.1:18789\", \"[::1]:18789\"]\nprotocol = \"auto\"\n\
         local = \"loopback\"\n{uids}\n\
         [[listener]]\nname = \"lan\"\nbind = [{}]\n\n\
         [[listener]]\nname = \"{PLAIN}\"\nbind = [{}]\nprotocol = \"http\"\n",
        list(https),
        list(http)
    )
}

/// Says how devices of the house come in, if this is that profile. The log has the addresses, the terminal all of it.
pub(super) fn told(config: &Config, certificates: &Certificates, network: &Network) -> Option<String> {
    config.built_in.as_ref()?;
    let plain =
        config.listeners.iter().find(|listener| listener.name == PLAIN && listener.protocol == Protocol::Http)?;
    let port = plain.bind.first()?.port();
    let own = certificates.own_names();
    let first = Host::Address(way_out(network, &own)?);
    let at = |scheme, host: &Host, port| WebOrigin { scheme, host: host.clone(), port }.to_string();
    let others = own.iter().filter(|host| **host != first);
    let doors: Vec<_> = std::iter::once(&first).chain(others).collect();
    let doors: Vec<_> = doors.into_iter().map(|host| at(Scheme::Https, host, config.edge.https_port)).collect();
    let page = format!("{}{}", at(Scheme::Http, &first, port), onboarding::PATH);
    let authority = certificates.authority();
    let hint = format!("each device first opens {page}");
    info!(dashboard = doors.join(" "), hint, "on the lan");
    let code = if io::stdout().is_terminal() { qr::code(&page) } else { None };
    Some(shown(&doors, &page, code.as_deref(), authority))
}

fn shown(doors: &[String], page: &str, code: Option<&str>, authority: &Authority) -> String {
    let mut shown = String::new();
    for (at, door) in doors.iter().enumerate() {
        let _ = writeln!(shown, "{}{door}/", if at == 0 { "On the LAN: " } else { "            " });
    }
    let _ = writeln!(shown, "\nEach device first, once: {page}");
    if let Some(code) = code {
        let _ = writeln!(shown, "\n{code}");
    }
    let _ = writeln!(
        shown,
        "\nTrust only a certificate of which the device's own installer shows the same fingerprint:\n  {}\n  SHA-256  {}\n  \
         SHA-1    {}  (Windows)\nIf a device reaches nothing, let these ports through this machine's firewall.\n",
        authority.name(),
        halves(&authority.sha256()),
        authority.sha1()
    );
    shown
}

/// Two lines of sixteen pairs: a phone shows it in lines too, and eyes lose their place in one of 95 characters.
fn halves(fingerprint: &str) -> String {
    match fingerprint.split_at_checked(48) {
        Some((first, second)) => format!("{first}\n           {second}"),
        None => fingerprint.to_owned(),
    }
}

/// Our address of `own` on the way to the default gateway: where most devices of a house are. Nothing is sent.
fn way_out(network: &Network, own: &[Host]) -> Option<IpAddr> {
    let toward = |gateway: &IpAddr| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        socket.connect((*gateway, 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    let is_own = |ip: &IpAddr| own.contains(&Host::Address(*ip));
    let addresses = own.iter().filter_map(|host| match host {
        Host::Address(ip) => Some(*ip),
        Host::Name(_) => None,
    });
    network.gateways().iter().filter(|ip| ip.is_ipv4()).filter_map(toward).find(is_own).or(addresses.into_iter().next())
}

/// Why there is no such profile here.
#[derive(Debug, Error)]
pub enum LanError {
    /// The profile itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The LAN's addresses are the host's.
    #[error("this is a container, and the lan's addresses are its host's")]
    Contained,
    /// The kernel does not tell.
    #[error("this machine's network cannot be read: {0}")]
    Network(io::Error),
    /// No private IPv4 address.
    #[error("this machine has no private ipv4 address that a device could dial")]
    NoAddress,
}

impl LanError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Config(error) => error.hint().unwrap_or("please report it").to_owned(),
            Self::Contained => {
                "publish the ports, and write the host's lan address into `edge.names` of a configuration: \
                see \"In a container\" in the readme"
                    .to_owned()
            }
            Self::Network(_) => "let this user read /proc/net/route and /proc/net/ipv6_route".to_owned(),
            Self::NoAddress => "join the lan, or write a configuration with `edge.names` and a [[listener]]".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LanNames;
    use crate::origin::LocalRule;
    use crate::origin::link::{Link, LinkKind};

    #[test]
    fn the_profile_is_the_local_one_and_the_lans_doors_beside_it() {
        let environment = Environment { home: Some("/h".into()), folder: "/".into(), ..Environment::default() };
        let any = [Ipv4Addr::UNSPECIFIED.into()];
        let config = Config::built_in(&text(&any, 18_443, 18_080, false), &environment).unwrap();
        let local = Config::parse("", None, &environment).unwrap();
        assert_eq!((config.lan_names, config.edge.https_port), (LanNames::Answered, 18_443));
        assert_eq!(config.state_dir, local.state_dir);
        let [own, lan, plain] = config.listeners.as_slice() else { panic!("{:?}", config.listeners) };
        assert_eq!((&own.bind, &own.origin.local), (&local.listeners[0].bind, &local.listeners[0].origin.local));
        assert!(lan.protocol == Protocol::Https && lan.origin.local == LocalRule::Never);
        assert!(plain.protocol == Protocol::Http && plain.serve == crate::listener::Serve::Redirect);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        assert!(config.read_again(&environment).unwrap().listeners.len() == 3);
    }

    #[test]
    fn a_machine_that_the_internet_reaches_opens_its_private_addresses_alone() {
        let bound = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let links = [Link { name: "eth0".to_owned(), kind: LinkKind::Other, addresses }];
            let bound = super::addresses(&Network::default().with_links(&links, None));
            bound.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(bound(&["127.0.0.1/8", "192.168.7.7/24", "100.64.0.1/32", "2001:db8::1/64"]), ["0.0.0.0"]);
        assert_eq!(bound(&["192.168.7.7/24", "203.0.113.7/24", "10.0.0.1/8"]), ["192.168.7.7", "10.0.0.1"]);
        assert!(bound(&["203.0.113.7/24", "fd00::1/64"]).is_empty());
    }
}
