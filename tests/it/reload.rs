//! Promise: a changed configuration is taken whole or not at all, no connection is closed by it, and narrowed rules hold
//! from the next decision on, on connections that are open too.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::crowd::{Crowd, Plan};
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::instance::Instance;
use crate::support::keep::Kept;
use crate::support::namespace::Namespace;
use crate::support::wait::wait_until;

const WIDE: &str = r#"
[edge]
names = ["127.0.0.1"]

[[listener]]
name = "web"
bind = ["127.0.0.1:8443"]
protocol = "https"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["127.0.0.1"]

[[listener]]
name = "raw"
bind = ["127.0.0.1:9443"]
protocol = "https"
proxy_protocol = "required"
proxy_protocol_from = ["127.0.0.1"]

[[listener]]
name = "here"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
local_uids = [0]
"#;

const SPOKEN: (&str, &str) = ("x-forwarded-for", "203.0.113.9");

#[test]
fn narrowed_rules_hold_for_the_next_request_on_open_connections() {
    let machine = Namespace::new();
    let instance = Instance::start(&machine, WIDE);
    let (owner, token, authority) = (Owner::of(&instance), instance.token(), instance.authority());
    machine.block_on(move || async move {
        let web = Caller::trusting("127.0.0.1:8443", &authority);
        let raw = Caller::trusting("127.0.0.1:9443", &authority)
            .with_preface(b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 9443\r\n");
        let here = Caller::plain("127.0.0.1:18789");
        let mut session = connect(&here, Some(&Device::new()), &Ask::operator(&token)).await.hello();
        let mut open = [
            Kept::open(&web).await,
            Kept::open_h2(&web).await,
            Kept::open(&raw).await,
            Kept::open_h2(&raw).await,
            Kept::open(&here).await,
        ];
        let before = seen(&mut open).await;
        for seen in &before[..4] {
            assert_eq!(seen["client_ip"], "203.0.113.9", "{seen:#}");
        }
        assert_eq!(before[4]["local"], true, "{:#}", before[4]);
        // The same answer twice within a second: on this listener an assertion is shared, and must not outlive its rule.
        assert_eq!(open[4].whoami(&[]).await.unwrap()["local"], true);

        let narrow = WIDE
            .replace("trusted_proxies = [\"127.0.0.1\"]", "trusted_proxies = [\"127.0.0.9\"]")
            .replace("proxy_protocol_from = [\"127.0.0.1\"]", "proxy_protocol_from = [\"127.0.0.9\"]")
            .replace("local = \"loopback\"\nlocal_uids = [0]", "local = \"never\"");
        owner.write(&narrow);
        let told = owner.words(&["reload"]);
        for key in ["web: trusted_proxies", "raw: proxy_protocol_from", "here: local"] {
            assert!(told.contains(&format!("changed: listener {key}\n")), "{told}");
        }

        let after = seen(&mut open).await;
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before["connection"], after["connection"], "it stayed open");
        }
        for seen in &after[..2] {
            assert_eq!((&seen["client_ip"], &seen["local"]), (&json!("127.0.0.1"), &json!(false)), "{seen:#}");
        }
        for seen in &after[2..4] {
            assert_eq!((&seen["kind"], &seen["client_ip"]), (&json!("unattributed"), &Value::Null), "{seen:#}");
        }
        assert_eq!(after[4]["local"], false, "{:#}", after[4]);
        session.call("health", json!({})).await.unwrap();
        // Who comes anew is no PROXY sender any more.
        assert!(tokio::task::spawn_blocking(move || raw.get("/doorward/whoami", &[])).await.unwrap().is_err());

        // Names are narrowed as well, and so is what a plain listener serves.
        owner.write(&narrow.replace("names = [\"127.0.0.1\"]", "names = [\"claw.lan\"]"));
        owner.words(&["reload"]);
        assert_eq!(open[0].get("/doorward/whoami", &[]).await.unwrap().0, 421);
        session.call("health", json!({})).await.unwrap();
    });
}

