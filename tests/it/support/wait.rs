//! Waiting for a fact, for as long as a busy machine may need.

use std::time::{Duration, Instant};

/// The longest wait that is a part of a test's story is a minute and a quarter.
const WAIT: Duration = Duration::from_secs(150);

/// Waits until `reached`; a failure shows `story`.
pub(crate) fn until(reached: impl Fn() -> bool, story: impl Fn() -> String) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < WAIT, "not in {WAIT:?}:\n{}", story());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The same, where the log that a failing test shows anyway is story enough.
pub(crate) fn wait_until(reached: impl Fn() -> bool) {
    until(reached, String::new);
}
