//! A case of the vectors, the listener it needs, and the bytes it sends.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde_json::Value;

use crate::support::wire::Line;

/// Where listeners that call nobody local are bound.
pub(super) const PUBLIC: [&str; 2] = ["192.0.2.1", "2001:db8:ed9e::1"];
const LOOPBACK: [&str; 2] = ["127.0.0.1", "::1"];
/// The name of a case that is called by one.
const NAME: &str = "gateway.tailnet.ts.net";
/// Of listeners, the first one's.
const PORT: u16 = 20_001;

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Case {
    pub(super) id: String,
    pub(super) listener: Listener,
    pub(super) peer: IpAddr,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) headers: Vec<Line>,
    pub(super) proxy_header: Option<FirstBytes>,
    pub(super) expect: Value,
    #[serde(default)]
    pub(super) also_ok: Vec<Value>,
    #[serde(default)]
    pub(super) never_ip: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(super) struct Listener {
    client_ip_header: String,
    pub(super) local_listener: bool,
    pub(super) proxy_protocol: String,
    #[serde(default)]
    proxy_protocol_from: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FirstBytes {
    Hex(String),
    Text(String),
}

impl Case {
    /// All of them, in order.
    pub(super) fn all() -> Vec<Self> {
        #[derive(Deserialize)]
        struct Document {
            vectors: Vec<Case>,
        }
        let document: Document = serde_json::from_str(VECTORS).unwrap();
        document.vectors
    }

    /// What comes before TLS.
    pub(super) fn first(&self) -> Vec<u8> {
        match &self.proxy_header {
            None => Vec::new(),
            Some(FirstBytes::Text(text)) => text.clone().into_bytes(),
            Some(FirstBytes::Hex(digits)) => {
                let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
                digits.as_bytes().chunks(2).map(pair).collect()
            }
        }
    }

    /// Whether its configuration is what must be refused.
    pub(super) fn is_configuration(&self) -> bool {
        self.expect["kind"] == "config_reject"
    }

    /// The listener's address for this peer: an IPv4-mapped one speaks IPv4 from a socket of IPv6, as on a dual stack.
    pub(super) fn target(&self, listeners: &[Case]) -> SocketAddr {
        let number = listeners.iter().position(|other| other.same_listener(self)).unwrap();
        let [ipv4, ipv6] = if self.listener.local_listener { LOOPBACK } else { PUBLIC };
        let ip: IpAddr = match self.peer {
            IpAddr::V4(_) => ipv4.parse().unwrap(),
            IpAddr::V6(peer) if peer.to_ipv4_mapped().is_some() => format!("::ffff:{ipv4}").parse().unwrap(),
            IpAddr::V6(_) => ipv6.parse().unwrap(),
        };
        SocketAddr::new(ip, PORT + u16::try_from(number).unwrap())
    }

    /// Its header lines with a Host: a case that names none is one of any Host, which here is the listener's own.
    pub(super) fn lines(&self, target: SocketAddr) -> Vec<Line> {
        let mut lines = self.headers.clone();
        if !self.names_host() && !self.is_without_host() {
            let ip = target.ip().to_canonical();
            lines.insert(0, ("Host".to_owned(), SocketAddr::new(ip, target.port()).to_string()));
        }
        lines
    }

    /// The one case whose point is HTTP/1.0 without a Host.
    pub(super) fn is_without_host(&self) -> bool {
        self.id == "LOC-41"
    }

    fn names_host(&self) -> bool {
        self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"))
    }

    /// The name TLS must ask for: Host, where that is a name of ours.
    pub(super) fn name(&self) -> Option<String> {
        self.headers.iter().any(|(_, value)| value == NAME).then(|| NAME.to_owned())
    }

    fn same_listener(&self, other: &Self) -> bool {
        self.listener == other.listener && self.trusted_proxies == other.trusted_proxies
    }

    /// `[[listener]]` for this case. Trust in nobody is trust in one whom no case names: a header that nobody may send is
    /// a fault of its own.
    pub(super) fn section(&self, number: usize) -> String {
        let Listener { client_ip_header, local_listener, proxy_protocol, proxy_protocol_from } = &self.listener;
        let [ipv4, ipv6] = if *local_listener { LOOPBACK } else { PUBLIC };
        let port = PORT + u16::try_from(number).unwrap();
        let protocol = match local_listener {
            true => "protocol = \"auto\"\nlocal = \"loopback\"\nlocal_uids = [0]\n",
            false => "protocol = \"https\"\n",
        };
        let trusted = match self.trusted_proxies.as_slice() {
            [] => vec!["192.0.2.254".to_owned()],
            trusted => trusted.to_vec(),
        };
        let from = match proxy_protocol.as_str() {
            "off" => String::new(),
            _ => format!("proxy_protocol_from = {proxy_protocol_from:?}\n"),
        };
        format!(
            "\n[[listener]]\nname = \"listener-{number}\"\nbind = [\"{ipv4}:{port}\", \"[{ipv6}]:{port}\"]\n\
             {protocol}proxy_protocol = {proxy_protocol:?}\n{from}\
             client_ip_header = {client_ip_header:?}\ntrusted_proxies = {trusted:?}\ndanger_wide_trust = true\n"
        )
    }
}

/// The names that are answered, and the owner's own door.
pub(super) const EDGE: &str = r#"
[edge]
names = ["192.0.2.1", "2001:db8:ed9e::1", "127.0.0.1", "::1", "gateway.tailnet.ts.net"]

[[listener]]
name = "owner"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
local_uids = [0]
"#;

/// One case for each listener that the cases need.
pub(super) fn listeners(cases: &[Case]) -> Vec<Case> {
    let mut listeners: Vec<Case> = Vec::new();
    for case in cases.iter().filter(|case| !case.is_configuration()) {
        if !listeners.iter().any(|other| other.same_listener(case)) {
            listeners.push(case.clone());
        }
    }
    listeners
}

/// The file itself.
pub(super) const VECTORS: &str = include_str!("../../vectors/client_ip.json");
