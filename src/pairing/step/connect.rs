//! The outcome table: origin, credential, device key and what is known of it decide what a `connect` gets.

use crate::base::clock::UnixMillis;
use crate::base::limits::PENDING_MAX;
use crate::base::limits::PENDING_PER_CLIENT_MAX;
use crate::base::limits::PENDING_RESERVE;
use crate::base::limits::SEEN_PERIOD_MS;
use crate::identity::claims::Class;
use crate::pairing::credential::Shared;
use crate::pairing::device::Proof;
use crate::pairing::device::ProvenDevice;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Grant;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::Connected;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Page;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::Step;
use crate::pairing::step::Verdict;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::Seat;
use crate::protocol::event::Decision;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::DeviceTokenHope;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::refusal::PairingRequired;
use crate::protocol::refusal::PendingLimit;
use crate::protocol::refusal::Retry;
use crate::protocol::refusal::UiFamily;
use crate::protocol::refusal::Unauthorized;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// How long a refresh of a pending request may stay unwritten: a client in a loop shall not wear out the disk.
const REFRESH_MS: i64 = 1_000;

/// Decides about one `connect`.
pub fn connect(known: &Known, attempt: Attempt<'_>, now: UnixMillis) -> Step<Connected> {
    let device = match attempt.proof {
        Proof::Absent => return without_device(&attempt),
        Proof::Refused(fault) => return refused(Failure::Proof(fault), verdict_of(attempt.shared)),
        Proof::Proven(device) => device,
    };
    // A row under this id with another key cannot be this device, whatever it was granted.
    let paired = known.device.as_ref().filter(|paired| paired.key == device.key());
    let (method, verdict) = match authenticate(&attempt, paired) {
        Ok(method) => (method, Verdict::Right),
        Err((failure, verdict)) => return refused(failure, verdict),
    };
    let (role, asked) = (attempt.connect.role, attempt.connect.scopes.set());
    let grant = paired.and_then(|paired| Some((paired, paired.living_grant(role)?)));
    match grant {
        Some((paired, grant)) if grant.scopes.covers_all(&asked) => admit(paired, grant, method, attempt, now),
        _ if is_silent(&attempt, paired, method) => approve_silently(known, &device, paired, attempt, asked, now),
        _ => wait(known, &device, paired, &attempt, &asked, now),
    }
    .judged(verdict)
}

impl Step<Result<Admitted, Failure>> {
    fn judged(self, verdict: Verdict) -> Step<Connected> {
        let Self { changes, notices, outcome } = self;
        Step { changes, notices, outcome: Connected { outcome, verdict } }
    }
}

fn refused(failure: Failure, verdict: Verdict) -> Step<Connected> {
    Step::unchanged(Err(failure)).judged(verdict)
}

fn verdict_of(shared: Shared) -> Verdict {
    match shared {
        Shared::Right(_) => Verdict::Right,
        Shared::Wrong => Verdict::Wrong,
        Shared::Locked { .. } | Shared::Missing | Shared::NotConfigured => Verdict::Unjudged,
    }
}

fn seat(attempt: &Attempt<'_>) -> Seat {
    if attempt.origin.local { Seat::Here } else { Seat::There }
}

fn unauthorized(attempt: &Attempt<'_>, reason: Unauthorized) -> Failure {
    Failure::Unauthorized { reason, audience: attempt.connect.client.audience(seat(attempt)) }
}

/// Without a device only the owner's own command line gets in, and only to see what waits.
fn without_device(attempt: &Attempt<'_>) -> Step<Connected> {
    let client = &attempt.connect.client;
    if client.is_ui_family() {
        return refused(Failure::DeviceRequired { ui: UiFamily::Member }, verdict_of(attempt.shared));
    }
    let required = Failure::DeviceRequired { ui: UiFamily::Stranger };
    let spent = DeviceTokenHope::Spent;
    match attempt.shared {
        Shared::Right(method) => {
            let command_line = client.is_cli() && attempt.connect.role == Role::Operator;
            if !(command_line && attempt.origin.local && attempt.page == Page::Absent) {
                return refused(required, Verdict::Right);
            }
            let most = Scopes::from_iter([Scope::READ, Scope::PAIRING]);
            Step::unchanged(Ok(Admitted {
                device: None,
                role: Role::Operator,
                scopes: attempt.connect.scopes.set().intersection(&most),
                method,
                token: None,
                approved_via: None,
            }))
            .judged(Verdict::Right)
        }
        Shared::Wrong => {
            refused(unauthorized(attempt, Unauthorized::TokenMismatch { device_token: spent }), Verdict::Wrong)
        }
        Shared::Locked { retry_after_ms } => {
            refused(unauthorized(attempt, Unauthorized::RateLimited { retry_after_ms }), Verdict::Unjudged)
        }
        Shared::NotConfigured => refused(unauthorized(attempt, Unauthorized::TokenNotConfigured), Verdict::Unjudged),
        // Elsewhere no credential helps without a device, so that is what the caller is told to bring.
        Shared::Missing if attempt.origin.local => {
            refused(unauthorized(attempt, Unauthorized::TokenMissing), Verdict::Unjudged)
        }
        Shared::Missing => refused(required, Verdict::Unjudged),
    }
}

