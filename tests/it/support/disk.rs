//! doorward with its state on a disk of its own, which only it sees and which a test may fill, fail or cut the power of.
//! The mount ends with the process: a restart finds what the disk has.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::caller::Caller;
use super::gateway_client::{Ask, Device, Outcome, call};
use super::instance::OWNERS;
use super::namespace::Namespace;
use super::program::{installed, run};

const WAIT: Duration = Duration::from_secs(60);

/// What the disk is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Disk {
    /// 256 KiB of memory.
    Small,
    /// 32 MiB of ext4 on a loop device.
    Ext4,
}

/// A running doorward; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct OnDisk<'a> {
    machine: &'a Namespace,
    disk: Disk,
    folder: tempfile::TempDir,
    child: Child,
}

impl<'a> OnDisk<'a> {
    /// Starts it on a new disk.
    pub(crate) fn start(machine: &'a Namespace, disk: Disk) -> Self {
        Self::start_with(machine, disk, |_| {})
    }

    /// The same on one that has what `fill` writes into a folder; ext4 only.
    pub(crate) fn start_with(machine: &'a Namespace, disk: Disk, fill: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["state", "run"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("doorward.toml"), format!("state_dir = \"state\"\n{OWNERS}")).unwrap();
        if disk == Disk::Ext4 {
            let image = folder.path().join("image");
            File::create(&image).unwrap().set_len(32 << 20).unwrap();
            let filled = tempfile::tempdir().unwrap();
            fill(filled.path());
            let mut make = Command::new(installed("mkfs.ext4", "e2fsprogs"));
            run(make.args(["-q", "-F", "-d"]).arg(filled.path()).arg(&image));
        }
        let child = spawn(machine, folder.path(), disk, "");
        let mut started = Self { machine, disk, folder, child };
        started.wait_until_ready();
        started
    }

    /// Starts it again on what the disk has, and waits until it is ready.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.machine, self.folder.path(), self.disk, "");
        self.wait_until_ready();
    }

    /// Starts it again, does `first` beforehand in a shell where the disk is `state`, and waits until it ends.
    pub(crate) fn start_after(&mut self, first: &str) -> ExitStatus {
        self.child = spawn(self.machine, self.folder.path(), self.disk, first);
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < WAIT, "it goes on:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_until_ready(&mut self) {
        let start = Instant::now();
        while !self.command(&["status", "--json"]).status.success() {
            let gone = self.child.try_wait().unwrap();
            assert!(gone.is_none() && start.elapsed() < WAIT, "not ready ({gone:?}):\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it without warning; the disk goes on.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Cuts its power: nothing that was not synced is on the disk, and the process is gone.
    pub(crate) fn cut_power(&mut self) {
        self.shut_disk(Loss::Unsynced);
        self.kill();
    }

    /// Every access to the disk fails from now on.
    pub(crate) fn fail_disk(&self) {
        self.shut_disk(Loss::Nothing);
    }

    fn shut_disk(&self, loss: Loss) {
        run(self.inside("perl", "perl-base").args(["-e", &shut_down("/proc/self/cwd", loss)]));
    }

    /// The disk is read-only from now on, as ext4 makes it after an error; open files are no exception.
    pub(crate) fn make_read_only(&self) {
        run(self.inside("mount", "mount").args(["-o", "remount,abort", "."]));
    }

    /// A program that sees the disk, and stands in it.
    fn inside(&self, name: &str, package: &str) -> Command {
        let mut command = Command::new(installed("nsenter", "util-linux"));
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.id())).arg(format!("--wdns={}", self.mounted().display()));
        command.arg(installed(name, package));
        command
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command of doorward's against it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.machine.command(Path::new(env!("CARGO_BIN_EXE_doorward")));
        command.args(["--config", "doorward.toml"]).args(arguments).current_dir(self.folder.path());
        command.env("RUNTIME_DIRECTORY", self.folder.path().join("run")).stdin(Stdio::null()).output().unwrap()
    }

    /// The same with `--json`, and it must succeed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {words}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn is_paired(&self, device: &Device) -> bool {
        let listed = self.json(&["devices", "list"]);
        listed["paired"].as_array().unwrap().iter().any(|paired| paired["deviceId"] == device.id())
    }

    pub(crate) fn connect(&self, device: &Device, ask: Ask) -> Outcome {
        call(self.machine, &Caller::plain("127.0.0.1:18789"), device, ask)
    }

    /// Its state folder, as it sees it.
    pub(crate) fn disk(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.id())).join(self.mounted().strip_prefix("/").unwrap())
    }

    fn mounted(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.disk().join("gateway-token")).unwrap().trim().to_owned()
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for OnDisk<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- doorward's log ----\n{}", self.log());
        }
    }
}

/// What is lost of what a file system was told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Nothing,
    Unsynced,
}

/// Perl that shuts the file system of `place` down (FS_IOC_SHUTDOWN): every access fails until it is mounted anew.
pub(crate) fn shut_down(place: &str, loss: Loss) -> String {
    let flag = match loss {
        Loss::Nothing => 1,
        Loss::Unsynced => 2,
    };
    format!("my $how = pack 'L', {flag}; open my $f, '<', '{place}' or die $!; ioctl $f, 0x8004587d, $how or die $!")
}

fn spawn(machine: &Namespace, folder: &Path, disk: Disk, first: &str) -> Child {
    let mount = match disk {
        Disk::Ext4 => "mount -o loop image state && chmod 0700 state",
        Disk::Small => "mount -t tmpfs -o size=256k,mode=0700 tmpfs state",
    };
    let script = format!("{mount} && {first} exec \"$0\" --config doorward.toml run");
    let mut command = machine.command(&installed("unshare", "util-linux"));
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, env!("CARGO_BIN_EXE_doorward")]);
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    command.current_dir(folder).env("RUNTIME_DIRECTORY", folder.join("run"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
