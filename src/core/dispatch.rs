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

/// The one table: each method's name, the scope it needs, and its answer.
macro_rules! methods {
    (|$core:ident, $peer:ident, $params:ident| $($name:literal needs $scope:ident: $answer:expr,)+) => {
        /// The methods that `hello-ok` announces.
        pub(super) const METHODS: &[&str] = &[$($name,)+];

        /// Answers one call of `peer`.
        pub(super) async fn call($core: &Arc<Inner>, $peer: &Arc<Peer>, request: &Request) -> Result<Value, CallError> {
            let method = request.method.as_str();
            let needed = match method {
                $($name => Scope::$scope,)+
                "connect" => return Err(CallError::ConnectAgain),
                unknown => return Err(CallError::MethodUnknown(unknown.to_owned())),
            };
            may_call($peer, needed)?;
            let $params = request.params.as_deref();
            match method {
                $($name => $answer,)+
                unknown => Err(CallError::MethodUnknown(unknown.to_owned())),
            }
        }
    };
}

methods! { |core, peer, params|
    "device.pair.approve" needs PAIRING: device::approve(core, peer, params).await,
    "device.pair.list" needs PAIRING: device::list(core, peer, params).await,
    "device.pair.reject" needs PAIRING: device::reject(core, peer, params).await,
    "device.pair.remove" needs PAIRING: device::remove(core, peer, params).await,
    "device.pair.rename" needs PAIRING: device::rename(core, peer, params).await,
    "device.token.revoke" needs PAIRING: device::revoke(core, peer, params).await,
    "device.token.rotate" needs PAIRING: device::rotate(core, peer, params).await,
    "health" needs READ: Ok(system::health(core)),
    "status" needs READ: system::status(core, peer).await,
    "system-presence" needs READ: Ok(system::presence(core)),
}

fn may_call(peer: &Peer, needed: Scope) -> Result<(), CallError> {
    if peer.arrival.role != Role::Operator {
        return Err(CallError::RoleUnauthorized(peer.arrival.role.as_str()));
    }
    if peer.arrival.scopes.covers(&needed) { Ok(()) } else { Err(CallError::ScopeMissing(needed)) }
}
