//! What is remembered of the attempts for one certificate, and when the next may be made. Pure; it is written to disk
//! before each order, so that an instance that dies and starts again in a loop burns no limit of a CA.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::clock::{UnixMillis, millis};
use crate::base::limits::{
    ACME_CLOCK_SKEW_MAX, ACME_EARLY_WAITS, ACME_RENEWAL_INFO_PERIOD_MAX, ACME_RESUMES_MAX, ACME_RETRY_AFTER_MAX,
    ACME_RETRY_WAIT_FIRST_MAX, ACME_RETRY_WAITS,
};
use crate::certificates::acme::attempts::Failure;
use crate::certificates::acme::renewal::Chosen;

/// The record of one certificate.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Record {
    /// Attempts since the last certificate; one that has begun counts as failed until it has succeeded.
    pub failures: u32,
    /// When the last of them began.
    pub started_ms: i64,
    /// Before this no new order is made.
    pub next_ms: i64,
    /// Directories that asked to be left alone, and until when.
    pub resting: BTreeMap<String, i64>,
    /// Certificates in a row that their CA, or an owner, wanted renewed before their time.
    pub early: u32,
    /// Why the last attempt failed.
    pub failure: Option<Failure>,
    /// The directory that the certificate is from.
    pub issued_by: Option<String>,
    /// The order under way.
    pub order: Option<OpenOrder>,
    /// When the CA would have it renewed.
    pub renewal: Option<Suggestion>,
}

/// An order that was made and not finished.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenOrder {
    /// Where.
    pub directory: String,
    /// Its address there.
    pub url: String,
    /// The private key that its certificate will be for, in PEM.
    pub key: String,
    /// When it was made.
    pub made_ms: i64,
    /// Before this it is not looked at again.
    pub next_ms: i64,
    /// How often it was looked at again in vain.
    #[serde(default)]
    pub resumes: u32,
}

impl std::fmt::Debug for OpenOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without its key.
        f.debug_tuple("OpenOrder").field(&self.url).finish()
    }
}

/// What a CA said of the renewal (RFC 9773 §4.2).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Suggestion {
    /// When it is asked again.
    pub ask_ms: i64,
    /// Its window and our moment in it, if it gave one that can be.
    pub chosen: Option<Chosen>,
    /// Its page that says why.
    pub explanation: Option<String>,
}

impl Record {
    /// Counts an attempt that is about to begin, as failed until [`Record::succeed`]. `life` is that of the certificate
    /// in use, and `spread` 0 to 999.
    pub fn begin(&mut self, life: Option<Duration>, spread: u16, now: UnixMillis) {
        self.failures = self.failures.saturating_add(1);
        self.started_ms = now.0;
        self.next_ms = now.plus(delay(self.failures, life, spread)).0;
        self.resting.retain(|_, until| *until > now.0);
        self.order = None;
    }

    /// `directory` has issued a certificate for `life`. The next order waits a while even if the CA wants it at once: one
    /// that says so of every new certificate would have us order for ever.
    pub fn succeed(&mut self, directory: &str, life: Duration, now: UnixMillis) {
        let [.., longest] = ACME_EARLY_WAITS;
        let step = usize::try_from(self.early).unwrap_or(usize::MAX);
        let wait = ACME_EARLY_WAITS.get(step).copied().unwrap_or(longest).min(life / 4);
        let (issued_by, next_ms) = (Some(directory.to_owned()), now.plus(millis(wait)).0);
        *self = Self { early: self.early, issued_by, next_ms, ..Self::default() };
    }

    /// `directory` asks to be left alone for `wait`.
    pub fn rest(&mut self, directory: &str, wait: Duration, now: UnixMillis) {
        let until = now.plus(millis(wait.min(ACME_RETRY_AFTER_MAX))).0;
        self.resting.insert(directory.to_owned(), until);
    }

    /// Whether `directory` may be asked.
    pub fn is_awake(&self, directory: &str, now: UnixMillis) -> bool {
        self.resting.get(directory).is_none_or(|until| *until <= now.0)
    }

    /// Puts the next order off until one of `directories` may be asked.
    pub fn wait_for(&mut self, directories: &[String]) {
        let until = directories.iter().map(|directory| self.resting.get(directory).copied().unwrap_or(0)).min();
        self.next_ms = self.next_ms.max(until.unwrap_or(0));
    }

    /// Leaves the order under way alone for a while, or gives it up where that was of no use too often.
    pub fn put_off(&mut self, spread: u16, now: UnixMillis) {
        self.failures = self.failures.max(1);
        let next = now.plus(delay(self.failures, None, spread)).0;
        self.failures = self.failures.saturating_add(1);
        if let Some(order) = &mut self.order {
            order.next_ms = order.next_ms.max(next);
            order.resumes = order.resumes.saturating_add(1);
        }
        let given_up = self.order.take_if(|order| order.resumes > ACME_RESUMES_MAX);
        self.next_ms = self.next_ms.max(given_up.map_or(0, |_| next));
    }

