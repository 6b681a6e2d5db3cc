//! The end of a connection that the listener itself refuses or closes: a few bytes out, the goodbye, and a
//! short wait for what the peer had already sent.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::head::HeadFault;
use super::io::Transport;
use crate::base::limits::{LINGER_BYTES_MAX, LINGER_WAIT};

/// The whole of a refusal takes no longer.
const WAIT: Duration = LINGER_WAIT;
/// What is thrown away is read in pieces of this size.
const SCRATCH_BYTES: usize = 2048;

/// A refusal under way.
#[derive(Debug)]
pub(super) struct Refusal {
    answer: Cow<'static, [u8]>,
    sent: usize,
    step: Step,
    discarded: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Step {
    Answer,
    Goodbye,
    Linger,
}

impl Refusal {
    /// Closes without an answer.
    pub(super) fn silent() -> Self {
        Self { answer: Cow::Borrowed(b""), sent: 0, step: Step::Answer, discarded: 0, deadline: None }
    }

    /// Closes after the rest of an answer, of which `sent` bytes are out.
    pub(super) fn after(answer: Vec<u8>, sent: usize) -> Self {
        Self { answer: Cow::Owned(answer), sent, ..Self::silent() }
    }

    /// Answers `fault`, then closes.
    pub(super) fn of(fault: HeadFault) -> Self {
        Self { answer: Cow::Borrowed(answer(fault)), ..Self::silent() }
    }

    /// Ready when nothing is left to do, done or given up.
    pub(super) fn poll(&mut self, stream: &mut Transport, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + WAIT)));
        if deadline.as_mut().poll(cx).is_ready() {
            stream.cut();
            return Poll::Ready(());
        }
        let ended = ready!(self.advance(stream, cx));
        if ended.is_err() {
            stream.cut();
        }
        Poll::Ready(())
    }

    fn advance(&mut self, stream: &mut Transport, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.step {
                Step::Answer => {
                    let rest = self.answer.get(self.sent..).unwrap_or_default();
                    if rest.is_empty() {
                        ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                        self.step = Step::Goodbye;
                        continue;
                    }
                    match ready!(Pin::new(&mut *stream).poll_write(cx, rest))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        sent => self.sent = self.sent.saturating_add(sent),
                    }
                }
                Step::Goodbye => {
                    ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
                    self.step = Step::Linger;
                }
                Step::Linger => {
                    let mut scratch = [0; SCRATCH_BYTES];
                    let mut scratch = ReadBuf::new(&mut scratch);
                    ready!(Pin::new(&mut *stream).poll_read(cx, &mut scratch))?;
                    self.discarded = self.discarded.saturating_add(scratch.filled().len());
                    if scratch.filled().is_empty() || self.discarded > LINGER_BYTES_MAX {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

/// The same words as the edge's own refusals, ready made: at this point nothing is known but the fault.
fn answer(fault: HeadFault) -> &'static [u8] {
    macro_rules! answer {
        ($status:literal, $reason:literal, $next:literal) => {
            concat!(
                "HTTP/1.1 ",
                $status,
                "\r\nconnection: close\r\ncache-control: no-store\r\ncontent-type: text/plain; charset=utf-8\r\n",
                "x-content-type-options: nosniff\r\n\r\n",
                $reason,
                ": ",
                $next,
                "\n"
            )
            .as_bytes()
        };
    }
    match fault {
        HeadFault::TooLarge => {
            answer!("431 Request Header Fields Too Large", "head-too-large", "send at most 64 KiB of headers")
        }
        HeadFault::TooManyLines => {
            answer!("431 Request Header Fields Too Large", "too-many-headers", "send at most 100 header lines")
        }
        HeadFault::TooSlow => answer!("408 Request Timeout", "head-too-slow", "send the whole head within 5 seconds"),
        HeadFault::BareLineFeed | HeadFault::RequestLine | HeadFault::Unreadable => {
            answer!("400 Bad Request", "malformed-request", "send a request as RFC 9112 has it")
        }
    }
}
