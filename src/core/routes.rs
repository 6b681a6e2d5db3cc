//! The core's HTTP: who the caller is, and a page that says what this is.
//!
//! Every request here carries a verified assertion. Answers are about the caller alone and hold nothing a stranger sent.

use std::net::IpAddr;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http_body_util::BodyExt;
use serde::Serialize;
use tower::ServiceExt;
use tracing::error;
use tracing::warn;

use crate::core::refusal::Refusal;
use crate::identity::claims::Class;
use crate::identity::claims::IdentityClaim;
use crate::identity::verifier::AssertionError;
use crate::identity::verifier::Verified;
use crate::origin::Kind;

const PAGE: &str = include_str!("page.html");

/// On every answer: nothing is loaded, framed, sniffed or told to others.
const SECURITY: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

/// The core's routes; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Routes(Router);

/// The routes as they stand, without the verifier before them: each request must carry a [`Verified`] as an extension.
pub fn router() -> Router {
    Router::new()
        .route("/doorward/whoami", get(whoami))
        .fallback(page)
        .method_not_allowed_fallback(async || refuse(Refusal::Method).map(Body::from))
        .layer(middleware::map_response(async |mut response: Response<Body>| {
            secure(response.headers_mut());
            response
        }))
}

impl Routes {
    pub(super) fn new() -> Self {
        Self(router())
    }

    pub(super) async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        // Never: the router's error type has no value.
        let response = self.0.clone().oneshot(request.map(Body::from)).await;
        let (parts, body) = match response {
            Ok(response) => response.into_parts(),
            Err(never) => match never {},
        };
        match body.collect().await {
            Ok(body) => Response::from_parts(parts, body.to_bytes()),
            Err(fault) => {
                // Never: all our bodies are in memory.
                error!(%fault, "answer not collected");
                refuse(Refusal::Unanswered)
            }
        }
    }
}

/// To a request without exactly one valid assertion. The cause is for the log alone.
pub(super) fn without_assertion(error: &AssertionError) -> Response<Bytes> {
    warn!(%error, "request without a valid assertion refused");
    refuse(Refusal::Assertion)
}

/// The answer to a request that is not served.
pub(super) fn refuse(refusal: Refusal) -> Response<Bytes> {
    let mut response = refusal.response();
    secure(response.headers_mut());
    response
}

/// What the caller is told about itself: no address is in it but its own, and no word but ours.
#[derive(Serialize)]
struct Whoami<'a> {
    kind: Kind,
    client_ip: Option<IpAddr>,
    class: Class,
    local: bool,
    listener: &'a str,
    connection: &'a str,
    steps: Vec<&'static str>,
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a IdentityClaim>,
}

async fn whoami(Extension(verified): Extension<Verified>) -> impl IntoResponse {
    let claims = verified.claims();
    let origin = &claims.origin;
    let answer = Whoami {
        kind: origin.kind,
        client_ip: origin.ip,
        class: origin.class,
        local: origin.local,
        listener: &origin.listener,
        connection: &claims.cid,
        steps: origin.steps.phrases().collect(),
        verified: true,
        identity: claims.idn.as_ref(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

async fn page(method: Method, uri: Uri) -> Response<Body> {
    if is_ours(uri.path()) || names_a_file(uri.path()) {
        return refuse(Refusal::NotFound).map(Body::from);
    }
    if method != Method::GET && method != Method::HEAD {
        return refuse(Refusal::Method).map(Body::from);
    }
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, PAGE).into_response()
}

/// Whether the path lies where only doorward itself, or a well-known protocol (RFC 8615), puts anything, or where callers
/// look for what is told to the owner's monitor alone.
fn is_ours(path: &str) -> bool {
    matches!(path.split('/').nth(1), Some("debug" | "doorward" | "metrics" | ".well-known"))
}

/// Whether the path asks for a file, which the page is not.
fn names_a_file(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|last| last.contains('.') && last != "index.html")
}

fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
