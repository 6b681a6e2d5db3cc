//! What scripts rest on: the commands, their exit codes and their JSON, against the running binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::namespace::Namespace;
use crate::support::wait::wait_until;

/// The local profile; each test has a machine of its own, so the ports are free.
const LOCAL: &str = "";
const WAIT: Duration = Duration::from_secs(20);

#[test]
fn status_is_zero_only_when_all_is_well() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, LOCAL);
    let status = doorward.json(&["status"]);
    assert_eq!(status["ready"], true, "{status:#}");
    assert_eq!(status["store"], "open");
    assert_eq!(status["devices"]["paired"], 0);
    assert_eq!(status["dashboard"], "http://127.0.0.1:18789/");
    assert_eq!(status["listeners"][0]["addresses"], serde_json::json!(["127.0.0.1:18789", "[::1]:18789"]));
    assert_eq!(status["listeners"][0]["bound"], true);
    assert!(doorward.words(&["status"]).contains("listener local  auto 127.0.0.1:18789 [::1]:18789"));

    assert!(doorward.stop().success());
    let output = doorward.command(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    let (words, socket) = (errors(&output), doorward.folder().join("state/admin.sock"));
    assert!(words.contains("hint: start it with `doorward run`"), "{words}");
    assert!(words.contains(&socket.display().to_string()), "it names the socket that it tried: {words}");
    assert!(words.contains("doorward.toml") && words.contains("--config"), "{words}");
}

#[test]
fn token_show_is_the_file_and_nothing_else() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, LOCAL);
    let file = doorward.folder().join("state/gateway-token");
    let first = doorward.words(&["token", "show"]);
    assert_eq!(first, fs::read_to_string(&file).unwrap());
    assert_eq!(first.trim().len(), 43);

    doorward.words(&["token", "rotate"]);
    let second = doorward.words(&["token", "show"]);
    assert_ne!(first, second);
    let caller = Caller::plain("127.0.0.1:18789");
    call(&host, &caller, &Device::new(), Ask::operator(first.trim())).refused();
    call(&host, &caller, &Device::new(), Ask::operator(second.trim())).hello();

    assert!(doorward.stop().success());
    doorward.words(&["token", "rotate"]);
    assert_ne!(second, doorward.words(&["token", "show"]));
    let log = doorward.log();
    assert!([&first, &second].iter().all(|token| !log.contains(token.trim())), "a token stands in the log:\n{log}");
}

#[test]
fn a_second_instance_is_refused_and_told_who_was_first() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, LOCAL);
    let second = run(&host, &doorward.folder().join("doorward.toml"), &[]);
    assert_eq!(second.status.code(), Some(1), "{}", errors(&second));
    assert!(errors(&second).contains(&format!("(process {})", doorward.id())), "{}", errors(&second));
    assert!(doorward.command(&["status"]).status.success(), "the first one is as it was");
}

#[test]
fn a_taken_port_is_refused_with_its_holder() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, LOCAL);
    for bind in ["[\"127.0.0.1:18789\"]", "[\"127.0.0.1:18790\", \"[::1]:18789\"]", "[\"0.0.0.0:18789\"]"] {
        let other = Instance::stopped(&host, &format!("[[listener]]\nbind = {bind}\n"));
        let output = run(&host, &other.folder().join("doorward.toml"), &[]);
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        let words = errors(&output);
        assert!(words.contains(&format!("taken by doorward (process {}", doorward.id())), "{words}");
        assert!(words.contains("hint: end that process"), "{words}");
        assert!(!other.folder().join("state/admin.sock").exists());
    }
}

#[test]
fn state_that_cannot_be_read_stops_the_start_with_its_name() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, LOCAL);
    assert!(doorward.stop().success());
    let state = doorward.folder().join("state");
    let key = fs::read_dir(state.join("keys")).unwrap().next().unwrap().unwrap().path();
    for file in [state.join("doorward.sqlite"), key, state.join("gateway-token"), state.join("local-ca/ca.pem")] {
        let good = fs::read(&file).unwrap();
        for bad in [&b"not what it was"[..], b""] {
            fs::write(&file, bad).unwrap();
            let output = run(&host, &doorward.folder().join("doorward.toml"), &[]);
            let words = errors(&output);
            assert_eq!(output.status.code(), Some(1), "{}: {words}", file.display());
            assert!(
                words.contains(&file.display().to_string()) && words.contains("hint: "),
                "{}: {words}",
                file.display()
            );
            let checked = doorward.command(&["check"]);
            assert_eq!(checked.status.code(), Some(1), "{}", file.display());
            let told = String::from_utf8_lossy(&checked.stdout).into_owned();
            assert!(told.contains(&file.display().to_string()), "{}: {told}", file.display());
            assert_eq!(fs::read(&file).unwrap(), bad, "it was replaced");
        }
        fs::write(&file, &good).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let output = run(&host, &doorward.folder().join("doorward.toml"), &[]);
        assert!(errors(&output).contains("hint: chmod 600 "), "{}", errors(&output));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    doorward.restart();
}

