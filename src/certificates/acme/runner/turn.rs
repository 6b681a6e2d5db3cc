//! One look at one certificate: which step is due, and what becomes of it in the record, the log and the lists.

use std::sync::Arc;

use tokio::time::timeout;
use tracing::{error, info, warn};

use super::{Known, Runner, first_wait};
use crate::base::clock::{EARLIEST, UnixMillis, millis};
use crate::base::limits::{ACME_ATTEMPT_WAIT, ACME_CLOCK_PERIOD_MAX};
use crate::certificates::acme::Settings;
use crate::certificates::acme::attempts::{Attempts, Failure, Stage};
use crate::certificates::acme::backoff::Record;
use crate::certificates::acme::cause::cause;
use crate::certificates::acme::clock_check;
use crate::certificates::acme::failure::{AcmeError, Next};
use crate::certificates::acme::kept::Id;
use crate::certificates::acme::order::{Job, Names};
use crate::certificates::acme::plan::{Acquaintance, Demand, Facts, Held, Step, Trust, Waiting, plan};
use crate::certificates::acme::renewal::due;
use crate::certificates::acme::suggestion;
use crate::certificates::alarm::Alarm;
use crate::certificates::files::Loaded;
use crate::certificates::x509::{CertificateId, seed};

/// The turn of one certificate, with all that is known of it.
pub(super) struct Turn<'a> {
    runner: &'a Runner,
    settings: &'a Settings,
    id: Id,
    /// What is shown.
    held: Option<Arc<Loaded>>,
    record: Record,
    known: Known,
}

impl<'a> Turn<'a> {
    /// Reads what was tried. Where that cannot be read nothing is ordered, and what is `known` comes back with a pause.
    pub(super) fn begin(
        runner: &'a Runner,
        settings: &'a Settings,
        id: Id,
        mut known: Known,
    ) -> Result<Self, (Id, Known)> {
        match runner.kept.record(&id) {
            Ok(record) => {
                let held = runner.certificates.issued(&id);
                Ok(Self { runner, settings, id, held, record, known })
            }
            Err(error) => {
                error!(names = %Names(&settings.names), %error, hint = %error.hint(), "no certificate is ordered");
                known.paused = Some(runner.clock.steady().plus(first_wait()));
                Err((id, known))
            }
        }
    }

    /// It ended in a panic.
    pub(super) fn broke_off(mut self) -> (Id, Known) {
        let now = self.runner.clock.now();
        self.record.next_ms = self.record.next_ms.max(now.plus(first_wait()).0);
        self.failed(&AcmeError::Broken);
        (self.id, self.known)
    }

    /// Takes the step that is due.
    pub(super) async fn take(mut self) -> (Id, Known) {
        let (now, steady) = (self.runner.clock.now(), self.runner.clock.steady());
        // An order at a CA that is not asked any more would end in a certificate that nobody wants.
        self.record.order.take_if(|order| !self.settings.directories.contains(&order.directory));
        let clock = match self.known.trusted {
            Some(until) if steady < until => Trust::Checked,
            _ => Trust::Unchecked,
        };
        let mut step = plan(&self.facts(clock), now);
        if step == Step::CheckClock {
            if let Err(error) = clock_check::check(self.settings, &self.runner.clock).await {
                self.doubt(&error);
                return (self.id, self.known);
            }
            let until = self.runner.clock.steady().plus(millis(ACME_CLOCK_PERIOD_MAX));
            (self.known.doubts, self.known.trusted) = (0, Some(until));
            if self.record.is_of_the_future(now) {
                self.record.mend(now);
                if let Err(error) = self.runner.kept.keep_record(&self.id, &self.record) {
                    warn!(%error, hint = %error.hint(), "what was tried for a certificate has a wrong date, and stays so");
                    self.known.paused = Some(steady.plus(first_wait()));
                    return (self.id, self.known);
                }
            }
            step = plan(&self.facts(Trust::Checked), now);
        }
        self.post(step);
        match step {
            Step::Wait { reason: Waiting::Clock, .. } => self.doubt(&AcmeError::Clock { ours: now, theirs: None }),
            // Never: it was checked.
            Step::CheckClock | Step::Wait { .. } => {}
            Step::Ask => self.ask().await,
            Step::Order | Step::Resume => self.attempt(step).await,
        }
        (self.id, self.known)
    }

