//! The end of a connection that the listener itself refuses or closes: a few bytes out, the goodbye, and a
//! short wait for what the peer had already sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::facts::HeadRefusal;
use super::transport::Transport;
use crate::base::code::Code;
use crate::base::limits::{LINGER_BYTES_MAX, LINGER_PIECE_BYTES, LINGER_WAIT};

/// A refusal under way.
#[derive(Debug)]
pub(super) struct Refusal {
    answer: Vec<u8>,
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
        Self { answer: Vec::new(), sent: 0, step: Step::Answer, discarded: 0, deadline: None }
    }

    /// Closes after the rest of an answer, of which `sent` bytes are out.
    pub(super) fn after(answer: Vec<u8>, sent: usize) -> Self {
        Self { answer, sent, ..Self::silent() }
    }

    /// Answers what is wrong with a head, then closes.
    pub(super) fn of(refusal: HeadRefusal) -> Self {
        Self { answer: answer(refusal), ..Self::silent() }
    }

    /// Ready when nothing is left to do, done or given up.
    pub(super) fn poll(&mut self, stream: &mut Transport, cx: &mut Context<'_>) -> Poll<()> {
        let deadline =
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + LINGER_WAIT)));
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
                    let mut scratch = [0; LINGER_PIECE_BYTES];
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

/// An answer like the edge's own refusals: at this point nothing is known but the fault.
fn answer(HeadRefusal { fault, code }: HeadRefusal) -> Vec<u8> {
    let (status, reason, next) = (fault.status(), fault.reason(), fault.next());
    let told = code.map(Code::told).unwrap_or_default();
    format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncache-control: no-store\r\n\
         content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n\r\n{reason}: {next}\n{told}"
    )
    .into_bytes()
}
