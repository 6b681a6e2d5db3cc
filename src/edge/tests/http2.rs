//! HTTP/2 through the same door.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Version};
use tokio::time::Instant;

use super::*;
use crate::base::limits::HEAD_WAIT;

#[tokio::test]
async fn requests_share_a_connection_and_know_it() {
    let server = Server::start();
    let (mut client, driver) = h2::client::handshake(server.tls(b"h2").await).await.unwrap();
    tokio::spawn(driver);
    for body in ["", "one", "two"] {
        let request = Request::builder().method(Method::POST).version(Version::HTTP_2).uri("https://localhost/");
        client = client.ready().await.unwrap();
        let (answer, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(body.as_bytes()), true).unwrap();
        let (head, mut echoed) = answer.await.unwrap().into_parts();
        assert_eq!(head.status, StatusCode::OK);
        let mut got = Vec::new();
        while let Some(piece) = echoed.data().await {
            got.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(got, body.as_bytes());
    }
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
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let took = start.elapsed();
    assert!(took <= HEAD_WAIT + Duration::from_secs(2), "{took:?}");
}
