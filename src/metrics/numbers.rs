//! The numbers themselves: gathered anew for each scrape from those who count or know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::{JoinError, spawn_blocking};
use tracing::error;

use super::page::{Page, PageError, Row, number, seconds};
use super::process;
use crate::base::clock::{Clock, UnixMillis};
use crate::certificates::Certificates;
use crate::certificates::standing::Standing;
use crate::core::Core;
use crate::edge::Edge;
use crate::listener::caps::Caps;
use crate::listener::tally::Tally;
use crate::net::host::Host;
use crate::store::Store;

/// Who counts, and who knows.
#[derive(Debug)]
pub struct Sources {
    /// The edge, and the core behind it.
    pub edge: Edge,
    /// How many connections there are.
    pub caps: Caps,
    /// What is shown to whom.
    pub certificates: Arc<Certificates>,
    /// Every listener's name, and what happened there.
    pub listeners: Vec<(String, Tally)>,
    /// The wall clock.
    pub clock: Clock,
}

/// The numbers of one instance.
#[derive(Debug)]
pub struct Numbers {
    sources: Sources,
    started: UnixMillis,
    audit: Mutex<Option<Looked>>,
    turn: Turn,
}

/// One scrape at a time looks at what may be held by a renewal whose disk hangs: not on the loop that answers the owner, and
/// in one thread, however many scrapes have given up meanwhile.
#[derive(Debug, Default)]
struct Turn(Arc<tokio::sync::Mutex<()>>);

impl Turn {
    async fn take<T: Send + 'static>(&self, look: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        // It goes with the thread, which nothing can end, and not with who waits for it.
        spawn_blocking(move || {
            let seen = look();
            drop(turn);
            seen
        })
        .await
    }
}

/// What the last look through the audit log found.
#[derive(Clone, Copy, Debug)]
struct Looked {
    at: UnixMillis,
    /// Its entries, if it is whole.
    entries: Option<i64>,
}

impl Looked {
    /// What `store`'s audit log is now.
    async fn through(store: &Store, clock: &Clock) -> Self {
        let found = store.verify_audit().await;
        if let Err(error) = &found {
            error!(%error, hint = %error.hint(), "the audit log is not whole, or cannot be looked through");
        }
        Self { at: clock.now(), entries: found.ok() }
    }

    fn add(self, page: &mut Page) -> Result<(), PageError> {
        let Self { at, entries } = self;
        let whole = "Whether the audit log was found whole when it was last looked through.";
        page.lone("doorward_audit_chain_ok", whole, flag(entries.is_some()))?;
        let when = "When the audit log was last looked through.";
        page.lone("doorward_audit_checked_timestamp_seconds", when, seconds(at.0))?;
        if let Some(entries) = entries {
            page.lone(
                "doorward_audit_entries",
                "Entries that the audit log then had.",
                number(entries.unsigned_abs()),
            )?;
        }
        Ok(())
    }
}

impl Numbers {
    /// Those of an instance that starts now.
    pub fn new(sources: Sources) -> Self {
        let started = sources.clock.now();
        Self { sources, started, audit: Mutex::default(), turn: Turn::default() }
    }

    /// The names that we answer to.
    pub(super) fn names(&self) -> Vec<Host> {
        self.sources.edge.settings().names.clone()
    }

    /// Looks through the audit log, and remembers what was found.
    pub(super) async fn look_at_audit(&self) {
        let looked = Looked::through(self.core().store(), &self.sources.clock).await;
        *self.audit.lock().unwrap_or_else(PoisonError::into_inner) = Some(looked);
    }

    /// All of them, as text.
    pub(super) async fn text(&self) -> Result<String, PageError> {
        let mut page = Page::default();
        let version = [([env!("CARGO_PKG_VERSION").to_owned()], 1.0)];
        page.gauge("doorward_build_info", "The version that runs.", ["version"], version)?;
        let started = seconds(self.started.0);
        page.lone("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", started)?;
        process::add(&mut page)?;
        self.add_connections(&mut page)?;
        self.add_decisions(&mut page)?;
        self.add_core(&mut page).await?;
        self.add_audit(&mut page)?;
        let now = self.sources.clock.now();
        let certificates = Arc::clone(&self.sources.certificates);
        let standings = self.turn.take(move || certificates.list(now)).await?;
        add_certificates(&mut page, &standings, now)?;
        page.counter(
            "doorward_acme_orders_total",
            "Orders of certificates that ended, as issued or by the cause of their failure.",
            ["end"],
            words(&self.sources.certificates.board().ended()),
        )?;
        page.text()
    }

    fn core(&self) -> &Core {
        self.sources.edge.core()
    }

