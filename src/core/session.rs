//! One WebSocket's life after `hello-ok`: calls in, answers and events out, one task, no timer of its own.
//!
//! A typestate: only a [`Session`] that is [`Connected`] can dispatch a call, and only `hello-ok` makes one.

use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Instant;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::debug;

use crate::base::limits::LINGER_BYTES_MAX;
use crate::base::limits::MESSAGES_PER_SECOND_MAX;
use crate::base::limits::UNAUTHORIZED_CALLS_MAX;
use crate::core::Inner;
use crate::core::bridged::Bridged;
use crate::core::dispatch;
use crate::core::dispatch::Answer;
use crate::core::outbound::Next;
use crate::core::registry::Peer;
use crate::core::registry::Registered;
use crate::core::websocket::Gone;
use crate::core::websocket::Inbound;
use crate::core::websocket::WebSocket;
use crate::protocol::close::Close;
use crate::protocol::frame;
use crate::protocol::frame::FrameError;
use crate::protocol::frame::Request;
use crate::protocol::refusal::Failure;

/// One WebSocket and how far it has come.
pub(super) struct Session<S, State> {
    pub(super) core: Arc<Inner>,
    pub(super) socket: WebSocket<S>,
    pub(super) state: State,
}

/// A WebSocket that had `hello-ok`.
pub(super) enum Open<S> {
    /// The gateway behind us serves it.
    Bridged(Box<Session<S, Bridged>>),
    /// We do.
    Here(Box<Session<S, Connected>>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Open<S> {
    /// Serves it to its end.
    pub(super) async fn run(self) {
        match self {
            // Boxed: who is served here must not hold the memory that this one needs.
            Self::Bridged(session) => Box::pin(session.run()).await,
            Self::Here(session) => session.run().await,
        }
    }
}

/// `hello-ok` was sent; calls may be dispatched.
pub(super) struct Connected {
    registered: Registered,
    /// What came in before `hello-ok` was out, read first.
    early: VecDeque<Utf8Bytes>,
    pace: Pace,
    /// Calls so far without the needed role or scope.
    unauthorized: u32,
    /// Whether something was handed to the socket that may not have left yet.
    sending: bool,
    /// Whether the peer is behind in taking it.
    blocked: bool,
}

impl Connected {
    /// The state of a socket that was just told `hello-ok`.
    pub(super) fn new(registered: Registered, early: VecDeque<Utf8Bytes>) -> Self {
        let pace = Pace::new(Instant::now());
        Self { registered, early, pace, unauthorized: 0, sending: false, blocked: false }
    }
}

/// What a session has to do next.
enum Turn {
    /// Answer a call.
    Call(Utf8Bytes),
    /// Say goodbye.
    Close(Close),
    /// Nothing: the peer is gone.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S, Connected> {
    /// Serves the socket to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        loop {
            match poll_fn(|cx| self.poll_turn(cx)).await {
                // Boxed: an idle socket must not hold the memory of a call in progress.
                Turn::Call(text) => Box::pin(self.serve(text)).await,
                Turn::Close(close) => {
                    debug!(conn = %self.peer().arrival.connection, code = close.code(), reason = close.reason(), "closed");
                    return Box::pin(self.close(&close)).await;
                }
                Turn::Gone => {
                    debug!(conn = %self.peer().arrival.connection, "closed by the peer");
                    return Box::pin(self.goodbye()).await;
                }
            }
        }
    }

    fn peer(&self) -> &Peer {
        self.state.registered.peer()
    }

