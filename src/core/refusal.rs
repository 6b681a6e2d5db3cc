//! What the core answers to a request that it does not serve: status, a stable reason and the caller's next step.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;

use crate::base::code::Code;
use crate::base::limits::UPSTREAM_TOKEN_PAUSE;
use crate::identity::verifier::AssertionError;

/// A refusal that was answered. It goes with the answer as an extension, so that the edge can log it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// The code in the answer.
    pub code: Option<Code>,
}

/// Why a request was not served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Refusal {
    /// The gateway's methods as a request, past our desk.
    AdminRpc,
    /// It did not carry exactly one valid assertion.
    Assertion,
    /// Too many wrong credentials came from there.
    CredentialLocked {
        /// When the next may be tried.
        retry_after_ms: u64,
    },
    /// It says nothing of its sender.
    CredentialMissing,
    /// What it says of its sender is not known.
    CredentialWrong,
    /// The gateway's secret alone, from elsewhere.
    DeviceMissing,
    /// This instance stops.
    Draining,
    /// The path has no such method.
    Method,
    /// Nothing is at this path.
    NotFound,
    /// A node's token, where an operator's is needed.
    OperatorMissing,
    /// A page of another site.
    PageForeign,
    /// A device that was not granted as much.
    ScopeMissing,
    /// Too many requests of this client are at the upstream already.
    TooManyRequests,
    /// Too many WebSockets of this client wait for `hello-ok` already.
    TooManySockets,
    /// The answer could not be put together.
    Unanswered,
    /// The upstream takes no token from us for some minutes.
    UpstreamLocked,
    /// The upstream has another token than we.
    UpstreamToken,
    /// The upstream's name has no address.
    UpstreamUnreachable,
}

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

