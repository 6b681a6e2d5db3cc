//! Time as a value. Decisions take `now`; only a [`Clock`] makes one, so tests can set it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// Milliseconds since 1970-01-01T00:00:00Z; the gateway protocol's unit of time.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whether a clock that shows this may be right: one that shows a time before this code was made was never set.
    pub fn is_set(self) -> bool {
        self >= EARLIEST
    }

    /// The beginning of this second since the epoch, X.509's and ACME's unit.
    pub fn of_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// Whole seconds since the epoch, JOSE's unit (RFC 7519 §2, NumericDate); never negative.
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0 / 1000).unwrap_or_default()
    }

    /// As a log line has it: `2026-11-01T00:00:00Z`.
    pub fn date(self) -> String {
        let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        let date = time::OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1_000)).ok();
        date.and_then(|date| date.format(&format).ok()).unwrap_or_else(|| self.0.to_string())
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

    /// How long before `now` this was, in words.
    pub fn ago(self, now: Self) -> String {
        let seconds = now.since(self).max(0) / 1_000;
        match seconds {
            0..=1 => "just now".to_owned(),
            2..120 => format!("{seconds} seconds ago"),
            120..7_200 => format!("{} minutes ago", seconds / 60),
            7_200..172_800 => format!("{} hours ago", seconds / 3_600),
            _ => format!("{} days ago", seconds / 86_400),
        }
    }
}

/// A duration in milliseconds; one that is longer than that counts is the longest.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// 2026-11-01, shortly before this code. A clock that shows an earlier time is not set yet.
pub const EARLIEST: UnixMillis = UnixMillis(1_793_491_200_000);

/// One moment on both clocks: what the wall clock shows, and for how long this machine has been up, asleep or not, which
/// no setting of the wall clock changes. A window that must not be moved is kept by its uptime.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moment {
    /// What the wall clock shows.
    pub wall: UnixMillis,
    /// Milliseconds since this machine was started.
    pub uptime: i64,
    /// The name of that start.
    pub boot: Arc<str>,
}

impl Moment {
    /// The uptime when the wall clock, had it never been set, showed `wall`.
    pub fn uptime_at(&self, wall: UnixMillis) -> i64 {
        self.uptime.saturating_sub(self.wall.since(wall))
    }

    /// What the wall clock, had it never been set, showed at `uptime`.
    pub fn wall_at(&self, uptime: i64) -> UnixMillis {
        UnixMillis(self.wall.0.saturating_sub(self.uptime.saturating_sub(uptime)))
    }
}

/// For how long this machine has been up, asleep or not: the time of windows that are kept in memory alone.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Uptime(Duration);

impl Uptime {
    /// From `earlier` to this; nothing if that was later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// This and `more`.
    #[must_use]
    pub fn plus(self, more: Duration) -> Self {
        Self(self.0.saturating_add(more))
    }
}

/// Where `now` comes from. Clones are one clock.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
    /// By how much the wall clock was ahead of the time that has passed, at most.
    ahead: Arc<AtomicI64>,
    /// The start of this machine.
    boot: Arc<str>,
}

#[derive(Clone, Debug)]
enum Source {
    /// What the wall clock shows, and how much time has passed.
    Fixed(Arc<(AtomicI64, AtomicI64)>),
    System(Instant),
}

