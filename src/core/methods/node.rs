//! `node.pair.*`, as far as a core without a gateway behind it has nodes: a node is a paired device that may be one, and
//! what it can do is used by nobody here, so no capability of a node ever waits for approval.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::core::Inner;
use crate::core::broadcast;
use crate::core::methods::device::decider;
use crate::core::methods::device::pairings;
use crate::core::methods::read;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;

pub(in crate::core) async fn list(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let ([], ()) = read("node.pair.list", params, [], &[], |_, _| ())?;
    Ok(json!({ "pending": [], "paired": pairings(core).nodes(&decider(peer)).await? }))
}

pub(in crate::core) fn decide(method: &'static str, params: Option<&RawValue>) -> Result<Value, CallError> {
    let ([_], ()) = read(method, params, ["requestId"], &[], |_, _| ())?;
    Err(CallError::RequestUnknown)
}

pub(in crate::core) async fn remove(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let ([id], ()) = read("node.pair.remove", params, ["nodeId"], &[], |_, _| ())?;
    let removed = pairings(core).revoke(&id, Role::Node, &decider(peer)).await;
    removed.map_err(|error| match error {
        CallError::TokenRevocationDenied => CallError::NodeUnknown,
        other => other,
    })?;
    broadcast::node_removed(&core.registry, &id, core.clock.now());
    Ok(json!({ "nodeId": id }))
}
