//! The header in which trusted proxies name the client: what an operator may configure, and what follows for its name.

use http::HeaderName;
use thiserror::Error;

/// The header in which trusted proxies name the client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum ClientIpHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// No header is read: a trusted proxy is the client itself.
    #[default]
    None,
    /// A header of one line with one address: `X-Real-IP`, `CF-Connecting-IP` and their kin.
    Single(HeaderName),
    /// `X-Forwarded-For`.
    XForwardedFor,
}

impl ClientIpHeader {
    /// Reads `none` or a header's name, in any case.
    ///
    /// # Errors
    /// [`HeaderFault`] for a name that can never be this header.
    pub fn parse(text: &str) -> Result<Self, HeaderFault> {
        let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| HeaderFault::NotAName)?;
        match name.as_str() {
            "none" => Ok(Self::None),
            "forwarded" => Ok(Self::Forwarded),
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            own if OURS.iter().any(|family| own.starts_with(family)) => Err(HeaderFault::Ours),
            http if is_of_http(http) => Err(HeaderFault::OfHttp),
            _ => Ok(Self::Single(name)),
        }
    }

    /// The header's name in lower case; `none` where none is read.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Forwarded => "forwarded",
            Self::None => "none",
            Self::Single(name) => name.as_str(),
            Self::XForwardedFor => "x-forwarded-for",
        }
    }
}

/// Why a header cannot name the client.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeaderFault {
    /// Not a field name (RFC 9110 §5.1).
    #[error("not a header name")]
    NotAName,
    /// It says something else in HTTP, or to us.
    #[error("this header has another meaning")]
    OfHttp,
    /// Only doorward and the core set it.
    #[error("this header is doorward's own")]
    Ours,
}

/// Families that only doorward and the core speak.
const OURS: [&str; 2] = ["x-doorward-", "x-openclaw-"];

/// Families of HTTP's own.
const FAMILIES: [&str; 5] = ["accept", "access-control-", "content-", "if-", "sec-"];

/// Names with a meaning that is no client's address, or not one only; sorted.
const NAMES: [&str; 41] = [
    "age",
    "alt-svc",
    "authorization",
    "cache-control",
    // Address and port, IPv6 without brackets: where the address ends cannot be told.
    "cloudfront-viewer-address",
    "connection",
    "cookie",
    "date",
    "dnt",
    "early-data",
    "expect",
    "from",
    "host",
    "http2-settings",
    "keep-alive",
    "last-event-id",
    "max-forwards",
    "origin",
    "pragma",
    "prefer",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "referrer-policy",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "warning",
    "x-forwarded-host",
    "x-forwarded-port",
    // The scheme is read from it.
    "x-forwarded-proto",
];

fn is_of_http(name: &str) -> bool {
    NAMES.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_that_can_hold_an_address_is_taken_in_any_case() {
        for (text, expected) in [
            ("none", ClientIpHeader::None),
            ("Forwarded", ClientIpHeader::Forwarded),
            ("X-FORWARDED-FOR", ClientIpHeader::XForwardedFor),
            ("X-Real-IP", ClientIpHeader::Single(HeaderName::from_static("x-real-ip"))),
            ("CF-Connecting-IP", ClientIpHeader::Single(HeaderName::from_static("cf-connecting-ip"))),
            ("my_client", ClientIpHeader::Single(HeaderName::from_static("my_client"))),
        ] {
            let read = ClientIpHeader::parse(text).unwrap();
            assert_eq!(read.as_str(), text.to_ascii_lowercase());
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_name_with_another_meaning_is_refused() {
        for (text, fault) in [
            ("", HeaderFault::NotAName),
            ("x real ip", HeaderFault::NotAName),
            ("x-real-ip:", HeaderFault::NotAName),
            ("X-Doorward-Assertion", HeaderFault::Ours),
            ("x-openclaw-edge-identity", HeaderFault::Ours),
            ("Host", HeaderFault::OfHttp),
            ("Authorization", HeaderFault::OfHttp),
            ("cookie", HeaderFault::OfHttp),
            ("Content-Length", HeaderFault::OfHttp),
            ("transfer-encoding", HeaderFault::OfHttp),
            ("sec-websocket-key", HeaderFault::OfHttp),
            ("x-forwarded-proto", HeaderFault::OfHttp),
            ("cloudfront-viewer-address", HeaderFault::OfHttp),
        ] {
            assert_eq!(ClientIpHeader::parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn the_names_are_sorted_and_in_lower_case() {
        assert!(NAMES.is_sorted());
        for name in NAMES.iter().chain(&FAMILIES).chain(&OURS) {
            assert_eq!(*name, name.to_ascii_lowercase());
        }
    }
}
