//! What a socket may do before and after `hello-ok`, and how each wrong turn ends: the core alone.

use std::time::Duration;

use doorward::base::limits::{
    MESSAGE_BYTES_MAX, SOCKET_READ_BYTES, SOCKETS_BEFORE_HELLO_MAX, SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX,
    SOCKETS_BEFORE_HELLO_RESERVE,
};
use doorward::core::{Refusal, Refused, Timing};
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::support::core_rig::{HERE, LAN, PIPE_BYTES, Rig, brisk, upgrade, with_device_token};
use super::support::gateway_client::{Ask, Device, connect_frame, next_frame, verdict};

#[tokio::test]
async fn silence_is_closed_without_a_word() {
    let rig = Rig::with(brisk()).await;
    let mut socket = rig.dial(LAN).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap();
    assert_eq!(challenge["event"], "connect.challenge");
    assert_eq!(next_frame(&mut socket).await.unwrap_err(), (1000, String::new()));
    until(async || rig.core.status().await.unwrap().waiting == 0).await;
}

#[tokio::test]
async fn every_wrong_first_frame_has_its_end() {
    let rig = Rig::new().await;
    let big = "x".repeat(64 * 1024 + 1);
    for (frame, error, code, reason) in [
        (Message::text("{"), Value::Null, 1000, ""),
        (Message::text("[]"), Value::Null, 1008, "invalid request frame"),
        (Message::binary(vec![1, 2]), Value::Null, 1008, "invalid request frame"),
        (Message::text(big), Value::Null, 1009, "preauth payload too large"),
        (
            Message::text(r#"{"type":"req","id":"1","method":"health"}"#),
            json!("invalid handshake: first request must be connect"),
            1008,
            "invalid handshake: first request must be connect",
        ),
    ] {
        let shown = format!("{frame:?}").chars().take(60).collect::<String>();
        let mut socket = rig.dial(LAN).await.unwrap();
        next_frame(&mut socket).await.unwrap();
        socket.send(frame).await.unwrap();
        let refusal = if error.is_null() {
            assert_eq!(next_frame(&mut socket).await.unwrap_err(), (code, reason.to_owned()), "{shown}");
            continue;
        } else {
            verdict(socket).await.refused()
        };
        assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{shown}");
        assert_eq!(refusal.error["message"], error, "{shown}");
        assert_eq!(refusal.error["details"]["doorward"].as_str().unwrap().len(), 12);
    }
    let none = Ask { protocol: 7, ..rig.ask() };
    let refusal = rig.connect(LAN, Some(&Device::new()), &none).await.refused();
    assert_eq!((refusal.code, refusal.reason.as_str()), (1002, "protocol mismatch"));
}

#[tokio::test]
async fn the_33rd_waiting_socket_of_a_client_is_one_too_many() {
    let rig = Rig::new().await;
    let mut sockets = Vec::new();
    for _ in 0..32 {
        sockets.push(rig.dial(LAN).await.unwrap());
    }
    let refusal = rig.dial(LAN).await.err().unwrap();
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refusal.body().starts_with(b"Too many unauthenticated sockets\n"));
    // Others are not held back, nor is the client itself once it has had `hello-ok`.
    rig.connect("192.168.1.21", None, &rig.ask()).await.refused();
    drop(sockets.pop());
    until(async || rig.core.status().await.unwrap().waiting == 31).await;
    let owner = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    assert_eq!(rig.core.status().await.unwrap().waiting, 31);
    drop((owner, sockets));
    until(async || rig.core.status().await.unwrap().waiting == 0).await;
}

#[tokio::test]
async fn waiting_sockets_are_bounded_in_all_but_never_keep_the_owner_out() {
    let rig = Rig::new().await;
    let enter = |from: &str| rig.core.admit_socket(&rig.signed(upgrade(), from).into_parts().0);
    let mut waiting = Vec::new();
    let strangers_max = SOCKETS_BEFORE_HELLO_MAX - SOCKETS_BEFORE_HELLO_RESERVE;
    for client in 0..strangers_max / SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX {
        for _ in 0..SOCKETS_BEFORE_HELLO_PER_CLIENT_MAX {
            waiting.push(enter(&format!("10.1.{}.{}", client / 250, client % 250 + 1)).unwrap());
        }
    }
    assert_eq!(rig.core.status().await.unwrap().waiting, strangers_max);
    let refusal = enter(LAN).unwrap_err();
    assert!(refusal.body().starts_with(b"Too many unauthenticated sockets\n"));
    assert_eq!(refusal.extensions().get::<Refused>().unwrap().refusal, Refusal::TooManySockets);
    enter(HERE).unwrap();
    waiting.pop();
    enter(LAN).unwrap();
}

