//! Promise: a device waits for a person for as long as the operator says, and what is over can no longer be approved.

use serde_json::json;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::instance::{Instance, owners_and};
use crate::support::namespace::Namespace;
use crate::support::wait::until;

const ASKED: &str = "[[core.pairing.rule]]\nthen = \"ask\"\n";

fn lives_for(seconds: u32) -> String {
    owners_and(&format!("[core.pairing]\npending_ttl_seconds = {seconds}\n{ASKED}"))
}

#[test]
fn a_request_is_over_after_the_operators_time_and_another_time_needs_a_restart() {
    let machine = Namespace::new();
    let instance = Instance::start(&machine, &lives_for(10));
    let first = waits(&machine, &instance);
    // By the default it would wait for longer than we do.
    until(|| instance.pending().is_empty(), || instance.log());
    let late = instance.command(&["devices", "approve", &first]);
    let told = String::from_utf8_lossy(&late.stderr);
    assert!(!late.status.success() && told.contains("unknown requestId"), "{told}");
    // It is forgotten too, and that is no decision of anybody's.
    until(|| instance.words(&["audit"]).contains("request.expired"), || instance.words(&["audit"]));

    instance.configure(&lives_for(3_600));
    let reload = instance.command(&["reload"]);
    let told = String::from_utf8_lossy(&reload.stdout) + String::from_utf8_lossy(&reload.stderr);
    assert!(told.contains("core.pairing.pending_ttl_seconds") && told.contains("restart"), "{told}");
    assert_eq!(instance.json(&["status"])["configuration"]["onDisk"], json!("needs-restart"));
}

/// A new device that asks; its request's id.
fn waits(machine: &Namespace, instance: &Instance<'_>) -> String {
    let (device, ask) = (Device::new(), Ask::operator(&instance.token()));
    let id = device.id();
    machine.block_on(move || async move {
        connect(&Caller::plain("127.0.0.1:18789"), Some(&device), &ask).await.refused();
    });
    instance.pending_of(&id)["requestId"].as_str().unwrap().to_owned()
}
