//! tailscaled's answer, read: the members we rest on strictly, the many others not at all.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use thiserror::Error;

use super::Word;
use crate::base::limits::{LABEL_CHARS_MAX, WHOIS_ADDRESSES_MAX};
use crate::base::printable::is_label;
use crate::identity::claims::IdentityClaim;
use crate::identity::jose;

/// `idn.provider` of whoever tailscaled names.
pub const PROVIDER: &str = "tailscale";
/// The login of every tagged node.
const TAGGED: &str = "tagged-devices";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(deserialize_with = "jose::object")]
    node: Node,
    #[serde(deserialize_with = "jose::object")]
    user_profile: UserProfile,
}

/// Members that are zero are left out.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserProfile {
    #[serde(default)]
    login_name: String,
    #[serde(default)]
    display_name: String,
}

/// Whom the answer to a question about `peer` names.
pub(super) fn read(json: &[u8], peer: IpAddr) -> Result<Word, WhoisError> {
    let answer: Answer = jose::object_from_slice(json)?;
    let Answer { node, user_profile } = answer;
    if node.addresses.len() > WHOIS_ADDRESSES_MAX {
        return Err(WhoisError::Addresses);
    }
    // Whole addresses only: a range would be what the node routes for others.
    let own = IpNet::from(peer);
    if !node.addresses.iter().any(|address| address.parse() == Ok(own)) {
        return Err(WhoisError::OtherPeer);
    }
    if !node.tags.is_empty() || user_profile.login_name == TAGGED {
        return Ok(Word::Tagged);
    }
    if !is_label(&user_profile.login_name, LABEL_CHARS_MAX) {
        return Err(WhoisError::Login);
    }
    let name = Some(user_profile.display_name).filter(|name| is_label(name, LABEL_CHARS_MAX));
    Ok(Word::Person(IdentityClaim {
        provider: PROVIDER.to_owned(),
        login: user_profile.login_name,
        name,
        groups: None,
    }))
}

/// Why an answer names nobody.
#[derive(Debug, Error)]
pub(super) enum WhoisError {
    /// More addresses than a node has.
    #[error("answer with more than {WHOIS_ADDRESSES_MAX} addresses")]
    Addresses,
    /// Not the JSON that tailscaled writes.
    #[error("answer malformed: {0}")]
    Json(#[from] serde_json::Error),
    /// No login, or one that is no text for people.
    #[error("answer without a readable login")]
    Login,
    /// About another address than was asked for.
    #[error("answer about another address")]
    OtherPeer,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// As tailscaled writes it (tab-indented, with members we do not know).
    pub(in crate::tailscale) const ALICE: &str = r#"{
	"Node": {"ID":1,"StableID":"nABC","Name":"phone.tail1234.ts.net.","User":5,"Key":"nodekey:00",
		"Addresses":["100.64.0.7/32","fd7a:115c:a1e0::7/128"],"AllowedIPs":["100.64.0.7/32","10.0.0.0/8"],
		"Hostinfo":{"OS":"linux"},"Online":true,"ComputedName":"phone"},
	"UserProfile": {"ID":5,"LoginName":"alice@example.com","DisplayName":"Alice","ProfilePicURL":"x","Groups":["g"]},
	"CapMap": {"cap":[{"a":1}]}
}"#;

    fn ask(json: &str, peer: &str) -> Result<Word, WhoisError> {
        read(json.as_bytes(), peer.parse().unwrap())
    }

    #[test]
    fn a_persons_node_is_named_by_each_of_its_addresses() {
        for peer in ["100.64.0.7", "fd7a:115c:a1e0::7"] {
            let Ok(Word::Person(alice)) = ask(ALICE, peer) else { panic!("{peer}") };
            assert_eq!((&*alice.provider, &*alice.login), ("tailscale", "alice@example.com"));
            assert_eq!(alice.name.as_deref(), Some("Alice"));
        }
        let Ok(Word::Person(bare)) = ask(&ALICE.replace(r#","DisplayName":"Alice""#, ""), "100.64.0.7") else {
            panic!("no name is needed")
        };
        assert_eq!(bare.name, None);
    }

    #[test]
    fn an_answer_about_somebody_else_names_nobody() {
        for peer in ["100.64.0.8", "10.0.0.7", "fd7a:115c:a1e0::8"] {
            assert!(matches!(ask(ALICE, peer), Err(WhoisError::OtherPeer)), "{peer}");
        }
        let range = ALICE.replace(r#"["100.64.0.7/32","fd7a:115c:a1e0::7/128"]"#, r#"["100.64.0.0/10"]"#);
        assert!(matches!(ask(&range, "100.64.0.7"), Err(WhoisError::OtherPeer)));
        let none = ALICE.replace(r#""Addresses":["100.64.0.7/32","fd7a:115c:a1e0::7/128"],"#, "");
        assert!(matches!(ask(&none, "100.64.0.7"), Err(WhoisError::OtherPeer)));
    }

    #[test]
    fn a_tagged_node_is_no_person() {
        for (from, to) in [(r#""Online":true"#, r#""Tags":["tag:ci"]"#), ("alice@example.com", "tagged-devices")] {
            assert!(matches!(ask(&ALICE.replace(from, to), "100.64.0.7"), Ok(Word::Tagged)), "{to}");
        }
    }

    #[test]
    fn what_tailscaled_never_says_names_nobody() {
        for (from, to) in [
            ("alice@example.com", ""),
            ("alice@example.com", " "),
            ("alice@example.com", "a\\nb"),
            ("alice@example.com", "alice@example.com\u{202e}"),
            ("alice@example.com", "alice@example.com "),
            (r#""alice@example.com""#, "7"),
            (r#""alice@example.com""#, "null"),
            (r#"["100.64.0.7/32","fd7a:115c:a1e0::7/128"]"#, r#""100.64.0.7/32""#),
            (r#"["100.64.0.7/32","fd7a:115c:a1e0::7/128"]"#, r#"["100.64.0.7"]"#),
            (r#"["100.64.0.7/32","fd7a:115c:a1e0::7/128"]"#, r#"[{"ip":"100.64.0.7"}]"#),
            (r#""Online":true"#, r#""Tags":"tag:x""#),
            (r#""Online":true"#, r#""Tags":null"#),
            (r#""Online":true"#, r#""Addresses":["100.64.0.9/32"]"#),
            (r#""LoginName""#, r#""LoginName":"bob","LoginName""#),
            (r#""UserProfile""#, r#""Profile""#),
            (r#""Node""#, r#""node""#),
        ] {
            assert!(ask(&ALICE.replacen(from, to, 1), "100.64.0.7").is_err(), "{from} -> {to}");
        }
        let long = "a".repeat(LABEL_CHARS_MAX + 1);
        assert!(matches!(ask(&ALICE.replace("alice@example.com", &long), "100.64.0.7"), Err(WhoisError::Login)));
        let many = vec![r#""100.64.0.7/32""#; WHOIS_ADDRESSES_MAX + 1].join(",");
        let many = ALICE.replace(r#""100.64.0.7/32","fd7a:115c:a1e0::7/128"]"#, &format!("{many}]"));
        assert!(matches!(ask(&many, "100.64.0.7"), Err(WhoisError::Addresses)));
        for bad in ["", "null", "[]", "{}", r#"{"Node":null,"UserProfile":null}"#, "no match for 100.64.0.7:1"] {
            assert!(matches!(ask(bad, "100.64.0.7"), Err(WhoisError::Json(_))), "{bad}");
        }
        assert!(ask(&format!("{ALICE}x"), "100.64.0.7").is_err());
    }
}
