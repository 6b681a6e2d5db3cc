//! What is known about a connection before its first request, and what its stream and its edge tell each
//! other while it lasts.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use tokio::sync::Notify;

use super::connection::Door;
use super::head::HeadFault;
use super::live::Live;
use super::tally::Tally;
use crate::base::code::Code;
use crate::base::limits::REQUESTS_PER_CONNECTION_MAX;
use crate::identity::claims::ClientCertClaim;
use crate::identity::claims::TlsVersion;
use crate::net::addr::PeerAddr;
use crate::net::host::{Authority, Host, Scheme};
use crate::origin::proxy_protocol::Header;
use crate::origin::{self, Owner, Whois};
use crate::tailscale::PeerWord;

/// One connection, from the end of its handshake to its end.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// Its name in logs and assertions.
    pub id: ConnectionId,
    /// The listener it came in by, with the settings of now: load once for each decision.
    pub listener: Live,
    /// The other end of the socket.
    pub peer: PeerAddr,
    /// The PROXY header, on a listener that requires one.
    pub proxy_header: Option<Header>,
    /// Who owns the peer's socket, where that was asked.
    pub owner: Owner,
    /// tailscaled's word on the peer, where it was asked.
    pub tailnet: PeerWord,
    /// TLS, unless the connection is plain.
    pub tls: Option<TlsFacts>,
    /// Where its requests are counted.
    pub tally: Tally,
    pub(super) progress: Progress,
}

/// Which of the connection's heads the edge has taken and finished, and how the last one failed.
#[derive(Debug, Default)]
pub(super) struct Progress {
    taken: AtomicU64,
    done: AtomicU64,
    used_up: Notify,
    refusal: OnceLock<HeadRefusal>,
}

/// Why a head did not become a request, and the code that its sender was given.
#[derive(Clone, Copy, Debug)]
pub struct HeadRefusal {
    /// Why.
    pub fault: HeadFault,
    /// The code in the answer.
    pub code: Option<Code>,
}

/// The name of a connection: 64 random bits in hexadecimal.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ConnectionId(String);

/// What TLS agreed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFacts {
    /// The protocol version.
    pub version: TlsVersion,
    /// The name the caller asked for.
    pub sni: Option<Host>,
    /// The protocol above.
    pub alpn: Option<Alpn>,
    /// The certificate that the caller has shown, verified.
    pub client: Option<ClientCertClaim>,
}

/// An application protocol (RFC 7301) that we speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// `h2`.
    H2,
    /// `http/1.1`.
    Http11,
}

impl ConnectionFacts {
    /// A connection from `peer` that failed before it was established, with the PROXY header that was read by then.
    pub(super) fn failed(id: ConnectionId, door: &Door, peer: PeerAddr, proxy_header: Option<Header>) -> Self {
        let (owner, tailnet, progress) = (Owner::Unknown, PeerWord::not_asked(), Progress::default());
        let (listener, tally) = (door.settings.clone(), door.tally.clone());
        Self { id, listener, peer, proxy_header, owner, tailnet, tls: None, tally, progress }
    }

    /// All that is known of a request of this connection when its origin is found, `tailnet` being tailscaled's word by
    /// then: whoever asks again with the same finds the same.
    pub fn said<'a>(
        &'a self,
        headers: &'a HeaderMap,
        authority: Option<&'a Authority>,
        scheme: Scheme,
        tailnet: Whois,
    ) -> origin::Facts<'a> {
        origin::Facts {
            peer: self.peer,
            proxy_header: self.proxy_header.as_ref(),
            owner: self.owner,
            tailnet,
            headers,
            authority,
            scheme,
        }
    }

    /// Whether HTTP/2 was agreed on.
    pub fn is_h2(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.alpn == Some(Alpn::H2))
    }

    /// The scheme of this socket; a trusted proxy in front may have spoken another.
    pub fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// The edge says: it has a request of this connection in hand.
    pub fn take_head(&self) {
        let before = self.progress.taken.fetch_add(1, Ordering::AcqRel);
        if before.saturating_add(1) == u64::from(REQUESTS_PER_CONNECTION_MAX) {
            self.progress.used_up.notify_one();
        }
    }

    /// The edge says: the request is answered; the next bytes are a head again.
    pub fn finish_head(&self) {
        self.progress.done.fetch_add(1, Ordering::AcqRel);
    }

    /// The edge says: no further request by this connection. One of HTTP/2 ends then, and what does not end with it is cut off.
    pub fn use_up(&self) {
        self.progress.used_up.notify_one();
    }

    /// Waits until as many requests were taken as one connection may carry. For one who waits.
    pub async fn used_up(&self) {
        self.progress.used_up.notified().await;
    }

    /// Why the last head of this connection did not become a request.
    pub fn head_refusal(&self) -> Option<HeadRefusal> {
        self.progress.refusal.get().copied()
    }

    pub(super) fn heads_taken(&self) -> u64 {
        self.progress.taken.load(Ordering::Acquire)
    }

    pub(super) fn heads_done(&self) -> u64 {
        self.progress.done.load(Ordering::Acquire)
    }

    pub(super) fn set_head_refusal(&self, refusal: HeadRefusal) {
        // The first one ends the connection; a second one is only its echo.
        let _ = self.progress.refusal.set(refusal);
    }
}

impl ConnectionId {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(|bits| Self(format!("{bits:016x}")))
    }

    /// The 16 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Alpn {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H2 => "h2",
            Self::Http11 => "http/1.1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ConnectionFacts {
        /// A plain connection from `peer` on a listener that reads what `origin` says.
        pub(crate) fn plain(origin: crate::origin::Settings, peer: std::net::SocketAddr) -> Self {
            let (protocol, serve) = (crate::listener::Protocol::Http, crate::listener::Serve::All);
            let listener =
                crate::listener::Settings { name: "test".to_owned(), bind: Vec::new(), protocol, serve, origin };
            Self {
                id: ConnectionId("0123456789abcdef".to_owned()),
                listener: Live::new(listener),
                peer: PeerAddr::from_accept(peer),
                proxy_header: None,
                owner: Owner::Unknown,
                tailnet: PeerWord::not_asked(),
                tls: None,
                tally: Tally::default(),
                progress: Progress::default(),
            }
        }
    }
}
