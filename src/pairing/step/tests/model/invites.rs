//! Invites: what the owner does with them, what a device gets for one, and what must be true of that.

use super::super::scene::Caller;
use super::super::scene::START;
use super::event::With;
use super::truth::Broken;
use super::truth::Promise;
use super::truth::only;
use super::world::Flaw;
use super::world::World;
use super::world::half_life;
use crate::base::secret::Fingerprint;
use crate::pairing::invite::Invite;
use crate::pairing::invite::InviteId;
use crate::pairing::paired::PairedDevice;
use crate::pairing::step::Admitted;
use crate::pairing::step::Change;
use crate::pairing::step::Connected;
use crate::pairing::step::Fresh;
use crate::pairing::step::Step;
use crate::pairing::step::cancel_invite;
use crate::pairing::step::expire_invite;
use crate::pairing::step::invite;
use crate::protocol::scope::Scopes;

type Marked = Result<&'static str, Broken>;

/// The secrets of the invites that can be made; there is no third.
const SECRETS: [&str; 2] = ["doorward-invite-one", "doorward-invite-two"];

/// What is true of an invite, whatever is stored about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Invited {
    /// How many halves of its life are over.
    age: u8,
    /// It was taken back or replaced, and somebody was told so.
    is_ended: bool,
    /// Who has had it.
    by: Option<u8>,
}

/// What every invite gives.
fn scopes() -> Scopes {
    only("operator.read")
}

impl World {
    pub(super) fn make_invite(&mut self) -> &'static str {
        let Some(secret) = SECRETS.get(self.truth.invites.len()) else { return "no third invite" };
        let made = Invite {
            id: InviteId::parse(&format!("00000000-0000-4000-9000-{:012}", self.truth.invites.len())).unwrap(),
            secret: Fingerprint::of(secret.as_bytes()),
            scopes: scopes(),
            made_at: START,
            life_ms: 2 * half_life(),
            redeemed: None,
        };
        let step = invite(self.memory.invite.as_ref(), made, START);
        self.commit(&step);
        self.end_invites();
        self.truth.invites.push(Invited::default());
        if step.outcome { "invite replaced" } else { "invite made" }
    }

    pub(super) fn take_invite_back(&mut self) -> &'static str {
        let step = cancel_invite(self.memory.invite.as_ref(), START);
        self.commit(&step);
        self.end_invites();
        if step.outcome { "invite taken back" } else { "no invite to take back" }
    }

    pub(super) fn end_invites(&mut self) {
        self.truth.invites.iter_mut().for_each(|invited| invited.is_ended = true);
    }

    pub(super) fn sweep_invite(&mut self) {
        let step = expire_invite(self.memory.invite.as_ref(), START);
        self.commit(&step);
    }

    pub(super) fn let_invites_age(&mut self) {
        if let Some(invite) = self.memory.invite.as_mut().filter(|invite| !invite.is_over(START)) {
            invite.made_at = invite.made_at.plus(-half_life());
        }
        self.truth.invites.iter_mut().for_each(|invited| invited.age = (invited.age + 1).min(2));
    }

    /// Which invite somebody means: the last that was made, or the one before it.
    fn meant(&self, with: With) -> Option<usize> {
        self.truth.invites.len().checked_sub(if with == With::OldInvite { 2 } else { 1 })
    }

    pub(super) fn secret_of_invite(&self, with: With) -> Option<&'static str> {
        SECRETS.get(self.meant(with)?).copied()
    }

    /// What a `connect` comes to in this world.
    pub(super) fn decide(&self, caller: &Caller, fresh: Fresh) -> Step<Connected> {
        let judged = self.judged(caller);
        let mut memory = self.memory.clone();
        if let Some(invite) = &mut memory.invite {
            match self.flaw {
                Flaw::InvitesEverybody => invite.redeemed = None,
                Flaw::InvitesForEver => invite.made_at = START,
                Flaw::InvitesToEverything => invite.scopes = only("operator.admin"),
                _ => {}
            }
        }
        memory.decide(&judged, fresh, START)
    }

    /// What lets somebody in by an invite; `before` is what the device had.
    pub(super) fn judge_invite(
        &mut self,
        device: u8,
        with: With,
        before: Option<&PairedDevice>,
        admitted: &Admitted,
    ) -> Marked {
        let broken = |how: &str| Promise::Invited.broken(how.to_owned());
        let Some(invited) = self.meant(with).and_then(|at| self.truth.invites.get_mut(at)) else {
            return broken("there was none");
        };
        if invited.is_ended {
            return broken("it was taken back or replaced before");
        }
        if invited.age > 1 {
            return broken("its time was over");
        }
        if invited.by.is_some_and(|by| by != device) {
            return broken("another device had it");
        }
        let is_first = invited.by.replace(device).is_none();
        let had = before.map(PairedDevice::living_scopes).unwrap_or_default();
        let new: Scopes = admitted.scopes.iter().filter(|scope| !had.covers(scope)).cloned().collect();
        Promise::Invited.holds(&new, &scopes(), "by an invite")?;
        let standing = self.truth.of(device);
        if standing.is_revoked {
            return broken("something was taken from this device, so a person has to look");
        }
        match is_first {
            true => {
                standing.give(&scopes());
                Ok("invite redeemed")
            }
            false => Ok("invite repeated for its device"),
        }
    }

    pub(super) fn refused_invite(&self, device: u8, with: With) -> &'static str {
        let invited = self.meant(with).and_then(|at| self.truth.invites.get(at));
        match invited {
            Some(Invited { is_ended: true, .. }) => "ended invite refused",
            Some(Invited { age: 2.., .. }) => "invite refused after its time",
            Some(Invited { by: Some(by), .. }) if *by != device => "invite refused to a second device",
            Some(_) => "a person looks in spite of an invite",
            None => "no invite to refuse",
        }
    }

    /// What device 1 got for the last invite, and did not hear of.
    pub(super) fn note_unheard_invite(&mut self, changes: &[Change]) {
        let first = self.truth.invites.last_mut().filter(|_| changes.iter().any(|c| matches!(c, Change::PutInvite(_))));
        let is_first = first.map(|invited| invited.by = Some(1)).is_some();
        let standing = self.truth.of(1);
        if is_first {
            standing.attempt_to_give(&scopes());
            standing.is_ended = false;
        }
        if changes.iter().any(|change| matches!(change, Change::PutDevice(_))) {
            standing.token = None;
        }
    }
}
