//! The real OpenClaw command lines, as `tests/peers/openclaw` installed them from npm.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::caller::Caller;
use super::namespace::Namespace;

/// It takes twenty seconds on an idle machine.
const GATEWAY_START_WAIT: Duration = Duration::from_secs(300);

/// Which of the two generations.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Release {
    /// 2026.1.29: protocol 3, signs with a device key of its own.
    January,
    /// 2026.9.6: protocol 4, sends no device when given a token.
    September,
}

/// One command line with a home of its own, so that its device key is new.
#[derive(Debug)]
pub(crate) struct OpenClaw<'a> {
    machine: &'a Namespace,
    release: Release,
    home: TempDir,
    authority: Option<PathBuf>,
}

impl<'a> OpenClaw<'a> {
    /// A fresh installation's user on a machine.
    pub(crate) fn new(machine: &'a Namespace, release: Release) -> Self {
        Self { machine, release, home: tempfile::tempdir().unwrap(), authority: None }
    }

    /// The same user with the same device key, on another machine.
    pub(crate) fn moved(self, machine: &'a Namespace) -> Self {
        Self { machine, ..self }
    }

    /// The same, told to trust this CA as well.
    pub(crate) fn trusting(self, authority: &Path) -> Self {
        Self { authority: Some(authority.to_owned()), ..self }
    }

    /// Runs `openclaw ARGUMENTS`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let state = self.home.path().join("openclaw");
        fs::create_dir_all(&state).unwrap();
        let mut command = program(self.machine, self.release);
        command.args(arguments).stdin(Stdio::null()).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("OPENCLAW_STATE_DIR", &state);
        command.env("OPENCLAW_CONFIG_PATH", state.join("openclaw.json"));
        if let Some(authority) = &self.authority {
            command.env("NODE_EXTRA_CA_CERTS", authority);
        }
        command.output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub(crate) fn words(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "openclaw {:?} {arguments:?}\n{stdout}\n{stderr}", self.release);
        stdout.into_owned()
    }

    /// Runs a command with `--json`; what it prints around the object is passed over.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let words = self.words(&[arguments, &["--json"]].concat());
        let object = words.find('{').and_then(|start| words.get(start..)).unwrap_or_default();
        let mut values = serde_json::Deserializer::from_str(object).into_iter();
        values.next().and_then(Result::ok).unwrap_or_else(|| panic!("no JSON: {words}"))
    }
}

/// The real gateway on a machine of its own; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) child: Child,
    home: TempDir,
}

impl Gateway {
    /// Starts 2026.9.6 as [`Gateway::of`] does.
    pub(crate) fn start(machine: &Namespace, token: &str) -> Self {
        Self::of(Release::September, machine, token)
    }

    /// Starts it on every address of `machine`, port 18789, with this secret, and waits until it says that it is ready.
    pub(crate) fn of(release: Release, machine: &Namespace, token: &str) -> Self {
        Self::changed(release, machine, token, |_| {})
    }

    /// Starts 2026.9.6 with `change` made to its settings.
    pub(crate) fn configured(machine: &Namespace, token: &str, change: impl FnOnce(&mut Value)) -> Self {
        Self::changed(Release::September, machine, token, change)
    }

    fn changed(release: Release, machine: &Namespace, token: &str, change: impl FnOnce(&mut Value)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut settings = json!({
            "gateway": { "mode": "local", "bind": "lan", "port": 18789, "auth": { "mode": "token", "token": token } },
            "discovery": { "mdns": { "mode": "off" } }, "update": { "checkOnStart": false },
        });
        change(&mut settings);
        let door = format!("127.0.0.1:{}", settings["gateway"]["port"]);
        let state = home.path().join("state");
        fs::create_dir(&state).unwrap();
        fs::write(state.join("openclaw.json"), settings.to_string()).unwrap();
        let log = File::create(home.path().join("log")).unwrap();
        let mut command = program(machine, release);
        command.args(["gateway", "run"]).stdin(Stdio::null()).current_dir(home.path());
        command.env("HOME", home.path()).env("OPENCLAW_STATE_DIR", &state);
        command.env("OPENCLAW_CONFIG_PATH", state.join("openclaw.json"));
        command.env("TMPDIR", home.path()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut gateway = Self { child: command.spawn().unwrap(), home };
        let start = Instant::now();
        let caller = Caller::plain(&door);
        let ready = || {
            let caller = caller.clone();
            machine.on(move || caller.get("/readyz", &[]))
        };
        while !ready().is_ok_and(|answer| answer.status == 200) {
            let gone = gateway.child.try_wait().unwrap();
            assert!(gone.is_none(), "the real gateway ended at start:\n{}", gateway.log());
            assert!(start.elapsed() < GATEWAY_START_WAIT, "the real gateway is not ready:\n{}", gateway.log());
            std::thread::sleep(Duration::from_millis(200));
        }
        gateway
    }

    /// Its state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `openclaw` of a release on a machine, quiet about everything but what it is asked.
fn program(machine: &Namespace, release: Release) -> Command {
    let (node, package) = match release {
        Release::January => ("node-22", "openclaw-2026.1.29"),
        Release::September => ("node-24", "openclaw-2026.9.6"),
    };
    let mut command = machine.command(&installed(&Path::new(node).join("bin/node")));
    command.arg(installed(&Path::new(package).join("node_modules/openclaw/openclaw.mjs")));
    for name in ["OPENCLAW_NO_RESPAWN", "OPENCLAW_SKIP_CHANNELS", "OPENCLAW_DISABLE_BONJOUR", "NO_COLOR"] {
        command.env(name, "1");
    }
    command.env_remove("FORCE_COLOR");
    command
}

/// A file of the installation, or a failure that says how to get it.
fn installed(relative: &Path) -> PathBuf {
    from_cache(relative, "tests/peers/openclaw")
}

/// A file that `script` has installed outside the tree, or a failure that says how to get it.
pub(crate) fn from_cache(relative: &Path, script: &str) -> PathBuf {
    let file = cache().join(relative);
    assert!(file.exists(), "{} is missing: run {script} (needs npm)", file.display());
    file
}

fn cache() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("DOORWARD_TESTS_CACHE").unwrap_or_else(|| {
        let user = variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from("/root/.cache"));
        user.join("doorward-tests")
    })
}
