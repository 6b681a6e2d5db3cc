//! What a request says about its target and its page: one Host, one Origin, read once and strictly.

use std::net::IpAddr;

use http::HeaderMap;
use http::Uri;
use http::Version;
use http::header::HOST;
use http::header::ORIGIN;
use thiserror::Error;

use super::Network;
use super::Settings;
use super::forwarded;
use super::proxy_protocol;
use crate::net::addr::PeerAddr;
use crate::net::host::Authority;
use crate::net::host::HostError;
use crate::net::host::Scheme;
use crate::net::host::WebOrigin;

/// The authority a request is for, from its target or its Host: every check, redirect and claim uses this one value.
/// None only for HTTP/1.0 without a Host.
///
/// # Errors
/// [`HostRefusal`]: answer 400 and close, for another reader might choose the other reading (RFC 9112 §3.2).
pub fn read_authority(headers: &HeaderMap, uri: &Uri, version: Version) -> Result<Option<Authority>, HostRefusal> {
    let target = uri.authority().map(|authority| Authority::parse(authority.as_str())).transpose()?;
    let mut lines = headers.get_all(HOST).into_iter();
    let host = match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => return Err(HostRefusal::Repeated),
        (Some(line), None) => {
            let text = line.to_str().map_err(|_| HostRefusal::Unreadable(HostError::Name))?;
            Some(Authority::parse(text.trim_matches([' ', '\t']))?)
        }
        (None, _) => None,
    };
    match (target, host) {
        (Some(target), Some(host)) if target != host => Err(HostRefusal::Conflict),
        (Some(authority), _) | (None, Some(authority)) => Ok(Some(authority)),
        (None, None) if version <= Version::HTTP_10 => Ok(None),
        (None, None) => Err(HostRefusal::Missing),
    }
}

/// Why a request's target host cannot be told.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HostRefusal {
    /// The target and the Host name different authorities.
    #[error("the request target and the host header differ")]
    Conflict,
    /// No Host where one is required.
    #[error("no host header")]
    Missing,
    /// More than one Host.
    #[error("more than one host header")]
    Repeated,
    /// Not a host and port.
    #[error("unreadable host: {0}")]
    Unreadable(#[from] HostError),
}

/// Judges the Origin of a WebSocket's or an unsafe request: absent, this request's own, or one of `extra`.
///
/// # Errors
/// [`OriginRefusal`]: answer 403 before the 101.
pub fn check_web_origin(
    headers: &HeaderMap,
    authority: Option<&Authority>,
    scheme: Scheme,
    extra: &[WebOrigin],
) -> Result<(), OriginRefusal> {
    match read_web_origin(headers)? {
        Some(origin) if !is_own(&origin, authority, scheme) && !extra.contains(&origin) => Err(OriginRefusal::Foreign),
        _ => Ok(()),
    }
}

/// Whether the Origin is absent or this request's own: the local rule knows no further ones.
pub(super) fn is_same_origin(headers: &HeaderMap, authority: Option<&Authority>, scheme: Scheme) -> bool {
    check_web_origin(headers, authority, scheme, &[]).is_ok()
}

fn read_web_origin(headers: &HeaderMap) -> Result<Option<WebOrigin>, OriginRefusal> {
    let mut lines = headers.get_all(ORIGIN).into_iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => Err(OriginRefusal::Repeated),
        (Some(line), None) => {
            let text = line.to_str().map_err(|_| OriginRefusal::Unreadable(HostError::Name))?;
            Ok(Some(WebOrigin::parse(text)?))
        }
        (None, _) => Ok(None),
    }
}

fn is_own(origin: &WebOrigin, authority: Option<&Authority>, scheme: Scheme) -> bool {
    authority.is_some_and(|authority| {
        origin.scheme == scheme
            && origin.host == authority.host
            && origin.port == authority.port.unwrap_or(scheme.default_port())
    })
}

/// Why a page may not do this.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum OriginRefusal {
    /// Another site's page.
    #[error("foreign origin")]
    Foreign,
    /// More than one Origin.
    #[error("more than one origin header")]
    Repeated,
    /// Not an origin; `null` is none either.
    #[error("unreadable origin: {0}")]
    Unreadable(#[from] HostError),
}

/// Who wrote the head: the peer, or whom its PROXY header names in its place. Headers of proxies are judged by it.
pub fn speaker(peer: PeerAddr, proxy_header: Option<&proxy_protocol::Header>) -> IpAddr {
    match proxy_header.map(|header| header.source) {
        Some(proxy_protocol::Source::Address(address)) => address.ip(),
        Some(proxy_protocol::Source::Real) | None => peer.ip(),
    }
}

