//! What somebody new to doorward asks and is told: help, hints, and no invitation to what is not there.

use std::process::{Command, Output};

use crate::support::instance::Instance;
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

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
