//! A request on its way to the upstream and back, by pingora's own upstream half: nothing of a body is kept, either way.
//!
//! Promise: what goes up is exactly the head that the core made; a failure of the upstream gets an answer of ours with its
//! reason; a request is sent twice only if it changes nothing and nothing of an answer came.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALT_SVC, CONNECTION, EXPECT, HeaderName, LOCATION, REFRESH, RETRY_AFTER, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
};
use http::header::{TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;
use http::{HeaderValue, StatusCode, Version};
use pingora_core::protocols::http::ServerSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, Session};

use super::Edge;
use super::access_log::Line;
use super::context::Connection;
use super::denial::Denial;
use super::record::Record;
use super::respond::{self, CROSS_ORIGIN_RESOURCE_POLICY, Refusal};
use super::upload::Upload;
use crate::base::limits::{
    FORWARDED_ANSWER_WAIT, FORWARDED_CONNECT_WAIT, FORWARDED_HANDSHAKE_WAIT, FORWARDED_IDLE_WAIT, FORWARDED_PIECE_WAIT,
    UPSTREAM_ASK_AGAIN, UPSTREAM_REFRESH,
};
use crate::core::upstream::Forward;

/// What ends at this hop, or is ours to say (RFC 9110 §7.6.1); the framing stays, for pingora reads it.
const OURS_TO_SAY: [HeaderName; 8] = [
    ALT_SVC,
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("te"),
    HeaderName::from_static("trailer"),
    UPGRADE,
];

/// A request that is at the upstream, with all that is told of it when it is over.
#[derive(Debug)]
pub(super) struct Forwarded {
    forward: Forward,
    connection: Arc<Connection>,
    line: Line,
    record: Record,
    held_to_https: Option<HeaderValue>,
    upload: Upload,
    /// Why we broke it off ourselves.
    broken_off: Option<Refusal>,
    denial: Option<Denial>,
}

impl Forwarded {
    /// Lets the caller's body come, in time, and takes what is told of the request into keeping.
    pub(super) async fn begin(
        session: &mut ServerSession,
        forward: Forward,
        connection: Arc<Connection>,
        line: Line,
        record: Record,
        held_to_https: Option<HeaderValue>,
    ) -> Result<Self> {
        session.set_read_timeout(Some(FORWARDED_PIECE_WAIT));
        session.set_write_timeout(Some(FORWARDED_PIECE_WAIT));
        session.set_total_drain_timeout(Some(FORWARDED_PIECE_WAIT));
        if session.get_header(TRANSFER_ENCODING).is_some() {
            // The parser takes an empty chunk size for a zero: after chunks no second head is read here.
            session.set_keepalive(None);
        }
        if session.get_header(EXPECT).is_some() && session.req_header().version == Version::HTTP_11 {
            session.write_continue_response().await?;
        }
        let upload = Upload::begin();
        if !session.is_body_empty() && connection.facts().is_h2() {
            let (silence, connection) = (upload.silence(), Arc::clone(&connection));
            tokio::spawn(async move {
                if silence.await.is_some() {
                    connection.facts().use_up();
                }
            });
        }
        Ok(Self { forward, connection, line, record, held_to_https, upload, broken_off: None, denial: None })
    }

    /// Where it goes, and how long each part of that may take.
    pub(super) fn peer(&self) -> Result<Box<HttpPeer>> {
        let name = self.forward.server_name.clone();
        // Without a name pingora would not look at the certificate.
        if name.as_ref().is_some_and(String::is_empty) {
            return Error::e_explain(ErrorType::InternalError, "an upstream without a name");
        }
        let mut peer = HttpPeer::new(self.forward.address, name.is_some(), name.unwrap_or_default());
        peer.options.connection_timeout = Some(FORWARDED_CONNECT_WAIT);
        peer.options.total_connection_timeout = Some(FORWARDED_HANDSHAKE_WAIT);
        peer.options.read_timeout = Some(FORWARDED_ANSWER_WAIT);
        peer.options.write_timeout = Some(FORWARDED_PIECE_WAIT);
        peer.options.idle_timeout = Some(FORWARDED_IDLE_WAIT);
        Ok(Box::new(peer))
    }

    /// The head that goes up, in place of what pingora made of the caller's.
    pub(super) fn write_head(&self, up: &mut RequestHeader) {
        let mut head = RequestHeader::from(self.forward.head.clone());
        head.set_version(Version::HTTP_11);
        *up = head;
    }

    /// Counts a piece of the caller's body.
    pub(super) fn pass_up(&mut self, piece: Option<&Bytes>) -> Result<()> {
        match self.upload.take(piece) {
            Ok(()) => self.check_standing(),
            Err(refusal) => {
                self.broken_off = Some(refusal);
                Error::e_explain(ErrorType::InternalError, "body refused")
            }
        }
    }

    /// The caller's body is whole.
    pub(super) fn end_up(&self) {
        self.upload.end();
    }

