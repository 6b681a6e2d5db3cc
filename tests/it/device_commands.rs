//! `doorward devices` beyond approving: remove, rename, rotate, revoke, clear, with the gateway's words and exit codes.

use serde_json::json;

use super::support::caller::Caller;
use super::support::gateway_client::{Ask, Device, call};
use super::support::instance::{Instance, OWNERS};
use super::support::namespace::Namespace;

#[test]
fn a_device_is_named_narrowed_revoked_and_forgotten_by_the_owner() {
    let machine = Namespace::new();
    let doorward = Instance::start(&machine, OWNERS);
    let (device, token) = (Device::new(), doorward.token());
    let caller = Caller::plain("127.0.0.1:18789");
    call(&machine, &caller, &device, Ask::operator(&token)).hello();
    let id = device.id();

    let renamed = doorward.words(&["devices", "rename", "--device", &id, "--name", " Ann's phone "]);
    assert_eq!(renamed, format!("Renamed {id} → Ann's phone\n"));
    assert_eq!(doorward.paired()[0]["operatorLabel"], "Ann's phone");
    assert!(doorward.words(&["devices", "list"]).contains("Ann's phone"));

    let rotate = ["devices", "rotate", "--device", &id, "--role", "operator", "--scope", "operator.read"];
    let rotated = doorward.json(&rotate);
    assert_eq!(
        (&rotated["scopes"], &rotated["tokenDelivery"]),
        (&json!(["operator.read"]), &json!("withheld-cross-device"))
    );
    assert_eq!((&rotated["deviceId"], rotated.get("token")), (&json!(id), None));
    assert_eq!(doorward.paired()[0]["scopes"], json!(["operator.read"]));

    let revoked = doorward.json(&["devices", "revoke", "--device", &id, "--role", "operator"]);
    assert_eq!((&revoked["deviceId"], revoked["revokedAtMs"].is_i64()), (&json!(id), true));
    let refusal = call(&machine, &caller, &device, Ask::operator(&token)).refused();
    assert_eq!(refusal.error["details"]["code"], "PAIRING_REQUIRED", "a revoked device waits for a person");

    assert_eq!(doorward.words(&["devices", "remove", &id]), format!("Removed {id}\n"));
    assert!(doorward.paired().is_empty() && doorward.pending().is_empty());
}

#[test]
fn clearing_needs_a_yes_and_takes_requests_only_when_told() {
    let machine = Namespace::new();
    let doorward = Instance::start(&machine, OWNERS);
    let (one, two, waiting, token) = (Device::new(), Device::new(), Device::new(), doorward.token());
    let caller = Caller::plain("127.0.0.1:18789");
    for device in [&one, &two] {
        call(&machine, &caller, device, Ask::operator(&token)).hello();
    }
    // A node waits for a person, even here.
    let node = Ask { role: "node", client: ("node-host", "node"), ..Ask::operator(&token).with_scopes(&[]) };
    call(&machine, &caller, &waiting, node).refused();

    let refused = doorward.command(&["devices", "clear"]);
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{words}");
    assert!(words.contains("without --yes") && words.contains("hint: "), "{words}");
    assert_eq!(doorward.paired().len(), 2);

    assert_eq!(doorward.words(&["devices", "clear", "--yes"]), "Cleared 2 paired devices\n");
    assert!(doorward.paired().is_empty());
    assert_eq!(doorward.pending().len(), 1);
    let request = doorward.pending_of(&waiting.id())["requestId"].clone();
    let cleared = doorward.json(&["devices", "clear", "--yes", "--pending"]);
    assert_eq!(cleared, json!({ "removedDevices": [], "rejectedPending": [request] }));
    assert!(doorward.pending().is_empty());
}

#[test]
fn what_cannot_be_done_says_what_to_do_instead() {
    let machine = Namespace::new();
    let doorward = Instance::start(&machine, OWNERS);
    let unknown = Device::new().id();
    for (arguments, code, words) in [
        (vec!["remove", &unknown], 1, "unknown deviceId"),
        (vec!["rename", "--device", &unknown, "--name", "x"], 1, "unknown deviceId"),
        (vec!["rename", "--device", &unknown, "--name", " "], 1, "label required"),
        (vec!["rotate", "--device", &unknown, "--role", "operator"], 1, "device token rotation denied"),
        (vec!["revoke", "--device", &unknown, "--role", "operator"], 1, "device token revocation denied"),
        (vec!["revoke", "--device", &unknown, "--role", "worker"], 2, "operator or node"),
        (vec!["rotate", "--device", &unknown, "--role", "operator", "--scope", "a,b"], 2, "not a scope"),
        (vec!["rename", "--device", &unknown], 2, "--name"),
    ] {
        let told = doorward.command(&[&["devices"], &arguments[..]].concat());
        let said = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert!(code == 2 || said.contains("hint: "), "{arguments:?}: {said}");
    }
}
