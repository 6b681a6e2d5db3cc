//! The file as a whole: its tables, and what holds between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::certificates;
use crate::certificates::client_auth::ClientCertificates;
use crate::listener;
use crate::origin::ClientIpHeader;
use crate::origin::LocalRule;
use crate::tailscale::Dialled;

use super::Config;
use super::ConfigError;
use super::LanNames;
use super::acme;
use super::admin;
use super::diagnostic::{Problem, Report};
use super::fault::Fault;
use super::identities;
use super::listeners::{self, Taken};
use super::pairing::{self, Terms, Whois};
use super::place::Environment;
use super::ranges::Lists;
use super::rooms;
use super::section::{Keys, Problems, Section};

pub(super) const KEYS: Keys = Keys {
    known: &[
        "state_dir",
        "edge",
        "listener",
        "certificates",
        "core",
        "identity",
        "tailscale",
        "log",
        "admin",
        "ranges",
    ],
    later: &[
        ("limits", "remove this table: the limits are built in; src/base/limits.rs says each with its reason"),
        ("store", "remove this table: the store is SQLite in the state folder"),
    ],
};

/// The listener of a configuration that names none.
const LOCAL: &str = r#"
[[listener]]
name = "local"
bind = ["127.0.0.1:18789", "[::1]:18789"]
protocol = "auto"
local = "loopback"
"#;

pub(super) fn read(text: &str, file: Option<PathBuf>, environment: &Environment) -> Result<Config, ConfigError> {
    let name = file.clone().unwrap_or_default();
    let invalid = |problems| Err(ConfigError::Invalid(Box::new(Report::new(name.clone(), text.to_owned(), problems))));
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let end = text.len();
        let problem = |error: &toml::de::Error| Problem {
            fault: Fault::Syntax(error.message().replace('\n', ", ")),
            span: error.span().unwrap_or(end..end),
        };
        // What the reader says after the first follows from it.
        return invalid(errors.iter().take(1).map(problem).collect());
    }
    let mut problems = Problems::default();
    let root = Section::new(String::new(), table.get_ref(), 0..0, &KEYS, &mut problems);
    // Relative paths count from the file's folder; what the built-in profile has lies in the state folder.
    let folder = folder_of(file.as_deref(), environment);
    let state_dir = read_state_dir(&root, &folder, environment, &mut problems)?;

    let edge = rooms::read_edge(&root, &mut problems);
    let lan_names = rooms::read_lan_names(&root, &mut problems);
    let mut lists = Lists::read(&root, &folder, &mut problems);
    let (mut listeners, clients) = read_listeners(&root, &folder, environment, &mut lists, &mut problems);
    share_named_headers(&mut listeners);
    let identities = identities::read(&root, &folder, &mut listeners, &mut problems);
    let certificates = certificates::Settings {
        dir: if file.is_some() { folder.join("certs") } else { state_dir.join("certs") },
        acme: Vec::new(),
        files: Vec::new(),
        names: edge.names.clone(),
        own: Vec::new(),
        state_dir: state_dir.clone(),
        clients,
        tailnet: None,
    };
    let mut certificates = rooms::read_certificates(&root, &folder, certificates, &mut problems);
    let unreached = acme::fit(&mut certificates.acme, &listeners);
    let (tailscale, tailnet) = rooms::read_tailscale(&root, &folder, &mut problems);
    let whois = if tailscale.is_some() { Whois::Asked } else { Whois::NotAsked };
    let terms = Terms { listeners: &listeners, identities: &identities, whois };
    let core = rooms::read_core(&root, &folder, &edge, &terms, &mut lists, &mut problems);
    certificates.tailnet = tailnet;
    let (metrics, exposed) = admin::read(&root, &listeners, &mut problems);
    let log = rooms::read_log(&root, &mut problems);
    if !problems.is_empty() {
        return invalid(problems.into_inner());
    }
    let mut config = Config {
        file,
        state_dir,
        edge,
        lan_names,
        built_in: None,
        listeners,
        certificates,
        core,
        identities,
        tailscale,
        metrics,
        log,
        notes: lists.notes(),
        warnings: Vec::new(),
    };
    config.warnings = warnings(&config, &root);
    config.warnings.extend(config.listeners.iter().filter_map(|listener| warning_of_root(listener, environment)));
    config.warnings.extend(unreached.into_iter().chain(exposed));
    config.warnings.extend(pairing::warnings(&config));
    config.warnings.extend(lists.warnings(environment.now));
    Ok(config)
}

/// The state folders that a file may mean which is wrong.
pub(super) fn possible_states(text: &str, file: &Path, environment: &Environment) -> Vec<PathBuf> {
    let (table, _) = DeTable::parse_recoverable(text);
    let ignored = &mut Problems::default();
    let root = Section::new(String::new(), table.get_ref(), 0..0, &KEYS, ignored);
    let written = read_state_dir(&root, &folder_of(Some(file), environment), environment, ignored);
    let mut states: Vec<_> = written.into_iter().chain(environment.state_dir()).collect();
    states.dedup();
    states
}

