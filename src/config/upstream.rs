//! `[core.upstream]`: the real gateway behind us. One that is ourselves, or of which everything would be open, is refused here.

use std::net::IpAddr;
use std::path::Path;

use http::Method;

use crate::base::limits::OPEN_PATHS_MAX;
use crate::core::upstream::Endpoint;
use crate::core::upstream::Mode;
use crate::core::upstream::Open;
use crate::core::upstream::OpenPath;
use crate::core::upstream::Settings;
use crate::edge;
use crate::listener;
use crate::net::host::Host;

use super::fault::Fault;
use super::fault::upstream::UpstreamFault;
use super::section::{Keys, Problems, Section};

pub(super) const KEYS: Keys = Keys { known: &["url", "token_file", "mode", "open"], later: &[] };
pub(super) const OPEN: Keys = Keys { known: &["path", "methods"], later: &[] };

const MODES: [(&str, Mode); 2] = [("device", Mode::Device), ("backend", Mode::Backend)];
const MODES_LATER: [(&str, &str); 1] = [("trusted-proxy", "leave it out: we present ourselves as a device of our own")];
const METHODS: [(&str, &str); 7] = [
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("OPTIONS", "OPTIONS"),
];

/// Reads the table within `core`; `listeners` and `edge` say what is ourselves.
pub(super) fn read(
    core: &Section<'_>,
    folder: &Path,
    listeners: &[listener::Settings],
    edge: &edge::Settings,
    problems: &mut Problems,
) -> Option<Settings> {
    let section = core.table("upstream", &KEYS, problems)?;
    let token_file = section.text("token_file", problems).map(|file| folder.join(file.value));
    let mode = section.word("mode", &MODES, &MODES_LATER, problems).map(|mode| mode.value).unwrap_or_default();
    let open = read_open(&section, problems);
    let Some(url) = section.text("url", problems) else {
        if section.span_of("url").is_none() {
            problems.add(Fault::Missing { key: "url" }, section.span());
        }
        return None;
    };
    match Endpoint::parse(url.value) {
        Ok(endpoint) => {
            if let Some(by) = ourselves(&endpoint, listeners, edge) {
                problems.add(UpstreamFault::Ourselves { by }.into(), &url.span);
            }
            Some(Settings { endpoint, token_file, mode, open })
        }
        Err(cause) => {
            problems.add(UpstreamFault::Url { cause, text: url.value.to_owned() }.into(), &url.span);
            None
        }
    }
}

fn read_open(section: &Section<'_>, problems: &mut Problems) -> Vec<Open> {
    let sections = section.tables("open", &OPEN, problems);
    if sections.len() > OPEN_PATHS_MAX {
        let span = section.span_of("open").unwrap_or_default();
        problems.add(Fault::TooMany { key: "open", max: OPEN_PATHS_MAX }, &span);
    }
    let mut all: Vec<Open> = Vec::new();
    for section in sections.iter().take(OPEN_PATHS_MAX) {
        for key in ["path", "methods"] {
            if section.span_of(key).is_none() {
                problems.add(Fault::Missing { key }, section.span());
            }
        }
        let words = section.one_or_more_words("methods", &METHODS, problems);
        let methods: Vec<Method> = words.iter().filter_map(|word| Method::from_bytes(word.as_bytes()).ok()).collect();
        if let Some(span) = section.span_of("methods").filter(|_| section.is_empty_list("methods")) {
            problems.add(UpstreamFault::NoMethods.into(), &span);
        }
        let Some(text) = section.text("path", problems) else { continue };
        match OpenPath::parse(text.value) {
            Ok(path) if all.iter().any(|open| open.path == path) => {
                problems.add(UpstreamFault::OpenTwice(text.value.to_owned()).into(), &text.span);
            }
            Ok(path) => all.push(Open { path, methods }),
            Err(cause) => {
                problems.add(UpstreamFault::OpenPath { cause, text: text.value.to_owned() }.into(), &text.span);
            }
        }
    }
    all
}

/// What of ours would answer at `endpoint`. A name that only its resolver knows to be ours is not found out here.
fn ourselves(endpoint: &Endpoint, listeners: &[listener::Settings], edge: &edge::Settings) -> Option<String> {
    let host = endpoint.host();
    let mut bound = listeners.iter().flat_map(|listener| listener.bind.iter().map(move |bind| (listener, bind)));
    let of_port = |port: u16| port == endpoint.port();
    if edge.names.contains(host) && !host.is_local_only() {
        let is_ours = of_port(edge.https_port)
            || listeners.iter().any(|listener| listener.bind.iter().any(|bind| of_port(bind.port())));
        return is_ours.then(|| format!("edge.names has {host}, and it"));
    }
    let found = bound.find(|(_, bind)| of_port(bind.port()) && answers(bind.ip(), host));
    found.map(|(listener, _)| format!("listener {}", listener.name))
}

/// Whether who dials `host` on this machine reaches what is bound to `bind`.
fn answers(bind: IpAddr, host: &Host) -> bool {
    match host {
        Host::Address(address) if address.is_loopback() && bind.is_unspecified() => true,
        Host::Address(address) => bind.to_canonical() == *address,
        Host::Name(_) => host.is_loopback() && (bind.is_unspecified() || bind.is_loopback()),
    }
}