/// The shared secret first, then this device's own token, under either of its names.
fn authenticate(attempt: &Attempt<'_>, paired: Option<&PairedDevice>) -> Result<AuthMethod, (Failure, Verdict)> {
    if let Shared::Right(method) = attempt.shared {
        return Ok(method);
    }
    let auth = &attempt.connect.auth;
    let explicit = auth.device_token.as_ref();
    let token = paired.and_then(|paired| paired.living_grant(attempt.connect.role)?.token);
    let candidate = explicit.or(auth.token.as_ref());
    if let (Some(token), Some(candidate)) = (token, candidate)
        && token.fingerprint.is(candidate.expose())
    {
        return Ok(AuthMethod::DeviceToken);
    }
    let hope = if explicit.is_some() { DeviceTokenHope::Spent } else { DeviceTokenHope::Possible };
    let (reason, verdict) = match attempt.shared {
        Shared::Locked { retry_after_ms } => (Unauthorized::RateLimited { retry_after_ms }, Verdict::Unjudged),
        _ if explicit.is_some() => (Unauthorized::DeviceTokenMismatch, Verdict::Wrong),
        Shared::NotConfigured => (Unauthorized::TokenNotConfigured, Verdict::Wrong),
        Shared::Missing if auth.bootstrap_token.is_some() => (Unauthorized::BootstrapTokenInvalid, Verdict::Wrong),
        Shared::Missing | Shared::Right(_) => (Unauthorized::TokenMissing, Verdict::Unjudged),
        Shared::Wrong => (Unauthorized::TokenMismatch { device_token: hope }, Verdict::Wrong),
    };
    Err((unauthorized(attempt, reason), verdict))
}

