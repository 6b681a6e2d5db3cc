//! `health`, `status`, `system-presence`: how this instance is, told to those who may read.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::core::Inner;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
use crate::protocol::event;
use crate::protocol::event::Devices;
use crate::protocol::scope::Scope;

pub(in crate::core) fn health(core: &Inner) -> Value {
    event::health(core.clock.now(), 0)
}

pub(in crate::core) fn presence(core: &Inner) -> Value {
    let (list, _) = core.board.list(&core.registry, Instant::now());
    json!(list.as_slice())
}

pub(in crate::core) async fn status(core: &Arc<Inner>, peer: &Peer) -> Result<Value, CallError> {
    let status = core.status().await.map_err(|_| CallError::Internal)?;
    // How many devices there are, and how many wait, is for those who decide about them.
    let devices = Devices { paired: status.paired, pending: status.pending };
    let devices = peer.arrival.scopes.covers(&Scope::PAIRING).then_some(devices);
    Ok(event::status(env!("CARGO_PKG_VERSION"), status.uptime_ms, status.connections, devices))
}
