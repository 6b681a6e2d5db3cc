//! What somebody new to doorward asks and is told: help, hints, and no invitation to what is not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::support::instance::{Instance, OWNERS};
use crate::support::namespace::Namespace;

#[test]
fn help_is_a_command_too() {
    let asked = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_doorward")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(asked(&["help"]), asked(&["--help"]));
    assert_eq!(asked(&["help", "devices"]), asked(&["devices", "--help"]));
    assert!(asked(&["help", "devices", "approve"]).contains("--digest"));
}

#[test]
fn a_start_that_serves_no_dashboard_invites_nobody_to_open_it() {
    let host = Namespace::new();
    let redirect = "[edge]\nnames = [\"claw.lan\"]\n[[listener]]\nbind = [\"127.0.0.1:18080\"]\nprotocol = \"http\"\n";
    let doorward = Instance::start(&host, redirect);
    let log = doorward.log();
    assert!(log.contains("Dashboard: no listener serves it") && !log.contains("Open it"), "{log}");
    let output = doorward.command(&["dashboard", "--no-open"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("hint: add a listener"), "{}", errors(&output));
}

#[test]
fn check_warns_of_an_address_that_may_come_later_and_a_start_refuses_it() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, "[[listener]]\nbind = [\"127.0.0.1:8443\", \"192.0.2.9:8443\"]\n");
    let words = doorward.words(&["check"]);
    assert!(words.contains("warning: this machine does not have the address 192.0.2.9:8443"), "{words}");
    assert!(!words.contains("address 127.0.0.1"), "{words}");
    let json = doorward.json(&["check"]);
    assert_eq!((&json["ok"], json["problems"].as_array().unwrap().len()), (&true.into(), 0), "{json:#}");
    assert!(json["warnings"].to_string().contains("192.0.2.9:8443"), "{json:#}");
    let output = doorward.command(&["run"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("does not have the address 192.0.2.9:8443"), "{}", errors(&output));
}

#[test]
fn where_no_browser_is_the_way_in_is_told_and_not_the_command_that_just_failed() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, OWNERS);
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.arg("--config").arg(doorward.folder().join("doorward.toml")).arg("dashboard").env("PATH", "/nonexistent");
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && words.contains("No browser could be opened here"), "{words}");
    assert!(
        words.contains("doorward dashboard --show-token --config ") && words.contains("doorward token show"),
        "{words}"
    );
    assert!(!words.contains("doorward dashboard --config"), "{words}");
}

#[test]
fn who_replaces_the_token_is_told_who_must_sign_in_again() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, OWNERS);
    let words = doorward.words(&["token", "rotate"]);
    for told in ["doorward token show --config", "must sign in again", "each paired device once", "invite"] {
        assert!(words.contains(told), "{told}: {words}");
    }
}

#[test]
fn what_only_a_running_instance_knows_is_said_to_be_so_with_what_lies_on_the_disk() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, OWNERS);
    let output = doorward.command(&["certs", "list"]);
    assert_eq!(output.status.code(), Some(1));
    let words = errors(&output);
    assert!(
        words.contains("only a running doorward knows") && words.contains("`doorward certs export NAME`"),
        "{words}"
    );
}

#[test]
fn a_listener_that_answers_nobody_and_root_that_is_not_local_are_told_with_what_to_write() {
    let host = Namespace::new();
    let text = "[[listener]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\n\
                [[listener]]\nname = \"b\"\nbind = [\"127.0.0.1:2\"]\nlocal = \"loopback\"\n\
                [admin]\nmetrics_bind = \"127.0.0.1:3\"\n";
    let words = Instance::stopped(&host, text).words(&["check"]);
    for told in
        ["listener a answers nobody", "into names in [edge], or lan_names = true", "class nat", "add 0 to local_uids"]
    {
        assert!(words.contains(told), "{told}: {words}");
    }
    assert!(words.contains("metrics  http://127.0.0.1:3/metrics"), "one address needs no brackets: {words}");
}

#[test]
fn an_import_says_which_file_is_wrong_and_which_folder_is_meant() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, OWNERS);
    let theirs = doorward.folder().join("theirs");
    fs::create_dir_all(theirs.join("devices")).unwrap();
    let (paired, settings) = (theirs.join("devices/paired.json"), theirs.join("openclaw.json"));
    fs::write(&paired, "{}").unwrap();
    fs::write(&settings, "{gateway: {auth: {token: 'changeme-changeme-changeme'}}}").unwrap();
    for file in [&paired, &settings] {
        let output = doorward.command(&["import", "openclaw", file.to_str().unwrap(), "--dry-run"]);
        let words = errors(&output);
        assert!(output.status.code() == Some(1) && words.contains("not a folder"), "{words}");
        assert!(words.contains(&format!("hint: name the whole state folder: {}\n", theirs.display())), "{words}");
    }
    let named = doorward.folder().join("old-token");
    fs::write(&named, "short\n").unwrap();
    fs::set_permissions(&named, fs::Permissions::from_mode(0o600)).unwrap();
    let with_token = ["import", "openclaw", theirs.to_str().unwrap(), "--with-token", "--dry-run"];
    let by_file = [&with_token[..], &["--old-token-file", named.to_str().unwrap()]].concat();
    for (command, file, fault) in [(&with_token[..], &settings, "is a sample"), (&by_file[..], &named, "fewer than")] {
        let output = doorward.command(command);
        let words = errors(&output);
        assert!(output.status.code() == Some(1) && words.contains(fault), "{words}");
        assert!(words.contains(&format!(": {}\n", file.display())) && !words.contains("gateway-token"), "{words}");
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
