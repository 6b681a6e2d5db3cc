//! What passes between a client and the gateway behind us, what does not, and how it ends.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Bridge, SECRET, Shape, until_logged};
use crate::support::caller::Caller;
use crate::support::fake_gateway::{Conduct, FakeGateway};
use crate::support::gateway_client::{Ask, Device, Session, connect, next_frame};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::wait::wait_until;

const DOOR: &str = "127.0.0.1:8080";

#[test]
fn an_admitted_client_is_presented_as_our_device_with_what_it_was_granted() {
    let bridge = Bridge::new(Shape::Loopback);
    let fake = FakeGateway::start(&bridge.host, Conduct::Accepts);
    let doorward = up(&bridge);
    on(&bridge.host, |mut session| async move {
        assert_eq!(session.hello["server"]["version"], "fake-1");
        assert_eq!(session.hello["features"]["methods"][0], "echo");
        assert_ne!(session.hello["auth"]["deviceToken"], "token-of-our-own-device");
        session.call("echo", json!({})).await.unwrap();
    });
    let connects = fake.connects_of("2026.9.6");
    let [client] = &connects[..] else { panic!("{connects:#?}") };
    let own = fake.connects_of(env!("CARGO_PKG_VERSION"));
    assert_eq!(client["device"]["id"], own[0]["device"]["id"], "one device there: ours");
    assert_ne!(client["device"]["id"], doorward.paired()[0]["deviceId"], "not the client's");
    assert_eq!((&client["auth"]["token"], &client["client"]["id"]), (&json!(SECRET), &json!("cli")));
    assert!(fake.calls().contains(&"echo".to_owned()));
}

#[test]
fn large_messages_pass_both_ways_and_no_secret_of_the_gateway_does() {
    let bridge = Bridge::new(Shape::Loopback);
    let _fake = FakeGateway::start(&bridge.host, Conduct::Accepts);
    let _doorward = up(&bridge);
    on(&bridge.host, |mut session| async move {
        let text = "y".repeat(26_000_000);
        let echoed = session.call("echo", json!({"text": text})).await.unwrap();
        assert_eq!(echoed["text"].as_str().map(str::len), Some(text.len()));
        let leaked = session.call("leak", json!({})).await.unwrap();
        assert_eq!(leaked, json!({"mine": "(redacted)", "device": "(redacted)"}));
    });
}

#[test]
fn what_is_about_devices_is_ours_alone_and_leaves_no_hole_in_the_numbers() {
    let bridge = Bridge::new(Shape::Loopback);
    let fake = FakeGateway::start(&bridge.host, Conduct::Accepts);
    let _doorward = up(&bridge);
    on(&bridge.host, |mut session| async move {
        let events = json!([
            {"type": "event", "event": "chat", "payload": {"n": 1}, "seq": 1},
            {"type": "event", "event": "device.pair.requested", "payload": {"requestId": "theirs"}, "seq": 2},
            {"type": "event", "event": "device.pair.changed", "payload": {}},
            {"type": "event", "event": "connect.challenge", "payload": {"nonce": "x"}},
            {"type": "event", "event": "chat", "payload": {"n": 2}, "seq": 3},
        ]);
        session.call("tell", json!({"events": events})).await.unwrap();
        assert_eq!(session.names(), ["chat", "tick", "chat"]);
        // A node waits for a person even here, and whoever decides about devices hears of it from us.
        let mut node = Ask::operator(SECRET).with_scopes(&[]);
        (node.role, node.client) = ("node", ("node-host", "node"));
        connect(&Caller::plain(DOOR), Some(&Device::new()), &node).await.refused();
        let asked = loop {
            let frame = next_frame(&mut session.socket).await.unwrap();
            if frame["event"] == "device.pair.requested" {
                break frame;
            }
        };
        assert!(asked.get("seq").is_none() && asked["payload"]["role"] == "node", "{asked:#}");
        session.call("device.pair.list", json!({})).await.unwrap();
    });
    let calls = fake.calls();
    assert!(!calls.iter().any(|method| method.starts_with("device.")), "{calls:?}");
}

#[test]
fn a_client_that_reads_late_holds_the_gateway_back_and_loses_nothing() {
    let bridge = Bridge::new(Shape::Loopback);
    let fake = FakeGateway::start(&bridge.host, Conduct::Accepts);
    let _doorward = up(&bridge);
    on(&bridge.host, |mut session| async move {
        // Three times what waits for one socket at most.
        let (count, bytes) = (40_u64, 4_000_000);
        let flood = json!({"type": "req", "id": "f", "method": "flood", "params": {"count": count, "bytes": bytes}});
        let ask = tokio_tungstenite::tungstenite::Message::text(flood.to_string());
        futures_util::SinkExt::send(&mut session.socket, ask).await.unwrap();
        let mut sent = 0;
        while sent == 0 || sent != fake.sent() {
            sent = fake.sent();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        assert!(sent < count, "nothing holds the gateway back: it sent all");
        for number in 0..count {
            let event = next_frame(&mut session.socket).await.unwrap();
            assert_eq!(event["payload"]["number"], number);
        }
        assert_eq!(next_frame(&mut session.socket).await.unwrap()["id"], "f");
    });
}

#[test]
fn the_gateways_close_passes_but_where_it_is_about_our_own_device() {
    let bridge = Bridge::new(Shape::Loopback);
    let _fake = FakeGateway::start(&bridge.host, Conduct::Accepts);
    let _doorward = up(&bridge);
    for (method, params, expected) in [
        (
            "close",
            json!({"code": 1013, "reason": "gateway restart in progress"}),
            (1013, "gateway restart in progress"),
        ),
        ("close", json!({"code": 1008, "reason": "slow consumer"}), (1008, "slow consumer")),
        ("close", json!({"code": 4001, "reason": "device removed"}), (1012, "service restart")),
        ("drop", json!({}), (1012, "service restart")),
    ] {
        on(&bridge.host, move |mut session| async move {
            let (code, reason) = session.attempt(method, params).await.unwrap_err();
            assert_eq!((code, reason.as_str()), expected);
        });
    }
}

#[test]
fn removing_a_device_ends_its_socket_at_the_gateway_within_a_second() {
    let bridge = Bridge::new(Shape::Loopback);
    let fake = FakeGateway::start(&bridge.host, Conduct::Accepts);
    let doorward = up(&bridge);
    let device = Device::new();
    let (id, (opened, is_open)) = (device.id(), std::sync::mpsc::channel());
    let client = bridge.host.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let session = connect(&Caller::plain(DOOR), Some(&device), &Ask::operator(SECRET)).await.hello();
            opened.send(()).unwrap();
            session.closed().await
        })
    });
    is_open.recv().unwrap();
    doorward.words(&["devices", "remove", &id]);
    let removed = Instant::now();
    let late = fake.end().saturating_duration_since(removed);
    assert!(late < Duration::from_secs(1), "{late:?}");
    assert_eq!(client.join().unwrap(), (4001, "device removed".to_owned()));
}

