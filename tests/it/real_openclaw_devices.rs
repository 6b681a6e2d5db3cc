//! The real OpenClaw command lines manage devices of our core as far as they hold: rename, rotate, revoke, remove, clear.

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::openclaw::{OpenClaw, Release};

const URL: &str = "ws://127.0.0.1:18789";

#[test]
fn september_manages_devices_as_far_as_it_holds() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let (token, openclaw) = (doorward.token(), OpenClaw::new(&home.host, Release::September));
    let reach = ["--url", URL, "--token", &token];
    let with = |words: &[&str]| [words, &reach].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    let told = |words: &[&str]| openclaw.words(&with(words).iter().map(String::as_str).collect::<Vec<_>>());
    let device = paired(&home, &doorward, &["operator.pairing"]);
    let id = device.id();

    assert!(told(&["devices", "rename", "--device", &id, "--name", "Kitchen"]).contains("Renamed"));
    assert!(told(&["devices", "list"]).contains("Kitchen"));
    let rotated = told(&["devices", "rotate", "--device", &id, "--role", "operator"]);
    assert!(rotated.contains("withheld-cross-device") && !rotated.contains("\"token\""), "{rotated}");
    assert!(told(&["devices", "revoke", "--device", &id, "--role", "operator"]).contains("revokedAtMs"));
    assert_eq!(doorward.paired()[0]["roles"], serde_json::json!([]));
    assert!(told(&["devices", "remove", &id]).contains("Removed"));
    assert!(doorward.paired().is_empty());

    // What it does not hold it cannot rotate, and what is not there it cannot approve.
    let mighty = paired(&home, &doorward, &["operator.admin"]);
    for words in [
        &["devices", "rotate", "--device", &mighty.id(), "--role", "operator"][..],
        &["devices", "approve", "3d16effe-61e7-45a2-870c-860abf220e71"],
    ] {
        let words = with(words);
        let refused = openclaw.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(!refused.status.success(), "{words:?}: {refused:?}");
    }
    let cleared = told(&["devices", "clear", "--yes", "--pending"]);
    assert!(cleared.contains("Cleared 1 paired device"), "{cleared}");
    assert!(doorward.paired().is_empty() && doorward.pending().is_empty());
}

#[test]
fn january_rotates_and_revokes() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let (token, openclaw) = (doorward.token(), OpenClaw::new(&home.host, Release::January));
    let device = paired(&home, &doorward, &["operator.read"]);
    let grant = ["--device", &device.id(), "--role", "operator", "--url", URL, "--token", &token];
    let rotated = openclaw.words(&[&["devices", "rotate"], &grant[..]].concat());
    assert!(rotated.contains("rotatedAtMs") && rotated.contains(&device.id()), "{rotated}");
    let revoked = openclaw.words(&[&["devices", "revoke"], &grant[..]].concat());
    assert!(revoked.contains("revokedAtMs"), "{revoked}");
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let ask = Ask::operator(&token).with_scopes(&["operator.read"]);
    let refusal = call(&home.lan, &caller, &device, ask).refused();
    assert_eq!(refusal.error["details"]["reason"], "role-upgrade");
}

/// A device of the LAN machine that the owner has approved.
fn paired(home: &Household, doorward: &Instance<'_>, scopes: &[&str]) -> Device {
    let device = Device::new();
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let ask = || Ask::operator(&doorward.token()).with_scopes(scopes);
    call(&home.lan, &caller, &device, ask()).refused();
    let request = doorward.pending_of(&device.id())["requestId"].as_str().unwrap().to_owned();
    doorward.words(&["devices", "approve", &request]);
    call(&home.lan, &caller, &device, ask()).hello();
    device
}