#[tokio::test]
async fn frames_wait_while_connect_is_looked_at_but_not_many() {
    let rig = Rig::new().await;
    for (frames, admitted) in [(15, true), (16, false)] {
        let mut socket = rig.dial(HERE).await.unwrap();
        let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
        let connect = connect_frame(&challenge, Some(&Device::new()), &rig.ask());
        socket.feed(Message::text(connect.to_string())).await.unwrap();
        for id in 0..frames {
            let call = json!({ "type": "req", "id": format!("early-{id}"), "method": "health" });
            socket.feed(Message::text(call.to_string())).await.unwrap();
        }
        socket.flush().await.unwrap();
        if admitted {
            assert_eq!(next_frame(&mut socket).await.unwrap()["payload"]["type"], "hello-ok");
            for id in 0..frames {
                let answer = next_answer(&mut socket).await;
                assert_eq!((&answer["id"], &answer["ok"]), (&json!(format!("early-{id}")), &json!(true)));
            }
        } else {
            let close = next_frame(&mut socket).await.unwrap_err();
            assert_eq!(close, (1008, "too many pending handshake frames".to_owned()));
        }
    }
    until(async || rig.core.status().await.unwrap().connections == 0).await;
}

#[tokio::test]
async fn early_frames_are_small_all_together() {
    let rig = Rig::new().await;
    for (bytes, admitted) in [(32_000, true), (32_900, false)] {
        let mut socket = rig.dial(HERE).await.unwrap();
        let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
        let connect = connect_frame(&challenge, Some(&Device::new()), &rig.ask());
        socket.feed(Message::text(connect.to_string())).await.unwrap();
        for id in 0..2 {
            let call = json!({ "type": "req", "id": id.to_string(), "method": "x".repeat(bytes) });
            socket.feed(Message::text(call.to_string())).await.unwrap();
        }
        socket.flush().await.unwrap();
        let next = next_frame(&mut socket).await;
        match admitted {
            true => assert_eq!(next.unwrap()["payload"]["type"], "hello-ok"),
            false => assert_eq!(next.unwrap_err(), (1009, "preauth payload too large".to_owned())),
        }
    }
}

#[tokio::test]
async fn a_nonce_is_good_for_one_socket() {
    let rig = Rig::new().await;
    let device = Device::new();
    let (mut one, mut two) = (rig.dial(LAN).await.unwrap(), rig.dial(LAN).await.unwrap());
    let challenge = next_frame(&mut one).await.unwrap()["payload"].clone();
    next_frame(&mut two).await.unwrap();
    two.send(Message::text(connect_frame(&challenge, Some(&device), &rig.ask()).to_string())).await.unwrap();
    let refusal = verdict(two).await.refused();
    assert_eq!(refusal.error["details"]["code"], "DEVICE_AUTH_NONCE_MISMATCH");
    assert_eq!(rig.listing().await["pending"], json!([]));
}

#[tokio::test]
async fn calls_without_the_right_are_refused_ten_times_and_no_more() {
    let rig = Rig::new().await;
    let device = Device::new();
    let token = rig.pair(&device, &["operator.read"]).await;
    let mut session = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    let error = session.call("agent.run", json!({})).await.unwrap_err();
    assert_eq!(error["message"], "unknown method: agent.run");
    let error = session.call("connect", json!({})).await.unwrap_err();
    assert_eq!(error["message"], "connect is only valid as the first request");
    for _ in 0..11 {
        let error = session.call("device.pair.list", json!({})).await.unwrap_err();
        assert_eq!(error["message"], "missing scope: operator.pairing");
    }
    assert_eq!(session.closed().await, (1008, "repeated unauthorized calls".to_owned()));
}

