//! The local rule: who may be taken for somebody at this machine's own keyboard.
//!
//! A loopback address alone proves nothing: rootless containers, tunnels and proxies show every stranger as
//! 127.0.0.1. So each condition must hold, the kernel's word on the peer's user among them.

use super::Facts;
use super::LocalRule;
use super::Network;
use super::Owner;
use super::ProxyProtocol;
use super::Settings;
use super::forwarded::names::is_forwarding;
use super::request::is_same_origin;
use super::trail::Step;

/// Where persons' accounts begin (login.defs, `UID_MIN`).
const PERSON_UID_MIN: u32 = 1_000;
/// Accounts that systemd makes for the life of a service (`DynamicUser`).
const DYNAMIC_SERVICE_UIDS: std::ops::RangeInclusive<u32> = 61_184..=65_519;
/// nobody, and what 16 and 32 bit readers take for "no user".
const NO_PERSON_UIDS: [u32; 3] = [65_534, 65_535, u32::MAX];

/// Whether this caller is local.
///
/// # Errors
/// The first condition that does not hold.
pub(super) fn judge(facts: &Facts<'_>, settings: &Settings, network: &Network) -> Result<(), Step> {
    let LocalRule::Loopback { uids } = &settings.local else { return Err(Step::LocalNever) };
    if !facts.peer.ip().is_loopback() {
        return Err(Step::LocalPeer);
    }
    if facts.proxy_header.is_some() || settings.proxy_protocol != ProxyProtocol::Off {
        return Err(Step::LocalProxyHeader);
    }
    if settings.trusted_proxies.contains(facts.peer.ip()) {
        return Err(Step::LocalTrustedProxy);
    }
    if facts.headers.keys().any(|name| is_forwarding(name.as_str())) {
        return Err(Step::LocalForwarded);
    }
    if !facts.authority.is_some_and(|authority| authority.host.is_loopback()) {
        return Err(Step::LocalHost);
    }
    if !is_same_origin(facts.headers, facts.authority, facts.scheme) {
        return Err(Step::LocalOrigin);
    }
    match facts.owner {
        Owner::Assumed => Ok(()),
        Owner::Known { uid } if uid == network.own_uid() || is_person(uid) || uids.contains(&uid) => Ok(()),
        Owner::Known { .. } => Err(Step::LocalService),
        Owner::Unknown => Err(Step::LocalUnknownOwner),
    }
}

fn is_person(uid: u32) -> bool {
    uid >= PERSON_UID_MIN && !NO_PERSON_UIDS.contains(&uid) && !DYNAMIC_SERVICE_UIDS.contains(&uid)
}
