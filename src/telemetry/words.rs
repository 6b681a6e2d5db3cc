//! How often something happened, by the word for it.
//!
//! Invariant: a word is `&'static str`, so it stands in this program. What a stranger chose cannot become one, and the table is
//! never larger than the program has words.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The counts. For what happens seldom, or is counted by one event loop alone: it is a lock and a search.
#[derive(Debug, Default)]
pub struct Words(Mutex<BTreeMap<&'static str, u64>>);

impl Words {
    /// Counts one more.
    pub fn count(&self, word: &'static str) {
        let mut words = self.words();
        let count = words.entry(word).or_default();
        *count = count.saturating_add(1);
    }

    /// The counts so far.
    pub fn read(&self) -> BTreeMap<&'static str, u64> {
        self.words().clone()
    }

    fn words(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        // A count is whole between calls.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_its_count() {
        let words = Words::default();
        ["a", "b", "a"].iter().for_each(|word| words.count(word));
        assert_eq!(words.read(), BTreeMap::from([("a", 2), ("b", 1)]));
    }
}
