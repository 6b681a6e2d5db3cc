//! The stream that pingora is given: TCP or TLS, with the guard of a request's head, the deadlines that
//! pingora lacks, and the facts of the connection for every request on it.
//!
//! After the 101 of a WebSocket the same stream serves on without guard, timers and buffers.

use std::any::Any;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use http::StatusCode;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};
use tracing::info;

use super::caps::Seat;
use super::facts::{ConnectionFacts, HeadRefusal};
use super::head::{Head, HeadFault, Seen};
use super::refusal::Refusal;
use super::standing::Standing;
use super::transport::Transport;
use crate::base::code::Code;
use crate::base::limits::{CORK_BYTES_MAX, FIRST_HEAD_WAIT, HEAD_WAIT, IDLE_WAIT};

/// One connection, as pingora and then a WebSocket see it.
#[derive(Debug)]
pub struct EdgeIo {
    stream: Transport,
    standing: Option<Box<Standing>>,
    facts: Arc<ConnectionFacts>,
    digest: Option<Arc<ProxyDigest>>,
    stage: Stage,
    timer: Option<Pin<Box<Sleep>>>,
    cork: Cork,
    /// Held, not read: the place among the open connections is ours until this stream is dropped.
    _seat: Seat,
}

/// Where the connection stands.
#[derive(Debug)]
enum Stage {
    /// An HTTP/1 head is awaited or being read: the `nth` of this connection.
    Head { head: Head, nth: u64 },
    /// The `nth` head has passed; what comes is its body.
    Body { nth: u64 },
    /// HTTP/2, before its preface is whole.
    Preface { bytes: usize },
    /// HTTP/2 or a WebSocket: nothing is looked at.
    Open,
    /// A refusal is being sent; the parser sees the end of the stream when that is done.
    Refusing(Refusal),
}

/// Plain bytes on their way out, gathered so that head and body of an answer are one TLS record and one
/// system call. Empty, it owns no memory.
#[derive(Debug, Default)]
struct Cork {
    bytes: Vec<u8>,
    sent: usize,
}

/// The client preface of HTTP/2 (RFC 9113 §3.4), in bytes.
const PREFACE_BYTES: usize = 24;

impl EdgeIo {
    /// Takes over an established connection.
    pub(super) fn new(
        stream: Transport,
        standing: Option<Box<Standing>>,
        facts: Arc<ConnectionFacts>,
        seat: Seat,
    ) -> Self {
        let h2 = facts.is_h2();
        let stage = if h2 { Stage::Preface { bytes: 0 } } else { Stage::Head { head: Head::default(), nth: 0 } };
        let wait = if h2 { HEAD_WAIT } else { FIRST_HEAD_WAIT };
        let timer = Some(Box::pin(tokio::time::sleep(wait)));
        Self { stream, standing, facts, digest: None, stage, timer, cork: Cork::default(), _seat: seat }
    }