#[test]
fn what_is_wrong_is_told_whole_and_the_old_configuration_holds() {
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, WIDE);
    let owner = Owner::of(&instance);
    assert_eq!(instance.json(&["status"])["configuration"]["onDisk"], "same");
    assert!(instance.words(&["reload"]).ends_with("reloaded: nothing has changed\n"));

    owner.write(&WIDE.replace("\"127.0.0.1\"]", "\"127.0.0.1/0\"]").replace("local = \"loopback\"", "lokal = 1"));
    let refused = owner.command(&["reload"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    let checked = String::from_utf8(owner.command(&["check"]).stderr).unwrap();
    let places: Vec<&str> = checked.lines().filter(|line| line.contains("doorward.toml:")).collect();
    assert!(places.len() >= 4, "{checked}");
    for line in &places {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let status = instance.json(&["status"]);
    assert_eq!((&status["ready"], &status["configuration"]["onDisk"]), (&json!(true), &json!("invalid")));
    assert!(status["config"].is_string() && status["configuration"]["file"] == status["config"], "{status}");
    let words = instance.words(&["status"]);
    assert!(words.contains("INVALID NOW: this instance goes on with what it read then"), "{words}");
    // A signal says the same, to the log, and ends nothing.
    let logged = |instance: &Instance<'_>| instance.log().matches("configuration not reloaded").count();
    let before = logged(&instance);
    hang_up(&instance);
    wait_until(|| logged(&instance) == before + 1);
    assert!(places.iter().all(|line| instance.log().matches(line).count() >= 2), "{}", instance.log());

    // Not even TOML: the instance is found all the same.
    owner.write("[edge\n");
    let refused = owner.command(&["reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("doorward.toml:2:"));
    fs::remove_file(owner.file()).unwrap();
    // Without a file nobody knows where the instance is: that the file is gone is what there is to tell.
    let gone = owner.command(&["reload"]);
    assert_eq!(gone.status.code(), Some(2), "no file at all");
    assert!(String::from_utf8(gone.stderr).unwrap().contains("doorward.toml"));
    // Who knows its state folder finds it, for it says itself that this was its file.
    let known = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.arg("--config").arg(owner.file()).args(words);
        command.env("DOORWARD_STATE", instance.folder().join("state")).output().unwrap()
    };
    let told = known(&["status"]);
    let words = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success() && words.contains("THE FILE IS DELETED") && !words.contains("INVALID"), "{words}");
    let told = known(&["status", "--json"]);
    assert!(String::from_utf8(told.stdout).unwrap().contains("\"onDisk\": \"deleted\""));
    let told = known(&["reload"]);
    assert_eq!(told.status.code(), Some(1), "it is asked, and cannot");

    let caller = Caller::plain("127.0.0.1:18789");
    assert_eq!(machine.on(move || caller.whoami(&[]))["local"], true);
    owner.write(&WIDE.replace("[edge]", "[edge]\nhttps_port = 8443"));
    assert_eq!(instance.json(&["status"])["configuration"]["onDisk"], "newer");
    hang_up(&instance);
    wait_until(|| instance.log().contains("configuration reloaded"));
    assert_eq!(instance.json(&["status"])["configuration"]["onDisk"], "same");
    assert!(instance.stop().success());
}

#[test]
fn what_needs_a_restart_is_named_and_nothing_is_taken() {
    let machine = Namespace::new();
    let instance = Instance::start(&machine, WIDE);
    let owner = Owner::of(&instance);
    let mixed = WIDE
        .replace("127.0.0.1:8443", "127.0.0.1:8444")
        .replace("name = \"raw\"", "name = \"cooked\"")
        .replace("local = \"loopback\"\nlocal_uids = [0]", "local = \"never\"")
        .replace("[edge]", "[core]\nid = \"other\"\n[edge]\nid = \"another\"");
    owner.write(&mixed);
    let refused = owner.command(&["reload"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    for key in
        ["listener web: bind", "listener cooked: is new", "listener raw: is gone", "core.id", "edge.id", "restart"]
    {
        assert!(told.contains(key), "{key}: {told}");
    }
    assert!(!told.contains("listener here"), "{told}");
    assert_eq!(instance.json(&["status"])["configuration"]["onDisk"], "needs-restart");
    let caller = Caller::plain("127.0.0.1:18789");
    assert_eq!(machine.on(move || caller.whoami(&[]))["local"], true, "nothing of it was taken");

    // A certificate that cannot be shown refuses the rest with it.
    let pair = "[[certificates.file]]\ncert = \"absent.pem\"\nkey = \"absent.pem\"\n[edge]";
    owner.write(&WIDE.replace("[edge]", pair).replace("local = \"loopback\"\nlocal_uids = [0]", "local = \"never\""));
    let refused = owner.command(&["reload"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("absent.pem"));
    let caller = Caller::plain("127.0.0.1:18789");
    assert_eq!(machine.on(move || caller.whoami(&[]))["local"], true, "nothing of it was taken");
}

#[test]
fn a_hundred_reloads_under_five_hundred_sessions_and_their_requests_drop_and_fail_nothing() {
    const RELOADS: usize = 100;
    let machine = Namespace::new();
    let instance = Instance::start(&machine, WIDE);
    let owner = Owner::of(&instance);
    let crowd = Crowd::gather(
        &machine,
        Plan {
            sessions: 500,
            here: Caller::plain("127.0.0.1:18789"),
            token: instance.token(),
            requests_a_second: 500,
            web: Caller::trusting("127.0.0.1:8443", &instance.authority()),
            said: &[SPOKEN],
        },
    );
    let other = WIDE.replace("names = [\"127.0.0.1\"]", "names = [\"127.0.0.1\", \"claw.lan\"]");
    for round in 1..=RELOADS {
        let (text, code) = match round {
            round if round % 10 == 0 => ("[edge", 1),
            round if round % 2 == 0 => (WIDE, 0),
            _ => (other.as_str(), 0),
        };
        owner.write(text);
        let output = owner.command(&["reload"]);
        assert_eq!(output.status.code(), Some(code), "{round}: {}", String::from_utf8_lossy(&output.stderr));
        crowd.is_served(1);
        if round % 10 == 0 {
            crowd.ask_all();
            crowd.is_visited();
        }
    }
    assert!(crowd.disperse() >= RELOADS);
}

/// What each connection is told of itself.
async fn seen(open: &mut [Kept]) -> Vec<Value> {
    let mut seen = Vec::new();
    for kept in open {
        // A loopback caller who speaks of others is not local, so the last one says nothing.
        let headers: &[_] = if seen.len() == 4 { &[] } else { &[SPOKEN] };
        seen.push(kept.whoami(headers).await.unwrap());
    }
    seen
}

fn hang_up(instance: &Instance<'_>) {
    kill_process(Pid::from_raw(i32::try_from(instance.id()).unwrap()).unwrap(), Signal::HUP).unwrap();
}

/// The owner's hands: the file, and commands from any machine, for the admin socket is a path.
#[derive(Clone, Debug)]
struct Owner {
    folder: PathBuf,
}

impl Owner {
    fn of(instance: &Instance<'_>) -> Self {
        Self { folder: instance.folder().to_path_buf() }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("doorward.toml")
    }

    fn write(&self, configuration: &str) {
        fs::write(self.file(), format!("state_dir = \"state\"\n{configuration}")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.arg("--config").arg(self.file()).args(arguments).output().unwrap()
    }

    fn words(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
