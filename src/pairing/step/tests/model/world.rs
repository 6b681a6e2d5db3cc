//! The world that the steps are put into: a store, open sockets, a setup code, and one event after the other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::super::scene::Caller;
use super::super::scene::Mask;
use super::super::scene::Memory;
use super::super::scene::SECRET;
use super::super::scene::START;
use super::super::scene::owner;
use super::super::scene::public;
use super::super::scene::stranger;
use super::event::Asks;
use super::event::Disguise;
use super::event::Done;
use super::event::Event;
use super::event::Person;
use super::event::With;
use super::house::RULE_DEVICES;
use super::house::cap_in;
use super::house::code_profile;
use super::house::rules;
use super::truth::Broken;
use super::truth::Held;
use super::truth::Promise;
use super::truth::Sight;
use super::truth::Truth;
use super::truth::only;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::pairing::approval::Approver;
use crate::pairing::invite::Redeemed;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::Generation;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::request::PendingLife;
use crate::pairing::request::RequestId;
use crate::pairing::setup::Offer;
use crate::pairing::step::Change;
use crate::pairing::step::Fresh;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Step;
use crate::pairing::step::expire;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// The rule that a world leaves out, to see that the checker sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flaw {
    /// Changes are acknowledged before they are on the disk.
    AcknowledgesFirst,
    /// An approval is for whatever the device asks now.
    ApprovesTheLatest,
    /// Everybody counts as this machine's owner.
    BelievesAnyOrigin,
    /// Whoever claims a device is taken for it.
    BelievesAnyProof,
    /// Whoever decides is taken for the owner.
    ForgetsTheApprover,
    /// An invite that was redeemed counts as free.
    InvitesEverybody,
    /// No invite grows old.
    InvitesForEver,
    /// An invite gives more than it says.
    InvitesToEverything,
    /// Invites are not ended.
    KeepsInvites,
    /// The first secret of the gateway stays good.
    KeepsSecrets,
    /// Nobody's sockets are closed.
    KeepsSockets,
    /// The rotation of a token is not written down.
    KeepsTokens,
    None,
    /// A rotation of the gateway's secret leaves the invite open.
    RotationForgetsInvites,
    /// Rules do not count whom they have approved.
    RulesKnowNoCap,
    /// Rules are not told what was removed.
    RulesKnowNoRemoval,
    /// A store that cannot be read after a death counts as empty.
    TakesUnreadableForEmpty,
}

/// The gateway's second secret; there is no third.
const NEXT_SECRET: &str = "the gateway's next secret";

/// What only the process knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub(super) sessions: BTreeMap<u8, Session>,
    /// A setup code, once one was made; then the device that redeemed it.
    pub(super) code: Option<Option<u8>>,
}

/// An open socket of an admitted device.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Session {
    pub(super) scopes: Scopes,
    pub(super) issuer: Issuer,
    pub(super) without_secret: bool,
}

/// Everything there is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    pub(super) flaw: Flaw,
    pub(super) memory: Memory,
    /// What is really on the disk, in a world that acknowledges first.
    disk: Option<Box<Memory>>,
    pub(super) process: Process,
    pub(super) truth: Truth,
}

impl World {
    pub(super) fn new(flaw: Flaw) -> Self {
        let (memory, truth) =
            (Memory { rules: rules(), rule_devices_max: cap_in(flaw), ..Memory::default() }, Truth::default());
        Self { flaw, memory, disk: None, process: Process::default(), truth }
    }

    /// Lets `event` happen, notes what was come by, and looks whether every promise still holds.
    pub(super) fn act(&mut self, event: Event, reached: &mut BTreeSet<&'static str>) -> Result<(), Broken> {
        let mark = match event {
            Event::Approve(by, device) => self.approve(by, device)?,
            Event::ApproveByOldDigest(device) => self.approve_by_old_digest(device)?,
            Event::Connect(device, asks, with) => self.connect(device, asks, with)?,
            Event::CancelInvite => self.take_invite_back(),
            Event::Crash => self.crash(),
            Event::CrashAfter(done) => self.crash_after(done)?,
            Event::Deliver(device) => self.deliver(device),
            Event::Impostor(device, disguise) => self.impostor(device, disguise)?,
            Event::Invite => self.make_invite(),
            Event::List => self.list(),
            Event::MintCode => self.process.code.replace(None).map_or("", |_| ""),
            Event::Reject(by, device) => self.reject(by, device)?,
            Event::Remove(by, device) => self.remove(by, device)?,
            Event::RequestUpgrade(device) => self.request_upgrade(device),
            Event::Revoke(by, device) => self.revoke(by, device)?,
            Event::Rotate(by, device) => self.rotate(by, device)?,
            Event::RotateSecret => self.rotate_secret()?,
            Event::Sweep => self.sweep(),
            Event::Time => self.let_time_pass(),
        };
        reached.insert(mark);
        self.stands()
    }

