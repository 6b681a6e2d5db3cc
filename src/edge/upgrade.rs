//! WebSockets: the opening handshake of RFC 6455, and taking the stream out of pingora's session after the 101.
//!
//! Why take it out: inside the session each socket costs five times the memory, and a write that is
//! dropped half done corrupts the stream. Pingora is left with a dead stream, and finishes on that.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, Version};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::respond::{Refusal, within};
use crate::base::limits::ANSWER_WAIT;
use crate::listener::io::EdgeIo;

/// A valid opening handshake.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Handshake {
    accept: String,
}

/// A stream that left HTTP behind.
#[derive(Debug)]
pub struct Taken {
    /// The stream, positioned after the 101.
    pub io: Box<EdgeIo>,
    /// Bytes of it that arrived with the head.
    pub early: Vec<u8>,
}

/// Whether `head` asks for a WebSocket at all. Other protocols in `Upgrade` are passed over, as RFC 9110 §7.8 allows.
pub fn is_asked(head: &Parts) -> bool {
    lists(&head.headers, &UPGRADE, "websocket")
}

impl Handshake {
    /// Reads the opening handshake (RFC 6455 §4.2.1).
    ///
    /// # Errors
    /// [`Refusal::UpgradeVersion`] for a version other than 13, [`Refusal::Upgrade`] for anything else.
    pub fn read(head: &Parts) -> Result<Self, Refusal> {
        let headers = &head.headers;
        let only = |name: HeaderName| {
            let mut lines = headers.get_all(name).iter();
            lines.next().filter(|_| lines.next().is_none()).and_then(|line| line.to_str().ok())
        };
        if head.method != Method::GET {
            return Err(Refusal::Upgrade("method is not get"));
        }
        if head.version != Version::HTTP_11 {
            return Err(Refusal::Upgrade("not http/1.1"));
        }
        if headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH) {
            return Err(Refusal::Upgrade("has a body"));
        }
        if !lists(headers, &CONNECTION, "upgrade") {
            return Err(Refusal::Upgrade("connection does not say upgrade"));
        }
        if only(UPGRADE).is_none_or(|protocol| !protocol.trim().eq_ignore_ascii_case("websocket")) {
            return Err(Refusal::Upgrade("more than one protocol"));
        }
        if only(SEC_WEBSOCKET_VERSION).is_none_or(|version| version.trim() != "13") {
            return Err(Refusal::UpgradeVersion);
        }
        let key = only(SEC_WEBSOCKET_KEY).map(str::trim).ok_or(Refusal::Upgrade("not one key"))?;
        match STANDARD.decode(key) {
            Ok(nonce) if nonce.len() == 16 => Ok(Self { accept: derive_accept_key(key.as_bytes()) }),
            _ => Err(Refusal::Upgrade("key is not 16 bytes")),
        }
    }

    fn response(&self) -> Result<ResponseHeader> {
        let mut response = ResponseHeader::build(StatusCode::SWITCHING_PROTOCOLS, Some(3))?;
        response.insert_header(UPGRADE, "websocket")?;
        response.insert_header(CONNECTION, "Upgrade")?;
        response.insert_header(SEC_WEBSOCKET_ACCEPT, &self.accept)?;
        Ok(response)
    }
}

/// Whether a comma-separated list header has `word`.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lines = headers.get_all(name).into_iter();
    let mut words = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Sends the 101 and takes the stream. Afterwards `session` is dead: nothing may be read or written by it.
///
/// # Errors
/// When the caller is gone.
pub async fn take(session: &mut ServerSession, handshake: &Handshake) -> Result<Taken> {
    session.set_read_timeout(None);
    let response = Box::new(handshake.response()?);
    // Turns the body reader to "until close" and flushes.
    within(ANSWER_WAIT, session.write_response_header(response)).await?;
    // One poll is enough: what came with the head is returned whole by the first call, and a pending read holds no state.
    let early = match session.read_request_body().now_or_never() {
        Some(read) => read?.map(|bytes| bytes.to_vec()).unwrap_or_default(),
        None => Vec::new(),
    };
    let old = std::mem::replace(session, ServerSession::new_http1(Box::new(Gone)));
    let ServerSession::H1(old) = old else { return Err(Error::new_in(ErrorType::InternalError)) };
    let io = old.into_inner().into_any().downcast::<EdgeIo>();
    let io = io.map_err(|_| Error::new_in(ErrorType::InternalError))?;
    Ok(Taken { io: io.into_upgraded(), early })
}

/// The stream that pingora finishes on.
#[derive(Debug)]
struct Gone;

impl AsyncRead for Gone {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gone {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Shutdown for Gone {
    async fn shutdown(&mut self) {}
}

impl UniqueID for Gone {
    fn id(&self) -> UniqueIDType {
        -1
    }
}

impl Ssl for Gone {}

impl GetTimingDigest for Gone {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Gone {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Gone {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for Gone {}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// RFC 6455 §1.3.
    const GOOD: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let handshake = Handshake::read(&head("GET", Version::HTTP_11, &GOOD)).unwrap();
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn anything_else_is_refused_and_never_tunnelled() {
        let with = |name: &'static str, value: &'static str| {
            let mut lines = GOOD.to_vec();
            lines.retain(|(kept, _)| *kept != name);
            lines.push((name, value));
            Handshake::read(&head("GET", Version::HTTP_11, &lines))
        };
        let and = |name: &'static str, value: &'static str| {
            let lines = [&GOOD[..], &[(name, value)]].concat();
            Handshake::read(&head("GET", Version::HTTP_11, &lines))
        };
        for version in ["777", "12", "13, 8", ""] {
            assert!(matches!(with("sec-websocket-version", version), Err(Refusal::UpgradeVersion)), "{version}");
        }
        for (refused, why) in [
            (with("sec-websocket-key", "c2hvcnQ="), "short key"),
            (with("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"), "no padding"),
            (with("sec-websocket-key", ""), "empty key"),
            (and("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), "two keys"),
            (with("connection", "keep-alive"), "connection"),
            (with("upgrade", "websocket, h2c"), "two protocols"),
            (and("content-length", "0"), "body"),
            (and("transfer-encoding", "chunked"), "body"),
            (Handshake::read(&head("POST", Version::HTTP_11, &GOOD)), "method"),
            (Handshake::read(&head("GET", Version::HTTP_10, &GOOD)), "http/1.0"),
            (Handshake::read(&head("GET", Version::HTTP_2, &GOOD)), "h2"),
        ] {
            assert!(matches!(refused, Err(Refusal::Upgrade(_))), "{why}: {refused:?}");
        }
    }

    #[test]
    fn other_protocols_are_not_asked_for() {
        assert!(is_asked(&head("GET", Version::HTTP_11, &GOOD)));
        assert!(is_asked(&head("GET", Version::HTTP_11, &[("upgrade", "h2c, websocket")])));
        assert!(!is_asked(&head("GET", Version::HTTP_11, &[("upgrade", "h2c"), ("connection", "upgrade")])));
        assert!(!is_asked(&head("GET", Version::HTTP_11, &[("connection", "upgrade")])));
    }

    fn head(method: &str, version: Version, lines: &[(&str, &str)]) -> Parts {
        let request = Request::builder().method(method).version(version).uri("/");
        let request = lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }
}
