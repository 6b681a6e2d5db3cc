//! What happened at one listener, counted by each accept loop for itself, so that no two cores ever wait for one number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;

use super::connection::ConnectionError;
use crate::identity::claims::TlsVersion;
use crate::telemetry::words::Words;

/// The classes of answers (RFC 9110 §15).
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// Where one accept loop counts. Clones count at the same place; [`Tally::apart`] makes another place of the same listener.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Place>);

#[derive(Debug)]
struct Place {
    counts: Arc<Counts>,
    all: Arc<Mutex<Vec<Arc<Counts>>>>,
}

/// Two lines of any processor's cache: the next one is somebody else's to write.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    accepted: AtomicU64,
    answered: [AtomicU64; CLASSES.len()],
    shaken: [AtomicU64; VERSIONS.len()],
    refused: Words,
    unshaken: Words,
}

/// What was counted at one listener, by all of its accept loops.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Connections that were accepted from the kernel.
    pub accepted: u64,
    /// Answered requests, by the class of their status.
    pub answered: BTreeMap<&'static str, u64>,
    /// TLS handshakes that were finished, by version.
    pub shaken: BTreeMap<&'static str, u64>,
    /// Connections that came to no request, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Of these, TLS handshakes that failed.
    pub unshaken: BTreeMap<&'static str, u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::within(Arc::default())
    }
}

impl Tally {
    /// Another place to count at, for another accept loop of the same listener.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::within(Arc::clone(&self.0.all))
    }

    fn within(all: Arc<Mutex<Vec<Arc<Counts>>>>) -> Self {
        let counts = Arc::<Counts>::default();
        held(&all).push(Arc::clone(&counts));
        Self(Arc::new(Place { counts, all }))
    }

    /// A connection was accepted.
    pub(super) fn accepted(&self) {
        one_more(Some(&self.0.counts.accepted));
    }

    /// A TLS handshake was finished.
    pub(super) fn shaken(&self, version: TlsVersion) {
        let place = match version {
            TlsVersion::V1_2 => 0,
            TlsVersion::V1_3 => 1,
        };
        one_more(self.0.counts.shaken.get(place));
    }

    /// A connection came to no request.
    pub(super) fn refused(&self, error: &ConnectionError) {
        self.0.counts.refused.count(error.word());
        if error.is_of_tls() {
            self.0.counts.unshaken.count(error.word());
        }
    }

    /// A request was answered so.
    pub fn answered(&self, status: StatusCode) {
        one_more(self.0.counts.answered.get(usize::from(status.as_u16() / 100).saturating_sub(1)));
    }

    /// What all places of this listener have counted.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for counts in held(&self.0.all).iter() {
            totals.accepted = totals.accepted.saturating_add(counts.accepted.load(Ordering::Relaxed));
            add(&mut totals.answered, CLASSES.into_iter().zip(counts.answered.iter().map(read)));
            add(&mut totals.shaken, VERSIONS.into_iter().zip(counts.shaken.iter().map(read)));
            add(&mut totals.refused, counts.refused.read());
            add(&mut totals.unshaken, counts.unshaken.read());
        }
        totals
    }
}

fn one_more(count: Option<&AtomicU64>) {
    if let Some(count) = count {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(to: &mut BTreeMap<&'static str, u64>, counts: impl IntoIterator<Item = (&'static str, u64)>) {
    for (word, count) in counts {
        let sum = to.entry(word).or_default();
        *sum = sum.saturating_add(count);
    }
}

fn held(all: &Mutex<Vec<Arc<Counts>>>) -> MutexGuard<'_, Vec<Arc<Counts>>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_accept_loops_count_apart_is_told_together() {
        let tally = Tally::default();
        let (one, other) = (tally.apart(), tally.apart());
        one.accepted();
        other.clone().accepted();
        one.shaken(TlsVersion::V1_3);
        other.refused(&ConnectionError::Deadline);
        one.refused(&ConnectionError::Deadline);
        one.refused(&ConnectionError::UnknownName("evil.example".to_owned()));
        for status in [101, 200, 204, 308, 404, 599] {
            one.answered(StatusCode::from_u16(status).unwrap());
        }
        other.answered(StatusCode::OK);
        // No class of HTTP: counted nowhere, and nothing breaks.
        other.answered(StatusCode::from_u16(999).unwrap());
        let totals = tally.totals();
        assert_eq!(totals.accepted, 2);
        assert_eq!(totals.answered, BTreeMap::from([("1xx", 1), ("2xx", 3), ("3xx", 1), ("4xx", 1), ("5xx", 1)]));
        assert_eq!(totals.shaken, BTreeMap::from([("1.2", 0), ("1.3", 1)]));
        assert_eq!(totals.refused, BTreeMap::from([("greeting-too-slow", 2), ("unknown-server-name", 1)]));
        assert_eq!(totals.unshaken, BTreeMap::from([("unknown-server-name", 1)]));
        assert_eq!(Tally::default().totals().accepted, 0, "another listener");
    }

    #[test]
    fn no_two_accept_loops_write_to_one_line_of_the_cache() {
        assert!(align_of::<Counts>() >= 128 && size_of::<Counts>().is_multiple_of(128));
    }
}
