//! Device tokens, replaced and taken back.

use crate::base::clock::UnixMillis;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Grant;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Step;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// A device token that was replaced.
#[derive(Clone, Debug)]
pub struct Rotated {
    /// When, as it is stored.
    pub at: UnixMillis,
    /// What is left of the grant.
    pub scopes: Scopes,
    /// The new token, for the device itself only; another caller leaves the device to fetch it with the gateway's
    /// secret when it connects next.
    pub token: Option<Secret<String>>,
}

/// Replaces the token of `device` in `role`, at once and for good; `scopes`, if given, narrow the grant.
pub fn rotate(
    known: &Known,
    device: DeviceId,
    role: Role,
    scopes: Option<&Scopes>,
    by: &Approver,
    fresh: Secret<String>,
    now: UnixMillis,
) -> Step<Result<Rotated, CallError>> {
    let denied = || Step::unchanged(Err(CallError::TokenRotationDenied));
    let paired = match visible(known, device, by) {
        Ok(Some(paired)) => paired,
        Ok(None) => return denied(),
        Err(error) => return Step::unchanged(Err(error)),
    };
    let Some(grant) = paired.living_grant(role) else { return denied() };
    let scopes = scopes.unwrap_or(&grant.scopes);
    if !grant.scopes.covers_all(scopes) {
        return denied();
    }
    if let Err(error) = by.may_grant(role, scopes) {
        return Step::unchanged(Err(error));
    }
    let own = matches!(by, Approver::Session { device: Some(own), .. } if *own == device);
    let token = own.then_some(fresh);
    let kept = grant.token.zip(token.as_ref()).map(|(old, token)| DeviceToken {
        fingerprint: token.fingerprint(),
        rotated_at: Some(now),
        last_used_at: None,
        ..old
    });
    // A device that holds none cannot be given one in place of it.
    let token = token.filter(|_| kept.is_some());
    let grant = Grant { scopes: scopes.clone(), token: kept, ..grant.clone() };
    let rotated = Rotated { at: now, scopes: scopes.clone(), token };
    put(paired, role, grant, rotated)
}

/// Hands `device` a fresh token for what it was granted as an operator meanwhile, in place of the one it has.
pub fn deliver(
    known: &Known,
    device: DeviceId,
    issuer: Issuer,
    fresh: &Secret<String>,
    now: UnixMillis,
) -> Step<Result<Scopes, CallError>> {
    let paired = known.device.as_ref().filter(|paired| paired.id() == device);
    let granted = paired.and_then(|paired| Some((paired, paired.living_grant(Role::Operator)?)));
    let Some((paired, grant)) = granted else { return Step::unchanged(Err(CallError::SessionEnded)) };
    let token = DeviceToken {
        fingerprint: fresh.fingerprint(),
        issuer,
        created_at: grant.token.map_or(now, |token| token.created_at),
        rotated_at: grant.token.map(|_| now),
        last_used_at: None,
    };
    let (scopes, mut given) = (grant.scopes.clone(), paired.clone());
    given.grants.insert(Role::Operator, Grant { token: Some(token), ..grant.clone() });
    Step {
        changes: vec![Change::PutDevice(Box::new(given))],
        notices: vec![Notice::Changed(device)],
        outcome: Ok(scopes),
    }
}

/// Accepts of `device` as a node only `token` from now on, which the gateway behind us gave it; none if it gave none.
pub fn adopt(
    known: &Known,
    device: DeviceId,
    issuer: Issuer,
    token: Option<Fingerprint>,
    now: UnixMillis,
) -> Step<Result<(), CallError>> {
    let paired = known.device.as_ref().filter(|paired| paired.id() == device);
    let granted = paired.and_then(|paired| Some((paired, paired.living_grant(Role::Node)?)));
    let Some((paired, grant)) = granted else { return Step::unchanged(Err(CallError::SessionEnded)) };
    let same = |held: &DeviceToken| held.issuer == issuer && Some(held.fingerprint) == token;
    if grant.token.as_ref().map_or(token.is_none(), same) {
        return Step::unchanged(Ok(()));
    }
    let token = token.map(|fingerprint| DeviceToken {
        fingerprint,
        issuer,
        created_at: grant.token.map_or(now, |token| token.created_at),
        rotated_at: grant.token.map(|_| now),
        last_used_at: None,
    });
    let mut given = paired.clone();
    given.grants.insert(Role::Node, Grant { token, ..grant.clone() });
    Step { changes: vec![Change::PutDevice(Box::new(given))], notices: vec![Notice::Changed(device)], outcome: Ok(()) }
}

/// Takes the grant of `device` in `role` back; the device must be approved anew.
pub fn revoke(
    known: &Known,
    device: DeviceId,
    role: Role,
    by: &Approver,
    now: UnixMillis,
) -> Step<Result<UnixMillis, CallError>> {
    let denied = || Step::unchanged(Err(CallError::TokenRevocationDenied));
    let paired = match visible(known, device, by) {
        Ok(Some(paired)) => paired,
        Ok(None) => return denied(),
        Err(error) => return Step::unchanged(Err(error)),
    };
    // A device that manages only itself is an operator that does; what it is as a node, others take back.
    let Some(grant) = paired.living_grant(role).filter(|_| role == Role::Operator || by.is_admin()) else {
        return denied();
    };
    let grant = Grant { token: None, revoked_at: Some(now), ..grant.clone() };
    put(paired, role, grant, now)
}

/// The device, if it is paired and `by` may decide about it.
fn visible<'k>(known: &'k Known, device: DeviceId, by: &Approver) -> Result<Option<&'k PairedDevice>, CallError> {
    by.needs_pairing()?;
    Ok(known.device.as_ref().filter(|paired| paired.id() == device && by.sees(&device)))
}

fn put<T>(paired: &PairedDevice, role: Role, grant: Grant, outcome: T) -> Step<Result<T, CallError>> {
    let (mut device, id) = (paired.clone(), paired.id());
    device.grants.insert(role, grant);
    Step {
        changes: vec![Change::PutDevice(Box::new(device))],
        notices: vec![Notice::Close { device: id, role: Some(role) }, Notice::Changed(id)],
        outcome: Ok(outcome),
    }
}
