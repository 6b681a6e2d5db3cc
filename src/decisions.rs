//! What was decided lately, and by which facts: the memory behind `doorward explain`.
//!
//! Promise: it is bounded in every direction, and no flood of strangers takes the denial of somebody out of it who
//! brought the right secret or calls from nearby. Nothing secret is ever put in: no credential, no cookie, no query, and of
//! header lines only those that say who is calling.

mod request;
mod ring;
#[cfg(test)]
pub(crate) mod testing;
pub mod why;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::base::clock::UnixMillis;
use crate::base::code::Code;
use crate::identity::claims::IdentityClaim;
use crate::listener::Settings;
use crate::listener::facts::ConnectionFacts;
use crate::net::addr::ClientKey;
use crate::origin::Class;
use crate::origin::Network;
use crate::origin::Origin;
use crate::origin::Whois;
use crate::pairing::rule::Ruled;
use crate::telemetry::words::Words;

pub use request::Asked;
pub use request::Kept;
pub use request::Lines;

use ring::Ring;

/// The facts of one request, before anybody said yes or no.
#[derive(Debug)]
pub struct Case {
    /// When.
    pub at: UnixMillis,
    /// The connection it came by.
    pub connection: Arc<ConnectionFacts>,
    /// The listener's settings by which it was judged.
    pub listener: Arc<Settings>,
    /// What was known of this machine's network.
    pub network: Arc<Network>,
    /// tailscaled's word on the peer, as it was then.
    pub tailnet: Whois,
    /// What was asked.
    pub asked: Asked,
    /// Who was calling, as it was found then.
    pub origin: Origin,
    /// Whom somebody we trust named, and who did.
    pub identity: Option<IdentityClaim>,
}

/// A case and what came of it.
#[derive(Debug)]
pub struct Decision {
    /// The facts.
    pub case: Case,
    /// The code that the caller was given with a refusal.
    pub code: Option<Code>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Debug)]
pub enum Outcome {
    /// A WebSocket that had `hello-ok`.
    Admitted(Box<Connect>),
    /// A WebSocket whose caller left before `connect` was answered.
    Gone,
    /// It was refused.
    Refused {
        /// The stable reason.
        reason: &'static str,
        /// The exact cause, in our own words.
        cause: Option<String>,
        /// The answer's status, where the answer is one of HTTP.
        status: Option<u16>,
        /// What a WebSocket's `connect` said, if it came so far.
        connect: Option<Box<Connect>>,
    },
    /// It was answered.
    Served {
        /// The answer's status.
        status: u16,
    },
}

/// A WebSocket's `connect` as the core judged it. No credential is in it.
#[derive(Debug)]
pub struct Connect {
    /// The program, its mode, version and platform, printable.
    pub client: String,
    /// The protocol's version.
    pub version: u8,
    /// What became of the credential that came with it.
    pub credential: Credential,
    /// The device that proved itself.
    pub device: Option<String>,
    /// The role it asked for.
    pub role: &'static str,
    /// The scopes it asked for, printable.
    pub asked: Vec<String>,
    /// What it got.
    pub granted: Vec<String>,
    /// What approved the device, if that happened at this moment.
    pub approved_via: Option<String>,
    /// What the rules of pairing had to say, where they were asked.
    pub ruled: Option<Ruled>,
    /// The pairing request that waits.
    pub request_id: Option<String>,
}

/// What became of a credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Credential {
    /// It is a living token of the caller's own device.
    Device,
    /// It was not looked at: too many wrong ones came from there.
    Locked,
    /// A verified identity, which a rule takes in place of the gateway's secret.
    Identity,
    /// None was sent, or none that is judged.
    Missing,
    /// It is a setup code or an invite that counts.
    Setup,
    /// It is the gateway's secret.
    Shared,
    /// It is wrong.
    Wrong,
}

impl Credential {
    /// Whether the caller showed something that no stranger has.
    pub fn vouches(self) -> bool {
        matches!(self, Self::Device | Self::Identity | Self::Setup | Self::Shared)
    }
}