    /// Whether it was dated by a clock that was far ahead of the one that shows `now`. One of the two is wrong.
    pub fn is_of_the_future(&self, now: UnixMillis) -> bool {
        let skew = millis(ACME_CLOCK_SKEW_MAX);
        let (latest, beyond) = (latest(now), |time: i64| time > now.plus(skew).0);
        beyond(self.started_ms)
            || self.next_ms > latest
            || self.resting.values().any(|until| *until > latest)
            || self.order.as_ref().is_some_and(|order| beyond(order.made_ms) || order.next_ms > latest)
            || self.renewal.as_ref().is_some_and(|renewal| renewal.ask_ms > latest_question(now))
    }

    /// Makes sense of a record of the future by a clock that is right. Nothing is ordered sooner for it, and nothing waits
    /// for years.
    pub fn mend(&mut self, now: UnixMillis) {
        if self.started_ms > now.plus(millis(ACME_CLOCK_SKEW_MAX)).0 {
            self.started_ms = now.0;
            self.next_ms = now.plus(delay(self.failures, None, 0)).0;
        }
        let latest = latest(now);
        self.next_ms = self.next_ms.min(latest);
        self.resting.retain(|_, until| *until <= latest);
        if let Some(order) = &mut self.order {
            order.made_ms = order.made_ms.min(now.0);
            order.next_ms = order.next_ms.min(now.plus(delay(self.failures, None, 0)).0);
        }
        if let Some(renewal) = &mut self.renewal {
            renewal.ask_ms = renewal.ask_ms.min(latest_question(now));
        }
    }
}

/// Nothing is put off for longer.
fn latest(now: UnixMillis) -> i64 {
    now.plus(millis(ACME_RETRY_AFTER_MAX).saturating_add(millis(ACME_CLOCK_SKEW_MAX))).0
}

/// No CA is left unasked for longer.
fn latest_question(now: UnixMillis) -> i64 {
    now.plus(millis(ACME_RENEWAL_INFO_PERIOD_MAX).saturating_add(millis(ACME_CLOCK_SKEW_MAX))).0
}

