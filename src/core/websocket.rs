//! One WebSocket over any byte stream: tungstenite's framing, driven by the one task that owns the socket.
//!
//! Why not tokio-tungstenite's own stream: the frame limit must grow after `hello-ok` without losing bytes that
//! are already read, and its two waker proxies would cost every idle socket memory for nothing.

use std::io;
use std::io::Read;
use std::io::Write;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::WebSocketContext;

use crate::base::limits::FRAME_BYTES_BEFORE_HELLO_MAX;
use crate::base::limits::MESSAGE_BYTES_MAX;
use crate::base::limits::SOCKET_READ_BYTES;
use crate::protocol::close::Close;

/// The WebSocket.
pub(super) struct WebSocket<S> {
    framing: WebSocketContext,
    io: S,
    /// Whether what comes in cannot be read as frames any more.
    broken: bool,
    /// What the peer's close frame said.
    farewell: Option<Box<Close>>,
}

/// What came in.
#[derive(Debug)]
pub(super) enum Inbound {
    /// The peer closes, or is gone.
    Closed,
    /// A message that is no text.
    Binary,
    /// A ping (answered already) or a pong.
    Control,
    /// A text message.
    Text(Utf8Bytes),
    /// Bytes that are no WebSocket (RFC 6455 §7.4.1: 1002, 1007).
    Violation(u16),
    /// A frame or message over the limit.
    TooBig,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Takes over after the 101; `early` was read with the request's head.
    pub(super) fn new(io: S, early: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(FRAME_BYTES_BEFORE_HELLO_MAX))
            .max_frame_size(Some(FRAME_BYTES_BEFORE_HELLO_MAX));
        let framing = WebSocketContext::from_partially_read(early, Role::Server, Some(config));
        Self { framing, io, broken: false, farewell: None }
    }

    /// Takes over as the one who dialled, after the 101; `early` was read with the answer's head. It takes what `hello-ok`
    /// promises from the start: the answer to `connect` may be long.
    pub(super) fn dialled(io: S, early: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(SOCKET_READ_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let framing = WebSocketContext::from_partially_read(early, Role::Client, Some(config));
        Self { framing, io, broken: false, farewell: None }
    }

    /// What the peer's close frame said, once; nothing if none came, or an empty one.
    pub(super) fn take_farewell(&mut self) -> Option<Close> {
        self.farewell.take().map(|close| *close)
    }

    /// Lets messages of the size that `hello-ok` promises in.
    pub(super) fn widen(&mut self) {
        self.framing.set_config(|config| {
            config.max_message_size = Some(MESSAGE_BYTES_MAX);
            config.max_frame_size = Some(MESSAGE_BYTES_MAX);
        });
    }

    /// The next thing that came in. Nothing more comes after `Closed`, `Violation` and `TooBig`.
    pub(super) fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<Inbound> {
        if self.broken {
            return Poll::Ready(Inbound::Closed);
        }
        let inbound = match self.framing.read(&mut Waking { io: &mut self.io, cx }) {
            Ok(Message::Text(text)) => Inbound::Text(text),
            Ok(Message::Binary(_)) => Inbound::Binary,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Inbound::Control,
            Ok(Message::Close(frame)) => {
                self.farewell = frame.map(|frame| Box::new(Close::new(frame.code.into(), &frame.reason)));
                Inbound::Closed
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => Inbound::TooBig,
            Err(Error::Protocol(_)) if self.framing.can_write() => Inbound::Violation(1002),
            Err(Error::Utf8(_)) => Inbound::Violation(1007),
            Err(_) => Inbound::Closed,
        };
        self.broken = matches!(inbound, Inbound::TooBig | Inbound::Violation(_));
        Poll::Ready(inbound)
    }

    /// Whether everything handed over so far has left; only then more should be handed over.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        progress(self.framing.flush(&mut Waking { io: &mut self.io, cx }))
    }

    /// Hands a text message over and sends what the peer takes now.
    pub(super) fn poll_send_text(
        &mut self,
        text: impl Into<Utf8Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Gone>> {
        self.poll_send(Message::Text(text.into()), cx)
    }

    /// Hands a ping over.
    pub(super) fn poll_send_ping(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.poll_send(Message::Ping(Bytes::new()), cx)
    }

    /// Hands our close frame over; nothing can be sent after it.
    pub(super) fn poll_send_close(&mut self, close: &Close, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let frame = close.code().map(|code| CloseFrame { code: code.into(), reason: close.reason().into() });
        self.poll_send(Message::Close(frame), cx)
    }

    /// Whether what comes in cannot be read as frames any more; it can still be thrown away.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reads and drops bytes that are no frames to us, to the peer's end or until `left` of them came.
    pub(super) fn poll_discard(&mut self, left: &mut usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; SOCKET_READ_BYTES];
        while *left > 0 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => *left = left.saturating_sub(buffer.filled().len()),
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// Ends the byte stream: TLS says goodbye, TCP sends FIN.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_send(&mut self, message: Message, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut waking = Waking { io: &mut self.io, cx };
        progress(self.framing.write(&mut waking, message).and_then(|()| self.framing.flush(&mut waking)))
    }
}

fn progress(sent: Result<(), Error>) -> Poll<Result<(), Gone>> {
    match sent {
        Ok(()) => Poll::Ready(Ok(())),
        Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        Err(_) => Poll::Ready(Err(Gone)),
    }
}

/// The peer is gone, or the closing handshake is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gone;

/// Lets the framing, which is written for blocking streams, use ours: "not now" becomes `WouldBlock`, and the
/// task is woken when it may try again.
struct Waking<'io, 'cx, 'waker, S> {
    io: &'io mut S,
    cx: &'cx mut Context<'waker>,
}

impl<S: AsyncRead + Unpin> Read for Waking<'_, '_, '_, S> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Write for Waking<'_, '_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.io).poll_write(self.cx, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match Pin::new(&mut *self.io).poll_flush(self.cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}