impl Clock {
    /// The wall clock of this machine.
    pub fn system() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // Where the kernel does not say, no two processes are of one start.
        let boot = if boot.trim().is_empty() { Uuid::new_v4().to_string() } else { boot.trim().to_owned() };
        Self::of(Source::System(Instant::now()), &boot)
    }

    /// A clock for tests: it stands at `start` until [`Clock::advance`] moves it.
    pub fn fixed(start: UnixMillis) -> Self {
        Self::of(Source::Fixed(Arc::new((AtomicI64::new(start.0), AtomicI64::new(0)))), "fixed")
    }

    fn of(source: Source, boot: &str) -> Self {
        let clock = Self { source, ahead: Arc::new(AtomicI64::new(i64::MIN)), boot: boot.into() };
        let _first = clock.steady();
        clock
    }

    /// Lets `millis` pass on a fixed clock; when negative, its wall clock is set back. The system clock does not move.
    pub fn advance(&self, millis: i64) {
        if let Source::Fixed(fixed) = &self.source {
            fixed.0.fetch_add(millis, Ordering::SeqCst);
            fixed.1.fetch_add(millis.max(0), Ordering::SeqCst);
        }
    }

    /// Sets the wall clock of a fixed clock without letting time pass. The system clock does not move.
    pub fn set(&self, wall: UnixMillis) {
        if let Source::Fixed(fixed) = &self.source {
            fixed.0.store(wall.0, Ordering::SeqCst);
        }
    }

    /// This moment on both clocks.
    pub fn moment(&self) -> Moment {
        Moment { wall: self.now(), uptime: self.uptime_millis(), boot: Arc::clone(&self.boot) }
    }

    /// For how long this machine has been up.
    pub fn uptime(&self) -> Uptime {
        Uptime(Duration::from_millis(u64::try_from(self.uptime_millis()).unwrap_or_default()))
    }

    fn uptime_millis(&self) -> i64 {
        match &self.source {
            Source::Fixed(fixed) => fixed.1.load(Ordering::SeqCst),
            Source::System(_) => uptime_millis(),
        }
    }

    /// The time now.
    pub fn now(&self) -> UnixMillis {
        match &self.source {
            Source::Fixed(fixed) => UnixMillis(fixed.0.load(Ordering::SeqCst)),
            Source::System(_) => UnixMillis(system_millis()),
        }
    }

    /// The time now as long as the wall clock goes forward; where it was set back, what it would show had it not been.
    /// So of two things that this process dated by it, the later never looks like the earlier.
    pub fn steady(&self) -> UnixMillis {
        let passed = match &self.source {
            Source::Fixed(fixed) => fixed.1.load(Ordering::SeqCst),
            Source::System(start) => millis(start.elapsed()),
        };
        let ahead = self.now().0.saturating_sub(passed);
        UnixMillis(passed.saturating_add(self.ahead.fetch_max(ahead, Ordering::SeqCst).max(ahead)))
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn system_millis() -> i64 {
    match std::time::SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(elapsed) => millis(elapsed),
        // A clock before 1970 is a clock that is not set.
        Err(_) => 0,
    }
}

/// Since the machine was started; the time it slept counts.
fn uptime_millis() -> i64 {
    let uptime = clock_gettime(ClockId::Boottime);
    uptime.tv_sec.saturating_mul(1_000).saturating_add(uptime.tv_nsec / 1_000_000)
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
    fn steady_time_follows_the_wall_clock_and_never_back() {
        let clock = Clock::fixed(UnixMillis(10_000));
        for (moved, now, steady) in [(500, 10_500, 10_500), (-9_000, 1_500, 10_500), (300, 1_800, 10_800)] {
            clock.advance(moved);
            assert_eq!((clock.now(), clock.clone().steady()), (UnixMillis(now), UnixMillis(steady)));
        }
        let system = Clock::system();
        assert!(system.steady().since(system.now()).abs() < 1_000);
    }

    #[test]
    fn a_date_is_told_whatever_the_number() {
        assert_eq!(EARLIEST.date(), "2026-11-01T00:00:00Z");
        assert!(EARLIEST.is_set() && !EARLIEST.plus(-1).is_set());
        assert_eq!(UnixMillis(-1).date(), "1969-12-31T23:59:59Z");
        assert_eq!(UnixMillis(i64::MAX).date(), i64::MAX.to_string());
    }

    #[test]
    fn a_moment_is_told_by_the_clock_as_it_stands_now_however_it_was_set() {
        let clock = Clock::fixed(UnixMillis(1_000_000));
        clock.advance(7_000);
        let then = clock.moment().uptime_at(clock.now());
        clock.advance(300);
        for set in [0, -5_000, 1_000_000, 315_360_000_000, i64::MAX] {
            clock.set(UnixMillis(set));
            assert_eq!(clock.moment().wall_at(then), UnixMillis(set - 300), "{set}");
            assert_eq!(clock.moment().uptime_at(UnixMillis(set - 300)), then, "{set}");
        }
        let (first, second) = (Clock::system().moment(), Clock::system().moment());
        assert!(first.uptime > 0 && second.uptime >= first.uptime && first.boot == second.boot);
    }

    #[test]
    fn an_age_is_told_in_the_unit_that_fits() {
        for (seconds, ago) in [
            (-5, "just now"),
            (1, "just now"),
            (2, "2 seconds ago"),
            (119, "119 seconds ago"),
            (120, "2 minutes ago"),
            (7_199, "119 minutes ago"),
            (7_200, "2 hours ago"),
            (172_799, "47 hours ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(UnixMillis(500).ago(UnixMillis(500 + seconds * 1_000)), ago);
        }
        assert_eq!(UnixMillis(i64::MAX).ago(UnixMillis(i64::MIN)), "just now");
    }

    #[test]
    fn the_system_clock_is_past_this_code() {
        assert!(Clock::system().now() > UnixMillis(1_760_000_000_000));
    }
}
