//! What is being done for each certificate of a CA, for people to see: the runner and the orders write it, `status` and the
//! lists read it. It is in memory only; what must outlive a crash is in the record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::certificates::acme::kept::Id;
use crate::telemetry::words::Words;

/// What stands for one certificate.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempts {
    /// What is being done at this moment.
    pub stage: Stage,
    /// When it is to be renewed.
    pub due_ms: Option<i64>,
    /// When the next step is taken.
    pub next_ms: Option<i64>,
    /// Attempts that failed since the last certificate.
    pub failures: u32,
    /// Why the last of them failed.
    pub failure: Option<Failure>,
    /// The directory that the certificate is from.
    pub directory: Option<String>,
    /// A page of the CA's that says why it wants an early renewal.
    pub explanation: Option<String>,
}

/// Why an attempt failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// In words that may be shown.
    pub reason: String,
    /// What its operator does about it.
    pub hint: String,
    /// When.
    pub at_ms: i64,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing is due.
    #[default]
    Idle,
    /// The clock of this machine is wrong: nothing is ordered before it is right.
    Clock,
    /// The CA signs.
    Issuing,
    /// The CA is asked for an order.
    Ordering,
    /// The CA looks whether the names are ours.
    Proving,
    /// An attempt failed; the next one comes.
    Waiting,
}

/// All of them. Clones are one board.
#[derive(Clone, Debug, Default)]
pub struct Board {
    posted: Arc<Mutex<Posted>>,
    /// How orders ended since the start.
    ended: Arc<Words>,
}

#[derive(Debug, Default)]
struct Posted {
    attempts: BTreeMap<Id, Attempts>,
    demanded: BTreeSet<Id>,
}

impl Board {
    /// What stands for `id`.
    pub fn of(&self, id: &Id) -> Attempts {
        self.posted().attempts.get(id).cloned().unwrap_or_default()
    }

    /// Writes what stands for `id` now.
    pub fn post(&self, id: &Id, attempts: Attempts) {
        self.posted().attempts.insert(id.clone(), attempts);
    }

    /// Writes only where the attempt for `id` stands.
    pub fn advance(&self, id: &Id, stage: Stage) {
        self.posted().attempts.entry(id.clone()).or_default().stage = stage;
    }

    /// An owner wants a new certificate for `id`, whether or not one is due. What a CA's limits forbid, it does not hasten.
    pub fn demand(&self, id: &Id) {
        self.posted().demanded.insert(id.clone());
    }

    /// Whether an owner wants one.
    pub fn is_demanded(&self, id: &Id) -> bool {
        self.posted().demanded.contains(id)
    }

    /// There is one.
    pub fn satisfy(&self, id: &Id) {
        self.posted().demanded.remove(id);
    }

    /// Counts an order that ended so: `issued`, or the cause of a failure.
    pub(super) fn count(&self, end: &'static str) {
        self.ended.count(end);
    }

    /// How orders ended since the start.
    pub fn ended(&self) -> BTreeMap<&'static str, u64> {
        self.ended.read()
    }

    fn posted(&self) -> MutexGuard<'_, Posted> {
        self.posted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
