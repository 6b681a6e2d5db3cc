//! Looks at each configured certificate now and then, and takes the step that is due. It runs beside the timers of the
//! instance, never on a loop that serves callers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::base::clock::{Clock, EARLIEST, UnixMillis};
use crate::base::limits::{
    ACME_ATTEMPT_WAIT, ACME_LOOK_PERIOD, ACME_RENEWAL_INFO_PERIOD, ACME_RENEWAL_INFO_PERIOD_MAX,
    ACME_RENEWAL_INFO_PERIOD_MIN, ACME_RETRY_WAITS,
};
use crate::certificates::Certificates;
use crate::certificates::acme::Settings;
use crate::certificates::acme::account;
use crate::certificates::acme::attempts::{Attempts, Failure, Stage};
use crate::certificates::acme::backoff::{Record, Suggestion};
use crate::certificates::acme::failure::{AcmeError, Next};
use crate::certificates::acme::kept::{Id, Kept};
use crate::certificates::acme::order::{Job, Names};
use crate::certificates::acme::plan::{Acquaintance, Demand, Facts, Held, Step, Waiting, plan};
use crate::certificates::acme::renewal::{due, is_possible};
use crate::certificates::acme::wire::Wire;
use crate::certificates::files::Loaded;
use crate::certificates::watch::Watch;
use crate::certificates::x509::{CertificateId, seed};

/// Keeps the certificates of CAs fresh.
#[derive(Debug)]
pub struct Runner {
    certificates: Arc<Certificates>,
    clock: Clock,
    kept: Kept,
    known: HashMap<Id, Known>,
    watch: Watch,
}

/// What this process knows of one certificate beside its record.
#[derive(Debug, Default)]
struct Known {
    /// Not looked at before this.
    paused: Option<UnixMillis>,
    /// That the clock is not set was said.
    warned: bool,
    /// The address of the order that this process has looked at.
    order: Option<String>,
}

impl Runner {
    /// For `certificates`, by `clock`.
    pub fn new(certificates: Arc<Certificates>, clock: Clock) -> Self {
        let kept = certificates.kept();
        Self { certificates, clock, kept, known: HashMap::new(), watch: Watch::default() }
    }

    /// Works until dropped.
    pub async fn run(mut self) -> Infallible {
        loop {
            self.look().await;
            sleep(ACME_LOOK_PERIOD).await;
        }
    }

    /// Takes the step that is due for each certificate that is configured now.
    pub async fn look(&mut self) {
        let wanted = self.certificates.wanted();
        let mut known = std::mem::take(&mut self.known);
        let turns = wanted.iter().map(|settings| {
            let id = Id::of(&settings.names);
            let known = known.remove(&id).unwrap_or_default();
            self.turn(settings, id, known)
        });
        let known = join_all(turns.collect::<Vec<_>>()).await;
        self.known = known.into_iter().collect();
        self.watch.tell(self.certificates.list(self.clock.now()));
    }

    async fn turn(&self, settings: &Settings, id: Id, mut known: Known) -> (Id, Known) {
        let now = self.clock.now();
        if known.paused.is_some_and(|until| now < until) {
            return (id, known);
        }
        known.paused = None;
        let mut record = match self.record(&id, now) {
            Ok(record) => record,
            Err(error) => {
                error!(names = %Names(&settings.names), %error, hint = %error.hint(), "no certificate is ordered");
                known.paused = Some(now.plus(first_wait()));
                return (id, known);
            }
        };
        let held = self.certificates.issued(&id);
        let is_known = match &record.order {
            Some(order) if known.order.as_ref() != Some(&order.url) => Acquaintance::Found,
            _ => Acquaintance::Own,
        };
        let demand = if self.certificates.board().is_demanded(&id) { Demand::Now } else { Demand::InTime };
        let facts = Facts { held: held.as_deref().map(held_of), record: &record, demand, is_known };
        let step = plan(&facts, now);
        self.post(&id, &record, held.as_deref(), step);
        match step {
            Step::Wait { reason: Waiting::Clock, .. } if !known.warned => {
                known.warned = true;
                warn!(names = %Names(&settings.names), "this machine's clock is not set: no certificate is ordered before it is");
            }
            Step::Wait { .. } => {}
            Step::Ask => self.ask(settings, &id, &mut record, held.as_deref()).await,
            step @ (Step::Order | Step::Resume) => {
                self.attempt(settings, &id, &mut record, held.as_deref(), step, &mut known).await;
            }
        }
        (id, known)
    }

