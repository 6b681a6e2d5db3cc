//! The local rule: who may be taken for somebody at this machine's own keyboard.
//!
//! A loopback address alone proves nothing: rootless containers, tunnels and proxies show every stranger as
//! 127.0.0.1. A container's gateway proves less: the runtime shows it for everybody it forwards. So each condition must
//! hold, the kernel's word on the peer's user, or the refusal of the published port, among them.

use super::Facts;
use super::LocalRule;
use super::Network;
use super::Owner;
use super::ProxyProtocol;
use super::Settings;
use super::network::exposure::Exposure;
use super::request::is_same_origin;
use super::trail::Step;
use super::trail::Trail;
use crate::net::addr::PeerAddr;

/// Where persons' accounts begin (login.defs, `UID_MIN`).
const PERSON_UID_MIN: u32 = 1_000;
/// Accounts that systemd makes for the life of a service (`DynamicUser`).
const DYNAMIC_SERVICE_UIDS: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// nobody, and what 16 and 32 bit readers take for "no user".
const NO_PERSON_UIDS: [u32; 3] = [65_534, 65_535, u32::MAX];

/// Whether this caller is local.
///
/// # Errors
/// Every condition that does not hold. A listener that calls nobody local asks for no other.
pub(super) fn judge(facts: &Facts<'_>, settings: &Settings, network: &Network) -> Result<(), Trail> {
    let mut failed = Trail::default();
    if settings.local == LocalRule::Never {
        failed.push(Step::LocalNever);
        return Err(failed);
    }
    let plain = facts.proxy_header.is_none() && settings.proxy_protocol == ProxyProtocol::Off;
    let trusted = settings.trusted_proxies.contains(facts.peer.ip());
    let forwarded = facts.headers.keys().any(|name| settings.is_forwarding(name));
    let host = facts.authority.is_some_and(|authority| authority.host.is_loopback());
    let same_origin = is_same_origin(facts.headers, facts.authority, facts.scheme);
    let peer = judge_peer(facts.peer, &settings.local, network);
    peer.err().into_iter().for_each(|step| failed.push(step));
    for (holds, step) in [
        (plain, Step::LocalProxyHeader),
        (!trusted, Step::LocalTrustedProxy),
        (!forwarded, Step::LocalForwarded),
        (host, Step::LocalHost),
        (same_origin, Step::LocalOrigin),
    ] {
        if !holds {
            failed.push(step);
        }
    }
    // Of what does not come plainly from the right peer, neither the kernel nor the probe can say anything.
    if let (true, Err(step)) = (peer.is_ok() && plain, judge_way(facts.owner, &settings.local, network)) {
        failed.push(step);
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

/// Whether the peer is one behind which only this machine's own callers can be.
fn judge_peer(peer: PeerAddr, rule: &LocalRule, network: &Network) -> Result<(), Step> {
    match rule {
        LocalRule::Loopback { .. } if peer.ip().is_loopback() => Ok(()),
        LocalRule::Loopback { .. } => Err(Step::LocalPeer),
        LocalRule::Never => Err(Step::LocalNever),
        LocalRule::PublishedLoopback { .. } if !network.is_contained() => Err(Step::LocalNoContainer),
        LocalRule::PublishedLoopback { peers, .. } if network.is_forwarder(peer.ip()) || peers.contains(&peer.ip()) => {
            Ok(())
        }
        LocalRule::PublishedLoopback { .. } => Err(Step::LocalPeerNoForwarder),
    }
}

/// Whether the way from there to us is closed to everybody else.
fn judge_way(owner: Owner, rule: &LocalRule, network: &Network) -> Result<(), Step> {
    match rule {
        LocalRule::Loopback { uids } => judge_owner(owner, uids, network),
        LocalRule::Never => Err(Step::LocalNever),
        LocalRule::PublishedLoopback { port, .. } => match network.exposure(*port) {
            Exposure::Closed => Ok(()),
            Exposure::Open { .. } => Err(Step::LocalPortOpen),
            Exposure::NoHost | Exposure::Pending | Exposure::Unprovable | Exposure::Unproven { .. } => {
                Err(Step::LocalPortUnproven)
            }
        },
    }
}

fn judge_owner(owner: Owner, uids: &[u32], network: &Network) -> Result<(), Step> {
    match owner {
        Owner::Assumed => Ok(()),
        Owner::Known { uid } if is_owner(uid, uids, network) => Ok(()),
        Owner::Known { .. } => Err(Step::LocalService),
        Owner::Unknown => Err(Step::LocalUnknownOwner),
    }
}

/// Whether `uid` is the owner's. Root is not, though we run as root: so do proxies, and one that sends no header would
/// make every stranger local. Only where we are root ourselves can the operator say that nothing of root's is a proxy.
fn is_owner(uid: u32, local_uids: &[u32], network: &Network) -> bool {
    let named = local_uids.contains(&uid);
    let own = uid == network.own_uid();
    if uid == 0 { own && named } else { own || named || is_person(uid) }
}

fn is_person(uid: u32) -> bool {
    uid >= PERSON_UID_MIN && !NO_PERSON_UIDS.contains(&uid) && !DYNAMIC_SERVICE_UIDS.contains(&uid)
}

#[cfg(test)]
mod tests;
