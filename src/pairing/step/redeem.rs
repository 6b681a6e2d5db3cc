//! Letting a device in by a setup code: what a person chose when the code was made, all of it and no more.

use crate::base::clock::UnixMillis;
use crate::pairing::device::ProvenDevice;
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
    let mut step = hand_over(device, Some(ApprovedVia::Bootstrap), attempt, now);
    for request in &known.requests {
        replace(&mut step.changes, &mut step.notices, request, now);
    }
    step
}

/// The same device again, with its own code: our answer may not have reached it, so it gets other tokens.
pub(super) fn repeat(paired: &PairedDevice, attempt: &Attempt<'_>, now: UnixMillis) -> Step<Result<Admitted, Failure>> {
    hand_over(paired.clone(), None, attempt, now)
}

/// A token for each of the device's living roles.
pub(super) fn hand_over(
    mut device: PairedDevice,
    approved_via: Option<ApprovedVia>,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let (role, id, issuer) = (attempt.connect.role, device.id(), Issuer::Setup);
    let scopes_as = |device: &PairedDevice, role| -> Scopes {
        device.living_grant(role).map(|grant| grant.scopes.clone()).unwrap_or_default()
    };
    let token = issue(&mut device, role, issuer, &attempt.fresh.token, now);
    let mut other_tokens = Vec::new();
    // There are two roles, so there is one other at most.
    if let Some(other) = device.living_roles().into_iter().find(|other| *other != role) {
        let token = issue(&mut device, other, issuer, &attempt.fresh.other_token, now);
        other_tokens.push((other, scopes_as(&device, other), token));
    }
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