    /// The record, made sense of.
    fn record(&self, id: &Id, now: UnixMillis) -> Result<Record, AcmeError> {
        let mut record = self.kept.record(id)?;
        if now >= EARLIEST && record.mend(now) {
            self.kept.keep_record(id, &record)?;
        }
        Ok(record)
    }

    /// Shows what stands for `id`, and that `step` comes next.
    fn post(&self, id: &Id, record: &Record, held: Option<&Loaded>, step: Step) {
        let (stage, next) = match step {
            Step::Wait { reason: Waiting::Clock, .. } => (Stage::Clock, None),
            Step::Wait { until, reason: Waiting::Backoff } => (Stage::Waiting, Some(until.0)),
            Step::Wait { until, reason: Waiting::Renewal } => (Stage::Idle, Some(until.0)),
            Step::Ask => (Stage::Idle, None),
            Step::Order | Step::Resume => (Stage::Ordering, None),
        };
        let window = record.renewal.and_then(|suggestion| suggestion.window);
        let due = held.map(held_of).map(|held| due(held.validity, held.seed, window).0);
        let (failures, failure) = (record.failures, record.failure.clone());
        let directory = held.and(record.issued_by.clone());
        let posted = Attempts { stage, due_ms: due, next_ms: next, failures, failure, directory, explanation: None };
        self.certificates.board().post(id, posted);
    }

