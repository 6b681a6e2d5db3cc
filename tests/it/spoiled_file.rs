//! Promise: a slip in the configuration file takes no command away from the owner of an instance that runs, and no command
//! ever reaches an instance that its caller did not mean.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::{Instance, OWNERS};
use crate::support::namespace::Namespace;

/// What a running instance is asked.
const COMMANDS: [&[&str]; 14] = [
    &["devices", "list"],
    &["devices", "clear", "--yes", "--pending"],
    &["invite", "--json"],
    &["invite", "--cancel"],
    &["audit"],
    &["audit", "--verify"],
    &["explain", "--last-denied"],
    &["token", "show"],
    &["dashboard", "--no-open"],
    &["keys", "list"],
    &["store", "check"],
    &["certs", "list"],
    &["certs", "renew"],
    &["certs", "export", "--ca"],
];

#[test]
fn a_slip_in_the_file_takes_no_command_from_the_owner_of_a_running_instance() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, OWNERS);
    let file = doorward.folder().join("doorward.toml");
    let (good, mut token) = (fs::read_to_string(&file).unwrap(), doorward.token());
    call(&host, &Caller::plain("127.0.0.1:18789"), &Device::new(), Ask::operator("wrong")).refused();
    for (name, spoiled, place) in [
        ("an unknown key", good.replace("protocol", "protocl"), ":6:1: unknown key: protocl"),
        ("no TOML", format!("{good}\nbind = [\"127.0.0.1:1\"\n[edge\n"), "doorward.toml:"),
        ("a wrong value", good.replace("\"loopback\"", "\"yes\""), ":7:9: "),
    ] {
        fs::write(&file, &spoiled).unwrap();
        for command in COMMANDS {
            let output = doorward.command(command);
            let told = errors(&output);
            assert!(output.status.success(), "{name}, {command:?}: {}\n{told}", output.status);
            assert!(told.starts_with("warning: ") && told.lines().count() == 1, "{name}, {command:?}: {told}");
            assert!(
                told.contains(&format!("{}{place}", if place.starts_with(':') { "doorward.toml" } else { "" })),
                "{told}"
            );
        }
        let rotated = doorward.command(&["token", "rotate"]);
        assert!(rotated.status.success(), "{name}: {}", errors(&rotated));
        let before = std::mem::replace(&mut token, doorward.token());
        assert_ne!(token, before, "{name}");
        // What judges the file says that it is wrong.
        for command in [&["check"][..], &["certs", "recreate-ca", "--yes"], &["store", "restore", "x", "--yes"]] {
            assert_eq!(doorward.command(command).status.code(), Some(2), "{name}, {command:?}");
        }
        fs::write(&file, &good).unwrap();
    }
    fs::write(&file, good.replace("protocol", "protocl")).unwrap();
    assert!(doorward.stop().success());
    for command in COMMANDS {
        let output = doorward.command(command);
        let told = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {told}");
        assert!(told.contains(":6:1: unknown key: protocl") && told.contains("hint: "), "{command:?}: {told}");
    }
}

#[test]
fn a_spoiled_file_leads_no_command_to_another_instance() {
    let (one, two) = (Namespace::new(), Namespace::new());
    let (meant, other) = (Instance::start(&one, OWNERS), Instance::start(&two, OWNERS));
    let file = meant.folder().join("doorward.toml");
    let good = fs::read_to_string(&file).unwrap();
    // A shell that knows of the other one alone.
    let ask = |command: &[&str], variable: &str| {
        let mut asked = Command::new(env!("CARGO_BIN_EXE_doorward"));
        asked.arg("--config").arg(&file).args(command).env(variable, other.folder().join("state"));
        asked.stdin(Stdio::null()).output().unwrap()
    };
    let spoiled = good.replace("protocol", "protocl");
    let theirs = other.folder().join("state");
    for variable in ["DOORWARD_STATE", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"] {
        fs::write(&file, &spoiled).unwrap();
        let invited = ask(&["invite", "--json"], variable);
        assert!(invited.status.success(), "{variable}: {}", errors(&invited));
        assert!(open_invite(&meant) && !open_invite(&other), "{variable}");
        meant.words(&["invite", "--cancel"]);
        for lost in [
            spoiled.replace("state_dir", "state_dri"),
            spoiled.replace("state_dir = ", "state_dir = ["),
            spoiled.replace("\"state\"", &format!("{:?}", theirs.to_str().unwrap())),
            spoiled.replace("state_dir", "[edge]\nstate_dir"),
        ] {
            fs::write(&file, &lost).unwrap();
            for command in
                [&["invite", "--json"][..], &["devices", "clear", "--yes"], &["token", "rotate"], &["status"]]
            {
                let output = ask(command, variable);
                let told = errors(&output);
                assert_eq!(output.status.code(), Some(2), "{variable}, {command:?}: {told}\n{lost}");
                assert!(told.contains(&format!("{}:", file.display())), "the file's own fault is told: {told}");
            }
            assert!(!open_invite(&other), "{variable}: {lost}");
        }
    }
    let told = errors(&ask(&["devices", "list"], "DOORWARD_STATE"));
    let started = format!("was started with {}", other.folder().join("doorward.toml").display());
    assert!(told.contains(&started), "it says who answered: {told}");

    // Nor does a file that is gone.
    fs::remove_file(&file).unwrap();
    let gone = ask(&["invite", "--json"], "DOORWARD_STATE");
    assert_eq!(gone.status.code(), Some(2), "{}", errors(&gone));
    assert!(!open_invite(&other) && !open_invite_of(meant.folder(), &file));
}

fn open_invite(instance: &Instance<'_>) -> bool {
    open_invite_of(instance.folder(), &instance.folder().join("doorward.toml"))
}

/// Whether the instance on the `state/` of this folder has an open invite, also where its file is gone.
fn open_invite_of(folder: &Path, file: &Path) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.arg("--config").arg(file).args(["status", "--json"]).env("DOORWARD_STATE", folder.join("state"));
    let output = command.stdin(Stdio::null()).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    status["invite"].is_object()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
