//! Letting a device in by a setup code: what a person chose when the code was made, all of it and no more.

use crate::base::clock::UnixMillis;
use crate::pairing::device::ProvenDevice;
use crate::pairing::invite::Redeemed;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::setup::SetupProfile;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Step;
use crate::pairing::step::admit::granted;
use crate::pairing::step::admit::issue;
use crate::pairing::step::wait::replace;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// A new device: paired in every role of the code, and given a token for each.
pub(super) fn redeem(
    known: &Known,
    proven: &ProvenDevice,
    profile: &SetupProfile,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let about = Profile::of(&attempt.connect.client);
    let mut device: Option<PairedDevice> = None;
    for role in &profile.roles {
        let scopes = profile.scopes_as(*role).unwrap_or_default();
        let so_far = device.as_ref();
        device = Some(granted(proven.key(), so_far, about.clone(), *role, &scopes, ApprovedVia::Bootstrap, now));
    }
    // Never: a role that the code gives was found before.
    let Some(device) = device else { return Step::unchanged(Err(Failure::Internal)) };
    let mut step = hand_over(device, None, attempt, now);
    for request in &known.requests {
        replace(&mut step.changes, &mut step.notices, request, known.life, now);
    }
    step
}

/// The same device again, with what it redeemed: our answer may not have reached it, so it gets other tokens.
pub(super) fn repeat(
    paired: &PairedDevice,
    redeemed: Redeemed,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    hand_over(paired.clone(), Some(redeemed), attempt, now)
}

/// Whether `paired` still has, in `role`, the token that `redeemed` gave it, or another in place of that which it did not
/// hear of. Else the token was taken back, or is on another's word, and what was redeemed once must not undo that.
pub(super) fn stands(paired: &PairedDevice, role: Role, redeemed: Redeemed) -> bool {
    let token = paired.living_grant(role).and_then(|grant| grant.token);
    redeemed.device == paired.id()
        && token.is_some_and(|token| {
            token.issuer == Issuer::Setup && token.created_at == redeemed.at && token.rotated_at.is_none()
        })
}

/// A token for each of the device's living roles; where it had them before, only in place of those that stand. They keep the
/// time of what they take the place of, by which they are known.
pub(super) fn hand_over(
    mut device: PairedDevice,
    before: Option<Redeemed>,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let (role, id, issuer) = (attempt.connect.role, device.id(), Issuer::Setup);
    let given_at = before.map_or(now, |redeemed| redeemed.at);
    let approved_via = before.is_none().then_some(ApprovedVia::Bootstrap);
    let scopes_as = |device: &PairedDevice, role| -> Scopes {
        device.living_grant(role).map(|grant| grant.scopes.clone()).unwrap_or_default()
    };
    let due = |device: &PairedDevice, role| before.is_none_or(|redeemed| stands(device, role, redeemed));
    let token = issue(&mut device, role, issuer, &attempt.fresh.token, given_at);
    let mut other_tokens = Vec::new();
    // There are two roles, so there is one other at most.
    if let Some(other) = device.living_roles().into_iter().find(|other| *other != role && due(&device, *other)) {
        let token = issue(&mut device, other, issuer, &attempt.fresh.other_token, given_at);
        other_tokens.push((other, scopes_as(&device, other), token));
    }
    device.last_seen_at = Some(now);
    let admitted = Admitted {
        device: Some(id),
        role,
        scopes: scopes_as(&device, role),
        method: AuthMethod::BootstrapToken,
        token: Some(token),
        other_tokens,
        issuer,
        approved_via,
    };
    Step {
        changes: vec![Change::PutDevice(Box::new(device))],
        notices: vec![Notice::Changed(id)],
        outcome: Ok(admitted),
    }
}
