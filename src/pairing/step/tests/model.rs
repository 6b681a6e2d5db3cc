//! Every sequence of a few events over two devices, up to a depth, against three promises:
//! a session above pending needs an approval of exactly its request, or the owner at this machine (INV-1);
//! an approval applies to what was shown and nothing else (INV-10); what was revoked is dead (INV-12).
//! The checker itself is checked: a store that forgets one rule must be caught.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::scene::Caller;
use super::scene::Memory;
use super::scene::START;
use super::scene::owner;
use super::scene::public;
use super::scene::stranger;
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
    /// The device connects from elsewhere with the last token that it was given.
    Token(u8),
}

const EVENTS: [Event; 12] = [
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
];

/// How the world around the step may be broken, to see that the checker sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flaw {
    /// The operator's listing is not bound to the approval, and a changed request keeps its id.
    ApprovesTheLatest,
    /// A revocation is not written down.
    ForgetsRevocations,
    None,
    /// Everybody counts as local.
    TrustsEverybody,
}

/// What the checker remembers beside the store: the truth from the outside.
#[derive(Clone, Default)]
struct World {
    memory: Memory,
    /// Last seen on the list, for each device.
    listed: BTreeMap<u8, (RequestId, Digest, Scopes)>,
    /// What the operator meant to give, for each device, since it was last taken back.
    meant: BTreeMap<u8, Scopes>,
    tokens: BTreeMap<u8, String>,
    /// Tokens that were taken back.
    dead: BTreeSet<String>,
}

impl World {
    fn act(&mut self, event: Event, flaw: Flaw) -> Result<(), String> {
        match event {
            Event::Elsewhere(device, scope) => {
                let caller = Caller { device: Some(device), scopes: vec![scope], ..stranger() };
                self.connect(device, &caller, flaw)
            }
            Event::Local(device) => self.connect(device, &Caller { device: Some(device), ..owner() }, flaw),
            Event::Token(device) => {
                let token = self.tokens.get(&device).cloned();
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
                    self.dead.extend(self.tokens.get(&device).cloned());
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

    fn approve(&mut self, device: u8, flaw: Flaw) -> Result<(), String> {
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
            return Err(format!("INV-10: the operator read {scopes:?} and gave {given:?}"));
        }
        self.meant.insert(device, meant);
        Ok(())
    }

    fn connect(&mut self, device: u8, caller: &Caller, flaw: Flaw) -> Result<(), String> {
        let judged = match flaw {
            Flaw::TrustsEverybody => Caller { local: true, ip: Some("127.0.0.1"), class: "local", ..caller.clone() },
            _ => caller.clone(),
        };
        let step = self.memory.connect(&judged, START);
        let Ok(admitted) = step.outcome.outcome else {
            let grows = step.changes.iter().any(|change| matches!(change, Change::PutDevice(_)));
            return if grows { Err("INV-1: a refused device was written down".to_owned()) } else { Ok(()) };
        };
        if caller.local {
            let asked = caller.scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect();
            let meant = self.meant.get(&device).cloned().unwrap_or_default().union(&asked);
            self.meant.insert(device, meant);
        }
        if caller.device_token.as_ref().is_some_and(|token| self.dead.contains(token)) {
            return Err("INV-12: a dead token was accepted".to_owned());
        }
        match self.meant.get(&device) {
            None => return Err(format!("INV-1: {:?} without an approval", admitted.scopes)),
            Some(meant) if !meant.covers_all(&admitted.scopes) => {
                return Err(format!("INV-1: {:?} where {meant:?} was approved", admitted.scopes));
            }
            Some(_) => {}
        }
        if let Some(token) = admitted.token {
            self.tokens.insert(device, token.expose().clone());
        }
        Ok(())
    }
}

/// Plays every sequence up to `depth`; the first that breaks a promise, if any.
fn search(world: &World, depth: u32, flaw: Flaw, path: &mut Vec<Event>) -> Option<String> {
    if depth == 0 {
        return None;
    }
    EVENTS.into_iter().find_map(|event| {
        let mut next = world.clone();
        path.push(event);
        let found = match next.act(event, flaw) {
            Err(broken) => Some(format!("{broken} after {path:?}")),
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
fn the_checker_sees_a_broken_world() {
    for (flaw, promise) in
        [(Flaw::ApprovesTheLatest, "INV-10"), (Flaw::ForgetsRevocations, "INV-1"), (Flaw::TrustsEverybody, "INV-1")]
    {
        let mut world = World::default();
        if flaw == Flaw::ForgetsRevocations {
            world.act(Event::Local(1), Flaw::None).unwrap();
        }
        let found = search(&world, 4, flaw, &mut Vec::new()).unwrap_or_default();
        assert!(found.starts_with(promise), "{flaw:?}: {found}");
    }
}