impl Case {
    /// The case, decided.
    pub fn decided(self, code: Option<Code>, outcome: Outcome) -> Decision {
        Decision { case: self, code, outcome }
    }
}

impl Decision {
    /// Why it was refused, if it was.
    pub fn reason(&self) -> Option<&'static str> {
        match &self.outcome {
            Outcome::Refused { reason, .. } => Some(reason),
            Outcome::Admitted(_) | Outcome::Gone | Outcome::Served { .. } => None,
        }
    }

    /// What its `connect` said, if it came so far.
    pub fn connect(&self) -> Option<&Connect> {
        match &self.outcome {
            Outcome::Admitted(connect) => Some(connect),
            Outcome::Refused { connect, .. } => connect.as_deref(),
            Outcome::Gone | Outcome::Served { .. } => None,
        }
    }

    /// The pairing request that waits because of it.
    pub fn request_id(&self) -> Option<&str> {
        self.connect().and_then(|connect| connect.request_id.as_deref())
    }

    /// Under whom it is counted.
    pub fn client(&self) -> ClientKey {
        self.case.origin.client_key()
    }

    /// Counts it. Of what was refused without a status, only a WebSocket had a request.
    fn count(&self, counts: &Shared) {
        match &self.outcome {
            Outcome::Admitted(_) => counts.connects.count("admitted"),
            Outcome::Gone => counts.connects.count("gone"),
            Outcome::Refused { reason, status, .. } => {
                counts.refused.count(reason);
                if status.is_none() && self.case.asked.lines.kept != Kept::None {
                    counts.connects.count("refused");
                }
            }
            Outcome::Served { .. } => {}
        }
    }

    /// In which part of the memory it lies.
    fn part(&self) -> Part {
        if self.reason().is_none() {
            return Part::Served;
        }
        let vouched = self.connect().is_some_and(|connect| connect.credential.vouches());
        match self.case.origin.class {
            _ if vouched => Part::Vouched,
            Class::Container | Class::Local | Class::Private | Class::Tailnet => Part::Near,
            Class::Nat | Class::Public | Class::Unattributed => Part::Strangers,
        }
    }
}

/// The parts of the memory. What is put into one never takes anything out of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    /// Refusals of callers who showed something that no stranger has.
    Vouched,
    /// Refusals of callers on our own networks.
    Near,
    /// Everybody else's refusals.
    Strangers,
    /// What was no refusal.
    Served,
}

/// The memory; cheap to clone, shared by all event loops.
#[derive(Clone, Debug, Default)]
pub struct Decisions(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    ring: Mutex<Ring>,
    refused: Words,
    connects: Words,
}

impl Decisions {
    /// Keeps a decision. What had to go for it is gone.
    pub fn keep(&self, decision: Decision) {
        decision.count(&self.0);
        let decision = Arc::new(decision);
        let evicted = self.ring().keep(decision);
        // Outside the lock: freeing is work too.
        drop(evicted);
    }

    /// The decision with this connection id, pairing request id or code: the latest, where there are several.
    pub fn find(&self, id: &str) -> Option<Arc<Decision>> {
        self.ring().find(id.trim())
    }

    /// Why the request with this code was refused.
    pub fn reason(&self, code: Code) -> Option<&'static str> {
        self.ring().with_code(code)?.reason()
    }

    /// The latest refusal of each of at most `clients_max` callers: first the last of all, then those who showed
    /// something that no stranger has, those nearby, and strangers.
    pub fn denied(&self, clients_max: usize) -> Vec<Arc<Decision>> {
        self.ring().denied(clients_max)
    }

    /// How often callers were refused since the start, by reason.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.0.refused.read()
    }

    /// How WebSockets ended their handshake since the start: `admitted`, `gone` or `refused`.
    pub fn connects(&self) -> BTreeMap<&'static str, u64> {
        self.0.connects.read()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Every change is whole before anything in it can panic.
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
