//! What is remembered of the attempts for one certificate, and when the next may be made. Pure; it is written to disk
//! before each order, so that an instance that dies and starts again in a loop burns no limit of a CA.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::clock::UnixMillis;
use crate::base::limits::{
    ACME_CLOCK_SKEW_MAX, ACME_ORDER_LIFE, ACME_RETRY_AFTER_MAX, ACME_RETRY_WAIT_FIRST_MAX, ACME_RETRY_WAITS,
};
use crate::certificates::acme::attempts::Failure;

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
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
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
}

/// What a CA said of the renewal (RFC 9773 §4.2).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// When it is asked again.
    pub ask_ms: i64,
    /// Its window, if it gave one that can be.
    pub window: Option<(i64, i64)>,
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

    /// `directory` has issued.
    pub fn succeed(&mut self, directory: &str) {
        *self = Self { issued_by: Some(directory.to_owned()), ..Self::default() };
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

    /// Leaves the order under way alone for a while.
    pub fn put_off(&mut self, spread: u16, now: UnixMillis) {
        self.failures = self.failures.max(1);
        let next = now.plus(delay(self.failures, None, spread)).0;
        self.failures = self.failures.saturating_add(1);
        if let Some(order) = &mut self.order {
            order.next_ms = next;
        }
    }

    /// Makes sense of a record of the future: the clock that dated it was wrong, or the one of now is. Nothing is
    /// ordered sooner for it, and nothing waits for years. Says whether it changed.
    pub fn mend(&mut self, now: UnixMillis) -> bool {
        let before = self.clone();
        let skew = millis(ACME_CLOCK_SKEW_MAX);
        if self.started_ms > now.plus(skew).0 {
            self.started_ms = now.0;
            self.next_ms = now.plus(delay(self.failures, None, 0)).0;
        }
        let latest = now.plus(millis(ACME_RETRY_AFTER_MAX).saturating_add(skew)).0;
        self.next_ms = self.next_ms.min(latest);
        self.resting.retain(|_, until| *until <= latest);
        let is_current = |order: &OpenOrder| {
            let age = now.since(UnixMillis(order.made_ms));
            -skew <= age && age <= millis(ACME_ORDER_LIFE)
        };
        self.order = self.order.take().filter(is_current);
        *self != before
    }
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

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
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
            record.mend(now);
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
        let mut record = Record::default();
        record.begin(None, 0, NOW.plus(20 * 365 * 24 * HOUR));
        record.rest("a", Duration::from_secs(60), NOW.plus(20 * 365 * 24 * HOUR));
        assert!(record.mend(NOW));
        assert_eq!((record.next_ms, record.failures), (NOW.plus(60_000).0, 1));
        assert!(record.is_awake("a", NOW));
        assert!(!record.clone().mend(NOW), "once is enough");
    }

    #[test]
    fn an_old_order_is_forgotten() {
        let order = OpenOrder {
            directory: "a".to_owned(),
            url: "u".to_owned(),
            key: "k".to_owned(),
            made_ms: NOW.0,
            next_ms: 0,
        };
        for (passed, kept) in [(0, true), (24 * HOUR, true), (24 * HOUR + 1, false), (-2 * HOUR, false)] {
            let mut record = Record { order: Some(order.clone()), ..Record::default() };
            record.mend(NOW.plus(passed));
            assert_eq!(record.order.is_some(), kept, "{passed}");
        }
    }
}
