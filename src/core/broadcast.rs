//! What is said to many sockets, and to which.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::error;

use crate::base::clock::UnixMillis;
use crate::core::outbound::Event;
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
        // Closing is done by whoever carries the notice out.
        Notice::Close { .. } => {}
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
    let written = serde_json::to_string(payload).and_then(RawValue::from_string);
    match written {
        Ok(payload) => registry.tell(&Arc::new(Event { name, payload, version }), wants),
        // Never: our own payloads are plain maps, lists and text.
        Err(fault) => error!(%fault, event = name, "event not written"),
    }
}
