//! Who is let in, who waits, and what an approval and a revocation are worth: the core alone, over sockets of memory.

use std::time::{Duration, Instant};

use doorward::core::{Decider, Timing};
use doorward::protocol::scope::Role;
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::core_rig::{HERE, LAN, Rig, SERVICE, with_device_token};
use super::support::gateway_client::{ALL_SCOPES, Ask, Device, Refusal, connect_frame, next_frame};

#[tokio::test]
async fn the_owner_on_this_machine_is_paired_at_once() {
    let rig = Rig::new().await;
    let device = Device::new();
    let session = rig.connect(HERE, Some(&device), &rig.ask()).await.hello();
    assert_eq!(session.hello["auth"]["method"], "token");
    assert_eq!(session.hello["auth"]["scopes"].as_array().unwrap().len(), ALL_SCOPES.len());
    assert_eq!(session.hello["auth"]["deviceToken"].as_str().unwrap().len(), 43);
    let paired = &rig.listing().await["paired"][0];
    assert_eq!((&paired["deviceId"], &paired["approvedVia"]), (&json!(device.id()), &json!("silent")));
    assert_eq!(paired["connected"], true);
}

#[tokio::test]
async fn a_device_elsewhere_waits_until_it_is_approved() {
    let rig = Rig::new().await;
    let device = Device::new();
    let ask = rig.ask().with_scopes(&["operator.read", "operator.write"]);
    let refusal = rig.connect(LAN, Some(&device), &ask).await.refused();
    let id = request_id(&refusal);
    let details = &refusal.error["details"];
    assert_eq!(refusal.error["code"], "NOT_PAIRED");
    assert_eq!(refusal.error["message"], "pairing required: device is not approved yet");
    assert_eq!((details["code"].as_str(), details["reason"].as_str()), (Some("PAIRING_REQUIRED"), Some("not-paired")));
    let hint = details["remediationHint"].as_str().unwrap();
    assert!(hint.ends_with(&format!("doorward devices approve {id}")), "{hint}");
    assert_eq!(details["doorward"].as_str().unwrap().len(), 12);
    let reason = format!("pairing required: device is not approved yet (requestId: {id})");
    assert_eq!((refusal.code, refusal.reason), (1008, reason));

    let pending = &rig.listing().await["pending"][0];
    assert_eq!((&pending["requestId"], &pending["remoteIp"]), (&json!(id), &json!(LAN)));
    assert_eq!(pending["origin"]["class"], "private");
    let digest = pending["digest"].as_str().unwrap().to_owned();
    let pairings = rig.core.pairings();
    pairings.approve(&id, Some(&digest), &Decider::owner()).await.unwrap();

    let session = rig.connect(LAN, Some(&device), &ask).await.hello();
    assert_eq!(session.hello["auth"]["scopes"], json!(["operator.read", "operator.write"]));
    let token = session.hello["auth"]["deviceToken"].as_str().unwrap();
    // By its own token alone, and whatever it asks for, it has what was granted.
    let again = rig.connect(LAN, Some(&device), &with_device_token(token)).await.hello();
    assert_eq!(again.hello["auth"]["scopes"], json!(["operator.read", "operator.write"]));
    assert_eq!(again.hello["auth"]["method"], "device-token");
}

#[tokio::test]
async fn an_old_client_hears_the_old_words() {
    let rig = Rig::new().await;
    let device = Device::new();
    let ask = Ask { protocol: 3, payload: "v2", ..rig.ask() };
    let refusal = rig.connect(LAN, Some(&device), &ask).await.refused();
    assert_eq!((refusal.error["message"].as_str(), refusal.code), (Some("pairing required"), 1008));
    assert_eq!((refusal.error["code"].as_str(), refusal.reason.as_str()), (Some("NOT_PAIRED"), "pairing required"));
    let id = request_id(&refusal);
    rig.core.pairings().approve(&id, None, &Decider::owner()).await.unwrap();
    let session = rig.connect(LAN, Some(&device), &ask).await.hello();
    assert_eq!((&session.hello["protocol"], &session.hello["auth"]["method"]), (&json!(3), &Value::Null));
}

