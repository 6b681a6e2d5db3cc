//! `[admin]`: where a monitor of the owner's reads the numbers. Never where callers are answered, and beyond our own networks
//! only by a key that says what it does.

use std::net::SocketAddr;

use crate::base::limits::METRICS_ADDRESSES_MAX;
use crate::listener;
use crate::metrics;
use crate::metrics::is_kept_in;

use super::fault::Fault;
use super::listeners::collide;
use super::section::{Keys, Placed, Problems, Section};

pub(super) const KEYS: Keys = Keys { known: &["metrics_bind", "danger_public_metrics"], later: &[] };
const DANGER: &str = "danger_public_metrics";

/// Reads the table; `listeners` have their addresses already.
pub(super) fn read(
    root: &Section<'_>,
    listeners: &[listener::Settings],
    problems: &mut Problems,
) -> (metrics::Settings, Vec<String>) {
    let (mut settings, mut warnings) = (metrics::Settings::default(), Vec::new());
    let Some(section) = root.table("admin", &KEYS, problems) else { return (settings, warnings) };
    let exposed = section.flag(DANGER, problems);
    let may_be_exposed = exposed.as_ref().is_some_and(|flag| flag.value);
    let entries = section.one_or_more("metrics_bind", problems);
    if let Some(entry) = entries.get(METRICS_ADDRESSES_MAX) {
        problems.add(Fault::TooMany { key: "metrics_bind", max: METRICS_ADDRESSES_MAX }, &entry.span);
    }
    for entry in &entries {
        let read = entry.value.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
        let Some(address) = read else {
            problems.add(Fault::Bind(entry.value.to_owned()), &entry.span);
            continue;
        };
        if let Some(by) = taken_by(address, listeners, &settings) {
            problems.add(Fault::BindTaken { address, by }, &entry.span);
        }
        match (is_kept_in(address.ip()), may_be_exposed) {
            (true, _) => {}
            (false, false) => problems.add(Fault::MetricsExposed(address), &entry.span),
            (false, true) => warnings.push(format!(
                "admin: {DANGER} lets whoever can dial {address} read how many callers there are and what becomes of them"
            )),
        }
        settings.bind.push(address);
    }
    if let Some(Placed { value: true, span }) = exposed.filter(|_| warnings.is_empty() && problems.is_empty()) {
        problems.add(Fault::Useless { key: DANGER, needs: "a wider address in metrics_bind" }, &span);
    }
    (settings, warnings)
}

fn taken_by(address: SocketAddr, listeners: &[listener::Settings], settings: &metrics::Settings) -> Option<String> {
    let has = |bind: &[SocketAddr]| bind.iter().any(|other| collide(*other, address));
    let listener = listeners.iter().find(|listener| has(&listener.bind)).map(|by| format!("listener {}", by.name));
    listener.or_else(|| has(&settings.bind).then(|| "metrics_bind".to_owned()))
}
