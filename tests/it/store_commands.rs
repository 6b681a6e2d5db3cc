//! Promise: the owner can check, copy and restore the state and read the audit log, with doorward running or not; a
//! restore shows what it would do first and gives nothing again that was taken back.

use std::fs;

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::{Instance, OWNERS};
use crate::support::namespace::Namespace;

#[test]
fn a_copy_is_restored_without_the_device_that_was_removed_since() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, OWNERS);
    let (token, caller) = (doorward.token(), Caller::plain("127.0.0.1:18789"));
    let (kept, removed) = (Device::new(), Device::new());
    for device in [&kept, &removed] {
        call(&host, &caller, device, Ask::operator(&token)).hello();
    }
    assert_eq!(doorward.json(&["store", "check"])["whole"], true);
    let copy = doorward.folder().join("copy.sqlite");
    let name = copy.to_str().unwrap();
    assert_eq!(doorward.json(&["store", "backup", "copy.sqlite"])["backup"], name);
    let again = doorward.command(&["store", "backup", "copy.sqlite"]);
    assert_eq!(again.status.code(), Some(1), "a file that is there was written over");
    doorward.words(&["devices", "remove", &removed.id()]);

    let running = doorward.command(&["store", "restore", name, "--yes"]);
    let words = String::from_utf8_lossy(&running.stderr).into_owned();
    assert!(!running.status.success() && words.contains("another doorward"), "{words}");
    let stop = format!("hint: this is done while doorward does not run: stop it (`kill {}`", doorward.id());
    assert!(words.contains(&stop) && !words.contains("second instance"), "{words}");
    assert!(doorward.stop().success());

    let told = doorward.command(&["store", "restore", name]);
    let words = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{words}");
    assert!(words.contains("--yes") && words.contains(&removed.id()), "{words}");
    let entries = doorward.json(&["audit"])["entries"].as_array().unwrap().len();
    assert!(!fs::exists(doorward.folder().join("state/doorward.sqlite.restored")).unwrap());

    let done = doorward.json(&["store", "restore", name, "--yes"]);
    assert_eq!(done["plan"]["stayOut"], serde_json::json!([removed.id()]), "{done:#}");
    assert_eq!(done["plan"]["paired"], serde_json::json!([kept.id()]), "{done:#}");
    assert_eq!(doorward.json(&["store", "check"])["whole"], true);
    doorward.restart();
    let paired: Vec<_> = doorward.paired().iter().map(|device| device["deviceId"].clone()).collect();
    assert_eq!(paired, [Value::from(kept.id())]);
    let after = doorward.json(&["audit"])["entries"].clone();
    let last = after.as_array().unwrap().iter().find(|entry| entry["change"] == "store.restored").unwrap();
    assert!(last["sequence"].as_u64().unwrap() > u64::try_from(entries).unwrap(), "{last:#}");
}

#[test]
fn a_damaged_store_is_told_row_by_row_and_stops_the_start() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, OWNERS);
    let (token, device) = (doorward.token(), Device::new());
    call(&host, &Caller::plain("127.0.0.1:18789"), &device, Ask::operator(&token)).hello();
    let backup = doorward.words(&["store", "backup"]);
    assert!(doorward.stop().success());
    // Put back, everything stands in the file itself and nothing in a log beside it.
    doorward.words(&["store", "restore", backup.trim(), "--yes"]);
    let path = doorward.folder().join("state/doorward.sqlite");
    let good = fs::read(&path).unwrap();
    // One letter of one scope.
    let at = good.windows(14).position(|bytes| bytes == b"operator.admin").unwrap();
    let mut bad = good.clone();
    bad[at + 9] = b'A';
    fs::write(&path, &bad).unwrap();
    let checked = doorward.command(&["store", "check", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let fault = &told["faults"][0];
    assert!(fault["error"].as_str().unwrap().contains(&device.id()), "{told:#}");
    assert!(fault["hint"].as_str().unwrap().contains("doorward store restore "), "{told:#}");
    let started = doorward.command(&["run"]);
    let words = String::from_utf8_lossy(&started.stderr).into_owned();
    assert!(!started.status.success() && words.contains(&device.id()) && words.contains("hint: "), "{words}");
    assert_eq!(fs::read(&path).unwrap(), bad);
}

#[test]
fn the_audit_log_tells_who_did_what_and_that_nothing_is_missing() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, OWNERS);
    let (token, device) = (doorward.token(), Device::new());
    call(&host, &Caller::plain("127.0.0.1:18789"), &device, Ask::operator(&token)).hello();
    doorward.words(&["devices", "remove", &device.id()]);
    doorward.words(&["keys", "rotate"]);
    doorward.words(&["token", "rotate"]);
    let entries = |arguments: &[&str]| {
        let told = doorward.json(&[&["audit"], arguments].concat());
        told["entries"].as_array().unwrap().clone()
    };
    let silent = &entries(&["--action", "connect"])[0];
    assert_eq!((&silent["detail"]["approvedVia"], &silent["device"]), (&"silent".into(), &device.id().into()));
    assert_eq!(silent["actor"], "client:127.0.0.1");
    let (id, of) = (device.id(), |entry: &Value| entry["act"].as_str().unwrap().to_owned());
    let about: Vec<_> = entries(&["--device", id.split_at(10).0]).iter().map(of).collect();
    assert_eq!(about, ["connect", "device.pair.remove"]);
    assert_eq!(entries(&["--action", "rotate"]).iter().map(of).collect::<Vec<_>>(), ["keys.rotate", "token.rotate"]);
    assert_eq!((entries(&["--since", "1h"]).len(), entries(&["--limit", "1"]).len()), (4, 1));
    let shown = doorward.words(&["audit"]);
    assert!(shown.contains(&format!("device.pair.remove  device.drop  by owner  device {id}\n")), "{shown}");
    assert_eq!(doorward.command(&["audit", "--since", "yesterday"]).status.code(), Some(2));
    assert_eq!(doorward.json(&["audit", "--verify"])["entries"], 4);
    // The same from the disk alone.
    assert!(doorward.stop().success());
    doorward.words(&["keys", "rotate"]);
    doorward.words(&["token", "rotate"]);
    assert_eq!(doorward.json(&["audit"])["entries"].as_array().unwrap().len(), 6);
    assert_eq!(doorward.json(&["audit", "--verify"])["entries"], 6);
    let head = doorward.folder().join("state/doorward.head");
    fs::remove_file(&head).unwrap();
    let unknown = doorward.command(&["audit", "--verify"]);
    assert_eq!(unknown.status.code(), Some(1), "a log without its end was taken for whole");
}