    fn facts(&self, clock: Trust) -> Facts<'_> {
        let acquaintance = match &self.record.order {
            Some(order) if self.known.order.as_ref() != Some(&order.url) => Acquaintance::Found,
            _ => Acquaintance::Own,
        };
        // One of a CA that is not asked any more, as that of a rehearsal, does not wait for its time.
        let issuer = self.record.issued_by.as_ref();
        let is_foreign = issuer.is_some_and(|issuer| !self.settings.directories.contains(issuer));
        let demand = match self.runner.certificates.board().is_demanded(&self.id) {
            _ if is_foreign => Demand::OtherCa,
            true => Demand::Now,
            false => Demand::InTime,
        };
        Facts { held: self.held.as_deref().map(held_of), record: &self.record, clock, demand, acquaintance }
    }

    /// The clock is wrong: nothing is ordered, written or thrown away, and it is looked at again soon.
    fn doubt(&mut self, error: &AcmeError) {
        let now = self.runner.clock.now();
        if self.known.doubts == 0 {
            let (names, hint) = (Names(&self.settings.names), error.hint());
            error!(%names, %error, hint, "no certificate is ordered by a clock that is wrong");
        }
        self.known.doubts = self.known.doubts.saturating_add(1);
        self.known.trusted = None;
        let wait = first_wait().saturating_mul(i64::from(self.known.doubts)).min(millis(ACME_CLOCK_PERIOD_MAX));
        // Where the clock was not set at all, it may be at any moment.
        let wait = if now < EARLIEST { 0 } else { wait };
        self.known.paused = Some(self.runner.clock.steady().plus(wait));
        let mut posted = self.attempts(Step::Wait { until: now.plus(wait), reason: Waiting::Clock });
        posted.failure = Some(failure(error, now));
        self.runner.certificates.board().post(&self.id, posted);
    }

    /// Shows how it stands, and that `step` comes next.
    fn post(&self, step: Step) {
        self.runner.certificates.board().post(&self.id, self.attempts(step));
    }

    fn attempts(&self, step: Step) -> Attempts {
        let (stage, next) = match step {
            Step::Wait { until, reason: Waiting::Clock } => (Stage::Clock, Some(until.0)),
            Step::Wait { until, reason: Waiting::Backoff } if self.record.failures > 0 => {
                (Stage::Waiting, Some(until.0))
            }
            Step::Wait { until, .. } => (Stage::Idle, Some(until.0)),
            Step::Ask => (Stage::Idle, None),
            Step::CheckClock | Step::Order | Step::Resume => (Stage::Ordering, None),
        };
        let suggestion = self.record.renewal.as_ref();
        let held = self.held.as_deref().map(held_of);
        Attempts {
            stage,
            due_ms: held.map(|held| due(held.validity, held.seed, suggestion).0),
            next_ms: next,
            failures: self.record.failures,
            failure: self.record.failure.clone(),
            directory: held.and(self.record.issued_by.clone()),
            explanation: suggestion.and_then(|suggestion| suggestion.explanation.clone()),
        }
    }

    async fn attempt(&mut self, step: Step) {
        let Runner { certificates, clock, kept, .. } = self.runner;
        let (names, board) = (Names(&self.settings.names), certificates.board());
        let (held, record) = (self.held.as_deref(), &mut self.record);
        let challenges = certificates.challenges();
        let job = Job { settings: self.settings, id: &self.id, held, kept, board, challenges, clock };
        let is_early = held.map(held_of).is_some_and(|held| clock.now() < due(held.validity, held.seed, None));
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
            job.order(record, held.map(|held| held.validity.life()), replaces.as_ref()).await
        });
        let attempted = attempted.await.unwrap_or(Err(AcmeError::Stuck));
        self.known.order = self.record.order.as_ref().map(|order| order.url.clone());
        match attempted {
            Ok(loaded) => {
                let ends = loaded.validity.ends_at().date();
                board.satisfy(&self.id);
                board.count("issued");
                certificates.show_issued(self.id.clone(), loaded, clock.now());
                self.held = certificates.issued(&self.id);
                self.post(Step::Ask);
                info!(%names, %ends, "certificate issued; new connections see it");
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &AcmeError) {
        let Runner { certificates, clock, kept, .. } = self.runner;
        let (names, now) = (Names(&self.settings.names), clock.now());
        self.record.failure = Some(failure(error, now));
        certificates.board().count(cause(error));
        match error.next() {
            Next::SameOrder if self.record.order.is_some() => self.record.put_off(super::spread(), now),
            _ => self.record.order = None,
        }
        let next = self.record.order.as_ref().map_or(self.record.next_ms, |order| order.next_ms).max(now.0);
        if let Err(error) = kept.keep_record(&self.id, &self.record) {
            // What was written before the attempt counts it already; here it is only not asked again at once.
            warn!(%error, hint = %error.hint(), "what became of an order was not written down");
            self.known.paused = Some(clock.steady().plus(next.saturating_sub(now.0).max(first_wait())));
        }
        self.post(Step::Wait { until: UnixMillis(next), reason: Waiting::Backoff });
        let (next, hint) = (UnixMillis(next).date(), error.hint());
        match self.held.as_deref() {
            Some(held) if is_urgent(held, &self.record, now) => {
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

    async fn ask(&mut self) {
        let Some(held) = self.held.as_deref() else { return };
        let Runner { clock, kept, .. } = self.runner;
        self.record.renewal = Some(suggestion::ask(self.settings, &self.record, held, kept, clock).await);
        if let Err(error) = kept.keep_record(&self.id, &self.record) {
            warn!(%error, hint = %error.hint(), "what the ca said of a renewal was not written down");
            self.known.paused = Some(clock.steady().plus(millis(ACME_CLOCK_PERIOD_MAX)));
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