#[tokio::test]
async fn parameters_are_closed_objects() {
    let rig = Rig::new().await;
    let mut owner = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    for (method, params) in [
        ("device.pair.list", json!({ "all": true })),
        ("device.pair.approve", json!({})),
        ("device.pair.approve", json!({ "requestId": 1 })),
        ("device.pair.reject", json!([])),
        ("device.pair.remove", json!({ "deviceId": "" })),
        ("device.token.revoke", json!({ "deviceId": "x" })),
        ("device.token.rotate", json!({ "deviceId": "x", "role": "operator", "scopes": ["a,b"] })),
    ] {
        let error = owner.call(method, params.clone()).await.unwrap_err();
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("invalid {method} params: ")), "{method} {params}: {message}");
    }
    for (method, params, message) in [
        ("device.pair.approve", json!({ "requestId": "latest" }), "unknown requestId"),
        ("device.pair.remove", json!({ "deviceId": "x" }), "unknown deviceId"),
        ("device.token.rotate", json!({ "deviceId": "x", "role": "operator" }), "device token rotation denied"),
        ("device.token.revoke", json!({ "deviceId": "x", "role": "worker" }), "device token revocation denied"),
    ] {
        assert_eq!(owner.call(method, params).await.unwrap_err()["message"], message, "{method}");
    }
    for method in ["health", "status", "system-presence"] {
        owner.call(method, json!({})).await.unwrap();
    }
    let presence = owner.call("system-presence", json!({})).await.unwrap();
    assert_eq!(presence.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_message_beyond_the_promise_of_hello_ends_the_socket() {
    let rig = Rig::new().await;
    let mut session = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    assert_eq!(session.hello["policy"]["maxPayload"], json!(MESSAGE_BYTES_MAX));
    // Text, masked, one byte too long: the head of the frame is enough.
    let mut head = vec![0x81, 0xff];
    head.extend((MESSAGE_BYTES_MAX as u64 + 1).to_be_bytes());
    head.extend([0; 4]);
    session.socket.get_mut().write_all(&head).await.unwrap();
    assert_eq!(session.closed().await, (1009, "message too large".to_owned()));
}

#[tokio::test]
async fn ticks_come_in_order_and_the_silent_are_let_go() {
    let rig = Rig::with(brisk()).await;
    let mut session = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    for seq in 1..=3 {
        let frame = next_frame(&mut session.socket).await.unwrap();
        assert_eq!(frame["seq"], seq, "{frame}");
    }
    // Who reads answers our pings by itself. Who does not is gone after two periods.
    until(async || rig.core.status().await.unwrap().connections == 0).await;
}

#[tokio::test]
async fn whoever_reads_stays() {
    let rig = Rig::with(brisk()).await;
    let mut session = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let reading = async { while let Some(Ok(_)) = session.socket.next().await {} };
    assert!(timeout(Duration::from_secs(2), reading).await.is_err(), "closed although it answers pings");
}

#[tokio::test]
async fn a_reader_that_stopped_is_not_read_either_and_is_let_go() {
    let rig = Rig::with(Timing { ping_period: Duration::from_secs(2), ..brisk() }).await;
    let mut session = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let answer = session.call("system-presence", json!({})).await.unwrap().to_string();
    let call = json!({ "type": "req", "id": "1", "method": "system-presence" }).to_string();
    // Answers fill the pipe to the caller; then nothing more is read, and its own calls fill the pipe to us.
    let most = PIPE_BYTES / answer.len() + (PIPE_BYTES + SOCKET_READ_BYTES) / call.len() + 2;
    let mut sent = 0;
    while timeout(Duration::from_millis(1200), session.socket.send(Message::text(call.clone()))).await.is_ok() {
        sent += 1;
        assert!(sent <= most, "{sent} calls were taken from one who takes no answers");
    }
    assert!(sent > 2 * SOCKET_READ_BYTES / call.len(), "{sent} calls only: something else held it up");
    until(async || rig.core.status().await.unwrap().connections == 0).await;
}

#[tokio::test]
async fn the_task_of_a_socket_is_small() {
    let rig = Rig::new().await;
    let (head, _) = rig.signed(upgrade(), LAN).into_parts();
    let (near, _far) = tokio::io::duplex(64);
    let serving = rig.core.serve_socket(rig.core.admit_socket(&head).unwrap(), Box::new(near), Vec::new());
    // Thousands of idle sockets hold this each, besides their session of some 330 bytes.
    assert!(size_of_val(&serving) <= 256, "{} bytes", size_of_val(&serving));
}

#[tokio::test]
async fn draining_tells_everyone_and_takes_nobody() {
    let rig = Rig::new().await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello());
    }
    let mut waiting = rig.dial(LAN).await.unwrap();
    next_frame(&mut waiting).await.unwrap();
    let core = rig.core.clone();
    let drained = tokio::spawn(async move { core.drain(Duration::from_secs(2)).await });
    assert_eq!(next_frame(&mut waiting).await.unwrap_err(), (1012, "service restart".to_owned()));
    for session in open {
        assert_eq!(session.closed().await, (1012, "service restart".to_owned()));
    }
    drop(waiting);
    timeout(Duration::from_secs(3), drained).await.unwrap().unwrap();
    assert_eq!(rig.dial(LAN).await.err().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn bytes_that_are_no_websocket_end_the_socket() {
    let rig = Rig::with(Timing { connect_wait: Duration::from_secs(5), ..brisk() }).await;
    for (bytes, code) in [
        (&[0x81, 0x01, b'{'][..], 1002_u16),         // not masked
        (&[0xf1, 0x81, 0, 0, 0, 0, b'{'][..], 1002), // reserved bits
        (&[0x83, 0x80, 0, 0, 0, 0][..], 1002),       // reserved opcode
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff][..], 1007), // not UTF-8
    ] {
        let mut pipe = rig.pipe(LAN, upgrade()).unwrap();
        pipe.write_all(bytes).await.unwrap();
        let mut seen = Vec::new();
        timeout(Duration::from_secs(3), pipe.read_to_end(&mut seen)).await.unwrap().unwrap();
        let close = [0x88, 0x02, (code >> 8) as u8, (code & 0xff) as u8];
        assert!(seen.ends_with(&close), "{bytes:x?}: {seen:x?}");
    }
}

