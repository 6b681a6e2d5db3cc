//! Promise: a full disk, or no descriptor left, loses nothing and lets nobody in: what could not be written is told as
//! failed, paired devices go on, and all is well again without a restart.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::core_rig::with_device_token;
use crate::support::gateway_client::{Ask, Device, Outcome, call};
use crate::support::instance::OWNERS;
use crate::support::namespace::Namespace;
use crate::support::program::{installed, run};

const WAIT: Duration = Duration::from_secs(60);
/// Attempts while the disk is unwell, each by another device.
const ATTEMPTS: usize = 20;

#[test]
fn a_full_disk_loses_nothing_and_is_got_over_without_a_restart() {
    let host = Namespace::new();
    let doorward = OnSmallDisk::start(&host);
    let (first, token) = (Device::new(), doorward.token());
    let hello = doorward.connect(&first, Ask::operator(&token)).hello().hello;
    let own = with_device_token(hello["auth"]["deviceToken"].as_str().unwrap());
    let before = doorward.json(&["devices", "list"])["paired"].clone();
    fill(&doorward.disk());
    let mut failed = 0;
    for _ in 0..ATTEMPTS {
        // What doorward said is what stands there: let in and paired, or refused and unknown.
        let device = Device::new();
        let outcome = doorward.connect(&device, Ask::operator(&token));
        let is_in = matches!(outcome, Outcome::Hello(_));
        failed += usize::from(!is_in);
        assert_eq!(doorward.is_paired(&device), is_in, "{outcome:?}");
    }
    assert!(failed > 0, "the disk was not full: nothing failed");
    let log = fs::read_to_string(doorward.folder.path().join("log")).unwrap();
    assert!(log.contains("nothing was changed"), "nobody was told:\n{log}");
    for known in before.as_array().unwrap() {
        let there = doorward.json(&["devices", "list"]);
        let stays = |device: &Value| device["deviceId"] == known["deviceId"] && device["tokens"] == known["tokens"];
        assert!(there["paired"].as_array().unwrap().iter().any(stays), "{known} is not what it was");
    }
    doorward.connect(&first, own.clone()).hello();
    fs::remove_file(doorward.disk().join("filler")).unwrap();
    let device = Device::new();
    doorward.connect(&device, Ask::operator(&token)).hello();
    assert!(doorward.is_paired(&device), "it did not recover");
    assert_eq!(doorward.json(&["audit", "--verify"])["whole"], true);
    assert_eq!(doorward.json(&["store", "check"])["whole"], true);
}

#[test]
fn without_descriptors_a_removal_fails_whole_and_succeeds_as_soon_as_there_are_some() {
    let host = Namespace::new();
    let doorward = OnSmallDisk::start(&host);
    let token = doorward.token();
    let (owner, other) = (Device::new(), Device::new());
    doorward.connect(&other, Ask::operator(&token)).hello();
    let caller = Caller::plain("127.0.0.1:18789");
    let (id, pid) = (other.id(), doorward.pid);
    let told = host.block_on(move || async move {
        let ask = Ask::operator(&token);
        let mut session = crate::support::gateway_client::connect(&caller, Some(&owner), &ask).await.hello();
        let limit = |limit: &str| {
            let mut command = Command::new(installed("prlimit", "util-linux"));
            run(command.arg(format!("--pid={pid}")).arg(format!("--nofile={limit}:")));
        };
        limit("3");
        let remove = || serde_json::json!({"deviceId": id});
        let first = session.call("device.pair.remove", remove()).await;
        limit("1000");
        let list = session.call("device.pair.list", serde_json::json!({})).await.unwrap();
        let is_there = list["paired"].as_array().unwrap().iter().any(|device| device["deviceId"] == *id);
        (first.is_err(), is_there, session.call("device.pair.remove", remove()).await.is_ok())
    });
    assert_eq!(told, (true, true, true), "refused, still paired, then removed");
    assert!(!doorward.is_paired(&other));
}

/// doorward with its state on a disk of 256 KiB that only it sees.
struct OnSmallDisk<'a> {
    machine: &'a Namespace,
    folder: tempfile::TempDir,
    child: Child,
    pid: u32,
}

impl<'a> OnSmallDisk<'a> {
    fn start(machine: &'a Namespace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::create_dir(folder.path().join("run")).unwrap();
        fs::write(folder.path().join("doorward.toml"), format!("state_dir = \"state\"\n{OWNERS}")).unwrap();
        let script = "mount -t tmpfs -o size=256k,mode=0700 tmpfs state && exec \"$0\" --config doorward.toml run";
        let mut command = machine.command(&installed("unshare", "util-linux"));
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, env!("CARGO_BIN_EXE_doorward")]);
        let log = File::create(folder.path().join("log")).unwrap();
        command.current_dir(folder.path()).env("RUNTIME_DIRECTORY", folder.path().join("run"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut started = Self { machine, folder, child, pid: 0 };
        let start = Instant::now();
        let ready = loop {
            let status = started.command(&["status", "--json"]);
            if status.status.success() {
                break status;
            }
            let log = fs::read_to_string(started.folder.path().join("log")).unwrap();
            assert!(started.child.try_wait().unwrap().is_none() && start.elapsed() < WAIT, "not ready:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let status: Value = serde_json::from_slice(&ready.stdout).unwrap();
        started.pid = status["pid"].as_u64().unwrap().try_into().unwrap();
        started
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.machine.command(Path::new(env!("CARGO_BIN_EXE_doorward")));
        command.args(["--config", "doorward.toml"]).args(arguments).current_dir(self.folder.path());
        command.env("RUNTIME_DIRECTORY", self.folder.path().join("run")).stdin(Stdio::null()).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn is_paired(&self, device: &Device) -> bool {
        let listed = self.json(&["devices", "list"]);
        listed["paired"].as_array().unwrap().iter().any(|paired| paired["deviceId"] == device.id())
    }

    fn connect(&self, device: &Device, ask: Ask) -> Outcome {
        call(self.machine, &Caller::plain("127.0.0.1:18789"), device, ask)
    }

    /// Its state folder, as it sees it.
    fn disk(&self) -> PathBuf {
        let state = self.folder.path().join("state");
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(state.strip_prefix("/").unwrap())
    }

    fn token(&self) -> String {
        fs::read_to_string(self.disk().join("gateway-token")).unwrap().trim().to_owned()
    }
}

impl Drop for OnSmallDisk<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("---- doorward's log ----\n{log}");
        }
    }
}

/// Writes until nothing more fits.
fn fill(disk: &Path) {
    use std::io::Write as _;
    let mut filler = File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[7; 512]).is_ok() {}
}
