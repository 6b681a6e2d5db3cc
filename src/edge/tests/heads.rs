//! Heads that are slow, large or ambiguous, and what a connection may carry.

use tokio::time::Instant;

use super::*;
use crate::base::code::Code;
use crate::base::limits::{BODY_BYTES_MAX, FIRST_HEAD_WAIT, HANDSHAKE_WAIT, HEAD_WAIT, IDLE_WAIT, LINGER_WAIT};

#[tokio::test]
async fn a_connection_carries_requests_one_after_the_other() {
    let server = Server::start();
    let mut stream = server.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("onnection: keep-alive"), "{head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_refused_five_seconds_after_its_first_byte() {
    let server = Server::start();
    let start = Instant::now();
    let answer = server.exchange(b"GET / HTTP/1.1\r\nHost:").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("head-too-slow: "), "{answer}");
    let took = start.elapsed();
    assert!(took >= HEAD_WAIT && took < HEAD_WAIT * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn trickling_bytes_do_not_move_the_deadline() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
    let start = Instant::now();
    let (mut read, mut write) = stream.split();
    let trickle = async {
        while write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(HEAD_WAIT / 20).await;
        }
    };
    let answer = tokio::select! {
        () = trickle => panic!("closed without an answer"),
        answer = read_to_end(&mut read) => answer,
    };
    assert!(answer.starts_with(b"HTTP/1.1 408 "));
    assert!(start.elapsed() < HEAD_WAIT * 2, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_in_time_without_a_word() {
    let server = Server::start();
    for (first, wait) in [(&b""[..], HANDSHAKE_WAIT), (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", IDLE_WAIT)] {
        let start = Instant::now();
        let answer = server.exchange(first).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(!first.is_empty()), "{answer}");
        let took = start.elapsed();
        assert!(took >= wait && took < wait + LINGER_WAIT, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_asks_for_nothing_is_closed_before_an_idle_one() {
    let server = Server::start();
    let mut stream = server.tls(b"http/1.1").await;
    let start = Instant::now();
    assert_eq!(read_to_end(&mut stream).await, b"");
    let took = start.elapsed();
    assert!(took > FIRST_HEAD_WAIT - LINGER_WAIT && took < FIRST_HEAD_WAIT + LINGER_WAIT, "{took:?}");
}

#[tokio::test]
async fn large_and_many_lined_heads_are_refused() {
    let server = Server::start();
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(65 * 1024));
    let answer = server.exchange(large.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("head-too-large: "), "{answer}");
    let lines = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100));
    let answer = server.exchange(lines.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") && answer.contains("too-many-headers: "), "{answer}");
}

#[tokio::test]
async fn heads_with_two_readings_are_refused() {
    let server = Server::start();
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/01.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \u{1b}[2J\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let answer = server.exchange(head.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\n\r\nmalformed-request: "),
            "{head:?}: {answer}"
        );
        let code = answer.lines().last().and_then(|line| line.strip_prefix("code: ")?.split(' ').next());
        assert!(code.is_some_and(|code| Code::parse(code).is_some()), "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn bytes_behind_a_request_are_never_a_second_request() {
    let server = Server::start();
    for body in ["", "Content-Length: 2\r\n"] {
        let first = format!("GET / HTTP/1.1\r\nHost: a\r\n{body}\r\n{}", if body.is_empty() { "" } else { "hi" });
        let answer = server.exchange(format!("{first}GET /second HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_body_is_bounded_and_its_framing_believed_once() {
    let server = Server::start();
    let giant = "x".repeat(BODY_BYTES_MAX + 1);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{giant}\r\n0\r\n\r\n",
        giant.len()
    );
    let answer = server.exchange(chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body-too-large: "), "{answer}");
    for size in ["0x1", "+1", " 1", "ffffffffffffffff", "fffffffffffffffff", ""] {
        let bad = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\nx\r\n0\r\n\r\n");
        let answer = server.exchange(bad.as_bytes()).await;
        assert!(size.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{size:?}: {answer}");
        assert!(!answer.contains("keep-alive"), "{size:?}: {answer}");
    }
}
