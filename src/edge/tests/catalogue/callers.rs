//! The ways in: raw bytes of HTTP/1.1, a well-behaved HTTP/2 client, and HTTP/2 frames made by hand.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::super::http2::{frame, frames};
use super::{Bench, HONEST, Lines};
use crate::listener::testing::read_to_end;

/// What a WebSocket's opening adds to the honest request.
const OPENING: Lines = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

impl Bench {
    async fn encrypted(&self) -> TlsStream<TcpStream> {
        self.rig.tls(self.rig.connect().await, "localhost", b"h2").await.unwrap()
    }

    /// The honest GET with these lines, over HTTP/1.1; its status.
    pub(super) async fn get_http1(&self, lines: Lines<'_>) -> u16 {
        self.http1(written("GET", &[HONEST, lines].concat(), "").as_bytes()).await
    }

    /// The honest WebSocket with these lines; its status.
    pub(super) async fn open_socket(&self, lines: Lines<'_>) -> u16 {
        self.http1(written("GET", &[HONEST, OPENING, lines].concat(), "").as_bytes()).await
    }

    /// A chunked POST of `hello` with these trailers; its status.
    pub(super) async fn post_http1(&self, trailers: Lines<'_>) -> u16 {
        let names: Vec<_> = trailers.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let announced: Lines = &[("Transfer-Encoding", "chunked"), ("Trailer", &names)];
        let section: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let body = format!("2\r\nhe\r\n3\r\nllo\r\n0\r\n{section}\r\n");
        self.http1(written("POST", &[HONEST, announced].concat(), &body).as_bytes()).await
    }

    /// Sends bytes and reads to the end: exactly one answer may come, and it ends the exchange.
    pub(super) async fn http1(&self, bytes: &[u8]) -> u16 {
        let mut stream = self.rig.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
        let finals: Vec<_> = answer.split("HTTP/1.1 ").skip(1).filter(|answer| !answer.starts_with("100 ")).collect();
        assert_eq!(finals.len(), 1, "{}\n{answer}", String::from_utf8_lossy(bytes));
        finals[0].split(' ').next().unwrap().parse().unwrap()
    }

    /// The honest request with these lines over HTTP/2, with a body and trailers if there are any; its status.
    pub(super) async fn http2(&self, lines: Lines<'_>, trailers: Option<Lines<'_>>) -> u16 {
        let (client, driver) = h2::client::handshake(self.encrypted().await).await.unwrap();
        let driver = tokio::spawn(driver);
        let method = if trailers.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder().method(method).version(Version::HTTP_2).uri("https://localhost/?q=1");
        *request.headers_mut().unwrap() = map(&[&HONEST[1..], lines].concat());
        let mut client = client.ready().await.unwrap();
        let (answer, mut body) = client.send_request(request.body(()).unwrap(), trailers.is_none()).unwrap();
        if let Some(trailers) = trailers {
            body.send_data(Bytes::from_static(b"hello"), trailers.is_empty()).unwrap();
            if !trailers.is_empty() {
                body.send_trailers(map(trailers)).unwrap();
            }
        }
        let status = answer.await.unwrap().status().as_u16();
        drop((client, body));
        driver.abort();
        status
    }

    /// A GET over HTTP/2 whose field section is written as it stands; the kind of the frame that decides it: HEADERS 1,
    /// RST_STREAM 3, GOAWAY 7.
    pub(super) async fn http2_by_hand(&self, fields: Lines<'_>) -> u8 {
        let mut stream = self.encrypted().await;
        let section: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let opening = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
        stream.write_all(&[opening, frame(1, 0x5, 1, &section)].concat()).await.unwrap();
        let mut answer = Vec::new();
        loop {
            let read = stream.read_buf(&mut answer).await.unwrap();
            if let Some((kind, _)) = frames(&answer).into_iter().find(|(kind, _)| [1, 3, 7].contains(kind)) {
                return kind;
            }
            assert_ne!(read, 0, "no answer to {fields:?}");
        }
    }
}

/// A literal field without indexing and without Huffman coding (RFC 7541 §6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let text =
        |text: &str| [&[u8::try_from(text.len()).ok().filter(|len| *len < 127).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

fn written(method: &str, lines: Lines<'_>, body: &str) -> String {
    let lines: String = lines.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} /?q=1 HTTP/1.1\r\n{lines}\r\n{body}")
}

fn map(lines: Lines<'_>) -> HeaderMap {
    let read = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(read).collect()
}