    /// Sends what waits, then reads. Nothing is read while the peer does not take what we send: whoever does not
    /// listen is not listened to.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.state.registered.peer().outbound.register(cx.waker());
        loop {
            let peer = self.state.registered.peer();
            if let Some(close) = peer.outbound.take_close() {
                return Poll::Ready(Turn::Close(close));
            }
            if self.state.sending {
                match self.socket.poll_flush(cx) {
                    Poll::Ready(Ok(())) => peer.outbound.sent(),
                    Poll::Ready(Err(Gone)) => return Poll::Ready(Turn::Gone),
                    Poll::Pending => {
                        self.state.blocked = true;
                        return Poll::Pending;
                    }
                }
                // Its pongs are not read while it is behind; that it catches up is its sign of life then.
                if self.state.blocked {
                    peer.lives();
                }
                (self.state.sending, self.state.blocked) = (false, false);
            }
            let sent = match peer.outbound.take() {
                Some(Next::Text(text)) => self.socket.poll_send_text(text, cx),
                Some(Next::Ping) => self.socket.poll_send_ping(cx),
                None => match ready!(self.poll_inbound(cx)) {
                    Some(turn) => return Poll::Ready(turn),
                    None => continue,
                },
            };
            self.state.sending = true;
            if sent == Poll::Ready(Err(Gone)) {
                return Poll::Ready(Turn::Gone);
            }
        }
    }

    fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<Option<Turn>> {
        ready!(self.state.pace.poll_ready(cx));
        let inbound = match self.state.early.pop_front() {
            Some(text) => Inbound::Text(text),
            // Here the memory of the last early frame is given back.
            None if self.state.early.capacity() > 0 => {
                self.state.early = VecDeque::new();
                return Poll::Ready(None);
            }
            None => ready!(self.socket.poll_inbound(cx)),
        };
        self.peer().lives();
        self.state.pace.count(Instant::now());
        let failure = match inbound {
            Inbound::Text(text) => return Poll::Ready(Some(Turn::Call(text))),
            Inbound::Control => return Poll::Ready(None),
            Inbound::Closed => return Poll::Ready(Some(Turn::Gone)),
            Inbound::Violation(code) => Failure::NotWebSocket { code },
            Inbound::TooBig => Failure::MessageTooLarge,
            Inbound::Binary => Failure::FrameInvalid,
        };
        Poll::Ready(Some(Turn::Close(failure.close(self.peer().arrival.version))))
    }

    /// Answers one call. What ends the socket is left at its queue, where [`Session::run`] finds it after the answer.
    async fn serve(&mut self, text: Utf8Bytes) {
        let peer = Arc::clone(self.state.registered.peer());
        let request = match Request::parse(&text) {
            Ok(request) => request,
            Err(FrameError::NotJson) => return peer.end(&Failure::FrameUnreadable),
            Err(FrameError::NotRequest) => return peer.end(&Failure::FrameInvalid),
        };
        drop(text);
        let called = dispatch::call(&self.core, &peer, &request).await;
        let answer = match &called {
            Ok(Answer::Later) => return,
            Ok(Answer::Now(payload)) => frame::accepted(&request.id, payload),
            Err(error) => frame::refused(&request.id, &error.error(peer.arrival.version)),
        };
        // Never: answers are plain maps, lists and text.
        self.answer(answer.unwrap_or_default()).await;
        if called.is_err_and(|error| error.is_unauthorized()) {
            self.state.unauthorized += 1;
            if self.state.unauthorized > UNAUTHORIZED_CALLS_MAX {
                peer.end(&Failure::UnauthorizedCalls);
            }
        }
    }

    /// Hands an answer to the socket. It leaves with the next turn; the call after it is not read before.
    async fn answer(&mut self, text: String) {
        if self.peer().outbound.admit(text.len()).is_err() {
            return self.peer().end(&Failure::SlowConsumer);
        }
        let mut text = Some(text);
        poll_fn(|cx| {
            if let Some(text) = text.take() {
                // What did not leave at once stays with the socket and is flushed by the next turn.
                let _left = self.socket.poll_send_text(text, cx);
            }
            Poll::Ready(())
        })
        .await;
        self.state.sending = true;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, State> Session<S, State> {
    /// Closes as RFC 6455 §7.1.1 asks: our close frame, the peer's within a second, the end of the stream.
    pub(super) async fn close(&mut self, close: &Close) {
        let wait = self.core.timing.close_wait;
        let farewell = async {
            let mut first = Some(close);
            let said = poll_fn(|cx| match first.take() {
                Some(close) => self.socket.poll_send_close(close, cx),
                None => self.socket.poll_flush(cx),
            });
            let said = said.await;
            if self.socket.is_broken() {
                // The peer sees our end after our close frame, and has no reason to wait for more.
                self.end().await;
                let mut left = LINGER_BYTES_MAX;
                return poll_fn(|cx| self.socket.poll_discard(&mut left, cx)).await;
            }
            if said.is_ok() {
                // What still comes in is read and dropped: unread bytes would turn our close into a reset.
                while !matches!(poll_fn(|cx| self.socket.poll_inbound(cx)).await, Inbound::Closed) {}
            }
            self.end().await;
        };
        // A peer that does not answer is left alone.
        let _left = timeout(wait, Box::pin(farewell)).await;
    }

    /// Answers the peer's own close and ends the stream.
    pub(super) async fn goodbye(&mut self) {
        let wait = self.core.timing.close_wait;
        let _left = timeout(wait, self.end()).await;
    }

    async fn end(&mut self) {
        let _flushed = poll_fn(|cx| self.socket.poll_flush(cx)).await;
        let _ended = poll_fn(|cx| self.socket.poll_shutdown(cx)).await;
    }
}

/// Holds a sender to an average pace: it is not read from until it may send again.
pub(super) struct Pace {
    second: Instant,
    messages: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { second: now, messages: 0, pause: None }
    }

    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    pub(super) fn count(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.second);
        if elapsed.as_secs() >= 1 {
            (self.second, self.messages) = (now, 0);
        }
        self.messages += 1;
        if self.messages >= MESSAGES_PER_SECOND_MAX {
            let rest = std::time::Duration::from_secs(1).saturating_sub(elapsed);
            self.pause = Some(Box::pin(sleep(rest)));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_too_fast_is_not_read_for_the_rest_of_the_second() {
        let mut pace = Pace::new(Instant::now());
        let mut ready = poll_fn(|cx| pace.poll_ready(cx)).now_or_never();
        assert_eq!(ready, Some(()));
        (0..MESSAGES_PER_SECOND_MAX).for_each(|_| pace.count(Instant::now()));
        ready = poll_fn(|cx| pace.poll_ready(cx)).now_or_never();
        assert_eq!(ready, None);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        ready = poll_fn(|cx| pace.poll_ready(cx)).now_or_never();
        assert_eq!(ready, Some(()));
    }
}
