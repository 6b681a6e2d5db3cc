//! A caller that writes its own bytes, from any address its machine owns: header lines that a library would mend or
//! refuse, over HTTP/1.1, HTTP/2 and the WebSocket upgrade, within TLS or not.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::gateway_client::{Socket, Stream};

const WAIT: Duration = Duration::from_secs(15);
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// A name and a value, as they go over the wire.
pub(crate) type Line = (String, String);

/// Between which addresses, and what comes before the request.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    pub(crate) from: IpAddr,
    pub(crate) to: SocketAddr,
    /// Sent before TLS, as one who speaks the PROXY protocol does.
    pub(crate) first: Vec<u8>,
    /// The name TLS asks for; without one it asks for the address, which sends no SNI.
    pub(crate) name: Option<String>,
    /// Whom TLS trusts; none for no TLS.
    pub(crate) roots: Option<Arc<RootCertStore>>,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Answered, in HTTP.
    Answered { status: u16, body: String },
    /// The connection, or in HTTP/2 the stream, ended without an answer.
    Ended(String),
    /// Answered in plain text, for what was sent was no TLS.
    Plain,
}

/// What comes after the first bytes when no request does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// The end of our side.
    Fin,
    /// Nothing, until the other side ends.
    Silence,
}

impl Wire {
    /// Sends the first bytes and no request.
    pub(crate) async fn first_only(&self, then: Then) -> Reply {
        let exchange = async {
            let mut socket = self.dial().await;
            socket.write_all(&self.first).await?;
            if then == Then::Fin {
                socket.shutdown().await?;
            }
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await?;
            assert!(answer.is_empty(), "{self:?}: {}", String::from_utf8_lossy(&answer));
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        self.within(exchange).await
    }

    /// One request of HTTP/1: its first line, and its header lines just as given.
    pub(crate) async fn http1(&self, first: &str, lines: &[Line]) -> Reply {
        self.within(async {
            let mut stream = self.open(HTTP1).await?;
            let (status, head, mut body) = exchange(&mut stream, first, lines).await?;
            let length = content_length(&head);
            while body.len() < length {
                body.push(stream.read_u8().await?);
            }
            Ok((status, body))
        })
        .await
    }

    /// One request of HTTP/2: its fields just as given, those with a colon included.
    pub(crate) async fn http2(&self, fields: &[Line]) -> Reply {
        self.within(async {
            let mut stream = self.open(HTTP2).await?;
            stream.write_all(&h2::request(fields)).await?;
            h2::answer(&mut stream).await
        })
        .await
    }

    /// A WebSocket, or what came in place of the 101.
    pub(crate) async fn websocket(&self, lines: &[Line]) -> Result<Socket, Reply> {
        let opening = async {
            let mut stream = self.open(HTTP1).await?;
            let (status, _, rest) = exchange(&mut stream, "GET / HTTP/1.1", lines).await?;
            io::Result::Ok((stream, status, rest))
        };
        match timeout(WAIT, opening).await.unwrap_or_else(|_| panic!("no answer in time: {self:?}")) {
            Ok((stream, 101, rest)) => Ok(WebSocketStream::from_partially_read(stream, rest, Role::Client, None).await),
            Ok((_, status, body)) => Err(Reply::Answered { status, body: String::from_utf8_lossy(&body).into_owned() }),
            Err(error) => Err(self.ended(&error)),
        }
    }

    async fn within(&self, exchange: impl Future<Output = io::Result<(u16, Vec<u8>)>>) -> Reply {
        match timeout(WAIT, exchange).await.unwrap_or_else(|_| panic!("no answer in time: {self:?}")) {
            Ok((status, body)) => Reply::Answered { status, body: String::from_utf8_lossy(&body).into_owned() },
            Err(error) => self.ended(&error),
        }
    }

    /// Connects; that nobody listens is no refusal.
    async fn dial(&self) -> TcpStream {
        let socket = if self.from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap_or_else(|error| panic!("{}: {error}", self.from));
        let stream = socket.connect(self.to).await.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        assert_eq!(stream.local_addr().unwrap().ip(), self.from, "the very address");
        stream
    }

    async fn open(&self, protocol: &[u8]) -> io::Result<Box<dyn Stream>> {
        let mut socket = self.dial().await;
        socket.write_all(&self.first).await?;
        let Some(roots) = &self.roots else { return Ok(Box::new(socket)) };
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(Arc::clone(roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let name = match &self.name {
            Some(name) => ServerName::try_from(name.clone()).unwrap(),
            None => ServerName::IpAddress(self.to.ip().to_canonical().into()),
        };
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol));
        Ok(Box::new(stream))
    }

    /// The other side's end; anything that is our own fault is a failure.
    fn ended(&self, error: &io::Error) -> Reply {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
        use rustls::{Error, InvalidMessage};
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        if let Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) = inner {
            return Reply::Plain;
        }
        let alert = matches!(inner, Some(Error::AlertReceived(_)));
        assert!(alert || matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof), "{self:?}: {error}");
        Reply::Ended(error.to_string())
    }
}

