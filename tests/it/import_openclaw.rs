//! Promise: who was paired with a real OpenClaw gateway, of either generation, connects to doorward after
//! `doorward import openclaw` with the same key, the same device token and the same scopes, and no more; nothing is changed at
//! the gateway, and nobody comes in again who was taken out here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::{Instance, OWNERS};
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::namespace::Namespace;
use crate::support::openclaw::{Gateway, OpenClaw, Release};

const OLD_TOKEN: &str = "k3yPq9vTz0aWx7LmN2bRc5dE-old";
/// What a 2026.1.29 gateway wrote.
const JANUARY: &str = include_str!("../vectors/openclaw-2026.1-paired.json");

#[test]
fn devices_of_a_real_january_gateway_move_with_their_tokens() {
    move_in(Release::January, &["operator.read", "operator.approvals"]);
}

#[test]
fn devices_of_a_real_september_gateway_move_with_their_tokens() {
    move_in(Release::September, &["operator.read"]);
}

fn move_in(release: Release, scopes: &[&str]) {
    let (theirs, ours) = (Household::new(), Household::new());
    let gateway = Gateway::of(release, &theirs.host, OLD_TOKEN);
    let real = OpenClaw::new(&theirs.lan, release);
    let (device, token, real_id) = pair(&theirs, release, scopes, &real);

    // While both run.
    let doorward = Instance::start(&ours.host, HOUSEHOLD);
    let state = gateway.state().to_str().unwrap().to_owned();
    let names = files(&gateway.state());
    let planned = doorward.json(&["import", "openclaw", &state, "--dry-run"]);
    assert_eq!(planned["done"], false);
    assert!(doorward.paired().is_empty(), "a plan changed something");
    let told = doorward.json(&["import", "openclaw", &state]);
    assert_eq!(planned["devices"], told["devices"]);
    for id in [device.id(), real_id] {
        let entry = entry(&told, &id);
        assert_eq!(entry["outcome"], "moves", "{entry:#}");
        assert_eq!(entry["grants"][0]["token"], true, "{entry:#}");
    }
    let beside: Vec<_> = files(&gateway.state()).into_iter().filter(|name| !names.contains(name)).collect();
    let ours_there =
        |name: &PathBuf| ["openclaw.sqlite", "devices"].iter().any(|part| name.to_str().unwrap().contains(part));
    assert!(!beside.iter().any(ours_there), "left beside their files: {beside:?}");

    // The real command line has its old key, and asks nobody.
    let authority = doorward.folder().join("certs/local-ca.crt");
    let (secret, url) = (doorward.token(), "wss://10.77.0.1:8443");
    let real = real.moved(&ours.lan).trusting(&authority);
    real.words(&["system", "presence", "--url", url, "--token", &secret]);
    assert!(doorward.pending().is_empty(), "{:#?}", doorward.pending());

    is_in_with_its_token(&ours, &doorward, &device, &asking(release, &token), scopes);

    // It was written down, and a new gateway token voids what came along.
    let entries = doorward.json(&["audit", "--device", &device.id()])["entries"].clone();
    let put = entries.as_array().unwrap().iter().find(|entry| entry["act"] == "devices.import").unwrap();
    assert_eq!(put["detail"]["approvedVia"], "import", "{put:#}");
    assert_eq!(doorward.json(&["store", "check"])["whole"], true);
    doorward.words(&["token", "rotate"]);
    let here = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let refusal = call(&ours.lan, &here, &device, asking(release, &token).with_scopes(scopes)).refused();
    let message = refusal.error["message"].as_str().unwrap();
    assert!(message.starts_with("unauthorized: gateway token mismatch"), "{refusal:?}");
    let with_secret = asking(release, &doorward.token()).with_scopes(scopes);
    call(&ours.lan, &here, &device, with_secret).hello();
}

/// Pairs a device of ours and the command line `real` with the real gateway, by the real command line; the device, its token,
/// and the id of the other.
fn pair(theirs: &Household, release: Release, scopes: &[&str], real: &OpenClaw<'_>) -> (Device, String, String) {
    let owner = OpenClaw::new(&theirs.host, release);
    let reach = ["--url", "ws://127.0.0.1:18789", "--token", OLD_TOKEN];
    let approve = |request: &str| owner.words(&[&["devices", "approve", request], &reach[..]].concat());
    let (device, there) = (Device::new(), Caller::plain("10.77.0.1:18789"));
    let ask = asking(release, OLD_TOKEN).with_scopes(scopes);
    let refused = call(&theirs.lan, &there, &device, ask.clone()).refused();
    approve(refused.error["details"]["requestId"].as_str().unwrap());
    let hello = call(&theirs.lan, &there, &device, ask).hello().hello;
    let token = hello["auth"]["deviceToken"].as_str().unwrap_or_else(|| panic!("{hello:#}")).to_owned();

    let presence = ["system", "presence", "--url", "ws://10.77.0.1:18789", "--token", OLD_TOKEN];
    let told = real.command(&presence);
    assert!(!told.status.success(), "it was let in without a person's word");
    let listed = owner.json(&[&["devices", "list"], &reach[..]].concat());
    let [waiting] = &listed["pending"].as_array().unwrap()[..] else { panic!("{listed:#}\n{told:?}") };
    approve(waiting["requestId"].as_str().unwrap());
    real.words(&presence);
    (device, token, waiting["deviceId"].as_str().unwrap().to_owned())
}

