//! The catalogue of attacks on pairing, approval and device identity, each by its number. Rows 154 (Ed25519 in all its
//! malleable forms), 157 (nobody behind a bridge is local) and 158 (the admin socket asks who calls) have their own places:
//! `src/base/ed25519/tests.rs`, `tests/it/namespaces.rs` and `tests/it/owner_only.rs`.

use std::time::Duration;

use doorward::base::limits::{PENDING_PER_CLIENT_MAX, SIGNED_AT_SKEW_MS};
use doorward::core::Decider;
use doorward::protocol::scope::Role;
use futures_util::SinkExt as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::support::core_rig::{HERE, LAN, Rig, with_device_token};
use super::support::gateway_client::{Ask, Device, Refusal, Session, connect_frame, next_frame, verdict};

#[tokio::test]
async fn row_138_few_requests_wait_for_each_address() {
    let rig = Rig::new().await;
    for number in 0..2 * PENDING_PER_CLIENT_MAX {
        let refusal = rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused();
        let code = if number < PENDING_PER_CLIENT_MAX { "PAIRING_REQUIRED" } else { "PAIRING_PENDING_LIMIT" };
        assert_eq!(refusal.error["details"]["code"], code, "{number}");
    }
    assert_eq!(pending(&rig).await.len(), PENDING_PER_CLIENT_MAX);
    rig.clock.advance(1);
    let owner = rig.connect("192.168.1.30", Some(&Device::new()), &rig.ask()).await.refused();
    assert_eq!(
        pending(&rig).await[0]["requestId"],
        json!(request_id(&owner)),
        "who asks for little stands before who asks for much"
    );
}

