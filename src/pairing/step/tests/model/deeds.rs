//! What devices and people do, each by the real step, and what must be true of its outcome.

use super::super::scene::Caller;
use super::super::scene::Mask;
use super::super::scene::SECRET;
use super::super::scene::START;
use super::super::scene::public;
use super::event::Asks;
use super::event::Disguise;
use super::event::Done;
use super::event::Person;
use super::event::With;
use super::house::code_profile;
use super::truth::Broken;
use super::truth::Held;
use super::truth::Promise;
use super::truth::Sight;
use super::truth::only;
use super::world::Flaw;
use super::world::Session;
use super::world::World;
use super::world::masked;
use crate::pairing::approval::Approver;
use crate::pairing::paired::PairedDevice;
use crate::pairing::request::Digest;
use crate::pairing::request::RequestId;
use crate::pairing::rule::Effect;
use crate::pairing::step::Admitted;
use crate::pairing::step::Change;
use crate::pairing::step::Step;
use crate::pairing::step::Upgrade;
use crate::pairing::step::approve;
use crate::pairing::step::deliver;
use crate::pairing::step::reject;
use crate::pairing::step::remove;
use crate::pairing::step::request_upgrade;
use crate::pairing::step::revoke;
use crate::pairing::step::rotate;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

type Marked = Result<&'static str, Broken>;

impl World {
    /// A device connects.
    pub(super) fn connect(&mut self, device: u8, asks: Asks, with: With) -> Marked {
        let Some(caller) = self.caller(device, asks, with) else { return Ok("nothing to connect with") };
        self.memory.offer = self.offer(device);
        let (fresh, number) = self.fresh();
        let (step, before) = (self.decide(&caller, fresh), self.known(device).device);
        self.commit(&step);
        let (standing, asked) = (self.truth.of(device).clone(), only(asks.word()));
        let Ok(admitted) = &step.outcome.outcome else {
            if with == With::Token && standing.promised.covers_all(&asked) {
                return Promise::Kept.broken("a token that was given does not work".to_owned());
            }
            if step.changes.iter().any(|change| matches!(change, Change::PutDevice(_))) {
                return Promise::Approved.broken("a device that was refused was written down".to_owned());
            }
            let is_full = step.outcome.effect == Some(Effect::Full);
            return Ok(if is_full { "a full rule approves no more" } else { self.refused(with, device) });
        };
        let without_secret = self.is_without_secret(device, with);
        let mark = match with {
            With::Invite | With::OldInvite => self.judge_invite(device, with, before.as_ref(), admitted)?,
            _ => self.judge_admission(device, asked, with, admitted)?,
        };
        let new = admitted.token.as_ref().map(|_| Held { number, without_secret });
        let standing = self.truth.of(device);
        Promise::Approved.holds(&admitted.scopes, &standing.given, "let in")?;
        standing.promised = standing.promised.union(&admitted.scopes);
        standing.token = new.or(standing.token);
        let session = Session { scopes: admitted.scopes.clone(), issuer: admitted.issuer, without_secret };
        self.process.sessions.insert(device, session);
        Ok(mark)
    }

    /// What lets somebody in, by the rules, and what it gives.
    fn judge_admission(&mut self, device: u8, asked: Scopes, with: With, admitted: &Admitted) -> Marked {
        let is_first = self.process.code == Some(None);
        let standing = self.truth.of(device);
        match with {
            With::DeadToken => Promise::Dead.broken("a token that was taken back was accepted".to_owned()),
            With::OldSecret => Promise::Dead.broken("a secret that is none any more was accepted".to_owned()),
            With::Code if is_first => {
                standing.give(&code_profile().scopes);
                self.process.code = Some(Some(device));
                Ok("setup code redeemed")
            }
            With::Code => Ok("setup code repeated for its device"),
            With::SecretHere if admitted.approved_via.is_some() && !standing.is_revoked => {
                standing.give(&asked);
                Ok("silently approved")
            }
            With::Identity
                if admitted.approved_via.is_some()
                    && !standing.is_revoked
                    && !standing.was_removed
                    && !standing.was_rejected =>
            {
                // What is beyond the rule's cap it cannot give.
                standing.give(&asked.intersection(&only("operator.read")));
                Ok("approved by a rule")
            }
            With::Identity => Ok("let in by an identity"),
            With::Invite | With::OldInvite => Ok("let in by an invite"),
            With::Token => Ok("let in by a token"),
            With::Secret | With::SecretHere => Ok("let in by the secret"),
        }
    }