    fn job<'a>(&'a self, settings: &'a Settings, id: &'a Id) -> Job<'a> {
        let board = self.certificates.board();
        Job { settings, id, kept: &self.kept, board, challenges: self.certificates.challenges(), clock: &self.clock }
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
        let (job, life) = (self.job(settings, id), held.map(life_of));
        let attempted = timeout(ACME_ATTEMPT_WAIT, async {
            if step == Step::Resume {
                info!(%names, "going on with an order");
                return job.resume(record).await;
            }
            info!(%names, "ordering a certificate");
            // Only to a CA that speaks of renewals: any other refuses the whole order for it.
            let speaks = record.renewal.is_some_and(|suggestion| suggestion.window.is_some());
            let replaces = held.filter(|_| speaks).and_then(|held| CertificateId::of(&held.certified));
            job.order(record, life, replaces.as_ref()).await
        });
        let attempted = attempted.await.unwrap_or(Err(AcmeError::Stuck));
        known.order = record.order.as_ref().map(|order| order.url.clone());
        match attempted {
            Ok(loaded) => {
                let ends = end_of(&loaded).date();
                self.certificates.board().satisfy(id);
                self.post(id, record, Some(&loaded), Step::Ask);
                self.certificates.show_issued(id.clone(), loaded);
                info!(%names, %ends, "certificate issued; new connections see it");
            }
            Err(error) => self.failed(&names, id, record, held, &error, known),
        }
    }

    fn failed(
        &self,
        names: &Names<'_>,
        id: &Id,
        record: &mut Record,
        held: Option<&Loaded>,
        error: &AcmeError,
        known: &mut Known,
    ) {
        let now = self.clock.now();
        record.failure = Some(Failure { reason: error.to_string(), hint: error.hint(), at_ms: now.0 });
        match error.next() {
            Next::SameOrder if record.order.is_some() => record.put_off(spread(), now),
            _ => record.order = None,
        }
        let next = record.order.as_ref().map_or(record.next_ms, |order| order.next_ms).max(now.0);
        if let Err(error) = self.kept.keep_record(id, record) {
            // What was written before the attempt counts it already; here it is only not asked again at once.
            warn!(%error, hint = %error.hint(), "what became of an order was not written down");
            known.paused = Some(UnixMillis(next.max(now.plus(first_wait()).0)));
        }
        self.post(id, record, held, Step::Wait { until: UnixMillis(next), reason: Waiting::Backoff });
        let (next, hint) = (UnixMillis(next).date(), error.hint());
        match held {
            Some(held) if is_urgent(held, now) => {
                let ends = end_of(held).date();
                error!(%names, %error, hint, %next, %ends, "certificate not renewed, and it ends soon");
            }
            Some(held) => {
                let ends = end_of(held).date();
                warn!(%names, %error, hint, %next, %ends, "certificate not renewed; the old one is shown");
            }
            None => warn!(%names, %error, hint, %next, "no certificate yet; the local ca serves these names"),
        }
    }

    /// Asks the CA when it would have the certificate renewed. Whatever it says or does not say is no failure.
    async fn ask(&self, settings: &Settings, id: &Id, record: &mut Record, held: Option<&Loaded>) {
        let now = self.clock.now();
        let answer = timeout(ACME_ATTEMPT_WAIT, self.suggestion(settings, record, held)).await;
        let (window, wait) = match answer {
            Ok(Ok((window, wait))) => (window, wait),
            Ok(Err(error)) => {
                debug!(names = %Names(&settings.names), %error, "the ca says nothing about the renewal");
                (record.renewal.and_then(|known| known.window), ACME_RENEWAL_INFO_PERIOD)
            }
            Err(_) => (None, ACME_RENEWAL_INFO_PERIOD),
        };
        let ends = held.map_or(0, |held| held.validity.ends.saturating_mul(1_000));
        let window = window.filter(|window| is_possible(*window, ends));
        let wait = wait.clamp(ACME_RENEWAL_INFO_PERIOD_MIN, ACME_RENEWAL_INFO_PERIOD_MAX);
        let ask_ms = now.plus(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)).0;
        record.renewal = Some(Suggestion { ask_ms, window });
        if let Err(error) = self.kept.keep_record(id, record) {
            warn!(%error, hint = %error.hint(), "what the ca said of a renewal was not written down");
        }
    }

    async fn suggestion(
        &self,
        settings: &Settings,
        record: &Record,
        held: Option<&Loaded>,
    ) -> Result<(Option<(i64, i64)>, Duration), AcmeError> {
        let directory = record.issued_by.as_ref().filter(|issuer| settings.directories.contains(issuer));
        let certificate = held.and_then(|held| CertificateId::of(&held.certified));
        let (Some(directory), Some(certificate)) = (directory, certificate) else {
            return Ok((None, ACME_RENEWAL_INFO_PERIOD_MAX));
        };
        let wire = Wire::new(settings.root_file.as_deref(), self.clock.clone())?;
        let account = account::open(settings, directory, &self.kept, &wire).await?;
        let asked = account.renewal_info(&certificate.for_renewal()).await;
        let (info, wait) = asked.map_err(|error| AcmeError::of(error, wire.heard().status))?;
        let millis = |time: time::OffsetDateTime| time.unix_timestamp().saturating_mul(1_000);
        Ok((Some((millis(info.suggested_window.start), millis(info.suggested_window.end))), wait))
    }
}

fn held_of(loaded: &Loaded) -> Held {
    Held { validity: loaded.validity, seed: seed(&loaded.certified) }
}

fn end_of(loaded: &Loaded) -> UnixMillis {
    UnixMillis(loaded.validity.ends.saturating_mul(1_000))
}

fn life_of(loaded: &Loaded) -> Duration {
    let seconds = loaded.validity.ends.saturating_sub(loaded.validity.begins);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Whether its end is near: seven days, or the last ninth of a life that is shorter than nine weeks.
fn is_urgent(loaded: &Loaded, now: UnixMillis) -> bool {
    let left = loaded.validity.ends.saturating_sub(now.0.div_euclid(1_000));
    let ninth = i64::try_from(life_of(loaded).as_secs() / 9).unwrap_or(i64::MAX);
    left < ninth.min(7 * 86_400)
}

fn first_wait() -> i64 {
    let [first, ..] = ACME_RETRY_WAITS;
    i64::try_from(first.as_millis()).unwrap_or(i64::MAX)
}

/// 0 to 999, by chance; without random bytes nobody is spread.
pub(super) fn spread() -> u16 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u16::from_le_bytes(bytes) % 1_000,
        Err(_) => 0,
    }
}
