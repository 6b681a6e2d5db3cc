//! Letting in: by an earlier approval, or because the owner is at this machine.

use std::collections::BTreeMap;

use crate::base::clock::UnixMillis;
use crate::base::limits::SEEN_PERIOD_MS;
use crate::base::secret::Secret;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::device::ProvenDevice;
use crate::pairing::metadata::Pin;
use crate::pairing::metadata::pin;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Grant;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Page;
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
    let issuer = issuer(method, grant, attempt);
    let moved = match pin(&paired.profile, &attempt.connect.client) {
        Pin::Moved(platform) => Some(platform),
        Pin::Broken | Pin::Holds => None,
    };
    // A token of an earlier gateway secret is none: whoever knows the secret of now gets one in its place.
    let living = grant.token.filter(|token| token.issuer.holds(attempt.generation));
    if living.is_none() || moved.is_some() {
        let mut device = paired.clone();
        if let Some(platform) = moved {
            device.profile.platform = platform;
        }
        token = living.is_none().then(|| issue(&mut device, role, issuer, &attempt.fresh.token, now));
        changes.push(Change::PutDevice(Box::new(device)));
    } else if is_stale(paired, grant, method, now) {
        changes.push(Change::Seen { device: id, role, at: now });
    }
    let scopes = grant.scopes.clone();
    let other_tokens = Vec::new();
    let admitted = Admitted { device: Some(id), role, scopes, method, token, other_tokens, issuer, approved_via: None };
    Step { changes, notices: Vec::new(), outcome: Ok(admitted) }
}

fn is_stale(paired: &PairedDevice, grant: &Grant, method: AuthMethod, now: UnixMillis) -> bool {
    let old = |seen: Option<UnixMillis>| seen.is_none_or(|seen| now.since(seen).abs() >= SEEN_PERIOD_MS);
    let used = grant.token.and_then(|token| token.last_used_at);
    old(paired.last_seen_at) || (method == AuthMethod::DeviceToken && old(used))
}

/// On whose word a session stands that came in by `method`.
pub(super) fn issuer(method: AuthMethod, grant: &Grant, attempt: &Attempt<'_>) -> Issuer {
    match (method, grant.token) {
        (AuthMethod::BootstrapToken, _) => Issuer::Setup,
        (AuthMethod::DeviceToken, Some(token)) => token.issuer,
        (AuthMethod::TrustedProxy, _) => Issuer::Identity,
        _ => Issuer::Gateway(attempt.generation),
    }
}

/// Hands out `token` as that of `role`.
pub(super) fn issue(
    device: &mut PairedDevice,
    role: Role,
    issuer: Issuer,
    token: &Secret<String>,
    now: UnixMillis,
) -> Secret<String> {
    if let Some(grant) = device.grants.get_mut(&role) {
        grant.token = Some(DeviceToken {
            fingerprint: token.fingerprint(),
            issuer,
            created_at: now,
            rotated_at: None,
            last_used_at: None,
        });
    }
    device.last_seen_at = Some(now);
    token.clone()
}

/// Local, with the gateway's secret, an operator: the owner. But a device from which something was taken back, or
/// that is a node too, waits for a person's word.
pub(super) fn is_silent(attempt: &Attempt<'_>, paired: Option<&PairedDevice>, method: AuthMethod) -> bool {
    let secret = matches!(method, AuthMethod::Token | AuthMethod::Password);
    let plain = |paired: &PairedDevice| {
        !paired.grants.contains_key(&Role::Node) && paired.grants.values().all(|grant| grant.revoked_at.is_none())
    };
    // What says that it is another machine now is looked at by a person, unless it is an app of this machine's own system
    // that no page can speak through.
    let app = attempt.page == Page::Absent && attempt.connect.client.is_native_app();
    let same = |paired: &PairedDevice| app || pin(&paired.profile, &attempt.connect.client) != Pin::Broken;
    let known = paired.is_none_or(|paired| plain(paired) && same(paired));
    attempt.origin.local && secret && attempt.connect.role == Role::Operator && known
}

/// Approves exactly what was asked for, at this moment, and lets it in. What the device asked for before is settled by it.
pub(super) fn approve_at_once(
    known: &Known,
    proven: &ProvenDevice,
    paired: Option<&PairedDevice>,
    method: AuthMethod,
    via: ApprovedVia,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let (role, asked) = (attempt.connect.role, attempt.connect.scopes.set());
    let profile = Profile::of(&attempt.connect.client);
    let mut device = granted(proven.key(), paired, profile, role, &asked, via.clone(), now);
    let scopes = device.living_grant(role).map(|grant| grant.scopes.clone()).unwrap_or_default();
    let issuer = match method {
        AuthMethod::TrustedProxy => Issuer::Identity,
        _ => Issuer::Gateway(attempt.generation),
    };
    let held = device.living_grant(role).and_then(|grant| grant.token);
    let unissued = held.is_none_or(|token| !token.issuer.holds(attempt.generation));
    let token = unissued.then(|| issue(&mut device, role, issuer, &attempt.fresh.token, now));
    let mut step = Step::unchanged(Ok(Admitted {
        device: Some(proven.id()),
        role,
        scopes,
        method,
        token,
        other_tokens: Vec::new(),
        issuer,
        approved_via: Some(via),
    }));
    for request in known.requests.iter().filter(|request| request.role == role) {
        replace(&mut step.changes, &mut step.notices, request, known.life, now);
    }
    step.changes.push(Change::PutDevice(Box::new(device)));
    step.notices.push(Notice::Changed(proven.id()));
    step
}

/// `paired`, or a new device, with `scopes` in `role` added to what was approved and not taken back. What it says about
/// itself is what was looked at now.
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
        profile: profile.clone(),
        label: None,
        grants: BTreeMap::new(),
        approved_via: via.clone(),
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
    device.profile = profile;
    device.approved_via = via;
    device.approved_at = now;
    device
}
