//! Looks at each configured certificate now and then, and takes the step that is due. It runs beside the timers of the
//! instance, never on a loop that serves callers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::base::clock::{Clock, EARLIEST, UnixMillis, millis};
use crate::base::limits::{ACME_ATTEMPT_WAIT, ACME_CLOCK_PERIOD_MAX, ACME_LOOK_PERIOD, ACME_RETRY_WAITS};
use crate::certificates::Certificates;
use crate::certificates::acme::Settings;
use crate::certificates::acme::attempts::{Attempts, Failure, Stage};
use crate::certificates::acme::backoff::Record;
use crate::certificates::acme::cause::cause;
use crate::certificates::acme::clock_check;
use crate::certificates::acme::dns::left::Broom;
use crate::certificates::acme::failure::{AcmeError, Next};
use crate::certificates::acme::kept::{Id, Kept};
use crate::certificates::acme::order::{Job, Names};
use crate::certificates::acme::plan::{Acquaintance, Demand, Facts, Held, Step, Trust, Waiting, plan};
use crate::certificates::acme::renewal::due;
use crate::certificates::acme::suggestion;
use crate::certificates::alarm::Alarm;
use crate::certificates::alarm::told::Told;
use crate::certificates::files::Loaded;
use crate::certificates::x509::{CertificateId, seed};

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
        let mut known = Known::default();
        let held = self.certificates.issued(&id);
        match self.kept.record(&id) {
            Ok(mut record) => {
                let now = self.clock.now();
                record.next_ms = record.next_ms.max(now.plus(first_wait()).0);
                self.failed(settings, &id, &mut record, held.as_deref(), &AcmeError::Broken, &mut known);
            }
            Err(error) => {
                error!(names = %Names(&settings.names), %error, hint = %error.hint(), "no certificate is ordered");
                known.paused = Some(self.clock.steady().plus(first_wait()));
            }
        }
        (id, known)
    }

    async fn turn(&self, settings: &Settings, id: Id, mut known: Known) -> (Id, Known) {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        if known.paused.is_some_and(|until| steady < until) {
            return (id, known);
        }
        known.paused = None;
        let mut record = match self.kept.record(&id) {
            Ok(record) => record,
            Err(error) => {
                error!(names = %Names(&settings.names), %error, hint = %error.hint(), "no certificate is ordered");
                known.paused = Some(steady.plus(first_wait()));
                return (id, known);
            }
        };
        // An order at a CA that is not asked any more would end in a certificate that nobody wants.
        record.order.take_if(|order| !settings.directories.contains(&order.directory));
        let held = self.certificates.issued(&id);
        let held = held.as_deref();
        let mut clock = match known.trusted {
            Some(until) if steady < until => Trust::Checked,
            _ => Trust::Unchecked,
        };
        let mut step = plan(&self.facts(settings, &id, &record, held, clock, &known), now);
        if step == Step::CheckClock {
            if let Err(error) = clock_check::check(settings, &self.clock).await {
                self.doubt(settings, &id, &record, held, &error, &mut known);
                return (id, known);
            }
            clock = Trust::Checked;
            (known.doubts, known.trusted) = (0, Some(self.clock.steady().plus(millis(ACME_CLOCK_PERIOD_MAX))));
            if record.is_of_the_future(now) {
                record.mend(now);
                if let Err(error) = self.kept.keep_record(&id, &record) {
                    warn!(%error, hint = %error.hint(), "what was tried for a certificate has a wrong date, and stays so");
                    known.paused = Some(steady.plus(first_wait()));
                    return (id, known);
                }
            }
            step = plan(&self.facts(settings, &id, &record, held, clock, &known), now);
        }
        self.post(&id, &record, held, step);
        match step {
            Step::Wait { reason: Waiting::Clock, .. } => {
                let error = AcmeError::Clock { ours: now, theirs: None };
                self.doubt(settings, &id, &record, held, &error, &mut known);
            }
            // Never: it was checked.
            Step::CheckClock | Step::Wait { .. } => {}
            Step::Ask => self.ask(settings, &id, &mut record, held, &mut known).await,
            Step::Order | Step::Resume => self.attempt(settings, &id, &mut record, held, step, &mut known).await,
        }
        (id, known)
    }

    fn facts<'a>(
        &self,
        settings: &Settings,
        id: &Id,
        record: &'a Record,
        held: Option<&Loaded>,
        clock: Trust,
        known: &Known,
    ) -> Facts<'a> {
        let acquaintance = match &record.order {
            Some(order) if known.order.as_ref() != Some(&order.url) => Acquaintance::Found,
            _ => Acquaintance::Own,
        };
        // One of a CA that is not asked any more, as that of a rehearsal, does not wait for its time.
        let is_foreign = record.issued_by.as_ref().is_some_and(|issuer| !settings.directories.contains(issuer));
        let demand = match self.certificates.board().is_demanded(id) {
            _ if is_foreign => Demand::OtherCa,
            true => Demand::Now,
            false => Demand::InTime,
        };
        Facts { held: held.map(held_of), record, clock, demand, acquaintance }
    }

    /// The clock is wrong: nothing is ordered, written or thrown away, and it is looked at again soon.
    fn doubt(
        &self,
        settings: &Settings,
        id: &Id,
        record: &Record,
        held: Option<&Loaded>,
        error: &AcmeError,
        known: &mut Known,
    ) {
        let now = self.clock.now();
        if known.doubts == 0 {
            let hint = error.hint();
            error!(names = %Names(&settings.names), %error, hint, "no certificate is ordered by a clock that is wrong");
        }
        known.doubts = known.doubts.saturating_add(1);
        known.trusted = None;
        let wait = first_wait().saturating_mul(i64::from(known.doubts)).min(millis(ACME_CLOCK_PERIOD_MAX));
        // Where the clock was not set at all, it may be at any moment.
        let wait = if now < EARLIEST { 0 } else { wait };
        known.paused = Some(self.clock.steady().plus(wait));
        let mut posted = self.attempts(record, held, Step::Wait { until: now.plus(wait), reason: Waiting::Clock });
        posted.failure = Some(failure(error, now));
        self.certificates.board().post(id, posted);
    }

    /// Shows what stands for `id`, and that `step` comes next.
    fn post(&self, id: &Id, record: &Record, held: Option<&Loaded>, step: Step) {
        self.certificates.board().post(id, self.attempts(record, held, step));
    }

    fn attempts(&self, record: &Record, held: Option<&Loaded>, step: Step) -> Attempts {
        let (stage, next) = match step {
            Step::Wait { until, reason: Waiting::Clock } => (Stage::Clock, Some(until.0)),
            Step::Wait { until, reason: Waiting::Backoff } if record.failures > 0 => (Stage::Waiting, Some(until.0)),
            Step::Wait { until, .. } => (Stage::Idle, Some(until.0)),
            Step::Ask => (Stage::Idle, None),
            Step::CheckClock | Step::Order | Step::Resume => (Stage::Ordering, None),
        };
        let suggestion = record.renewal.as_ref();
        Attempts {
            stage,
            due_ms: held.map(held_of).map(|held| due(held.validity, held.seed, suggestion).0),
            next_ms: next,
            failures: record.failures,
            failure: record.failure.clone(),
            directory: held.and(record.issued_by.clone()),
            explanation: suggestion.and_then(|suggestion| suggestion.explanation.clone()),
        }
    }

    fn job<'a>(&'a self, settings: &'a Settings, id: &'a Id, held: Option<&'a Loaded>) -> Job<'a> {
        let board = self.certificates.board();
        Job {
            settings,
            id,
            held,
            kept: &self.kept,
            board,
            challenges: self.certificates.challenges(),
            clock: &self.clock,
        }
    }

    async fn attempt(
        &self,
        settings: &Settings,
        id: &Id,
        record: &mut Record,
        held: Option<&Loaded>,
        step: Step,
        known: &mut Known,
    ) {
        let names = Names(&settings.names);
        let (job, life) = (self.job(settings, id, held), held.map(|held| held.validity.life()));
        let now = self.clock.now();
        let is_early = held.map(held_of).is_some_and(|held| now < due(held.validity, held.seed, None));
        let attempted = timeout(ACME_ATTEMPT_WAIT, async {
            if step == Step::Resume {
                info!(%names, "going on with an order");
                return job.resume(record).await;
            }
            info!(%names, "ordering a certificate");
            if record.failures == 0 {
                record.early = if is_early { record.early.saturating_add(1) } else { 0 };
            }
            let replaces = held.and_then(|held| CertificateId::of(&held.certified));
            job.order(record, life, replaces.as_ref()).await
        });
        let attempted = attempted.await.unwrap_or(Err(AcmeError::Stuck));
        known.order = record.order.as_ref().map(|order| order.url.clone());
        match attempted {
            Ok(loaded) => {
                let ends = loaded.validity.ends_at().date();
                self.certificates.board().satisfy(id);
                self.certificates.board().count("issued");
                self.post(id, record, Some(&loaded), Step::Ask);
                self.certificates.show_issued(id.clone(), loaded, self.clock.now());
                info!(%names, %ends, "certificate issued; new connections see it");
            }
            Err(error) => self.failed(settings, id, record, held, &error, known),
        }
    }

    fn failed(
        &self,
        settings: &Settings,
        id: &Id,
        record: &mut Record,
        held: Option<&Loaded>,
        error: &AcmeError,
        known: &mut Known,
    ) {
        let names = Names(&settings.names);
        let now = self.clock.now();
        record.failure = Some(failure(error, now));
        self.certificates.board().count(cause(error));
        match error.next() {
            Next::SameOrder if record.order.is_some() => record.put_off(spread(), now),
            _ => record.order = None,
        }
        let next = record.order.as_ref().map_or(record.next_ms, |order| order.next_ms).max(now.0);
        if let Err(error) = self.kept.keep_record(id, record) {
            // What was written before the attempt counts it already; here it is only not asked again at once.
            warn!(%error, hint = %error.hint(), "what became of an order was not written down");
            known.paused = Some(self.clock.steady().plus(next.saturating_sub(now.0).max(first_wait())));
        }
        self.post(id, record, held, Step::Wait { until: UnixMillis(next), reason: Waiting::Backoff });
        let (next, hint) = (UnixMillis(next).date(), error.hint());
        match held {
            Some(held) if is_urgent(held, record, now) => {
                let ends = held.validity.ends_at().date();
                error!(%names, %error, hint, %next, %ends, "certificate not renewed, and it ends soon");
            }
            Some(held) => {
                let ends = held.validity.ends_at().date();
                warn!(%names, %error, hint, %next, %ends, "certificate not renewed; the old one is shown");
            }
            None => warn!(%names, %error, hint, %next, "no certificate yet; the local ca serves these names"),
        }
    }

    async fn ask(&self, settings: &Settings, id: &Id, record: &mut Record, held: Option<&Loaded>, known: &mut Known) {
        let Some(held) = held else { return };
        record.renewal = Some(suggestion::ask(settings, record, held, &self.kept, &self.clock).await);
        if let Err(error) = self.kept.keep_record(id, record) {
            warn!(%error, hint = %error.hint(), "what the ca said of a renewal was not written down");
            known.paused = Some(self.clock.steady().plus(millis(ACME_CLOCK_PERIOD_MAX)));
        }
    }
}

fn failure(error: &AcmeError, now: UnixMillis) -> Failure {
    Failure { reason: error.to_string(), hint: error.hint(), at_ms: now.0 }
}

fn held_of(loaded: &Loaded) -> Held {
    Held { validity: loaded.validity, seed: seed(&loaded.certified) }
}

/// Whether its end is near, by the same steps as the lists have.
fn is_urgent(loaded: &Loaded, record: &Record, now: UnixMillis) -> bool {
    let held = held_of(loaded);
    let due = due(held.validity, held.seed, record.renewal.as_ref());
    Alarm::of(held.validity, Some(due), now) >= Alarm::Week
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
