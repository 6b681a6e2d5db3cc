//! From a request to the method that answers it: the role first, then the scope, then the parameters.

use std::sync::Arc;

use serde_json::Value;

use crate::core::Inner;
use crate::core::methods::device;
use crate::core::methods::node;
use crate::core::methods::scopes;
use crate::core::methods::setup;
use crate::core::methods::system;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
use crate::protocol::frame::Request;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;

/// What comes of a call that is not refused.
#[derive(Debug)]
pub(super) enum Answer {
    /// The socket's task sends nothing: the answer is queued when there is one.
    Later,
    /// The payload.
    Now(Value),
}

impl From<Value> for Answer {
    fn from(payload: Value) -> Self {
        Self::Now(payload)
    }
}

/// The one table: each method's name, the scope it needs, and its answer.
macro_rules! methods {
    (|$core:ident, $peer:ident, $id:ident, $params:ident| $($name:literal needs $scope:ident: $answer:expr,)+) => {
        /// The methods that `hello-ok` announces.
        pub(super) const METHODS: &[&str] = &[$($name,)+];

        /// Answers one call of `peer`.
        pub(super) async fn call($core: &Arc<Inner>, $peer: &Arc<Peer>, request: &Request) -> Result<Answer, CallError> {
            let method = request.method.as_str();
            let needed = match method {
                $($name => Scope::$scope,)+
                "connect" => return Err(CallError::ConnectAgain),
                unknown => return Err(CallError::MethodUnknown(unknown.to_owned())),
            };
            may_call($peer, needed)?;
            let ($id, $params) = (request.id.as_str(), request.params.as_deref());
            match method {
                $($name => $answer.map(Into::into),)+
                unknown => Err(CallError::MethodUnknown(unknown.to_owned())),
            }
        }
    };
}

methods! { |core, peer, id, params|
    "device.pair.approve" needs PAIRING: device::approve(core, peer, params).await,
    "device.pair.list" needs PAIRING: device::list(core, peer, params).await,
    "device.pair.reject" needs PAIRING: device::reject(core, peer, params).await,
    "device.pair.remove" needs PAIRING: device::remove(core, peer, params).await,
    "device.pair.rename" needs PAIRING: device::rename(core, peer, params).await,
    "device.pair.setupCode" needs ADMIN: setup::code(core, peer, params),
    "device.pair.setupStatus" needs ADMIN: setup::status(core, params),
    "device.scopes.requestUpgrade" needs READ: scopes::request(core, peer, params).await,
    "device.scopes.waitUpgrade" needs READ: scopes::wait(core, peer, id, params).await,
    "device.token.revoke" needs PAIRING: device::revoke(core, peer, params).await,
    "device.token.rotate" needs PAIRING: device::rotate(core, peer, params).await,
    "health" needs READ: Ok(system::health(core)),
    "node.pair.approve" needs PAIRING: node::decide("node.pair.approve", params),
    "node.pair.list" needs PAIRING: node::list(core, peer, params).await,
    "node.pair.reject" needs PAIRING: node::decide("node.pair.reject", params),
    "node.pair.remove" needs PAIRING: node::remove(core, peer, params).await,
    "status" needs READ: system::status(core, peer).await,
    "system-presence" needs READ: Ok(system::presence(core)),
}

fn may_call(peer: &Peer, needed: Scope) -> Result<(), CallError> {
    if peer.arrival.role != Role::Operator {
        return Err(CallError::RoleUnauthorized(peer.arrival.role.as_str()));
    }
    if peer.arrival.scopes.covers(&needed) { Ok(()) } else { Err(CallError::ScopeMissing(needed)) }
}
