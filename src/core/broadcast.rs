//! What is said to many sockets, and to which.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::error;

use crate::base::clock::UnixMillis;
use crate::core::outbound::Event;
use crate::core::outbound::Slow;
use crate::core::registry::Peer;
use crate::core::registry::Registry;
use crate::pairing::device::DeviceId;
use crate::pairing::step::Notice;
use crate::protocol::event;
use crate::protocol::event::Presence;
use crate::protocol::frame::StateVersion;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::version::Version;

/// Tells those who decide about devices what `notice` says.
pub(super) fn notice(registry: &Registry, notice: &Notice, now: UnixMillis) {
    match notice {
        // That is done by whoever carries the notice out.
        Notice::Close { .. } | Notice::Cool(_) | Notice::Settle { .. } => {}
        Notice::Changed(device) => {
            tell(registry, event::DEVICE_PAIR_CHANGED, &json!({}), None, |peer| {
                peer.arrival.version == Version::V4 && decides_about(peer, device)
            });
        }
        Notice::Requested(request) => {
            let device = request.device();
            tell(registry, event::DEVICE_PAIR_REQUESTED, &request.shown(), None, |peer| decides_about(peer, &device));
        }
        Notice::Resolved { request, device, decision } => {
            let payload = event::resolved(&request.to_string(), &device.to_string(), *decision, now);
            tell(registry, event::DEVICE_PAIR_RESOLVED, &payload, None, |peer| decides_about(peer, device));
        }
    }
}

/// Tells those who decide about devices that a node is none any more.
pub(super) fn node_removed(registry: &Registry, node: &str, now: UnixMillis) {
    let Ok(device) = node.parse::<DeviceId>() else { return };
    let payload = event::node_removed(node, now);
    tell(registry, event::NODE_PAIR_RESOLVED, &payload, None, |peer| decides_about(peer, &device));
}

/// Tells those who administer what became of a setup code; `name` is one of its two events.
pub(super) fn setup(registry: &Registry, name: &'static str, payload: &Value) {
    tell(registry, name, payload, None, |peer| peer.is_operator_with(&Scope::PAIRING) && peer.approver().is_admin());
}

/// Tells those who may read how this instance is. Whoever cannot take it is closed: it would not know what it missed.
pub(super) fn health(registry: &Registry, payload: &Value, version: StateVersion) {
    let wants = |peer: &Peer| peer.is_operator_with(&Scope::READ);
    publish(registry, event::HEALTH, payload, Some(version), Slow::End, wants);
}

/// Tells everybody that we live.
pub(super) fn tick(registry: &Registry, now: UnixMillis) {
    tell(registry, event::TICK, &event::tick(now), None, |_| true);
}

/// Tells those who may read who is connected.
pub(super) fn presence(registry: &Registry, list: &[Presence], version: StateVersion) {
    tell(registry, event::PRESENCE, &event::presence(list), Some(version), |peer| peer.is_operator_with(&Scope::READ));
}

fn decides_about(peer: &Peer, device: &DeviceId) -> bool {
    peer.arrival.role == Role::Operator && peer.arrival.scopes.covers(&Scope::PAIRING) && peer.approver().sees(device)
}

fn tell(
    registry: &Registry,
    name: &'static str,
    payload: &impl Serialize,
    version: Option<StateVersion>,
    wants: impl Fn(&Peer) -> bool,
) {
    publish(registry, name, payload, version, Slow::Skip, wants);
}

fn publish(
    registry: &Registry,
    name: &'static str,
    payload: &impl Serialize,
    version: Option<StateVersion>,
    slow: Slow,
    wants: impl Fn(&Peer) -> bool,
) {
    let written = serde_json::to_string(payload).and_then(RawValue::from_string);
    match written {
        Ok(payload) => registry.tell(&Arc::new(Event { name, payload, version, slow }), wants),
        // Never: our own payloads are plain maps, lists and text.
        Err(fault) => error!(%fault, event = name, "event not written"),
    }
}
