//! What one connection may take: requests, time for a body, time for an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::base::limits::{ANSWER_WAIT, BODY_WAIT, LINGER_WAIT, REQUESTS_PER_CONNECTION_MAX};

#[tokio::test]
async fn a_connection_ends_after_its_last_request() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    for nth in 1..=REQUESTS_PER_CONNECTION_MAX {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{nth}: {head}");
        let kept = head.to_ascii_lowercase().contains("connection: keep-alive");
        assert_eq!(kept, nth < REQUESTS_PER_CONNECTION_MAX, "{nth}: {head}");
    }
    assert_eq!(read_to_end(&mut stream).await, b"");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_refused_in_time() {
    let server = Server::start();
    let start = Instant::now();
    let answer = server.exchange(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\n\r\nbody-too-slow: "), "{answer}");
    let took = start.elapsed();
    assert!(took >= BODY_WAIT && took < BODY_WAIT + LINGER_WAIT, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_takes_is_given_up_in_time() {
    let server = Server::start();
    let start = Instant::now();
    let mut stream = server.connect().await;
    stream.write_all(b"GET /giant HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    server.0.idle().await;
    let took = start.elapsed();
    assert!(took >= ANSWER_WAIT && took < ANSWER_WAIT + LINGER_WAIT + Duration::from_secs(1), "{took:?}");
    assert!(read_to_end(&mut stream).await.len() < GIANT_BYTES, "it fit into the buffers: this test proves nothing");
}
