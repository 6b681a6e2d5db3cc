//! `[[listener]]`: what each door reads, serves and may call local. Combinations that would open a door wider than
//! its words say are refused here, before anything is bound.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use crate::base::limits::ID_CHARS_MAX;
use crate::certificates::client_auth::{Authorities, ClientCertificates};
use crate::listener::Protocol;
use crate::listener::Serve;
use crate::listener::Settings;
use crate::net::named;
use crate::net::range::Ranges;
use crate::net::range::Width;
use crate::origin;
use crate::origin::ClientIpHeader;
use crate::origin::LocalRule;
use crate::origin::ProxyProtocol;
use crate::origin::TrustOwnBridge;

use super::fault::Fault;
use super::local;
use super::ranges::Lists;
use super::section::{Keys, Placed, Problems, Section, is_plain};

pub(super) const KEYS: Keys = Keys {
    known: &[
        "name",
        "bind",
        "protocol",
        "serve",
        "local",
        "local_uids",
        "published_port",
        "local_peers",
        "proxy_protocol",
        "proxy_protocol_from",
        "client_ip_header",
        "trusted_proxies",
        "danger_wide_trust",
        "danger_trust_own_bridge",
        "client_certificates",
        "client_ca",
        "client_crl",
    ],
    later: &[],
};

/// Words of which a header's name may not be a slip of the keyboard: it would be read, and nobody would send it.
const HEADER_WORDS: [&str; 4] = ["forwarded", "none", "x-forwarded-for", "x-real-ip"];
const HEADER_SLIP: usize = 2;

#[derive(Clone, Copy, Eq, PartialEq)]
enum Proxy {
    Off,
    Required,
}

/// The addresses and names given so far, over all listeners.
#[derive(Default)]
pub(super) struct Taken {
    names: Vec<String>,
    addresses: Vec<(SocketAddr, String)>,
    pub(super) published: Vec<u16>,
    /// What each listener asks its callers for.
    pub(super) clients: BTreeMap<String, ClientCertificates>,
}

/// Reads one listener, the `number`-th of the file.
pub(super) fn read(
    section: &Section<'_>,
    number: usize,
    folder: &Path,
    lists: &mut Lists,
    taken: &mut Taken,
    problems: &mut Problems,
) -> Settings {
    let name = read_name(section, number, taken, problems);
    let bind = read_bind(section, &name, taken, problems);
    let outside = bind.iter().copied().find(|address| !address.ip().to_canonical().is_loopback());

    let protocols = [("https", Protocol::Https), ("http", Protocol::Http), ("auto", Protocol::Auto)];
    let protocol = section.word("protocol", &protocols, &[], problems);
    let auto = protocol.as_ref().filter(|protocol| protocol.value == Protocol::Auto).map(|auto| auto.span.clone());
    let protocol = protocol.map_or(Protocol::Https, |protocol| protocol.value);

    let width = match section.flag("danger_wide_trust", problems) {
        Some(Placed { value: true, .. }) => Width::Wide,
        _ => Width::Narrow,
    };
    let trusted = read_ranges(section, "trusted_proxies", width, lists, problems);
    let proxy_protocol = read_proxy_protocol(section, width, lists, problems);
    let client_ip_header = read_header(section, &trusted, problems);
    let local = local::read(section, outside, &proxy_protocol, &mut taken.published, problems);
    let published = matches!(local, LocalRule::PublishedLoopback { .. });
    if let (Some(span), Some(address), false) = (auto, outside, published) {
        problems.add(Fault::AutoNeedsLoopback(address), &span);
    }
    let own_bridge = match section.flag("danger_trust_own_bridge", problems) {
        Some(Placed { value: true, .. }) => TrustOwnBridge::Allowed,
        _ => TrustOwnBridge::No,
    };

    let words = [("all", Serve::All), ("redirect", Serve::Redirect)];
    let serve = section.word("serve", &words, &[], problems);
    let behind_proxy =
        !section.is_empty_list("trusted_proxies") || matches!(proxy_protocol, ProxyProtocol::Required { .. });
    match &serve {
        Some(Placed { value: Serve::Redirect, span }) if protocol != Protocol::Http => {
            problems.add(Fault::RedirectNeedsHttp, span);
        }
        Some(Placed { value: Serve::All, span })
            if protocol == Protocol::Http && outside.is_some() && !behind_proxy =>
        {
            problems.add(Fault::ServeAllExposed, span);
        }
        _ => {}
    }
    let serve =
        serve.map_or(if protocol == Protocol::Http { Serve::Redirect } else { Serve::All }, |serve| serve.value);

    let clients = read_clients(section, protocol, folder, problems);
    if clients != ClientCertificates::Off {
        taken.clients.insert(name.clone(), clients);
    }
    // What the other listeners read is known when all of them are.
    let named_headers = Vec::new();
    let origin = origin::Settings {
        local,
        proxy_protocol,
        client_ip_header,
        named_headers,
        trusted_proxies: trusted,
        own_bridge,
    };
    Settings { name, bind, protocol, serve, origin }
}

