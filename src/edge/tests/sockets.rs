//! WebSockets that were taken out of pingora's session: no byte is lost, doubled or held back.

use std::io;

use super::*;

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn frames_that_arrive_with_the_head_are_answered_in_order() {
    let server = Server::start();
    for round in 0..50 {
        let mut stream = server.connect().await;
        let frames = [frame(b"one"), frame(format!("{round}").as_bytes()), frame(b"three")].concat();
        stream.write_all(&[UPGRADE, &frames].concat()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 "));
        for expected in ["one", &format!("{round}"), "three"] {
            assert_eq!(read_frame(&mut stream).await, expected.as_bytes());
        }
    }
}

#[tokio::test]
async fn a_frame_cut_by_the_end_of_the_head_is_whole_again() {
    let server = Server::start();
    for cut in 1..9 {
        let mut stream = server.connect().await;
        let frame = frame(b"hello");
        let (early, late) = frame.split_at(cut);
        stream.write_all(&[UPGRADE, early].concat()).await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(late).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, b"hello", "{cut}");
    }
}

#[tokio::test]
async fn a_large_frame_may_come_with_the_head() {
    let server = Server::start();
    for bytes in [3_000, 70_000, 1024 * 1024] {
        let mut stream = server.connect().await;
        let payload = pattern(bytes);
        let (mut read, mut write) = stream.split();
        let sent = [UPGRADE, &frame(&payload)].concat();
        let (wrote, got) = tokio::join!(write.write_all(&sent), async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(read.read_u8().await.unwrap());
            }
            read_payload(&mut read).await
        });
        wrote.unwrap();
        assert_eq!(got, payload, "{bytes}");
    }
}

#[tokio::test]
async fn a_head_in_small_pieces_upgrades_too() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.set_nodelay(true).unwrap();
    for piece in UPGRADE.chunks(16) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(&frame(b"x")).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(read_frame(&mut stream).await, b"x");
}

#[tokio::test]
async fn an_upgrade_may_follow_a_request_on_its_connection() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let mut body = [0; 2];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(&[UPGRADE, &frame(b"second")].concat()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(read_frame(&mut stream).await, b"second");
}

#[tokio::test]
async fn a_late_reader_gets_every_byte_in_order() {
    const MESSAGES: usize = 200;
    const BYTES: usize = 60_000;
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(UPGRADE).await.unwrap();
    read_head(&mut stream).await;
    let messages = (0..MESSAGES).map(|n| [&n.to_be_bytes()[..], &pattern(BYTES)].concat()).collect::<Vec<_>>();
    let mut unsent: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
    // Nobody reads until the way there and back is full.
    let mut refused = 0;
    while refused < 2_000 && !unsent.is_empty() {
        match stream.try_write(&unsent) {
            Ok(sent) => drop(unsent.drain(..sent)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => refused += 1,
            Err(error) => panic!("{error}"),
        }
        tokio::task::yield_now().await;
    }
    assert!(!unsent.is_empty(), "12 MB fit into the buffers: this test proves nothing");
    let (mut read, mut write) = stream.split();
    let (wrote, ()) = tokio::join!(write.write_all(&unsent), async {
        for (n, expected) in messages.iter().enumerate() {
            assert!(read_payload(&mut read).await == *expected, "message {n} is not what was sent");
        }
    });
    wrote.unwrap();
}

#[tokio::test]
async fn a_taken_socket_keeps_its_place_until_it_closes() {
    let server = Server::start();
    let mut stream = server.connect().await;
    stream.write_all(&[UPGRADE, &frame(b"x")].concat()).await.unwrap();
    read_head(&mut stream).await;
    read_frame(&mut stream).await;
    assert_eq!(server.caps().open(), 1);
    drop(stream);
    server.0.idle().await;
}

/// A text or binary frame of a client; a mask of zeros is one.
fn frame(payload: &[u8]) -> Vec<u8> {
    let length = match payload.len() {
        short @ 0..=125 => vec![0x80 | u8::try_from(short).unwrap()],
        long => [&[0xff][..], &u64::try_from(long).unwrap().to_be_bytes()].concat(),
    };
    [&[0x82][..], &length, &[0; 4], payload].concat()
}

async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    read_payload(stream).await
}

async fn read_payload(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    assert_eq!(stream.read_u8().await.unwrap(), 0x82);
    let length = match stream.read_u8().await.unwrap() {
        126 => u64::from(stream.read_u16().await.unwrap()),
        127 => stream.read_u64().await.unwrap(),
        short => u64::from(short),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.unwrap();
    payload
}

/// Bytes that show where they belong.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect()
}