    fn add_connections(&self, page: &mut Page) -> Result<(), PageError> {
        let caps = &self.sources.caps;
        page.lone("doorward_connections_open", "Connections that are open, WebSockets included.", count(caps.open()))?;
        page.lone("doorward_connections_max", "Connections that may be open.", count(caps.limits().total))?;
        let totals: Vec<_> = self.sources.listeners.iter().map(|(name, tally)| (name, tally.totals())).collect();
        let accepted = totals.iter().map(|(name, totals)| ([(*name).clone()], number(totals.accepted)));
        page.counter(
            "doorward_connections_accepted_total",
            "Connections that were accepted from the kernel.",
            ["listener"],
            accepted,
        )?;
        page.counter(
            "doorward_connections_refused_total",
            "Connections that came to no request, by reason.",
            ["listener", "reason"],
            totals.iter().flat_map(|(name, totals)| of_listener(name, &totals.refused)),
        )?;
        page.counter(
            "doorward_tls_handshakes_total",
            "TLS handshakes that were finished, by version.",
            ["listener", "version"],
            totals.iter().flat_map(|(name, totals)| of_listener(name, &totals.shaken)),
        )?;
        page.counter(
            "doorward_tls_handshakes_failed_total",
            "TLS handshakes that failed, by reason.",
            ["listener", "reason"],
            totals.iter().flat_map(|(name, totals)| of_listener(name, &totals.unshaken)),
        )?;
        page.counter(
            "doorward_requests_total",
            "Requests that were answered, by the class of the status; a WebSocket is 1xx.",
            ["listener", "status"],
            totals.iter().flat_map(|(name, totals)| of_listener(name, &totals.answered)),
        )
    }

    fn add_decisions(&self, page: &mut Page) -> Result<(), PageError> {
        let decisions = self.core().decisions();
        page.counter(
            "doorward_refusals_total",
            "Connections, requests and WebSockets that were refused, by the reason that explain tells.",
            ["reason"],
            words(&decisions.refused()),
        )?;
        page.counter(
            "doorward_connects_total",
            "WebSockets by how their handshake ended.",
            ["outcome"],
            words(&decisions.connects()),
        )
    }

    async fn add_core(&self, page: &mut Page) -> Result<(), PageError> {
        let (status, store) = (self.core().status().await, self.core().store());
        page.lone("doorward_ready", "Whether new work is taken.", flag(self.sources.edge.is_ready()))?;
        page.lone("doorward_store_up", "Whether the store can be read.", flag(status.is_ok()))?;
        page.counter(
            "doorward_store_errors_total",
            "Reads and writes of the store that failed.",
            ["kind"],
            words(&store.errors()),
        )?;
        page.counter(
            "doorward_changes_total",
            "Entries of the audit log that were written: what was asked, approved, taken back and replaced.",
            ["change"],
            words(&store.changes()),
        )?;
        if let Ok(status) = status {
            let sockets = [("connected", status.connections), ("waiting", status.waiting)];
            let sockets = sockets.map(|(state, sockets)| ([state.to_owned()], count(sockets)));
            page.gauge("doorward_websockets", "WebSockets that are open.", ["state"], sockets)?;
            let devices = [("paired", status.paired), ("pending", status.pending)];
            let devices = devices.map(|(state, devices)| ([state.to_owned()], count(devices)));
            page.gauge("doorward_devices", "Devices that are paired, or wait for approval.", ["state"], devices)?;
        }
        Ok(())
    }

    fn add_audit(&self, page: &mut Page) -> Result<(), PageError> {
        let looked = *self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        looked.map_or(Ok(()), |looked| looked.add(page))
    }
}

/// How each certificate stands. Two for the same names and from the same source are one row, that of the worse.
fn add_certificates(page: &mut Page, standings: &[Standing], now: UnixMillis) -> Result<(), PageError> {
    let labels = ["names", "source"];
    let mut rows: BTreeMap<[String; 2], Worst> = BTreeMap::new();
    for standing in standings {
        let key = [standing.names.join(" "), standing.source.as_str().to_owned()];
        rows.entry(key).or_default().add(standing);
    }
    let of = |read: fn(&Worst) -> Option<f64>| {
        rows.iter().filter_map(|(key, worst)| Some((key.clone(), read(worst)?))).collect::<Vec<_>>()
    };
    page.gauge(
        "doorward_certificate_not_after_timestamp_seconds",
        "When a certificate ends; none is told where there is none yet.",
        labels,
        of(|worst| worst.ends.map(seconds)),
    )?;
    let left = rows.iter().filter_map(|(key, worst)| Some((key.clone(), seconds(worst.ends?.saturating_sub(now.0)))));
    page.gauge("doorward_certificate_left_seconds", "How long a certificate still holds.", labels, left)?;
    page.gauge(
        "doorward_certificate_alarm",
        "0 nothing to do, 1 does not hold yet, 2 a third of its life is left, 3 seven days, 4 a day, 5 it is over.",
        labels,
        of(|worst| Some(f64::from(worst.alarm))),
    )?;
    page.gauge(
        "doorward_certificate_failures",
        "Attempts to have a certificate from its CA that failed since the last one.",
        labels,
        of(|worst| worst.failures.map(f64::from)),
    )?;
    page.gauge(
        "doorward_certificate_next_attempt_timestamp_seconds",
        "When the next step towards a certificate is taken.",
        labels,
        of(|worst| worst.next.map(seconds)),
    )
}

