//! Machines made of network namespaces: each has its own loopback, addresses, routes and packet filter. They are
//! removed when the value is dropped, also after a panic; what a killed run left behind goes at the next start.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::program;

static COUNT: AtomicU32 = AtomicU32::new(0);
static SWEEP: Once = Once::new();

/// One machine.
#[derive(Debug)]
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// A new machine with only its loopback.
    pub(crate) fn new() -> Self {
        SWEEP.call_once(sweep);
        let name = format!("dw-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        assert!(
            rustix::process::geteuid().is_root(),
            "network namespaces need root: run tests/run, which makes a user namespace for anybody else"
        );
        program::run(ip().args(["netns", "add", &name]));
        let machine = Self { name };
        machine.ip("link set lo up");
        machine
    }

    /// Where the kernel shows this namespace.
    pub(crate) fn file(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// `ip` on this machine.
    pub(crate) fn ip(&self, arguments: &str) {
        program::run(ip().args(["-n", &self.name]).args(arguments.split_whitespace()));
    }

    /// Gives a link of this machine an address, usable at once.
    pub(crate) fn address(&self, link: &str, address: &str) {
        let wait = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {link}{wait}"));
        self.ip(&format!("link set {link} up"));
    }

    /// A cable between two machines: `ours` here, `theirs` there.
    pub(crate) fn cable(&self, ours: &str, other: &Self, theirs: &str) {
        self.ip(&format!("link add {ours} type veth peer name {theirs} netns {}", other.name));
    }

    /// A command that will run on this machine.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program::installed("nsenter", "util-linux"));
        command.arg(format!("--net={}", self.file().display())).arg("--").arg(program);
        command
    }

    /// `iptables`, or `ip6tables`, on this machine.
    pub(crate) fn filter(&self, tool: &str, arguments: &str) {
        let tool = program::installed(tool, "iptables");
        program::run(self.command(&tool).arg("--wait").args(arguments.split_whitespace()));
    }

    /// A kernel setting of this machine.
    pub(crate) fn sysctl(&self, setting: &str) {
        program::run(self.command(&program::installed("sysctl", "procps")).args(["-q", "-w", setting]));
    }

    /// Starts `task` on a thread of its own that lives on this machine.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = File::open(self.file()).unwrap();
        std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            task()
        })
    }

    /// Runs `task` on this machine to its end; a panic there is one here.
    pub(crate) fn on<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(task).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a future on this machine, on a runtime of its own.
    pub(crate) fn block_on<F>(&self, make: impl FnOnce() -> F + Send + 'static) -> F::Output
    where
        F: Future<Output: Send + 'static>,
    {
        self.on(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(make())
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Never a panic in a drop that may run because of one: the next start sweeps what stays.
        let _ = ip().args(["netns", "delete", &self.name]).output();
    }
}

fn ip() -> Command {
    Command::new(program::installed("ip", "iproute2"))
}

/// Removes the machines of test runs that are gone.
fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix("dw-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = ip().args(["netns", "delete", &name]).output();
        }
    }
}