/// The device is in with its own token alone, with these scopes and no more, and nobody else is.
fn is_in_with_its_token(ours: &Household, doorward: &Instance<'_>, device: &Device, own: &Ask, scopes: &[&str]) {
    let here = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let hello = call(&ours.lan, &here, device, own.clone().with_scopes(scopes)).hello().hello;
    let granted = hello["auth"]["scopes"].as_array().unwrap();
    let mut granted: Vec<_> = granted.iter().map(|scope| scope.as_str().unwrap()).collect();
    let mut wanted = scopes.to_vec();
    granted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!((&hello["auth"]["role"], granted), (&json!("operator"), wanted));
    let more = call(&ours.lan, &here, device, own.clone()).refused();
    assert_ne!(more.error["message"], Value::Null, "{more:#?}");
    call(&ours.lan, &here, &Device::new(), own.clone().with_scopes(scopes)).refused();
}

/// What a client of that generation asks for.
fn asking(release: Release, token: &str) -> Ask {
    match release {
        Release::January => Ask { protocol: 3, payload: "v2", ..Ask::operator(token) },
        Release::September => Ask::operator(token),
    }
}

#[test]
fn who_was_removed_here_stays_out_and_who_is_here_keeps_what_it_has() {
    let host = Namespace::new();
    let source = folder("{}");
    let state = source.path().to_str().unwrap();
    let mut doorward = Instance::start(&host, OWNERS);
    let ids: Vec<_> = january().keys().cloned().collect();
    doorward.words(&["import", "openclaw", state]);
    assert_eq!(doorward.paired().len(), ids.len());
    let before = contents(source.path());
    doorward.words(&["devices", "remove", &ids[0]]);
    doorward.words(&["devices", "rotate", "--device", &ids[1], "--role", "operator", "--scope", "operator.approvals"]);

    for running in [true, false] {
        if !running {
            assert!(doorward.stop().success());
        }
        let told = doorward.json(&["import", "openclaw", state]);
        assert_eq!(entry(&told, &ids[0])["outcome"], "removed-here", "{told:#}");
        assert_eq!(entry(&told, &ids[1])["outcome"], "stays", "{told:#}");
        let words = doorward.words(&["import", "openclaw", state]);
        assert!(words.contains("--again") && words.contains("Imported from OpenClaw 2026.1 (0)"), "{words}");
    }
    doorward.restart();
    let [kept] = &doorward.paired()[..] else { panic!("{:#?}", doorward.paired()) };
    assert_eq!((&kept["deviceId"], &kept["scopes"]), (&json!(ids[1]), &json!(["operator.approvals"])));
    doorward.words(&["import", "openclaw", state, "--again", &ids[0]]);
    assert_eq!(doorward.paired().len(), 2);
    assert_eq!(contents(source.path()), before, "the source was changed");
}

