//! `device.pair.*` and `device.token.*`: parameters in, the one function of [`Pairings`] for each, its answer out.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::SCOPE_CHARS_MAX;
use crate::base::limits::SCOPES_MAX;
use crate::core::Inner;
use crate::core::pairings::Decider;
use crate::core::pairings::Pairings;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
use crate::protocol::json;
use crate::protocol::schema::Faults;
use crate::protocol::schema::Object;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

pub(in crate::core) async fn list(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    read("device.pair.list", params, &[], |_, _| ())?;
    let listing = pairings(core).list(&decider(peer)).await?;
    Ok(json!(listing))
}

pub(in crate::core) async fn approve(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let (id, digest) = read("device.pair.approve", params, &["digest", "requestId"], |params, faults| {
        let id = params.required_text("requestId", LABEL_CHARS_MAX, faults);
        (id, params.label("digest", LABEL_CHARS_MAX, faults))
    })?;
    pairings(core).approve(&id, digest.as_deref(), &decider(peer)).await
}

pub(in crate::core) async fn reject(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let id = read("device.pair.reject", params, &["requestId"], |params, faults| {
        params.required_text("requestId", LABEL_CHARS_MAX, faults)
    })?;
    pairings(core).reject(&id, &decider(peer)).await
}

pub(in crate::core) async fn remove(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let device = read("device.pair.remove", params, &["deviceId"], |params, faults| {
        params.required_text("deviceId", LABEL_CHARS_MAX, faults)
    })?;
    pairings(core).remove(&device, &decider(peer)).await
}

pub(in crate::core) async fn revoke(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let (device, role) = read("device.token.revoke", params, &["deviceId", "role"], |params, faults| {
        let device = params.required_text("deviceId", LABEL_CHARS_MAX, faults);
        (device, params.required_text("role", LABEL_CHARS_MAX, faults))
    })?;
    let role = Role::parse(&role).ok_or(CallError::TokenRevocationDenied)?;
    pairings(core).revoke(&device, role, &decider(peer)).await
}

pub(in crate::core) async fn rotate(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let (device, role, scopes) =
        read("device.token.rotate", params, &["deviceId", "role", "scopes"], |params, faults| {
            let device = params.required_text("deviceId", LABEL_CHARS_MAX, faults);
            let role = params.required_text("role", LABEL_CHARS_MAX, faults);
            (device, role, scopes(params, faults))
        })?;
    let role = Role::parse(&role).ok_or(CallError::TokenRotationDenied)?;
    pairings(core).rotate(&device, role, scopes, &decider(peer)).await
}

fn scopes(params: &Object<'_>, faults: &mut Faults) -> Option<Scopes> {
    let texts = params.texts("scopes", SCOPES_MAX, SCOPE_CHARS_MAX, faults)?;
    let scopes: Result<Scopes, _> = texts.iter().map(|text| Scope::parse(text)).collect();
    if scopes.is_err() {
        faults.add(&params.path("scopes"), "must be scopes");
    }
    scopes.ok()
}

/// Reads the parameters of `method`: an object with no other keys than `keys`; none at all is an empty one.
fn read<T>(
    method: &'static str,
    params: Option<&RawValue>,
    keys: &[&str],
    fields: impl FnOnce(&Object<'_>, &mut Faults) -> T,
) -> Result<T, CallError> {
    let mut faults = Faults::default();
    let Ok(value) = json::parse(params.map_or("{}", RawValue::get)) else {
        let faults = Faults::one("", "must NOT have duplicate properties");
        return Err(CallError::ParamsInvalid { method, faults });
    };
    let read = Object::closed(&value, "", keys, &mut faults).map(|params| fields(&params, &mut faults));
    match read {
        Some(read) if faults.is_empty() => Ok(read),
        _ => Err(CallError::ParamsInvalid { method, faults }),
    }
}

fn pairings(core: &Arc<Inner>) -> Pairings {
    Pairings { core: Arc::clone(core) }
}

fn decider(peer: &Arc<Peer>) -> Decider {
    Decider::session(Arc::clone(peer))
}
