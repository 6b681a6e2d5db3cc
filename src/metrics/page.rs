//! Rows of numbers as monitors read them. Names, labels and help are checked and escaped by the library; every scrape makes
//! its own registry, so nothing is kept between two of them.

use prometheus::core::Collector;
use prometheus::{CounterVec, Encoder, GaugeVec, Opts, Registry, TextEncoder};
use thiserror::Error;

/// The media type of [`Page::text`].
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A row: the values of its labels, and its number.
pub(super) type Row<const LABELS: usize> = ([String; LABELS], f64);

/// Numbers put together for one scrape.
#[derive(Debug, Default)]
pub(super) struct Page(Registry);

/// Why there is no page: a fault of ours.
#[derive(Debug, Error)]
pub(super) enum PageError {
    /// What stands in them could not be had: a panic of ours.
    #[error("numbers cannot be had: {0}")]
    Broken(#[from] tokio::task::JoinError),
    /// The library refused a name, a label or a row.
    #[error("numbers cannot be shown: {0}")]
    Refused(#[from] prometheus::Error),
    /// Not text.
    #[error("numbers are not text: {0}")]
    Text(#[from] std::string::FromUtf8Error),
}

impl Page {
    /// What goes up and down.
    pub(super) fn gauge<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; LABELS],
        rows: impl IntoIterator<Item = Row<LABELS>>,
    ) -> Result<(), PageError> {
        let gauges = GaugeVec::new(Opts::new(name, help), &labels)?;
        for (values, number) in rows {
            gauges.get_metric_with_label_values(&values)?.set(number);
        }
        self.add(gauges)
    }

    /// What only goes up while the process lives. Rows of the same labels are added.
    pub(super) fn counter<const LABELS: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; LABELS],
        rows: impl IntoIterator<Item = Row<LABELS>>,
    ) -> Result<(), PageError> {
        let counters = CounterVec::new(Opts::new(name, help), &labels)?;
        for (values, number) in rows {
            counters.get_metric_with_label_values(&values)?.inc_by(number);
        }
        self.add(counters)
    }

    /// One number that stands alone.
    pub(super) fn lone(&mut self, name: &str, help: &str, number: f64) -> Result<(), PageError> {
        self.gauge(name, help, [], [([], number)])
    }

    /// All of it.
    pub(super) fn text(&self) -> Result<String, PageError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.gather(), &mut text)?;
        Ok(String::from_utf8(text)?)
    }

    fn add(&mut self, numbers: impl Collector + 'static) -> Result<(), PageError> {
        Ok(self.0.register(Box::new(numbers))?)
    }
}

/// A number as the format has it. Above 2^53 the last digits are lost, which no count here reaches.
pub(super) fn number(count: u64) -> f64 {
    let (high, low) = (u32::try_from(count >> 32).unwrap_or(u32::MAX), count & u64::from(u32::MAX));
    f64::from(high) * 4_294_967_296.0 + f64::from(u32::try_from(low).unwrap_or(u32::MAX))
}

/// Seconds of a time or span in milliseconds.
pub(super) fn seconds(millis: i64) -> f64 {
    let magnitude = number(millis.unsigned_abs()) / 1_000.0;
    if millis < 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_with_their_help_and_kind_and_no_label_breaks_out() {
        let mut page = Page::default();
        let row = |label: &str, number: f64| ([label.to_owned()], number);
        page.counter("a_total", "How often.", ["why"], [row("x", 2.0), row("x", 3.0), row("q\"\n\\", 1.0)]).unwrap();
        page.gauge("b_seconds", "How long.", ["of"], []).unwrap();
        page.lone("c", "One\nline.", 1.5).unwrap();
        assert_eq!(
            page.text().unwrap(),
            "# HELP a_total How often.\n# TYPE a_total counter\na_total{why=\"q\\\"\\n\\\\\"} 1\na_total{why=\"x\"} 5\n\
             # HELP c One\\nline.\n# TYPE c gauge\nc 1.5\n"
        );
    }

    #[test]
    fn a_name_that_no_monitor_takes_is_a_fault_of_ours() {
        assert!(Page::default().lone("a-b", "x", 1.0).is_err());
        let mut page = Page::default();
        page.lone("a", "x", 1.0).unwrap();
        assert!(page.lone("a", "x", 2.0).is_err(), "told twice");
    }

    #[test]
    fn counts_and_times_keep_their_size() {
        for (count, text) in [(0, "0"), (1, "1"), (4_294_967_295, "4294967295"), (4_294_967_297, "4294967297")] {
            assert_eq!(number(count).to_string(), text);
        }
        assert_eq!((seconds(1_500), seconds(-1_500), seconds(0)), (1.5, -1.5, 0.0));
    }
}
