//! The tables of the rooms that have one each: `[edge]`, `[certificates]`, `[core]`, `[tailscale]`, `[log]`.

use std::path::{Path, PathBuf};

use crate::base::limits::{DRAIN_SECONDS, DRAIN_SECONDS_MAX, ID_CHARS_MAX};
use crate::certificates;
use crate::certificates::files::FilePair;
use crate::core;
use crate::edge;
use crate::net::host::Host;
use crate::net::host::WebOrigin;
use crate::tailscale;
use crate::tailscale::Dialled;
use crate::telemetry;

use super::LanNames;
use super::acme;
use super::fault::Fault;
use super::pairing;
use super::pairing::Terms;
use super::ranges::Lists;
use super::section::{Keys, Problems, Section, is_plain};
use super::upstream;

pub(super) const EDGE: Keys = Keys {
    known: &["id", "names", "origins", "https_port", "drain_seconds", "lan_names"],
    later: &[("core", "remove it: edge and core run in one process")],
};
pub(super) const CERTIFICATES: Keys = Keys { known: &["dir", "acme", "file", "local_ca"], later: &[] };
pub(super) const CERTIFICATE_FILE: Keys = Keys { known: &["cert", "key"], later: &[] };
const LOCAL_CA: Keys = Keys { known: &[], later: &[] };
pub(super) const CORE: Keys = Keys {
    known: &["id", "token_file", "pairing", "upstream"],
    later: &[
        ("bind", "remove it: edge and core run in one process"),
        ("edge_keys_file", "remove it: edge and core run in one process"),
    ],
};
pub(super) const TAILSCALE: Keys =
    Keys { known: &["socket", "whois", "danger_any_address", "certificates"], later: &[] };
pub(super) const LOG: Keys = Keys { known: &["format", "access"], later: &[] };

pub(super) fn read_edge(root: &Section<'_>, problems: &mut Problems) -> edge::Settings {
    let mut settings = edge::Settings {
        id: "edge".into(),
        names: Vec::new(),
        own: Vec::new(),
        origins: Vec::new(),
        https_port: 443,
        drain_seconds: DRAIN_SECONDS,
    };
    let Some(section) = root.table("edge", &EDGE, problems) else { return settings };
    settings.id = read_id(&section, problems).unwrap_or(settings.id);
    for entry in section.texts("names", problems).map(|list| list.value).unwrap_or_default() {
        match Host::parse(entry.value) {
            Ok(host) if settings.names.contains(&host) => {
                problems.add(Fault::NamedTwice(entry.value.to_owned()), &entry.span);
            }
            Ok(host) => settings.names.push(host),
            Err(cause) => problems.add(Fault::Host { cause, text: entry.value.to_owned() }, &entry.span),
        }
    }
    for entry in section.texts("origins", problems).map(|list| list.value).unwrap_or_default() {
        match WebOrigin::parse(entry.value) {
            Ok(origin) => settings.origins.push(origin),
            Err(cause) => problems.add(Fault::Origin { cause, text: entry.value.to_owned() }, &entry.span),
        }
    }
    let port = section.number("https_port", 1..=i64::from(u16::MAX), problems);
    settings.https_port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(settings.https_port);
    let drain = section.number("drain_seconds", 0..=DRAIN_SECONDS_MAX, problems);
    settings.drain_seconds = drain.and_then(|drain| u64::try_from(drain).ok()).unwrap_or(settings.drain_seconds);
    settings
}

/// `edge.lan_names`. What else is in that table was told by [`read_edge`], a wrong kind of value here too.
pub(super) fn read_lan_names(root: &Section<'_>, problems: &mut Problems) -> LanNames {
    let ignored = &mut Problems::default();
    let section = root.table("edge", &EDGE, ignored);
    let answered = section.and_then(|section| section.flag("lan_names", problems)).is_some_and(|flag| flag.value);
    if answered { LanNames::Answered } else { LanNames::Unanswered }
}

