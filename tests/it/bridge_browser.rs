//! Promise: a person has the real gateway's own Control UI through us, in a real Chromium: on the gateway's machine at once,
//! anywhere else as soon as the owner has approved that browser, and never before.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::behind::SECRET;
use crate::support::bridge::until_logged;
use crate::support::browser::Person;
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::namespace::Namespace;
use crate::support::openclaw::{Gateway, from_cache};
use crate::support::program::installed;

const MESSAGE: &str = "Is anybody in?";

#[test]
fn the_real_control_ui_on_this_machine_is_in_without_an_approval() {
    let home = Household::new();
    let _gateway = gateway(&home);
    let doorward = door(&home);
    let mut visit = Visit::start(&home.host, &doorward, "https://localhost:18789");
    let seen = visit.tells();
    works(&seen);
    assert_eq!(doorward.pending().len(), 0);
    let paired = doorward.paired();
    assert_eq!((paired.len(), &paired[0]["approvedVia"]), (1, &json!("silent")), "{paired:#?}");
}

#[test]
fn the_real_control_ui_on_the_lan_says_that_it_waits_and_is_in_by_itself_once_approved() {
    let home = Household::new();
    let _gateway = gateway(&home);
    let doorward = door(&home);
    let mut visit = Visit::start(&home.lan, &doorward, "https://10.77.0.1:8443");
    let waits = visit.tells();
    assert_eq!(waits["error"]["code"], "NOT_PAIRED", "{waits:#}");
    assert_eq!(doorward.paired().len(), 0, "{waits:#}");
    let pending = doorward.pending();
    assert_eq!((pending.len(), &pending[0]["clientId"]), (1, &json!("openclaw-control-ui")), "{pending:#?}");
    let request = pending[0]["requestId"].as_str().unwrap();
    assert!(waits["page"].as_str().unwrap().contains(&format!("devices approve {request}")), "{waits:#}");
    doorward.words(&["devices", "approve", request]);
    let seen = visit.tells();
    works(&seen);
    assert_eq!(doorward.paired().len(), 1, "the one that waited, and nobody else");
}

/// Every view of the page had what it asked for, and a message went as far as it goes without a model's key.
fn works(seen: &Value) {
    assert_eq!((&seen["secure"], &seen["kept"]), (&json!(true), &json!("")), "{seen:#}");
    assert!(seen["auth"]["scopes"].as_array().unwrap().contains(&json!("operator.admin")), "{seen:#}");
    let said = &seen["end"]["payload"];
    assert_eq!(said["state"], "error", "{seen:#}");
    assert!(said["errorMessage"].as_str().unwrap().contains("openai"), "the gateway's own words: {said:#}");
    let answered = seen["answered"].as_array().unwrap();
    for method in ["chat.startup", "chat.send", "sessions.list", "config.get", "device.pair.list"] {
        assert!(answered.contains(&json!(method)), "{method}: {seen:#}");
    }
    // On a slow machine the gateway may still be busy with itself.
    assert!(seen["denied"].as_array().unwrap().iter().all(|error| error["code"] == "UNAVAILABLE"), "{seen:#}");
    // What it has no picture of, the gateway says itself.
    let absent = |answer: &Value| {
        let answer = answer.as_str().unwrap();
        answer.starts_with("404 /__openclaw__/") || answer.starts_with("404 /api/users/")
    };
    assert!(seen["refused"].as_array().unwrap().iter().all(absent), "{seen:#}");
    assert_eq!(seen["complaints"], json!([]), "{seen:#}");
}

/// The gateway on the household's host, for its loopback alone.
fn gateway(home: &Household) -> Gateway {
    Gateway::configured(&home.host, SECRET, |settings| {
        settings["gateway"]["port"] = 28_790.into();
        settings["gateway"]["bind"] = "loopback".into();
    })
}

/// doorward in front of it.
fn door(home: &Household) -> Instance<'_> {
    let upstream = "[core.upstream]\nurl = \"http://127.0.0.1:28790\"\ntoken_file = \"gateway-token\"\n";
    let mut doorward = Instance::stopped(&home.host, &format!("{HOUSEHOLD}\n{upstream}"));
    std::fs::write(doorward.folder().join("gateway-token"), SECRET).unwrap();
    doorward.restart();
    until_logged(&doorward, "state=up: 2026.9.6");
    doorward
}

/// Somebody with a Chromium that trusts our CA, who opened the page with the gateway's token.
struct Visit {
    browser: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _person: Person,
}

impl Visit {
    fn start(machine: &Namespace, doorward: &Instance<'_>, door: &str) -> Self {
        let person = Person::new();
        person.trust(&doorward.folder().join("certs/local-ca.crt"));
        let mut command = machine.command(&from_cache(Path::new("node-24/bin/node"), "tests/peers/openclaw"));
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/bridged.cjs"));
        command.arg(from_cache(Path::new("playwright/node_modules/playwright-core"), "tests/peers/tls"));
        command.arg(installed("chromium", "chromium")).arg(format!("{door}/#token={SECRET}")).arg(MESSAGE);
        command.env("HOME", person.home()).env_remove("XDG_CONFIG_HOME");
        let mut browser = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(browser.stdout.take().unwrap()).lines();
        Self { browser, lines, _person: person }
    }

    /// What the browser tells next.
    fn tells(&mut self) -> Value {
        let line = self.lines.next().expect("the browser's script ended").unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(told["failed"], Value::Null, "{told:#}");
        told
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
