//! The outcome table: origin, credential, device key and what is known of it decide what a `connect` gets.

use crate::base::clock::UnixMillis;
use crate::pairing::credential::Shared;
use crate::pairing::device::Proof;
use crate::pairing::device::ProvenDevice;
use crate::pairing::invite::is_meant;
use crate::pairing::metadata::Pin;
use crate::pairing::metadata::pin;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::request::PendingRequest;
use crate::pairing::rule::Effect;
use crate::pairing::setup::Offer;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Connected;
use crate::pairing::step::Known;
use crate::pairing::step::Page;
use crate::pairing::step::Step;
use crate::pairing::step::Verdict;
use crate::pairing::step::admit::admit;
use crate::pairing::step::invite::accept;
use crate::pairing::step::pair::pair;
use crate::pairing::step::pair::refuses;
use crate::pairing::step::pair::vouches;
use crate::pairing::step::redeem::repeat;
use crate::pairing::step::redeem::stands;
use crate::pairing::step::wait::Wish;
use crate::pairing::step::wait::wait;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::Seat;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::DeviceTokenHope;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::refusal::PairingRequired;
use crate::protocol::refusal::Retry;
use crate::protocol::refusal::UiFamily;
use crate::protocol::refusal::Unauthorized;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

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
        // A device token neither clears the count nor, beside a wrong secret, hides it: else a paired device could
        // guess the gateway's secret for ever.
        Ok(AuthMethod::DeviceToken) if attempt.connect.auth.device_token.is_some() => {
            (AuthMethod::DeviceToken, verdict_of(attempt.shared))
        }
        // An identity comes without anything that could be guessed.
        Ok(method @ (AuthMethod::DeviceToken | AuthMethod::TrustedProxy)) => (method, Verdict::Unjudged),
        // Nor does a setup code.
        Ok(AuthMethod::BootstrapToken) => (AuthMethod::BootstrapToken, verdict_of(attempt.shared)),
        Ok(method) => (method, Verdict::Right),
        Err(Unheard { failure, verdict, effect }) => return Step::unchanged(Err(failure)).judged(verdict, effect),
    };
    let (role, asked) = (attempt.connect.role, attempt.connect.scopes.set());
    let grant = paired.and_then(|paired| Some((paired, paired.living_grant(role)?)));
    let same = |paired: &PairedDevice| pin(&paired.profile, &attempt.connect.client) != Pin::Broken;
    if let (Offer::Invite(invite), AuthMethod::BootstrapToken) = (&attempt.offer, method)
        && !refuses(&attempt)
        && let Some(step) = accept(known, &device, paired, invite, &attempt, now)
    {
        return step.judged(verdict, None);
    }
    match (grant, &attempt.offer) {
        (Some((paired, _)), Offer::Good { redeemed: Some(redeemed), .. }) if method == AuthMethod::BootstrapToken => {
            repeat(paired, *redeemed, &attempt, now).judged(verdict, None)
        }
        (Some((paired, grant)), _) if grant.scopes.covers_all(&asked) && same(paired) => {
            admit(paired, grant, method, &attempt, now).judged(verdict, None)
        }
        _ => {
            let (step, effect) = pair(known, &device, paired, method, &attempt, now);
            step.judged(verdict, effect)
        }
    }
}

