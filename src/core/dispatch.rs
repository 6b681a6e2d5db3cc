//! From a request to the method that answers it: the role first, then the scope, then the parameters.

use std::sync::Arc;

use serde_json::Value;

use crate::core::Inner;
use crate::core::methods::device;
use crate::core::methods::system;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
use crate::protocol::frame::Request;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;

/// The methods that `hello-ok` announces.
pub(super) const METHODS: &[&str] = &[
    "device.pair.approve",
    "device.pair.list",
    "device.pair.reject",
    "device.pair.remove",
    "device.token.revoke",
    "device.token.rotate",
    "health",
    "status",
    "system-presence",
];

/// Answers one call of `peer`.
pub(super) async fn call(core: &Arc<Inner>, peer: &Peer, request: &Request) -> Result<Value, CallError> {
    let method = request.method.as_str();
    if method == "connect" {
        return Err(CallError::ConnectAgain);
    }
    if !METHODS.contains(&method) {
        return Err(CallError::MethodUnknown(method.to_owned()));
    }
    if peer.role != Role::Operator {
        return Err(CallError::RoleUnauthorized(peer.role.as_str()));
    }
    let needed = if method.starts_with("device.") { Scope::PAIRING } else { Scope::READ };
    if !peer.scopes.covers(&needed) {
        return Err(CallError::ScopeMissing(needed));
    }
    let params = request.params.as_deref();
    match method {
        "device.pair.approve" => device::approve(core, peer, params).await,
        "device.pair.list" => device::list(core, peer, params).await,
        "device.pair.reject" => device::reject(core, peer, params).await,
        "device.pair.remove" => device::remove(core, peer, params).await,
        "device.token.revoke" => device::revoke(core, peer, params).await,
        "device.token.rotate" => device::rotate(core, peer, params).await,
        "health" => Ok(system::health(core)),
        "status" => system::status(core, peer).await,
        "system-presence" => Ok(system::presence(core)),
        _ => Err(CallError::MethodUnknown(method.to_owned())),
    }
}
