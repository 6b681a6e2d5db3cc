//! Setup codes: made by whoever administers, good for one device and ten minutes, told of when they are used. The core
//! alone, over sockets of memory.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::core_rig::{HERE, LAN, Rig, with_device_token, with_setup_code};
use super::support::gateway_client::{Ask, Device, Session, connect_frame, next_frame};

#[tokio::test]
async fn a_code_lets_one_new_device_in_and_is_told_of() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let made = make(&mut owner, json!({ "bootstrapProfile": "limited" })).await;
    let id = made["setupId"].as_str().unwrap().to_owned();
    let status = |id: &str| json!({ "setupId": id });
    assert_eq!(owner.call("device.pair.setupStatus", status(&id)).await.unwrap(), json!({}));
    let device = Device::new();
    let session = rig.connect(LAN, Some(&device), &with_setup_code(&made)).await.hello();
    let auth = &session.hello["auth"];
    assert_eq!((&auth["method"], &auth["role"]), (&json!("bootstrap-token"), &json!("operator")));
    assert_eq!(auth["scopes"].as_array().unwrap().len(), 5, "{auth}");
    let other = &auth["deviceTokens"][0];
    assert_eq!((&other["role"], other["deviceToken"].as_str().unwrap().len()), (&json!("node"), 43));
    let listing = rig.listing().await;
    let paired = listing["paired"].as_array().unwrap().iter().find(|paired| paired["deviceId"] == device.id());
    assert_eq!(paired.unwrap()["approvedVia"], "bootstrap");

    let told = owner.event("device.pair.setup.completed").await;
    assert_eq!(
        (&told["setupId"], &told["deviceId"], &told["access"]),
        (&json!(id), &json!(device.id()), &json!("limited"))
    );
    assert_eq!(owner.call("device.pair.setupStatus", status(&id)).await.unwrap(), json!({ "completion": told }));
    // The token that came with it is the device's own from now on; the code is nobody else's.
    let token = auth["deviceToken"].as_str().unwrap();
    rig.connect(LAN, Some(&device), &with_device_token(token)).await.hello();
    let refusal = rig.connect(LAN, Some(&Device::new()), &with_setup_code(&made)).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
    assert_eq!(refusal.code, 1008);
}

#[tokio::test]
async fn what_a_code_says_is_what_the_app_needs() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let made = make(&mut owner, json!({ "publicUrl": "https://claw.example/x", "includeQr": false })).await;
    let code: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(made["setupCode"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!((&code["url"], &code["expiresAtMs"]), (&json!("wss://claw.example"), &made["expiresAtMs"]));
    assert_eq!(code["bootstrapToken"].as_str().unwrap().len(), 43);
    assert_eq!(made["expiresAtMs"].as_i64().unwrap(), rig.clock.now().0 + 600_000);
    for (key, value) in [
        ("access", "full"),
        ("auth", "token"),
        ("gatewayUrl", "wss://claw.example"),
        ("urlSource", "request.publicUrl"),
    ] {
        assert_eq!(made[key], value, "{key}");
    }
    assert_eq!(made.get("accessDowngraded"), None);
    // In the clear it never gives everything.
    for (params, access, downgraded) in [
        (json!({ "publicUrl": "ws://192.168.1.2:18789" }), "limited", json!(true)),
        (json!({ "publicUrl": "ws://127.0.0.1:18789" }), "full", Value::Null),
        (json!({ "bootstrapProfile": "node" }), "node", Value::Null),
        (json!({}), "limited", json!(true)),
    ] {
        let made = make(&mut owner, params.clone()).await;
        assert_eq!((&made["access"], &made["accessDowngraded"]), (&json!(access), &downgraded), "{params}");
    }
    for (params, message) in [
        (json!({ "joinUrl": true }), "join URLs are not served here"),
        (json!({ "joinUrl": false }), "invalid device.pair.setupCode params: at /joinUrl: must be equal to constant"),
        (json!({ "publicUrl": "claw" }), "publicUrl must be a ws, wss, http or https URL"),
        (json!({ "bootstrapProfile": "admin" }), "invalid device.pair.setupCode params: at /bootstrapProfile: "),
        (json!({ "includeQr": 1 }), "invalid device.pair.setupCode params: at /includeQr: must be boolean"),
        (json!({ "x": 1 }), "invalid device.pair.setupCode params: at root: unexpected property 'x'"),
    ] {
        let error = owner.call("device.pair.setupCode", params.clone()).await.unwrap_err();
        assert!(error["message"].as_str().unwrap().starts_with(message), "{params}: {error}");
    }
}

#[tokio::test]
async fn only_whoever_administers_makes_codes_and_hears_of_them() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let helper = Device::new();
    let token = rig.pair(&helper, &["operator.pairing", "operator.read"]).await;
    let mut helper = rig.connect(LAN, Some(&helper), &with_device_token(&token)).await.hello();
    for method in ["device.pair.setupCode", "device.pair.setupStatus"] {
        let error = helper.call(method, json!({ "setupId": "x" })).await.unwrap_err();
        assert_eq!(
            (&error["code"], &error["details"]["missingScope"]),
            (&json!("FORBIDDEN"), &json!("operator.admin"))
        );
    }
    let made = make(&mut owner, json!({})).await;
    rig.connect(LAN, Some(&Device::new()), &with_setup_code(&made)).await.hello();
    owner.event("device.pair.setup.completed").await;
    helper.call("health", json!({})).await.unwrap();
    assert!(helper.heard("device.pair.setup.completed").is_empty());
}

