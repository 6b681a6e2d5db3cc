//! A WebSocket to the upstream: TCP, TLS where it wants it, and the upgrade (RFC 6455 §4.1). hyper reads the answer, so that
//! bytes which came with it are kept.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::base::limits::UPSTREAM_HEAD_BYTES_MAX;
use crate::core::upstream::Endpoint;
use crate::core::websocket::Gone;
use crate::core::websocket::Inbound;
use crate::core::websocket::WebSocket;
use crate::net::host::Scheme;
use crate::protocol::close::Close;

/// Whatever carries the bytes.
pub(in crate::core) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Io for S {}

/// The stream below a WebSocket to the upstream.
pub(in crate::core) type Stream = Box<dyn Io>;

/// A WebSocket to the upstream, one message at a time.
pub(in crate::core) struct Line(pub(in crate::core) WebSocket<Stream>);

/// What the head of the upgrade says of us.
#[derive(Debug)]
pub(super) struct Head {
    /// Host.
    pub(super) host: HeaderValue,
    /// Origin, if the client has one.
    pub(super) origin: Option<HeaderValue>,
    /// The most that the session may have, as a second wall beside what `connect` asks for.
    pub(super) scopes: Option<HeaderValue>,
}

impl Line {
    /// Sends one text message and waits until it has left.
    pub(super) async fn send(&mut self, text: String) -> Result<(), Gone> {
        let mut text = Some(text);
        poll_fn(|cx| match text.take() {
            Some(text) => self.0.poll_send_text(text, cx),
            None => self.0.poll_flush(cx),
        })
        .await
    }

    /// Sends a ping and waits until it has left.
    pub(super) async fn ping(&mut self) -> Result<(), Gone> {
        let mut first = true;
        poll_fn(|cx| if std::mem::take(&mut first) { self.0.poll_send_ping(cx) } else { self.0.poll_flush(cx) }).await
    }

    /// The next thing that came.
    pub(super) async fn heard(&mut self) -> Heard {
        match poll_fn(|cx| self.0.poll_inbound(cx)).await {
            Inbound::Text(text) => Heard::Text(text),
            Inbound::Control => Heard::Life,
            Inbound::Binary | Inbound::Closed | Inbound::TooBig | Inbound::Violation(_) => {
                Heard::End(self.0.take_farewell())
            }
        }
    }

    /// The next text message, or how the upstream closed.
    pub(super) async fn next(&mut self) -> Result<Utf8Bytes, Option<Close>> {
        loop {
            match self.heard().await {
                Heard::Text(text) => return Ok(text),
                Heard::Life => {}
                Heard::End(close) => return Err(close),
            }
        }
    }
}

/// What came from the upstream.
#[derive(Debug)]
pub(super) enum Heard {
    /// Its end.
    End(Option<Close>),
    /// A ping or a pong.
    Life,
    /// A text message.
    Text(Utf8Bytes),
}

/// The bytes below: TCP, and TLS for an endpoint that speaks it.
pub(super) async fn connect(
    endpoint: &Endpoint,
    tls: Option<&Arc<ClientConfig>>,
    address: SocketAddr,
) -> Result<Stream, DialError> {
    let stream = TcpStream::connect(address).await.map_err(DialError::Connect)?;
    stream.set_nodelay(true).map_err(DialError::Connect)?;
    let Some(config) = tls else { return Ok(Box::new(stream)) };
    let name = endpoint.server_name().ok_or(DialError::Name)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(DialError::Tls)?;
    Ok(Box::new(stream))
}

/// Makes a WebSocket of `stream`.
pub(super) async fn upgrade(stream: Stream, head: Head) -> Result<Line, DialError> {
    let key = generate_key();
    let accepted = derive_accept_key(key.as_bytes());
    let request = opening(head, &key)?;
    let (response, _driving) = ask(stream, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        return Err(DialError::Refused {
            status,
            body: beginning(response.into_body(), UPSTREAM_HEAD_BYTES_MAX).await,
        });
    }
    let told = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    if told.is_none_or(|told| told.as_bytes() != accepted.as_bytes()) {
        return Err(DialError::NotWebSocket);
    }
    let upgraded = hyper::upgrade::on(response).await?;
    // Never: this is what the connection was made of.
    let parts = upgraded.downcast::<TokioIo<Stream>>().map_err(|_| DialError::NotWebSocket)?;
    Ok(Line(WebSocket::dialled(parts.io.into_inner(), parts.read_buf.to_vec())))
}

fn opening(head: Head, key: &str) -> Result<Request<Empty<Bytes>>, DialError> {
    let mut request = Request::get("/")
        .header(header::HOST, head.host)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, key)
        .body(Empty::<Bytes>::new())?;
    for (name, value) in [("origin", head.origin), ("x-openclaw-scopes", head.scopes)] {
        if let Some(value) = value {
            request.headers_mut().insert(name, value);
        }
    }
    Ok(request)
}