/// From the beginning of the `failures`-th attempt to the next, in milliseconds. Never more than an eighth of the
/// life of a certificate that is in use, so that one of 24 hours is tried for often enough.
pub fn delay(failures: u32, life: Option<Duration>, spread: u16) -> i64 {
    let step = usize::try_from(failures).unwrap_or(usize::MAX).saturating_sub(1);
    let [shortest, .., longest] = ACME_RETRY_WAITS;
    let wait = ACME_RETRY_WAITS.get(step).copied().unwrap_or(longest);
    let most = life.map_or(ACME_RETRY_WAIT_FIRST_MAX, |life| (life / 8).max(ACME_RETRY_WAIT_FIRST_MAX / 6));
    let wait = wait.min(most).max(shortest);
    // Up to a quarter more: houses that lost the same CA do not come back in the same second.
    millis(wait.saturating_add(wait.mul_f64(f64::from(spread.min(999)) / 4_000.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_hundred_restarts_in_ten_minutes_make_three_orders() {
        let (mut record, mut orders) = (Record::default(), 0);
        for restart in 0..100 {
            // What the disk gives back is what was written.
            record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            let now = NOW.plus(restart * 6_000);
            assert!(!record.is_of_the_future(now));
            if record.next_ms <= now.0 {
                record.begin(None, 0, now);
                orders += 1;
            }
        }
        assert_eq!(orders, 3);
    }

    #[test]
    fn no_hour_sees_five_attempts() {
        for spread in [0, 999] {
            let (mut record, mut now, mut begun) = (Record::default(), NOW, Vec::new());
            while begun.len() < 30 {
                record.begin(Some(Duration::from_secs(86_400)), spread, now);
                begun.push(now.0);
                now = UnixMillis(record.next_ms);
            }
            for window in begun.windows(5) {
                assert!(window[4] - window[0] > HOUR, "{window:?}");
            }
        }
    }

    #[test]
    fn waits_grow_and_end_at_an_eighth_of_a_life() {
        let hours = |failures, life: Option<u64>| {
            delay(failures, life.map(|hours| Duration::from_secs(hours * 3_600)), 0) as f64 / HOUR as f64
        };
        assert_eq!([1, 2, 3, 4].map(|failures| delay(failures, None, 0)), [60_000, 300_000, 900_000, HOUR]);
        assert_eq!((hours(8, None), hours(1_000, None)), (6.0, 6.0));
        assert_eq!((hours(8, Some(90 * 24)), hours(u32::MAX, Some(90 * 24))), (24.0, 24.0));
        assert_eq!((hours(8, Some(24)), hours(8, Some(6 * 24)), hours(8, Some(1))), (3.0, 18.0, 1.0));
        assert_eq!(delay(0, None, 0), 60_000);
        assert_eq!(delay(1, None, 2_000), 60_000 + 14_985);
    }

    #[test]
    fn whoever_asks_for_time_gets_it_within_reason() {
        let mut record = Record::default();
        record.begin(None, 0, NOW);
        record.rest("a", Duration::from_secs(86_400), NOW);
        record.wait_for(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(record.next_ms, NOW.plus(60_000).0, "b may be asked");
        record.rest("b", Duration::from_secs(u64::MAX), NOW);
        record.wait_for(&["a".to_owned(), "b".to_owned()]);
        assert_eq!(record.next_ms, NOW.plus(24 * HOUR).0);
        assert!(!record.is_awake("b", NOW.plus(7 * 24 * HOUR - 1)) && record.is_awake("b", NOW.plus(7 * 24 * HOUR)));
    }

    #[test]
    fn a_record_of_the_future_neither_waits_for_years_nor_orders_at_once() {
        let future = NOW.plus(20 * 365 * 24 * HOUR);
        let mut record = Record::default();
        record.begin(None, 0, future);
        record.rest("a", Duration::from_secs(60), future);
        record.renewal = Some(Suggestion { ask_ms: future.0, ..Suggestion::default() });
        record.order = Some(open(future));
        assert!(record.is_of_the_future(NOW));
        record.mend(NOW);
        assert_eq!((record.next_ms, record.failures), (NOW.plus(60_000).0, 1));
        assert!(record.is_awake("a", NOW));
        assert_eq!(record.renewal.as_ref().map(|renewal| renewal.ask_ms), Some(NOW.plus(25 * HOUR).0));
        assert_eq!(record.order.as_ref().map(|order| order.made_ms), Some(NOW.0), "an order is not thrown away");
        assert!(!record.is_of_the_future(NOW), "once is enough");
    }

    #[test]
    fn each_time_of_a_record_can_show_that_a_clock_was_wrong() {
        let at = NOW.plus(8 * 24 * HOUR).0;
        let suggestion = Suggestion { ask_ms: at, ..Suggestion::default() };
        for record in [
            Record { started_ms: at, ..Record::default() },
            Record { next_ms: at, ..Record::default() },
            Record { resting: BTreeMap::from([("a".to_owned(), at)]), ..Record::default() },
            Record { order: Some(open(UnixMillis(at))), ..Record::default() },
            Record { order: Some(OpenOrder { next_ms: at, ..open(NOW) }), ..Record::default() },
            Record { renewal: Some(suggestion), ..Record::default() },
        ] {
            assert!(record.is_of_the_future(NOW), "{record:?}");
            assert!(!record.is_of_the_future(UnixMillis(at)), "{record:?}");
        }
        assert!(!Record::default().is_of_the_future(UnixMillis(0)));
    }

    #[test]
    fn an_order_that_comes_to_no_end_is_given_up_and_a_new_one_waits() {
        let mut record = Record { order: Some(open(NOW)), ..Record::default() };
        let (mut now, mut looks) = (NOW, 0);
        while let Some(order) = &record.order {
            now = UnixMillis(order.next_ms.max(now.0));
            record.put_off(0, now);
            looks += 1;
        }
        assert_eq!(looks, ACME_RESUMES_MAX + 1);
        assert!(record.next_ms > now.0);
    }

    #[test]
    fn a_ca_that_wants_every_certificate_renewed_at_once_is_followed_ever_more_slowly() {
        let (day, mut record) = (Duration::from_secs(86_400), Record::default());
        let hours = |record: &Record| (record.next_ms - NOW.0) / HOUR;
        for (early, life, waits) in [(0, 90, 1), (1, 90, 12), (2, 90, 36), (u32::MAX, 90, 36), (u32::MAX, 1, 6)] {
            record.early = early;
            record.succeed("a", day * life, NOW);
            assert_eq!((hours(&record), record.early), (waits, early));
        }
        // Of minutes, for tests.
        record.succeed("a", Duration::from_secs(60), NOW);
        assert_eq!(record.next_ms, NOW.plus(15_000).0);
    }

    #[test]
    fn the_key_of_an_order_is_in_no_log() {
        let shown = format!(
            "{:?}",
            Record { order: Some(OpenOrder { key: "secret".into(), ..open(NOW) }), ..Record::default() }
        );
        assert!(!shown.contains("secret"), "{shown}");
    }

    fn open(made: UnixMillis) -> OpenOrder {
        let text = |text: &str| text.to_owned();
        OpenOrder { directory: text("a"), url: text("u"), key: text("k"), made_ms: made.0, next_ms: 0, resumes: 0 }
    }
}