#[tokio::test]
async fn a_request_that_changed_cannot_be_approved_by_its_old_id() {
    let rig = Rig::new().await;
    let device = Device::new();
    let small = rig.connect(LAN, Some(&device), &rig.ask().with_scopes(&["operator.read"])).await.refused();
    let same = rig.connect(LAN, Some(&device), &rig.ask().with_scopes(&["operator.read"])).await.refused();
    assert_eq!(request_id(&small), request_id(&same));
    let digest = rig.listing().await["pending"][0]["digest"].as_str().unwrap().to_owned();
    let large = rig.connect(LAN, Some(&device), &rig.ask()).await.refused();
    assert_ne!(request_id(&small), request_id(&large));
    let pairings = rig.core.pairings();
    let old = pairings.approve(&request_id(&small), Some(&digest), &Decider::owner()).await.unwrap_err();
    assert_eq!(old.to_string(), "unknown requestId");
    let stale = pairings.approve(&request_id(&large), Some(&digest), &Decider::owner()).await.unwrap_err();
    assert_eq!(stale.to_string(), "request changed since it was listed");
    assert_eq!(rig.listing().await["paired"], json!([]));
}

#[tokio::test]
async fn a_request_dies_with_its_time() {
    let rig = Rig::new().await;
    let refusal = rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused();
    rig.clock.advance(300_000);
    assert_eq!(rig.listing().await["pending"], json!([]));
    let late = rig.core.pairings().approve(&request_id(&refusal), None, &Decider::owner()).await.unwrap_err();
    assert_eq!(late.to_string(), "unknown requestId");
}

#[tokio::test]
async fn without_a_device_only_the_owners_command_line_gets_in() {
    let rig = Rig::new().await;
    let ask = rig.ask().with_scopes(&["operator.pairing", "operator.admin"]);
    let mut session = rig.connect(HERE, None, &ask).await.hello();
    assert_eq!(session.hello["auth"]["scopes"], json!(["operator.pairing"]));
    assert!(session.call("device.pair.list", json!({})).await.unwrap()["pending"].is_array());
    assert_eq!(rig.listing().await["paired"], json!([]));
    let elsewhere = rig.connect(LAN, None, &ask).await.refused();
    assert_eq!(elsewhere.error["message"], "device identity required");
    let browser = Ask { client: ("openclaw-control-ui", "webchat"), ..ask };
    let refusal = rig.connect(HERE, None, &browser).await.refused();
    assert_eq!(refusal.error["details"]["code"], "CONTROL_UI_DEVICE_IDENTITY_REQUIRED");
}

#[tokio::test]
async fn guessing_is_counted_and_then_not_listened_to() {
    let rig = Rig::new().await;
    let (stranger, paired) = (Device::new(), Device::new());
    let token = rig.pair(&paired, &["operator.read"]).await;
    let wrong = Ask::operator("wrong");
    for guess in 0..10 {
        let refusal = rig.connect(LAN, Some(&stranger), &wrong).await.refused();
        assert_eq!(refusal.error["details"]["code"], "AUTH_TOKEN_MISMATCH", "guess {guess}");
    }
    // Now the right secret is not looked at either.
    let refusal = rig.connect(LAN, Some(&stranger), &rig.ask()).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED");
    assert!(refusal.error["retryAfterMs"].as_u64().unwrap() > 0);
    // Neither another client nor the paired device behind the same address is locked out.
    let other = rig.connect("192.168.1.21", Some(&Device::new()), &rig.ask()).await.refused();
    assert_eq!(other.error["details"]["code"], "PAIRING_REQUIRED");
    rig.connect(LAN, Some(&paired), &with_device_token(&token)).await.hello();
}

#[tokio::test]
async fn a_service_on_this_machine_cannot_lock_the_owner_out() {
    let rig = Rig::new().await;
    for _ in 0..10 {
        rig.connect(SERVICE, Some(&Device::new()), &Ask::operator("wrong")).await.refused();
    }
    let refusal = rig.connect(SERVICE, Some(&Device::new()), &rig.ask()).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED");
    rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    // Nor does the owner's success open what was closed to the service.
    let refusal = rig.connect(SERVICE, Some(&Device::new()), &rig.ask()).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED");
}

#[tokio::test]
async fn a_neighbour_with_many_addresses_cannot_keep_out_who_was_here_before() {
    let rig = Rig::new().await;
    let (known, device) = ("fd77:0:0:99::1", Device::new());
    let id = request_id(&rig.connect(known, Some(&device), &rig.ask()).await.refused());
    rig.core.pairings().approve(&id, None, &Decider::owner()).await.unwrap();
    rig.connect(known, Some(&device), &rig.ask()).await.hello().close().await;
    let mut waiting = Vec::new();
    for network in 0..8 {
        for _ in 0..32 {
            waiting.push(rig.dial(&format!("fd77:0:0:{network}::1")).await.unwrap());
        }
    }
    assert_eq!(rig.dial("fd77:0:0:8::1").await.err().unwrap().status(), 503);
    rig.connect(known, Some(&device), &rig.ask()).await.hello();
    rig.dial("fd77:0:1::1").await.unwrap();
}

