//! `/doorward/why/<code>`: what a refusal means, in fixed words by its reason.
//!
//! Promise: whoever asks learns the reason's own text and nothing else: no address, no id, no time, and not the code again.
//! A code that nobody knows gets a page of the same form and status.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};
use http::{Response, StatusCode};

use super::respond;
use crate::base::code::{Code, WHY_PATH};
use crate::decisions::Decisions;
use crate::decisions::why::{self, Why};

/// The page at `path`.
pub(super) fn page(path: &str, decisions: &Decisions) -> Response<Bytes> {
    let code = path.strip_prefix(WHY_PATH).and_then(Code::parse);
    let reason = code.and_then(|code| decisions.reason(code));
    let mut response = respond::html(StatusCode::OK, text(reason.map_or(&why::GENERAL, why::of)));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Our own words only: nothing in them needs to be escaped.
fn text(why: &Why) -> String {
    let Why { reason, what, caller, owner } = why;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Refused: {reason}</title>\n\
         </head>\n<body>\n<h1>{reason}</h1>\n<p>{what}</p>\n<h2>What you can do</h2>\n<p>{caller}</p>\n\
         <h2>If you own this server</h2>\n<p>{owner}</p>\n\
         <p><code>doorward explain</code> with the code tells this decision step by step.</p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decisions::testing::pending;

    #[test]
    fn a_page_tells_the_reason_and_nothing_of_the_decision() {
        let decisions = Decisions::default();
        let decision = pending("203.0.113.77", "7f0e-request");
        let (code, connection) = (decision.code.unwrap().to_string(), decision.case.connection.id.to_string());
        decisions.keep(decision);
        let page = |path: &str| {
            let response = page(path, &decisions);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["cache-control"], "no-store");
            assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'none'"));
            assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
            String::from_utf8(response.body().to_vec()).unwrap()
        };
        let known = page(&format!("{WHY_PATH}{code}"));
        assert!(known.contains(why::of("pairing_required").what), "{known}");
        for secret in ["203.0.113.77", "7f0e-request", &connection, &code, "dddd", "<script"] {
            assert!(!known.contains(secret), "{secret}: {known}");
        }
        assert_eq!(page(&format!("{WHY_PATH}{}", code.to_lowercase())), known);
        let general = page(WHY_PATH);
        assert!(general.contains(why::GENERAL.what));
        for unknown in ["0123456789AB", "x", "<b>", "7f0e-request", &connection, "../whoami", "%00"] {
            assert_eq!(page(&format!("{WHY_PATH}{unknown}")), general, "{unknown}");
        }
    }
}
