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
fn january_takes_an_invite_in_the_tokens_place() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let made = doorward.json(&["invite", "--scopes", "operator.read,operator.pairing"]);
    let openclaw = OpenClaw::new(&home.lan, Release::January).trusting(&doorward.folder().join("certs/local-ca.crt"));
    let url = "wss://10.77.0.1:8443";
    let listed = openclaw.json(&["devices", "list", "--url", url, "--token", made["secret"].as_str().unwrap()]);
    assert_eq!(listed["paired"].as_array().unwrap().len(), 1, "{listed:#}");
    assert_eq!(doorward.paired()[0]["approvedVia"], "bootstrap");
    assert!(doorward.json(&["status"])["invite"].is_null());
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

#[test]
fn both_releases_pair_from_the_lan_over_tls() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let authority = doorward.folder().join("certs/local-ca.crt");
    let arguments = ["system", "presence", "--url", "wss://10.77.0.1:8443", "--token", &token];
    for release in [Release::September, Release::January] {
        let openclaw = OpenClaw::new(&home.lan, release).trusting(&authority);
        let told = openclaw.command(&arguments);
        let words = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
        assert!(!told.status.success() && words.contains("pairing required"), "{release:?}: {words}");
        let [pending] = &doorward.pending()[..] else { panic!("{release:?}: {:#?}", doorward.pending()) };
        assert_eq!(pending["remoteIp"], "10.77.0.2", "{release:?}: {pending:#}");
        assert_eq!(pending["origin"]["listener"], "lan", "{release:?}: {pending:#}");
        doorward.words(&["devices", "approve", pending["requestId"].as_str().unwrap()]);
        openclaw.words(&arguments);
        let paired = doorward.paired();
        assert!(paired.iter().any(|paired| paired["deviceId"] == pending["deviceId"]), "{release:?}: {paired:#?}");
    }
}

#[test]
fn september_shows_no_device_over_loopback_is_let_in_and_stays_unlisted() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    OpenClaw::new(&home.host, Release::September).words(&[
        "system",
        "presence",
        "--url",
        URL,
        "--token",
        &doorward.token(),
    ]);
    assert!(doorward.paired().is_empty() && doorward.pending().is_empty());
}

#[test]
fn a_command_line_without_a_device_is_refused_from_elsewhere_and_the_log_says_what_to_do() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let authority = doorward.folder().join("certs/local-ca.crt");
    let openclaw = OpenClaw::new(&home.lan, Release::September).trusting(&authority);
    let url = "wss://10.77.0.1:8443";
    let told = openclaw.command(&["devices", "list", "--url", url, "--token", &doorward.token()]);
    assert!(!told.status.success(), "{told:?}");
    let log = doorward.log();
    let line = log.lines().find(|line| line.contains("connect refused")).unwrap_or_else(|| panic!("{told:?}"));
    for words in [" INFO ", "client=10.77.0.2", "device_required", "openclaw system presence"] {
        assert!(line.contains(words), "{words} is not in {line}");
    }
    assert!(doorward.pending().is_empty());
}

/// A device of the LAN machine that waits, and its request.
fn waiting(home: &Household, doorward: &Instance<'_>, ask: Ask) -> (Device, String) {
    let device = Device::new();
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    call(&home.lan, &caller, &device, ask).refused();
    let request = doorward.pending_of(&device.id())["requestId"].as_str().unwrap().to_owned();
    (device, request)
}
