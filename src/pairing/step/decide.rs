//! What a person decides about requests and devices.

use crate::base::clock::UnixMillis;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::PairedDevice;
use crate::pairing::request::Digest;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::RequestId;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::RequestEnd;
use crate::pairing::step::Step;
use crate::pairing::step::admit::granted;
use crate::protocol::call::CallError;
use crate::protocol::event::Decision;

/// Approves exactly `request`, and only if it still is what `shown` says, where that is known.
pub fn approve(
    known: &Known,
    request: RequestId,
    shown: Option<Digest>,
    by: &Approver,
    now: UnixMillis,
) -> Step<Result<PairedDevice, CallError>> {
    // Whoever may not decide about all is not told which ids exist.
    let denied = if by.is_admin() { CallError::RequestUnknown } else { CallError::ApprovalDenied };
    let request = match find(known, request, by, denied, now) {
        Ok(request) => request,
        Err(error) => return Step::unchanged(Err(error)),
    };
    if shown.is_some_and(|shown| shown != request.digest()) {
        return Step::unchanged(Err(CallError::DigestMismatch));
    }
    if let Err(error) = by.may_grant(request.role, &request.scopes) {
        return Step::unchanged(Err(error));
    }
    let paired = known.device.as_ref().filter(|paired| paired.key == request.key);
    let profile = request.profile.clone();
    let device = granted(request.key, paired, profile, request.role, &request.scopes, ApprovedVia::Owner, now);
    Step {
        changes: vec![
            Change::DropRequest { id: request.id, end: RequestEnd::Approved },
            Change::PutDevice(Box::new(device.clone())),
        ],
        notices: vec![resolved(request, Decision::Approved)],
        outcome: Ok(device),
    }
}

/// Rejects `request`.
pub fn reject(
    known: &Known,
    request: RequestId,
    by: &Approver,
    now: UnixMillis,
) -> Step<Result<PendingRequest, CallError>> {
    let alone = matches!(by, Approver::Session { device: Some(_), .. }) && !by.is_admin();
    let denied = if alone { CallError::RejectionDenied } else { CallError::RequestUnknown };
    match find(known, request, by, denied, now) {
        Err(error) => Step::unchanged(Err(error)),
        Ok(request) => Step {
            changes: vec![Change::DropRequest { id: request.id, end: RequestEnd::Rejected }],
            notices: vec![resolved(request, Decision::Rejected), Notice::Cool(request.device())],
            outcome: Ok(request.clone()),
        },
    }
}

/// Forgets the device: its grants, its tokens, its requests, its sockets.
pub fn remove(known: &Known, device: DeviceId, by: &Approver) -> Step<Result<PairedDevice, CallError>> {
    let paired = match managed(known, device, by, CallError::RemovalDenied) {
        Ok(paired) => paired,
        Err(error) => return Step::unchanged(Err(error)),
    };
    let ended = known.requests.iter().map(|request| Change::DropRequest { id: request.id, end: RequestEnd::Rejected });
    let told = known.requests.iter().map(|request| resolved(request, Decision::Rejected));
    Step {
        changes: ended.chain([Change::DropDevice(device)]).collect(),
        notices: told.chain([Notice::Close { device, role: None }, Notice::Changed(device)]).collect(),
        outcome: Ok(paired.clone()),
    }
}

/// Gives the device a person's name; `label` is not empty and already escaped for showing.
pub fn rename(known: &Known, device: DeviceId, label: &str, by: &Approver) -> Step<Result<(), CallError>> {
    match managed(known, device, by, CallError::RenameDenied) {
        Err(error) => Step::unchanged(Err(error)),
        Ok(paired) => Step {
            changes: vec![Change::PutDevice(Box::new(PairedDevice {
                label: Some(label.to_owned()),
                ..paired.clone()
            }))],
            notices: vec![Notice::Changed(device)],
            outcome: Ok(()),
        },
    }
}

/// The device, if it is paired and `by` may manage it. Who may not is told so, whether it exists or not.
fn managed<'k>(
    known: &'k Known,
    device: DeviceId,
    by: &Approver,
    denied: CallError,
) -> Result<&'k PairedDevice, CallError> {
    by.needs_pairing()?;
    let paired = known.device.as_ref().filter(|paired| paired.id() == device);
    if !by.manages(&device, paired) {
        return Err(denied);
    }
    paired.ok_or(CallError::DeviceUnknown)
}

/// Ends the requests among `requests` whose time of `life` is over.
pub fn expire(requests: &[PendingRequest], life: PendingLife, now: UnixMillis) -> Step<()> {
    let over = || requests.iter().filter(|request| request.is_expired(now, life));
    Step {
        changes: over().map(|request| Change::DropRequest { id: request.id, end: RequestEnd::Expired }).collect(),
        notices: Vec::new(),
        outcome: (),
    }
}

/// The request, if it waits and `by` may decide about its device; else `denied`, for one as for the other.
fn find<'k>(
    known: &'k Known,
    id: RequestId,
    by: &Approver,
    denied: CallError,
    now: UnixMillis,
) -> Result<&'k PendingRequest, CallError> {
    by.needs_pairing()?;
    let request = known.requests.iter().find(|request| request.id == id && !request.is_expired(now, known.life));
    request.filter(|request| by.sees(&request.device())).ok_or(denied)
}

fn resolved(request: &PendingRequest, decision: Decision) -> Notice {
    Notice::Resolved { request: request.id, device: request.device(), decision }
}
