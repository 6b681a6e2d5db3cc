//! A caller who keeps his connection: request after request on one HTTP/1.1 or HTTP/2 connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::caller::Caller;
use super::gateway_client::Stream;

const WAIT: Duration = Duration::from_secs(20);

/// An open connection.
pub(crate) struct Kept {
    address: SocketAddr,
    wire: Wire,
}

enum Wire {
    Http1(Box<dyn Stream>),
    Http2(SendRequest<Bytes>),
}

impl Kept {
    /// Connects as `caller` calls, and speaks HTTP/1.1.
    pub(crate) async fn open(caller: &Caller) -> Self {
        let socket = caller.dial().await.unwrap();
        Self { address: caller.address(), wire: Wire::Http1(dressed(socket, caller, &[]).await) }
    }

    /// The same over HTTP/2.
    pub(crate) async fn open_h2(caller: &Caller) -> Self {
        let socket = caller.dial().await.unwrap();
        let (client, driver) = h2::client::handshake(dressed(socket, caller, b"h2").await).await.unwrap();
        tokio::spawn(driver);
        Self { address: caller.address(), wire: Wire::Http2(client) }
    }

    /// Connects from `source`, in plain HTTP/1.1.
    pub(crate) async fn open_from(source: IpAddr, address: &str) -> Self {
        let address = address.parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        let socket = socket.connect(address).await.unwrap();
        Self { address, wire: Wire::Http1(Box::new(socket)) }
    }

    /// What `/doorward/whoami` says on this connection; an error if there is no answer, or not that one.
    pub(crate) async fn whoami(&mut self, headers: &[(&str, &str)]) -> io::Result<Value> {
        let (status, body) = timeout(WAIT, self.get("/doorward/whoami", headers)).await??;
        if status != 200 {
            return Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&body))));
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// One GET: its status and body.
    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<(u16, Vec<u8>)> {
        match &mut self.wire {
            Wire::Http1(stream) => {
                let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{lines}\r\n", self.address);
                stream.write_all(request.as_bytes()).await?;
                answer(stream).await
            }
            Wire::Http2(client) => {
                let mut request = http::Request::get(format!("https://{}{path}", self.address));
                for (name, value) in headers {
                    request = request.header(*name, *value);
                }
                let client = client.clone().ready().await.map_err(io::Error::other)?;
                let (answer, _) = { client }.send_request(request.body(()).unwrap(), true).map_err(io::Error::other)?;
                let (head, mut body) = answer.await.map_err(io::Error::other)?.into_parts();
                let mut whole = Vec::new();
                while let Some(piece) = body.data().await {
                    whole.extend_from_slice(&piece.map_err(io::Error::other)?);
                }
                Ok((head.status.as_u16(), whole))
            }
        }
    }
}

/// What the caller says first, then TLS if he speaks it.
async fn dressed(mut socket: TcpStream, caller: &Caller, alpn: &[u8]) -> Box<dyn Stream> {
    socket.write_all(caller.preface()).await.unwrap();
    let Some(config) = caller.tls() else { return Box::new(socket) };
    let mut config = Arc::unwrap_or_clone(config);
    config.alpn_protocols.extend((!alpn.is_empty()).then(|| alpn.to_vec()));
    let name = ServerName::IpAddress(caller.address().ip().into());
    Box::new(TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap())
}

/// One answer with a declared length, and not a byte more.
async fn answer(stream: &mut Box<dyn Stream>) -> io::Result<(u16, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).ok_or(io::ErrorKind::InvalidData)?;
    let mut body = vec![0; length.parse().map_err(io::Error::other)?];
    stream.read_exact(&mut body).await?;
    Ok((status, body))
}