impl Refusal {
    /// The status, the stable reason, and what to do.
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::AdminRpc => (
                StatusCode::FORBIDDEN,
                "admin-rpc-closed",
                "the gateway's methods are called over WebSocket here, where each device's own scopes hold",
            ),
            Self::Assertion => (StatusCode::UNAUTHORIZED, "assertion-invalid", AssertionError::PUBLIC),
            Self::CredentialLocked { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "credential-locked",
                "too many wrong credentials came from your address; wait as long as Retry-After says",
            ),
            Self::CredentialMissing => (
                StatusCode::UNAUTHORIZED,
                "credential-required",
                "send a paired device's token as Authorization: Bearer",
            ),
            Self::CredentialWrong => (
                StatusCode::UNAUTHORIZED,
                "credential-wrong",
                "this token is neither the gateway's nor a paired device's; sign in again",
            ),
            Self::DeviceMissing => (
                StatusCode::FORBIDDEN,
                "device-required",
                "the gateway's token alone opens this only on its own machine: send the token of a paired device (connect once \
                 over WebSocket and have the owner approve it), or have the owner open this path in [[core.upstream.open]]",
            ),
            Self::Draining => (UNAVAILABLE, "draining", "this instance is stopping; try again shortly"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "see the Allow header"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "nothing is here; begin at /"),
            Self::OperatorMissing => {
                (StatusCode::FORBIDDEN, "operator-required", "this is the token of a node; send an operator's")
            }
            Self::PageForeign => (
                StatusCode::FORBIDDEN,
                "foreign-web-origin",
                "open the page from this server's own address; its owner allows others in edge.origins",
            ),
            Self::ScopeMissing => (
                StatusCode::FORBIDDEN,
                "scope-required",
                "this device may not do that: reading needs operator.read, and all else over http operator.admin; ask the owner",
            ),
            Self::TooManyRequests => (UNAVAILABLE, "too-many-requests", "wait until others of yours are answered"),
            // The gateway's own words, which its clients know.
            Self::TooManySockets => (UNAVAILABLE, "too-many-sockets", "Too many unauthenticated sockets"),
            Self::Unanswered => (StatusCode::INTERNAL_SERVER_ERROR, "internal-error", "see the server's log"),
            Self::UpstreamLocked => (
                UNAVAILABLE,
                "upstream-locked-out",
                "the gateway behind this server takes no token from it for some minutes; try again later, or tell the owner",
            ),
            Self::UpstreamToken => (
                UNAVAILABLE,
                "upstream-token-wrong",
                "the gateway behind this server has another token than this server knows; tell the owner",
            ),
            Self::UpstreamUnreachable => (
                UNAVAILABLE,
                "upstream-unreachable",
                "the gateway behind this server cannot be reached; try again shortly, or tell the owner",
            ),
        }
    }

    /// The stable reason, for the access log.
    pub fn reason(self) -> &'static str {
        self.words().1
    }

    /// The answer, with a code of its own: JSON in the gateway's form, but for the sockets' one sentence, which is text
    /// there too.
    pub(super) fn response(self) -> Response<Bytes> {
        let (status, reason, next) = self.words();
        let code = Code::random();
        let (kind, body) = match (self, code) {
            (Self::TooManySockets, None) => ("text/plain; charset=utf-8", next.to_owned()),
            (Self::TooManySockets, Some(code)) => ("text/plain; charset=utf-8", format!("{next}\n{}", code.told())),
            (_, code) => {
                let mut error = json!({ "type": reason, "message": next });
                if let (Value::Object(error), Some(code)) = (&mut error, code) {
                    error.insert("doorward".to_owned(), code.to_string().into());
                }
                ("application/json", json!({ "error": error }).to_string())
            }
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        response.extensions_mut().insert(Refused { refusal: self, code });
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Draining => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            // One of the waiting sockets is gone by then.
            Self::TooManySockets => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10")),
            Self::Method => headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD")),
            Self::CredentialMissing | Self::CredentialWrong => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Self::CredentialLocked { retry_after_ms } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000)))
            }
            Self::TooManyRequests | Self::UpstreamUnreachable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"))
            }
            Self::UpstreamLocked | Self::UpstreamToken => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(UPSTREAM_TOKEN_PAUSE.as_secs()))
            }
            Self::AdminRpc
            | Self::Assertion
            | Self::DeviceMissing
            | Self::NotFound
            | Self::OperatorMissing
            | Self::PageForeign
            | Self::ScopeMissing
            | Self::Unanswered => None,
        };
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::why;

    #[test]
    fn every_refusal_has_a_reason_and_a_next_step() {
        for (refusal, status, reason) in [
            (Refusal::AdminRpc, 403, "admin-rpc-closed"),
            (Refusal::Assertion, 401, "assertion-invalid"),
            (Refusal::CredentialLocked { retry_after_ms: 1_001 }, 429, "credential-locked"),
            (Refusal::CredentialMissing, 401, "credential-required"),
            (Refusal::CredentialWrong, 401, "credential-wrong"),
            (Refusal::DeviceMissing, 403, "device-required"),
            (Refusal::Draining, 503, "draining"),
            (Refusal::OperatorMissing, 403, "operator-required"),
            (Refusal::PageForeign, 403, "foreign-web-origin"),
            (Refusal::ScopeMissing, 403, "scope-required"),
            (Refusal::TooManyRequests, 503, "too-many-requests"),
            (Refusal::UpstreamLocked, 503, "upstream-locked-out"),
            (Refusal::UpstreamToken, 503, "upstream-token-wrong"),
            (Refusal::UpstreamUnreachable, 503, "upstream-unreachable"),
            (Refusal::Method, 405, "method-not-allowed"),
            (Refusal::NotFound, 404, "not-found"),
            (Refusal::Unanswered, 500, "internal-error"),
        ] {
            let response = refusal.response();
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!((response.status().as_u16(), &body["error"]["type"]), (status, &Value::from(reason)));
            assert!(body["error"]["message"].as_str().unwrap().len() > 10, "{body}");
            let refused = response.extensions().get::<Refused>().unwrap();
            assert_eq!(refused.refusal.reason(), reason);
            assert_eq!(why::of(reason).reason, reason, "no text for people");
            assert_eq!(body["error"]["doorward"], refused.code.unwrap().to_string());
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        }
    }

    #[test]
    fn the_sentence_about_sockets_is_the_gateways_own() {
        let response = Refusal::TooManySockets.response();
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        assert_eq!((response.status().as_u16(), body.lines().next()), (503, Some("Too many unauthenticated sockets")));
        let code = response.extensions().get::<Refused>().unwrap().code.unwrap().to_string();
        assert!(body.lines().nth(1).is_some_and(|line| line.contains(&code)), "{body}");
        assert_eq!(Refusal::TooManySockets.reason(), "too-many-sockets");
        assert_eq!(response.headers()[header::RETRY_AFTER], "10");
    }
}
