//! The question of pairing: a device that proved its key and showed what it must is new, or asks for more than it has. The
//! first rule that matches decides; where none does, the owner at this machine is let in, and everybody else waits.

use crate::base::clock::UnixMillis;
use crate::pairing::device::ProvenDevice;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::PairedDevice;
use crate::pairing::rule::Credential;
use crate::pairing::rule::Effect;
use crate::pairing::rule::Rule;
use crate::pairing::rule::Then;
use crate::pairing::setup::Offer;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Known;
use crate::pairing::step::Past;
use crate::pairing::step::Room;
use crate::pairing::step::Step;
use crate::pairing::step::admit::approve_at_once;
use crate::pairing::step::admit::is_silent;
use crate::pairing::step::connect::ask_a_person;
use crate::pairing::step::redeem::redeem;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;

/// What becomes of the question, and what the rules came to.
pub(super) fn pair(
    known: &Known,
    device: &ProvenDevice,
    paired: Option<&PairedDevice>,
    method: AuthMethod,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> (Step<Result<Admitted, Failure>>, Option<Effect>) {
    let rule = attempt.rule;
    let effect = rule.map_or(Effect::Unruled, |rule| effect(rule, known, method, attempt));
    // Under an id with which another key stands, nobody but a person may put this one.
    let stands_alone = paired.is_some() || known.device.is_none();
    let step = match (effect, rule) {
        (Effect::Refused, _) => Step::unchanged(Err(Failure::PairingRefused)),
        // Whoever made a setup code is a person who said yes.
        _ if let (Offer::Good { profile, redeemed: None }, AuthMethod::BootstrapToken, None) =
            (&attempt.offer, method, paired) =>
        {
            return (redeem(known, device, profile, attempt, now), None);
        }
        (Effect::Approved, Some(rule)) => {
            let via = ApprovedVia::Rule(rule.name().clone());
            approve_at_once(known, device, None, method, via, attempt, now)
        }
        (Effect::Unruled, _) if is_silent(attempt, paired, method) && stands_alone => {
            approve_at_once(known, device, paired, method, ApprovedVia::Silent, attempt, now)
        }
        _ => ask_a_person(known, device, paired, attempt, now),
    };
    (step, Some(effect))
}

/// What the first rule that matches says of this device.
fn effect(rule: &Rule, known: &Known, method: AuthMethod, attempt: &Attempt<'_>) -> Effect {
    let credential = match method {
        AuthMethod::Password | AuthMethod::Token => Some(Credential::Secret),
        AuthMethod::TrustedProxy => Some(Credential::Identity),
        // One's own token and a setup code are words about one device; a rule speaks of those that nobody knows.
        AuthMethod::BootstrapToken | AuthMethod::DeviceToken => None,
    };
    match rule.then() {
        Then::Refuse => Effect::Refused,
        Then::Ask => Effect::Asked,
        // Also one under whose id another key stands.
        Then::Approve(_) if known.device.is_some() => Effect::Known,
        Then::Approve(_) if known.past == Past::Removed => Effect::Removed,
        Then::Approve(_) if known.past == Past::Rejected => Effect::Rejected,
        Then::Approve(_) if !rule.allows(attempt.connect.role, &attempt.connect.scopes.set()) => Effect::BeyondCap,
        Then::Approve(_) if !credential.is_some_and(|credential| rule.takes(credential)) => Effect::SecretMissing,
        Then::Approve(_) if known.room == Room::Full => Effect::Full,
        Then::Approve(_) => Effect::Approved,
    }
}

/// Whether a rule pairs nobody of whom this is one; that stands above an invite.
pub(super) fn refuses(attempt: &Attempt<'_>) -> bool {
    attempt.rule.is_some_and(|rule| matches!(rule.then(), Then::Refuse))
}

/// Whether a verified identity stands in for the gateway's secret: the first rule that matches says so, and the device holds
/// no more than that rule could give it. No question where there is none, or where the device came with something that is
/// judged in its own right.
///
/// # Errors
/// What the rules came to, where it does not.
pub(super) fn vouches(attempt: &Attempt<'_>, paired: Option<&PairedDevice>) -> Option<Result<(), Effect>> {
    if attempt.identity.is_none() || !attempt.connect.auth.is_empty() {
        return None;
    }
    let Some(rule) = attempt.rule else { return Some(Err(Effect::Unruled)) };
    let role = attempt.connect.role;
    let held = paired.and_then(|paired| paired.living_grant(role));
    let takes = rule.takes(Credential::Identity) && held.is_none_or(|grant| rule.allows(role, &grant.scopes));
    Some(if takes { Ok(()) } else { Err(Effect::SecretMissing) })
}
