//! The form of a case: that of `vectors/client_ip.json`. Fields that only describe it are passed over.

use serde::Deserialize;
use serde_json::Value;

/// A caller, and the listener it meets.
#[derive(Deserialize)]
pub(super) struct Case {
    /// Given back as it came.
    #[serde(default)]
    pub(super) id: Value,
    #[serde(default)]
    pub(super) listener: Listener,
    /// The socket's other end, as an address.
    pub(super) peer: String,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<String>,
    /// Name and value of each line, in order.
    #[serde(default)]
    pub(super) headers: Vec<(String, String)>,
    /// The first bytes of the connection, before the request.
    #[serde(default)]
    pub(super) proxy_header: Option<FirstBytes>,
    /// Default gateways of the machine that decides (class `nat`).
    #[serde(default)]
    pub(super) gateways: Vec<std::net::IpAddr>,
}

/// A `[[listener]]`, in the words of the cases.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pub(super) client_ip_header: String,
    /// `local = "loopback"`.
    pub(super) local_listener: bool,
    pub(super) proxy_protocol: String,
    pub(super) proxy_protocol_from: Vec<String>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            client_ip_header: "none".to_owned(),
            local_listener: false,
            proxy_protocol: "off".to_owned(),
            proxy_protocol_from: Vec::new(),
        }
    }
}

/// Bytes as text, or in hexadecimal.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FirstBytes {
    Hex(String),
    Text(String),
}

impl FirstBytes {
    /// The bytes; none if the hexadecimal is not whole.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.clone().into_bytes()),
            Self::Hex(digits) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let pairs = digits.as_bytes().chunks(2);
                let pair = |pair: &[u8]| match pair {
                    [high, low] => Some(digit(high)? << 4 | digit(low)?),
                    _ => None,
                };
                pairs.map(pair).collect()
            }
        }
    }
}
