//! The service under a real systemd: its unit is understood whole, its sandbox is narrow, and doorward does in it all
//! that it does outside.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::namespace::Namespace;
use crate::support::program::{installed, run};
use crate::support::systemd::{Systemd, deployed, systemd};

/// `systemd-analyze security`: 0 is no exposure, 10 is a service without any sandbox.
const EXPOSURE_MAX: f64 = 1.6;

/// The owner's door, and one on a port below 1024.
const DOORS: &str = r#"
state_dir = "/var/lib/doorward"

[edge]
names = ["10.77.0.1"]

[[listener]]
name = "owner"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"

[[listener]]
name = "web"
bind = ["10.77.0.1:443"]

[certificates]
dir = "/var/lib/doorward/certs"
"#;

#[test]
fn every_line_of_the_unit_is_one_that_systemd_knows() {
    // `systemd-analyze verify` ends well with a key that nobody knows.
    let known = run(Command::new(systemd()).arg("--dump-configuration-items"));
    let known = String::from_utf8(known.stdout).unwrap();
    let known: HashSet<_> = keys(&known).map(|(section, key, _)| (section, key)).collect();
    assert!(known.contains(&("[Service]".to_owned(), "ExecStart".to_owned())), "{known:?}");
    let unit = unit();
    for (section, key, value) in keys(&unit) {
        assert!(!value.is_empty(), "{section} {key} says nothing");
        assert!(known.contains(&(section.clone(), key.clone())), "systemd knows no {key} in {section}");
    }
    // What the sandbox needs to say is said in lines, and not only in comments.
    for line in ["User=doorward", "ProtectSystem=strict", "MemoryDenyWriteExecute=yes", "NoNewPrivileges=yes"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_units_sandbox_leaves_little_exposed() {
    let unit = deployed("doorward.service");
    let mut command = Command::new(installed("systemd-analyze", "systemd"));
    command.args(["security", "--offline=true", "--no-pager", "--json=short"]).arg(unit);
    let table = String::from_utf8(run(&mut command).stdout).unwrap();
    let table: Value = serde_json::from_str(&table).unwrap();
    let rows = table.as_array().unwrap();
    let number = |row: &Value| row["exposure"].as_str().and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    let bad: Vec<_> = rows.iter().filter(|row| number(row) >= 0.2).collect();
    let overall: f64 = exposure(&deployed("doorward.service"));
    assert!(overall <= EXPOSURE_MAX, "exposure {overall}: {bad:#?}");
}

#[test]
fn the_service_starts_in_its_sandbox_and_does_there_what_it_does_outside() {
    let machine = Namespace::new();
    machine.address("lo", "10.77.0.1/24");
    let hook = "ExecStartPost=/bin/sh -c 'curl -sSk https://10.77.0.1/healthz >/var/lib/doorward/hook'";
    let system =
        Systemd::boot(&machine, &observed().replace("\nExecReload=", &format!("\n{hook}\nExecReload=")), DOORS);
    // Verified where it is installed: a program that is not there would be told too.
    let verified = system.run("systemd-analyze", &["verify", "--man=no", "/etc/systemd/system/doorward.service"]);
    let told = [verified.stdout, verified.stderr].concat();
    assert!(verified.status.success() && told.is_empty(), "{}", String::from_utf8_lossy(&told));

    system.words("systemctl", &["start", "doorward.service"]);
    assert_eq!(system.property("SubState"), "running", "{}", system.log());
    // It comes back when it serves, not before: nothing is waited for here.
    assert_eq!(health(&machine), 200);
    let root = ["--config", "/etc/doorward/doorward.toml", "status"];
    system.words("/usr/local/bin/doorward", &root);
    for command in ["check", "status"] {
        let told = system.doorward(&[command]);
        assert!(told.status.success(), "{command}: {told:?}\n{}", system.log());
    }

    // No person's user, with one power, that can gain no other.
    let user: u32 = system.process("Uid").split_whitespace().next().unwrap().parse().unwrap();
    assert!((1..1_000).contains(&user), "{user}");
    for (line, value) in
        [("CapEff", "0000000000000400"), ("CapBnd", "0000000000000400"), ("NoNewPrivs", "1"), ("Seccomp", "2")]
    {
        assert_eq!(system.process(line), value, "{line}");
    }
    // The kernel still says who calls: a person is at this machine, a service of it is not.
    for (user, local) in [("1000", "\"local\":true"), ("33", "\"local\":false")] {
        let person = ["--reuid", user, "--clear-groups", "curl", "--silent", "http://127.0.0.1:18789/doorward/whoami"];
        let told = run(machine.command(&installed("setpriv", "util-linux")).args(person)).stdout;
        assert!(String::from_utf8_lossy(&told).contains(local), "{user}: {}", String::from_utf8_lossy(&told));
    }
    let web = machine.on(|| Caller::blind("10.77.0.1:443").get("/doorward/whoami", &[]).unwrap());
    assert!(web.status == 200 && web.body.contains("\"local\":false"), "{}", web.body);

    // A program of the owner's (`exec` of dns-01), which is started in the same sandbox, can do its work there.
    let hooked = system.words("cat", &["/var/lib/doorward/hook"]);
    assert_eq!(hooked, "ok\n", "{}", system.log());

    // Reloads: a sound file is taken, another is refused by name and changes nothing.
    system.configure(&DOORS.replace("names = [\"10.77.0.1\"]", "names = [\"10.77.0.1\", \"claw.lan\"]"));
    system.words("systemctl", &["reload", "doorward.service"]);
    let status = system.doorward(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["configuration"]["onDisk"], "same", "{status:#}");
    system.configure(&DOORS.replace("protocol = \"auto\"", "protocol = \"autp\""));
    let refused = system.run("systemctl", &["reload", "doorward.service"]);
    assert!(!refused.status.success(), "{refused:?}");
    assert_eq!((system.property("SubState").as_str(), health(&machine)), ("running", 200), "{}", system.status());

    // What it keeps outlives it, whoever it is next time.
    system.configure(DOORS);
    // Netlink that is filtered would be told here, and tables of the kernel that cannot be read.
    assert!(!system.log().contains("WARN"), "{}", system.log());
    let token = system.doorward(&["token", "show"]).stdout;
    system.words("systemctl", &["restart", "doorward.service"]);
    assert_eq!(system.doorward(&["token", "show"]).stdout, token);
    assert_ne!(system.doorward(&["token", "show"]).stdout, b"");
    system.words("systemctl", &["stop", "doorward.service"]);
    assert_eq!(system.property("Result"), "success", "{}", system.status());
}

#[test]
fn a_service_with_a_faulty_configuration_fails_once_and_says_why() {
    let machine = Namespace::new();
    let system = Systemd::boot(&machine, &observed(), "[edge]\nnmaes = []\n");
    let started = system.run("systemctl", &["start", "doorward.service"]);
    assert!(!started.status.success(), "{started:?}");
    assert!(system.log().contains("doorward.toml:2:1") && system.log().contains("hint:"), "{}", system.log());
    assert_eq!(system.property("SubState"), "failed", "it is tried again and again: {}", system.status());
    assert_eq!(system.property("NRestarts"), "0");
}

#[test]
fn the_configuration_that_is_installed_with_the_unit_starts_as_it_is() {
    let machine = Namespace::new();
    let system = Systemd::boot(&machine, &observed(), &fs::read_to_string(deployed("doorward.toml")).unwrap());
    system.words("systemctl", &["start", "doorward.service"]);
    assert_eq!(health(system.machine()), 200);
    let check = system.doorward(&["check"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

fn health(machine: &Namespace) -> u16 {
    machine.on(|| Caller::plain("127.0.0.1:18789").get("/healthz", &[]).map(|answer| answer.status).unwrap_or_default())
}

/// The overall figure, which is only in the text for people.
fn exposure(unit: &Path) -> f64 {
    let mut command = Command::new(installed("systemd-analyze", "systemd"));
    command.args(["security", "--offline=true", "--no-pager"]).arg(unit);
    let words = String::from_utf8(run(&mut command).stdout).unwrap();
    let line = words.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let figure = line.rsplit(": ").next().and_then(|rest| rest.split_whitespace().next());
    figure.and_then(|figure| figure.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}

/// Section, key and value of each line that is one.
fn keys(text: &str) -> impl Iterator<Item = (String, String, String)> {
    let mut section = String::new();
    text.lines().filter_map(move |line| {
        if line.starts_with('[') {
            section = line.trim().to_owned();
        }
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';', '[']))?;
        Some((section.clone(), key.trim().to_owned(), value.trim().to_owned()))
    })
}

fn unit() -> String {
    fs::read_to_string(deployed("doorward.service")).unwrap()
}

/// The unit as it is shipped, whose words we can read: the test machine has no journal.
fn observed() -> String {
    unit().replace("\n[Service]\n", "\n[Service]\nStandardError=append:/run/doorward.log\n")
}
