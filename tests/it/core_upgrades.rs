//! `device.scopes.requestUpgrade` and `waitUpgrade`: more rights for a device that stays connected, by a person's word. The
//! core alone, over sockets of memory.

use doorward::core::Decider;
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::core_rig::{HERE, LAN, Rig, with_device_token};
use super::support::gateway_client::{Device, Session, next_frame};

const WANTED: [&str; 2] = ["operator.read", "operator.approvals"];

#[tokio::test]
async fn an_approved_upgrade_reaches_the_device_while_it_waits() {
    let rig = Rig::new().await;
    let (device, mut session) = reader(&rig).await;
    let request = ask(&mut session).await;
    wait(&mut session, "w", &request).await;
    // The session goes on while it waits.
    session.call("health", json!({})).await.unwrap();
    rig.core.pairings().approve(&request, None, &Decider::owner()).await.unwrap();
    let answer = answer(&mut session, "w").await;
    let payload = &answer["payload"];
    assert_eq!((&payload["status"], &payload["requestId"]), (&json!("approved"), &json!(request)), "{answer}");
    assert_eq!(payload["scopes"], json!(["operator.approvals", "operator.read"]));
    let token = payload["deviceToken"].as_str().unwrap();
    let ask = with_device_token(token).with_scopes(&WANTED);
    let again = rig.connect(LAN, Some(&device), &ask).await.hello();
    assert_eq!(again.hello["auth"]["scopes"], payload["scopes"]);
}

#[tokio::test]
async fn the_other_ends_are_told_too() {
    for end in ["rejected", "expired", "superseded"] {
        let rig = Rig::with(super::support::core_rig::brisk()).await;
        let (_, mut session) = reader(&rig).await;
        let request = ask(&mut session).await;
        wait(&mut session, "w", &request).await;
        match end {
            "rejected" => drop(rig.core.pairings().reject(&request, &Decider::owner()).await.unwrap()),
            "expired" => rig.clock.advance(300_000),
            _ => drop(
                session.call("device.scopes.requestUpgrade", json!({ "scopes": ["operator.write"] })).await.unwrap(),
            ),
        }
        let told = answer(&mut session, "w").await;
        let status = if end == "expired" { "expired" } else { "rejected" };
        assert_eq!(told["payload"], json!({ "status": status, "requestId": request }), "{end}");
        // Who asks after it ended is told at once.
        let told = session.call("device.scopes.waitUpgrade", json!({ "requestId": request })).await.unwrap();
        assert_eq!(told["status"], status, "{end}");
    }
}

#[tokio::test]
async fn an_upgrade_is_asked_for_by_a_paired_device_and_told_to_it_alone() {
    let rig = Rig::new().await;
    let (_, mut session) = reader(&rig).await;
    for (scopes, message) in [
        (json!(["operator.approvals"]), "requested scopes must include the connection's current scopes"),
        (json!(["operator.read", "node.exec"]), "requested scopes contain an unknown operator scope"),
        (json!([]), "invalid device.scopes.requestUpgrade params: at /scopes: must not have fewer than 1 items"),
        (json!(["a,b"]), "invalid device.scopes.requestUpgrade params: at /scopes: must be scopes"),
        (
            json!(["operator.read", "operator.read"]),
            "invalid device.scopes.requestUpgrade params: at /scopes: must not have duplicate items",
        ),
        (
            json!(vec!["operator.read"; 9]),
            "invalid device.scopes.requestUpgrade params: at /scopes: must not have more than 8 items",
        ),
    ] {
        let error = session.call("device.scopes.requestUpgrade", json!({ "scopes": scopes })).await.unwrap_err();
        assert_eq!(error["message"], message, "{scopes}");
    }
    let request = ask(&mut session).await;
    let (_, mut other) = reader(&rig).await;
    for id in [request.as_str(), "latest"] {
        let error = other.call("device.scopes.waitUpgrade", json!({ "requestId": id })).await.unwrap_err();
        assert_eq!(error["message"], "scope upgrade expired or not found", "{id}");
    }
    let mut nobody = rig.connect(HERE, None, &rig.ask().with_scopes(&["operator.read"])).await.hello();
    let error = nobody.call("device.scopes.requestUpgrade", json!({ "scopes": WANTED })).await.unwrap_err();
    assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
    // Enough wait for one upgrade.
    for number in 0..4 {
        wait(&mut session, &format!("w{number}"), &request).await;
    }
    let error = session.call("device.scopes.waitUpgrade", json!({ "requestId": request })).await.unwrap_err();
    assert_eq!((&error["code"], &error["retryable"]), (&json!("UNAVAILABLE"), &json!(true)));
}

#[tokio::test]
async fn what_was_taken_back_meanwhile_is_not_handed_out() {
    let rig = Rig::new().await;
    let (device, mut session) = reader(&rig).await;
    let request = ask(&mut session).await;
    wait(&mut session, "w", &request).await;
    let (pairings, owner) = (rig.core.pairings(), Decider::owner());
    pairings.remove(&device.id(), &owner).await.unwrap();
    assert_eq!(session.closed().await, (4001, "device removed".to_owned()));
    assert_eq!(rig.listing().await["paired"], json!([]));
}

/// A paired device that may read, and its session.
async fn reader(rig: &Rig) -> (Device, Session) {
    let device = Device::new();
    let token = rig.pair(&device, &["operator.read"]).await;
    let session = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    (device, session)
}

async fn ask(session: &mut Session) -> String {
    let asked = session.call("device.scopes.requestUpgrade", json!({ "scopes": WANTED })).await.unwrap();
    asked["requestId"].as_str().unwrap().to_owned()
}

/// Calls `waitUpgrade` and does not wait for its answer.
async fn wait(session: &mut Session, id: &str, request: &str) {
    let call =
        json!({ "type": "req", "id": id, "method": "device.scopes.waitUpgrade", "params": { "requestId": request } });
    session.socket.send(Message::text(call.to_string())).await.unwrap();
}

/// The answer to the call of this id.
async fn answer(session: &mut Session, id: &str) -> Value {
    loop {
        let frame = next_frame(&mut session.socket).await.unwrap();
        if frame["type"] == "res" && frame["id"] == id {
            return frame;
        }
    }
}
