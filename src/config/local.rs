//! `local` and the keys that belong to it: who may count as sitting at this machine.

use std::net::{IpAddr, SocketAddr};

use crate::base::limits::LOCAL_PEERS_MAX;
use crate::origin::{LocalRule, ProxyProtocol};

use super::fault::Fault;
use super::section::{Placed, Problems, Section};

#[derive(Clone, Copy, Eq, PartialEq)]
enum Local {
    Loopback,
    Never,
    PublishedLoopback,
}

const WORDS: [(&str, Local); 3] =
    [("never", Local::Never), ("loopback", Local::Loopback), ("published-loopback", Local::PublishedLoopback)];

/// Reads the rule of one listener. `outside` is an address of it that is not loopback; `published` are the ports that
/// other listeners have on the host.
pub(super) fn read(
    section: &Section<'_>,
    outside: Option<SocketAddr>,
    proxy: &ProxyProtocol,
    published: &mut Vec<u16>,
    problems: &mut Problems,
) -> LocalRule {
    let local = section.word("local", &WORDS, &[], problems);
    let uids = section.numbers("local_uids", &(0..=i64::from(u32::MAX)), problems);
    let port = section.number("published_port", 1..=i64::from(u16::MAX), problems);
    let peers = read_peers(section, problems);
    let rule = local.as_ref().map_or(Local::Never, |local| local.value);
    let mut useless = |key, needs| {
        if let Some(span) = section.span_of(key) {
            problems.add(Fault::Useless { key, needs }, &span);
        }
    };
    if rule != Local::Loopback {
        useless("local_uids", "local = \"loopback\"");
    }
    if rule != Local::PublishedLoopback {
        useless("published_port", "local = \"published-loopback\"");
        useless("local_peers", "local = \"published-loopback\"");
    }
    let Some(Placed { span, .. }) = local.filter(|_| rule != Local::Never) else { return LocalRule::Never };
    if matches!(proxy, ProxyProtocol::Required { .. }) {
        problems.add(Fault::LocalBehindProxy, &span);
    }
    if rule == Local::Loopback {
        if let Some(address) = outside {
            problems.add(Fault::LocalNeedsLoopback(address), &span);
        }
        let uids = uids.map(|uids| uids.value).unwrap_or_default();
        return LocalRule::Loopback { uids: uids.into_iter().filter_map(|uid| u32::try_from(uid).ok()).collect() };
    }
    if outside.is_none() && !section.is_empty_list("bind") {
        problems.add(Fault::PublishedNeedsOutside, &span);
    }
    let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else {
        if section.span_of("published_port").is_none() {
            problems.add(Fault::Missing { key: "published_port" }, &span);
        }
        return LocalRule::Never;
    };
    if published.contains(&port) {
        problems.add(Fault::NamedTwice(port.to_string()), &section.span_of("published_port").unwrap_or(span));
    }
    published.push(port);
    LocalRule::PublishedLoopback { port, peers }
}

/// Single addresses: a range would be somebody else's machines too.
fn read_peers(section: &Section<'_>, problems: &mut Problems) -> Vec<IpAddr> {
    let Some(list) = section.texts("local_peers", problems) else { return Vec::new() };
    if list.value.len() > LOCAL_PEERS_MAX {
        problems.add(Fault::TooMany { key: "local_peers", max: LOCAL_PEERS_MAX }, &list.span);
    }
    let mut peers = Vec::new();
    for entry in &list.value {
        let ip = entry.value.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        match ip.filter(|ip| !ip.is_unspecified() && !ip.is_multicast() && !ip.is_loopback()) {
            Some(ip) => peers.push(ip),
            None => problems.add(Fault::LocalPeer(entry.value.to_owned()), &entry.span),
        }
    }
    peers
}