pub(super) fn read_certificates(
    root: &Section<'_>,
    folder: &Path,
    mut settings: certificates::Settings,
    problems: &mut Problems,
) -> certificates::Settings {
    let Some(section) = root.table("certificates", &CERTIFICATES, problems) else { return settings };
    if let Some(dir) = section.text("dir", problems) {
        settings.dir = folder.join(dir.value);
    }
    // Its presence says what is so anyway: names without another certificate are served by the local CA.
    section.table("local_ca", &LOCAL_CA, problems);
    let wanted = section.tables("acme", &acme::KEYS, problems);
    settings.acme = acme::read(&wanted, folder, &settings.names, problems);
    for pair in section.tables("file", &CERTIFICATE_FILE, problems) {
        let cert = read_path(&pair, "cert", folder, problems);
        let key = read_path(&pair, "key", folder, problems);
        if let (Some(cert), Some(key)) = (cert, key) {
            settings.files.push(FilePair { cert, key });
        }
    }
    settings
}

pub(super) fn read_core(
    root: &Section<'_>,
    folder: &Path,
    edge: &edge::Settings,
    terms: &Terms<'_>,
    lists: &mut Lists,
    problems: &mut Problems,
) -> core::Settings {
    let mut settings = core::Settings::default();
    let Some(section) = root.table("core", &CORE, problems) else { return settings };
    if let Some(id) = read_id(&section, problems) {
        settings.id = id;
    }
    settings.token_file = section.text("token_file", problems).map(|file| folder.join(file.value));
    settings.upstream = upstream::read(&section, folder, terms.listeners, edge, problems);
    if let Some(section) = section.table("pairing", &pairing::PAIRING, problems) {
        settings.pending_life = pairing::read_life(&section, problems);
        settings.rules = pairing::read_rules(&section, terms, lists, problems);
    }
    settings
}

/// Where tailscaled is asked who a peer is, and for certificates; nothing unless `whois`, `certificates` are true.
pub(super) fn read_tailscale(
    root: &Section<'_>,
    folder: &Path,
    problems: &mut Problems,
) -> (Option<tailscale::Settings>, Option<tailscale::Settings>) {
    let Some(section) = root.table("tailscale", &TAILSCALE, problems) else { return (None, None) };
    let socket =
        section.text("socket", problems).map_or_else(|| tailscale::SOCKET.into(), |path| folder.join(path.value));
    let whois = section.flag("whois", problems).is_some_and(|whois| whois.value);
    let certificates = section.flag("certificates", problems).is_some_and(|certificates| certificates.value);
    let any = section.flag("danger_any_address", problems).is_some_and(|any| any.value);
    let dialled = if any { Dialled::AnyAddress } else { Dialled::ThisNode };
    let settings = tailscale::Settings { socket, dialled };
    (whois.then(|| settings.clone()), certificates.then_some(settings))
}

pub(super) fn read_log(root: &Section<'_>, problems: &mut Problems) -> telemetry::Settings {
    let mut settings = telemetry::Settings::default();
    let Some(section) = root.table("log", &LOG, problems) else { return settings };
    let formats = [("text", telemetry::Format::Text), ("json", telemetry::Format::Json)];
    if let Some(format) = section.word("format", &formats, &[], problems) {
        settings.format = format.value;
    }
    if let Some(access) = section.flag("access", problems) {
        settings.access = if access.value { telemetry::Access::On } else { telemetry::Access::Off };
    }
    settings
}

fn read_id(section: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let id = section.text("id", problems)?;
    let plain = |byte| is_plain(byte) || byte == b'.';
    if id.value.len() > ID_CHARS_MAX || !id.value.bytes().all(plain) {
        problems.add(Fault::Name(id.value.to_owned()), &id.span);
    }
    Some(id.value.to_owned())
}

/// A path that must be given.
fn read_path(section: &Section<'_>, key: &'static str, folder: &Path, problems: &mut Problems) -> Option<PathBuf> {
    if section.span_of(key).is_none() {
        problems.add(Fault::Missing { key }, section.span());
    }
    section.text(key, problems).map(|path| folder.join(path.value))
}
