//! Every sequence of a few events over two devices, up to a depth, against the three promises of [`Promise`].
//! The checker itself is checked: each promise is seen to be broken by a world that forgets one rule.

use std::collections::BTreeMap;

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
use crate::base::secret::Fingerprint;
use crate::pairing::approval::Approver;
use crate::pairing::request::Digest;
use crate::pairing::request::RequestId;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::approve;
use crate::pairing::step::remove;
use crate::pairing::step::revoke;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// The operator approves the request of this device that was listed last.
    Approve(u8),
    /// The device connects from elsewhere with the secret.
    Elsewhere(u8, &'static str),
    /// The operator reads the list.
    List,
    /// The device connects at this machine with the secret.
    Local(u8),
    Remove(u8),
    Revoke(u8),
    /// Somebody connects from elsewhere with the device's key and the last of its tokens that was taken back.
    DeadToken(u8),
    /// The device connects from elsewhere with the last token that it was given.
    Token(u8),
}

const EVENTS: [Event; 13] = [
    Event::Approve(1),
    Event::Approve(2),
    Event::Elsewhere(1, "operator.read"),
    Event::Elsewhere(1, "operator.admin"),
    Event::Elsewhere(2, "operator.read"),
    Event::List,
    Event::Local(1),
    Event::Remove(1),
    Event::Revoke(1),
    Event::Revoke(2),
    Event::Token(1),
    Event::Token(2),
    Event::DeadToken(1),
];

/// How the world around the step may be broken, to see that the checker sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    /// The operator's listing is not bound to the approval, and a changed request keeps its id.
    ApprovesTheLatest,
    /// A revocation is not written down.
    ForgetsRevocations,
    /// A new grant takes a token back up that was dead.
    KeepsDeadTokens,
    None,
    /// Everybody counts as local.
    TrustsEverybody,
}

/// What must hold after every event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Promise {
    /// Nobody has a session, or is written down as a device, without an approval of exactly what it has, be it a
    /// person's or that of the owner at this machine.
    ApprovedFirst,
    /// An approval gives what was shown when it was given, and nothing else.
    AsShown,
    /// A token that was taken back never lets anybody in again.
    DeadStaysDead,
}

/// A promise that was broken, and how.
type Broken = (Promise, String);

/// What the checker remembers beside the store: the truth from the outside.
#[derive(Clone, Default)]
struct World {
    memory: Memory,
    /// Last seen on the list, for each device.
    listed: BTreeMap<u8, (RequestId, Digest, Scopes)>,
    /// What the operator meant to give, for each device, since it was last taken back.
    meant: BTreeMap<u8, Scopes>,
    tokens: BTreeMap<u8, String>,
    /// The last token of each device that was taken back.
    dead: BTreeMap<u8, String>,
}

impl World {
    fn act(&mut self, event: Event, flaw: Flaw) -> Result<(), Broken> {
        match event {
            Event::Elsewhere(device, scope) => {
                let caller = Caller { device: Some(device), scopes: vec![scope], ..stranger() };
                self.connect(device, &caller, flaw)
            }
            Event::Local(device) => self.connect(device, &Caller { device: Some(device), ..owner() }, flaw),
            Event::Token(device) | Event::DeadToken(device) => {
                let tokens = if matches!(event, Event::Token(_)) { &self.tokens } else { &self.dead };
                let token = tokens.get(&device).cloned();
                let caller = Caller { device: Some(device), token: None, device_token: token, ..stranger() };
                self.connect(device, &caller, flaw)
            }
            Event::List => {
                for device in [1, 2] {
                    let request = self.known(device).requests.first().cloned();
                    if let Some(request) = request {
                        self.listed.insert(device, (request.id, request.digest(), request.scopes));
                    }
                }
                Ok(())
            }
            Event::Approve(device) => self.approve(device, flaw),
            Event::Remove(device) | Event::Revoke(device) => {
                let id = public(device).id();
                let changes = match event {
                    Event::Remove(_) => remove(&self.known(device), id, &Approver::Owner).changes,
                    _ => revoke(&self.known(device), id, Role::Operator, &Approver::Owner, START).changes,
                };
                if !changes.is_empty() {
                    self.meant.remove(&device);
                    self.dead.extend(self.tokens.get(&device).map(|token| (device, token.clone())));
                }
                if flaw != Flaw::ForgetsRevocations {
                    self.memory.apply(&changes);
                }
                Ok(())
            }
        }
    }

    fn known(&self, device: u8) -> Known {
        self.memory.known(public(device).id(), None, START)
    }

