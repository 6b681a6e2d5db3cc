//! `[[identity]]`: the products in front of us whose signed tokens say who is calling. What would be read from anybody, or
//! checked against nothing, is refused here.

use std::path::Path;

use crate::base::limits::{ID_CHARS_MAX, ISSUERS_MAX, LABEL_CHARS_MAX};
use crate::base::printable::is_label;
use crate::edge::identities::Settings;
use crate::identity::provider::product::Product;
use crate::identity::provider::{Expected, Login};
use crate::jwk_sets::{HttpsUrl, Place};
use crate::listener;
use crate::origin::ClientIpHeader;
use crate::origin::header::HeaderFault;
use crate::tailscale;

use super::fault::Fault;
use super::fault::identity::IdentityFault;
use super::section::{Keys, Placed, Problems, Section};

pub(super) const KEYS: Keys = Keys {
    known: &[
        "provider",
        "name",
        "issuer",
        "audience",
        "keys_url",
        "keys_file",
        "root_file",
        "header",
        "login",
        "groups_claim",
        "listeners",
    ],
    later: &[],
};

/// Reads all of them; their headers are nobody's own word on any listener from then on.
pub(super) fn read(
    root: &Section<'_>,
    folder: &Path,
    listeners: &mut [listener::Settings],
    problems: &mut Problems,
) -> Vec<Settings> {
    let sections = root.tables("identity", &KEYS, problems);
    if sections.len() > ISSUERS_MAX {
        let span = root.span_of("identity").unwrap_or_default();
        problems.add(Fault::TooMany { key: "identity", max: ISSUERS_MAX }, &span);
    }
    let mut all: Vec<Settings> = Vec::new();
    for section in sections.iter().take(ISSUERS_MAX) {
        all.extend(read_one(section, folder, listeners, &all, problems));
    }
    for settings in &all {
        for listener in &mut *listeners {
            listener.origin.named_headers.push(settings.header.clone());
        }
    }
    all
}

fn read_one(
    section: &Section<'_>,
    folder: &Path,
    listeners: &[listener::Settings],
    others: &[Settings],
    problems: &mut Problems,
) -> Option<Settings> {
    let product = section.word("provider", &Product::ALL, &[], problems).map(|product| product.value);
    let audience = section.text("audience", problems).map(|audience| audience.value.to_owned());
    let issuer = section.text("issuer", problems);
    for (key, is_known) in
        [("provider", false), ("issuer", product.and_then(Product::issuer).is_some()), ("audience", false)]
    {
        if section.span_of(key).is_none() && !is_known {
            problems.add(Fault::Missing { key }, section.span());
        }
    }
    let login = section.text("login", problems).map(|login| Login::Claim(login.value.to_owned()));
    let groups_claim = read_groups_claim(section, problems);
    let listeners_read = read_listeners(section, listeners, problems);
    let product = product?;
    let issuer = match (issuer, product.issuer()) {
        (Some(issuer), _) => checked_issuer(section, product, &issuer, problems),
        (None, Some(issuer)) => issuer.to_owned(),
        (None, None) => return None,
    };
    let name = read_name(section, product, others, problems);
    let keys = read_place(section, product, &issuer, folder, problems);
    let header = match product.header() {
        Some(header) => {
            if let Some(span) = section.span_of("header") {
                problems.add(Fault::Useless { key: "header", needs: "provider = \"jwt\"" }, &span);
            }
            header
        }
        None => read_header(section, listeners, problems)?,
    };
    let listeners = listeners_read?;
    let shares = |other: &&Settings| {
        other.header == header && other.listeners.iter().any(|listener| listeners.contains(listener))
    };
    if others.iter().any(|other| shares(&other)) {
        problems.add(IdentityFault::HeaderTaken(header.to_string()).into(), section.span());
    }
    let algorithms = product.algorithms().to_vec();
    let (audience, login) = (audience?, login.unwrap_or(product.login()));
    let expected = Expected { provider: name, issuer, audience, algorithms, login, groups_claim };
    Some(Settings { expected, header, keys: keys?, listeners })
}

/// The claim that names groups. One that is a path, as `realm_access.roles`, is in no token as a claim of that name.
fn read_groups_claim(section: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let claim = section.text("groups_claim", problems)?;
    if !is_label(claim.value, LABEL_CHARS_MAX) {
        problems.add(IdentityFault::GroupsClaim(claim.value.to_owned()).into(), &claim.span);
    }
    Some(claim.value.to_owned())
}

