//! One case, from its configuration over its connection to its request, as the doors would take it.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Uri;
use http::Version;
use http::header::HOST;
use http::header::ORIGIN;
use serde::Serialize;
use serde_json::Value;

use super::case::Case;
use crate::base::limits::HEAD_BYTES_MAX;
use crate::base::limits::HEAD_LINES_MAX;
use crate::net::addr::PeerAddr;
use crate::net::host::Scheme;
use crate::net::host::WebOrigin;
use crate::net::named::NamedRanges;
use crate::net::range::Ranges;
use crate::net::range::Width;
use crate::origin;
use crate::origin::Class;
use crate::origin::ClientAddr;
use crate::origin::ClientIpHeader;
use crate::origin::Facts;
use crate::origin::LocalRule;
use crate::origin::Network;
use crate::origin::Owner;
use crate::origin::ProxyProtocol;
use crate::origin::Settings;
use crate::origin::TrustOwnBridge;
use crate::origin::Whois;
use crate::origin::proxy_protocol;
use crate::origin::proxy_protocol::Decoded;
use crate::origin::proxy_protocol::Header;
use crate::origin::proxy_protocol::Source;
use crate::origin::request;

/// A decision, in the form other people's scripts read.
#[derive(Serialize)]
pub(super) struct Verdict<'a> {
    id: &'a Value,
    kind: &'static str,
    ip: Option<IpAddr>,
    local: bool,
    class: Option<Class>,
    trace: Vec<String>,
}

/// Where a case ended before its origin was asked for.
struct Refusal {
    kind: &'static str,
    why: String,
}

/// Decides a case.
pub(super) fn judge(case: &Case) -> Verdict<'_> {
    let mut trace = Vec::new();
    match origin_of(case, &mut trace) {
        Ok(origin) => {
            if !origin.via.is_empty() {
                let passed: Vec<_> = origin.via.iter().map(IpAddr::to_string).collect();
                trace.push(format!("passed: {}", passed.join(", ")));
            }
            trace.extend(origin.trail.phrases().map(str::to_owned));
            let ip = origin.client.map(ClientAddr::ip);
            if let Some(ip) = ip {
                trace.push(format!("client: {ip}"));
            }
            let kind = if ip.is_some() { "ip" } else { "unresolved" };
            Verdict { id: &case.id, kind, ip, local: origin.is_local(), class: Some(origin.class), trace }
        }
        Err(Refusal { kind, why }) => {
            trace.push(why);
            Verdict { id: &case.id, kind, ip: None, local: false, class: None, trace }
        }
    }
}

fn origin_of(case: &Case, trace: &mut Vec<String>) -> Result<origin::Origin, Refusal> {
    let settings = settings(case)?;
    let peer = peer(&case.peer)?;
    trace.push(format!("peer: {}", peer.ip()));
    let network = Network::new(case.gateways.iter().copied(), 0);
    let proxy_header = proxy_header(case, peer, &settings, &network, trace)?;
    let headers = headers(&case.headers)?;
    // Cases without a Host are HTTP/1.0 requests.
    let version = if headers.contains_key(HOST) { Version::HTTP_11 } else { Version::HTTP_10 };
    let authority = request::read_authority(&headers, &Uri::from_static("/"), version).map_err(reject)?;
    let scheme = scheme(&headers);
    // Each case is a WebSocket's request, whose Origin is judged before the 101.
    request::check_web_origin(&headers, authority.as_ref(), scheme, &[]).map_err(reject)?;
    let facts = Facts {
        peer,
        proxy_header: proxy_header.as_ref(),
        owner: Owner::Assumed,
        tailnet: Whois::NotAsked,
        headers: &headers,
        authority: authority.as_ref(),
        scheme,
    };
    Ok(origin::resolve(&facts, &settings, &network))
}

fn reject(why: impl ToString) -> Refusal {
    Refusal { kind: "reject", why: why.to_string() }
}

fn reject_connection(why: impl ToString) -> Refusal {
    Refusal { kind: "reject_connection", why: why.to_string() }
}

fn config_reject(why: impl ToString) -> Refusal {
    Refusal { kind: "config_reject", why: why.to_string() }
}

