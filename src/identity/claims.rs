//! The claims of an assertion: what the edge found out about a call, and which call it is about.
//!
//! Read strictly: every object has exactly these members, each once and of its type; what is absent is
//! absent, never `null`. So a claim that went missing cannot be taken for one that says no.

use std::net::IpAddr;

use http::header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method};
use ring::digest;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::base::limits::ASSERTION_WORD_BYTES_MAX;
use crate::identity::jose;
use crate::origin::ClientAddr;
use crate::origin::Kind;
use crate::origin::Origin;
use crate::origin::Source;
use crate::origin::request::HostRefusal;
use crate::origin::request::read_authority;
use crate::origin::trail::Step;
use crate::origin::trail::Trail;

pub use crate::origin::Class;

/// `sub` of a caller nobody has identified.
pub const ANONYMOUS: &str = "anonymous";

/// One assertion's payload (RFC 7519 §4.1 and ours).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    /// The edge that signed.
    pub iss: String,
    /// The one receiver.
    pub aud: String,
    /// Signed at, in seconds.
    pub iat: u64,
    /// Not valid before.
    pub nbf: u64,
    /// Not valid at or after.
    pub exp: u64,
    /// This assertion and no other.
    pub jti: String,
    /// The edge's connection.
    pub cid: String,
    /// The verified identity's login, or [`ANONYMOUS`].
    pub sub: String,
    /// Where the call comes from.
    #[serde(deserialize_with = "jose::object")]
    pub origin: OriginClaim,
    /// How it was encrypted; absent on a plain listener.
    #[serde(default, deserialize_with = "jose::some_object", skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsClaim>,
    /// Who it is, when somebody vouched.
    #[serde(default, deserialize_with = "jose::some_object", skip_serializing_if = "Option::is_none")]
    pub idn: Option<IdentityClaim>,
    /// The one request it is for; absent when it may be shared.
    #[serde(default, deserialize_with = "jose::some_object", skip_serializing_if = "Option::is_none")]
    pub req: Option<RequestClaim>,
}

/// Where a call comes from, as `origin::resolve` found out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OriginClaim {
    /// Whether there is an address.
    #[serde(deserialize_with = "jose::word")]
    pub kind: Kind,
    /// The client's address.
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The client's port, when something said it.
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What kind of address it is.
    #[serde(deserialize_with = "jose::word")]
    pub class: Class,
    /// Whether it is this machine's own user.
    pub local: bool,
    /// The other end of the edge's socket.
    pub peer: IpAddr,
    /// The listener's name.
    pub listener: String,
    /// Who named the client.
    #[serde(deserialize_with = "jose::word")]
    pub source: Source,
    /// The trusted hops in between, nearest to us first.
    pub via: Vec<IpAddr>,
    /// How it was found, in the words of [`Step`]; absent where nobody asks any more.
    #[serde(default, deserialize_with = "steps", skip_serializing_if = "Trail::is_empty")]
    pub steps: Trail,
}

fn steps<'de, D: Deserializer<'de>>(reader: D) -> Result<Trail, D::Error> {
    #[derive(Deserialize)]
    struct Word(#[serde(deserialize_with = "jose::word")] Step);
    let words = Vec::<Word>::deserialize(reader)?;
    let steps: Vec<Step> = words.into_iter().map(|Word(step)| step).collect();
    if steps.is_empty() {
        return Err(D::Error::custom("no steps"));
    }
    Trail::try_from(steps).map_err(D::Error::custom)
}

impl OriginClaim {
    /// What `origin` says, with the name of the listener it came in by.
    pub fn of(origin: &Origin, listener: &str) -> Self {
        let ip = origin.client.map(ClientAddr::ip);
        Self {
            kind: origin.kind(),
            ip,
            port: origin.port,
            class: origin.class,
            local: origin.is_local(),
            peer: origin.peer.ip(),
            listener: listener.to_owned(),
            source: origin.source,
            via: origin.via.to_vec(),
            steps: origin.trail,
        }
    }

    /// The client for a log line: `-` when nobody can say. The peer is no client, and has a field of its own there.
    pub fn client_shown(&self) -> String {
        self.ip.map_or_else(|| "-".to_owned(), |ip| ip.to_string())
    }

    /// The same without the steps: what is kept outlives the release whose words they are.
    #[must_use]
    pub fn without_steps(&self) -> Self {
        Self { steps: Trail::default(), ..self.clone() }
    }

    /// Whether the members agree: an address exactly when there is one, nobody unknown is local, and the steps end
    /// where `local` does.
    pub fn is_consistent(&self) -> bool {
        if !self.steps.is_empty() && self.local != self.steps.steps().any(|step| step == Step::Local) {
            return false;
        }
        match self.kind {
            Kind::Ip => {
                self.ip.is_some() && self.class != Class::Unattributed && self.local == (self.class == Class::Local)
            }
            Kind::Unattributed => {
                self.ip.is_none() && self.port.is_none() && !self.local && self.class == Class::Unattributed
            }
        }
    }
}

/// How a connection was encrypted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsClaim {
    /// The protocol version.
    #[serde(deserialize_with = "jose::word")]
    pub version: TlsVersion,
    /// The server name the client asked for (RFC 6066 §3).
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// The application protocol agreed on (RFC 7301).
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub alpn: Option<String>,
    /// The client's certificate, when one was verified. It names its holder and opens nothing by itself.
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<ClientCertClaim>,
}

