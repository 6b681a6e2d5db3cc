//! Callers' certificates: whoever has to show one and has none that counts, is refused in the handshake; whoever shows one is
//! named by it, and by nothing that he says.

use std::fs;
use std::io;

use rustls::HandshakeKind;
use serde_json::Value;

use crate::support::authority::{Authority, Pair, Purpose};
use crate::support::handshake::{Client, Shaken};
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::wait::until;

const CONFIGURATION: &str = r#"
[edge]
names = ["claw.lan", "10.77.0.1"]

[[listener]]
name = "closed"
bind = ["10.77.0.1:8443"]
client_certificates = "required"
client_ca = "clients.pem"
client_crl = "clients.crl"

[[listener]]
name = "asking"
bind = ["10.77.0.1:9443"]
client_certificates = "optional"
client_ca = "clients.pem"

[[listener]]
name = "open"
bind = ["10.77.0.1:7443"]
"#;

/// A household whose guests have certificates.
struct Rig {
    home: Household,
    clients: Authority,
}

impl Rig {
    fn new() -> Self {
        Self { home: Household::new(), clients: Authority::new("clients") }
    }

    fn door(&self, configuration: &str) -> Instance<'_> {
        let mut doorward = Instance::stopped(&self.home.host, configuration);
        fs::write(doorward.folder().join("clients.pem"), self.clients.pem()).unwrap();
        fs::write(doorward.folder().join("clients.crl"), self.clients.revoke(&[])).unwrap();
        doorward.restart();
        doorward
    }

    fn call(&self, client: &Client, port: u16) -> io::Result<Shaken> {
        let (client, address) = (client.clone(), format!("10.77.0.1:{port}"));
        let lies =
            [("X-Client-Cert", "CN=owner"), ("X-SSL-Client-S-DN", "CN=owner"), ("X-Forwarded-Client-Cert", "By=owner")];
        self.home.lan.on(move || client.get(&address, "claw.lan", "/doorward/whoami", &lies))
    }
}

#[test]
fn only_a_certificate_of_the_configured_ca_that_holds_now_opens_the_handshake() {
    let rig = Rig::new();
    let doorward = rig.door(CONFIGURATION);
    let authority = doorward.authority();
    let good = rig.clients.issue(Purpose::Client, &["alice.lan"]);
    let day = 86_400;
    let bad: [(&str, Pair); 4] = [
        ("expired", rig.clients.issue_for(Purpose::Client, &["alice.lan"], -10 * day, -day)),
        ("early", rig.clients.issue_for(Purpose::Client, &["alice.lan"], day, 10 * day)),
        ("foreign", Authority::new("clients").issue(Purpose::Client, &["alice.lan"])),
        ("server's", rig.clients.issue(Purpose::Server, &["alice.lan"])),
    ];
    for port in [8443, 9443] {
        let shaken = rig.call(&Client::showing(&authority, &good), port).unwrap();
        assert_eq!(shaken.status(), 200, "{}", shaken.answer);
        for (what, pair) in &bad {
            let called = rig.call(&Client::showing(&authority, pair), port);
            assert!(called.is_err(), "{what} on {port}: {called:?}");
        }
    }
    assert!(rig.call(&Client::trusting(&authority), 8443).is_err(), "none, where one is required");
    let without = rig.call(&Client::trusting(&authority), 9443).unwrap();
    assert_eq!(without.status(), 200);
    // Who is refused finds the reason in the log: one line at once, the rest as a number.
    let log = doorward.log();
    let told = log.lines().find(|line| line.contains("client certificate: ")).unwrap_or_else(|| panic!("{log}"));
    assert!(
        told.contains("connection refused") && told.contains("client_ca") && told.contains("peer=10.77.0.2"),
        "{told}"
    );

    // It names its holder, for whoever asks why, and opens nothing by itself.
    let shown = |shaken: &Shaken| -> Value {
        let body = shaken.answer.split("\r\n\r\n").nth(1).unwrap();
        let whoami: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {}", shaken.answer));
        assert_eq!((&whoami["class"], &whoami["local"]), (&"private".into(), &false.into()));
        assert!(whoami["identity"].is_null(), "a certificate is no login: {whoami:#}");
        let told = doorward.words(&["explain", whoami["connection"].as_str().unwrap()]);
        assert!(!told.contains("owner"), "{told}");
        let told = doorward.json(&["explain", whoami["connection"].as_str().unwrap()]);
        find(&told, "clientCert").unwrap_or(&Value::Null).clone()
    };
    let named = shown(&rig.call(&Client::showing(&authority, &good), 9443).unwrap());
    assert_eq!((&named["subject"], &named["san"][0]), (&"CN=alice.lan".into(), &"dns:alice.lan".into()), "{named:#}");
    assert_eq!(named["sha256"].as_str().unwrap().len(), 43, "{named:#}");
    assert!(shown(&without).is_null());
}

