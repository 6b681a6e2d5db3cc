//! What is said to whom: the numbers by `GET /metrics`, to whoever asks by a name that leads nowhere on the Internet or by one
//! of ours. A page of a stranger that has its own name point here (DNS rebinding) is told nothing.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::page::MEDIA_TYPE;
use crate::net::host::Host;
use crate::origin::request::read_authority;

/// Where the numbers are.
pub(super) const PATH: &str = "/metrics";

/// What a request gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The numbers.
    Numbers,
    /// A refusal.
    Refused(StatusCode, &'static str),
}

/// Judges a request; `names` are ours.
pub(super) fn judge(head: &Parts, names: &[Host]) -> Verdict {
    let host = match read_authority(&head.headers, &head.uri, head.version) {
        Ok(Some(authority)) => authority.host,
        Ok(None) | Err(_) => return Verdict::Refused(StatusCode::BAD_REQUEST, "bad-host: send one host\n"),
    };
    if !answers_to(&host, names) {
        let next = "misdirected-host: ask by an address, a name of the local network, or one of edge.names\n";
        return Verdict::Refused(StatusCode::MISDIRECTED_REQUEST, next);
    }
    if head.uri.path() != PATH {
        return Verdict::Refused(StatusCode::NOT_FOUND, "not-found: the numbers are at /metrics\n");
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Verdict::Refused(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed: GET, HEAD\n");
    }
    Verdict::Numbers
}

/// An address is nobody's name. A name without a dot, as a container runtime gives one, is in no zone of the Internet.
fn answers_to(host: &Host, names: &[Host]) -> bool {
    let is_near = match host {
        Host::Address(_) => true,
        Host::Name(name) => host.is_local_only() || !name.contains('.'),
    };
    is_near || names.contains(host)
}

/// The answer with `body`.
pub(super) fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let kind = if status == StatusCode::OK { MEDIA_TYPE } else { "text/plain; charset=utf-8" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A page of somebody else's does not even learn that there is an answer.
    let resources = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(resources, HeaderValue::from_static("same-origin"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn the_numbers_are_told_by_get_to_whom_no_stranger_can_send() {
        let judged = |method: &str, uri: &str, hosts: &[&str]| {
            let mut request = Request::builder().method(method).uri(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            match judge(&request.body(()).unwrap().into_parts().0, &[Host::parse("claw.example.com").unwrap()]) {
                Verdict::Numbers => 200,
                Verdict::Refused(status, why) => {
                    assert!(why.contains(": ") && why.ends_with('\n'));
                    status.as_u16()
                }
            }
        };
        for host in
            ["127.0.0.1:9464", "[::1]:9464", "10.0.0.7", "203.0.113.7", "localhost", "claw.lan", "doorward:9464"]
        {
            assert_eq!(judged("GET", "/metrics", &[host]), 200, "{host}");
        }
        assert_eq!(judged("HEAD", "/metrics?x=1", &["claw.example.com"]), 200);
        for host in
            ["evil.example", "claw.example.com.evil.example", "127.0.0.1.evil.example", "localhost.evil.example"]
        {
            assert_eq!(judged("GET", "/metrics", &[host]), 421, "{host}");
            assert_eq!(judged("GET", "/", &[host]), 421, "{host}");
        }
        for hosts in [&[][..], &["a", "b"], &["a b"], &[""]] {
            assert_eq!(judged("GET", "/metrics", hosts), 400, "{hosts:?}");
        }
        for path in ["/", "/metrics/", "/Metrics", "//metrics", "/metrics/../x", "/doorward/whoami"] {
            assert_eq!(judged("GET", path, &["127.0.0.1"]), 404, "{path}");
        }
        for method in ["POST", "OPTIONS", "DELETE", "CONNECT", "get"] {
            assert_eq!(judged(method, "/metrics", &["127.0.0.1"]), 405, "{method}");
        }
    }

    #[test]
    fn no_answer_is_kept_by_anybody() {
        for status in [StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
            let answer = answer(status, "x");
            assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(answer.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(answer.headers()["cross-origin-resource-policy"], "same-origin");
            assert_eq!(answer.headers().contains_key(ALLOW), status == StatusCode::METHOD_NOT_ALLOWED);
        }
    }
}
