//! When lines leave, in which order, and what becomes of those that find no room.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tracing::info;

use super::*;

#[test]
fn lines_of_requests_leave_soon_and_in_order() {
    let (end, written) = end();
    let (output, log) = Output::to(end);
    // The second comes when its thread waits again.
    for text in ["one", "two"] {
        logged(&output, || info!(target: ACCESS, "{text}"));
        assert!(written.recv_timeout(Duration::from_secs(60)).unwrap().contains(text));
    }
    drop(log);
}

#[test]
fn any_other_line_is_out_at_once_and_after_those_before_it() {
    let (end, written) = end();
    let output = Output::without_thread(end);
    logged(&output, || {
        info!(target: ACCESS, "a request");
        assert!(written.try_recv().is_err(), "it is gathered, and nobody writes it");
        warn!("a fault");
    });
    let text = written.try_recv().unwrap();
    assert!(text.find("a request") < text.find("a fault") && text.lines().count() == 2, "{text}");
}

#[test]
fn no_line_is_lost_at_the_end_or_by_a_panic_and_later_ones_leave_at_once() {
    let (end, written) = end();
    let (output, log) = Output::to(end);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _log = log;
        for _ in 0..1_000 {
            output.0.gather(b"a request\n");
        }
        std::panic::resume_unwind(Box::new("a fault of ours"));
    }));
    assert!(panicked.is_err());
    assert_eq!(written.try_iter().collect::<String>().lines().count(), 1_000);
    logged(&output, || info!(target: ACCESS, "late"));
    assert!(written.try_recv().unwrap().contains("late"));
}

#[test]
fn what_finds_no_room_is_counted_and_told() {
    let (end, written) = end();
    let output = Output::without_thread(end);
    // Standard error is stuck: nobody takes what was gathered.
    output.0.gathered().lines.resize(LOG_GATHERED_BYTES_MAX, b'\n');
    for _ in 0..3 {
        assert!(output.0.gather(b"a request\n"));
    }
    assert_eq!(output.0.gathered().lines.len(), LOG_GATHERED_BYTES_MAX);
    // It is not any more.
    output.0.gathered().state = State::Closing;
    logged(&output, || output.run());
    let pieces: Vec<String> = written.try_iter().collect();
    assert_eq!(pieces.first().unwrap().len(), LOG_GATHERED_BYTES_MAX);
    let told = pieces.last().unwrap();
    assert!(told.contains("dropped") && told.contains("held_back=3"), "{told}");
}

#[test]
fn the_last_line_that_fits_is_kept() {
    let (end, _written) = end();
    let output = Output::without_thread(end);
    output.0.gathered().lines.resize(LOG_GATHERED_BYTES_MAX - 2, b'\n');
    output.0.gather(b"x\n");
    assert_eq!(output.0.gathered().dropped, 0);
    output.0.gather(b"\n");
    assert_eq!(output.0.gathered().dropped, 1);
}

/// Somewhere to write to, and what was written, one piece for each time.
fn end() -> (End, Receiver<String>) {
    let (sender, receiver) = channel();
    (End(sender), receiver)
}

struct End(Sender<String>);

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(output: &Output, act: impl FnOnce()) {
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(output.clone()).finish();
    tracing::subscriber::with_default(subscriber, act);
}