    fn refused(&mut self, with: With, device: u8) -> &'static str {
        match with {
            With::Code if matches!(self.process.code, Some(Some(by)) if by != device) => {
                "setup code refused to a second device"
            }
            With::Code => "setup code refused",
            With::DeadToken => "dead token refused",
            With::Identity if self.truth.of(device).was_removed => "removed, so no rule approves it",
            With::Identity if self.truth.of(device).was_rejected => "rejected, so no rule approves it",
            With::Identity => "no rule approves it",
            With::Invite | With::OldInvite => self.refused_invite(device, with),
            With::OldSecret if self.truth.is_rotated => "old secret refused",
            With::OldSecret => "wrong secret refused",
            With::Secret | With::Token => "waits for a person",
            With::SecretHere if self.truth.of(device).is_revoked => "taken back, so not silently approved",
            With::SecretHere => "not silently approved",
        }
    }

    fn is_without_secret(&mut self, device: u8, with: With) -> bool {
        match with {
            With::Code | With::Identity | With::Invite | With::OldInvite => true,
            With::Token => self.truth.of(device).token.is_some_and(|held| held.without_secret),
            With::DeadToken | With::OldSecret | With::Secret | With::SecretHere => false,
        }
    }

    /// The caller as this world takes it.
    pub(super) fn judged(&self, caller: &Caller) -> Caller {
        match self.flaw {
            Flaw::BelievesAnyOrigin => Caller { local: true, ip: Some("127.0.0.1"), class: "local", ..caller.clone() },
            Flaw::BelievesAnyProof => match caller.mask {
                Mask::Id(other) | Mask::Key(other) => {
                    Caller { device: Some(other), mask: Mask::None, ..caller.clone() }
                }
                Mask::None => caller.clone(),
            },
            _ => caller.clone(),
        }
    }

    /// Device 3 says that it is another.
    pub(super) fn impostor(&mut self, device: u8, disguise: Disguise) -> Marked {
        let stolen = self.truth.of(device).token;
        let Some(mut caller) = masked(device, disguise, stolen) else { return Ok("nothing to steal") };
        if caller.token.is_some() {
            caller.token = Some(self.memory.secret.unwrap_or(SECRET).to_owned());
        }
        let step = self.decide(&caller, self.fresh().0);
        if step.outcome.outcome.is_ok() || !step.changes.is_empty() {
            return Promise::Approved.broken("somebody came in, or left a trace, under another's name".to_owned());
        }
        Ok(if disguise == Disguise::Token { "stolen token refused" } else { "impostor refused" })
    }

    /// Somebody approves what the list showed.
    pub(super) fn approve(&mut self, by: Person, device: u8) -> Marked {
        let Some(sight) = self.truth.listed.get(&device).cloned() else { return Ok("nothing was listed") };
        let (id, digest) = match self.flaw {
            Flaw::ApprovesTheLatest => (self.latest(device).unwrap_or(sight.id), None),
            _ => (sight.id, Some(sight.digest)),
        };
        self.approve_request(by, device, &sight, id, digest)
    }

    /// The owner read one request and names another.
    pub(super) fn approve_by_old_digest(&mut self, device: u8) -> Marked {
        let Some(sight) = self.truth.listed.get(&device).cloned() else { return Ok("nothing was listed") };
        let Some(latest) = self.latest(device).filter(|latest| *latest != sight.id) else {
            return Ok("it is the same");
        };
        self.approve_request(Person::Owner, device, &sight, latest, Some(sight.digest))
    }

    fn latest(&self, device: u8) -> Option<RequestId> {
        self.known(device).requests.first().map(|request| request.id)
    }

    fn approve_request(
        &mut self,
        by: Person,
        device: u8,
        sight: &Sight,
        id: RequestId,
        digest: Option<Digest>,
    ) -> Marked {
        let Some(approver) = self.approver(by) else { return Ok("no session to approve from") };
        let (known, holds) = (self.known(device), self.holdings(by));
        let before = known.device.as_ref().map(PairedDevice::living_scopes).unwrap_or_default();
        let step = approve(&known, id, digest, &approver, START);
        self.commit(&step);
        let paired = match step.outcome {
            Ok(paired) => paired,
            Err(CallError::DigestMismatch) => return Ok("approval of another content refused"),
            Err(CallError::ScopeMissing(_)) => return Ok("approval beyond the approver refused"),
            Err(CallError::ApprovalDenied) if by == Person::Device(2) && device == 1 => {
                return Ok("approval by a device of another refused");
            }
            Err(_) => return Ok("approval of an ended request refused"),
        };
        let request = known.requests.iter().find(|request| request.id == id);
        let same = request.is_some_and(|request| Sight { id: sight.id, ..Sight::of(request) } == *sight);
        let after = paired.living_scopes();
        let new: Scopes = after.iter().filter(|scope| !before.covers(scope)).cloned().collect();
        if !same || paired.key != sight.key || !sight.scopes.covers_all(&new) {
            return Promise::AsShown.broken(format!("{sight:?} was read, {request:?} approved"));
        }
        if request.is_some_and(|request| START.since(request.refreshed_at) >= 300_000) {
            return Promise::AsShown.broken("a request was approved after its time".to_owned());
        }
        Promise::Approved.holds(&new, &holds, "given by somebody who does not hold it")?;
        self.decides_about(by, device)?;
        let standing = self.truth.of(device);
        standing.give(&sight.scopes);
        standing.is_revoked = false;
        Ok("approved")
    }

    /// A device without `operator.admin` decides about itself and about nobody else.
    fn decides_about(&self, by: Person, device: u8) -> Result<(), Broken> {
        match by {
            Person::Device(own) if own != device && !self.holdings(by).covers_all(&only("operator.admin")) => {
                Promise::Approved.broken(format!("device {own} decided about device {device}"))
            }
            Person::Clerk | Person::Device(_) | Person::Owner => Ok(()),
        }
    }

    pub(super) fn reject(&mut self, by: Person, device: u8) -> Marked {
        let (Some(approver), Some(id)) = (self.approver(by), self.latest(device)) else {
            return Ok("nobody to reject");
        };
        let step = reject(&self.known(device), id, &approver, START);
        self.commit(&step);
        if step.outcome.is_err() {
            return Ok("rejection refused");
        }
        self.truth.of(device).was_rejected = true;
        self.decides_about(by, device)?;
        Ok("rejected")
    }

    pub(super) fn remove(&mut self, by: Person, device: u8) -> Marked {
        let Some(approver) = self.approver(by) else { return Ok("no session to remove from") };
        // As it was before: the decision may end the session that it is made in.
        let allowed = self.decides_about(by, device);
        let step = remove(&self.known(device), public(device).id(), &approver);
        self.commit(&step);
        if step.outcome.is_err() {
            return Ok("removal refused");
        }
        self.ended(device);
        self.truth.of(device).was_removed = true;
        allowed.and_then(|()| self.is_closed(device)).map(|()| "removed")
    }

    pub(super) fn revoke(&mut self, by: Person, device: u8) -> Marked {
        let Some(approver) = self.approver(by) else { return Ok("no session to revoke from") };
        let allowed = self.decides_about(by, device);
        let step = revoke(&self.known(device), public(device).id(), Role::Operator, &approver, START);
        self.commit(&step);
        if step.outcome.is_err() {
            return Ok("revocation refused");
        }
        self.ended(device);
        self.truth.of(device).is_revoked = true;
        allowed.and_then(|()| self.is_closed(device)).map(|()| "revoked")
    }

    fn ended(&mut self, device: u8) {
        let standing = self.truth.of(device);
        standing.kill_token();
        standing.end();
        standing.is_revoked = false;
    }

    pub(super) fn rotate(&mut self, by: Person, device: u8) -> Marked {
        let Some(approver) = self.approver(by) else { return Ok("no session to rotate from") };
        let allowed = self.decides_about(by, device);
        let (fresh, number) = self.fresh();
        let (known, id) = (self.known(device), public(device).id());
        let mut step = rotate(&known, id, Role::Operator, None, &approver, fresh.token, START);
        if self.flaw == Flaw::KeepsTokens {
            step.changes.clear();
        }
        self.commit(&step);
        let Ok(rotated) = step.outcome else { return Ok("rotation refused") };
        let standing = self.truth.of(device);
        let without_secret = standing.token.is_some_and(|held| held.without_secret);
        standing.kill_token();
        standing.token = rotated.token.map(|_| Held { number, without_secret });
        allowed.and_then(|()| self.is_closed(device)).map(|()| "rotated")
    }

    /// That nobody who came in before still has a socket.
    fn is_closed(&self, device: u8) -> Result<(), Broken> {
        match self.process.sessions.contains_key(&device) {
            true => Promise::Dead.broken("an open session outlived what it came in by".to_owned()),
            false => Ok(()),
        }
    }

    pub(super) fn request_upgrade(&mut self, device: u8) -> &'static str {
        let Some((_, holds)) = self.session_of(device) else { return "no session to ask from" };
        let origin = super::super::scene::stranger().origin();
        let (asked, fresh) = (holds.union(&only("operator.admin")), self.fresh().0.request);
        let upgrade = Upgrade { device: public(device).id(), holds: &holds, asked: &asked, origin: &origin, fresh };
        let step = request_upgrade(&self.known(device), upgrade, START);
        self.commit(&step);
        if step.outcome.is_ok() { "asked for more in a session" } else { "nothing more to ask for" }
    }

    pub(super) fn deliver(&mut self, device: u8) -> &'static str {
        let Some((session, _)) = self.session_of(device) else { return "no session to deliver to" };
        let (fresh, number) = self.fresh();
        let step = deliver(&self.known(device), public(device).id(), session.issuer, &fresh.token, START);
        self.commit(&step);
        if step.outcome.is_ok() {
            self.truth.of(device).token = Some(Held { number, without_secret: session.without_secret });
        }
        "delivered"
    }

    /// The changes of something whose outcome nobody will hear.
    pub(super) fn unheard(&mut self, done: Done) -> Result<Vec<Change>, Broken> {
        let (known, id, (fresh, _)) = (self.known(1), public(1).id(), self.fresh());
        let changes = match done {
            Done::Approval => match self.truth.listed.get(&1).cloned() {
                None => Vec::new(),
                Some(sight) => approve(&known, sight.id, Some(sight.digest), &Approver::Owner, START).changes,
            },
            Done::Connect => match self.caller(1, Asks::Read, With::SecretHere) {
                None => Vec::new(),
                Some(caller) => self.memory.decide(&caller, fresh, START).changes,
            },
            Done::Invite => match self.caller(1, Asks::Read, With::Invite) {
                Some(caller) => self.memory.decide(&caller, fresh, START).changes,
                None => Vec::new(),
            },
            Done::Removal => remove(&known, id, &Approver::Owner).changes,
            Done::Revocation => revoke(&known, id, Role::Operator, &Approver::Owner, START).changes,
            Done::Rotation => {
                let step: Step<Result<_, _>> =
                    rotate(&known, id, Role::Operator, None, &Approver::Owner, fresh.token, START);
                step.changes
            }
        };
        if !changes.is_empty() {
            self.note_unheard(done, &changes);
        }
        Ok(changes)
    }

    fn note_unheard(&mut self, done: Done, changes: &[Change]) {
        let listed = self.truth.listed.get(&1).map(|sight| sight.scopes.clone()).unwrap_or_default();
        let standing = self.truth.of(1);
        match done {
            Done::Approval => {
                standing.attempt_to_give(&listed);
                (standing.is_revoked, standing.is_ended) = (false, false);
            }
            Done::Connect if !standing.is_revoked => {
                standing.attempt_to_give(&only("operator.read"));
                standing.is_ended = false;
            }
            Done::Connect => {}
            Done::Invite => self.note_unheard_invite(changes),
            Done::Removal | Done::Revocation => {
                standing.attempt_to_end();
                standing.token = None;
                // What was removed is as good as never seen.
                standing.is_revoked &= done == Done::Revocation;
            }
            Done::Rotation => standing.token = None,
        }
    }
}
