//! doorward as its users have it: the binary, a configuration file, a state folder, its commands.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;

const START_WAIT: Duration = Duration::from_secs(150);
const STOP_WAIT: Duration = Duration::from_secs(40);

/// One listener on 127.0.0.1:18789, for TLS and plain HTTP, to whom the machine's owner is local.
pub(crate) const OWNERS: &str = r#"
[[listener]]
name = "local"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
local_uids = [0]
"#;

/// [`OWNERS`], and the tables of `rest`.
pub(crate) fn owners_and(rest: &str) -> String {
    format!("{OWNERS}\n{rest}")
}

/// A running doorward; it is killed when dropped, and its folder removed.
#[derive(Debug)]
pub(crate) struct Instance<'a> {
    machine: &'a Namespace,
    folder: TempDir,
    child: Option<Child>,
    /// What starts it, if not we ourselves.
    wrapper: Vec<String>,
    /// What stands in its environment and that of its commands.
    environment: Vec<(&'static str, PathBuf)>,
}

impl<'a> Instance<'a> {
    /// Starts `doorward run` on a machine with this configuration and waits until `doorward status` is content.
    pub(crate) fn start(machine: &'a Namespace, configuration: &str) -> Self {
        let mut instance = Self::stopped(machine, configuration);
        instance.restart();
        instance
    }

    /// A folder with this configuration and nothing running yet.
    pub(crate) fn stopped(machine: &'a Namespace, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("doorward-").tempdir().unwrap();
        let instance = Self { machine, folder, child: None, wrapper: Vec::new(), environment: Vec::new() };
        instance.configure(configuration);
        instance
    }

    /// Starts it (again) on the same state.
    pub(crate) fn restart(&mut self) {
        self.spawn();
        let start = Instant::now();
        while !self.command(&["status"]).status.success() {
            let gone = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(gone.is_none(), "it ended at start ({}):\n{}", gone.unwrap(), self.log());
            assert!(start.elapsed() < START_WAIT, "not ready in {START_WAIT:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it (again) and waits until it ends by itself.
    pub(crate) fn run_to_its_end(&mut self) -> ExitStatus {
        self.spawn();
        let mut child = self.child.take().unwrap();
        ended(&mut child, START_WAIT).unwrap_or_else(|| panic!("it goes on:\n{}", self.log()))
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        self.child = Some(self.run().stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Writes another configuration; a reload or a start takes it.
    pub(crate) fn configure(&self, configuration: &str) {
        fs::write(self.folder.path().join("doorward.toml"), format!("state_dir = \"state\"\n{configuration}")).unwrap();
    }

    /// From the next start on it is started by this program with these arguments, which must become it.
    pub(crate) fn wrap(&mut self, wrapper: &[&str]) {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
    }

    /// From now on this stands in its environment and that of its commands.
    pub(crate) fn tell(&mut self, name: &'static str, value: PathBuf) {
        self.environment.push((name, value));
    }

    fn run(&self) -> Command {
        let mut command = match self.wrapper.split_first() {
            None => self.machine.command(&binary()),
            Some((program, arguments)) => {
                let mut command = self.machine.command(Path::new(program));
                command.args(arguments).arg(binary());
                command
            }
        };
        command.arg("--config").arg(self.folder.path().join("doorward.toml")).arg("run");
        command.envs(self.environment.iter().cloned());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Starts it and ends it without warning, after so long a time.
    pub(crate) fn start_and_kill(&self, after: Duration) {
        let mut child = self.run().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs a doorward command against this instance, on its machine.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.machine.command(&binary());
        command.arg("--config").arg(self.folder.path().join("doorward.toml")).args(arguments);
        command.envs(self.environment.iter().cloned());
        command.current_dir(self.folder.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn words(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "doorward {arguments:?}: {}\n{stderr}\n{}", output.status, self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let words = self.words(&[arguments, &["--json"]].concat());
        serde_json::from_str(&words).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {words}"))
    }

    /// The gateway secret, as its owner reads it.
    pub(crate) fn token(&self) -> String {
        self.words(&["token", "show"]).trim().to_owned()
    }

    /// The pending requests, as `devices list --json` shows them.
    pub(crate) fn pending(&self) -> Vec<Value> {
        self.json(&["devices", "list"])["pending"].as_array().unwrap().clone()
    }

    /// The paired devices, as `devices list --json` shows them.
    pub(crate) fn paired(&self) -> Vec<Value> {
        self.json(&["devices", "list"])["paired"].as_array().unwrap().clone()
    }

    /// The one pending request of this device.
    pub(crate) fn pending_of(&self, device_id: &str) -> Value {
        let mut pending = self.pending();
        pending.retain(|request| request["deviceId"] == device_id);
        assert_eq!(pending.len(), 1, "pending requests of {device_id}: {pending:#?}");
        pending.remove(0)
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The folder that holds the configuration and `state/`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of its local CA, in PEM.
    pub(crate) fn authority(&self) -> String {
        fs::read_to_string(self.folder.path().join("certs/local-ca.crt")).unwrap()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Ends it without warning.
    pub(crate) fn kill_nine(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to end and waits for it.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        let id = i32::try_from(child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
        ended(&mut child, STOP_WAIT).unwrap_or_else(|| panic!("still there after SIGTERM:\n{}", self.log()))
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        if let Some(child) = self.child.as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- doorward's log ----\n{}", self.log());
        }
    }
}

/// How a process ended, or nothing if it had to be killed.
fn ended(child: &mut Child, wait: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if start.elapsed() > wait {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_doorward"))
}
