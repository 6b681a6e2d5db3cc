//! A stranger can be refused as often as it likes, so only so many lines tell of it in a while; the rest are counted.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::base::limits::{REFUSAL_LINES_MAX, REFUSAL_LINES_PERIOD};

/// Holds back lines beyond [`REFUSAL_LINES_MAX`] in each [`REFUSAL_LINES_PERIOD`].
#[derive(Debug, Default)]
pub struct Gate(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: usize,
    held_back: u64,
}

impl Gate {
    /// Leave for one more line at `now`, with the number of those that were held back before it.
    pub fn pass(&self, now: Instant) -> Option<u64> {
        // Plain counts: whatever a panic left of them is good enough.
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |began: Instant| now.saturating_duration_since(began) >= REFUSAL_LINES_PERIOD;
        if window.began.is_none_or(is_over) {
            window.began = Some(now);
            window.lines = 0;
        }
        if window.lines >= REFUSAL_LINES_MAX {
            window.held_back = window.held_back.saturating_add(1);
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.held_back))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let (gate, now) = (Gate::default(), Instant::now());
        let passed = (0..100_000).filter(|_| gate.pass(now).is_some()).count();
        assert_eq!(passed, REFUSAL_LINES_MAX);
        let almost = now + REFUSAL_LINES_PERIOD - Duration::from_millis(1);
        assert_eq!(gate.pass(almost), None);
        let later = now + REFUSAL_LINES_PERIOD;
        assert_eq!(gate.pass(later), Some(100_001 - u64::try_from(REFUSAL_LINES_MAX).unwrap()));
        assert_eq!(gate.pass(later), Some(0));
    }
}