fn settings(case: &Case) -> Result<Settings, Refusal> {
    let client_ip_header = ClientIpHeader::parse(&case.listener.client_ip_header)
        .map_err(|fault| config_reject(format_args!("client_ip_header: {fault}")))?;
    let proxy_protocol = match case.listener.proxy_protocol.as_str() {
        "off" => ProxyProtocol::Off,
        "required" => {
            ProxyProtocol::Required { from: ranges("proxy_protocol_from", &case.listener.proxy_protocol_from)? }
        }
        _ => return Err(config_reject("proxy_protocol: neither off nor required")),
    };
    let local = match case.listener.local_listener {
        true => LocalRule::Loopback { uids: Vec::new() },
        false => LocalRule::Never,
    };
    let trusted_proxies = ranges("trusted_proxies", &case.trusted_proxies)?;
    Ok(Settings {
        local,
        proxy_protocol,
        client_ip_header,
        named_headers: Vec::new(),
        trusted_proxies,
        own_bridge: TrustOwnBridge::No,
    })
}

fn ranges(key: &str, entries: &[String]) -> Result<Ranges, Refusal> {
    let read = |(entry, number): (&String, usize)| match NamedRanges::built_in(entry) {
        Some(list) => Ok(list.ranges().clone()),
        None => Ranges::parse(&[entry], Width::Wide)
            .map_err(|error| config_reject(format_args!("{key}: entry {number}: {error}"))),
    };
    let parts = entries.iter().zip(1..).map(read).collect::<Result<Vec<_>, _>>()?;
    Ranges::join(parts).map_err(|cause| config_reject(format_args!("{key}: {cause}")))
}

/// The address that the kernel would give us; a zone only says which link it came over.
fn peer(text: &str) -> Result<PeerAddr, Refusal> {
    let (address, _zone) = text.split_once('%').unwrap_or((text, ""));
    let ip: IpAddr = address.parse().map_err(|_| reject_connection("the peer is not an address"))?;
    if ip.to_canonical().is_unspecified() {
        return Err(reject_connection("no peer can have this address"));
    }
    Ok(PeerAddr::from_accept(SocketAddr::new(ip, 0)))
}

fn proxy_header(
    case: &Case,
    peer: PeerAddr,
    settings: &Settings,
    network: &Network,
    trace: &mut Vec<String>,
) -> Result<Option<Header>, Refusal> {
    let bytes = match &case.proxy_header {
        Some(first) => first.bytes().ok_or_else(|| reject_connection("proxy_header: hex is not whole bytes"))?,
        None => Vec::new(),
    };
    if settings.proxy_protocol == ProxyProtocol::Off {
        return if opens_a_request(&bytes) {
            Ok(None)
        } else {
            Err(reject("the first bytes are neither TLS nor HTTP: this listener reads no PROXY header"))
        };
    }
    if !settings.admits(peer, network) {
        return Err(reject_connection("the peer is not in proxy_protocol_from"));
    }
    let (header, length) = match proxy_protocol::decode(&bytes) {
        Ok(Decoded::Whole { header, bytes }) => (header, bytes),
        Ok(Decoded::Incomplete) => {
            return Err(reject_connection("the connection ended before the PROXY header was whole"));
        }
        Err(error) => return Err(reject_connection(format_args!("PROXY header: {error}"))),
    };
    if !opens_a_request(bytes.get(length..).unwrap_or_default()) {
        return Err(reject("the bytes behind the PROXY header are neither TLS nor HTTP"));
    }
    trace.push(match header.source {
        Source::Address(address) => format!("PROXY header: source {address}"),
        Source::Real => "PROXY header: no source".to_owned(),
    });
    Ok(Some(header))
}

/// Whether these could be the first bytes of TLS or of an HTTP request; none at all could.
fn opens_a_request(bytes: &[u8]) -> bool {
    const TLS_HANDSHAKE: u8 = 0x16;
    match bytes.first() {
        None | Some(&TLS_HANDSHAKE) => true,
        Some(_) => {
            let mut words = bytes.split(|byte| *byte == b' ');
            let method = words.next().is_some_and(|word| word.iter().all(u8::is_ascii_uppercase));
            method && words.next().is_some_and(|target| target.starts_with(b"/") || target.starts_with(b"http"))
        }
    }
}

fn headers(lines: &[(String, String)]) -> Result<HeaderMap, Refusal> {
    let bytes: usize = lines.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if lines.len() > HEAD_LINES_MAX || bytes > HEAD_BYTES_MAX {
        return Err(reject("the request's head is too large"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| reject("a header name is not a token"))?;
        let value = HeaderValue::from_bytes(value.trim_matches([' ', '\t']).as_bytes())
            .map_err(|_| reject("a header value has control characters"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A case does not say whether it came by TLS: its page is taken to have used the scheme it names.
fn scheme(headers: &HeaderMap) -> Scheme {
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok());
    origin.and_then(|text| WebOrigin::parse(text).ok()).map_or(Scheme::Http, |origin| origin.scheme)
}