/// What a verified certificate says about its holder.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertClaim {
    /// SHA-256 of the certificate, base64url.
    pub sha256: String,
    /// Its subject as RFC 4514 writes it, in the certificate's order; empty where that is longer than we take.
    pub subject: String,
    /// Its subject alternative names, each with its kind: `dns:`, `ip:`, `email:` or `uri:`.
    pub san: Vec<String>,
}

/// A TLS version that we speak.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum TlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// An identity that somebody we trust has verified.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityClaim {
    /// Who verified it.
    pub provider: String,
    /// The account there.
    pub login: String,
    /// The person's name, for display.
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All groups that the account is in; absent where nobody told them, or not all of them.
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// The one request an assertion is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RequestClaim {
    /// The method.
    pub method: String,
    /// The host and port asked for; empty when the request named none.
    pub authority: String,
    /// SHA-256 of path and query, base64url.
    pub path_sha256: String,
    /// Whether it asks for another protocol.
    pub upgrade: bool,
    /// `Sec-WebSocket-Key`, which the answer must prove to have read (RFC 6455 §4.1).
    #[serde(default, deserialize_with = "jose::some", skip_serializing_if = "Option::is_none")]
    pub ws_key: Option<String>,
}

impl RequestClaim {
    /// The claim about `request`. Edge and core both make it, from the same head: after stripping there, on arrival here.
    ///
    /// # Errors
    /// [`RequestClaimError`] for a head of which no claim can be made.
    pub fn of(request: &Parts) -> Result<Self, RequestClaimError> {
        let authority = read_authority(&request.headers, &request.uri, request.version)?;
        let path = request.uri.path_and_query().map_or("", |path| path.as_str());
        let method = request.method.as_str();
        if method.len() > ASSERTION_WORD_BYTES_MAX {
            return Err(RequestClaimError::MethodTooLong);
        }
        Ok(Self {
            method: method.to_owned(),
            authority: authority.map(|authority| authority.to_string()).unwrap_or_default(),
            path_sha256: jose::encode(digest::digest(&digest::SHA256, path.as_bytes())),
            upgrade: asks_for_upgrade(request),
            ws_key: websocket_key(&request.headers)?,
        })
    }
}

/// Whether an assertion about `request` may go without `req` and so be shared by like requests: only what changes nothing.
pub fn is_shareable(request: &Parts) -> bool {
    matches!(request.method, Method::GET | Method::HEAD)
        && !asks_for_upgrade(request)
        && !request.headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// Whether `request` asks to leave HTTP: `Upgrade` (RFC 9110 §7.8), a connection option that says so, or CONNECT.
fn asks_for_upgrade(request: &Parts) -> bool {
    let names_upgrade = |value: &http::HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    };
    request.method == Method::CONNECT
        || request.headers.contains_key(UPGRADE)
        || request.headers.get_all(CONNECTION).iter().any(names_upgrade)
}

fn websocket_key(headers: &HeaderMap) -> Result<Option<String>, RequestClaimError> {
    let mut lines = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(RequestClaimError::WebSocketKeyRepeated);
    }
    let key = line.to_str().map_err(|_| RequestClaimError::WebSocketKey)?;
    if key.len() > ASSERTION_WORD_BYTES_MAX {
        return Err(RequestClaimError::WebSocketKey);
    }
    Ok(Some(key.to_owned()))
}

