//! `health`, `status`, `system-presence`: how this instance is, told to those who may read.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::core::Inner;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
use crate::protocol::event;
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
    let mut answer = json!({
        "runtimeVersion": env!("CARGO_PKG_VERSION"),
        "uptimeMs": status.uptime_ms,
        "connections": status.connections,
        "sessions": { "count": 0, "recent": [] },
        "channelSummary": [],
    });
    // How many devices there are, and how many wait, is for those who decide about them.
    if let (true, Value::Object(fields)) = (peer.scopes.covers(&Scope::PAIRING), &mut answer) {
        fields.insert("devices".to_owned(), json!({ "paired": status.paired, "pending": status.pending }));
    }
    Ok(answer)
}
