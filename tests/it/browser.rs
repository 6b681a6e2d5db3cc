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

/// What the browser of the LAN machine finds at `url`.
fn look(home: &Household, person: &Person, url: &str) -> Value {
    let mut command = home.lan.command(&from_cache(Path::new("node-24/bin/node"), "tests/peers/openclaw"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/browser.cjs"));
    command.arg(from_cache(Path::new("playwright/node_modules/playwright-core"), "tests/peers/tls"));
    command.arg(installed("chromium", "chromium")).args(["MAP claw.lan 10.77.0.1", url]);
    let output =
        command.env("HOME", person.home()).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null()).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(stdout.trim()).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"))
}
