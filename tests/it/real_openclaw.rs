//! The real OpenClaw command lines, protocol 3 and 4, are served by our core as by their own gateway.

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::openclaw::{OpenClaw, Release};

const URL: &str = "ws://127.0.0.1:18789";

#[test]
fn both_releases_list_what_is_pending_and_paired() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let paired = Device::new();
    call(&home.host, &Caller::plain("127.0.0.1:18789"), &paired, Ask::operator(&token)).hello();
    let (waiting, request) = waiting(&home, &doorward, Ask::operator(&token));

    for release in [Release::September, Release::January] {
        let openclaw = OpenClaw::new(&home.host, release);
        let listed = openclaw.json(&["devices", "list", "--url", URL, "--token", &token]);
        let has = |kind: &str, field: &str, value: &str| {
            listed[kind].as_array().unwrap().iter().any(|entry| entry[field] == value)
        };
        assert!(has("pending", "requestId", &request), "{release:?}: {listed:#}");
        assert!(has("pending", "deviceId", &waiting.id()), "{release:?}: {listed:#}");
        assert!(has("pending", "remoteIp", "10.77.0.2"), "{release:?}: {listed:#}");
        assert!(has("paired", "deviceId", &paired.id()), "{release:?}: {listed:#}");

        let table = openclaw.words(&["devices", "list", "--url", URL, "--token", &token]);
        for words in ["Pending (1)", "Paired (", request.as_str()] {
            assert!(table.contains(words), "{release:?} does not print {words}:\n{table}");
        }
    }
}

#[test]
fn january_approves_and_rejects_what_it_holds() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let openclaw = OpenClaw::new(&home.host, Release::January);
    let ask = Ask::operator(&token).with_scopes(&["operator.read", "operator.approvals"]);

    let (device, request) = waiting(&home, &doorward, ask.clone());
    let words = openclaw.words(&["devices", "approve", &request, "--url", URL, "--token", &token]);
    assert!(words.contains("Approved") && words.contains(&device.id()), "{words}");
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    call(&home.lan, &caller, &device, ask.clone()).hello();

    let (_, request) = waiting(&home, &doorward, ask);
    let words = openclaw.words(&["devices", "reject", &request, "--url", URL, "--token", &token]);
    assert!(words.contains("Rejected"), "{words}");
    assert!(doorward.pending().is_empty());

    let unknown = openclaw.command(&["devices", "approve", &request, "--url", URL, "--token", &token]);
    assert!(!unknown.status.success(), "approved what was rejected");
}

#[test]
fn september_approves_within_the_pairing_scope_and_no_more() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let openclaw = OpenClaw::new(&home.host, Release::September);

    let (_, request) = waiting(&home, &doorward, Ask::operator(&token));
    let refused = openclaw.command(&["devices", "approve", &request, "--url", URL, "--token", &token]);
    assert!(!refused.status.success(), "it granted what it does not hold");
    assert!(doorward.pending().iter().any(|pending| pending["requestId"] == request.as_str()));

    let modest = Ask::operator(&token).with_scopes(&["operator.pairing"]);
    let (device, request) = waiting(&home, &doorward, modest);
    let words = openclaw.words(&["devices", "approve", &request, "--url", URL, "--token", &token]);
    assert!(words.contains("Approved") && words.contains(&device.id()), "{words}");
    assert!(doorward.paired().iter().any(|paired| paired["deviceId"] == device.id().as_str()));
}

/// A device of the LAN machine that waits, and its request.
fn waiting(home: &Household, doorward: &Instance<'_>, ask: Ask) -> (Device, String) {
    let device = Device::new();
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    call(&home.lan, &caller, &device, ask).refused();
    let request = doorward.pending_of(&device.id())["requestId"].as_str().unwrap().to_owned();
    (device, request)
}
