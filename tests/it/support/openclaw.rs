//! The real OpenClaw command lines, as `tests/peers/openclaw` installed them from npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;

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

    /// The same, told to trust this CA as well.
    pub(crate) fn trusting(self, authority: &Path) -> Self {
        Self { authority: Some(authority.to_owned()), ..self }
    }

    /// Runs `openclaw ARGUMENTS`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let (node, package) = match self.release {
            Release::January => ("node-22", "openclaw-2026.1.29"),
            Release::September => ("node-24", "openclaw-2026.9.6"),
        };
        let node = installed(&Path::new(node).join("bin/node"));
        let script = installed(&Path::new(package).join("node_modules/openclaw/openclaw.mjs"));
        let state = self.home.path().join("openclaw");
        fs::create_dir_all(&state).unwrap();
        let mut command: Command = self.machine.command(&node);
        command.arg(script).args(arguments).stdin(Stdio::null()).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("OPENCLAW_STATE_DIR", &state);
        command.env("OPENCLAW_CONFIG_PATH", state.join("openclaw.json"));
        if let Some(authority) = &self.authority {
            command.env("NODE_EXTRA_CA_CERTS", authority);
        }
        for (name, value) in
            [("OPENCLAW_NO_RESPAWN", "1"), ("OPENCLAW_SKIP_CHANNELS", "1"), ("OPENCLAW_DISABLE_BONJOUR", "1")]
        {
            command.env(name, value);
        }
        command.env("NO_COLOR", "1").env_remove("FORCE_COLOR").output().unwrap()
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