#[test]
fn what_the_gateway_has_against_us_is_told_as_that_and_mended_while_we_run() {
    let bridge = Bridge::new(Shape::Loopback);
    let pairing = json!({"code": "PAIRING_REQUIRED", "requestId": "r-9"});
    let conduct = Conduct::Refuses("NOT_PAIRED", "pairing required: device is not approved yet", pairing);
    let fake = FakeGateway::start(&bridge.host, conduct);
    let doorward = bridge.doorward("");
    until_logged(&doorward, "openclaw devices approve r-9");
    // It is told once, however often we come.
    wait_until(|| fake.connects_of(env!("CARGO_PKG_VERSION")).len() > 2);
    refused_as(&bridge.host, "gateway refuses this server; its owner must act (retry later)");
    let status = doorward.json(&["status"])["upstream"].clone();
    assert_eq!(status["state"], "refuses", "{status:#}");
    assert!(status["hint"].as_str().unwrap().ends_with("openclaw devices approve r-9"), "{status:#}");
    let told = doorward.words(&["status"]);
    assert!(told.contains("it has not approved doorward yet: request r-9"), "{told}");
    for (conduct, state, words) in [
        (Conduct::Http(403, r#"{"error":{"type":"proxy_attribution_required"}}"#), "refuses", "gateway.trustedProxies"),
        (
            Conduct::Refuses("INVALID_REQUEST", "unauthorized: gateway token mismatch", json!({})),
            "refuses",
            "gateway.auth.token",
        ),
        (
            Conduct::Refuses("INVALID_REQUEST", "protocol mismatch", json!({"expectedProtocol": 7})),
            "refuses",
            "update the gateway",
        ),
        (Conduct::Refuses("UNAVAILABLE", "gateway starting; retry shortly", json!({})), "starting", ""),
        (Conduct::Http(200, "<html>"), "unreachable", "what else answers"),
    ] {
        fake.turn(conduct);
        let is_so =
            |status: &Value| status["state"] == state && status["hint"].as_str().unwrap_or_default().contains(words);
        wait_until(|| is_so(&doorward.json(&["status"])["upstream"]));
        let check = doorward.command(&["check", "--upstream", "--json"]);
        let told: Value = serde_json::from_slice(&check.stdout).unwrap();
        assert!(!check.status.success() && told["state"] == state, "{told:#}");
        assert!(told["openclawJson"].as_str().unwrap().contains(r#""port":18789"#), "{told:#}");
        if state == "starting" {
            refused_as(&bridge.host, "gateway starting; retry shortly");
        }
    }
    fake.turn(Conduct::Accepts);
    until_logged(&doorward, "state=up: fake-1");
    assert!(doorward.command(&["check", "--upstream"]).status.success());
    on(&bridge.host, |mut session| async move { drop(session.call("echo", json!({})).await.unwrap()) });
    let lines = doorward.log().lines().filter(|line| line.contains("state=refuses us: it has not approved")).count();
    assert_eq!(lines, 1, "told once:\n{}", doorward.log());
}

/// A doorward that has found the gateway.
fn up(bridge: &Bridge) -> Instance<'_> {
    let doorward = bridge.doorward("");
    until_logged(&doorward, "state=up: fake-1");
    doorward
}

/// Runs `story` with the session of a new device.
fn on<F: Future<Output = ()> + 'static>(machine: &Namespace, story: impl FnOnce(Session) -> F + Send + 'static) {
    machine.block_on(move || async move {
        let ask = Ask::operator(SECRET);
        story(connect(&Caller::plain(DOOR), Some(&Device::new()), &ask).await.hello()).await;
    });
}

/// That a new device is told this, and that it is worth another try: never that it must be approved.
fn refused_as(machine: &Namespace, message: &'static str) {
    machine.block_on(move || async move {
        let refused = connect(&Caller::plain(DOOR), Some(&Device::new()), &Ask::operator(SECRET)).await.refused();
        let error = &refused.error;
        assert_eq!((&error["code"], &error["message"]), (&json!("UNAVAILABLE"), &json!(message)), "{refused:#?}");
        assert_eq!((&error["retryable"], refused.code), (&json!(true), 1013), "{refused:#?}");
    });
}
