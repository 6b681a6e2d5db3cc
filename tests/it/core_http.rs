//! What the core answers over HTTP: who the caller is, the page, and nothing without an assertion. The core alone.

use bytes::Bytes;
use doorward::core::Refused;
use doorward::origin::trail::Step;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::support::core_rig::{LAN, NOBODY, Rig};

#[tokio::test]
async fn http_answers_only_behind_an_assertion() {
    let rig = Rig::new().await;
    let get = |path: &str| Request::get(path).header("host", "claw.example").body(Bytes::new()).unwrap();
    let refused = rig.core.answer(get("/doorward/whoami")).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let answer = rig.core.answer(rig.signed(get("/doorward/whoami"), LAN)).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!((&body["client_ip"], &body["class"]), (&json!(LAN), &json!("private")));
    assert_eq!((&body["local"], &body["verified"], &body["listener"]), (&json!(false), &json!(true), &json!("lan")));
    assert!(body["connection"].is_string());
    let steps = [Step::PeerIsClient.phrase(), Step::LocalNever.phrase()];
    assert_eq!(body["steps"], json!(steps));
    for (path, status) in [
        ("/", 200),
        ("/chat/today", 200),
        ("/index.html", 200),
        ("/assets/app.js", 404),
        ("/favicon.ico", 404),
        ("/doorward", 404),
        ("/doorward/", 404),
        ("/doorward/why/7Q2K9M4XW1PT", 404),
        ("/doorward/ca", 404),
        ("/doorward/whoami/", 404),
        ("/.well-known/security", 404),
        ("/.well-known/acme-challenge/x", 404),
    ] {
        let answer = rig.core.answer(rig.signed(get(path), LAN)).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let reason = answer.extensions().get::<Refused>().map(|refused| refused.refusal.reason());
        assert_eq!(reason, (status == 404).then_some("not-found"), "{path}");
        let headers = answer.headers();
        assert!(headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"), "{path}");
        for (name, value) in
            [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
        {
            assert_eq!(headers[name], value, "{path}");
        }
    }
    for path in ["/", "/doorward/whoami"] {
        let post = Request::post(path).header("host", "claw.example").body(Bytes::new()).unwrap();
        assert_eq!(rig.core.answer(rig.signed(post, LAN)).await.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
}

#[tokio::test]
async fn whoever_cannot_be_told_is_told_why() {
    let rig = Rig::new().await;
    let get = Request::get("/doorward/whoami").header("host", "claw.example").body(Bytes::new()).unwrap();
    let answer = rig.core.answer(rig.signed(get, NOBODY)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(!text.contains("172.18.0.1"), "the peer is not the client: {text}");
    let mut body: Value = serde_json::from_str(&text).unwrap();
    body.as_object_mut().unwrap().remove("connection").unwrap();
    let steps = [Step::HeaderAbsent.phrase(), Step::LocalNever.phrase()];
    assert_eq!(
        body,
        json!({ "kind": "unattributed", "client_ip": null, "class": "unattributed", "local": false,
                "listener": "lan", "steps": steps, "verified": true })
    );
}
