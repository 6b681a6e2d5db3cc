//! Making, ending and redeeming the invite. That a device has it, and what it got for it, is one change: after a crash both
//! hold or neither, and the same device may ask again.

use crate::base::clock::UnixMillis;
use crate::pairing::device::ProvenDevice;
use crate::pairing::invite::Invite;
use crate::pairing::invite::Redeemed;
use crate::pairing::metadata::Pin;
use crate::pairing::metadata::pin;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::InviteEnd;
use crate::pairing::step::Known;
use crate::pairing::step::Step;
use crate::pairing::step::admit::granted;
use crate::pairing::step::redeem::hand_over;
use crate::pairing::step::redeem::repeat;
use crate::pairing::step::wait::replace;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;

/// Makes `invite` the open one in the place of `before`; the outcome is whether that was open still.
pub fn invite(before: Option<&Invite>, invite: Invite, now: UnixMillis) -> Step<bool> {
    let replaced = before.is_some_and(|before| before.is_open(now));
    let mut changes: Vec<_> = before.map(|before| drop_invite(before, InviteEnd::Replaced, now)).into_iter().collect();
    changes.push(Change::PutInvite(Box::new(invite)));
    Step { changes, notices: Vec::new(), outcome: replaced }
}

/// Ends the open invite; the outcome is whether there was one.
pub fn cancel_invite(before: Option<&Invite>, now: UnixMillis) -> Step<bool> {
    let changes = before.map(|before| drop_invite(before, InviteEnd::Cancelled, now)).into_iter().collect();
    Step { changes, notices: Vec::new(), outcome: before.is_some_and(|before| before.is_open(now)) }
}

/// Forgets an invite whose time is over.
pub fn expire_invite(before: Option<&Invite>, now: UnixMillis) -> Step<()> {
    let over = before.filter(|before| before.is_over(now));
    let changes = over.map(|over| drop_invite(over, InviteEnd::Expired, now)).into_iter().collect();
    Step { changes, notices: Vec::new(), outcome: () }
}

/// One that had its device, or its time, does not end another way.
fn drop_invite(before: &Invite, end: InviteEnd, now: UnixMillis) -> Change {
    let end = match before {
        Invite { redeemed: Some(_), .. } => InviteEnd::Redeemed,
        over if over.is_over(now) => InviteEnd::Expired,
        _ => end,
    };
    Change::DropInvite { id: before.id, end }
}

/// What the invite gives this device; none where a person has to look: at one from which something was taken back, that is
/// a node and no operator, that says it is another machine now, or under whose id another key stands.
pub(super) fn accept(
    known: &Known,
    proven: &ProvenDevice,
    paired: Option<&PairedDevice>,
    invite: &Invite,
    attempt: &Attempt<'_>,
    now: UnixMillis,
) -> Option<Step<Result<Admitted, Failure>>> {
    let role = Role::Operator;
    if let Some(paired) = paired {
        paired.living_grant(role)?;
        if pin(&paired.profile, &attempt.connect.client) == Pin::Broken {
            return None;
        }
    }
    // Under an id with which another key stands, nobody but a person may put this one.
    if paired.is_none() && known.device.is_some() {
        return None;
    }
    match (invite.redeemed, paired) {
        (Some(redeemed), Some(paired)) => return Some(repeat(paired, redeemed, attempt, now)),
        // It was removed since.
        (Some(_), None) => return None,
        (None, _) => {}
    }
    let about = Profile::of(&attempt.connect.client);
    let device = granted(proven.key(), paired, about, role, &invite.scopes, ApprovedVia::Bootstrap, now);
    let mut step = hand_over(device, None, attempt, now);
    let redeemed = Some(Redeemed { device: proven.id(), at: now });
    step.changes.push(Change::PutInvite(Box::new(Invite { redeemed, ..invite.clone() })));
    for request in known.requests.iter().filter(|request| request.role == role) {
        replace(&mut step.changes, &mut step.notices, request, known.life, now);
    }
    Some(step)
}