fn read_name(section: &Section<'_>, number: usize, taken: &mut Taken, problems: &mut Problems) -> String {
    let given = section.text("name", problems);
    let name = given.as_ref().map_or_else(|| format!("listener-{number}"), |name| name.value.to_owned());
    let span = given.map_or_else(|| section.span().clone(), |name| name.span);
    if name.len() > ID_CHARS_MAX || !name.bytes().all(is_plain) {
        problems.add(Fault::Name(name.clone()), &span);
    } else if taken.names.contains(&name) {
        problems.add(Fault::NameTaken(name.clone()), &span);
    }
    taken.names.push(name.clone());
    name
}

fn read_bind(section: &Section<'_>, name: &str, taken: &mut Taken, problems: &mut Problems) -> Vec<SocketAddr> {
    match section.span_of("bind") {
        None => problems.add(Fault::Missing { key: "bind" }, section.span()),
        Some(span) if section.is_empty_list("bind") => problems.add(Fault::Missing { key: "bind" }, &span),
        Some(_) => {}
    }
    let mut bind = Vec::new();
    for entry in section.one_or_more("bind", problems) {
        let read = entry.value.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
        let Some(address) = read else {
            problems.add(Fault::Bind(entry.value.to_owned()), &entry.span);
            continue;
        };
        if let Some((_, by)) = taken.addresses.iter().find(|(other, _)| collide(*other, address)) {
            let by = if by == name { "this listener".to_owned() } else { format!("listener {by}") };
            problems.add(Fault::BindTaken { address, by }, &entry.span);
        }
        taken.addresses.push((address, name.to_owned()));
        bind.push(address);
    }
    bind
}

/// Whether one machine can not listen on both: the same port of the same family, and the same address or a wildcard.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap = one == other || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && same_family && overlap
}

fn read_ranges(
    section: &Section<'_>,
    key: &'static str,
    width: Width,
    lists: &mut Lists,
    problems: &mut Problems,
) -> Ranges {
    let entries = section.texts(key, problems).map(|list| list.value).unwrap_or_default();
    let mut parts = Vec::new();
    for entry in &entries {
        let read = match named::is_name(entry.value) {
            true => lists.find(entry.value, width),
            false => Ranges::parse(&[entry.value], width)
                .map(Some)
                .map_err(|error| Fault::Range { cause: error.cause, text: entry.value.to_owned() }),
        };
        match read {
            Ok(part) => parts.extend(part),
            Err(fault) => problems.add(fault, &entry.span),
        }
    }
    // Of a list with a fault nothing is used: the fault is reported, and there is no configuration.
    Ranges::join(parts).unwrap_or_else(|cause| {
        let text = entries.iter().map(|entry| entry.value).collect::<Vec<_>>().join(", ");
        problems.add(Fault::Range { cause, text }, &section.span_of(key).unwrap_or_else(|| section.span().clone()));
        Ranges::default()
    })
}