#[test]
fn nothing_is_made_for_a_plan_and_before_the_first_start_everything_can_move() {
    let host = Namespace::new();
    let settings = json!({ "gateway": { "auth": { "mode": "token", "token": OLD_TOKEN } } });
    let source = folder(&settings.to_string());
    let state = source.path().to_str().unwrap();
    let mut doorward = Instance::stopped(&host, OWNERS);
    let before = contents(doorward.folder());
    let planned =
        doorward.json(&["import", "openclaw", state, "--dry-run", "--with-token", "--config-out", "new.toml"]);
    assert_eq!((&planned["done"], &planned["token"]), (&json!(false), &json!(true)));
    assert_eq!(contents(doorward.folder()), before);

    let words = doorward.words(&["import", "openclaw", state, "--with-token", "--config-out", "new.toml"]);
    assert!(!words.contains(OLD_TOKEN), "a secret was shown: {words}");
    let token = doorward.folder().join("state/gateway-token");
    assert_eq!(fs::read_to_string(&token).unwrap().trim(), OLD_TOKEN);
    assert_eq!(fs::metadata(&token).unwrap().permissions().mode() & 0o777, 0o600);
    let written = doorward.folder().join("new.toml");
    let text = fs::read_to_string(&written).unwrap();
    assert!(!text.contains(OLD_TOKEN));
    // Once more: the configuration that is there stays.
    let again = doorward.command(&["import", "openclaw", state, "--config-out", "new.toml"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&written).unwrap(), text);
    doorward.configure(&text);
    doorward.words(&["check"]);
    doorward.restart();
    assert_eq!(doorward.paired().len(), january().len());
    assert_eq!(doorward.token(), OLD_TOKEN);
    let acts: Vec<_> =
        doorward.json(&["audit"])["entries"].as_array().unwrap().iter().map(|entry| entry["act"].clone()).collect();
    assert!(acts.contains(&json!("token.import")), "{acts:?}");
    // A running one does not change to another token.
    let refused = doorward.command(&["import", "openclaw", state, "--with-token", "--config-out", "other.toml"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(!doorward.folder().join("other.toml").exists(), "a configuration for what was not done");
}

#[test]
fn a_source_that_cannot_be_read_moves_nobody_and_ends_with_one() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, OWNERS);
    let source = folder("{}");
    let state = source.path().to_str().unwrap();
    let paired = source.path().join("devices/paired.json");
    let refused = |arguments: &[&str]| {
        let told = doorward.command(&[&["import", "openclaw", state], arguments].concat());
        let words = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(words.contains("hint: "), "{words}");
        assert!(!doorward.folder().join("state").exists(), "{words}");
        (told.status.code(), words)
    };
    let good = fs::read(&paired).unwrap();
    fs::write(&paired, &good[..good.len() / 2]).unwrap();
    assert_eq!(refused(&[]).0, Some(1));
    fs::write(&paired, &good).unwrap();
    let moved = source.path().join("moved.json");
    fs::rename(&paired, &moved).unwrap();
    symlink(&moved, &paired).unwrap();
    let (code, words) = refused(&[]);
    assert!(code == Some(1) && words.contains("symbolic link"), "{words}");
    fs::remove_file(&paired).unwrap();
    assert_eq!(refused(&[]).0, Some(1));
    fs::rename(&moved, &paired).unwrap();
    let (code, words) = refused(&["--config-out", "nowhere/new.toml"]);
    assert!(code == Some(1) && words.contains("nowhere/new.toml"), "{words}");
    let (code, words) = refused(&["--with-token"]);
    assert!(code == Some(2) && words.contains("--old-token-file"), "{words}");
    let short = source.path().join("short");
    fs::write(&short, "changeme").unwrap();
    let (code, words) = refused(&["--with-token", "--old-token-file", short.to_str().unwrap()]);
    assert!(code == Some(1) && words.contains("fewer than") && !words.contains("changeme"), "{words}");
}

#[test]
fn trust_mistakes_are_told_with_what_doorward_does_instead() {
    let host = Namespace::new();
    let settings = json!({ "gateway": {
        "bind": "lan", "port": 18789, "auth": { "token": "short-secret", "allowTailscale": true },
        "trustedProxies": ["172.16.0.0/12", "10.77.0.9"],
        "controlUi": { "allowInsecureAuth": true, "dangerouslyDisableDeviceAuth": true,
                       "allowedOrigins": ["*", "https://claw.example.com"] },
    }});
    let source = folder(&settings.to_string());
    let doorward = Instance::stopped(&host, OWNERS);
    let told = doorward.json(&["import", "openclaw", source.path().to_str().unwrap(), "--dry-run"]);
    let mistakes: Vec<_> =
        told["mistakes"].as_array().unwrap().iter().map(|mistake| mistake["key"].as_str().unwrap()).collect();
    for key in [
        "the gateway token",
        "gateway.auth.allowTailscale",
        "gateway.controlUi.dangerouslyDisableDeviceAuth",
        "gateway.controlUi.allowInsecureAuth",
        "gateway.controlUi.allowedOrigins",
        "gateway.trustedProxies",
        "gateway.bind",
    ] {
        assert!(mistakes.contains(&key), "{key}: {told:#}");
    }
    assert!(!told.to_string().contains("short-secret"));
    let text = told["configuration"].as_str().unwrap();
    for line in ["names = [\"claw.example.com\"]", "trusted_proxies = [\"10.77.0.9\"]", "bind = [\"0.0.0.0:8443\"]"] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    assert!(!text.contains("172.16") && !text.contains('*'), "{text}");
    doorward.configure(text);
    doorward.words(&["check"]);
}

/// A state folder of the older gateway with these settings.
fn folder(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let devices = folder.path().join("devices");
    fs::create_dir(&devices).unwrap();
    fs::set_permissions(&devices, fs::Permissions::from_mode(0o755)).unwrap();
    for (path, text) in [(devices.join("paired.json"), JANUARY), (folder.path().join("openclaw.json"), settings)] {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn january() -> BTreeMap<String, Value> {
    serde_json::from_str(JANUARY).unwrap()
}

fn entry(told: &Value, id: &str) -> Value {
    let found = told["devices"].as_array().unwrap().iter().find(|device| device["deviceId"] == id);
    found.unwrap_or_else(|| panic!("no {id}: {told:#}")).clone()
}

/// The names of all files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    contents(folder).into_keys().collect()
}

/// All files below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            // A file of a gateway that runs may go meanwhile.
            found.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
    found
}