#[tokio::test]
async fn guessing_codes_is_counted_as_guessing_the_secret_is() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let made = make(&mut owner, json!({})).await;
    let guess = Ask { setup_code: Some("guess".to_owned()), ..with_setup_code(&made) };
    for _ in 0..10 {
        let refusal = rig.connect(LAN, Some(&Device::new()), &guess).await.refused();
        assert_eq!(refusal.error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
    }
    let refusal = rig.connect(LAN, Some(&Device::new()), &guess).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED");
    let refusal = rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED", "the secret was looked at");
    // Nobody guesses 256 bits, so whoever guesses behind the same address keeps a good code from nobody.
    rig.connect(LAN, Some(&Device::new()), &with_setup_code(&made)).await.hello();
}

#[tokio::test]
async fn a_new_gateway_token_ends_every_code_that_waits() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let made = make(&mut owner, json!({})).await;
    rig.core.rotate_token().await.unwrap();
    let refusal = rig.connect(LAN, Some(&Device::new()), &with_setup_code(&made)).await.refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
}

#[tokio::test]
async fn a_code_needs_a_device_that_proves_itself() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let made = make(&mut owner, json!({})).await;
    let refusal = rig.connect(LAN, None, &with_setup_code(&made)).await.refused();
    assert_eq!(refusal.error["message"], "device identity required");
    // A signature over another code is none over this one.
    let device = Device::new();
    let mut socket = rig.dial(LAN).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
    let mut frame =
        connect_frame(&challenge, Some(&device), &Ask { setup_code: Some("x".into()), ..with_setup_code(&made) });
    frame["params"]["auth"] = json!({ "bootstrapToken": with_setup_code(&made).setup_code });
    socket.send(Message::text(frame.to_string())).await.unwrap();
    let refused = next_frame(&mut socket).await.unwrap();
    assert_eq!(refused["error"]["details"]["code"], "DEVICE_AUTH_SIGNATURE_INVALID");
    rig.connect(LAN, Some(&device), &with_setup_code(&made)).await.hello();
}

async fn owner(rig: &Rig) -> Session {
    rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello()
}

async fn make(owner: &mut Session, params: Value) -> Value {
    owner.call("device.pair.setupCode", params).await.unwrap()
}
