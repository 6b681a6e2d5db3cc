//! Promise: whoever is in the middle of a request when we stop gets its answer, HTTP/2 is told to go elsewhere, and who
//! does not come to an end is cut at the end of the window.

use std::io::{Read, Write};
use std::net::TcpStream as StdTcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::caller::Caller;
use crate::support::instance::{Instance, owners_and};
use crate::support::namespace::Namespace;
use crate::support::wait::wait_until;

const ADDRESS: &str = "127.0.0.1:18789";
// Frame types (RFC 9113 §6).
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WAIT: Duration = Duration::from_secs(20);

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, &configuration(15));
    let mut stream = machine.on(begin);
    let answered = std::thread::scope(|scope| {
        let stopped = scope.spawn(|| instance.stop());
        wait_until_refused(&machine);
        stream.write_all(b"y").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(stopped.join().unwrap().success());
        answer
    });
    let head = answered.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 405 ") && head.contains("\r\nconnection: close\r\n"), "{answered}");
}

#[test]
fn http2_finishes_its_streams_and_is_told_to_go() {
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, &configuration(15));
    let caller = Caller::trusting(ADDRESS, &instance.authority());
    let (in_flight, begun) = std::sync::mpsc::channel();
    let (told, refused) = tokio::sync::oneshot::channel();
    std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            machine.block_on(move || async move {
                let (mut client, connection) = h2::client::handshake(h2_stream(&caller).await).await.unwrap();
                let connection = tokio::spawn(connection);
                let request = Request::builder().method(Method::POST).uri(format!("https://{ADDRESS}/"));
                let (answer, mut body) = client.send_request(request.body(()).unwrap(), false).unwrap();
                body.send_data(Bytes::from_static(b"x"), false).unwrap();
                // Its first byte has arrived when a later request is answered.
                let health = Request::builder().uri(format!("https://{ADDRESS}/healthz")).body(()).unwrap();
                client = client.ready().await.unwrap();
                assert_eq!(client.send_request(health, true).unwrap().0.await.unwrap().status(), 200);
                in_flight.send(()).unwrap();
                refused.await.unwrap();
                body.send_data(Bytes::from_static(b"y"), true).unwrap();
                assert_eq!(timeout(WAIT, answer).await.unwrap().unwrap().status(), 405);
                // A GOAWAY without an error ends the connection although we hold it.
                timeout(WAIT, connection).await.unwrap().unwrap().unwrap();
                assert!(client.ready().await.is_err(), "new requests are taken still");
            })
        });
        begun.recv_timeout(WAIT).unwrap();
        let stopped = scope.spawn(|| instance.stop());
        wait_until_refused(&machine);
        told.send(()).unwrap();
        visitor.join().unwrap();
        assert!(stopped.join().unwrap().success());
    });
}

#[test]
fn http2_may_still_speak_after_our_goodbye() {
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, &configuration(15));
    let caller = Caller::trusting(ADDRESS, &instance.authority());
    let (opened, open) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            machine.block_on(move || async move {
                let mut stream = h2_stream(&caller).await;
                // The client preface with empty SETTINGS (RFC 9113 §3.4).
                stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
                // The edge's SETTINGS: it serves.
                assert_eq!(read_frame(&mut stream).await.unwrap().0, SETTINGS);
                opened.send(()).unwrap();
                while let Some((kind, flags, payload)) = read_frame(&mut stream).await {
                    // The edge ends when it knows that its GOAWAY was read.
                    if (kind, flags) == (PING, 0) {
                        stream.write_all(&ping(1, &payload)).await.unwrap();
                    }
                }
                // A socket closed at the other end would answer the first with a reset, which the second finds.
                for _ in 0..2 {
                    stream.write_all(&ping(0, b"still on")).await.unwrap();
                }
            })
        });
        open.recv_timeout(WAIT).unwrap();
        assert!(instance.stop().success());
        visitor.join().unwrap();
    });
}

#[test]
fn what_does_not_end_is_cut_when_the_window_is_over() {
    const WINDOW: u64 = 2;
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, &configuration(WINDOW));
    let mut stream = machine.on(begin);
    let start = Instant::now();
    assert!(instance.stop().success());
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(WINDOW) && took < Duration::from_secs(WINDOW + 6), "{took:?}");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    assert!(instance.log().contains("drain window over"), "{}", instance.log());
}

fn configuration(drain_seconds: u64) -> String {
    owners_and(&format!("[edge]\ndrain_seconds = {drain_seconds}\n"))
}

fn ping(flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, PING, flags, 0, 0, 0, 0], payload].concat()
}

/// The next frame's type, flags and payload (RFC 9113 §4.1); none at the end of the stream.
async fn read_frame(stream: &mut TlsStream<TcpStream>) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    if timeout(WAIT, stream.read(&mut head[..1])).await.unwrap().unwrap() == 0 {
        return None;
    }
    stream.read_exact(&mut head[1..]).await.unwrap();
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await.unwrap();
    Some((head[3], head[4], payload))
}

/// A TLS connection on which HTTP/2 was agreed on.
async fn h2_stream(caller: &Caller) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::clone(&caller.tls().unwrap());
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::IpAddress(caller.address().ip().into());
    let stream = TcpStream::connect(caller.address()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// A request that lacks the last byte of its body.
fn begin() -> StdTcpStream {
    let mut stream = StdTcpStream::connect(ADDRESS).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    // The request is in hand when it asks for the rest.
    let head = format!("POST / HTTP/1.1\r\nHost: {ADDRESS}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"x").unwrap();
    stream
}

fn wait_until_refused(machine: &Namespace) {
    wait_until(|| machine.on(|| StdTcpStream::connect(ADDRESS).is_err()));
}
