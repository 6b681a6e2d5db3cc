//! Looks at each configured certificate now and then, and takes the step that is due. It runs beside the timers of the
//! instance, never on a loop that serves callers.

mod turn;

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::sleep;

use crate::base::clock::{Clock, UnixMillis, millis};
use crate::base::limits::{ACME_LOOK_PERIOD, ACME_RETRY_WAITS};
use crate::certificates::Certificates;
use crate::certificates::acme::Settings;
use crate::certificates::acme::dns::left::Broom;
use crate::certificates::acme::kept::{Id, Kept};
use crate::certificates::alarm::told::Told;

use turn::Turn;

/// Keeps the certificates of CAs fresh.
#[derive(Debug)]
pub struct Runner {
    certificates: Arc<Certificates>,
    clock: Clock,
    kept: Kept,
    known: HashMap<Id, Known>,
    told: Told,
    broom: Broom,
}

/// What this process knows of one certificate beside its record.
#[derive(Debug, Default)]
struct Known {
    /// Not looked at before this; like all times here, by the steady clock.
    paused: Option<UnixMillis>,
    /// Until when the clock is believed that a CA has said is right.
    trusted: Option<UnixMillis>,
    /// How often in a row the clock was found wrong.
    doubts: u32,
    /// The address of the order that this process has looked at.
    order: Option<String>,
}

impl Runner {
    /// For `certificates`, by `clock`.
    pub fn new(certificates: Arc<Certificates>, clock: Clock) -> Self {
        let kept = certificates.kept();
        let (told, broom) = (Told::default(), Broom::default());
        Self { certificates, clock, kept, known: HashMap::new(), told, broom }
    }

    /// Works until dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            self.look().await;
            sleep(ACME_LOOK_PERIOD).await;
        }
    }

    /// Takes the step that is due for each certificate that is configured now. Whatever a CA's answer may break, it breaks
    /// that attempt and nothing else.
    pub async fn look(&mut self) {
        // Here no order is under way.
        self.broom.sweep(&self.kept, &self.clock).await;
        let wanted = self.certificates.wanted();
        let mut known = std::mem::take(&mut self.known);
        let turns = wanted.iter().map(|settings| {
            let id = Id::of(&settings.names);
            let known = known.remove(&id).unwrap_or_default();
            let turn = AssertUnwindSafe(self.turn(settings, id.clone(), known)).catch_unwind();
            async { turn.await.unwrap_or_else(|_| self.broke_off(settings, id)) }
        });
        let known = join_all(turns.collect::<Vec<_>>()).await;
        self.known = known.into_iter().collect();
        self.told.tell(self.certificates.list(self.clock.now()));
    }

    /// A turn that ended in a panic: a failure like any other, and whatever order it was about is let go.
    fn broke_off(&self, settings: &Settings, id: Id) -> (Id, Known) {
        match Turn::begin(self, settings, id, Known::default()) {
            Ok(turn) => turn.broke_off(),
            Err(unread) => unread,
        }
    }

    async fn turn(&self, settings: &Settings, id: Id, mut known: Known) -> (Id, Known) {
        let steady = self.clock.steady();
        if known.paused.is_some_and(|until| steady < until) {
            return (id, known);
        }
        known.paused = None;
        match Turn::begin(self, settings, id, known) {
            Ok(turn) => turn.take().await,
            Err(unread) => unread,
        }
    }
}

fn first_wait() -> i64 {
    let [first, ..] = ACME_RETRY_WAITS;
    millis(first)
}

/// 0 to 999, by chance; without random bytes nobody is spread.
pub(super) fn spread() -> u16 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u16::from_le_bytes(bytes) % 1_000,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests;
