//! Waiting for a person: one request for each device and role, under one id as long as it says one thing.

use crate::base::clock::UnixMillis;
use crate::base::limits::SCOPES_MAX;
use crate::identity::claims::OriginClaim;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::queue::Waiter;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::pairing::request::RequestId;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::Step;
use crate::protocol::event::Decision;
use crate::protocol::refusal::PendingLimit;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// How long a refresh of a pending request may stay unwritten: a client in a loop shall not wear out the disk.
const REFRESH_MS: i64 = 1_000;

/// What a device asks a person for.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// As what.
    pub(super) role: Role,
    /// To do what.
    pub(super) asked: &'a Scopes,
    /// What it says about itself.
    pub(super) profile: Profile,
    /// Where it calls from.
    pub(super) origin: &'a OriginClaim,
    /// The id of a new request, should there be one.
    pub(super) id: RequestId,
}

/// Not approved for this: the request waits, under one id as long as nothing in its digest changes.
pub(super) fn wait(
    known: &Known,
    key: DevicePublicKey,
    paired: Option<&PairedDevice>,
    wish: Wish<'_>,
    now: UnixMillis,
) -> Step<Result<PendingRequest, PendingLimit>> {
    let Wish { role, asked, profile, origin, id } = wish;
    let own: Vec<&PendingRequest> = known.requests.iter().filter(|request| request.role == role).collect();
    let living = own.iter().copied().find(|request| !request.is_expired(now, known.life) && request.key == key);
    let mut request = PendingRequest {
        id,
        key,
        profile: living.map_or(profile, |living| living.profile.clone()),
        role,
        scopes: living.map_or_else(|| asked.clone(), |living| merged(&living.scopes, asked)),
        origin: origin.without_steps(),
        repair: if paired.is_some() { Repair::Yes } else { Repair::No },
        // Whoever asks for something else goes on waiting: else nobody else could ever have its place.
        created_at: living.map_or(now, |living| living.created_at),
        refreshed_at: now,
    };
    let (mut changes, mut notices) = (Vec::new(), Vec::new());
    match living {
        // What it asks now is covered by what it asked before: the same request, seen again.
        Some(living) if living.scopes.covers_all(asked) && same_sight(living, &request) => {
            request = PendingRequest { origin: request.origin, refreshed_at: now, ..living.clone() };
            if now.since(living.refreshed_at).abs() >= REFRESH_MS {
                changes.push(Change::PutRequest(Box::new(request.clone())));
            }
        }
        // It changed a moment ago: what stands now stands for a while, so that nobody fills the audit log by changing his mind.
        Some(living) if known.settling.contains(&role) => return Step::unchanged(Ok(living.clone())),
        None if known.cooling.is_some() => {
            let left = known.cooling.unwrap_or_default().as_millis();
            let retry_after_ms = u64::try_from(left).unwrap_or(u64::MAX).max(1);
            return Step::unchanged(Err(PendingLimit::Rejected { retry_after_ms }));
        }
        _ => {
            let replaced: Vec<RequestId> = own.iter().map(|old| old.id).collect();
            let displaced = match known.waiting.place(&Waiter::of(&request), &replaced, now) {
                Ok(displaced) => displaced,
                Err(limit) => return Step::unchanged(Err(limit)),
            };
            if let Some(Waiter { request: id, device, .. }) = displaced {
                changes.push(Change::DropRequest { id, end: RequestEnd::Displaced });
                notices.push(Notice::Resolved { request: id, device, decision: Decision::Rejected });
            }
            for old in own {
                replace(&mut changes, &mut notices, old, known.life, now);
            }
            changes.push(Change::PutRequest(Box::new(request.clone())));
            notices.push(Notice::Requested(Box::new(request.clone())));
            notices.extend(living.map(|living| Notice::Settle { device: living.device(), role }));
        }
    }
    Step { changes, notices, outcome: Ok(request) }
}

/// What a request asks for that takes another's place: both, as the newer gateway has it, unless a device that asks
/// for something else each time would make the list grow without end.
fn merged(before: &Scopes, asked: &Scopes) -> Scopes {
    let both = before.union(asked);
    if both.iter().count() > SCOPES_MAX { asked.clone() } else { both }
}

/// Whether an operator would read the same about both, scopes apart.
fn same_sight(living: &PendingRequest, seen: &PendingRequest) -> bool {
    let seen = PendingRequest { scopes: living.scopes.clone(), ..seen.clone() };
    living.digest() == seen.digest()
}

/// Ends `old`, whose place another request or an approval takes.
pub(super) fn replace(
    changes: &mut Vec<Change>,
    notices: &mut Vec<Notice>,
    old: &PendingRequest,
    life: PendingLife,
    now: UnixMillis,
) {
    let end = if old.is_expired(now, life) { RequestEnd::Expired } else { RequestEnd::Superseded };
    changes.push(Change::DropRequest { id: old.id, end });
    notices.push(Notice::Resolved { request: old.id, device: old.device(), decision: Decision::Rejected });
}
