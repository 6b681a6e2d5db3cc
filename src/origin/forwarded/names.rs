//! Which header names belong to proxies: the one list on which the local rule and the stripping rest.
//!
//! Names are compared folded (`-`, `_`, `.` and every other sign equal, case ignored), because servers behind us
//! fold them in different ways and a look-alike must not reach one that takes it for the real thing.

/// Whether only a proxy, or somebody who plays one, has a reason to send a header of this name.
///
/// Any such header, whatever its value, is a trace of forwarding; every one of them is stripped before a
/// request goes further.
pub fn is_forwarding(name: &str) -> bool {
    let name = name.as_bytes();
    let (rest, list) = match without_prefix(name, b"x-") {
        Some(rest) => (rest, X_NAMES),
        None => (name, NAMES),
    };
    list.iter().any(|entry| entry.matches(rest))
}

/// Whether two names are one to a reader who folds what stands between their words.
pub fn is_folded_equal(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(one, other)| folded(one) == folded(other))
}

enum Entry {
    /// This name.
    Exactly(&'static [u8]),
    /// Every name that begins so.
    Family(&'static [u8]),
}

use Entry::Exactly;
use Entry::Family;

impl Entry {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Exactly(whole) => without_prefix(name, whole).is_some_and(<[u8]>::is_empty),
            Family(start) => without_prefix(name, start).is_some(),
        }
    }
}

fn without_prefix<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.iter().zip(prefix).all(|(byte, plain)| folded(*byte) == *plain).then_some(rest)
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Names without `x-` in front.
const NAMES: &[Entry] = &[
    Family(b"akamai-"),
    Family(b"cdn-"),
    Family(b"cf-"),
    // RFC 9440.
    Family(b"client-cert"),
    Exactly(b"client-ip"),
    Family(b"cloudfront-"),
    Exactly(b"do-connecting-ip"),
    Family(b"fastly-"),
    Family(b"fly-"),
    // `Forwarded` itself, `Forwarded-For`, `Forwarded-Host` and their kin.
    Family(b"forwarded"),
    Exactly(b"front-end-https"),
    Exactly(b"incap-client-ip"),
    Family(b"ngrok-"),
    Exactly(b"proxy-client-ip"),
    Family(b"remote-"),
    Family(b"ssl-client-"),
    Family(b"tailscale-"),
    Exactly(b"true-client-ip"),
    Exactly(b"via"),
    Family(b"wl-proxy-"),
];

/// Names with `x-` in front, without it.
const X_NAMES: &[Entry] = &[
    Family(b"akamai-"),
    Family(b"amz-cf-"),
    Family(b"amzn-"),
    Family(b"appengine-"),
    Family(b"appgw-"),
    Family(b"arr-"),
    Family(b"auth-request-"),
    Family(b"authentik-"),
    Family(b"authenticated-"),
    Family(b"azure-"),
    Family(b"client-cert"),
    Exactly(b"client-ip"),
    Family(b"client-verify"),
    Exactly(b"cloud-trace-context"),
    Family(b"cluster-client-"),
    Exactly(b"coming-from"),
    Family(b"envoy-"),
    Family(b"fd-"),
    // `X-Forwarded`, `X-Forwarded-For` and all of that family.
    Family(b"forwarded"),
    Family(b"goog-"),
    Family(b"haproxy-"),
    Exactly(b"host"),
    Family(b"iap-"),
    Family(b"ms-client-principal"),
    Exactly(b"nf-client-connection-ip"),
    Family(b"nginx-"),
    Family(b"original-"),
    Family(b"originating-"),
    Family(b"pomerium-"),
    Family(b"proxy"),
    Family(b"real-"),
    Family(b"remote-"),
    Family(b"rewrite-"),
    Exactly(b"scheme"),
    Family(b"ssl-"),
    Exactly(b"sucuri-clientip"),
    Exactly(b"url-scheme"),
    Exactly(b"varnish"),
    Family(b"vercel-"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_forwarding_header_is_known() {
        for name in [
            "Forwarded",
            "FORWARDED",
            "Forwarded-For",
            "X-Forwarded",
            "X-Forwarded-For",
            "X_Forwarded_For",
            "X.Forwarded.For",
            "X~Forwarded~For",
            "x-forwarded_proto",
            "X-Forwarded-Host",
            "X-Forwarded-Server",
            "X-Forwarded-Prefix",
            "X-Real-IP",
            "X_REAL_IP",
            "Via",
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "Cf_Ray",
            "Cdn-Loop",
            "Tailscale-User-Login",
            "tailscale_user_login",
            "True-Client-IP",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "X-Original-URL",
            "X-Original-Forwarded-For",
            "X-Rewrite-URL",
            "X-Envoy-External-Address",
            "X-Azure-ClientIP",
            "X-Pomerium-Jwt-Assertion",
            "Remote-User",
            "X-Auth-Request-Email",
            "X-ProxyUser-Ip",
            "Client-IP",
            "X-Goog-IAP-JWT-Assertion",
        ] {
            assert!(is_forwarding(name), "{name}");
        }
    }

    #[test]
    fn what_browsers_and_devices_send_is_no_trace() {
        for name in [
            "host",
            "origin",
            "connection",
            "upgrade",
            "accept",
            "accept-encoding",
            "user-agent",
            "cookie",
            "pragma",
            "cache-control",
            "authorization",
            "sec-websocket-key",
            "sec-websocket-version",
            "sec-fetch-site",
            "viable",
            "content-length",
            "x-request-id",
            "x-requested-with",
            "x-openclaw-agent",
            "x-hostname",
            "referer",
            "te",
            "x-doorward-assertion",
            "dnt",
            "priority",
            "x",
            "x-",
            "",
        ] {
            assert!(!is_forwarding(name), "{name}");
        }
    }

    #[test]
    fn the_lists_are_written_folded() {
        for entry in NAMES.iter().chain(X_NAMES) {
            let (Exactly(name) | Family(name)) = entry;
            assert!(name.iter().all(|byte| folded(*byte) == *byte), "{}", String::from_utf8_lossy(name));
            assert!(!name.starts_with(b"x-"));
        }
    }
}