    /// Makes the upstream's head ours.
    pub(super) fn pass_head_down(&mut self, down: &mut ResponseHeader) -> Result<()> {
        if down.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for another protocol: what came next would be no answer.
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "an upgrade that nobody asked for").into_up());
        }
        self.check_standing()?;
        let mut parts: Parts = down.as_owned_parts();
        if down.status.is_informational() {
            parts.headers.clear();
            *down = ResponseHeader::from(parts);
            return Ok(());
        }
        self.forward.scrub_headers(&mut parts.headers);
        for name in OURS_TO_SAY {
            parts.headers.remove(name);
        }
        if !self.forward.is_admins {
            parts.headers.remove(SET_COOKIE);
        }
        if let Some(location) = parts.headers.get(LOCATION).and_then(|location| self.forward.of_ours(location)) {
            parts.headers.insert(LOCATION, location);
        }
        if let Some(held) = &self.held_to_https {
            parts.headers.insert(STRICT_TRANSPORT_SECURITY, held.clone());
        }
        let same_origin = HeaderValue::from_static("same-origin");
        parts.headers.entry(CROSS_ORIGIN_RESOURCE_POLICY).or_insert(same_origin);
        *down = ResponseHeader::from(parts);
        Ok(())
    }

    /// A piece of the upstream's body, as it may pass.
    pub(super) fn pass_down(&mut self, piece: &mut Option<Bytes>, end: bool) -> Result<()> {
        self.check_standing()?;
        let taken = piece.take();
        *piece = if end { self.forward.last_piece(taken) } else { self.forward.next_piece(taken) };
        Ok(())
    }

    /// Answers for an upstream that failed, if nothing of its answer has gone out.
    pub(super) async fn fail(&mut self, session: &mut Session, error: &Error) -> FailToProxy {
        let silent = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let Some(refusal) = self.broken_off.take().or_else(|| fault(error)) else { return silent };
        let denial = Denial::of(&refusal);
        let (reason, code) = (denial.reason, denial.code);
        self.line.refused(reason, code);
        tracing::debug!(%error, reason, "a request to the upstream failed");
        self.denial = Some(denial);
        let session = session.as_downstream_mut();
        session.set_keepalive(None);
        if session.response_written().is_some() {
            return silent;
        }
        let mut response = refusal.response(code);
        let headers = response.headers_mut();
        if refusal.is_of_upstream() {
            headers.insert(RETRY_AFTER, seconds(UPSTREAM_ASK_AGAIN));
            if self.forward.is_page {
                // A browser that shows this is back as soon as the gateway is.
                headers.insert(REFRESH, seconds(UPSTREAM_REFRESH));
            }
        }
        if let Some(held) = &self.held_to_https {
            headers.insert(STRICT_TRANSPORT_SECURITY, held.clone());
        }
        let (status, method) = (response.status(), session.req_header().method.clone());
        match respond::write(session, response, &method).await {
            Ok(_) => FailToProxy { error_code: status.as_u16(), can_reuse_downstream: false },
            Err(_) => silent,
        }
    }

    /// Tells what came of it.
    pub(super) fn end(self, session: &ServerSession, error: Option<&Error>, edge: &Edge) {
        let Self { connection, line, record, denial, .. } = self;
        let status = session.response_written().map(|response| response.status);
        let gone = status.is_none() || error.is_some_and(|error| *error.esource() == ErrorSource::Downstream);
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        connection.facts().tally.answered(status);
        if denial.is_some() || connection.claim_first() {
            let (code, outcome) = Denial::outcome(denial, status);
            let case = record.case(session.req_header(), &connection, edge);
            edge.core().decisions().keep(case.decided(code, outcome));
        }
        line.finish(status, (!gone).then(|| session.body_bytes_sent()));
    }

    /// Nothing more passes once what let the request through was taken back.
    fn check_standing(&self) -> Result<()> {
        if self.forward.is_over() {
            Error::e_explain(ErrorType::InternalError, "access was taken back")
        } else {
            Ok(())
        }
    }
}

fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs())
}

/// Whose fault a failure is, and which; none where the caller is gone.
fn fault(error: &Error) -> Option<Refusal> {
    use ErrorType as E;
    Some(match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, E::ReadTimedout) => Refusal::BodyTooSlow,
        (ErrorSource::Downstream, E::InvalidHTTPHeader | E::H1Error) => Refusal::BodyUnreadable,
        (ErrorSource::Downstream, _) => return None,
        (_, E::ConnectTimedout | E::ConnectRefused | E::ConnectNoRoute | E::ConnectError | E::SocketError) => {
            Refusal::UpstreamUnreachable
        }
        (_, E::TLSHandshakeFailure | E::TLSHandshakeTimedout | E::InvalidCert | E::HandshakeError) => {
            Refusal::UpstreamTls
        }
        (ErrorSource::Upstream, E::ReadTimedout | E::WriteTimedout) => Refusal::UpstreamSilent,
        _ => Refusal::UpstreamBroken,
    })
}