/// The scheme of a request: our own TLS, or what a trusted proxy in front of a plain listener reports.
pub fn read_scheme(
    connection: Scheme,
    headers: &HeaderMap,
    peer: PeerAddr,
    proxy_header: Option<&proxy_protocol::Header>,
    settings: &Settings,
    network: &Network,
) -> Scheme {
    match connection {
        Scheme::Http if settings.trusts(speaker(peer, proxy_header), network) => {
            forwarded::scheme(headers).unwrap_or(connection)
        }
        Scheme::Http | Scheme::Https => connection,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::HeaderValue;

    use super::*;
    use crate::net::range::Ranges;
    use crate::net::range::Width;
    use crate::origin::testing;

    #[test]
    fn a_request_has_one_authority_or_none() {
        let bad = |cause| Err(HostRefusal::Unreadable(cause));
        let own = |text: &str| Ok(Some(text.to_owned()));
        type Case = (&'static str, &'static [&'static str], Version, Result<Option<String>, HostRefusal>);
        let cases: [Case; 17] = [
            ("/", &["Claw.example:443"], Version::HTTP_11, own("claw.example:443")),
            ("/", &[" claw.example "], Version::HTTP_11, own("claw.example")),
            ("/", &[], Version::HTTP_11, Err(HostRefusal::Missing)),
            ("/", &[], Version::HTTP_2, Err(HostRefusal::Missing)),
            ("/", &[], Version::HTTP_10, Ok(None)),
            ("/", &["a", "b"], Version::HTTP_11, Err(HostRefusal::Repeated)),
            ("/", &["a", "a"], Version::HTTP_11, Err(HostRefusal::Repeated)),
            ("/", &["a, b"], Version::HTTP_11, bad(HostError::Name)),
            ("/", &["u@a"], Version::HTTP_11, bad(HostError::Name)),
            ("/", &["a/b"], Version::HTTP_11, bad(HostError::Name)),
            ("/", &["[::1"], Version::HTTP_11, bad(HostError::Bracket)),
            ("/", &["a:65536"], Version::HTTP_11, bad(HostError::Port)),
            ("/", &[""], Version::HTTP_11, bad(HostError::Empty)),
            ("https://edge.test/", &["evil"], Version::HTTP_11, Err(HostRefusal::Conflict)),
            ("https://edge.test/", &["EDGE.test"], Version::HTTP_11, own("edge.test")),
            ("https://edge.test/", &[], Version::HTTP_2, own("edge.test")),
            ("https://u@edge.test/", &[], Version::HTTP_2, bad(HostError::Name)),
        ];
        for (uri, lines, version, expected) in cases {
            let read = read_authority(&map(HOST, lines), &uri.parse().unwrap(), version);
            assert_eq!(read.map(|some| some.map(|authority| authority.to_string())), expected, "{uri} {lines:?}");
        }
        let long = "a".repeat(crate::base::limits::AUTHORITY_BYTES_MAX + 1);
        let read = read_authority(&map(HOST, &[&long]), &Uri::from_static("/"), Version::HTTP_11);
        assert_eq!(read, Err(HostRefusal::Unreadable(HostError::TooLong)));
    }

    #[test]
    fn only_this_requests_own_page_passes() {
        let check = |lines: &[&str]| {
            let authority = Authority::parse("edge.test").unwrap();
            let extra = [WebOrigin::parse("https://app.example:8443").unwrap()];
            check_web_origin(&map(ORIGIN, lines), Some(&authority), Scheme::Https, &extra)
        };
        for good in [&[] as &[&str], &["https://edge.test"], &["https://EDGE.test:443"], &["https://app.example:8443"]]
        {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
        for (bad, cause) in [
            (&["https://edge.test.evil.example"] as &[&str], OriginRefusal::Foreign),
            (&["https://edge.test:8443"], OriginRefusal::Foreign),
            (&["http://edge.test"], OriginRefusal::Foreign),
            (&["https://app.example"], OriginRefusal::Foreign),
            (&["https://edge.test", "https://edge.test"], OriginRefusal::Repeated),
            (&["null"], OriginRefusal::Unreadable(HostError::Scheme)),
            (&[""], OriginRefusal::Unreadable(HostError::Scheme)),
            (&["https://edge.test@evil"], OriginRefusal::Unreadable(HostError::Name)),
        ] {
            assert_eq!(check(bad), Err(cause), "{bad:?}");
        }
        let without_host = check_web_origin(&map(ORIGIN, &["https://edge.test"]), None, Scheme::Https, &[]);
        assert_eq!(without_host, Err(OriginRefusal::Foreign));
    }

    #[test]
    fn only_a_trusted_proxy_before_a_plain_listener_names_the_scheme() {
        let trusted_proxies = Ranges::parse(&["10.0.0.1", "10.0.0.3"], Width::Narrow).unwrap();
        let settings = Settings { trusted_proxies, ..Settings::default() };
        let stranger = proxy_protocol::Source::Address("203.0.113.9:1".parse().unwrap());
        let stranger = proxy_protocol::Header { source: stranger };
        for (connection, said, peer, proxy_header, network, scheme) in [
            (Scheme::Http, "https", "10.0.0.3:1", None, testing::joined(), Scheme::Https),
            (Scheme::Http, "https", "10.0.0.4:1", None, testing::joined(), Scheme::Http),
            (Scheme::Https, "http", "10.0.0.3:1", None, testing::joined(), Scheme::Https),
            (Scheme::Http, "https", "10.0.0.3:1", Some(&stranger), testing::joined(), Scheme::Http),
            (Scheme::Http, "https", "10.0.0.1:1", None, Network::default(), Scheme::Https),
            // Since we joined that network, everybody can look like its gateway.
            (Scheme::Http, "https", "10.0.0.1:1", None, testing::joined(), Scheme::Http),
        ] {
            let headers = map(HeaderName::from_static("x-forwarded-proto"), &[said]);
            let peer = PeerAddr::from_accept(peer.parse().unwrap());
            let read = read_scheme(connection, &headers, peer, proxy_header, &settings, &network);
            assert_eq!(read, scheme, "{peer:?} {proxy_header:?}");
        }
    }

    fn map(name: HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), HeaderValue::from_str(line).unwrap())).collect()
    }
}
