//! Letting in: by an earlier approval, or because the owner is at this machine.

use std::collections::BTreeMap;

use crate::base::clock::UnixMillis;
use crate::base::limits::SEEN_PERIOD_MS;
use crate::base::secret::Secret;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::device::ProvenDevice;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Grant;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Step;
use crate::pairing::step::wait::replace;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// A known device within its grant: it gets that grant, whatever it asked for.
pub(super) fn admit(
    paired: &PairedDevice,
    grant: &Grant,
    method: AuthMethod,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let (role, id) = (attempt.connect.role, paired.id());
    let mut changes = Vec::new();
    let mut token = None;
    if grant.token.is_none() {
        let mut device = paired.clone();
        token = Some(issue(&mut device, role, attempt, now));
        changes.push(Change::PutDevice(Box::new(device)));
    } else if is_stale(paired, grant, method, now) {
        changes.push(Change::Seen { device: id, role, at: now });
    }
    let scopes = grant.scopes.clone();
    let admitted = Admitted { device: Some(id), role, scopes, method, token, approved_via: None };
    Step { changes, notices: Vec::new(), outcome: Ok(admitted) }
}

fn is_stale(paired: &PairedDevice, grant: &Grant, method: AuthMethod, now: UnixMillis) -> bool {
    let old = |seen: Option<UnixMillis>| seen.is_none_or(|seen| now.since(seen).abs() >= SEEN_PERIOD_MS);
    let used = grant.token.and_then(|token| token.last_used_at);
    old(paired.last_seen_at) || (method == AuthMethod::DeviceToken && old(used))
}

/// Hands out the attempt's fresh token as that of `role`.
fn issue(device: &mut PairedDevice, role: Role, attempt: &Attempt<'_>, now: UnixMillis) -> Secret<String> {
    let token = attempt.fresh.token.clone();
    if let Some(grant) = device.grants.get_mut(&role) {
        grant.token = Some(DeviceToken {
            fingerprint: token.fingerprint(),
            created_at: now,
            rotated_at: None,
            last_used_at: None,
        });
    }
    device.last_seen_at = Some(now);
    token
}

/// Local, with the gateway's secret, an operator: the owner. But a device from which something was taken back, or
/// that is a node too, waits for a person's word.
pub(super) fn is_silent(attempt: &Attempt<'_>, paired: Option<&PairedDevice>, method: AuthMethod) -> bool {
    let secret = matches!(method, AuthMethod::Token | AuthMethod::Password);
    let plain = |paired: &PairedDevice| {
        !paired.grants.contains_key(&Role::Node) && paired.grants.values().all(|grant| grant.revoked_at.is_none())
    };
    attempt.origin.local && secret && attempt.connect.role == Role::Operator && paired.is_none_or(plain)
}

pub(super) fn approve_silently(
    known: &Known,
    proven: &ProvenDevice,
    paired: Option<&PairedDevice>,
    method: AuthMethod,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let (role, asked) = (attempt.connect.role, attempt.connect.scopes.set());
    let profile = Profile::of(&attempt.connect.client);
    let mut device = granted(proven.key(), paired, profile, role, &asked, ApprovedVia::Silent, now);
    let scopes = device.living_grant(role).map(|grant| grant.scopes.clone()).unwrap_or_default();
    let unissued = device.living_grant(role).is_some_and(|grant| grant.token.is_none());
    let token = unissued.then(|| issue(&mut device, role, attempt, now));
    let mut step = Step::unchanged(Ok(Admitted {
        device: Some(proven.id()),
        role,
        scopes,
        method,
        token,
        approved_via: Some(ApprovedVia::Silent),
    }));
    for request in known.requests.iter().filter(|request| request.role == role) {
        replace(&mut step, request, now);
    }
    step.changes.push(Change::PutDevice(Box::new(device)));
    step.notices.push(Notice::Changed(proven.id()));
    step
}

/// `paired`, or a new device, with `scopes` in `role` added to what was approved and not taken back.
pub(super) fn granted(
    key: DevicePublicKey,
    paired: Option<&PairedDevice>,
    profile: Profile,
    role: Role,
    scopes: &Scopes,
    via: ApprovedVia,
    now: UnixMillis,
) -> PairedDevice {
    let mut device = paired.cloned().unwrap_or_else(|| PairedDevice {
        key,
        profile,
        label: None,
        grants: BTreeMap::new(),
        approved_via: via,
        created_at: now,
        approved_at: now,
        last_seen_at: None,
    });
    let living = device.living_grant(role).cloned();
    let grant = match living {
        Some(grant) => Grant { scopes: grant.scopes.union(scopes), ..grant },
        // A token that was revoked stays so: the new grant starts without one.
        None => Grant { scopes: scopes.clone(), token: None, created_at: now, revoked_at: None },
    };
    device.grants.insert(role, grant);
    device.approved_via = via;
    device.approved_at = now;
    device
}
