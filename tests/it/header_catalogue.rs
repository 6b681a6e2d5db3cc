//! Promise: no header makes anybody local, hides its sender from the owner or from the count of wrong secrets, or leads
//! anybody to a name that is not ours. What needs the whole way stands here, from the socket to the list of pending devices;
//! what the core receives byte by byte is asserted beside the edge, by the header catalogue in its rows.rs.

use serde_json::Value;

use crate::support::caller::{Answer, Caller};
use crate::support::gateway_client::{Ask, Device, Refusal, call};
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::namespace::Namespace;

/// On the listener `proxied` the LAN machine is a trusted proxy; on the others it is a stranger.
const CONFIGURATION: &str = r#"
[edge]
names = ["10.77.0.1", "claw.example.com"]

[[listener]]
name = "home"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
local_uids = [0]

[[listener]]
name = "lan"
bind = ["10.77.0.1:8443"]
protocol = "https"

[[listener]]
name = "proxied"
bind = ["10.77.0.1:8080"]
protocol = "http"
serve = "all"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.77.0.2"]

[[listener]]
name = "redirect"
bind = ["10.77.0.1:8081", "127.0.0.1:8081"]
protocol = "http"
"#;

/// Every usual way to say "I am on your own machine".
const SPOOFS: [(&str, &str); 3] =
    [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "::1"), ("Forwarded", "for=127.0.0.1")];

/// Every usual way to name another scheme, host, port and path than those of the request.
const ELSEWHERE: [(&str, &str); 8] = [
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Port", "80"),
    ("X-Forwarded-Prefix", "//evil.example"),
    ("X-Original-Host", "evil.example"),
    ("X-Host", "evil.example"),
    ("Forwarded", "host=evil.example;proto=http"),
];

#[test]
fn a_stranger_who_claims_loopback_waits_under_its_real_address() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let device = Device::new();
    let refusal = call(&home.lan, &caller, &device, with_all(Ask::operator(&doorward.token()), &SPOOFS)).refused();
    waits(&refusal);
    let pending = doorward.pending_of(&device.id());
    assert_eq!(pending["origin"]["ip"], "10.77.0.2", "{pending:#}");
    assert_eq!(pending["origin"]["class"], "private", "{pending:#}");
    assert_eq!(pending["origin"]["local"], false, "{pending:#}");
    assert!(doorward.paired().is_empty());
}

#[test]
fn who_is_local_and_shows_a_forwarding_header_is_not_local() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let caller = Caller::plain("127.0.0.1:18789");
    for (name, value) in SPOOFS {
        let device = Device::new();
        let ask = Ask::operator(&doorward.token()).with_header(name, value);
        waits(&call(&home.host, &caller, &device, ask).refused());
        assert_eq!(doorward.pending_of(&device.id())["origin"]["local"], false, "{name}");
    }
    assert!(doorward.paired().is_empty());
    // The same caller without such a header is the owner.
    call(&home.host, &caller, &Device::new(), Ask::operator(&doorward.token())).hello();
}

#[test]
fn a_trusted_proxy_that_names_loopback_makes_nobody_local() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let caller = Caller::plain("10.77.0.1:8080");
    for spoof in ["127.0.0.1", "::1", "[::1]:4000", "127.0.0.1, 127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0"] {
        let asked = caller.clone();
        let seen = home.lan.on(move || asked.whoami(&[("X-Forwarded-For", spoof)]));
        assert_eq!((&seen["kind"], &seen["local"]), (&"unattributed".into(), &false.into()), "{spoof}: {seen:#}");
        let device = Device::new();
        let ask = Ask::operator(&doorward.token()).with_header("X-Forwarded-For", spoof);
        waits(&call(&home.lan, &caller, &device, ask).refused());
        let pending = doorward.pending_of(&device.id());
        assert_eq!(pending["origin"]["class"], "unattributed", "{spoof}: {pending:#}");
        assert_eq!(pending["origin"]["local"], false, "{spoof}: {pending:#}");
        // Whom the proxy hides, the proxy stands for.
        assert_eq!(pending["origin"]["peer"], "10.77.0.2", "{spoof}: {pending:#}");
        doorward.words(&["devices", "reject", pending["requestId"].as_str().unwrap()]);
    }
    assert!(doorward.paired().is_empty());
}

