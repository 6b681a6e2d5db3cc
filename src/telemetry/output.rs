//! Standard error, shared by all threads. The lines of the access log are gathered for a moment and leave together, so
//! that a request pays for a copy and not for a system call. Every other line leaves at once, after those before it.
//!
//! What is gathered is bounded: where standard error takes lines too slowly, those of requests are dropped and counted,
//! and the log says how many. None is lost by an orderly end or by a panic: [`Log`] writes what is left.

use std::io;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use tracing::{Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

use crate::base::limits::{LOG_CLOSE_WAIT, LOG_GATHER_WAIT, LOG_GATHERED_BYTES_MAX, LOG_GATHERED_BYTES_SOON};

use super::ACCESS;

/// The log of this process. What was gathered is written when this is dropped, and each later line at once.
#[must_use = "what was gathered is written when this is dropped"]
#[derive(Debug)]
pub struct Log(Output);

/// Where lines go. Clones are one output.
#[derive(Clone)]
pub(super) struct Output(Arc<Shared>);

struct Shared {
    /// Locked before `gathered` where both are: lines leave in the order in which they came.
    end: Mutex<Box<dyn Write + Send>>,
    gathered: Mutex<Gathered>,
    /// Something about `gathered` changed that its thread, or who waits for that, wants to know.
    changed: Condvar,
}

#[derive(Default)]
struct Gathered {
    lines: Vec<u8>,
    /// Lines that found no room.
    dropped: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// Lines are gathered.
    #[default]
    Open,
    /// The thread is to write what is there, and to end.
    Closing,
    /// No thread looks after what is gathered: each line leaves at once.
    Closed,
}

impl Output {
    /// Lines go to `end`, gathered by a thread of their own.
    pub(super) fn to(end: impl Write + Send + 'static) -> (Self, Log) {
        let output = Self::without_thread(end);
        let gatherer = output.clone();
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || gatherer.run());
        if thread.is_err() {
            output.0.gathered().state = State::Closed;
        }
        (output.clone(), Log(output))
    }

    fn without_thread(end: impl Write + Send + 'static) -> Self {
        let shared = Shared { end: Mutex::new(Box::new(end)), gathered: Mutex::default(), changed: Condvar::new() };
        Self(Arc::new(shared))
    }

    /// Until the log is closed: waits for lines, a moment for more, and writes them.
    fn run(&self) {
        let shared = &self.0;
        let mut lines = Vec::new();
        loop {
            let is_idle = |gathered: &mut Gathered| gathered.state == State::Open && gathered.lines.is_empty();
            let gathered =
                shared.changed.wait_while(shared.gathered(), is_idle).unwrap_or_else(PoisonError::into_inner);
            let may_wait = |gathered: &mut Gathered| {
                gathered.state == State::Open && gathered.lines.len() < LOG_GATHERED_BYTES_SOON
            };
            let waited = shared.changed.wait_timeout_while(gathered, LOG_GATHER_WAIT, may_wait);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            let (state, dropped) = shared.write_gathered(&mut lines);
            if dropped > 0 {
                warn!(
                    held_back = dropped,
                    "lines of the access log were dropped: standard error is read too slowly; `[log] access = false` ends it"
                );
            }
            if state == State::Closing {
                break;
            }
        }
        shared.gathered().state = State::Closed;
        shared.changed.notify_all();
    }
}

impl Shared {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        // Whole lines and plain counts: whatever a panic left of them is good enough.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was gathered, by way of `lines`, whose room is used again; says what was dropped since the last time.
    fn write_gathered(&self, lines: &mut Vec<u8>) -> (State, u64) {
        let mut end = self.end();
        lines.clear();
        lines.shrink_to(LOG_GATHERED_BYTES_SOON);
        let mut gathered = self.gathered();
        std::mem::swap(lines, &mut gathered.lines);
        let told = (gathered.state, std::mem::take(&mut gathered.dropped));
        drop(gathered);
        // Nobody is left to tell that the log cannot be written.
        let _ = end.write_all(lines);
        told
    }

    /// Keeps this line for a moment; says whether it did.
    fn gather(&self, line: &[u8]) -> bool {
        let mut gathered = self.gathered();
        if gathered.state != State::Open {
            return false;
        }
        let (before, after) = (gathered.lines.len(), gathered.lines.len() + line.len());
        if after > LOG_GATHERED_BYTES_MAX {
            gathered.dropped = gathered.dropped.saturating_add(1);
            return true;
        }
        gathered.lines.extend_from_slice(line);
        drop(gathered);
        if before == 0 || (before < LOG_GATHERED_BYTES_SOON && after >= LOG_GATHERED_BYTES_SOON) {
            self.changed.notify_all();
        }
        true
    }

    /// Writes this line at once, after those that were gathered.
    fn write(&self, line: &[u8]) {
        let mut end = self.end();
        let mut lines = std::mem::take(&mut self.gathered().lines);
        lines.extend_from_slice(line);
        // There is nowhere left to complain.
        let _ = end.write_all(&lines);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut gathered = shared.gathered();
        if gathered.state == State::Open {
            gathered.state = State::Closing;
        }
        shared.changed.notify_all();
        // A reader that stopped reading must not keep us from ending.
        let _ = shared.changed.wait_timeout_while(gathered, LOG_CLOSE_WAIT, |gathered| gathered.state != State::Closed);
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("state", &self.0.gathered().state).finish_non_exhaustive()
    }
}

/// Takes one whole line in each call of `write`, as `tracing_subscriber` does it.
pub(super) struct Line<'a> {
    shared: &'a Shared,
    way: Way,
}

enum Way {
    AtOnce,
    Gathered,
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, way: Way::AtOnce }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, way: if metadata.target() == ACCESS { Way::Gathered } else { Way::AtOnce } }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_gathered = match self.way {
            Way::AtOnce => false,
            Way::Gathered => self.shared.gather(line),
        };
        if !is_gathered {
            self.shared.write(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