/// A known device within its grant: it gets that grant, whatever it asked for.
fn admit(
    paired: &PairedDevice,
    grant: &Grant,
    method: AuthMethod,
    attempt: Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let (role, id) = (attempt.connect.role, paired.id());
    let mut changes = Vec::new();
    let mut token = None;
    if grant.token.is_none() {
        let mut device = paired.clone();
        token = Some(issue(&mut device, role, &attempt, now));
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
fn issue(
    device: &mut PairedDevice,
    role: Role,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> crate::base::secret::Secret<String> {
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
fn is_silent(attempt: &Attempt<'_>, paired: Option<&PairedDevice>, method: AuthMethod) -> bool {
    let secret = matches!(method, AuthMethod::Token | AuthMethod::Password);
    let plain = |paired: &PairedDevice| {
        !paired.grants.contains_key(&Role::Node) && paired.grants.values().all(|grant| grant.revoked_at.is_none())
    };
    attempt.origin.local && secret && attempt.connect.role == Role::Operator && paired.is_none_or(plain)
}

fn approve_silently(
    known: &Known,
    proven: &ProvenDevice,
    paired: Option<&PairedDevice>,
    attempt: Attempt<'_>,
    asked: Scopes,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let role = attempt.connect.role;
    let profile = Profile::of(&attempt.connect.client);
    let mut device = granted(proven, paired, profile, role, &asked, ApprovedVia::Silent, now);
    let scopes = device.living_grant(role).map(|grant| grant.scopes.clone()).unwrap_or_default();
    let unissued = device.living_grant(role).is_some_and(|grant| grant.token.is_none());
    let token = unissued.then(|| issue(&mut device, role, &attempt, now));
    let mut step = Step::unchanged(Ok(Admitted {
        device: Some(proven.id()),
        role,
        scopes,
        method: AuthMethod::Token,
        token,
        approved_via: Some(ApprovedVia::Silent),
    }));
    if let (Ok(admitted), Shared::Right(method)) = (&mut step.outcome, attempt.shared) {
        admitted.method = method;
    }
    for request in known.requests.iter().filter(|request| request.role == role) {
        supersede(&mut step, request);
    }
    step.changes.push(Change::PutDevice(Box::new(device)));
    step.notices.push(Notice::Changed(proven.id()));
    step
}

/// `paired`, or a new device, with `scopes` in `role` added to what was approved and not taken back.
pub(super) fn granted(
    proven: &impl Keyed,
    paired: Option<&PairedDevice>,
    profile: Profile,
    role: Role,
    scopes: &Scopes,
    via: ApprovedVia,
    now: UnixMillis,
) -> PairedDevice {
    let mut device = paired.cloned().unwrap_or_else(|| PairedDevice {
        key: proven.key(),
        profile,
        label: None,
        grants: std::collections::BTreeMap::new(),
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

/// What has a key that was proven, now or when its request was made.
pub(super) trait Keyed {
    /// The key.
    fn key(&self) -> crate::pairing::device::DevicePublicKey;
}

impl Keyed for ProvenDevice {
    fn key(&self) -> crate::pairing::device::DevicePublicKey {
        ProvenDevice::key(self)
    }
}

impl Keyed for PendingRequest {
    fn key(&self) -> crate::pairing::device::DevicePublicKey {
        self.key
    }
}

/// Not approved for this: the request waits, under one id as long as nothing in its digest changes.
fn wait(
    known: &Known,
    device: &ProvenDevice,
    paired: Option<&PairedDevice>,
    attempt: &Attempt<'_>,
    asked: &Scopes,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let role = attempt.connect.role;
    let own: Vec<&PendingRequest> = known.requests.iter().filter(|request| request.role == role).collect();
    let mut step = Step::unchanged(Err(Failure::Internal));
    let living = own.iter().copied().find(|request| !request.is_expired(now) && request.key == device.key());
    let mut request = PendingRequest {
        id: attempt.fresh.request,
        key: device.key(),
        profile: living.map_or_else(|| Profile::of(&attempt.connect.client), |living| living.profile.clone()),
        role,
        scopes: living.map_or_else(|| asked.clone(), |living| living.scopes.union(asked)),
        origin: attempt.origin.clone(),
        repair: if paired.is_some() { Repair::Yes } else { Repair::No },
        created_at: now,
        refreshed_at: now,
    };
    match living {
        // What it asks now is covered by what it asked before: the same request, seen again.
        Some(living) if living.scopes.covers_all(asked) && same_sight(living, &request) => {
            request = PendingRequest { origin: request.origin, refreshed_at: now, ..living.clone() };
            if now.since(living.refreshed_at).abs() >= REFRESH_MS {
                step.changes.push(Change::PutRequest(Box::new(request.clone())));
            }
        }
        _ => {
            if let Some(limit) = full(known, living, paired, attempt) {
                step.outcome = Err(Failure::PendingFull(limit));
                return step;
            }
            for old in own {
                supersede(&mut step, old);
            }
            step.changes.push(Change::PutRequest(Box::new(request.clone())));
            step.notices.push(Notice::Requested(Box::new(request.clone())));
        }
    }
    step.outcome = Err(Failure::PairingRequired(Box::new(answer(&request, paired, attempt))));
    step
}

/// Whether an operator would read the same about both, scopes apart.
fn same_sight(living: &PendingRequest, seen: &PendingRequest) -> bool {
    let seen = PendingRequest { scopes: living.scopes.clone(), ..seen.clone() };
    living.digest() == seen.digest()
}

fn supersede(step: &mut Step<Result<Admitted, Failure>>, old: &PendingRequest) {
    step.changes.push(Change::DropRequest { id: old.id, end: RequestEnd::Superseded });
    step.notices.push(Notice::Resolved { request: old.id, device: old.device(), decision: Decision::Rejected });
}

/// Whether no further request may wait. One that takes another's place needs no new one in all, but may be
/// the first from its address. Some places are kept for the owner's own networks and for known devices.
fn full(
    known: &Known,
    living: Option<&PendingRequest>,
    paired: Option<&PairedDevice>,
    attempt: &Attempt<'_>,
) -> Option<PendingLimit> {
    let near = matches!(attempt.origin.class, Class::Local | Class::Private | Class::Tailnet);
    let places = if near || paired.is_some() { PENDING_MAX } else { PENDING_MAX - PENDING_RESERVE };
    let client = crate::pairing::request::client_of(attempt.origin);
    let replaced_here = living.is_some_and(|living| living.client() == client);
    if living.is_none() && known.waiting.all >= places {
        Some(PendingLimit::All)
    } else if !replaced_here && known.waiting.client >= PENDING_PER_CLIENT_MAX {
        Some(PendingLimit::Client)
    } else {
        None
    }
}

fn answer(request: &PendingRequest, paired: Option<&PairedDevice>, attempt: &Attempt<'_>) -> PairingRequired {
    let reason = match paired {
        None => PairingReason::NotPaired,
        Some(paired) if paired.living_grant(request.role).is_none() => PairingReason::RoleUpgrade,
        Some(_) => PairingReason::ScopeUpgrade,
    };
    let approved = paired.map(|paired| {
        let scopes = paired.living_grant(request.role).map(|grant| grant.scopes.clone());
        (paired.living_roles(), scopes.unwrap_or_default())
    });
    let waits = attempt.connect.client.id == ClientId::ControlUi && request.role == Role::Operator;
    PairingRequired {
        reason,
        request_id: request.id.to_string(),
        device_id: request.device().to_string(),
        role: request.role,
        scopes: attempt.connect.scopes.as_slice().to_vec(),
        approved,
        retry: if waits { Retry::Wait } else { Retry::Manual },
    }
}
