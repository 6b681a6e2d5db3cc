//! Time as a value. Decisions take `now`; only a [`Clock`] makes one, so tests can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

/// Milliseconds since 1970-01-01T00:00:00Z; the gateway protocol's unit of time.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since the epoch, JOSE's unit (RFC 7519 §2, NumericDate); never negative.
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or_default()
    }

    /// This time and `millis` more; stops at the ends of the range instead of wrapping.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this; negative when the clock went back.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where `now` comes from.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Fixed(Arc<AtomicI64>),
    System,
}

impl Clock {
    /// The wall clock of this machine.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock for tests: it stands at `start` until [`Clock::advance`] moves it.
    pub fn fixed(start: UnixMillis) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(start.0))))
    }

    /// Moves a fixed clock by `millis`, back when negative. The system clock does not move.
    pub fn advance(&self, millis: i64) {
        if let Source::Fixed(now) = &self.0 {
            now.fetch_add(millis, Ordering::SeqCst);
        }
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::Fixed(now) => UnixMillis(now.load(Ordering::SeqCst)),
            Source::System => UnixMillis(system_millis()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_millis() -> i64 {
    match std::time::SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(elapsed) => i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
        // A clock before 1970 is a clock that is not set.
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(UnixMillis(1_000));
        assert_eq!(clock.now(), UnixMillis(1_000));
        clock.advance(-2_500);
        assert_eq!(clock.now(), UnixMillis(-1_500));
        assert_eq!(clock.now().seconds(), 0);
    }

    #[test]
    fn the_system_clock_is_past_this_code() {
        assert!(Clock::system().now() > UnixMillis(1_760_000_000_000));
    }
}