#[test]
fn guesses_under_a_spoofed_loopback_are_counted() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let caller = Caller::plain("10.77.0.1:8080");
    let (stranger, spoofs) = (Device::new(), ["127.0.0.1", "::1", "127.0.0.2", "unknown"]);
    let under = |token: &str, forwarded: &str| {
        let ask = Ask::operator(token).with_header("X-Forwarded-For", forwarded);
        call(&home.lan, &caller, &stranger, ask).refused()
    };
    for guess in 0..10 {
        assert_eq!(code(&under("wrong", spoofs[guess % 4])), "AUTH_TOKEN_MISMATCH", "guess {guess}");
    }
    for spoof in spoofs {
        assert_eq!(code(&under(&doorward.token(), spoof)), "AUTH_RATE_LIMITED", "{spoof}");
    }
    // Neither a caller whom the proxy names nor the owner at home pays for it.
    assert_eq!(code(&under(&doorward.token(), "203.0.113.9")), "PAIRING_REQUIRED");
    let here = Caller::plain("127.0.0.1:18789");
    call(&home.host, &here, &Device::new(), Ask::operator(&doorward.token())).hello();
}

#[test]
fn redirects_lead_to_our_own_name_whatever_the_headers_say() {
    let home = Household::new();
    let _doorward = Instance::start(&home.host, CONFIGURATION);
    for (machine, target) in [(&home.lan, "10.77.0.1:8081"), (&home.host, "127.0.0.1:8081")] {
        for (name, value) in ELSEWHERE {
            let led = get(machine, target, &[("Host", "claw.example.com"), (name, value)]);
            assert_eq!(led.status, 308, "{name}: {led:?}");
            assert!(led.head.contains("location: https://claw.example.com/a?b=c\r\n"), "{name}: {led:?}");
            assert!(!led.head.contains("evil") && !led.body.contains("evil"), "{name}: {led:?}");
            // Nor does a header stand in for a Host that is not ours.
            let ours = if value == "evil.example" { "claw.example.com" } else { value };
            assert_eq!(get(machine, target, &[("Host", "evil.example"), (name, ours)]).status, 421, "{name}");
        }
        let all: Vec<_> = ELSEWHERE.into_iter().chain([("Host", "claw.example.com")]).collect();
        let led = get(machine, target, &all);
        assert!(led.head.contains("location: https://claw.example.com/a?b=c\r\n"), "{led:?}");
    }
}

#[test]
fn a_strangers_word_on_the_scheme_changes_no_judgement() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let ask = || with_all(Ask::operator(&doorward.token()), &ELSEWHERE);
    let own = ask().with_header("Origin", "https://10.77.0.1:8443");
    waits(&call(&home.lan, &caller, &Device::new(), own).refused());
    for foreign in ["http://10.77.0.1:8443", "https://evil.example", "http://evil.example", "http://10.77.0.1"] {
        let ask = ask().with_header("Origin", foreign);
        assert_eq!(call(&home.lan, &caller, &Device::new(), ask).status(), 403, "{foreign}");
    }
}

fn with_all(ask: Ask, headers: &[(&str, &str)]) -> Ask {
    headers.iter().fold(ask, |ask, (name, value)| ask.with_header(name, value))
}

/// It is told to wait for the owner.
fn waits(refusal: &Refusal) {
    assert_eq!(code(refusal), "PAIRING_REQUIRED", "{refusal:?}");
    assert!(refusal.code == 1008 && refusal.reason.starts_with("pairing required"), "{refusal:?}");
}

fn code(refusal: &Refusal) -> &Value {
    &refusal.error["details"]["code"]
}

fn get(machine: &Namespace, target: &str, headers: &[(&str, &str)]) -> Answer {
    Caller::plain(target).get_on(machine, "/a?b=c", headers)
}
