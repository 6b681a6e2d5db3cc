//! A connected device asks a person for more than it was approved for, without going away.

use crate::base::clock::UnixMillis;
use crate::identity::claims::OriginClaim;
use crate::pairing::device::DeviceId;
use crate::pairing::request::RequestId;
use crate::pairing::step::Known;
use crate::pairing::step::Step;
use crate::pairing::step::wait::Wish;
use crate::pairing::step::wait::wait;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// What a session asks for.
#[derive(Clone, Debug)]
pub struct Upgrade<'a> {
    /// Its device.
    pub device: DeviceId,
    /// What it holds.
    pub holds: &'a Scopes,
    /// What it wants to hold.
    pub asked: &'a Scopes,
    /// Where it calls from.
    pub origin: &'a OriginClaim,
    /// The id of a new request, should there be one.
    pub fresh: RequestId,
}

/// Puts the wish where a person sees it, under the rules of every pending request.
pub fn request_upgrade(known: &Known, upgrade: Upgrade<'_>, now: UnixMillis) -> Step<Result<RequestId, CallError>> {
    let refused = |error| Step::unchanged(Err(error));
    let paired = known.device.as_ref().filter(|paired| paired.id() == upgrade.device);
    let Some(paired) = paired.filter(|paired| paired.living_grant(Role::Operator).is_some()) else {
        return refused(CallError::UpgradeWithoutDevice);
    };
    if !upgrade.asked.iter().all(|scope| scope.as_str().starts_with("operator.")) {
        return refused(CallError::UpgradeScopeUnknown);
    }
    if !upgrade.asked.covers_all(upgrade.holds) {
        return refused(CallError::UpgradeNarrows);
    }
    let wish = Wish {
        role: Role::Operator,
        asked: upgrade.asked,
        profile: paired.profile.clone(),
        origin: upgrade.origin,
        id: upgrade.fresh,
    };
    let Step { changes, notices, outcome } = wait(known, paired.key, Some(paired), wish, now);
    // One that stands for a while may be about less: its end would not be an answer to this.
    let outcome = outcome.ok().filter(|request| request.scopes.covers_all(upgrade.asked));
    let outcome = outcome.map(|request| request.id).ok_or(CallError::UpgradeUnavailable);
    Step { changes, notices, outcome }
}