/// The name under which its people are known: in assertions, in rules, in the log.
fn read_name(section: &Section<'_>, product: Product, others: &[Settings], problems: &mut Problems) -> String {
    let given = section.text("name", problems);
    let span = given.as_ref().map_or_else(|| section.span().clone(), |name| name.span.clone());
    let name = given.map_or_else(|| product.as_str().to_owned(), |name| name.value.to_owned());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if name.len() > ID_CHARS_MAX || !name.bytes().all(plain) {
        problems.add(Fault::Name(name.clone()), &span);
    } else if name == tailscale::PROVIDER || others.iter().any(|other| other.expected.provider == name) {
        problems.add(IdentityFault::NameTaken(name.clone()).into(), &span);
    }
    name
}

/// An issuer from which no place of its keys follows, or that no token would ever match, is a slip.
fn checked_issuer(section: &Section<'_>, product: Product, issuer: &Placed<&str>, problems: &mut Problems) -> String {
    let is_derived = section.span_of("keys_url").is_none() && section.span_of("keys_file").is_none();
    let place = product.keys_url(issuer.value).filter(|_| is_derived);
    // Cloudflare's is an origin, without a slash behind it.
    let is_origin = issuer.value.starts_with("https://") && !issuer.value.ends_with('/');
    let is_slip = product == Product::CloudflareAccess && !is_origin;
    if is_slip || place.is_some_and(|url| HttpsUrl::parse(&url).is_err()) {
        let text = issuer.value.to_owned();
        problems.add(IdentityFault::Issuer { text, form: product.issuer_form() }.into(), &issuer.span);
    }
    issuer.value.to_owned()
}

fn read_place(
    section: &Section<'_>,
    product: Product,
    issuer: &str,
    folder: &Path,
    problems: &mut Problems,
) -> Option<Place> {
    let file = section.text("keys_file", problems).map(|file| folder.join(file.value));
    let given = section.text("keys_url", problems);
    let root_file = section.text("root_file", problems);
    if let Some(file) = file {
        for (key, found) in [("keys_url", &given), ("root_file", &root_file)] {
            if let Some(found) = found {
                problems.add(IdentityFault::KeysTwice { key }.into(), &found.span);
            }
        }
        return Some(Place::File(file));
    }
    let root_file = root_file.map(|file| folder.join(file.value));
    let Some(given) = given else {
        let derived = product.keys_url(issuer);
        if derived.is_none() && section.span_of("keys_url").is_none() && section.span_of("keys_file").is_none() {
            problems.add(Fault::Missing { key: "keys_url" }, section.span());
        }
        // What does not follow from the issuer was told there.
        let url = HttpsUrl::parse(&derived?).ok()?;
        return Some(Place::Https { url, root_file });
    };
    let url = HttpsUrl::parse(given.value);
    if url.is_err() {
        problems.add(IdentityFault::KeysUrl(given.value.to_owned()).into(), &given.span);
    }
    Some(Place::Https { url: url.ok()?, root_file })
}

fn read_header(
    section: &Section<'_>,
    listeners: &[listener::Settings],
    problems: &mut Problems,
) -> Option<http::HeaderName> {
    let Some(text) = section.text("header", problems) else {
        if section.span_of("header").is_none() {
            problems.add(Fault::Missing { key: "header" }, section.span());
        }
        return None;
    };
    let is_read =
        |header: &ClientIpHeader| listeners.iter().any(|listener| listener.origin.client_ip_header == *header);
    let cause = match ClientIpHeader::parse(text.value) {
        Ok(ClientIpHeader::Single(name)) if !is_read(&ClientIpHeader::Single(name.clone())) => return Some(name),
        Ok(_) => HeaderFault::OfHttp,
        Err(cause) => cause,
    };
    problems.add(IdentityFault::Header { cause, text: text.value.to_owned() }.into(), &text.span);
    None
}

/// The listeners on which its tokens are read: those named, else all that trust a proxy.
fn read_listeners(
    section: &Section<'_>,
    listeners: &[listener::Settings],
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let trusting = |listener: &&listener::Settings| !listener.origin.trusted_proxies.is_empty();
    let Some(named) = section.texts("listeners", problems) else {
        if section.span_of("listeners").is_some() {
            return None;
        }
        let all: Vec<String> = listeners.iter().filter(trusting).map(|listener| listener.name.clone()).collect();
        if all.is_empty() {
            problems.add(IdentityFault::NeedsTrust.into(), section.span());
        }
        return Some(all);
    };
    if named.value.is_empty() {
        problems.add(IdentityFault::NeedsTrust.into(), &named.span);
    }
    let mut read = Vec::new();
    for name in &named.value {
        match listeners.iter().find(|listener| listener.name == name.value) {
            None => {
                let known = listeners.iter().map(|listener| listener.name.clone()).collect();
                problems.add(IdentityFault::Listener { text: name.value.to_owned(), known }.into(), &name.span);
            }
            Some(listener) if !trusting(&listener) => problems.add(IdentityFault::NeedsTrust.into(), &name.span),
            Some(listener) => read.push(listener.name.clone()),
        }
    }
    Some(read)
}