#[tokio::test]
async fn what_follows_a_frame_that_is_too_big_is_not_answered_by_a_reset() {
    let rig = Rig::new().await;
    for head in [&[0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0][..], &[0xf1, 0x81, 0, 0, 0, 0, b'{'][..]] {
        let mut pipe = rig.pipe(LAN, upgrade()).unwrap();
        pipe.write_all(head).await.unwrap();
        // More than the pipe holds, so all of it was read; and it would be good frames, were it read as such.
        let ping = [0x89, 0x80, 0, 0, 0, 0];
        pipe.write_all(&ping.repeat(100_000)).await.unwrap();
        let mut seen = Vec::new();
        timeout(Duration::from_secs(3), pipe.read_to_end(&mut seen)).await.unwrap().unwrap();
        assert!(seen.windows(2).any(|bytes| bytes[0] == 0x88), "no close frame");
        assert!(!seen.windows(2).any(|bytes| bytes[0] == 0x8a), "a pong after the end");
        // It ends by itself, though the peer neither answers nor goes away.
        until(async || rig.core.status().await.unwrap().waiting == 0).await;
    }
}

#[tokio::test]
async fn a_socket_needs_one_valid_assertion() {
    let rig = Rig::new().await;
    let (head, _) = upgrade().into_parts();
    assert_eq!(rig.core.admit_socket(&head).unwrap_err().status(), StatusCode::UNAUTHORIZED);
    let (head, _) = rig.signed(upgrade(), LAN).into_parts();
    rig.core.admit_socket(&head).unwrap();
    assert_eq!(rig.core.admit_socket(&head).unwrap_err().status(), StatusCode::UNAUTHORIZED, "replayed");
    let (head, _) = rig.signed(rig.signed(upgrade(), LAN), HERE).into_parts();
    assert_eq!(rig.core.admit_socket(&head).unwrap_err().status(), StatusCode::UNAUTHORIZED, "two of them");
}

async fn next_answer(socket: &mut super::support::gateway_client::Socket) -> Value {
    loop {
        let frame = next_frame(socket).await.unwrap();
        if frame["type"] == "res" {
            return frame;
        }
    }
}

async fn until(met: impl AsyncFn() -> bool) {
    let met = async {
        while !met().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), met).await.expect("not met in time");
}
