//! HTTP/2 through the same door.

use std::collections::HashSet;
use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use tokio::time::Instant;

use super::*;
use crate::base::limits::{ANSWER_WAIT, HEAD_WAIT, REQUESTS_PER_CONNECTION_MAX};

#[tokio::test]
async fn requests_share_a_connection_and_each_finds_its_facts() {
    let server = Server::start();
    let (mut client, driver) = h2::client::handshake(server.tls(b"h2").await).await.unwrap();
    tokio::spawn(driver);
    let mut connections = HashSet::new();
    for body in ["", "one", "two"] {
        let request = Request::builder().method(Method::POST).version(Version::HTTP_2).uri("https://localhost/");
        client = client.ready().await.unwrap();
        let (answer, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        let (head, mut echoed) = answer.await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::OK);
        connections.insert(head.headers["connection-id"].clone());
        let mut got = Vec::new();
        while let Some(piece) = echoed.data().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(got, body.as_bytes());
    }
    assert_eq!((connections.len(), server.caps().open()), (1, 1));
}

#[tokio::test]
async fn a_connection_says_goodbye_after_its_last_request_and_none_fails() {
    let server = Server::start();
    let mut served = 0;
    let mut connections = HashSet::new();
    while served <= REQUESTS_PER_CONNECTION_MAX {
        let (mut client, driver) = h2::client::handshake(server.tls(b"h2").await).await.unwrap();
        let driver = tokio::spawn(driver);
        // Ready no more once it was told to go away.
        while served < REQUESTS_PER_CONNECTION_MAX + 9 && poll_fn(|cx| client.poll_ready(cx)).await.is_ok() {
            let request = Request::builder().version(Version::HTTP_2).uri("https://localhost/").body(()).unwrap();
            let Ok((answer, _)) = client.send_request(request, true) else { break };
            connections.insert(answer.await.unwrap().headers()["connection-id"].clone());
            served += 1;
        }
        drop(client);
        let ended = driver.await.unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    }
    assert_eq!(connections.len(), 2);
}

#[tokio::test]
async fn who_does_not_hear_goodbye_is_cut_off() {
    let server = Server::start();
    let (mut read, mut write) = tokio::io::split(server.tls(b"h2").await);
    write.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    write.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // Windows wide enough for all answers; the answer to a ping never comes.
    write.write_all(&frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes())).await.unwrap();
    let asking = async {
        for stream in (1..).step_by(2).take(REQUESTS_PER_CONNECTION_MAX as usize) {
            write.write_all(&frame(1, 0x5, stream, b"\x82\x87\x84\x01\x01a")).await.unwrap();
            if stream % 100 == 99 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    };
    let told = async {
        let mut answer = Vec::new();
        while !frames(&answer).iter().any(|(kind, _)| *kind == 7) {
            assert_ne!(read.read_buf(&mut answer).await.unwrap(), 0, "no GOAWAY");
        }
    };
    tokio::join!(asking, told);
    // Not before: what runs by the clock alone then is the wait for the answer.
    tokio::time::pause();
    let asked = Instant::now();
    read_to_end(&mut read).await;
    assert!(asked.elapsed() <= ANSWER_WAIT + Duration::from_secs(1), "{:?}", asked.elapsed());
    server.0.idle().await;
}

/// CVE-2023-44487.
#[tokio::test]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    const RESETS: u32 = 2_000;
    let server = Server::start();
    let (mut read, mut write) = tokio::io::split(server.tls(b"h2").await);
    let settings = frame(4, 0, 0, &[]);
    let mut sent = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
    for stream in (1..).step_by(2).take(RESETS as usize) {
        // GET https://a/ from HPACK's static table, then RST_STREAM(CANCEL).
        sent.extend(frame(1, 0x5, stream, b"\x82\x87\x84\x01\x01a"));
        sent.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    // The connection may be gone before all is written.
    let (_, answer) = tokio::join!(write.write_all(&sent), read_to_end(&mut read));
    let goodbye = frames(&answer).into_iter().find(|(kind, _)| *kind == 7).map(|(_, payload)| payload).unwrap();
    let last = u32::from_be_bytes(goodbye[..4].try_into().unwrap());
    assert_eq!(goodbye[4..8], 0xb_u32.to_be_bytes(), "GOAWAY says ENHANCE_YOUR_CALM");
    assert!(last < RESETS, "{last}");
    server.0.idle().await;
}

/// A frame (RFC 9113 §4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The kinds and payloads of whole frames.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((head[3], payload.to_vec()));
        bytes = rest;
    }
    frames
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_on_its_stream_alone() {
    let server = Server::start();
    let (mut client, driver) = h2::client::handshake(server.tls(b"h2").await).await.unwrap();
    tokio::spawn(driver);
    for (length, status) in [(65 * 1024, 413), (4, 200)] {
        let request = Request::builder().method(Method::POST).version(Version::HTTP_2).uri("https://localhost/");
        client = client.ready().await.unwrap();
        let (answer, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
        // Only what the window takes goes out at once; the rest is of no interest to the refusal.
        stream.send_data(Bytes::from(vec![b'x'; length]), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), status);
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_that_does_not_come_is_not_waited_for() {
    let server = Server::start();
    let mut stream = server.tls(b"h2").await;
    let start = Instant::now();
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    read_to_end(&mut stream).await;
    let took = start.elapsed();
    assert!(took >= HEAD_WAIT - Duration::from_millis(100) && took <= HEAD_WAIT + Duration::from_secs(2), "{took:?}");
}
