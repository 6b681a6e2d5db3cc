//! The edge over real loopback sockets, with an application of the tests' own in the core's place.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::{ProxyHttp, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::context::Connection;
use super::service::Service;
use super::upgrade::{self, Handshake, Taken};
use super::{body, phases, respond};
use crate::listener::Protocol;
use crate::listener::caps::{Caps, Limits};
use crate::listener::testing::{Rig, read_to_end};
use crate::origin;

mod bounds;
mod catalogue;
mod http2;
mod heads;
mod sockets;

/// More than the buffers between server and caller hold.
const GIANT_BYTES: usize = 64 * 1024 * 1024;

/// Answers every request with its body and the name of its connection, `/giant` with very much, and every WebSocket
/// with its messages.
struct Echo;

#[async_trait]
impl ProxyHttp for Echo {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "no upstream")
    }

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> Result<bool> {
        let session = session.as_downstream_mut();
        let connection = Connection::of(session).unwrap();
        connection.facts().take_head();
        let head = http::request::Parts::clone(session.req_header());
        if upgrade::is_asked(&head) {
            let handshake = Handshake::read(&head).unwrap();
            tokio::spawn(Box::pin(echo(upgrade::take(session, &handshake).await?)));
            return Ok(true);
        }
        let mut response = match body::read(session).await {
            Ok(_) if head.uri.path() == "/giant" => respond::text(StatusCode::OK, vec![0; GIANT_BYTES]),
            Ok(body) => respond::text(StatusCode::OK, body),
            Err(refusal) => refusal.response(None),
        };
        response.headers_mut().insert("connection-id", connection.facts().id.as_str().parse().unwrap());
        respond::write(session, response, &head.method).await?;
        Ok(true)
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, _: &mut ()) {
        if let Some(connection) = Connection::of(session.as_downstream()) {
            connection.facts().finish_head();
        }
    }
}

async fn echo(Taken { io, early }: Taken) {
    let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    let mut socket = WebSocketStream::from_partially_read(io, early, Role::Server, Some(config)).await;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            let _ = socket.send(message).await;
        }
    }
}

/// Where [`Echo`] listens, and who is connected.
struct Server(Rig);

impl Server {
    fn start() -> Self {
        let limits = Limits { total: 100, reserve: 0, per_client: 100 };
        let service = |closing| Service { proxy: Arc::new(phases::bounded(Echo)), closing };
        Self(Rig::start(Protocol::Auto, origin::Settings::default(), limits, service))
    }

    fn caps(&self) -> &Caps {
        &self.0.caps
    }

    async fn tls(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        self.0.tls(self.connect().await, "localhost", alpn).await.unwrap()
    }

    async fn connect(&self) -> TcpStream {
        self.0.connect().await
    }

    /// Sends `bytes` on a new connection and reads to its end.
    async fn exchange(&self, bytes: &[u8]) -> String {
        String::from_utf8_lossy(&self.0.exchange(bytes).await).into_owned()
    }
}

/// Reads one answer's head, byte by byte, so that nothing behind it is taken.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
