//! The answers to a CA's questions, while it asks: HTTP-01 (RFC 8555 §8.3) and TLS-ALPN-01 (RFC 8737). What is not in this
//! list is answered to nobody, and no path or name of a caller reaches a file.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use crate::net::host::Host;

/// The protocol's name in ALPN.
pub const ALPN: &str = "acme-tls/1";
/// Where HTTP-01 is asked.
pub const PATH: &str = "/.well-known/acme-challenge/";

/// The answers of the moment; clones are one list.
#[derive(Clone, Default)]
pub struct Challenges(Arc<ArcSwap<Answers>>);

#[derive(Clone, Default)]
struct Answers {
    /// By name and token.
    http: HashMap<(Host, String), Arc<str>>,
    /// By server name.
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// An answer that stands until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Answer {
    challenges: Challenges,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Http((Host, String)),
    Tls(String),
}

impl Challenges {
    /// What to answer to HTTP-01's question for `token` at `host`.
    pub fn http(&self, host: &Host, token: &str) -> Option<Arc<str>> {
        let answers = self.0.load();
        // The common case, that nothing is under way, costs no copy of what a stranger sent.
        let known = answers.http.keys().find(|(name, own)| name == host && own == token)?;
        answers.http.get(known).cloned()
    }

    /// The certificate that answers TLS-ALPN-01's question at `server_name`.
    pub(in crate::certificates) fn tls(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        let name = server_name.strip_suffix('.').unwrap_or(server_name).to_ascii_lowercase();
        self.0.load().tls.get(&name).cloned()
    }

    /// Answers HTTP-01 for `token` at `host` with `text`.
    pub fn answer_http(&self, host: &Host, token: &str, text: &str) -> Answer {
        let key = (host.clone(), token.to_owned());
        self.change(|answers| drop(answers.http.insert(key.clone(), text.into())));
        Answer { challenges: self.clone(), key: Key::Http(key) }
    }

    /// Answers TLS-ALPN-01 at `host` with a certificate that carries `digest`.
    ///
    /// # Errors
    /// When there are no random bytes for its key.
    pub fn answer_tls(&self, host: &Host, digest: [u8; 32]) -> Result<Answer, rcgen::Error> {
        let (name, certified) = (server_name(host), Arc::new(certificate(host, digest)?));
        self.change(|answers| drop(answers.tls.insert(name.clone(), Arc::clone(&certified))));
        Ok(Answer { challenges: self.clone(), key: Key::Tls(name) })
    }

    fn change(&self, change: impl Fn(&mut Answers)) {
        self.0.rcu(|answers| {
            let mut answers = Answers::clone(answers);
            change(&mut answers);
            answers
        });
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.0.load();
        write!(f, "Challenges({} http, {} tls)", answers.http.len(), answers.tls.len())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.challenges.change(|answers| match &self.key {
            Key::Http(key) => drop(answers.http.remove(key)),
            Key::Tls(name) => drop(answers.tls.remove(name)),
        });
    }
}

/// A self-signed certificate for `host` alone with the one critical extension (RFC 8737 §3).
fn certificate(host: &Host, digest: [u8; 32]) -> Result<CertifiedKey, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![match host {
        Host::Address(ip) => SanType::IpAddress(*ip),
        Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
    }];
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = any_supported_type(&der).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

/// The server name that a CA asks for: an address is spelled as in reverse DNS (RFC 8738 §6).
fn server_name(host: &Host) -> String {
    match host {
        Host::Name(name) => name.clone(),
        Host::Address(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Host::Address(IpAddr::V6(ip)) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
            let mut name: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            name.push_str("ip6.arpa");
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_for_its_own_name_and_token_and_ends_with_its_order() {
        let challenges = Challenges::default();
        let (own, other) = (host("claw.example"), host("b.example"));
        assert!(challenges.http(&own, "token").is_none());
        let answer = challenges.answer_http(&own, "token", "token.print");
        assert_eq!(challenges.http(&own, "token").as_deref(), Some("token.print"));
        for (host, token) in [(&other, "token"), (&own, "Token"), (&own, "token/"), (&own, ""), (&own, "../token")] {
            assert!(challenges.http(host, token).is_none(), "{host} {token}");
        }
        let second = challenges.answer_http(&other, "two", "x");
        drop(answer);
        assert!(challenges.http(&own, "token").is_none());
        assert!(challenges.http(&other, "two").is_some());
        drop(second);
    }

    #[test]
    fn an_alpn_answer_carries_the_digest_critically_for_one_name() {
        let challenges = Challenges::default();
        let answer = challenges.answer_tls(&host("claw.example"), [7; 32]).unwrap();
        assert!(challenges.tls("b.example").is_none());
        let shown = challenges.tls("CLAW.example.").unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&shown.cert[0]).unwrap();
        let oid = x509_parser::oid_registry::Oid::from(&[1, 3, 6, 1, 5, 5, 7, 1, 31]).unwrap();
        let extension = parsed.get_extension_unique(&oid).unwrap().unwrap();
        assert!(extension.critical);
        assert_eq!(extension.value, [&[4_u8, 32][..], &[7; 32]].concat());
        assert_eq!(parsed.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
        drop(answer);
        assert!(challenges.tls("claw.example").is_none());
    }

    #[test]
    fn an_address_is_asked_for_by_its_reverse_name() {
        assert_eq!(server_name(&host("192.0.2.7")), "7.2.0.192.in-addr.arpa");
        let expected = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
        assert_eq!(server_name(&host("2001:db8::1")), expected);
    }

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }
}
