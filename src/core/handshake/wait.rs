//! Waiting before `hello-ok`: for the caller's first message, and for others while it may say more.

use std::collections::VecDeque;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::base::limits::FRAME_BYTES_BEFORE_HELLO_MAX;
use crate::base::limits::FRAMES_BEFORE_HELLO_MAX;
use crate::base::limits::UPSTREAM_GUEST_WAIT;
use crate::core::handshake::Challenged;
use crate::core::handshake::Refused;
use crate::core::handshake::Unready;
use crate::core::registry::Peer;
use crate::core::session::Session;
use crate::core::websocket::Gone;
use crate::core::websocket::Inbound;
use crate::core::websocket::WebSocket;
use crate::protocol::refusal::Failure;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S, Challenged> {
    /// Waits for `work`, and holds what comes in meanwhile. A caller that was let in and must go is not waited for.
    pub(super) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Unready> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Err(unready) = self.is_ended(cx) {
                return Poll::Ready(Err(unready));
            }
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            while let Poll::Ready(inbound) = self.socket.poll_inbound(cx) {
                match keep(&mut self.state.early, inbound) {
                    Ok(()) => {}
                    Err(unready) => return Poll::Ready(Err(unready)),
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Whether a caller that was let in was told to go since, as a device that is removed. Wakes when that comes.
    pub(super) fn is_ended(&self, cx: &mut Context<'_>) -> Result<(), Unready> {
        let Some(peer) = &self.state.peer else { return Ok(()) };
        peer.outbound.register(cx.waker());
        ended(peer)
            .map_or(Ok(()), |failure| Err(Refused { version: peer.arrival.version, ..Refused::silent(failure) }.into()))
    }
}

/// Why `peer` was told to go, if it was.
fn ended(peer: &Peer) -> Option<Failure> {
    let close = peer.outbound.take_close()?;
    let others = [Failure::AuthChanged, Failure::PongLate, Failure::Restart, Failure::SlowConsumer];
    let other = others.into_iter().find(|failure| failure.close(peer.arrival.version) == close);
    Some(other.unwrap_or(Failure::DeviceRemoved))
}

/// Waits for `work`. A guest's place is for others when it takes longer than one is kept.
pub(super) async fn lodged<G, T>(guest: &mut Option<G>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match timeout(UPSTREAM_GUEST_WAIT, work.as_mut()).await {
        Ok(done) => done,
        Err(_) => {
            *guest = None;
            work.await
        }
    }
}

/// The first text frame. Pings before it are counted, so that nobody lives on them.
pub(super) async fn first_frame<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<S>,
) -> Result<Utf8Bytes, Unready> {
    let mut early = VecDeque::new();
    let mut control = 0;
    loop {
        match poll_fn(|cx| socket.poll_inbound(cx)).await {
            Inbound::Control if control < FRAMES_BEFORE_HELLO_MAX => control += 1,
            Inbound::Control => return Err(Refused::silent(Failure::FramesQueued).into()),
            inbound => keep(&mut early, inbound)?,
        }
        if let Some(text) = early.pop_front() {
            return Ok(text);
        }
    }
}

/// Keeps a text frame for later, or says why the socket ends.
fn keep(early: &mut VecDeque<Utf8Bytes>, inbound: Inbound) -> Result<(), Unready> {
    let held: usize = early.iter().map(|text| text.len()).sum();
    let failure = match inbound {
        Inbound::Text(text) if held.saturating_add(text.len()) > FRAME_BYTES_BEFORE_HELLO_MAX => {
            Failure::PayloadTooLarge
        }
        Inbound::Text(text) if early.len() < FRAMES_BEFORE_HELLO_MAX => {
            early.push_back(text);
            return Ok(());
        }
        Inbound::Control => return Ok(()),
        Inbound::Text(_) => Failure::FramesQueued,
        Inbound::Binary => Failure::FrameInvalid,
        Inbound::TooBig => Failure::PayloadTooLarge,
        Inbound::Violation(code) => Failure::NotWebSocket { code },
        Inbound::Closed => return Err(Unready::Gone),
    };
    Err(Refused::silent(failure).into())
}

/// Sends one text message and waits until it has left.
pub(super) async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocket<S>,
    text: String,
) -> Result<(), Gone> {
    let mut text = Some(text);
    poll_fn(|cx| match text.take() {
        Some(text) => socket.poll_send_text(text, cx),
        None => socket.poll_flush(cx),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::core::registry::{Arrival, Registry};
    use crate::protocol::version::Version;

    #[tokio::test(start_paused = true)]
    async fn whoever_says_nothing_gives_the_place_at_the_gateway_up_and_is_heard_on() {
        let place = Arc::new(());
        for (after, kept) in [(UPSTREAM_GUEST_WAIT / 2, true), (UPSTREAM_GUEST_WAIT * 2, false)] {
            let mut guest = Some(Arc::clone(&place));
            let work = async {
                tokio::time::sleep(after).await;
                Arc::strong_count(&place) > 1
            };
            let held = lodged(&mut guest, work).await;
            assert_eq!((held, guest.is_some()), (kept, kept), "{after:?}");
        }
        assert!(UPSTREAM_GUEST_WAIT < Duration::from_secs(10), "within the time for connect");
    }

    #[test]
    fn whoever_must_go_before_hello_is_told_why() {
        let registry = Arc::new(Registry::new(1));
        for failure in
            [Failure::DeviceRemoved, Failure::AuthChanged, Failure::Restart, Failure::SlowConsumer, Failure::PongLate]
        {
            let registered = registry.register(Arrival { version: Version::V4, ..Arrival::sample() });
            assert_eq!(ended(registered.peer()), None);
            registered.peer().end(&failure);
            assert_eq!(ended(registered.peer()), Some(failure));
        }
    }
}