fn read_proxy_protocol(
    section: &Section<'_>,
    width: Width,
    lists: &mut Lists,
    problems: &mut Problems,
) -> ProxyProtocol {
    let words = [("off", Proxy::Off), ("required", Proxy::Required)];
    let proxy = section.word("proxy_protocol", &words, &[], problems);
    let from = read_ranges(section, "proxy_protocol_from", width, lists, problems);
    let from_span = section.span_of("proxy_protocol_from");
    match proxy {
        Some(Placed { value: Proxy::Required, span }) => {
            // A list with a bad entry reads as empty, and has its own report.
            if from.is_empty() && section.is_empty_list("proxy_protocol_from") {
                problems.add(Fault::ProxyNeedsFrom, &span);
            }
            ProxyProtocol::Required { from }
        }
        _ => {
            if let Some(span) = from_span.filter(|_| !section.is_empty_list("proxy_protocol_from")) {
                let needs = "proxy_protocol = \"required\"";
                problems.add(Fault::Useless { key: "proxy_protocol_from", needs }, &span);
            }
            ProxyProtocol::Off
        }
    }
}

fn read_header(section: &Section<'_>, trusted: &Ranges, problems: &mut Problems) -> ClientIpHeader {
    let key = "client_ip_header";
    let Some(text) = section.text(key, problems) else { return ClientIpHeader::None };
    let header = match ClientIpHeader::parse(text.value) {
        Ok(header) => header,
        Err(cause) => {
            problems.add(Fault::ClientHeader { cause, text: text.value.to_owned() }, &text.span);
            return ClientIpHeader::None;
        }
    };
    let slip = |word: &&&str| (1..=HEADER_SLIP).contains(&strsim::damerau_levenshtein(header.as_str(), word));
    let closest = HEADER_WORDS.iter().find(slip).filter(|_| !HEADER_WORDS.contains(&header.as_str()));
    if let Some(closest) = closest {
        let allowed = HEADER_WORDS.to_vec();
        problems
            .add(Fault::UnknownValue { key, text: text.value.to_owned(), allowed, closest: Some(closest) }, &text.span);
    } else if header != ClientIpHeader::None && trusted.is_empty() && section.is_empty_list("trusted_proxies") {
        problems.add(Fault::HeaderNeedsTrust, &text.span);
    }
    header
}

#[derive(Clone, Copy)]
enum Ask {
    Off,
    Optional,
    Required,
}

fn read_clients(
    section: &Section<'_>,
    protocol: Protocol,
    folder: &Path,
    problems: &mut Problems,
) -> ClientCertificates {
    let words = [("off", Ask::Off), ("optional", Ask::Optional), ("required", Ask::Required)];
    let asked = section.word("client_certificates", &words, &[], problems);
    let ca = section.text("client_ca", problems);
    let crl = section.text("client_crl", problems);
    match asked {
        Some(Placed { value: Ask::Optional | Ask::Required, span }) if protocol != Protocol::Https => {
            // Where plain HTTP is taken too, whoever has no certificate would come in by that.
            let needs = "protocol = \"https\"";
            problems.add(Fault::Useless { key: "client_certificates", needs }, &span);
        }
        Some(Placed { value: ask @ (Ask::Optional | Ask::Required), span }) => {
            let Some(ca) = ca else {
                if section.span_of("client_ca").is_none() {
                    problems.add(Fault::Missing { key: "client_ca" }, &span);
                }
                return ClientCertificates::Off;
            };
            let authorities = Authorities { ca: folder.join(ca.value), crl: crl.map(|crl| folder.join(crl.value)) };
            return match ask {
                Ask::Required => ClientCertificates::Required(authorities),
                Ask::Off | Ask::Optional => ClientCertificates::Optional(authorities),
            };
        }
        Some(Placed { value: Ask::Off, .. }) | None => {
            for (key, text) in [("client_ca", ca), ("client_crl", crl)] {
                if let Some(text) = text {
                    let needs = "client_certificates = \"required\" or \"optional\"";
                    problems.add(Fault::Useless { key, needs }, &text.span);
                }
            }
        }
    }
    ClientCertificates::Off
}