    /// What must hold at any time.
    fn stands(&mut self) -> Result<(), Broken> {
        let by_rule = |paired: &&PairedDevice| matches!(paired.approved_via, ApprovedVia::Rule(_));
        if self.memory.devices.values().filter(by_rule).count() > RULE_DEVICES {
            return Promise::Counted.broken("a rule approved more than its share".to_owned());
        }
        for device in [1, 2, 3] {
            let living = self.known(device).device.map(|paired| paired.living_scopes()).unwrap_or_default();
            let standing = self.truth.of(device);
            let over = if standing.is_ended { Promise::Kept } else { Promise::Approved };
            over.holds(&living, &standing.given, "stored")?;
            Promise::Kept.holds(&standing.promised, &living, "acknowledged, then lost")?;
            if let Some(session) = self.process.sessions.get(&device) {
                let over = if standing.is_ended { Promise::Dead } else { Promise::Approved };
                over.holds(&session.scopes, &standing.given, "an open session")?;
            }
        }
        Ok(())
    }

    pub(super) fn known(&self, device: u8) -> Known {
        self.memory.known(public(device).id(), START)
    }

    /// Makes the changes durable and carries out what must follow.
    pub(super) fn commit<T>(&mut self, step: &Step<T>) {
        if self.flaw == Flaw::AcknowledgesFirst {
            self.disk = Some(Box::new(self.memory.clone()));
        }
        let kept = |change: &&Change| self.flaw == Flaw::KeepsInvites && matches!(change, Change::DropInvite { .. });
        let changes: Vec<Change> = step.changes.iter().filter(|change| !kept(change)).cloned().collect();
        self.memory.apply(&changes);
        if self.flaw == Flaw::RulesKnowNoRemoval {
            self.memory.removed.clear();
        }
        for notice in &step.notices {
            if let Notice::Close { device, role } = notice
                && self.flaw != Flaw::KeepsSockets
                && role.is_none_or(|role| role == Role::Operator)
            {
                self.process.sessions.retain(|open, _| public(*open).id() != *device);
            }
        }
    }

    pub(super) fn approver(&self, by: Person) -> Option<Approver> {
        let approver = match by {
            Person::Clerk => {
                let scopes = Scopes::from_iter([Scope::READ, Scope::PAIRING]);
                Some(Approver::Session { device: None, scopes })
            }
            Person::Device(device) => self.session_of(device).map(|(_, scopes)| {
                let device = Some(public(device).id());
                Approver::Session { device, scopes }
            }),
            Person::Owner => Some(Approver::Owner),
        };
        approver.map(|approver| if self.flaw == Flaw::ForgetsTheApprover { Approver::Owner } else { approver })
    }

    /// What somebody holds, from the outside: nothing if it is a device without a session.
    pub(super) fn holdings(&self, by: Person) -> Scopes {
        match by {
            Person::Clerk => only("operator.read").union(&only("operator.pairing")),
            Person::Device(device) => self.session_of(device).map(|(_, scopes)| scopes).unwrap_or_default(),
            Person::Owner => only("operator.admin"),
        }
    }

    /// The session of a device, with what is left of its scopes.
    pub(super) fn session_of(&self, device: u8) -> Option<(Session, Scopes)> {
        let session = self.process.sessions.get(&device)?.clone();
        let paired = self.known(device).device?;
        let living = paired.living_grant(Role::Operator)?;
        let scopes = session.scopes.iter().filter(|scope| living.scopes.covers(scope)).cloned().collect();
        Some((session, scopes))
    }

    /// Values that nobody has seen, or nobody remembers.
    pub(super) fn fresh(&self) -> (Fresh, u8) {
        let request = |number: &u8| format!("00000000-0000-4000-8000-{number:012}").parse::<RequestId>().unwrap();
        let listed: Vec<RequestId> = self.truth.listed.values().map(|sight| sight.id).collect();
        let id = (0..).map(|number| request(&number));
        let id = id.into_iter().find(|id| !self.memory.requests.contains_key(id) && !listed.contains(id));
        let (held, stored) = (self.truth.tokens(), self.stored_tokens());
        let mut free = (0..).filter(|number| !held.contains(number) && !stored.contains(&fingerprint(*number)));
        let (token, other) = (free.next().unwrap(), free.next().unwrap());
        let text = |number: u8| Secret::new(format!("token-{number}"));
        (Fresh { request: id.unwrap(), token: text(token), other_token: text(other) }, token)
    }

    fn stored_tokens(&self) -> Vec<Fingerprint> {
        let grants = self.memory.devices.values().flat_map(|device| device.grants.values());
        grants.filter_map(|grant| Some(grant.token?.fingerprint)).collect()
    }

