//! doorward with its state on a disk of its own, which only it sees and which a test may fill, fail or cut the power of.
//! The mount ends with the process: a restart finds what the disk has.

use std::fs::{self, File};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use super::caller::Caller;
use super::gateway_client::{Ask, Device, Outcome, call};
use super::instance::{Instance, OWNERS};
use super::namespace::Namespace;
use super::program::{installed, run};

/// What the disk is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Disk {
    /// 256 KiB of memory.
    Small,
    /// 32 MiB of ext4 on a loop device.
    Ext4,
}

/// A running doorward and its disk.
#[derive(Debug)]
pub(crate) struct OnDisk<'a> {
    machine: &'a Namespace,
    disk: Disk,
    doorward: Instance<'a>,
}

impl<'a> OnDisk<'a> {
    /// Starts it on a new disk.
    pub(crate) fn start(machine: &'a Namespace, disk: Disk) -> Self {
        Self::start_with(machine, disk, |_| {})
    }

    /// The same on one that has what `fill` writes into a folder; ext4 only.
    pub(crate) fn start_with(machine: &'a Namespace, disk: Disk, fill: impl FnOnce(&Path)) -> Self {
        let mut doorward = Instance::stopped(machine, OWNERS);
        for name in ["state", "run"] {
            fs::create_dir(doorward.folder().join(name)).unwrap();
        }
        // Its commands do not see the disk.
        let run_folder = doorward.folder().join("run");
        doorward.tell("RUNTIME_DIRECTORY", run_folder);
        if disk == Disk::Ext4 {
            let image = doorward.folder().join("image");
            File::create(&image).unwrap().set_len(32 << 20).unwrap();
            let filled = tempfile::tempdir().unwrap();
            fill(filled.path());
            let mut make = Command::new(installed("mkfs.ext4", "e2fsprogs"));
            run(make.args(["-q", "-F", "-d"]).arg(filled.path()).arg(&image));
        }
        let mut started = Self { machine, disk, doorward };
        started.restart();
        started
    }

    /// Starts it again on what the disk has, and waits until it is ready.
    pub(crate) fn restart(&mut self) {
        self.mount_and("");
        self.doorward.restart();
    }

    /// Starts it again, does `first` beforehand in a shell where the disk is `state`, and waits until it ends.
    pub(crate) fn start_after(&mut self, first: &str) -> ExitStatus {
        self.mount_and(first);
        self.doorward.run_to_its_end()
    }

    /// From the next start on it mounts the disk, where only it sees it, and does `first`.
    fn mount_and(&mut self, first: &str) {
        let mount = match self.disk {
            Disk::Ext4 => "mount -o loop image state && chmod 0700 state",
            Disk::Small => "mount -t tmpfs -o size=256k,mode=0700 tmpfs state",
        };
        let script = format!("{mount} && {first} exec \"$0\" \"$@\"");
        let unshare = installed("unshare", "util-linux");
        let unshare = unshare.to_str().unwrap();
        self.doorward.wrap(&[unshare, "--mount", "--propagation", "private", "sh", "-c", &script]);
    }

    /// Ends it without warning; the disk goes on.
    pub(crate) fn kill(&mut self) {
        self.doorward.kill_nine();
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
        self.folder().join("state")
    }

    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.disk().join("gateway-token")).unwrap().trim().to_owned()
    }
}

impl<'a> Deref for OnDisk<'a> {
    type Target = Instance<'a>;

    fn deref(&self) -> &Instance<'a> {
        &self.doorward
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