/// What is told of certificates that are for the same names.
#[derive(Default)]
struct Worst {
    alarm: u8,
    ends: Option<i64>,
    failures: Option<u32>,
    next: Option<i64>,
}

impl Worst {
    fn add(&mut self, standing: &Standing) {
        let attempts = standing.attempts.as_ref();
        self.alarm = self.alarm.max(standing.alarm.level());
        self.ends = earliest(self.ends, standing.not_after_ms);
        self.failures = self.failures.max(attempts.map(|attempts| attempts.failures));
        self.next = earliest(self.next, attempts.and_then(|attempts| attempts.next_ms));
    }
}

fn earliest(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

fn words(counts: &BTreeMap<&'static str, u64>) -> Vec<Row<1>> {
    counts.iter().map(|(word, count)| ([(*word).to_owned()], number(*count))).collect()
}

fn of_listener(name: &str, counts: &BTreeMap<&'static str, u64>) -> Vec<Row<2>> {
    counts.iter().map(|(word, count)| ([name.to_owned(), (*word).to_owned()], number(*count))).collect()
}

fn count(items: usize) -> f64 {
    number(u64::try_from(items).unwrap_or(u64::MAX))
}

fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;

    use super::*;
    use crate::certificates::acme::attempts::Attempts;
    use crate::certificates::standing::Source;
    use crate::certificates::x509::Validity;
    use crate::store::{Act, FILE_NAME, Line};
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    const DAY: i64 = 86_400;

    #[tokio::test]
    async fn scrapes_that_gave_up_on_a_disk_that_hangs_hold_one_thread_between_them() {
        let (turn, disk, begun) = (Turn::default(), Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let hangs = disk.lock().unwrap();
        for _ in 0..10 {
            let (disk, begun) = (Arc::clone(&disk), Arc::clone(&begun));
            let scrape = turn.take(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                drop(disk.lock());
            });
            assert!(scrape.now_or_never().is_none());
        }
        drop(hangs);
        assert_eq!(turn.take(|| 7).await.unwrap(), 7, "the next one is told");
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn an_audit_log_that_was_altered_is_told_as_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let (store, clock) = (Store::open(&path).await.unwrap(), Clock::fixed(UnixMillis(7_000)));
        let act = Act::owner("token.rotate", clock.now());
        store.record(&act, Line { change: "token.rotate", ..Line::default() }).await.unwrap();
        let told = async || {
            let mut page = Page::default();
            Looked::through(&store, &clock).await.add(&mut page).unwrap();
            page.text().unwrap()
        };
        let text = told().await;
        assert!(
            text.contains("\ndoorward_audit_chain_ok 1\n") && text.contains("\ndoorward_audit_entries 1\n"),
            "{text}"
        );
        let mut other = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        sqlx::query("UPDATE audit_log SET act = 'another'").execute(&mut other).await.unwrap();
        let text = told().await;
        assert!(text.contains("\ndoorward_audit_chain_ok 0\n") && !text.contains("audit_entries"), "{text}");
        assert!(text.contains("\ndoorward_audit_checked_timestamp_seconds 7\n"), "{text}");
    }

    #[test]
    fn the_alarm_of_a_certificate_is_told_with_the_time_that_is_left() {
        let now = UnixMillis(100 * DAY * 1_000);
        let standing = |name: &str, source, left: i64, attempts| {
            let validity = Some(Validity { begins: (10 + left) * DAY, ends: (100 + left) * DAY });
            Standing::new(vec![name.to_owned()], source, validity, attempts, now)
        };
        let failing = Attempts { failures: 3, next_ms: Some(5_000), ..Attempts::default() };
        let standings = [
            standing("a.example", Source::File, 90, None),
            standing("b.example", Source::File, 40, None),
            standing("b.example", Source::File, 6, None), // For the same names the worst is told, wherever it stands.
            standing("b.example", Source::File, 50, None),
            standing("c.example", Source::Acme, 0, Some(failing)),
            Standing::new(vec!["d.example".to_owned(), "e.example".to_owned()], Source::Acme, None, None, now),
        ];
        let mut page = Page::default();
        add_certificates(&mut page, &standings, now).unwrap();
        let text = page.text().unwrap();
        for line in [
            "doorward_certificate_alarm{names=\"a.example\",source=\"file\"} 0",
            "doorward_certificate_alarm{names=\"b.example\",source=\"file\"} 3",
            "doorward_certificate_alarm{names=\"c.example\",source=\"acme\"} 5",
            "doorward_certificate_alarm{names=\"d.example e.example\",source=\"acme\"} 0",
            "doorward_certificate_left_seconds{names=\"b.example\",source=\"file\"} 518400",
            "doorward_certificate_not_after_timestamp_seconds{names=\"b.example\",source=\"file\"} 9158400",
            "doorward_certificate_failures{names=\"c.example\",source=\"acme\"} 3",
            "doorward_certificate_next_attempt_timestamp_seconds{names=\"c.example\",source=\"acme\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("seconds{names=\"d.example"), "{text}");
    }
}