    /// Lets every request of this connection find `context`, HTTP/2's too: pingora hands it on as the
    /// user data of a proxy digest, the only place of its that takes any.
    pub fn attach<C: Any + Send + Sync>(&mut self, context: C) {
        let response = ResponseHeader::build(StatusCode::OK, Some(0)).ok();
        self.digest = response.map(|response| Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(context)))));
    }

    /// The facts of this connection.
    pub fn facts(&self) -> &Arc<ConnectionFacts> {
        &self.facts
    }

    /// From now on a WebSocket speaks here: no guard, no timer, no buffer, and what only pingora needed is let go.
    #[must_use]
    pub fn into_upgraded(mut self: Box<Self>) -> Box<Self> {
        self.stage = Stage::Open;
        self.timer = None;
        self.digest = None;
        self
    }

    /// A next head is awaited once the edge is done with the request before.
    fn turn_to_next_head(&mut self) {
        if let Stage::Body { nth } = self.stage
            && self.facts.heads_done() > nth
        {
            self.stage = Stage::Head { head: Head::default(), nth: self.facts.heads_done() };
            self.wait_for(IDLE_WAIT);
        }
    }

    fn wait_for(&mut self, wait: std::time::Duration) {
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + wait),
            None => self.timer = Some(Box::pin(tokio::time::sleep(wait))),
        }
    }

    /// Looks at bytes that just arrived.
    fn judge(&mut self, bytes: &[u8]) -> Result<(), HeadFault> {
        match &mut self.stage {
            Stage::Head { head, nth } => {
                let begun = head.begun();
                let nth = *nth;
                match head.read(bytes)? {
                    Seen::Whole => self.stage = Stage::Body { nth },
                    Seen::Part if !begun => self.wait_for(HEAD_WAIT),
                    Seen::Part => {}
                }
            }
            Stage::Preface { bytes: seen } => {
                *seen = seen.saturating_add(bytes.len());
                if *seen >= PREFACE_BYTES {
                    self.stage = Stage::Open;
                    self.timer = None;
                }
            }
            Stage::Body { .. } | Stage::Open | Stage::Refusing(_) => {}
        }
        Ok(())
    }

    /// A head that comes too slowly is refused, an idle connection is closed without a word.
    fn check_deadline(&mut self, cx: &mut Context<'_>) {
        let waiting = matches!(self.stage, Stage::Head { .. } | Stage::Preface { .. });
        let Some(timer) = self.timer.as_mut().filter(|_| waiting) else { return };
        if timer.as_mut().poll(cx).is_pending() {
            return;
        }
        match &self.stage {
            Stage::Head { head, .. } if head.begun() => self.refuse(HeadFault::TooSlow),
            _ => self.stage = Stage::Refusing(Refusal::silent()),
        }
    }

    /// A caller whose certificate is not taken any more is not listened to.
    fn check_standing(&mut self, cx: &mut Context<'_>) {
        let Some(Poll::Ready(error)) = self.standing.as_mut().map(|standing| standing.poll(cx)) else { return };
        self.standing = None;
        if !matches!(self.stage, Stage::Refusing(_)) {
            let (conn, listener) = (&self.facts.id, &self.facts.listener.load().name);
            info!(%conn, %listener, %error, "connection ended: the certificate of its caller is not taken any more");
            self.stage = Stage::Refusing(Refusal::silent());
        }
    }

    fn refuse(&mut self, fault: HeadFault) {
        let refusal = HeadRefusal { fault, code: Code::random() };
        self.facts.set_head_refusal(refusal);
        self.stage = Stage::Refusing(Refusal::of(refusal));
    }

    /// Whether whoever writes now is the parser: the head passed here, and the edge never got it.
    fn is_parser_refusing(&self) -> bool {
        matches!(self.stage, Stage::Body { nth } if self.facts.heads_taken() <= nth)
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.stage {
            Stage::Refusing(refusal) => refusal.poll(&mut self.stream, cx),
            _ => Poll::Ready(()),
        }
    }

    fn poll_cork(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.cork.bytes.get(self.cork.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.cork.sent = self.cork.sent.saturating_add(sent),
            }
        }
        self.cork = Cork::default();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for EdgeIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.turn_to_next_head();
        this.check_standing(cx);
        if !matches!(this.stage, Stage::Refusing(_)) {
            let before = buf.filled().len();
            match Pin::new(&mut this.stream).poll_read(cx, buf) {
                Poll::Pending => this.check_deadline(cx),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {
                    // Trickling bytes must not outrun the deadline by always being ready.
                    let judged = this.judge(buf.filled().get(before..).unwrap_or_default());
                    match judged {
                        Ok(()) => {
                            this.check_deadline(cx);
                            if !matches!(this.stage, Stage::Refusing(_)) {
                                return Poll::Ready(Ok(()));
                            }
                        }
                        Err(fault) => this.refuse(fault),
                    }
                    buf.set_filled(before);
                }
            }
        }
        if !matches!(this.stage, Stage::Refusing(_)) {
            return Poll::Pending;
        }
        ready!(this.poll_refusal(cx));
        // The end of the stream: the parser gives up quietly.
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for EdgeIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_parser_refusing() {
            // The parser's own answer names itself and no reason: ours takes its place.
            this.refuse(HeadFault::Unreadable);
        }
        if matches!(this.stage, Stage::Refusing(_)) {
            return Poll::Ready(Ok(buf.len()));
        }
        let gathers = !matches!(this.stage, Stage::Open);
        if gathers && this.cork.bytes.len().saturating_add(buf.len()) <= CORK_BYTES_MAX {
            this.cork.bytes.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_cork(cx))?;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.stage, Stage::Refusing(_)) {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_cork(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    /// Ends an HTTP connection so that the last answer arrives: what is left, the goodbye, and for a moment reading
    /// what still comes, because closing over unread bytes, or before HTTP/2's late window updates, would reset the
    /// answer away. A WebSocket has said goodbye with its own close frame.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.stage {
            Stage::Open if !this.facts.is_h2() => {
                ready!(this.poll_cork(cx))?;
                return Pin::new(&mut this.stream).poll_shutdown(cx);
            }
            Stage::Head { .. } | Stage::Body { .. } | Stage::Open | Stage::Preface { .. } => {
                let Cork { bytes, sent } = std::mem::take(&mut this.cork);
                this.stage = Stage::Refusing(Refusal::after(bytes, sent));
            }
            Stage::Refusing(_) => {}
        }
        this.poll_refusal(cx).map(Ok)
    }
}

#[async_trait]
impl Shutdown for EdgeIo {
    async fn shutdown(&mut self) {
        // A stream that cannot say goodbye is gone already.
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for EdgeIo {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for EdgeIo {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(if self.facts.is_h2() { ALPN::H2 } else { ALPN::H1 })
    }
}

impl GetTimingDigest for EdgeIo {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for EdgeIo {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.digest.clone()
    }
}

impl GetSocketDigest for EdgeIo {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for EdgeIo {}