/// Why no claim can be made of a request. The caller is at fault: 400.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RequestClaimError {
    /// It does not name one host.
    #[error(transparent)]
    Host(#[from] HostRefusal),
    /// A method longer than any.
    #[error("method longer than {ASSERTION_WORD_BYTES_MAX} bytes")]
    MethodTooLong,
    /// `Sec-WebSocket-Key` is too long, or no text.
    #[error("sec-websocket-key is not a key")]
    WebSocketKey,
    /// More than one `Sec-WebSocket-Key` line.
    #[error("more than one sec-websocket-key")]
    WebSocketKeyRepeated,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::testing::{self, opening, parts};

    #[test]
    fn an_origin_claim_says_what_its_words_are() {
        assert_eq!(
            serde_json::to_string(&testing::subject().origin).unwrap(),
            r#"{"kind":"ip","ip":"203.0.113.9","port":40000,"class":"public","local":false,"peer":"203.0.113.9","listener":"public","source":"peer","via":[],"steps":["header-not-read","peer-is-client","local-never"]}"#
        );
    }

    #[test]
    fn claims_that_contradict_each_other_are_inconsistent() {
        let of = |change: &dyn Fn(&mut OriginClaim)| {
            let mut claim = testing::subject().origin;
            change(&mut claim);
            claim.is_consistent()
        };
        let unattributed = |claim: &mut OriginClaim| {
            (claim.kind, claim.ip, claim.port, claim.class) = (Kind::Unattributed, None, None, Class::Unattributed);
        };
        assert!(of(&|_| {}));
        assert!(of(&unattributed));
        assert!(!of(&|claim| (claim.class, claim.local) = (Class::Local, true)), "the steps say otherwise");
        assert!(of(&|claim| {
            (claim.class, claim.local) = (Class::Local, true);
            claim.steps = Trail::try_from(vec![Step::PeerIsClient, Step::Local]).unwrap();
        }));
        assert!(of(&|claim| *claim = claim.without_steps()));
        assert!(!of(&|claim| claim.ip = None));
        assert!(!of(&|claim| claim.class = Class::Unattributed));
        assert!(!of(&|claim| claim.kind = Kind::Unattributed));
        assert!(!of(&|claim| claim.local = true));
        assert!(!of(&|claim| claim.class = Class::Local));
        assert!(!of(&|claim| {
            unattributed(claim);
            claim.local = true;
        }));
    }

    #[test]
    fn a_claim_binds_every_part_of_its_request() {
        let own = RequestClaim::of(&opening()).unwrap();
        assert_eq!((own.method.as_str(), own.authority.as_str(), own.upgrade), ("GET", "claw.example", true));
        assert_eq!(own.ws_key.as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
        // SHA-256 of `/chat?x=1`.
        assert_eq!(own.path_sha256, "hM6rThPdl_jtjSgWqefHT52OmbNjFCRwYujPED90p14");
        // An absolute target names the same path.
        let absolute = parts("GET", "http://claw.example/chat?x=1", &[("host", "claw.example")]);
        assert_eq!(RequestClaim::of(&absolute).unwrap().path_sha256, own.path_sha256);
        for other in ["/chat", "/chat?x=2", "/chat?x=1&", "/Chat?x=1", "//chat?x=1", "/%63hat?x=1"] {
            let other = RequestClaim::of(&parts("GET", other, &[("host", "claw.example")])).unwrap();
            assert_ne!(other.path_sha256, own.path_sha256);
        }
    }

    #[test]
    fn only_what_changes_nothing_is_shareable() {
        let with =
            |method: &str, name: &str, value: &str| is_shareable(&parts(method, "/", &[("host", "a"), (name, value)]));
        assert!(with("GET", "accept", "*/*"));
        assert!(with("HEAD", "connection", "keep-alive"));
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "QUERY"] {
            assert!(!with(method, "accept", "*/*"), "{method}");
        }
        assert!(!with("GET", "upgrade", "h2c"));
        assert!(!with("GET", "connection", "keep-alive, Upgrade"));
        assert!(!with("GET", "sec-websocket-key", "x"));
        assert!(!is_shareable(&parts("CONNECT", "a:443", &[])));
    }

    #[test]
    fn of_an_ambiguous_head_no_claim_is_made() {
        let long = "x".repeat(ASSERTION_WORD_BYTES_MAX + 1);
        let of = |method: &str, headers: &[(&str, &str)]| RequestClaim::of(&parts(method, "/", headers)).unwrap_err();
        assert_eq!(of("GET", &[]), RequestClaimError::Host(HostRefusal::Missing));
        assert_eq!(of("GET", &[("host", "a"), ("host", "b")]), RequestClaimError::Host(HostRefusal::Repeated));
        assert_eq!(of(&long, &[("host", "a")]), RequestClaimError::MethodTooLong);
        assert_eq!(of("GET", &[("host", "a"), ("sec-websocket-key", &long)]), RequestClaimError::WebSocketKey);
        assert_eq!(of("GET", &[("host", "a"), ("sec-websocket-key", "é")]), RequestClaimError::WebSocketKey);
        assert_eq!(
            of("GET", &[("host", "a"), ("sec-websocket-key", "x"), ("sec-websocket-key", "x")]),
            RequestClaimError::WebSocketKeyRepeated
        );
    }
}
