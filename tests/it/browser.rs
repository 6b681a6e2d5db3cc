//! A real Chromium on another machine of the household: with our CA it is on a secure page, without it there is no page.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::browser::Person;
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::openclaw::from_cache;
use crate::support::program::installed;

const CONFIGURATION: &str = r#"
[edge]
names = ["claw.lan", "10.77.0.1"]

[[listener]]
name = "door"
bind = ["10.77.0.1:8443"]
"#;

#[test]
fn a_browser_that_trusts_our_ca_is_on_a_secure_page_and_any_other_sees_none() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let trusting = Person::new();
    trusting.trust(&doorward.folder().join("certs/local-ca.crt"));
    let secure = json!({"secure": true, "verified": true, "bytes": 64, "event": "connect.challenge"});
    // A page without a policy of its own, so that what is asked of it is only what the browser thinks of our TLS.
    for url in ["https://claw.lan:8443/healthz", "https://10.77.0.1:8443/healthz"] {
        assert_eq!(look(&home, &trusting, url), secure, "{url}");
    }
    let stranger = Person::new();
    let refused = look(&home, &stranger, "https://claw.lan:8443/healthz");
    assert!(refused["refused"].as_str().is_some_and(|why| why.contains("ERR_CERT_AUTHORITY_INVALID")), "{refused}");
}

#[test]
fn the_real_control_ui_is_paired_by_an_invites_link_and_by_nothing_else_of_it() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let person = Person::new();
    person.trust(&doorward.folder().join("certs/local-ca.crt"));
    let made = doorward.json(&["invite"]);
    let (link, secret) = (made["url"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let ui = from_cache(Path::new("openclaw-2026.9.6/node_modules/openclaw/dist/control-ui"), "tests/peers/openclaw");
    let seen = browse(&home, &person, "invited.cjs", &[link, ui.to_str().unwrap()]);
    let first = &seen["first"];
    assert_eq!((&first["socket"], &first["ok"]), (&json!("openclaw-control-ui"), &json!(true)), "{seen:#}");
    assert_eq!(first["auth"], json!({"bootstrapToken": secret}), "{seen:#}");
    assert_eq!(first["hello"]["method"], "bootstrap-token");
    assert_eq!(first["hello"]["scopes"], json!(["operator.approvals", "operator.read", "operator.write"]));
    assert!(!first["url"].as_str().unwrap().contains(secret), "it stays in the address bar: {seen:#}");
    assert_eq!(first["leaked"], json!([]), "it was sent to a server");
    // From then on the browser has a token of its own; the link is of no use to another one.
    let again = &seen["again"];
    assert_eq!((&again["ok"], &again["hello"]["method"]), (&json!(true), &json!("device-token")), "{seen:#}");
    assert_eq!(again["device"], first["device"]);
    let late = &seen["late"];
    assert_eq!(
        (&late["ok"], &late["error"]["details"]["authReason"]),
        (&json!(false), &json!("invite_invalid")),
        "{seen:#}"
    );
    let paired = doorward.paired();
    assert_eq!((paired.len(), &paired[0]["deviceId"]), (1, &first["device"]), "{paired:#?}");
    assert_eq!(paired[0]["approvedVia"], "bootstrap");
}

/// What the browser of the LAN machine finds at `url`.
fn look(home: &Household, person: &Person, url: &str) -> Value {
    browse(home, person, "browser.cjs", &[url])
}

/// What this script of ours tells of the browser of the LAN machine.
fn browse(home: &Household, person: &Person, script: &str, arguments: &[&str]) -> Value {
    let mut command = home.lan.command(&from_cache(Path::new("node-24/bin/node"), "tests/peers/openclaw"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script));
    command.arg(from_cache(Path::new("playwright/node_modules/playwright-core"), "tests/peers/tls"));
    command.arg(installed("chromium", "chromium")).arg("MAP claw.lan 10.77.0.1").args(arguments);
    let output =
        command.env("HOME", person.home()).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
}