#[test]
fn an_approval_is_for_what_was_listed() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let device = Device::new();
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    call(&home.lan, &caller, &device, Ask::operator(&doorward.token())).refused();
    let pending = doorward.pending_of(&device.id());
    let (id, digest) = (pending["requestId"].as_str().unwrap(), pending["digest"].as_str().unwrap());
    assert_eq!(pending["origin"]["ip"], "10.77.0.2", "{pending:#}");
    let shown = doorward.words(&["devices", "list"]);
    let file = doorward.folder().join("doorward.toml");
    let command = format!("doorward devices approve {id} --digest {digest} --config {}\n", file.display());
    assert!(shown.contains(&command), "{shown}");
    assert!(shown.contains("10.77.0.2 (private), listener lan\n"), "{shown}");
    assert!(doorward.words(&["devices", "list", "--json"]).starts_with("{\n  \"pending\": ["));

    for wrong in [&["devices", "approve", id, "--digest", &"0".repeat(64)][..], &["devices", "approve", "no-such-id"]] {
        let output = doorward.command(wrong);
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        assert!(errors(&output).contains("hint: ") && output.stdout.is_empty(), "{wrong:?}: {}", errors(&output));
    }
    assert!(doorward.paired().is_empty());
    let approved = doorward.json(&["devices", "approve", id, "--digest", digest]);
    assert_eq!(approved["requestId"], id);
    assert_eq!(approved["device"]["deviceId"], device.id());
    assert_eq!(doorward.paired().len(), 1);
    assert_eq!(doorward.command(&["devices", "reject", id]).status.code(), Some(1), "it is decided");
}

#[test]
fn the_dashboard_is_opened_without_the_token_in_any_argument() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, LOCAL);
    let token = doorward.token();
    let printed = doorward.words(&["dashboard", "--no-open"]);
    let (first, then) = printed.split_once('\n').unwrap();
    assert_eq!(first, "http://127.0.0.1:18789/");
    assert!(then.contains("doorward token show --config ") && !printed.contains(&token), "{printed}");
    assert_eq!(doorward.json(&["dashboard"])["url"], "http://127.0.0.1:18789/");
    assert_eq!(doorward.command(&["dashboard", "--show-token"]).status.code(), Some(1), "this is no terminal");

    // A browser that notes how it was started and what it was given.
    let tools = doorward.folder().join("tools");
    fs::create_dir(&tools).unwrap();
    let script =
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"$0.arguments\"\nstat -c %a \"$1\" > \"$0.mode\"\ncp \"$1\" \"$0.page\"\n";
    fs::write(tools.join("xdg-open"), script).unwrap();
    fs::set_permissions(tools.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", tools.display());
    let config = doorward.folder().join("doorward.toml");
    let output = program(&config).arg("dashboard").env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));

    let noted = |end: &str| fs::read_to_string(tools.join(format!("xdg-open.{end}"))).unwrap();
    assert!(!noted("arguments").contains(&token));
    assert_eq!(noted("mode").trim(), "600");
    assert!(noted("page").contains(&format!("url=http://127.0.0.1:18789/#token={token}\"")));
    assert!(!Path::new(noted("arguments").trim()).exists(), "the page is still there");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(&token));
    assert!(!doorward.log().contains(&token));
}

#[test]
fn check_judges_without_making_anything() {
    let host = Namespace::new();
    let mut doorward = Instance::stopped(&host, LOCAL);
    let output = doorward.words(&["check"]);
    // These machines are root's, and the built-in listener calls root local: a start says so, and so does this.
    assert!(output.starts_with("warning: listener local: this runs as root"), "{output}");
    assert!(output.contains("\nok: ") && output.contains("127.0.0.1:18789 [::1]:18789"), "{output}");
    assert!(!doorward.folder().join("state").exists());
    assert_eq!(doorward.json(&["check"])["ok"], true);

    doorward.restart();
    let key = fs::read_dir(doorward.folder().join("state/keys")).unwrap().next().unwrap().unwrap().path();
    for path in [doorward.folder().join("state"), key] {
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode.mode() | 0o044)).unwrap();
        let output = doorward.command(&["check"]);
        assert_eq!(output.status.code(), Some(1));
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(words.contains(&format!("{}\nhint: chmod", path.display())), "{words}");
        fs::set_permissions(&path, mode).unwrap();
    }
    // It runs: what it has taken itself is no fault.
    doorward.words(&["check"]);
    assert!(doorward.stop().success());
    let other = Instance::start(&host, LOCAL);
    let output = doorward.command(&["check"]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(words.contains(&format!("127.0.0.1:18789 is taken by doorward (process {}", other.id())), "{words}");
    assert!(words.contains("[::1]:18789 is taken"), "every fault is told: {words}");
    drop(other);
    doorward.words(&["check"]);
    let file = doorward.folder().join("doorward.toml");
    fs::write(&file, "state_dir = \"state\"\n[edge]\nnames = [\"later.example\"]\n").unwrap();
    let output = doorward.command(&["check"]);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(
        words.contains("may not sign for a name that was not configured when it was made: later.example")
            && words.contains(
                "hint: give later.example a certificate by `[[certificates.acme]]` or `[[certificates.file]]`, or make a new \
                 local ca that may sign for it with `doorward certs recreate-ca`"
            ),
        "{words}"
    );
}