/// From where relative paths count.
fn folder_of(file: Option<&Path>, environment: &Environment) -> PathBuf {
    file.and_then(Path::parent).unwrap_or(&environment.folder).to_path_buf()
}

fn read_state_dir(
    root: &Section<'_>,
    folder: &Path,
    environment: &Environment,
    problems: &mut Problems,
) -> Result<PathBuf, ConfigError> {
    match root.text("state_dir", problems) {
        Some(state_dir) => Ok(folder.join(state_dir.value)),
        None => environment.state_dir(),
    }
}

fn read_listeners(
    root: &Section<'_>,
    folder: &Path,
    environment: &Environment,
    lists: &mut Lists,
    problems: &mut Problems,
) -> (Vec<listener::Settings>, BTreeMap<String, ClientCertificates>) {
    let mut taken = Taken::default();
    let sections = root.tables("listener", &listeners::KEYS, problems);
    if !sections.is_empty() || root.span_of("listener").is_some() {
        let numbered = sections.iter().zip(1..);
        let listeners = numbered
            .map(|(section, number)| listeners::read(section, number, folder, lists, &mut taken, problems))
            .collect();
        return (listeners, taken.clients);
    }
    // Whoever starts it as root without a word of configuration is the owner.
    let local = if environment.is_root() { format!("{LOCAL}local_uids = [0]\n") } else { LOCAL.to_owned() };
    let (table, _) = DeTable::parse_recoverable(&local);
    let root = Section::new(String::new(), table.get_ref(), 0..0, &KEYS, problems);
    let sections = root.tables("listener", &listeners::KEYS, problems);
    let local =
        sections.iter().map(|section| listeners::read(section, 1, folder, lists, &mut taken, problems)).collect();
    (local, taken.clients)
}

/// What one listener reads as the client's address is nobody's own word on any of them.
fn share_named_headers(listeners: &mut [listener::Settings]) {
    let read = |listener: &listener::Settings| match &listener.origin.client_ip_header {
        ClientIpHeader::Single(name) => Some(name.clone()),
        _ => None,
    };
    let mut named: Vec<_> = listeners.iter().filter_map(read).collect();
    named.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    named.dedup();
    for listener in listeners {
        listener.origin.named_headers.clone_from(&named);
    }
}

/// What is allowed, but weakens the house or cannot have been meant.
fn warnings(config: &Config, root: &Section<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let ignored = &mut Problems::default();
    let sections = root.tables("listener", &listeners::KEYS, ignored);
    for (section, listener) in sections.iter().zip(&config.listeners) {
        let name = &listener.name;
        if section.flag("danger_wide_trust", ignored).is_some_and(|wide| wide.value) {
            warnings.push(format!(
                "listener {name}: danger_wide_trust lets every address of a wide range say who is calling"
            ));
        }
        if section.flag("danger_trust_own_bridge", ignored).is_some_and(|own| own.value) {
            warnings.push(format!(
                "listener {name}: danger_trust_own_bridge lets whoever comes through our own container \
                 network's gateway say who is calling"
            ));
        }
        let is_nameless = config.edge.names.is_empty() && config.lan_names == LanNames::Unanswered;
        if is_nameless && listener.origin.local == LocalRule::Never {
            warnings.push(format!(
                "listener {name} answers nobody: edge.names is empty, and only local callers need no name; write the names or \
                 addresses that people type into names in [edge], or lan_names = true for this machine's own"
            ));
        }
    }
    if config.tailscale.as_ref().is_some_and(|tailscale| tailscale.dialled == Dialled::AnyAddress) {
        warnings.push(
            "tailscale: danger_any_address takes whoever can send from a tailnet's address, on any cable, for its owner".into(),
        );
    }
    warnings
}

/// What it means for a listener that root is there.
fn warning_of_root(listener: &listener::Settings, environment: &Environment) -> Option<String> {
    let (name, LocalRule::Loopback { uids }) = (&listener.name, &listener.origin.local) else { return None };
    match (environment.is_root(), uids.contains(&0)) {
        (true, true) => Some(format!(
            "listener {name}: this runs as root, so root's services count as local; let no proxy here run as root"
        )),
        (true, false) => Some(format!(
            "listener {name}: this runs as root, but root is not local: its own calls on loopback are of class nat, and its \
             devices wait for approval; if no proxy here runs as root, add 0 to local_uids"
        )),
        (false, true) if environment.uid.is_some() => {
            Some(format!("listener {name}: local_uids names root, who is local only where this runs as root too"))
        }
        (false, _) => None,
    }
}
