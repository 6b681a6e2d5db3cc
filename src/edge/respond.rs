//! The one place where a refusal becomes an answer, and where answers are written.

use std::time::Duration;

use bytes::Bytes;
use http::header::InvalidHeaderValue;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SEC_WEBSOCKET_VERSION, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use thiserror::Error;
use tokio::time::timeout;

use super::identities::IdentityRefusal;
use crate::base::code::Code;
use crate::base::limits::ANSWER_WAIT;
use crate::identity::claims::RequestClaimError;
use crate::identity::signer::SignError;
use crate::listener::head::HeadFault;
use crate::origin::request::{HostRefusal, OriginRefusal};

/// What to do while the upstream fails.
const UPSTREAM_NEXT: &str =
    "the gateway behind this server is not there; try again in a minute, or show the code to the owner";

/// Whose pages may load an answer (Fetch §3.7).
pub(super) const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Why a request is not served. The peer is at fault, but for [`Refusal::Draining`], [`Refusal::Sign`],
/// [`Refusal::Unwritable`] and those of the upstream.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The body is larger than we read.
    #[error("body too large")]
    BodyTooLarge,
    /// The body did not come in time.
    #[error("body too slow")]
    BodyTooSlow,
    /// The body breaks its own framing.
    #[error("malformed body")]
    BodyUnreadable,
    /// No claim can be made of the head.
    #[error("unclaimable head: {0}")]
    Claim(#[from] RequestClaimError),
    /// We are about to stop.
    #[error("draining")]
    Draining,
    /// An expectation other than 100-continue (RFC 9110 §10.1.1).
    #[error("unknown expectation")]
    Expectation,
    /// A head over a bound: the listener counts HTTP/1's lines, HTTP/2's are first seen here.
    #[error("head: {0}")]
    Head(#[from] HeadFault),
    /// Not one readable authority.
    #[error("host: {0}")]
    Host(#[from] HostRefusal),
    /// HTTP/1.0 without a Host.
    #[error("no host header")]
    HostAbsent,
    /// CONNECT, TRACE, or a method that this route does not have.
    #[error("method not allowed")]
    Method {
        /// What is allowed.
        allow: &'static str,
    },
    /// A name that is not served here.
    #[error("host is not served here")]
    Misdirected,
    /// The Host is not the name that TLS was asked for.
    #[error("host is not the tls server name")]
    MisdirectedByTls,
    /// A page of another site.
    #[error("web origin: {0}")]
    Origin(#[from] OriginRefusal),
    /// Plain HTTP through a published port that is not proven closed to strangers.
    #[error("the published port is not proven closed beyond the host's loopback")]
    PortNotClosed,
    /// A product's identity token that is not believed.
    #[error("identity: {0}")]
    Identity(#[from] IdentityRefusal),
    /// The assertion could not be signed.
    #[error("sign: {0}")]
    Sign(#[from] SignError),
    /// A target that is no path.
    #[error("target is not a path")]
    Target,
    /// A transfer coding other than chunked.
    #[error("unknown transfer coding")]
    TransferCoding,
    /// Plain HTTP, past the proxies that this listener is for.
    #[error("not one of the trusted proxies")]
    Unproxied,
    /// A header value of our own that does not encode.
    #[error("unwritable header value")]
    Unwritable(#[from] InvalidHeaderValue),
    /// A WebSocket over something that cannot carry one, or with a body.
    #[error("not a websocket handshake: {0}")]
    Upgrade(&'static str),
    /// A WebSocket version other than 13.
    #[error("websocket version is not 13")]
    UpgradeVersion,
    /// The upstream's answer is none, or broke off.
    #[error("the upstream broke off, or answers what is no http")]
    UpstreamBroken,
    /// The upstream took the request and did not answer.
    #[error("the upstream does not answer")]
    UpstreamSilent,
    /// The upstream is not who it should be.
    #[error("tls with the upstream fails")]
    UpstreamTls,
    /// Nobody answers where the upstream should be.
    #[error("the upstream takes no connection")]
    UpstreamUnreachable,
}

impl Refusal {
    /// The status, the stable reason, and what to do.
    fn words(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "send less at once"),
            Self::BodyTooSlow => {
                (StatusCode::REQUEST_TIMEOUT, "body-too-slow", "send the whole body within 30 seconds")
            }
            Self::BodyUnreadable => (StatusCode::BAD_REQUEST, "malformed-body", "send a body as its framing says"),
            Self::Claim(_) => (StatusCode::BAD_REQUEST, "malformed-request", "send one short value for each header"),
            Self::Draining => {
                (StatusCode::SERVICE_UNAVAILABLE, "draining", "this instance is stopping; try again shortly")
            }
            Self::Expectation => {
                (StatusCode::EXPECTATION_FAILED, "unknown-expectation", "send no Expect but 100-continue")
            }
            Self::Head(fault) => (fault.status(), fault.reason(), fault.next()),
            Self::Host(_) | Self::HostAbsent => (StatusCode::BAD_REQUEST, "bad-host", "send exactly one readable Host"),
            Self::Identity(refusal) => {
                let (reason, next) = refusal.words();
                (StatusCode::FORBIDDEN, reason, next)
            }
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "see the Allow header"),
            Self::Misdirected => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected-host",
                "this name is not served here; its owner adds it to edge.names in doorward.toml",
            ),
            Self::MisdirectedByTls => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected-connection",
                "open a new connection whose tls server name is the Host",
            ),
            Self::Origin(_) => (
                StatusCode::FORBIDDEN,
                "foreign-web-origin",
                "open the page from this server's own address; its owner allows others in edge.origins",
            ),
            Self::PortNotClosed => (
                StatusCode::FORBIDDEN,
                "port-not-closed",
                "use https; plain http waits until this port is proven closed to others: its owner publishes it on 127.0.0.1 \
                 only, and doorward status says what was found",
            ),
            Self::Sign(_) => (StatusCode::INTERNAL_SERVER_ERROR, "not-signed", "see the server's log"),
            Self::Target => (StatusCode::BAD_REQUEST, "bad-target", "ask for a path"),
            Self::TransferCoding => {
                (StatusCode::NOT_IMPLEMENTED, "unknown-transfer-coding", "send no Transfer-Encoding but chunked")
            }
            Self::Unproxied => (
                StatusCode::FORBIDDEN,
                "not-through-the-proxy",
                "use https; only this listener's trusted_proxies speak plain http to it",
            ),
            Self::Unwritable(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "see the server's log"),
            Self::Upgrade(_) => {
                (StatusCode::BAD_REQUEST, "bad-websocket-handshake", "send a handshake as RFC 6455 section 4.1 has it")
            }
            Self::UpgradeVersion => {
                (StatusCode::UPGRADE_REQUIRED, "websocket-version", "send Sec-WebSocket-Version: 13")
            }
            Self::UpstreamBroken => (StatusCode::BAD_GATEWAY, "upstream-broken", UPSTREAM_NEXT),
            Self::UpstreamSilent => (StatusCode::GATEWAY_TIMEOUT, "upstream-silent", UPSTREAM_NEXT),
            Self::UpstreamTls => (StatusCode::BAD_GATEWAY, "upstream-refused-tls", UPSTREAM_NEXT),
            Self::UpstreamUnreachable => (StatusCode::SERVICE_UNAVAILABLE, "upstream-unreachable", UPSTREAM_NEXT),
        }
    }

    /// Whether it is the upstream that failed.
    pub(super) fn is_of_upstream(&self) -> bool {
        let of = [Self::UpstreamBroken, Self::UpstreamSilent, Self::UpstreamTls, Self::UpstreamUnreachable];
        of.iter().any(|fault| fault.reason() == self.reason())
    }

    /// The stable reason, for the access log.
    pub fn reason(&self) -> &'static str {
        self.words().1
    }

    /// The answer, with the code of this one refusal.
    pub fn response(&self, code: Option<Code>) -> Response<Bytes> {
        let (status, reason, next) = self.words();
        let code = code.map(Code::told).unwrap_or_default();
        let mut response = text(status, format!("{reason}: {next}\n{code}"));
        let headers = response.headers_mut();
        match self {
            Self::Method { allow } => {
                headers.insert(ALLOW, HeaderValue::from_static(allow));
            }
            Self::UpgradeVersion => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

/// A short text that nobody keeps.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    typed(status, "text/plain; charset=utf-8", body.into())
}

/// A page that nobody keeps.
pub fn html(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    typed(status, "text/html; charset=utf-8", body.into())
}

/// A short JSON document that nobody keeps.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    typed(status, "application/json", body.into())
}

/// 308 to `location`.
pub fn redirect(location: HeaderValue) -> Response<Bytes> {
    let mut response = text(StatusCode::PERMANENT_REDIRECT, "use-https: this server speaks https\n");
    response.headers_mut().insert(LOCATION, location);
    response
}

/// A document of this media type that nobody keeps.
pub(super) fn typed(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Writes `response` whole; returns how many body bytes that were.
///
/// # Errors
/// When the caller is gone, or does not take the answer in time; the connection is then over.
pub async fn write(session: &mut ServerSession, response: Response<Bytes>, method: &Method) -> Result<usize> {
    within(ANSWER_WAIT, write_whole(session, response, method)).await
}

/// `work`, or an error when it takes longer than `wait`.
pub(super) async fn within<T>(wait: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(wait, work).await.unwrap_or_else(|_| Err(Error::new_down(ErrorType::WriteTimedout)))
}

async fn write_whole(session: &mut ServerSession, response: Response<Bytes>, method: &Method) -> Result<usize> {
    let (mut parts, body) = response.into_parts();
    if !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    // No page of another site learns whether its visitor trusts our certificate: without this, every answer would tell it.
    parts.headers.entry(CROSS_ORIGIN_RESOURCE_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    // Not copied line by line: pingora would parse each name again.
    session.write_response_header(Box::new(ResponseHeader::from(parts))).await?;
    let body = if method == Method::HEAD { Bytes::new() } else { body };
    let bytes = body.len();
    // Finishing here, not after the log line, keeps the last flush within the deadline.
    session.write_response_body(body, true).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::decisions::why;
    use crate::identity::provider::TokenError;

    #[test]
    fn every_refusal_has_a_reason_and_a_next_step() {
        let all: Vec<_> = std::iter::successors(Some(Refusal::BodyTooLarge), after).collect();
        let mut words = HashMap::new();
        for refusal in &all {
            let code = Code::random().unwrap();
            let response = refusal.response(Some(code));
            assert!(response.status().is_client_error() || response.status().is_server_error());
            let body = String::from_utf8(response.body().to_vec()).unwrap();
            assert!(body.starts_with(&format!("{}: ", refusal.reason())) && body.ends_with('\n'), "{body}");
            assert_eq!(body.lines().count(), 2);
            assert_eq!(why::of(refusal.reason()).reason, refusal.reason(), "no text for people");
            assert!(body.ends_with(&code.told()) && code.told().contains(&code.to_string()), "{body}");
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            let status = words.entry(refusal.reason()).or_insert(response.status());
            assert_eq!(*status, response.status(), "one reason, two statuses: {refusal:?}");
        }
        assert!(words.len() + 3 >= all.len(), "hosts and malformed heads share a reason, nobody else: {words:?}");
    }

    fn of_token(cause: TokenError) -> Refusal {
        Refusal::Identity(IdentityRefusal::Invalid { provider: "jwt".to_owned(), cause })
    }

    /// Each refusal leads to the next, so that none is left out: whoever adds one is asked here.
    fn after(refusal: &Refusal) -> Option<Refusal> {
        Some(match refusal {
            Refusal::BodyTooLarge => Refusal::BodyTooSlow,
            Refusal::BodyTooSlow => Refusal::BodyUnreadable,
            Refusal::BodyUnreadable => Refusal::Claim(RequestClaimError::WebSocketKey),
            Refusal::Claim(_) => Refusal::Draining,
            Refusal::Draining => Refusal::Expectation,
            Refusal::Expectation => Refusal::Head(HeadFault::TooLarge),
            Refusal::Head(HeadFault::TooLarge) => Refusal::Head(HeadFault::TooManyLines),
            Refusal::Head(HeadFault::TooManyLines) => Refusal::Head(HeadFault::TooSlow),
            Refusal::Head(HeadFault::TooSlow) => Refusal::Head(HeadFault::Unreadable),
            Refusal::Head(HeadFault::Unreadable | HeadFault::BareLineFeed | HeadFault::RequestLine) => {
                Refusal::Host(HostRefusal::Repeated)
            }
            Refusal::Host(_) => Refusal::HostAbsent,
            Refusal::HostAbsent => Refusal::Identity(IdentityRefusal::Ambiguous),
            Refusal::Identity(IdentityRefusal::Ambiguous) => of_token(TokenError::Expired),
            Refusal::Identity(IdentityRefusal::Invalid { cause: TokenError::Expired, .. }) => {
                of_token(TokenError::Signature)
            }
            Refusal::Identity(IdentityRefusal::Invalid { .. }) => {
                Refusal::Identity(IdentityRefusal::NoKey { provider: "jwt".to_owned() })
            }
            Refusal::Identity(IdentityRefusal::NoKey { .. }) => Refusal::Method { allow: "GET, HEAD" },
            Refusal::Method { .. } => Refusal::Misdirected,
            Refusal::Misdirected => Refusal::MisdirectedByTls,
            Refusal::MisdirectedByTls => Refusal::Origin(OriginRefusal::Foreign),
            Refusal::Origin(_) => Refusal::PortNotClosed,
            Refusal::PortNotClosed => Refusal::Sign(SignError::TooLong),
            Refusal::Sign(_) => Refusal::Target,
            Refusal::Target => Refusal::TransferCoding,
            Refusal::TransferCoding => Refusal::Unproxied,
            Refusal::Unproxied => Refusal::Unwritable(HeaderValue::from_bytes(b"\n").unwrap_err()),
            Refusal::Unwritable(_) => Refusal::Upgrade("key"),
            Refusal::Upgrade(_) => Refusal::UpgradeVersion,
            Refusal::UpgradeVersion => Refusal::UpstreamBroken,
            Refusal::UpstreamBroken => Refusal::UpstreamSilent,
            Refusal::UpstreamSilent => Refusal::UpstreamTls,
            Refusal::UpstreamTls => Refusal::UpstreamUnreachable,
            Refusal::UpstreamUnreachable => return None,
        })
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let method = Refusal::Method { allow: "GET, HEAD" }.response(None);
        assert_eq!(method.headers()[ALLOW], "GET, HEAD");
        let version = Refusal::UpgradeVersion.response(None);
        assert_eq!((version.status().as_u16(), version.headers()[SEC_WEBSOCKET_VERSION].as_bytes()), (426, &b"13"[..]));
    }
}
