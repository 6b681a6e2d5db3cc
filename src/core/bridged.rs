//! One WebSocket's life after the `hello-ok` of the gateway behind us: messages pass both ways, each way at the pace of the one
//! who reads. What is about devices is answered here.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use serde_json::Map;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tracing::debug;
use tracing::info;

use crate::base::limits::TICK_PERIOD;
use crate::base::limits::UNAUTHORIZED_CALLS_MAX;
use crate::base::limits::UPSTREAM_SILENT_TICKS;
use crate::core::dispatch;
use crate::core::dispatch::Answer;
use crate::core::outbound::Next;
use crate::core::registry::Peer;
use crate::core::registry::Registered;
use crate::core::session::Pace;
use crate::core::session::Session;
use crate::core::upstream::Addressee;
use crate::core::upstream::Line;
use crate::core::upstream::Upstream;
use crate::core::upstream::addressee;
use crate::core::upstream::merge;
use crate::core::upstream::passed;
use crate::core::websocket::Gone;
use crate::core::websocket::Inbound;
use crate::protocol::close::Close;
use crate::protocol::frame;
use crate::protocol::frame::FrameError;
use crate::protocol::frame::Request;
use crate::protocol::refusal::Failure;

/// `hello-ok` was sent, and the gateway behind us has a session for this client.
pub(super) struct Bridged {
    registered: Registered,
    /// What came in before `hello-ok` was out, read first.
    early: VecDeque<Utf8Bytes>,
    pace: Pace,
    /// Calls of ours so far without the needed role or scope.
    unauthorized: u32,
    /// Whether something was handed to the client's socket that may not have left yet.
    sending: bool,
    /// Whether the client is behind in taking it.
    blocked: bool,
    far: Far,
}

/// The gateway's side.
struct Far {
    upstream: Upstream,
    line: Line,
    /// Whether something was handed over that may not have left yet.
    sending: bool,
    /// When it last said something, if only a ping.
    heard: Instant,
    /// How long it may be silent.
    silence_max: Duration,
}

/// A way to the gateway behind us that stands, before the client knows of it.
pub(super) struct Way {
    /// The gateway.
    pub(super) upstream: Upstream,
    /// The socket there.
    pub(super) line: Line,
    /// The payload of its `hello-ok`.
    pub(super) hello: Map<String, Value>,
}

impl Way {
    /// What the client is told in answer to `request`, where we would say `ours`.
    pub(super) fn accepted(&self, request: &str, ours: &Value) -> String {
        // Never: the payload is a plain map.
        let text = frame::accepted(request, &merge(self.hello.clone(), ours)).unwrap_or_default();
        self.upstream.secrets().scrub(text.into()).to_string()
    }
}

impl Bridged {
    /// The state of a client that was just told `hello-ok`.
    pub(super) fn new(registered: Registered, early: VecDeque<Utf8Bytes>, way: Way) -> Self {
        let (now, Way { upstream, line, hello }) = (Instant::now(), way);
        let tick = hello.get("policy").and_then(|policy| policy.get("tickIntervalMs")).and_then(Value::as_u64);
        let tick = tick.map_or(TICK_PERIOD, Duration::from_millis).min(TICK_PERIOD);
        let far = Far { upstream, line, sending: false, heard: now, silence_max: tick * UPSTREAM_SILENT_TICKS };
        Self { registered, early, pace: Pace::new(now), unauthorized: 0, sending: false, blocked: false, far }
    }
}

/// What a session has to do next.
enum Turn {
    /// Answer a call that is ours.
    Call(Utf8Bytes),
    /// Say goodbye.
    Close(Close),
    /// The client is gone.
    Gone,
    /// The gateway is gone; what it said.
    Lost(Option<Close>),
    /// The gateway says nothing any more.
    Silent,
}

