//! A real Docker engine on a machine of its own: its state in a folder of the test's, its processes ended with it.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::program;

const START_WAIT: Duration = Duration::from_secs(120);
const START_TRIES: usize = 4;
const STOP_WAIT: Duration = Duration::from_secs(15);
const IMAGE: &str = "doorward:test";

/// The bridge's own address: what the runtime shows for the host.
pub(crate) const GATEWAY: &str = "172.30.0.1";

/// A running engine; it ends with its containers when dropped.
#[derive(Debug)]
pub(crate) struct Engine<'a> {
    host: &'a Namespace,
    folder: TempDir,
    child: Child,
}

/// A container; it is removed when dropped.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    engine: &'a Engine<'a>,
    id: String,
}

impl<'a> Engine<'a> {
    /// Starts dockerd on `host` with `options` and gives it our image.
    pub(crate) fn start(host: &'a Namespace, options: &[&str]) -> Self {
        let engine = Self::bare(host, options);
        engine.import();
        engine
    }

    /// Starts dockerd on `host` with `options` and no image.
    pub(crate) fn bare(host: &'a Namespace, options: &[&str]) -> Self {
        // It gives its own containerd fifteen seconds, which a busy machine may not keep.
        for _ in 1..START_TRIES {
            if let Ok(engine) = Self::try_start(host, options) {
                return engine;
            }
        }
        Self::try_start(host, options).unwrap_or_else(|log| panic!("dockerd does not start:\n{log}"))
    }

    /// The engine, or what it said before it ended.
    fn try_start(host: &'a Namespace, options: &[&str]) -> Result<Self, String> {
        // Short: the engine's sockets lie in it, and their names have 108 bytes.
        let folder = tempfile::Builder::new().prefix("dwd").tempdir_in("/tmp").unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("daemon.json"), "{}").unwrap();
        let log = File::create(at("log")).unwrap();
        let mut command = host.command(&program::installed("dockerd", "docker.io"));
        command.args(["--config-file", &at("daemon.json"), "--data-root", &at("data"), "--exec-root", &at("exec")]);
        command.args(["--pidfile", &at("pid"), "--host", &format!("unix://{}", at("sock"))]);
        command.args(["--bip", &format!("{GATEWAY}/24")]).args(options);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut engine = Self { host, child: command.spawn().unwrap(), folder };
        let start = Instant::now();
        while !engine.docker(&["version"]).status.success() {
            if engine.child.try_wait().unwrap().is_some() {
                return Err(engine.log());
            }
            assert!(start.elapsed() < START_WAIT, "dockerd does not answer:\n{}", engine.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }

    /// `docker` with these arguments.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Output {
        let mut command = self.host.command(&program::installed("docker", "docker.io"));
        command.arg("--host").arg(self.at());
        // The engine's own builder: the other is a plugin that Debian 12 does not have.
        command.env("DOCKER_BUILDKIT", "0");
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Where it is asked.
    pub(crate) fn at(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// The machine it runs on.
    pub(crate) fn host(&self) -> &Namespace {
        self.host
    }

    /// A folder that goes with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `docker`, which must succeed; its standard output, trimmed.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.docker(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {stderr}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Makes an image of our binary and the libraries it is linked with.
    fn import(&self) {
        let root = self.folder.path().join("root");
        let binary = env!("CARGO_BIN_EXE_doorward");
        for folder in ["tmp", "etc", "run"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::copy(binary, root.join("doorward")).unwrap();
        let linked = program::run(Command::new(program::installed("ldd", "libc-bin")).arg(binary));
        let linked = String::from_utf8(linked.stdout).unwrap();
        for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
            let copy = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(library, copy).unwrap();
        }
        let tar = self.folder.path().join("image.tar");
        program::run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg("."));
        self.said(&["import", &tar.display().to_string(), IMAGE]);
    }

    /// What doorward says in a container with this configuration when it refuses to start.
    pub(crate) fn refuses(&self, configuration: &str) -> String {
        let volume = self.configured(configuration);
        let run = ["run", "--detach", "--env", "DOORWARD_CONFIG=/conf/doorward.toml", "--volume", &volume];
        let id = self.said(&[&run[..], &[IMAGE, "/doorward", "run"]].concat());
        let container = Container { engine: self, id };
        let start = Instant::now();
        loop {
            let state = self.said(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", &container.id]);
            match state.split_once(' ') {
                Some(("exited", code)) => {
                    assert_eq!(code, "1", "{}", container.log());
                    return container.log();
                }
                _ => assert!(start.elapsed() < START_WAIT, "it runs:\n{}", container.log()),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Where this configuration lies, as a volume for `docker run`.
    fn configured(&self, configuration: &str) -> String {
        let folder = self.folder.path().join("conf");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("doorward.toml"), configuration).unwrap();
        format!("{}:/conf:ro", folder.display())
    }

    /// A container that runs doorward with this configuration; `options` are those of `docker run`.
    pub(crate) fn run(&'a self, configuration: &str, options: &[&str]) -> Container<'a> {
        let volume = self.configured(configuration);
        let run = ["run", "--detach", "--env", "DOORWARD_CONFIG=/conf/doorward.toml", "--volume", &volume];
        let id = self.said(&[&run, options, &[IMAGE, "/doorward", "run"]].concat());
        let container = Container { engine: self, id };
        let start = Instant::now();
        loop {
            let status = container.command(&["status"]);
            if status.status.success() {
                return container;
            }
            assert!(start.elapsed() < START_WAIT, "not ready: {status:?}\n{}", container.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Container<'_> {
    /// A doorward command inside.
    fn command(&self, arguments: &[&str]) -> Output {
        self.engine.docker(&[&["exec", &self.id, "/doorward"], arguments].concat())
    }

    /// What `doorward status` says of its first listener's published port, once a probe has ended.
    pub(crate) fn published(&self) -> Value {
        let start = Instant::now();
        loop {
            let status: Value = serde_json::from_slice(&self.command(&["status", "--json"]).stdout).unwrap();
            let published = &status["listeners"][0]["published"];
            if published["found"] != "not probed yet" {
                return published.clone();
            }
            assert!(start.elapsed() < START_WAIT, "no probe has ended:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What `doorward check` says inside.
    pub(crate) fn check(&self) -> String {
        String::from_utf8(self.command(&["check"]).stdout).unwrap()
    }

    /// Its address on the default bridge.
    pub(crate) fn address(&self) -> String {
        self.engine.said(&["inspect", "--format", "{{.NetworkSettings.IPAddress}}", &self.id])
    }

    /// Runs `task` on a thread in its network.
    pub(crate) fn on<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> T {
        let process = self.engine.said(&["inspect", "--format", "{{.State.Pid}}", &self.id]);
        let file = File::open(Path::new("/proc").join(process).join("ns/net")).unwrap();
        let thread = std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            task()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        let output = self.engine.docker(&["logs", &self.id]);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the container's log ----\n{}", self.log());
        }
        let _ = self.engine.docker(&["rm", "--force", "--volumes", &self.id]);
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        // dockerd ends its own containerd, and what that runs.
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(process) = process {
            let _ = kill_process(process, Signal::TERM);
        }
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && start.elapsed() < STOP_WAIT {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // What a killed engine leaves mounted would keep its folder.
        let folder = self.folder.path().display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for point in mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| point.starts_with(&folder))
        {
            let _ = Command::new("umount").args(["--lazy", point]).output();
        }
    }
}

/// A Docker engine cannot run in a user namespace.
pub(crate) fn expect_root() {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    assert!(whole, "this needs a Docker engine, which needs real root: run tests/run as root");
}
