//! tailscaled's own status, read: the addresses of the node that this machine is, and the names it can have certificates
//! for.

use std::net::IpAddr;

use serde::Deserialize;

use super::whois::WhoisError;
use crate::base::limits::{TAILNET_NAMES_MAX, WHOIS_ADDRESSES_MAX};
use crate::identity::jose;

#[derive(Deserialize)]
struct Status {
    #[serde(rename = "Self", deserialize_with = "jose::object")]
    this: Node,
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "TailscaleIPs")]
    addresses: Vec<IpAddr>,
}

/// What stands there for every node, one that is signed out of its tailnet too.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Domains {
    #[serde(default)]
    cert_domains: Option<Vec<String>>,
}

/// The names that this node can have certificates for; no more of them than anybody uses.
pub(super) fn certificate_domains(json: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let domains: Domains = serde_json::from_slice(json)?;
    let mut names = domains.cert_domains.unwrap_or_default();
    names.truncate(TAILNET_NAMES_MAX);
    Ok(names)
}

/// Whether `own` is one of this node's addresses.
pub(super) fn is_ours(json: &[u8], own: IpAddr) -> Result<bool, WhoisError> {
    let status: Status = jose::object_from_slice(json)?;
    if status.this.addresses.len() > WHOIS_ADDRESSES_MAX {
        return Err(WhoisError::Addresses);
    }
    Ok(status.this.addresses.contains(&own.to_canonical()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As tailscaled writes it (tab-indented, with members we do not know).
    pub(in crate::tailscale) const STATUS: &str = r#"{
	"Version": "1.90.1", "BackendState": "Running", "TailscaleIPs": ["100.64.0.9"],
	"Self": {"ID":"n1","DNSName":"claw.tail1234.ts.net.","TailscaleIPs":["100.64.0.1","fd7a:115c:a1e0::1"],"Online":true},
	"CertDomains": ["claw.tail1234.ts.net"]
}"#;

    fn ask(json: &str, own: &str) -> Result<bool, WhoisError> {
        is_ours(json.as_bytes(), own.parse().unwrap())
    }

    #[test]
    fn only_the_addresses_of_this_very_node_are_ours() {
        for (own, ours) in [
            ("100.64.0.1", true),
            ("::ffff:100.64.0.1", true),
            ("fd7a:115c:a1e0::1", true),
            ("100.64.0.9", false),
            ("192.0.2.1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(ask(STATUS, own).unwrap(), ours, "{own}");
        }
    }

    #[test]
    fn names_for_certificates_are_there_or_are_none() {
        let domains = |json: &str| certificate_domains(json.as_bytes());
        assert_eq!(domains(STATUS).unwrap(), ["claw.tail1234.ts.net"]);
        for none in ["{}", r#"{"CertDomains":null,"Self":null}"#, r#"{"CertDomains":[]}"#] {
            assert!(domains(none).unwrap().is_empty(), "{none}");
        }
        assert!(domains(r#"{"CertDomains":7}"#).is_err());
        let many = serde_json::json!({"CertDomains": vec!["a.ts.net"; TAILNET_NAMES_MAX + 1]}).to_string();
        assert_eq!(domains(&many).unwrap().len(), TAILNET_NAMES_MAX);
    }

    #[test]
    fn a_status_that_names_no_addresses_makes_none_ours() {
        for (from, to) in [
            (r#"["100.64.0.1","fd7a:115c:a1e0::1"]"#, "null"),
            (r#"["100.64.0.1","fd7a:115c:a1e0::1"]"#, r#""100.64.0.1""#),
            (r#"["100.64.0.1","fd7a:115c:a1e0::1"]"#, r#"["100.64.0.1/32"]"#),
            (r#""Self""#, r#""self""#),
            (r#""Self""#, r#""Self":{"TailscaleIPs":["100.64.0.1"]},"Self""#),
        ] {
            assert!(matches!(ask(&STATUS.replace(from, to), "100.64.0.1"), Err(WhoisError::Json(_))), "{to}");
        }
        let many = vec![r#""100.64.0.1""#; WHOIS_ADDRESSES_MAX + 1].join(",");
        let many = STATUS.replace(r#""100.64.0.1","fd7a:115c:a1e0::1""#, &many);
        assert!(matches!(ask(&many, "100.64.0.1"), Err(WhoisError::Addresses)));
        assert!(!ask(&STATUS.replace(r#"["100.64.0.1","fd7a:115c:a1e0::1"]"#, "[]"), "100.64.0.1").unwrap());
    }
}