#[test]
fn a_wrong_configuration_is_told_with_its_places_and_exit_code_two() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, "[edge]\nnames = [\"*.example\"]\n\n[log]\nformt = \"json\"\n");
    let file = doorward.folder().join("doorward.toml");
    for command in [&["check"][..], &["run"], &["status"], &["devices", "list"], &["token", "show"]] {
        let output = doorward.command(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        let words = errors(&output);
        for place in ["3:10: not a host name", "6:1: unknown key: formt"] {
            assert!(words.contains(&format!("{}:{place}", file.display())), "{command:?}: {words}");
        }
        assert!(words.contains("hint: did you mean `format`?"), "{words}");
    }
    for usage in [&["no-such-command"][..], &["devices", "approve"], &["explain"], &["status", "--no-such-flag"], &[]] {
        assert_eq!(doorward.command(usage).status.code(), Some(2), "{usage:?}");
    }
    let missing = program(&doorward.folder().join("none.toml")).arg("check").output().unwrap();
    assert_eq!(missing.status.code(), Some(2), "{}", errors(&missing));
}

#[test]
fn the_second_signal_ends_at_once() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, LOCAL);
    // A request that waits for its body keeps the drain waiting; told to go on, it is surely being served.
    let held = host.on(|| {
        let mut held = std::net::TcpStream::connect("127.0.0.1:18789").unwrap();
        let head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:18789\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
        std::io::Write::write_all(&mut held, head).unwrap();
        let mut told = [0; 12];
        std::io::Read::read_exact(&mut held, &mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100");
        held
    });
    let pid = Pid::from_raw(i32::try_from(doorward.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    wait_until(|| doorward.log().contains("draining"));
    let status = doorward.command(&["status", "--json"]);
    assert_eq!(status.status.code(), Some(1), "a draining instance is not well");
    let start = Instant::now();
    assert_eq!(doorward.stop().code(), Some(1));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    drop(held);
}

#[test]
fn commands_find_the_socket_of_a_service_managers_runtime_folder() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, LOCAL);
    let runtime = tempfile::tempdir().unwrap();
    let config = doorward.folder().join("doorward.toml");
    let mut command = host.command(Path::new(env!("CARGO_BIN_EXE_doorward")));
    command.arg("--config").arg(&config).arg("run").env("RUNTIME_DIRECTORY", runtime.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // This shell does not have the variable.
    wait_until(|| doorward.command(&["status"]).status.success());
    let socket = runtime.path().join("admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!doorward.folder().join("state/admin.sock").exists());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!socket.exists());
}

#[test]
fn a_stale_socket_is_replaced() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, LOCAL);
    doorward.kill_nine();
    assert!(doorward.folder().join("state/admin.sock").exists());
    assert_eq!(doorward.command(&["status"]).status.code(), Some(1));
    doorward.restart();
}

#[test]
fn cases_are_explained_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let case = r#"{"id":"one","listener":{"client_ip_header":"none","proxy_protocol":"off","local_listener":false},"peer":"203.0.113.9","trusted_proxies":[],"headers":[]}"#;
    let file = folder.path().join("cases");
    fs::write(&file, format!("{case}\n{case}\n")).unwrap();
    let explain = |file: &Path| {
        program(Path::new("/no/such/configuration")).arg("explain").arg("--batch").arg(file).output().unwrap()
    };
    let output = explain(&file);
    assert!(output.status.success(), "{}", errors(&output));
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["id"], &lines[0]["ip"], &lines[0]["local"]),
        (&"one".into(), &"203.0.113.9".into(), &false.into())
    );
    fs::write(&file, format!("{case}\nnonsense\n")).unwrap();
    let output = explain(&file);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("line 2"), "{}", errors(&output));
    assert_eq!(explain(Path::new("/no/such/file")).status.code(), Some(1));
}

fn program(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.arg("--config").arg(config).stdin(Stdio::null());
    command
}

/// `doorward run` on a machine, which must end by itself.
fn run(machine: &Namespace, config: &Path, arguments: &[&str]) -> Output {
    let mut command = machine.command(Path::new(env!("CARGO_BIN_EXE_doorward")));
    command.arg("--config").arg(config).arg("run").args(arguments).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > WAIT {
            child.kill().unwrap();
            panic!("it started: {}", errors(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