    fn secret(&self) -> &'static str {
        self.memory.secret.unwrap_or(SECRET)
    }

    /// Who calls, if there is such a caller in this world.
    pub(super) fn caller(&mut self, device: u8, asks: Asks, with: With) -> Option<Caller> {
        let secret = self.secret().to_owned();
        let standing = self.truth.of(device);
        let token = |held: Option<Held>| held.map(|held| format!("token-{}", held.number));
        let there = Caller { device: Some(device), scopes: vec![asks.word()], token: None, ..stranger() };
        Some(match with {
            With::Code => Caller { setup_code: Some("the code"), ..there },
            With::DeadToken => Caller { device_token: Some(token(standing.dead)?), ..there },
            With::Identity => Caller { identity: Some(("tailscale", "ann@example.com")), ..there },
            With::Invite | With::OldInvite => Caller { setup_code: Some(self.secret_of_invite(with)?), ..there },
            With::OldSecret if self.memory.secret.is_none() => Caller { token: Some("wrong".to_owned()), ..there },
            With::OldSecret => Caller { token: Some(SECRET.to_owned()), ..there },
            With::Secret => Caller { token: Some(secret), ..there },
            With::SecretHere => {
                Caller { device: Some(device), scopes: vec![asks.word()], token: Some(secret), ..owner() }
            }
            With::Token => Caller { device_token: Some(token(standing.token)?), ..there },
        })
    }

    /// What the setup code comes to for this device.
    pub(super) fn offer(&self, device: u8) -> Offer {
        let profile = code_profile();
        match self.process.code {
            Some(redeemed_by) if redeemed_by.is_none_or(|by| by == device) => {
                Offer::Good { profile, redeemed: redeemed_by.map(|by| Redeemed { device: public(by).id(), at: START }) }
            }
            None | Some(_) => Offer::Void,
        }
    }

    /// Looks at the list.
    fn list(&mut self) -> &'static str {
        for device in [1, 2] {
            let known = self.known(device);
            if let Some(request) =
                known.requests.iter().find(|request| !request.is_expired(START, PendingLife::default()))
            {
                self.truth.listed.insert(device, Sight::of(request));
            }
        }
        "listed"
    }

    fn sweep(&mut self) -> &'static str {
        let requests: Vec<_> = self.memory.requests.values().cloned().collect();
        let step = expire(&requests, PendingLife::default(), START);
        self.commit(&step);
        self.sweep_invite();
        if step.changes.is_empty() { "nothing to sweep" } else { "swept" }
    }

    /// The time of this world stands still, and what it holds grows older: so states that differ in nothing else are one.
    fn let_time_pass(&mut self) -> &'static str {
        self.let_invites_age();
        for request in
            self.memory.requests.values_mut().filter(|request| !request.is_expired(START, PendingLife::default()))
        {
            request.refreshed_at = request.refreshed_at.plus(-half_life());
        }
        "time passed"
    }

    fn rotate_secret(&mut self) -> Result<&'static str, Broken> {
        if self.truth.is_rotated {
            return Ok("no third secret");
        }
        if self.flaw != Flaw::KeepsSecrets {
            self.memory.secret = Some(NEXT_SECRET);
        }
        self.truth.is_rotated = true;
        // What was handed out goes with it, as the core does it.
        match self.flaw {
            Flaw::RotationForgetsInvites => self.end_invites(),
            _ => _ = self.take_invite_back(),
        }
        let now = Generation::of(&Fingerprint::of(self.secret().as_bytes()));
        if self.flaw != Flaw::KeepsSockets {
            self.process.sessions.retain(|_, session| session.issuer.holds(now));
        }
        for standing in
            self.truth.devices.values_mut().filter(|standing| standing.token.is_some_and(|t| !t.without_secret))
        {
            standing.kill_token();
        }
        match self.process.sessions.values().any(|session| !session.without_secret) {
            true => Promise::Dead.broken("a session outlived the secret that it came in by".to_owned()),
            false => Ok("secret rotated"),
        }
    }

    fn crash(&mut self) -> &'static str {
        if let Some(disk) = self.disk.take() {
            self.memory = *disk;
        }
        if self.flaw == Flaw::TakesUnreadableForEmpty {
            self.memory.devices.clear();
        }
        self.process = Process::default();
        "died"
    }

    /// Something becomes durable, and the process dies before anybody is told.
    fn crash_after(&mut self, done: Done) -> Result<&'static str, Broken> {
        let changes = self.unheard(done)?;
        if changes.is_empty() {
            return Ok("nothing to die after");
        }
        self.memory.apply(&changes);
        let _died = self.crash();
        Ok("died between disk and answer")
    }
}

pub(super) fn fingerprint(token: u8) -> Fingerprint {
    Fingerprint::of(format!("token-{token}").as_bytes())
}

/// Half the life of a request, and of an invite.
pub(super) fn half_life() -> i64 {
    PendingLife::default().ms() / 2
}

/// The caller who says that it is `device`, and is device 3.
pub(super) fn masked(device: u8, disguise: Disguise, stolen: Option<Held>) -> Option<Caller> {
    let there = Caller { device: Some(3), scopes: vec![Asks::Read.word()], ..stranger() };
    Some(match disguise {
        Disguise::Id => Caller { mask: Mask::Id(device), ..there },
        Disguise::Key => Caller { mask: Mask::Key(device), ..there },
        Disguise::Token => Caller { token: None, device_token: Some(format!("token-{}", stolen?.number)), ..there },
    })
}