#[test]
fn what_is_taken_back_is_refused_without_a_restart_and_nothing_is_resumed() {
    let rig = Rig::new();
    let doorward = rig.door(CONFIGURATION);
    let authority = doorward.authority();
    let (alice, bob) =
        (rig.clients.issue(Purpose::Client, &["alice.lan"]), rig.clients.issue(Purpose::Client, &["bob.lan"]));
    let client = Client::showing(&authority, &alice);
    for _ in 0..2 {
        assert_eq!(rig.call(&client, 8443).unwrap().kind, HandshakeKind::Full, "a ticket would outlive the check");
    }
    fs::write(doorward.folder().join("clients.crl"), rig.clients.revoke(&[&alice])).unwrap();
    until(|| rig.call(&client, 8443).is_err(), || "the list".to_owned());
    assert_eq!(rig.call(&Client::showing(&authority, &bob), 8443).unwrap().status(), 200);
    // What cannot be read takes nothing back, and lets nobody in.
    fs::write(doorward.folder().join("clients.crl"), "garbage").unwrap();
    until(|| doorward.log().contains("checked by what was read before"), || "the refusal".to_owned());
    assert!(rig.call(&client, 8443).is_err());
    assert_eq!(rig.call(&Client::showing(&authority, &bob), 8443).unwrap().status(), 200);
}

#[test]
fn no_ticket_crosses_listeners_or_outlives_what_callers_are_asked_for() {
    let rig = Rig::new();
    let second = format!("{CONFIGURATION}\n[[listener]]\nname = \"other\"\nbind = [\"10.77.0.1:6443\"]\n");
    let doorward = rig.door(&second);
    let client = Client::trusting(&doorward.authority());
    let kind = |port| rig.call(&client, port).map(|shaken| shaken.kind);
    assert_eq!(kind(7443).unwrap(), HandshakeKind::Full);
    assert_eq!(kind(7443).unwrap(), HandshakeKind::Resumed, "its own listener takes it");
    assert_eq!(kind(6443).unwrap(), HandshakeKind::Full, "another does not");
    assert_eq!(kind(6443).unwrap(), HandshakeKind::Resumed);
    assert!(kind(8443).is_err(), "nor one where callers show certificates");
    assert_eq!(kind(9443).unwrap(), HandshakeKind::Full);
    assert_eq!(kind(7443).unwrap(), HandshakeKind::Full);
    assert_eq!(kind(7443).unwrap(), HandshakeKind::Resumed);
    // From now on callers are asked there: what was agreed before is worth nothing.
    let asking = second.replace(
        "bind = [\"10.77.0.1:7443\"]\n",
        "bind = [\"10.77.0.1:7443\"]\nclient_certificates = \"required\"\nclient_ca = \"clients.pem\"\n",
    );
    fs::write(doorward.folder().join("doorward.toml"), format!("state_dir = \"state\"\n{asking}")).unwrap();
    let words = doorward.words(&["reload"]);
    assert!(words.contains("listener open: client_certificates"), "{words}");
    assert!(kind(7443).is_err());
    // And back.
    fs::write(doorward.folder().join("doorward.toml"), format!("state_dir = \"state\"\n{second}")).unwrap();
    doorward.words(&["reload"]);
    assert_eq!(kind(7443).unwrap(), HandshakeKind::Full);
}

/// The first member of that name, however deep.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name).or_else(|| members.values().find_map(|value| find(value, name))),
        Value::Array(items) => items.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}
