//! The request: it is answered in pingora's request phase, by us or by the core in this process, or leaves HTTP as a
//! WebSocket, or goes on to the upstream where the core lets it.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ORIGIN, STRICT_TRANSPORT_SECURITY};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use pingora_core::Result;
use pingora_core::protocols::http::ServerSession;

use super::access_log::Line;
use super::assertion::{Caller, tailnet_identity};
use super::context::Connection;
use super::denial::Denial;
use super::host::Offer;
use super::record::Record;
use super::respond::{self, Refusal};
use super::route::{Route, https_location};
use super::upgrade::{self, Handshake};
use super::upstream::Forwarded;
use super::{Edge, Settings};
use super::{assertion, body, host, why};
use crate::base::limits::{BODY_BYTES_MAX, FORWARDED_BODY_BYTES_MAX, HEAD_LINES_MAX, HTTPS_HELD};
use crate::certificates::acme::challenge;
use crate::core::Admission;
use crate::core::upstream::Forward;
use crate::core::upstream::access::Page;
use crate::core::upstream::resource::Body;
use crate::listener;
use crate::listener::Serve;
use crate::listener::facts::ConnectionFacts;
use crate::listener::head::HeadFault;
use crate::net::host::{Authority, Scheme};
use crate::origin::request::{check_web_origin, read_authority, read_scheme, speaker};
use crate::origin::{Network, resolve};

/// What becomes of a request.
enum Outcome {
    Answer(Response<Bytes>),
    Forward(Box<Forward>),
    Socket(Handshake, Admission),
}

/// What a request is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wish {
    /// An answer.
    Answer,
    /// A WebSocket.
    Socket,
}

impl Wish {
    fn of(head: &Parts) -> Self {
        if upgrade::is_asked(head) { Self::Socket } else { Self::Answer }
    }
}