    fn approve(&mut self, device: u8, flaw: Flaw) -> Result<(), Broken> {
        let Some((id, digest, scopes)) = self.listed.get(&device).cloned() else { return Ok(()) };
        let latest = self.known(device).requests.first().map(|request| request.id);
        let (id, shown) = match flaw {
            Flaw::ApprovesTheLatest => (latest.unwrap_or(id), None),
            _ => (id, Some(digest)),
        };
        let before = self.meant.get(&device).cloned().unwrap_or_default();
        let step = approve(&self.known(device), id, shown, &Approver::Owner, START);
        self.memory.apply(&step.changes);
        let Ok(approved) = step.outcome else { return Ok(()) };
        let meant = before.union(&scopes);
        let given = &approved.grants[&Role::Operator].scopes;
        if !meant.covers_all(given) {
            return Err((Promise::AsShown, format!("the operator read {scopes:?} and gave {given:?}")));
        }
        self.meant.insert(device, meant);
        Ok(())
    }

    fn connect(&mut self, device: u8, caller: &Caller, flaw: Flaw) -> Result<(), Broken> {
        let judged = match flaw {
            Flaw::TrustsEverybody => Caller { local: true, ip: Some("127.0.0.1"), class: "local", ..caller.clone() },
            _ => caller.clone(),
        };
        let step = self.memory.connect(&judged, START);
        if flaw == Flaw::KeepsDeadTokens {
            self.revive(device);
        }
        let Ok(admitted) = step.outcome.outcome else {
            let grows = step.changes.iter().any(|change| matches!(change, Change::PutDevice(_)));
            let broken = (Promise::ApprovedFirst, "a refused device was written down".to_owned());
            return if grows { Err(broken) } else { Ok(()) };
        };
        if caller.local {
            let asked = caller.scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
            let meant = self.meant.get(&device).cloned().unwrap_or_default().union(&asked);
            self.meant.insert(device, meant);
        }
        if caller.device_token.is_some() && caller.device_token.as_ref() == self.dead.get(&device) {
            return Err((Promise::DeadStaysDead, "a dead token was accepted".to_owned()));
        }
        match self.meant.get(&device) {
            None => return Err((Promise::ApprovedFirst, format!("{:?} without an approval", admitted.scopes))),
            Some(meant) if !meant.covers_all(&admitted.scopes) => {
                let how = format!("{:?} where {meant:?} was approved", admitted.scopes);
                return Err((Promise::ApprovedFirst, how));
            }
            Some(_) => {}
        }
        if let Some(token) = admitted.token {
            self.tokens.insert(device, token.expose().clone());
        }
        Ok(())
    }
}

impl World {
    /// Puts the device's dead token in the place of its living one.
    fn revive(&mut self, device: u8) {
        let (Some(dead), Some(mut paired)) = (self.dead.get(&device), self.known(device).device) else { return };
        for token in paired.grants.values_mut().filter_map(|grant| grant.token.as_mut()) {
            token.fingerprint = Fingerprint::of(dead.as_bytes());
        }
        self.memory.apply(&[Change::PutDevice(Box::new(paired))]);
    }
}

/// Plays every sequence up to `depth`; the first that breaks a promise, if any.
fn search(world: &World, depth: u32, flaw: Flaw, path: &mut Vec<Event>) -> Option<Broken> {
    if depth == 0 {
        return None;
    }
    EVENTS.into_iter().find_map(|event| {
        let mut next = world.clone();
        path.push(event);
        let found = match next.act(event, flaw) {
            Err((promise, how)) => Some((promise, format!("{how} after {path:?}"))),
            Ok(()) => search(&next, depth - 1, flaw, path),
        };
        path.pop();
        found
    })
}

#[test]
fn no_short_sequence_breaks_a_promise() {
    assert_eq!(search(&World::default(), 4, Flaw::None, &mut Vec::new()), None);
}

#[test]
fn no_sequence_breaks_a_promise_once_a_device_is_in() {
    // The interesting states lie deeper: begin with a device approved for reading, and its token.
    let mut world = World::default();
    for event in [Event::Elsewhere(1, "operator.read"), Event::List, Event::Approve(1)] {
        world.act(event, Flaw::None).unwrap();
    }
    world.act(Event::Elsewhere(1, "operator.read"), Flaw::None).unwrap();
    assert_eq!(world.tokens.len(), 1);
    assert_eq!(search(&world, 4, Flaw::None, &mut Vec::new()), None);
}

#[test]
fn the_checker_sees_each_promise_broken() {
    for (flaw, promise) in [
        (Flaw::ApprovesTheLatest, Promise::AsShown),
        (Flaw::ForgetsRevocations, Promise::ApprovedFirst),
        (Flaw::KeepsDeadTokens, Promise::DeadStaysDead),
        (Flaw::TrustsEverybody, Promise::ApprovedFirst),
    ] {
        let mut world = World::default();
        if matches!(flaw, Flaw::ForgetsRevocations | Flaw::KeepsDeadTokens) {
            world.act(Event::Local(1), Flaw::None).unwrap();
        }
        let found = search(&world, 4, flaw, &mut Vec::new());
        assert_eq!(found.as_ref().map(|(promise, _)| *promise), Some(promise), "{flaw:?}: {found:?}");
    }
}