#[tokio::test]
async fn row_139_one_device_that_connects_many_times_at_once_waits_once() {
    let rig = Rig::new().await;
    let (device, ask) = (Device::new(), rig.ask());
    let mut ids = Vec::new();
    for _ in 0..7 {
        // As many as one address may have before hello.
        let refused = join_all((0..30).map(|_| rig.connect("192.168.1.40", Some(&device), &ask))).await;
        ids.extend(refused.into_iter().map(|outcome| request_id(&outcome.refused())));
        // Their sockets are gone before the next come.
        let gone = async {
            while rig.core.status().await.unwrap().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(150), gone).await.expect("their sockets stay");
    }
    assert!(ids.len() >= 200 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let waiting: Vec<Value> = pending(&rig).await;
    assert_eq!((waiting.len(), &waiting[0]["requestId"]), (1, &json!(ids[0])));
}

#[tokio::test]
async fn row_140_what_was_swapped_since_it_was_shown_is_not_approved() {
    let rig = Rig::new().await;
    let device = Device::new();
    let first = rig.connect(LAN, Some(&device), &rig.ask().with_scopes(&["operator.read"])).await.refused();
    let shown = pending(&rig).await[0]["digest"].as_str().unwrap().to_owned();
    // For more, from elsewhere, as another machine: what would be read differently gets another id.
    for (from, ask) in [
        (LAN, rig.ask()),
        ("192.168.1.99", rig.ask()),
        (LAN, Ask { role: "node", client: ("node-host", "node"), ..rig.ask().with_scopes(&[]) }),
    ] {
        let swapped = rig.connect(from, Some(&device), &ask).await.refused();
        let pairings = rig.core.pairings();
        let error = pairings.approve(&request_id(&swapped), Some(&shown), &Decider::owner()).await.unwrap_err();
        assert_eq!(error.to_string(), "request changed since it was listed");
    }
    assert!(rig.core.pairings().approve(&request_id(&first), Some(&shown), &Decider::owner()).await.is_err());
    assert_eq!(rig.listing().await["paired"], json!([]));
}

#[tokio::test]
async fn row_141_nothing_is_approved_but_by_its_whole_id() {
    let rig = Rig::new().await;
    let id = request_id(&rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused());
    let mut owner = owner(&rig).await;
    let capitals = id.to_uppercase();
    for wrong in [
        "latest",
        "--latest",
        "*",
        "",
        " ",
        id.get(..8).unwrap(),
        id.get(..35).unwrap(),
        &capitals,
        &format!(" {id}"),
        &id.replace('-', ""),
        "00000000-0000-4000-8000-000000000000",
    ] {
        assert!(owner.call("device.pair.approve", json!({ "requestId": wrong })).await.is_err(), "{wrong:?}");
        assert!(rig.core.pairings().approve(wrong, None, &Decider::owner()).await.is_err(), "{wrong:?}");
    }
    assert_eq!(pending(&rig).await.len(), 1);
}

#[tokio::test]
async fn row_144_pairing_alone_does_not_make_an_admin() {
    let rig = Rig::new().await;
    let id = request_id(&rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused());
    let mut helper = paired(&rig, &["operator.pairing"]).await.1;
    let mut command_line =
        rig.connect(HERE, None, &rig.ask().with_scopes(&["operator.pairing", "operator.admin"])).await.hello();
    for session in [&mut helper, &mut command_line] {
        assert!(session.call("device.pair.approve", json!({ "requestId": id })).await.is_err());
    }
    assert_eq!(pending(&rig).await.len(), 1);
}

#[tokio::test]
async fn row_145_a_rotated_token_holds_no_more_than_before_nor_than_its_rotator_does() {
    let rig = Rig::new().await;
    let (device, mut own) = paired(&rig, &["operator.read", "operator.pairing"]).await;
    let rotate = |scopes: Value| json!({ "deviceId": device.id(), "role": "operator", "scopes": scopes });
    for scopes in [json!(["operator.admin"]), json!(["operator.read", "operator.write"])] {
        assert!(own.call("device.token.rotate", rotate(scopes.clone())).await.is_err(), "{scopes}");
        let mut owner = owner(&rig).await;
        assert!(owner.call("device.token.rotate", rotate(scopes)).await.is_err());
    }
    let mut command_line = rig.connect(HERE, None, &rig.ask().with_scopes(&["operator.pairing"])).await.hello();
    let error = command_line.call("device.token.rotate", rotate(json!(["operator.read"]))).await.unwrap_err();
    assert_eq!(error["details"]["missingScope"], "operator.read");
}

#[tokio::test]
async fn row_146_a_device_without_admin_sees_and_changes_only_itself() {
    let rig = Rig::new().await;
    let (victim, _open) = paired(&rig, &["operator.read"]).await;
    let waiting = request_id(&rig.connect(LAN, Some(&Device::new()), &rig.ask()).await.refused());
    let (own, mut helper) = paired(&rig, &["operator.pairing", "operator.read", "operator.write"]).await;
    let listed = helper.call("device.pair.list", json!({})).await.unwrap();
    assert_eq!((&listed["pending"], &listed["paired"][0]["deviceId"]), (&json!([]), &json!(own.id())));
    assert_eq!(listed["paired"].as_array().unwrap().len(), 1);
    let before = rig.listing().await;
    for (method, params) in [
        ("device.pair.approve", json!({ "requestId": waiting })),
        ("device.pair.reject", json!({ "requestId": waiting })),
        ("device.pair.remove", json!({ "deviceId": victim.id() })),
        ("device.pair.rename", json!({ "deviceId": victim.id(), "label": "mine" })),
        ("device.token.rotate", json!({ "deviceId": victim.id(), "role": "operator" })),
        ("device.token.revoke", json!({ "deviceId": victim.id(), "role": "operator" })),
        ("node.pair.remove", json!({ "nodeId": victim.id() })),
        ("device.pair.setupCode", json!({})),
    ] {
        helper.call(method, params).await.unwrap_err();
    }
    assert_eq!(rig.listing().await, before);
}

#[tokio::test]
async fn row_147_scopes_that_a_newcomer_declares_are_worth_nothing() {
    let rig = Rig::new().await;
    let ask = rig.ask().with_scopes(&["operator.admin"]);
    rig.connect(LAN, Some(&Device::new()), &ask).await.refused();
    rig.connect(LAN, None, &ask).await.refused();
    let mut here = rig.connect(HERE, None, &ask).await.hello();
    assert_eq!(here.hello["auth"]["scopes"], json!([]));
    here.call("device.pair.list", json!({})).await.unwrap_err();
    assert_eq!(rig.listing().await["paired"], json!([]));
}

#[tokio::test]
async fn row_148_an_id_that_is_not_the_keys_own_leaves_nothing() {
    let rig = Rig::new().await;
    let device = Device::new();
    let id = device.id();
    let changes: [(&str, Value); 7] = [
        ("id", json!(Device::new().id())),
        ("id", json!(id.to_uppercase())),
        ("id", json!(format!(" {id}"))),
        ("id", json!("")),
        ("publicKey", json!("A".repeat(1024 * 1024))),
        ("publicKey", json!("MCowBQYDK2VuAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
        ("publicKey", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    ];
    for (field, value) in changes {
        let shown: String = value.to_string().chars().take(40).collect();
        let (code, _) = altered(&rig, &device, |claim| claim[field] = value).await;
        assert!([1008, 1009].contains(&code), "{field} {shown}: {code}");
    }
    assert!(pending(&rig).await.is_empty());
}

#[tokio::test]
async fn row_149_another_key_under_a_paired_id_is_refused_and_changes_nothing() {
    let rig = Rig::new().await;
    let (device, session) = paired(&rig, &["operator.read"]).await;
    let before = rig.listing().await;
    let thief = Device::new();
    let (_, reason) = altered(&rig, &thief, |claim| claim["id"] = json!(device.id())).await;
    assert_eq!(reason, "device identity mismatch");
    assert_eq!(rig.listing().await, before);
    drop(session);
}

#[tokio::test]
async fn row_150_a_proof_is_good_once_on_its_own_socket() {
    let rig = Rig::new().await;
    let device = Device::new();
    let mut socket = rig.dial(LAN).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
    let frame = connect_frame(&challenge, Some(&device), &rig.ask()).to_string();
    socket.send(Message::text(frame.clone())).await.unwrap();
    let first = request_id(&verdict(socket).await.refused());
    let mut replay = rig.dial(LAN).await.unwrap();
    next_frame(&mut replay).await.unwrap();
    replay.send(Message::text(frame)).await.unwrap();
    let refusal = verdict(replay).await.refused();
    assert_eq!(refusal.error["details"]["code"], "DEVICE_AUTH_NONCE_MISMATCH");
    for payload in ["v1", "v0", "v4"] {
        let refusal = rig.connect(LAN, Some(&device), &Ask { payload, ..rig.ask() }).await.refused();
        assert_eq!(refusal.error["details"]["code"], "DEVICE_AUTH_SIGNATURE_INVALID", "{payload}");
    }
    assert_eq!(pending(&rig).await[0]["requestId"], json!(first));
}

#[tokio::test]
async fn row_151_a_signature_is_of_now() {
    let rig = Rig::new().await;
    let (device, now) = (Device::new(), rig.clock.now().0);
    for at in [
        json!(now - 600_000),
        json!(now + 600_000),
        json!(0),
        json!(-1),
        json!(1.5),
        json!("now"),
        json!(1e19),
        json!(i64::MAX),
    ] {
        let (code, reason) = altered(&rig, &device, |claim| claim["signedAt"] = at.clone()).await;
        assert_eq!(code, 1008, "{at}: {reason}");
        assert!(
            reason.starts_with("device signature") || reason.starts_with("invalid connect params"),
            "{at}: {reason}"
        );
    }
    // Signed as they stand, too: what is old is no younger for that.
    for at in [now - 600_000, now - SIGNED_AT_SKEW_MS - 1, now + SIGNED_AT_SKEW_MS + 1, 0] {
        let ask = rig.ask();
        let mut socket = rig.dial(LAN).await.unwrap();
        let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
        let mut frame = connect_frame(&challenge, Some(&device), &ask);
        frame["params"]["device"] = device.claim(&ask, challenge["nonce"].as_str().unwrap(), at);
        socket.send(Message::text(frame.to_string())).await.unwrap();
        let refusal = verdict(socket).await.refused();
        assert_eq!(refusal.error["details"]["code"], "DEVICE_AUTH_SIGNATURE_EXPIRED", "{at}: {refusal:?}");
    }
    assert!(pending(&rig).await.is_empty());
}

#[tokio::test]
async fn row_155_a_device_that_keeps_asking_has_one_request_and_causes_one_notice() {
    let rig = Rig::new().await;
    let mut owner = owner(&rig).await;
    let device = Device::new();
    for _ in 0..3 {
        let id = request_id(&rig.connect(LAN, Some(&device), &rig.ask()).await.refused());
        for _ in 0..20 {
            assert_eq!(request_id(&rig.connect(LAN, Some(&device), &rig.ask()).await.refused()), id);
        }
        owner.call("device.pair.reject", json!({ "requestId": id })).await.unwrap();
        rig.clock.advance(60_000);
    }
    owner.call("health", json!({})).await.unwrap();
    assert_eq!(owner.heard("device.pair.requested").len(), 3, "one for each request, not for each try");
}

#[tokio::test]
async fn row_159_a_device_that_never_had_a_token_loses_its_role_at_once_too() {
    let rig = Rig::new().await;
    let device = Device::new();
    let ask = rig.ask().with_scopes(&["operator.read"]);
    let id = request_id(&rig.connect(LAN, Some(&device), &ask).await.refused());
    let (pairings, owner) = (rig.core.pairings(), Decider::owner());
    pairings.approve(&id, None, &owner).await.unwrap();
    pairings.revoke(&device.id(), Role::Operator, &owner).await.unwrap();
    assert_eq!(rig.listing().await["paired"][0]["roles"], json!([]));
    let refusal = rig.connect(LAN, Some(&device), &ask).await.refused();
    assert_eq!(refusal.error["details"]["reason"], "role-upgrade");
}

fn request_id(refusal: &Refusal) -> String {
    let id = refusal.error["details"]["requestId"].as_str();
    id.unwrap_or_else(|| panic!("no request: {refusal:#?}")).to_owned()
}

async fn pending(rig: &Rig) -> Vec<Value> {
    rig.listing().await["pending"].as_array().unwrap().clone()
}

async fn owner(rig: &Rig) -> Session {
    rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello()
}

/// A device paired for these scopes, and its session.
async fn paired(rig: &Rig, scopes: &[&str]) -> (Device, Session) {
    let device = Device::new();
    let token = rig.pair(&device, scopes).await;
    let session = rig.connect(LAN, Some(&device), &with_device_token(&token)).await.hello();
    (device, session)
}

/// Connects with a claim that was changed after it was signed; how the socket ended.
async fn altered(rig: &Rig, device: &Device, change: impl FnOnce(&mut Value)) -> (u16, String) {
    let mut socket = rig.dial(LAN).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
    let mut frame = connect_frame(&challenge, Some(device), &rig.ask());
    change(&mut frame["params"]["device"]);
    socket.send(Message::text(frame.to_string())).await.unwrap();
    let refusal = verdict(socket).await.refused();
    (refusal.code, refusal.reason)
}