/// One GET, for the upstream's page; its body, cut at `bytes_max`.
pub(super) async fn page(stream: Stream, host: &HeaderValue, bytes_max: usize) -> Result<String, DialError> {
    let request = Request::get("/").header(header::HOST, host).body(Empty::<Bytes>::new())?;
    let (response, _driving) = ask(stream, request).await?;
    let status = response.status();
    let body = beginning(response.into_body(), bytes_max).await;
    if status == StatusCode::OK { Ok(body) } else { Err(DialError::Refused { status, body }) }
}

/// Sends one request. What drives the connection ends with the second at the latest.
async fn ask(
    stream: Stream,
    request: Request<Empty<Bytes>>,
) -> Result<(Response<Incoming>, JoinSet<hyper::Result<()>>), DialError> {
    let mut client = http1::Builder::new();
    client.max_buf_size(UPSTREAM_HEAD_BYTES_MAX);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    let mut driving = JoinSet::new();
    driving.spawn(connection.with_upgrades());
    Ok((sender.send_request(request).await?, driving))
}

/// What came of a body, cut at `bytes_max`.
async fn beginning(mut body: Incoming, bytes_max: usize) -> String {
    let mut held = Vec::new();
    while held.len() < bytes_max {
        let Some(Ok(frame)) = body.frame().await else { break };
        let room = bytes_max.saturating_sub(held.len());
        held.extend(frame.into_data().unwrap_or_default().into_iter().take(room));
    }
    String::from_utf8_lossy(&held).into_owned()
}

/// How we know the upstream where it speaks TLS: by the certificates of this machine.
pub(super) fn tls(endpoint: &Endpoint) -> Result<Option<Arc<ClientConfig>>, DialError> {
    if endpoint.scheme() == Scheme::Http {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    // One that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(DialError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|_| DialError::NoRoots)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Some(Arc::new(config)))
}

/// Why there is no WebSocket to the upstream.
#[derive(Debug, Error)]
pub(super) enum DialError {
    #[error("not reachable: {0}")]
    Connect(io::Error),
    #[error("its answer is no http: {0}")]
    Http(#[from] hyper::Error),
    #[error("a name that no certificate can have")]
    Name,
    #[error("no root certificates on this machine")]
    NoRoots,
    #[error("it does not speak WebSocket")]
    NotWebSocket,
    #[error("it answers {status}")]
    Refused { status: StatusCode, body: String },
    #[error("no request: {0}")]
    Request(#[from] http::Error),
    #[error("TLS fails: {0}")]
    Tls(io::Error),
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::io::DuplexStream;

    use super::*;
    use crate::base::limits::UPSTREAM_PAGE_BYTES_MAX;

    fn host() -> HeaderValue {
        HeaderValue::from_static("h")
    }

    /// Answers whatever is asked, and stays as long as the other end.
    async fn answers(mut end: DuplexStream, status: &str, body: &str) {
        let mut asked = [0; 1024];
        assert_ne!(end.read(&mut asked).await.unwrap(), 0);
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        // Whoever has enough goes.
        let _ = end.write_all(text.as_bytes()).await;
        let _ = end.read(&mut asked).await;
    }

    #[tokio::test]
    async fn of_a_page_above_the_limit_its_beginning_is_read() {
        let most = UPSTREAM_PAGE_BYTES_MAX;
        for (sent, kept) in [(0, 0), (most - 1, most - 1), (most, most), (most + 1, most), (4 * most, most)] {
            let (ours, theirs) = tokio::io::duplex(4096);
            let body = "x".repeat(sent);
            let asked = async { page(Box::new(ours), &host(), most).await };
            let (read, ()) = tokio::join!(asked, answers(theirs, "200 OK", &body));
            assert_eq!(read.unwrap().len(), kept, "of {sent}");
        }
    }

    #[tokio::test]
    async fn a_refusal_above_the_limit_is_known_by_its_beginning() {
        let (ours, theirs) = tokio::io::duplex(4096);
        let body = format!("proxy_attribution{}", "x".repeat(UPSTREAM_HEAD_BYTES_MAX));
        let head = Head { host: host(), origin: None, scopes: None };
        let asked = async { upgrade(Box::new(ours), head).await.err() };
        let (refused, ()) = tokio::join!(asked, answers(theirs, "403 Forbidden", &body));
        let Some(DialError::Refused { status: StatusCode::FORBIDDEN, body }) = refused else { panic!("{refused:?}") };
        assert!(body.starts_with("proxy_attribution") && body.len() == UPSTREAM_HEAD_BYTES_MAX, "{}", body.len());
    }
}