#[tokio::test]
async fn revoking_closes_open_sockets_within_a_second_and_for_good() {
    for method in ["device.pair.remove", "device.token.revoke", "device.token.rotate"] {
        let rig = Rig::new().await;
        let (owner, device) = (Device::new(), Device::new());
        let token = rig.pair(&device, &["operator.read"]).await;
        let mut owner = rig.connect(HERE, Some(&owner), &rig.ask()).await.hello();
        let open = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
        let params = match method {
            "device.pair.remove" => json!({ "deviceId": device.id() }),
            _ => json!({ "deviceId": device.id(), "role": "operator" }),
        };
        let answer = owner.call(method, params).await.unwrap();
        let acknowledged = Instant::now();
        assert_eq!(open.closed().await, (4001, "device removed".to_owned()), "{method}");
        assert!(acknowledged.elapsed() < Duration::from_secs(1), "{method}");
        assert_eq!(answer["token"], Value::Null, "{method}");
        let refusal = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.refused();
        assert_eq!(refusal.error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH", "{method}");
    }
}

#[tokio::test]
async fn a_session_that_revoked_itself_decides_nothing_more() {
    let rig = Rig::new().await;
    let owner = Device::new();
    rig.connect(HERE, Some(&owner), &rig.ask()).await.hello().close().await;
    let waiting = request_id(&rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused());
    let mut socket = rig.dial(HERE).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
    // All at once, so that the calls are there before `hello-ok` is out.
    socket.feed(Message::text(connect_frame(&challenge, Some(&owner), &rig.ask()).to_string())).await.unwrap();
    for (method, params) in [
        ("device.token.revoke", json!({ "deviceId": owner.id(), "role": "operator" })),
        ("device.pair.approve", json!({ "requestId": waiting })),
        ("device.pair.list", json!({})),
    ] {
        let call = json!({ "type": "req", "id": method, "method": method, "params": params });
        socket.feed(Message::text(call.to_string())).await.unwrap();
    }
    socket.flush().await.unwrap();
    let mut answered = Vec::new();
    let close = loop {
        match next_frame(&mut socket).await {
            Ok(frame) if frame["type"] == "res" => answered.push(frame["id"].clone()),
            Ok(_) => {}
            Err(close) => break close,
        }
    };
    assert_eq!((close, answered.last()), ((4001, "device removed".to_owned()), Some(&json!("device.token.revoke"))));
    let listing = rig.listing().await;
    assert_eq!((&listing["pending"][0]["requestId"], &listing["paired"][1]), (&json!(waiting), &Value::Null));
}

#[tokio::test]
async fn a_call_that_waits_at_the_desk_while_its_session_is_revoked_decides_nothing() {
    for method in ["revoke", "remove", "rotate", "rotate gateway token"] {
        let rig = Rig::new().await;
        let (helper, command_line) = (Device::new(), rig.connect(HERE, None, &rig.ask()).await.hello());
        let first = request_id(&rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused());
        let mut session = match method {
            "rotate gateway token" => command_line,
            _ => rig.connect(HERE, Some(&helper), &rig.ask()).await.hello(),
        };
        let (core, id) = (rig.core.clone(), helper.id());
        let revoking = tokio::spawn(async move {
            let (pairings, owner) = (core.pairings(), Decider::owner());
            match method {
                "revoke" => pairings.revoke(&id, Role::Operator, &owner).await.map(drop).unwrap(),
                "remove" => pairings.remove(&id, &owner).await.map(drop).unwrap(),
                "rotate" => pairings.rotate(&id, Role::Operator, None, &owner).await.map(drop).unwrap(),
                _ => core.rotate_token().await.map(drop).unwrap(),
            }
        });
        // The owner is at the desk by now, and the disk is slower than this socket of memory.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        let refused = session.attempt("device.pair.reject", json!({ "requestId": first })).await;
        assert!(!matches!(refused, Ok(Ok(_))), "{method}: {refused:?}");
        revoking.await.unwrap();
        assert_eq!(rig.listing().await["pending"][0]["requestId"], json!(first), "{method}");
    }
}

#[tokio::test]
async fn a_device_that_rotates_its_own_token_is_told_the_new_one_and_dropped() {
    let rig = Rig::new().await;
    let device = Device::new();
    let token = rig.pair(&device, &["operator.read", "operator.pairing"]).await;
    let mut session = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    let params = json!({ "deviceId": device.id(), "role": "operator" });
    let answer = session.call("device.token.rotate", params).await.unwrap();
    assert_eq!(answer["tokenDelivery"], "in-band");
    assert_eq!(session.closed().await, (4001, "device removed".to_owned()));
    let fresh = answer["token"].as_str().unwrap();
    rig.connect(LAN, Some(&device), &with_device_token(fresh)).await.hello();
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_hold() {
    let rig = Rig::new().await;
    let helper = Device::new();
    let token = rig.pair(&helper, &["operator.pairing"]).await;
    let refusal = rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused();
    let mut session = rig.connect(LAN, Some(&helper), &with_device_token(&token)).await.hello();
    // Without admin it sees only itself, and so cannot decide about others.
    let listing = session.call("device.pair.list", json!({})).await.unwrap();
    assert_eq!((listing["pending"].as_array().unwrap().len(), listing["paired"].as_array().unwrap().len()), (0, 1));
    let request = json!({ "requestId": request_id(&refusal) });
    let error = session.call("device.pair.approve", request.clone()).await.unwrap_err();
    assert_eq!(error["message"], "device pairing approval denied");
    let error = session.call("device.pair.remove", json!({ "deviceId": Device::new().id() })).await.unwrap_err();
    assert_eq!(error["message"], "device pairing removal denied");
    // The owner's command line without a device sees all, and still gives only what it holds.
    let ask = rig.ask().with_scopes(&["operator.pairing"]);
    let mut command_line = rig.connect(HERE, None, &ask).await.hello();
    let error = command_line.call("device.pair.approve", request).await.unwrap_err();
    assert!(error["message"].as_str().unwrap().starts_with("missing scope: operator."), "{error}");
    assert_eq!(error["code"], "FORBIDDEN");
}

#[tokio::test]
async fn operators_hear_of_requests_and_decisions() {
    let rig = Rig::new().await;
    let mut owner = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let device = Device::new();
    let refusal = rig.connect(LAN, Some(&device), &rig.ask()).await.refused();
    let requested = owner.event("device.pair.requested").await;
    assert_eq!((&requested["requestId"], &requested["deviceId"]), (&json!(request_id(&refusal)), &json!(device.id())));
    let approved = owner.call("device.pair.approve", json!({ "requestId": request_id(&refusal) })).await.unwrap();
    assert_eq!(approved["device"]["deviceId"], json!(device.id()));
    let resolved = owner.event("device.pair.resolved").await;
    assert_eq!((&resolved["requestId"], &resolved["decision"]), (&requested["requestId"], &json!("approved")));
    // Who does not decide about devices hears nothing of them.
    let reader = Device::new();
    let token = rig.pair(&reader, &["operator.read"]).await;
    let reader = rig.connect(LAN, Some(&reader), &with_device_token(&token)).await.hello();
    let command_line = rig.connect(HERE, None, &rig.ask().with_scopes(&["operator.read"])).await.hello();
    rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused();
    for mut session in [reader, command_line] {
        session.call("health", json!({})).await.unwrap();
        assert!(session.heard("device.pair.requested").is_empty());
    }
}

#[tokio::test]
async fn a_new_gateway_token_ends_what_came_in_with_the_old_one() {
    let rig = Rig::new().await;
    let device = Device::new();
    let token = rig.pair(&device, &["operator.read"]).await;
    let by_secret = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let by_device = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    let rotated = Instant::now();
    let fresh = rig.core.rotate_token().await.unwrap();
    for session in [by_secret, by_device] {
        assert_eq!(session.closed().await, (4001, "gateway auth changed".to_owned()));
    }
    assert!(rotated.elapsed() < Duration::from_secs(1));
    let refusal = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    let refusal = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH");
    rig.connect(HERE, Some(&Device::new()), &Ask::operator(fresh.expose())).await.hello();
    // Who was paired stays so, and is handed a token that counts again.
    let ask = Ask::operator(fresh.expose()).with_scopes(&["operator.read"]);
    let session = rig.connect(LAN, Some(&device), &ask).await.hello();
    let token = session.hello["auth"]["deviceToken"].as_str().unwrap();
    rig.connect(LAN, Some(&device), &with_device_token(token)).await.hello();
}

#[tokio::test]
async fn what_was_approved_is_there_after_a_restart() {
    let rig = Rig::new().await;
    let device = Device::new();
    let token = rig.pair(&device, &["operator.read"]).await;
    let Rig { core, state, .. } = rig;
    core.drain(Duration::ZERO).await;
    drop(core);
    let rig = Rig::over(state, Timing::default()).await;
    let session = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    assert_eq!(session.hello["auth"]["scopes"], json!(["operator.read"]));
}

fn request_id(refusal: &Refusal) -> String {
    refusal.error["details"]["requestId"].as_str().unwrap().to_owned()
}
