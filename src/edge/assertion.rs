//! The head as the core gets it: stripped of everything somebody could take for our word, with one Host and one
//! assertion.

use std::sync::PoisonError;

use http::header::HOST;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};

use super::Edge;
use super::context::Connection;
use super::respond::Refusal;
use crate::base::clock::UnixMillis;
use crate::base::limits::ASSERTION_SHARED_SECONDS;
use crate::identity::claims::{OriginClaim, RequestClaim, TlsClaim, TlsVersion, is_shareable};
use crate::identity::headers::{ASSERTION, strip};
use crate::identity::signer::Subject;
use crate::listener;
use crate::listener::facts::{self, TlsFacts};
use crate::net::host::Authority;
use crate::origin::{ClientIpHeader, Origin, ProxyProtocol};

/// The last assertion of a connection that may be used again.
#[derive(Debug)]
pub struct SharedAssertion {
    subject: Subject,
    authority: Authority,
    issued: UnixMillis,
    token: HeaderValue,
}

/// Strips `head`, makes it name `authority` alone, and signs where it comes from.
///
/// # Errors
/// [`Refusal::Claim`] for a head of which no claim can be made, [`Refusal::Sign`] when signing fails.
pub fn seal(
    mut head: Parts,
    authority: &Authority,
    origin: &Origin,
    connection: &Connection,
    edge: &Edge,
) -> Result<Parts, Refusal> {
    strip(&mut head.headers);
    let host = HeaderValue::try_from(authority.to_string()).map_err(|_| Refusal::Target)?;
    head.headers.insert(HOST, host);
    // The absolute form and HTTP/2 put the authority into the target too: from here on it stands in one place.
    let path = head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    head.uri = Uri::from(path);
    let token = token(&head, authority, origin, connection, edge)?;
    head.headers.insert(ASSERTION, token);
    Ok(head)
}

fn token(
    head: &Parts,
    authority: &Authority,
    origin: &Origin,
    connection: &Connection,
    edge: &Edge,
) -> Result<HeaderValue, Refusal> {
    let facts = connection.facts();
    let subject = Subject {
        cid: facts.id.as_str().to_owned(),
        origin: OriginClaim::of(origin, &facts.listener.name),
        tls: facts.tls.as_ref().map(tls_claim),
        identity: None,
    };
    if !reads_nothing(&facts.listener) || !is_shareable(head) {
        return sign(edge, &subject, Some(&RequestClaim::of(head)?));
    }
    let now = edge.0.clock.now();
    // Invariant: held only for the moment of a look or a signature, never across an await.
    let mut last = connection.shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(last) = last.as_ref()
        && is_fresh(last.issued, now)
        && last.authority == *authority
        && last.subject == subject
    {
        return Ok(last.token.clone());
    }
    let token = sign(edge, &subject, None)?;
    *last = Some(SharedAssertion { subject, authority: authority.clone(), issued: now, token: token.clone() });
    Ok(token)
}

fn sign(edge: &Edge, subject: &Subject, request: Option<&RequestClaim>) -> Result<HeaderValue, Refusal> {
    let mut token = HeaderValue::try_from(edge.0.signer.sign(subject, request)?).map_err(|_| Refusal::Target)?;
    token.set_sensitive(true);
    Ok(token)
}

/// Whether nothing on this listener's wire says who is calling, so that two requests of one connection differ only by themselves.
fn reads_nothing(listener: &listener::Settings) -> bool {
    let origin = &listener.origin;
    origin.client_ip_header == ClientIpHeader::None
        && origin.proxy_protocol == ProxyProtocol::Off
        && origin.trusted_proxies.is_empty()
}

/// Young enough to be used again; a clock that went back makes it old.
fn is_fresh(issued: UnixMillis, now: UnixMillis) -> bool {
    let age = now.since(issued);
    u64::try_from(age).is_ok_and(|age| age < ASSERTION_SHARED_SECONDS.saturating_mul(1000))
}

fn tls_claim(tls: &TlsFacts) -> TlsClaim {
    TlsClaim {
        version: match tls.version {
            facts::TlsVersion::V1_2 => TlsVersion::V1_2,
            facts::TlsVersion::V1_3 => TlsVersion::V1_3,
        },
        sni: tls.sni.as_ref().map(ToString::to_string),
        alpn: tls.alpn.map(|alpn| alpn.as_str().to_owned()),
        client_cert: None,
    }
}
