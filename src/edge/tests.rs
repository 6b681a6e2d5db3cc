//! The edge over real loopback sockets, with an application of the tests' own in the core's place.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_proxy::{ProxyHttp, Session};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::context::Connection;
use super::upgrade::{self, Handshake, Taken};
use super::workers::Service;
use super::{body, proxy, respond};
use crate::base::clock::Clock;
use crate::certificates::{self, Certificates};
use crate::listener::accept::accept;
use crate::listener::caps::{Caps, Limits};
use crate::listener::connection::Door;
use crate::listener::{self, Protocol, Serve, bind};
use crate::origin;

mod http2;
mod heads;
mod sockets;

/// Answers every request with its body, and every WebSocket with its messages.
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
        let response = match body::read(session).await {
            Ok(body) => respond::text(StatusCode::OK, body),
            Err(refusal) => refusal.response(),
        };
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
struct Server {
    address: SocketAddr,
    caps: Caps,
    authority: CertificateDer<'static>,
    _closing: watch::Sender<bool>,
    _state: TempDir,
}

impl Server {
    fn start() -> Self {
        let settings = listener::Settings {
            name: "test".to_owned(),
            bind: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            protocol: Protocol::Auto,
            serve: Serve::All,
            origin: origin::Settings::default(),
        };
        let mut bound = bind::bind(&settings.bind, 1).unwrap().remove(0);
        let socket = TcpListener::from_std(bound.sockets.remove(0)).unwrap();
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("certs");
        let files = certificates::Settings { state_dir: state.path().into(), dir, ..Default::default() };
        let certificates = Certificates::open(files, Clock::system().now()).unwrap();
        let tls = certificates::server_tls::ServerTls::new(certificates.resolver(), &["h2", "http/1.1"]).unwrap();
        let authority = CertificateDer::from_pem_slice(certificates.ca_pem().as_bytes()).unwrap();
        let door = Door { settings: Arc::new(settings), tls: Some(tls) };
        let caps = Caps::new(Limits { total: 100, reserve: 0, per_client: 100 });
        let (closing, closed) = watch::channel(false);
        let service = Service { proxy: Arc::new(proxy::bounded(Echo)), closing: closed.clone() };
        tokio::spawn(accept(socket, door, caps.clone(), service, closed));
        Self { address: bound.address, caps, authority, _closing: closing, _state: state }
    }

    async fn tls(&self, alpn: &[u8]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(certificates::provider());
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, self.connect().await).await.unwrap()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `bytes` on a new connection and reads to its end.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end too: what came before it counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
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
