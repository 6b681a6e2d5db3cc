//! The promises, and what must be known from the outside to hold the steps to them: what people have read and said,
//! who holds which token, what was acknowledged.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::event::Event;
use super::invites::Invited;
use crate::origin::Class;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::request::Digest;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::RequestId;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// What must hold after every event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Promise {
    /// INV-1: nobody has a session or a grant beyond what a person, a code or a rule of the owner's, or the owner at this
    /// machine gave to this very device, and nobody gives what they do not hold.
    Approved,
    /// INV-10: an approval gives what was shown when the list was read, and nothing else.
    AsShown,
    /// No more devices stand on one rule's word than on one may.
    Counted,
    /// INV-12: what was taken back opens nothing again, open sockets included.
    Dead,
    /// An invite lets one device in, the same one again at most, with no more than its scopes, within its time, and not
    /// after it was taken back or replaced.
    Invited,
    /// INV-13: what was acknowledged is there after a death.
    Kept,
}

/// A promise that was broken, how, and after which events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Broken {
    pub(super) promise: Promise,
    pub(super) how: String,
    pub(super) path: Vec<Event>,
}

impl Promise {
    pub(super) fn broken<T>(self, how: String) -> Result<T, Broken> {
        Err(Broken { promise: self, how, path: Vec::new() })
    }

    /// That `held` is within `given`.
    pub(super) fn holds(self, held: &Scopes, given: &Scopes, whose: &str) -> Result<(), Broken> {
        match given.covers_all(held) {
            true => Ok(()),
            false => self.broken(format!("{whose}: {held:?} where {given:?} was given")),
        }
    }
}

/// What a person read about a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Sight {
    pub(super) id: RequestId,
    pub(super) digest: Digest,
    pub(super) key: DevicePublicKey,
    pub(super) role: Role,
    pub(super) scopes: Scopes,
    pub(super) class: Class,
    pub(super) ip: Option<IpAddr>,
}

impl Sight {
    pub(super) fn of(request: &PendingRequest) -> Self {
        let PendingRequest { id, key, role, scopes, origin, .. } = request.clone();
        Self { id, digest: request.digest(), key, role, scopes, class: origin.class, ip: origin.ip }
    }
}

/// A token as its holder knows it: `token-<number>`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Held {
    pub(super) number: u8,
    /// Whether it was given for a setup code or an identity, and so has nothing to do with the gateway's secret.
    pub(super) without_secret: bool,
}

/// What is true of one device, whatever is stored about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// At most this was given to it: attempts count whose answer nobody heard.
    pub(super) given: Scopes,
    /// At least this was given to it, and acknowledged.
    pub(super) promised: Scopes,
    /// All was taken back, and acknowledged, and nothing was given since.
    pub(super) is_ended: bool,
    /// A grant of it was revoked, so that only a person's word helps.
    pub(super) is_revoked: bool,
    /// It was removed once, so that no rule helps.
    pub(super) was_removed: bool,
    /// A person rejected a request of it, with the same effect.
    pub(super) was_rejected: bool,
    /// The last token that it heard of and that should work.
    pub(super) token: Option<Held>,
    /// The last one that was taken from it.
    pub(super) dead: Option<Held>,
}

impl Standing {
    /// Somebody gave it `scopes`, and said so.
    pub(super) fn give(&mut self, scopes: &Scopes) {
        self.attempt_to_give(scopes);
        self.promised = self.promised.union(scopes);
        self.is_ended = false;
    }

    /// The same, if nobody heard whether it was done.
    pub(super) fn attempt_to_give(&mut self, scopes: &Scopes) {
        self.given = self.given.union(scopes);
    }

    /// All was taken from it, and somebody was told so.
    pub(super) fn end(&mut self) {
        self.attempt_to_end();
        (self.given, self.is_ended) = (Scopes::NONE, true);
    }

    /// The same, if nobody heard whether it was done.
    pub(super) fn attempt_to_end(&mut self) {
        self.promised = Scopes::NONE;
    }

    /// Its token is taken from it, and somebody was told so.
    pub(super) fn kill_token(&mut self) {
        self.dead = self.token.take().or(self.dead);
    }
}

/// Everything that is true.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Truth {
    pub(super) devices: BTreeMap<u8, Standing>,
    /// What the list showed when it was read last.
    pub(super) listed: BTreeMap<u8, Sight>,
    /// The invites that were made, the first one first.
    pub(super) invites: Vec<Invited>,
    /// The gateway's secret is its second.
    pub(super) is_rotated: bool,
}

impl Truth {
    pub(super) fn of(&mut self, device: u8) -> &mut Standing {
        self.devices.entry(device).or_default()
    }

    /// The tokens that somebody holds.
    pub(super) fn tokens(&self) -> BTreeSet<u8> {
        let held = self.devices.values().flat_map(|standing| [standing.token, standing.dead]);
        held.flatten().map(|held| held.number).collect()
    }
}

/// A set of one.
pub(super) fn only(word: &str) -> Scopes {
    Scopes::from_iter([Scope::parse(word).unwrap()])
}