/// The status, the head, and what came of the body with it.
async fn exchange(stream: &mut Box<dyn Stream>, first: &str, lines: &[Line]) -> io::Result<(u16, String, Vec<u8>)> {
    let mut request = format!("{first}\r\n");
    lines.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = answer.split_off(end + 4);
            let head = String::from_utf8(answer).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Ok((status, head, rest));
        }
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn content_length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().map_or(0, |(_, length)| length.trim().parse().unwrap())
}

/// As much of HTTP/2 as one request needs (RFC 9113), its fields as plain literals (RFC 7541 §6.2.2).
mod h2 {
    use super::*;

    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    const CONTINUATION: u8 = 9;
    /// Of HEADERS and DATA; on SETTINGS the same bit is ACK.
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    const FRAME_BYTES_MAX: usize = 16_384;

    /// Everything a client sends for one request.
    pub(super) fn request(fields: &[Line]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0);
            for text in [name, value] {
                length(text.len(), &mut block);
                block.extend(text.as_bytes());
            }
        }
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(SETTINGS, 0, 0, &[], &mut bytes);
        let last = block.chunks(FRAME_BYTES_MAX).len() - 1;
        for (index, part) in block.chunks(FRAME_BYTES_MAX).enumerate() {
            let (kind, end_stream) = if index == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
            let end_headers = if index == last { END_HEADERS } else { 0 };
            frame(kind, end_stream | end_headers, 1, part, &mut bytes);
        }
        bytes
    }

    /// Reads frames until the stream's end.
    pub(super) async fn answer(stream: &mut Box<dyn Stream>) -> io::Result<(u16, Vec<u8>)> {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let [high, middle, low, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
            stream.read_exact(&mut payload).await?;
            match kind {
                DATA => body.extend(payload),
                HEADERS => status = status_of(&payload),
                SETTINGS if flags & END_STREAM == 0 => {
                    let mut acknowledgement = Vec::new();
                    frame(SETTINGS, END_STREAM, 0, &[], &mut acknowledgement);
                    stream.write_all(&acknowledgement).await?;
                }
                RST_STREAM => return Err(io::Error::new(io::ErrorKind::ConnectionReset, "stream reset")),
                GOAWAY if payload[4..8] != [0; 4] => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection error"));
                }
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                return Ok((status, body));
            }
        }
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], bytes: &mut Vec<u8>) {
        bytes.extend(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
    }

    /// A string's length, RFC 7541 §5.1 with a prefix of seven bits.
    fn length(length: usize, block: &mut Vec<u8>) {
        let Some(mut rest) = length.checked_sub(127) else {
            block.push(u8::try_from(length).unwrap());
            return;
        };
        block.push(127);
        while rest >= 128 {
            block.push(u8::try_from(rest % 128 + 128).unwrap());
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }

    /// The status that stands first in a block of header fields.
    fn status_of(block: &[u8]) -> u16 {
        const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
        match *block {
            [indexed @ 0x88..=0x8e, ..] => STATIC[usize::from(indexed - 0x88)],
            [0x08 | 0x18 | 0x48, 3, hundreds, tens, ones, ..] => {
                String::from_utf8(vec![hundreds, tens, ones]).unwrap().parse().unwrap()
            }
            [0x08 | 0x18 | 0x48, 0x82 | 0x83, first, second, third, ..] => {
                digits(u32::from_be_bytes([0, first, second, third]))
            }
            _ => panic!("no status first: {block:x?}"),
        }
    }

    /// Three digits in the code of RFC 7541 appendix B: five bits for 0 to 2, six for 3 to 9.
    fn digits(bits: u32) -> u16 {
        let (mut left, mut number) = (bits << 8, 0);
        for _ in 0..3 {
            let (digit, width) = match left >> 27 {
                short @ 0..=2 => (short, 5),
                _ => ((left >> 26) - 22, 6),
            };
            number = number * 10 + digit;
            left <<= width;
        }
        u16::try_from(number).unwrap()
    }
}
