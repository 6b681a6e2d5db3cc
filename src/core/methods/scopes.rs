//! `device.scopes.requestUpgrade` and `device.scopes.waitUpgrade`: a connected device asks for more, and hears of it.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::error;

use crate::base::limits::SCOPE_CHARS_MAX;
use crate::base::limits::UPGRADE_SCOPES_MAX;
use crate::base::secret::Secret;
use crate::core::Inner;
use crate::core::dispatch::Answer;
use crate::core::methods::device::decider;
use crate::core::methods::device::pairings;
use crate::core::methods::read;
use crate::core::registry::Peer;
use crate::core::upgrades::Unwatchable;
use crate::pairing::device::DeviceId;
use crate::pairing::request::RequestId;
use crate::pairing::step::RequestEnd;
use crate::protocol::call::CallError;
use crate::protocol::frame;
use crate::protocol::refusal::Failure;
use crate::protocol::schema::Faults;
use crate::protocol::schema::Object;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

pub(in crate::core) async fn request(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    params: Option<&RawValue>,
) -> Result<Value, CallError> {
    let ([], scopes) = read("device.scopes.requestUpgrade", params, [], &["scopes"], scopes)?;
    let id = pairings(core).request_upgrade(peer, scopes, &decider(peer)).await?;
    Ok(json!({ "requestId": id }))
}

/// Answers now where the end is known, else when it is; the session goes on meanwhile.
pub(in crate::core) async fn wait(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    call: &str,
    params: Option<&RawValue>,
) -> Result<Answer, CallError> {
    let ([id], ()) = read("device.scopes.waitUpgrade", params, ["requestId"], &[], |_, _| ())?;
    let device = peer.arrival.device.ok_or(CallError::UpgradeWithoutDevice)?;
    let id: RequestId = id.parse().map_err(|_| CallError::UpgradeGone)?;
    let mut end = core.upgrades.watch(&id, &device, Instant::now()).map_err(|error| match error {
        Unwatchable::Gone => CallError::UpgradeGone,
        Unwatchable::Full => CallError::UpgradeUnavailable,
    })?;
    let known = *end.borrow_and_update();
    if let Some(known) = known {
        return told(core, peer, device, id, known).await.map(Answer::Now);
    }
    let (core, peer, call) = (Arc::clone(core), Arc::clone(peer), call.to_owned());
    let runtime = core.runtime.clone();
    runtime.spawn(async move {
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        // Without an end the core itself is gone, and every socket with it.
        let Some(ended) = ended.filter(|_| !peer.is_ending()) else { return };
        let answer = told(&core, &peer, device, id, ended).await;
        let text = match &answer {
            Ok(payload) => frame::accepted(&call, payload),
            Err(error) => frame::refused(&call, &error.error(peer.arrival.version)),
        };
        // Never: answers are plain maps, lists and text.
        if peer.outbound.answer(text.unwrap_or_default()).is_err() {
            peer.end(&Failure::SlowConsumer);
        }
    });
    Ok(Answer::Later)
}

async fn told(
    core: &Arc<Inner>,
    peer: &Arc<Peer>,
    device: DeviceId,
    id: RequestId,
    end: RequestEnd,
) -> Result<Value, CallError> {
    let status = match end {
        RequestEnd::Approved => {
            let fresh = Secret::random().map_err(|fault| {
                error!(%fault, "no random bytes");
                CallError::Internal
            })?;
            let scopes = pairings(core).deliver(device, peer.arrival.issuer, &fresh, &decider(peer)).await?;
            return Ok(
                json!({ "status": "approved", "requestId": id, "deviceToken": fresh.expose(), "scopes": scopes }),
            );
        }
        // As if its time were over: it may be asked for again.
        RequestEnd::Displaced | RequestEnd::Expired => "expired",
        RequestEnd::Rejected | RequestEnd::Superseded => "rejected",
    };
    Ok(json!({ "status": status, "requestId": id }))
}

fn scopes(params: &Object<'_>, faults: &mut Faults) -> Scopes {
    let path = params.path("scopes");
    if params.required("scopes", faults).is_none() {
        return Scopes::NONE;
    }
    let texts = params.texts("scopes", UPGRADE_SCOPES_MAX, SCOPE_CHARS_MAX, faults).unwrap_or_default();
    if texts.is_empty() && faults.is_empty() {
        faults.add(&path, "must not have fewer than 1 items");
    }
    let scopes: Result<Scopes, _> = texts.iter().map(|text| Scope::parse(text)).collect();
    let scopes = scopes.unwrap_or_else(|_| {
        faults.add(&path, "must be scopes");
        Scopes::NONE
    });
    if faults.is_empty() && scopes.iter().count() != texts.len() {
        faults.add(&path, "must not have duplicate items");
    }
    scopes
}
