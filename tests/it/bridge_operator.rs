//! An operator that is let in here works with the real gateway behind us.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::support::bridge::{Bridge, SECRET, Shape, until_logged};
use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::openclaw::Release;
use crate::support::wait::wait_until;

const DOOR: &str = "127.0.0.1:8080";

#[test]
fn an_operator_works_with_the_gateway_and_devices_stay_ours_on_its_own_machine() {
    an_operator_works_with_the_gateway(Shape::Loopback);
}

#[test]
fn an_operator_works_with_the_gateway_and_devices_stay_ours_behind_a_containers_network() {
    an_operator_works_with_the_gateway(Shape::Veth);
}

/// The gateway has nothing in its openclaw.json but the token that its owner has anyway.
fn an_operator_works_with_the_gateway(shape: Shape) {
    let bridge = Bridge::new(shape);
    let _gateway = bridge.gateway(Release::September);
    let doorward = bridge.doorward("");
    assert_eq!(doorward.token(), SECRET, "one token for both");
    until_logged(&doorward, "state=up: 2026.9.6, protocol 4");

    let device = Device::new();
    let own = device.id();
    bridge.host.block_on(move || async move {
        let scopes = ["operator.pairing", "operator.read"];
        let ask = Ask::operator(SECRET).with_scopes(&scopes);
        let mut session = connect(&Caller::plain(DOOR), Some(&device), &ask).await.hello();
        let hello = &session.hello;
        assert_eq!(hello["server"]["version"], "2026.9.6", "{hello:#}");
        let auth = &hello["auth"];
        assert_eq!((&auth["scopes"], &auth["method"]), (&json!(scopes), &json!("token")), "{auth:#}");
        let methods = hello["features"]["methods"].as_array().unwrap();
        assert!(methods.len() > 300 && methods.contains(&json!("device.pair.list")), "{methods:#?}");

        let sessions = session.call("sessions.list", json!({})).await.unwrap();
        assert!(sessions["sessions"].is_array(), "{sessions:#}");
        let listed = session.call("device.pair.list", json!({})).await.unwrap();
        let paired = listed["paired"].as_array().unwrap();
        assert!(paired.len() == 1 && paired[0]["deviceId"] == own.as_str(), "ours, not the gateway's: {listed:#}");
        let unknown = session.call("device.pair.invented", json!({})).await.unwrap_err();
        assert!(unknown["message"].as_str().unwrap().contains("device.pair.invented"), "{unknown:#}");
        // What was not granted here is not granted there.
        let refused = session.call("config.set", json!({"raw": "{}"})).await.unwrap_err();
        assert_eq!(refused["details"]["missingScope"], "operator.admin", "{refused:#}");
        session.close().await;
    });
}

#[test]
fn a_gateway_that_is_absent_killed_or_frozen_is_told_as_that_and_found_again() {
    let bridge = Bridge::new(Shape::Loopback);
    let doorward = bridge.doorward("");
    until_logged(&doorward, "state=not reachable");
    told(&bridge, "gateway not reachable; retry shortly");
    let check = doorward.command(&["check", "--upstream"]);
    let words = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!check.status.success() && words.contains(r#""bind":"loopback","port":18789"#), "{words}");

    let gateway = bridge.gateway(Release::September);
    until_logged(&doorward, "state=up: 2026.9.6");
    let (opened, is_open) = std::sync::mpsc::channel();
    let (thawed, is_thawed) = tokio::sync::oneshot::channel();
    let (called, is_called) = std::sync::mpsc::channel();
    let client = bridge.host.spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let mut session = connect(&Caller::plain(DOOR), Some(&Device::new()), &Ask::operator(SECRET)).await.hello();
            opened.send(()).unwrap();
            is_thawed.await.unwrap();
            called.send(session.call("sessions.list", json!({})).await).unwrap();
            session.closed().await
        })
    });
    is_open.recv().unwrap();

    let process = Pid::from_raw(i32::try_from(gateway.child.id()).unwrap()).unwrap();
    kill_process(process, Signal::STOP).unwrap();
    wait_until(|| doorward.json(&["status"])["upstream"]["state"] == "silent");
    told(&bridge, "gateway does not answer; retry shortly");
    kill_process(process, Signal::CONT).unwrap();
    wait_until(|| doorward.json(&["status"])["upstream"]["state"] == "up");
    thawed.send(()).unwrap();
    let sessions = is_called.recv().unwrap().expect("what was open before the frost works on");
    assert!(sessions["sessions"].is_array(), "{sessions:#}");

    drop(gateway);
    assert_eq!(client.join().unwrap(), (1012, "service restart".to_owned()));
    wait_until(|| doorward.json(&["status"])["upstream"]["state"] == "unreachable");
    told(&bridge, "gateway not reachable; retry shortly");
    let explained = doorward.words(&["explain", "--last-denied"]);
    assert!(explained.contains("upstream_unreachable"), "{explained}");
}

/// What a new device is told of the gateway.
fn told(bridge: &Bridge, message: &'static str) {
    bridge.host.block_on(move || async move {
        let refused = connect(&Caller::plain(DOOR), Some(&Device::new()), &Ask::operator(SECRET)).await.refused();
        let (error, code) = (&refused.error, refused.code);
        assert_eq!((&error["code"], &error["message"], code), (&json!("UNAVAILABLE"), &json!(message), 1013));
    });
}
