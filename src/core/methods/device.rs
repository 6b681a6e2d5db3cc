//! `device.pair.*` and `device.token.*`: parameters in, the one function of [`Pairings`] for each, its answer out.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::base::limits::DEVICE_LABEL_CHARS_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::SCOPE_CHARS_MAX;
use crate::base::limits::SCOPES_MAX;
use crate::core::Inner;
use crate::core::methods::read;
use crate::core::pairings::Decider;
use crate::core::pairings::Pairings;
use crate::core::registry::Peer;
use crate::protocol::call::CallError;
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
    let [] = texts("device.pair.list", params, [])?;
    let listing = pairings(core).list(&decider(peer)).await?;
    Ok(json!(listing))
}

pub(in crate::core) async fn approve(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let ([id], digest) = read("device.pair.approve", params, ["requestId"], &["digest"], |params, faults| {
        params.label("digest", LABEL_CHARS_MAX, faults)
    })?;
    pairings(core).approve(&id, digest.as_deref(), &decider(peer)).await
}

pub(in crate::core) async fn reject(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let [id] = texts("device.pair.reject", params, ["requestId"])?;
    pairings(core).reject(&id, &decider(peer)).await
}

pub(in crate::core) async fn remove(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let [device] = texts("device.pair.remove", params, ["deviceId"])?;
    pairings(core).remove(&device, &decider(peer)).await
}

pub(in crate::core) async fn rename(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let ([device], label) = read("device.pair.rename", params, ["deviceId"], &["label"], |params, faults| {
        params.required_text("label", DEVICE_LABEL_CHARS_MAX, faults)
    })?;
    pairings(core).rename(&device, &label, &decider(peer)).await
}

pub(in crate::core) async fn revoke(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let [device, role] = texts("device.token.revoke", params, ["deviceId", "role"])?;
    let role = Role::parse(&role).ok_or(CallError::TokenRevocationDenied)?;
    pairings(core).revoke(&device, role, &decider(peer)).await
}

pub(in crate::core) async fn rotate(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let ([device, role], scopes) = read("device.token.rotate", params, ["deviceId", "role"], &["scopes"], scopes)?;
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

/// Reads the parameters of `method` that takes the texts under `keys` and nothing else.
fn texts<const N: usize>(
    method: &'static str,
    params: Option<&RawValue>,
    keys: [&str; N],
) -> Result<[String; N], CallError> {
    read(method, params, keys, &[], |_, _| ()).map(|(texts, ())| texts)
}

pub(in crate::core) fn pairings(core: &Arc<Inner>) -> Pairings {
    Pairings { core: Arc::clone(core) }
}

pub(in crate::core) fn decider(peer: &Arc<Peer>) -> Decider {
    Decider::session(Arc::clone(peer))
}