/// Whether a look at one side led to something.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Step {
    Done,
    Waits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S, Bridged> {
    /// Serves both sockets to their end.
    pub(super) async fn run(mut self: Box<Self>) {
        let close = loop {
            match poll_fn(|cx| self.poll_turn(cx)).await {
                Turn::Call(text) => Box::pin(self.serve(text)).await,
                Turn::Close(close) => break Some(close),
                Turn::Gone => break None,
                Turn::Lost(close) => break Some(self.farewell(close)),
                Turn::Silent => {
                    info!(conn = %self.peer().arrival.connection, "the upstream went silent: session ended");
                    break Some(Failure::UpstreamLost.close(self.peer().arrival.version));
                }
            }
        };
        // First of all: whoever was removed must not act there for one moment more.
        self.leave().await;
        let conn = &self.peer().arrival.connection;
        match close {
            Some(close) => {
                debug!(%conn, code = close.code(), reason = close.reason(), "closed");
                Box::pin(self.close(&close)).await;
            }
            None => {
                debug!(%conn, "closed by the peer");
                Box::pin(self.goodbye()).await;
            }
        }
    }

    fn peer(&self) -> &Peer {
        self.state.registered.peer()
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        self.peer().outbound.register(cx.waker());
        loop {
            if let Some(close) = self.peer().outbound.take_close() {
                return Poll::Ready(Turn::Close(close));
            }
            let down = match self.poll_down(cx) {
                Ok(step) => step,
                Err(turn) => return Poll::Ready(turn),
            };
            let up = match self.poll_up(cx) {
                Ok(step) => step,
                Err(turn) => return Poll::Ready(turn),
            };
            if down == Step::Waits && up == Step::Waits {
                return Poll::Pending;
            }
        }
    }

    /// One step towards the client. The gateway is not read while the client does not take what was sent.
    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<Step, Turn> {
        let peer = Arc::clone(self.state.registered.peer());
        if self.state.sending {
            match self.socket.poll_flush(cx) {
                Poll::Ready(Ok(())) => peer.outbound.sent(),
                Poll::Ready(Err(Gone)) => return Err(Turn::Gone),
                Poll::Pending => {
                    self.state.blocked = true;
                    return Ok(Step::Waits);
                }
            }
            // Neither was read while it was behind; that it catches up is its sign of life then, and the gateway's hour begins.
            if self.state.blocked {
                peer.lives();
                self.state.far.heard = Instant::now();
            }
            (self.state.sending, self.state.blocked) = (false, false);
        }
        let sent = match peer.outbound.take() {
            Some(Next::Text(text)) => self.socket.poll_send_text(text, cx),
            Some(Next::Ping) => {
                if self.state.far.heard.elapsed() >= self.state.far.silence_max {
                    return Err(Turn::Silent);
                }
                self.socket.poll_send_ping(cx)
            }
            None => match self.poll_far(cx)? {
                None => return Ok(Step::Waits),
                Some(None) => return Ok(Step::Done),
                Some(Some(text)) => {
                    if peer.outbound.admit(text.len()).is_err() {
                        return Err(Turn::Close(Failure::SlowConsumer.close(peer.arrival.version)));
                    }
                    self.socket.poll_send_text(text, cx)
                }
            },
        };
        self.state.sending = true;
        if sent == Poll::Ready(Err(Gone)) { Err(Turn::Gone) } else { Ok(Step::Done) }
    }

    /// The next thing from the gateway, if there is one, and what of it passes.
    fn poll_far(&mut self, cx: &mut Context<'_>) -> Result<Option<Option<Utf8Bytes>>, Turn> {
        let far = &mut self.state.far;
        let Poll::Ready(inbound) = far.line.0.poll_inbound(cx) else { return Ok(None) };
        far.heard = Instant::now();
        match inbound {
            Inbound::Text(text) => Ok(Some(passed(text, &far.upstream.secrets(), self.core.clock.now()))),
            Inbound::Control => Ok(Some(None)),
            Inbound::Binary | Inbound::Closed | Inbound::TooBig | Inbound::Violation(_) => {
                Err(Turn::Lost(far.line.0.take_farewell()))
            }
        }
    }

    /// One step towards the gateway. The client is not read while the gateway does not take what was sent, nor while it does
    /// not take what is sent to it: whoever does not listen is not listened to, so nothing that it says keeps it alive.
    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<Step, Turn> {
        if self.state.far.sending {
            match self.state.far.line.0.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.state.far.sending = false,
                Poll::Ready(Err(Gone)) => return Err(Turn::Lost(self.state.far.line.0.take_farewell())),
                Poll::Pending => {
                    // Its pongs are not read meanwhile, which is no fault of its own; unless it takes nothing either.
                    if !self.state.blocked {
                        self.peer().lives();
                    }
                    return Ok(Step::Waits);
                }
            }
        }
        if self.state.blocked || self.state.pace.poll_ready(cx).is_pending() {
            return Ok(Step::Waits);
        }
        let inbound = match self.state.early.pop_front() {
            Some(text) => Inbound::Text(text),
            None => match self.socket.poll_inbound(cx) {
                Poll::Ready(inbound) => inbound,
                Poll::Pending => return Ok(Step::Waits),
            },
        };
        self.peer().lives();
        self.state.pace.count(Instant::now());
        let failure = match inbound {
            Inbound::Text(text) => match addressee(&text) {
                Addressee::Ours => return Err(Turn::Call(text)),
                Addressee::Upstream => {
                    let sent = self.state.far.line.0.poll_send_text(text, cx);
                    self.state.far.sending = true;
                    let lost = sent == Poll::Ready(Err(Gone));
                    return if lost { Err(Turn::Lost(self.state.far.line.0.take_farewell())) } else { Ok(Step::Done) };
                }
                Addressee::Nobody => Failure::FrameInvalid,
            },
            Inbound::Control => return Ok(Step::Done),
            Inbound::Closed => return Err(Turn::Gone),
            Inbound::Violation(code) => Failure::NotWebSocket { code },
            Inbound::TooBig => Failure::MessageTooLarge,
            Inbound::Binary => Failure::FrameInvalid,
        };
        Err(Turn::Close(failure.close(self.peer().arrival.version)))
    }

    /// Answers one call that is ours. What ends the socket is left at its queue, where the next turn finds it.
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
        // Never: answers are plain maps, lists and text. It leaves with the turns to come, after what is on its way.
        if peer.outbound.answer(answer.unwrap_or_default()).is_err() {
            return peer.end(&Failure::SlowConsumer);
        }
        if called.is_err_and(|error| error.is_unauthorized()) {
            self.state.unauthorized += 1;
            if self.state.unauthorized > UNAUTHORIZED_CALLS_MAX {
                peer.end(&Failure::UnauthorizedCalls);
            }
        }
    }

    /// What the client is told when the gateway closes: its own words, but where they are about our device or our token.
    fn farewell(&self, close: Option<Close>) -> Close {
        let lost = || Failure::UpstreamLost.close(self.peer().arrival.version);
        let Some(close) = close else { return lost() };
        match close.code() {
            // 4001 ends a device's sessions for good: the device there is ours, and the client comes again.
            None | Some(4001 | 1005 | 1006 | 1015) => lost(),
            Some(code @ (1000..=1014 | 3000..=4999)) => {
                Close::new(code, &self.state.far.upstream.secrets().scrub_text(close.reason()))
            }
            Some(_) => lost(),
        }
    }

    /// Ends the gateway's side: our close frame as far as it leaves at once, and the end of the stream.
    async fn leave(&mut self) {
        let socket = &mut self.state.far.line.0;
        let close = Close::new(1000, "");
        poll_fn(|cx| {
            let _said = socket.poll_send_close(&close, cx);
            let _ended = socket.poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }
}

#[cfg(test)]
mod tests;