/// The request waits, and the caller is told so.
pub(super) fn ask_a_person(
    known: &Known,
    device: &ProvenDevice,
    paired: Option<&PairedDevice>,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Step<Result<Admitted, Failure>> {
    let wish = Wish {
        role: attempt.connect.role,
        asked: &attempt.connect.scopes.set(),
        profile: Profile::of(&attempt.connect.client),
        origin: attempt.origin,
        id: attempt.fresh.request,
    };
    let Step { changes, notices, outcome } = wait(known, device.key(), paired, wish, now);
    let outcome = Err(match outcome {
        Ok(request) => Failure::PairingRequired(Box::new(answer(&request, paired, attempt))),
        Err(limit) => Failure::PendingFull(limit),
    });
    Step { changes, notices, outcome }
}

fn answer(request: &PendingRequest, paired: Option<&PairedDevice>, attempt: &Attempt<'_>) -> PairingRequired {
    let client = &attempt.connect.client;
    let reason = match paired {
        None => PairingReason::NotPaired,
        Some(paired) if pin(&paired.profile, client) == Pin::Broken => PairingReason::MetadataUpgrade,
        Some(paired) if paired.living_grant(request.role).is_none() => PairingReason::RoleUpgrade,
        Some(_) => PairingReason::ScopeUpgrade,
    };
    let approved = paired.map(|paired| (paired.living_roles(), paired.living_scopes()));
    let waits = client.id == ClientId::ControlUi && request.role == Role::Operator;
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

impl Step<Result<Admitted, Failure>> {
    fn judged(self, verdict: Verdict, effect: Option<Effect>) -> Step<Connected> {
        let Self { changes, notices, outcome } = self;
        Step { changes, notices, outcome: Connected { outcome, verdict, effect } }
    }
}

fn refused(failure: Failure, verdict: Verdict) -> Step<Connected> {
    Step::unchanged(Err(failure)).judged(verdict, None)
}

fn verdict_of(shared: Shared) -> Verdict {
    match shared {
        Shared::Right(_) => Verdict::Right,
        Shared::Wrong => Verdict::Wrong,
        Shared::Locked { .. } | Shared::Missing => Verdict::Unjudged,
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
                other_tokens: Vec::new(),
                issuer: Issuer::Gateway(attempt.generation),
                approved_via: None,
            }))
            .judged(Verdict::Right, None)
        }
        Shared::Wrong => {
            refused(unauthorized(attempt, Unauthorized::TokenMismatch { device_token: spent }), Verdict::Wrong)
        }
        Shared::Locked { retry_after_ms } => {
            refused(unauthorized(attempt, Unauthorized::RateLimited { retry_after_ms }), Verdict::Unjudged)
        }
        // Elsewhere no credential helps without a device, so that is what the caller is told to bring.
        Shared::Missing if attempt.origin.local => {
            refused(unauthorized(attempt, Unauthorized::TokenMissing), Verdict::Unjudged)
        }
        Shared::Missing => refused(required, Verdict::Unjudged),
    }
}

/// Nothing that came with a `connect` is good.
struct Unheard {
    failure: Failure,
    verdict: Verdict,
    /// What the rules came to, if they were asked about the identity.
    effect: Option<Effect>,
}

/// The shared secret first, then a setup code, then this device's own token, under either of its names; where nothing of
/// that came, a verified identity, if a rule takes one.
fn authenticate(attempt: &Attempt<'_>, paired: Option<&PairedDevice>) -> Result<AuthMethod, Unheard> {
    if let Shared::Right(method) = attempt.shared {
        return Ok(method);
    }
    let auth = &attempt.connect.auth;
    let role = attempt.connect.role;
    let (gives_role, redeemed) = match &attempt.offer {
        Offer::Good { profile, redeemed } => (profile.roles.contains(&role), *redeemed),
        Offer::Invite(invite) => (role == Role::Operator, invite.redeemed),
        Offer::Absent | Offer::Void => (false, None),
    };
    // What was redeemed counts as long as what it gave.
    let spent = |redeemed| paired.is_none_or(|paired| !stands(paired, role, redeemed));
    if gives_role && !redeemed.is_some_and(spent) {
        return Ok(AuthMethod::BootstrapToken);
    }
    let explicit = auth.device_token.as_ref();
    let token = paired.and_then(|paired| paired.living_grant(role)?.token);
    let token = token.filter(|token| token.issuer.holds(attempt.generation));
    let candidate = explicit.or(auth.token.as_ref());
    if let (Some(token), Some(candidate)) = (token, candidate)
        && token.fingerprint.is(candidate.expose())
    {
        return Ok(AuthMethod::DeviceToken);
    }
    let effect = match vouches(attempt, paired) {
        Some(Ok(())) => return Ok(AuthMethod::TrustedProxy),
        Some(Err(effect)) => Some(effect),
        None => None,
    };
    let hope =
        if explicit.is_some() || auth.token.is_none() { DeviceTokenHope::Spent } else { DeviceTokenHope::Possible };
    let (reason, verdict) = match attempt.shared {
        Shared::Locked { retry_after_ms } => (Unauthorized::RateLimited { retry_after_ms }, Verdict::Unjudged),
        _ if explicit.is_some() => (Unauthorized::DeviceTokenMismatch, Verdict::Wrong),
        Shared::Missing if let Some(code) = &auth.bootstrap_token => {
            let good = matches!(attempt.offer, Offer::Good { .. } | Offer::Invite(_));
            let meant = is_meant(code.expose());
            let reason = if meant { Unauthorized::InviteInvalid } else { Unauthorized::BootstrapTokenInvalid };
            (reason, if good { Verdict::Unjudged } else { Verdict::Wrong })
        }
        Shared::Missing | Shared::Right(_) => (Unauthorized::TokenMissing, Verdict::Unjudged),
        Shared::Wrong => (Unauthorized::TokenMismatch { device_token: hope }, Verdict::Wrong),
    };
    Err(Unheard { failure: unauthorized(attempt, reason), verdict, effect })
}