impl Edge {
    /// Answers, or takes the socket, or hands on what goes to the upstream.
    pub(super) async fn serve(
        &self,
        session: &mut ServerSession,
        connection: &Arc<Connection>,
    ) -> Result<Option<Forwarded>> {
        let head: Parts = Parts::clone(session.req_header());
        let method = head.method.clone();
        let (mut line, mut record) = (Line::of(&head, connection.facts()), Record::default());
        let (mut response, denial) = match self.decide(session, head, connection, &mut line, &mut record).await {
            Ok(Outcome::Answer(response)) => {
                let denial = Denial::within(&response);
                (response, denial)
            }
            Ok(Outcome::Forward(forward)) => {
                let (held, connection) = (self.held_to_https(connection.facts(), &record), Arc::clone(connection));
                return Forwarded::begin(session, *forward, connection, line, record, held).await.map(Some);
            }
            Ok(Outcome::Socket(handshake, admission)) => {
                // Before the stream is taken: no head is left after that. The core says what came of it.
                let admission = admission.with_case(record.case(session.req_header(), connection, self));
                let taken = upgrade::take(session, &handshake).await;
                connection.facts().tally.answered(StatusCode::SWITCHING_PROTOCOLS);
                line.finish(StatusCode::SWITCHING_PROTOCOLS, taken.as_ref().ok().map(|_| 0));
                let taken = taken?;
                let core = self.core().clone();
                // Boxed io, and a task of its own: pingora's half of the connection is freed at once.
                tokio::spawn(async move { core.serve_socket(admission, taken.io, taken.early).await });
                return Ok(None);
            }
            Err(refusal) => {
                // Whoever sent it may read its end elsewhere than we do (RFC 9112 §11.2).
                session.set_keepalive(None);
                if matches!(refusal, Refusal::Sign(_) | Refusal::Unwritable(_)) {
                    tracing::error!(error = %refusal, "cannot sign assertions");
                }
                let denial = Denial::of(&refusal);
                (refusal.response(denial.code), Some(denial))
            }
        };
        if let Some(held) = self.held_to_https(connection.facts(), &record) {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, held);
        }
        let status = response.status();
        let reason = denial.as_ref().map(|denial| denial.reason);
        if let Some(denial) = &denial {
            line.refused(denial.reason, denial.code);
        }
        // A health check is no decision about anybody.
        if denial.is_some() || (record.origin.is_some() && connection.claim_first()) {
            let (code, outcome) = Denial::outcome(denial, status);
            let case = record.case(session.req_header(), connection, self);
            if reason == Some(Refusal::Unproxied.reason()) {
                // It may be the very proxy that somebody forgot to list.
                let headers = &session.req_header().headers;
                self.0.advisor.heed(&case.origin, headers, &case.listener, self.0.clock.now());
            }
            self.core().decisions().keep(case.decided(code, outcome));
        }
        connection.facts().tally.answered(status);
        let written = respond::write(session, response, &method).await;
        line.finish(status, written.as_ref().ok().copied());
        written.map(|_| None)
    }

    async fn decide(
        &self,
        session: &mut ServerSession,
        head: Parts,
        connection: &Connection,
        line: &mut Line,
        record: &mut Record,
    ) -> Result<Outcome, Refusal> {
        check_head(&head)?;
        let (facts, route) = (connection.facts(), Route::of(&head.method, &head.uri)?);
        let goes_up = route == Route::Core && self.core().forwards(head.uri.path());
        body::check_length(&head.headers, if goes_up { FORWARDED_BODY_BYTES_MAX } else { BODY_BYTES_MAX as u64 })?;
        if route.takes_any_host() {
            return Ok(Outcome::Answer(self.health(route)));
        }
        let authority = read_authority(&head.headers, &head.uri, head.version)?.ok_or(Refusal::HostAbsent)?;
        line.host(&authority);
        let authority = &*record.authority.insert(authority);
        if route == Route::Acme {
            return Ok(Outcome::Answer(self.challenge(&head, authority)));
        }
        // Loaded once each: no request is judged half by what was and half by what is.
        let (listener, settings) = (&*record.listener.insert(facts.listener.load()), self.settings());
        // The one page that a redirect keeps from nobody in the house: what makes https work.
        if listener.serve == Serve::Redirect && route != Route::Ca {
            let location = https_location(authority, &head.uri, &settings)?;
            return Ok(Outcome::Answer(respond::redirect(location)));
        }
        let network = record.network.insert(self.network());
        check_way(facts, listener, network)?;
        let answers = |offer| host::check(authority, facts.tls.as_ref(), listener, &settings, offer);
        answers(if route == Route::Ca { Offer::Guidance } else { Offer::Everything })?;
        let (rules, proxy_header) = (&listener.origin, facts.proxy_header.as_ref());
        let scheme = read_scheme(facts.scheme(), &head.headers, facts.peer, proxy_header, rules, network);
        record.scheme = Some(scheme);
        let wish = Wish::of(&head);
        if wish == Wish::Socket || !is_safe(&head.method) {
            check_web_origin(&head.headers, Some(authority), scheme, &settings.origins)?;
        }
        let word = &*record.tailnet.insert(facts.tailnet.fresh().await);
        let said = facts.said(&head.headers, Some(authority), scheme, word.whois());
        let origin = &*record.origin.insert(resolve(&said, rules, network));
        line.origin(origin);
        self.0.advisor.heed(origin, &head.headers, listener, self.0.clock.now());
        let ca = || self.ca(&head, origin, authority, (facts, listener), &settings);
        if let Some(page) = self.page(route, head.uri.path()).or_else(|| (route == Route::Ca).then(ca).flatten()) {
            return Ok(Outcome::Answer(page));
        }
        if listener.serve == Serve::Redirect {
            let location = https_location(authority, &head.uri, &settings)?;
            return Ok(Outcome::Answer(respond::redirect(location)));
        }
        // No page for this caller: it is the core's, as all else.
        answers(Offer::Everything)?;
        let speaker = speaker(facts.peer, proxy_header);
        let named = self.0.identities.read(&head.headers, speaker, listener, network).await?;
        record.identity = named.or_else(|| tailnet_identity(origin, word));
        let caller = Caller { origin, identity: record.identity.as_ref() };
        let seal = |head| assertion::seal(head, authority, caller, listener, connection, &self.0.signer, &self.0.clock);
        match wish {
            Wish::Answer if goes_up => self.send_up(session, head, seal, (authority, scheme, &settings)).await,
            Wish::Answer => self.pass_on(session, head, seal).await,
            Wish::Socket => self.open_socket(head, seal),
        }
    }

    /// The core's answer to a request, with the word on its caller that `seal` puts on the head.
    async fn pass_on(
        &self,
        session: &mut ServerSession,
        head: Parts,
        seal: impl Fn(Parts) -> Result<Parts, Refusal>,
    ) -> Result<Outcome, Refusal> {
        // Before it is signed: a body may take its time, and an assertion has little.
        let body = body::read(session).await?;
        Ok(Outcome::Answer(self.core().answer(Request::from_parts(seal(head)?, body)).await))
    }

    /// A request that the core lets go up, or its answer in the place of one.
    async fn send_up(
        &self,
        session: &mut ServerSession,
        head: Parts,
        seal: impl Fn(Parts) -> Result<Parts, Refusal>,
        (authority, scheme, settings): (&Authority, Scheme, &Settings),
    ) -> Result<Outcome, Refusal> {
        let page = match head.headers.contains_key(ORIGIN) {
            false => Page::Absent,
            // Unlike what we serve ourselves, of any method: what goes up names the upstream's own origin.
            true if check_web_origin(&head.headers, Some(authority), scheme, &settings.origins).is_ok() => Page::Ours,
            true => Page::Foreign,
        };
        let came = head.headers.clone();
        let body = if session.is_body_empty() { Body::Absent } else { Body::Present };
        match self.core().forward(&seal(head)?, &came, body, page).await {
            Ok(forward) => Ok(Outcome::Forward(Box::new(forward))),
            Err(response) => {
                if !session.is_body_empty() {
                    // Its body is not read.
                    session.set_keepalive(None);
                }
                Ok(Outcome::Answer(response))
            }
        }
    }

    /// A WebSocket that the core lets in, or its answer in the place of one.
    fn open_socket(&self, head: Parts, seal: impl Fn(Parts) -> Result<Parts, Refusal>) -> Result<Outcome, Refusal> {
        let handshake = Handshake::read(&head)?;
        if !self.is_ready() {
            return Err(Refusal::Draining);
        }
        let admitted = self.core().admit_socket(&seal(head)?);
        Ok(admitted.map_or_else(Outcome::Answer, |admission| Outcome::Socket(handshake, admission)))
    }

    /// What we answer ourselves, whoever asks.
    fn page(&self, route: Route, path: &str) -> Option<Response<Bytes>> {
        match route {
            Route::Acme | Route::Ca | Route::Core | Route::Health | Route::Readiness => None,
            Route::Keys => Some(respond::json(StatusCode::OK, Bytes::clone(&self.0.jwks.load()))),
            Route::Why => Some(why::page(path, self.core().decisions())),
        }
    }

    /// The word that holds browsers to https, where that is right. Never for names below ours: those are not ours to decide
    /// on.
    fn held_to_https(&self, facts: &ConnectionFacts, record: &Record) -> Option<HeaderValue> {
        let (authority, known) = (record.authority.as_ref()?, self.0.certificates.get()?);
        let held = host::holds_to_https(authority, facts.tls.as_ref(), &self.settings(), |host| known.is_public(host));
        held.then(|| HeaderValue::from_static(HTTPS_HELD))
    }

    /// The answer to a CA's question, on every listener, for the name it was asked of; 404 for all else, told to nobody else.
    fn challenge(&self, head: &Parts, authority: &Authority) -> Response<Bytes> {
        let token = head.uri.path().strip_prefix(challenge::PATH).unwrap_or_default();
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        let known = self.0.certificates.get().filter(|_| reads);
        let answer = known.and_then(|known| known.challenges().http(&authority.host, token));
        match answer {
            Some(answer) => respond::text(StatusCode::OK, answer.to_string()),
            None => respond::text(StatusCode::NOT_FOUND, "no-such-challenge: no order of ours asks for this\n"),
        }
    }

    fn health(&self, route: Route) -> Response<Bytes> {
        if route == Route::Readiness && !self.is_ready() {
            return Refusal::Draining.response(None);
        }
        respond::text(StatusCode::OK, "ok\n")
    }
}

/// Whether this caller may say here what nobody else should hear.
fn check_way(facts: &ConnectionFacts, listener: &listener::Settings, network: &Network) -> Result<(), Refusal> {
    if !listener.serves(facts.peer, network) {
        return Err(Refusal::Unproxied);
    }
    if facts.tls.is_none() && !listener.serves_plain(facts.peer, network) {
        return Err(Refusal::PortNotClosed);
    }
    Ok(())
}

/// What is wrong with a head, wherever it is for.
fn check_head(head: &Parts) -> Result<(), Refusal> {
    if head.headers.len() > HEAD_LINES_MAX {
        return Err(HeadFault::TooManyLines.into());
    }
    body::check_framing(&head.headers, head.version)
}

/// Methods that change nothing (RFC 9110 §9.2.1).
pub(super) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}
