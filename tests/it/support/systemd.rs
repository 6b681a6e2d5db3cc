//! A real systemd as the first process of a machine of its own, with our service installed as an owner would. Nothing of
//! it reaches the tester's own system: `/etc`, `/run`, `/var/lib`, `/tmp` and the binary's place are in memory there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::namespace::Namespace;
use super::program::installed;

const START_WAIT: Duration = Duration::from_secs(60);

/// What makes the machine: `$1` has what is installed, `$2` is our binary. Both kinds of control groups are served.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
for folder in /run /var/lib /usr/local/bin; do
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
mkdir -p /run/systemd/system /run/lock /run/etc
cp -a /etc/. /run/etc
mount --bind /run/etc /etc
install -m 755 "$2" /usr/local/bin/doorward
install -D -m 644 "$1/doorward.toml" /etc/doorward/doorward.toml
install -D -m 644 "$1/doorward.sysusers" /etc/sysusers.d/doorward.conf
install -D -m 644 "$1/doorward.service" /etc/systemd/system/doorward.service
systemd-sysusers /etc/sysusers.d/doorward.conf
# Last: what was copied may lie there.
mount -t tmpfs tmpfs /tmp
# Of the tester's own system nothing starts: a target of our own, and empty ones for all that a service waits for.
for unit in idle sysinit basic network-online shutdown; do
    printf '[Unit]\nDefaultDependencies=no\n' >"/etc/systemd/system/$unit.target"
done
mount -t proc proc /proc
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    umount -R /sys/fs/cgroup
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/unified /sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi
exec env -i container=test PATH="$PATH" "$3" --system --unit=idle.target --log-target=console --show-status=no
"#;

/// The machine; it ends with everything on it when dropped.
#[derive(Debug)]
pub(crate) struct Systemd<'a> {
    machine: &'a Namespace,
    folder: TempDir,
    child: Child,
    first: u32,
}

impl<'a> Systemd<'a> {
    /// Boots `machine` with this unit and this configuration.
    pub(crate) fn boot(machine: &'a Namespace, unit: &str, configuration: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let install = folder.path().join("install");
        fs::create_dir(&install).unwrap();
        fs::write(install.join("doorward.service"), unit).unwrap();
        fs::write(install.join("doorward.toml"), configuration).unwrap();
        fs::copy(deployed("doorward.sysusers"), install.join("doorward.sysusers")).unwrap();
        fs::write(folder.path().join("boot"), BOOT).unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = machine.command(&installed("unshare", "util-linux"));
        command.args(["--mount", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "sh"]);
        command.arg(folder.path().join("boot")).args([&install, Path::new(env!("CARGO_BIN_EXE_doorward"))]);
        command.arg(systemd()).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut system = Self { machine, child: command.spawn().unwrap(), folder, first: 0 };
        let start = Instant::now();
        loop {
            let gone = system.child.try_wait().unwrap();
            assert!(gone.is_none(), "systemd ended at start ({}):\n{}", gone.unwrap(), system.log());
            system.first = system.only_child().unwrap_or_default();
            let state = system.first != 0 && system.run("systemctl", &["is-system-running"]).stdout == b"running\n";
            if state {
                return system;
            }
            assert!(start.elapsed() < START_WAIT, "systemd does not run:\n{}", system.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The process that `unshare` made, seen from here.
    fn only_child(&self) -> Option<u32> {
        let id = self.child.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?.trim().parse().ok()
    }

    /// A program on this machine, as root.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(installed("nsenter", "util-linux"));
        command.args(["--target", &self.first.to_string(), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]);
        command.arg("--").arg(program).args(arguments).stdin(Stdio::null()).env_remove("DOORWARD_CONFIG");
        command.output().unwrap()
    }

    /// The same, which must succeed; its standard output.
    pub(crate) fn words(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {stderr}\n{}\n{}", self.status(), self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// A doorward command as its user.
    pub(crate) fn doorward(&self, arguments: &[&str]) -> Output {
        let config = ["-u", "doorward", "--", "/usr/local/bin/doorward", "--config", "/etc/doorward/doorward.toml"];
        self.run("runuser", &[&config, arguments].concat())
    }

    /// One property of our service.
    pub(crate) fn property(&self, name: &str) -> String {
        let words = self.words("systemctl", &["show", "--value", "--property", name, "doorward.service"]);
        words.trim().to_owned()
    }

    /// One line of our process's status, as its kernel tells it.
    pub(crate) fn process(&self, line: &str) -> String {
        let status = self.words("cat", &[&format!("/proc/{}/status", self.property("MainPID"))]);
        let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("no {line}: {status}")).trim().to_owned()
    }

    /// Writes the configuration anew.
    pub(crate) fn configure(&self, configuration: &str) {
        let write = "printf %s \"$1\" >/etc/doorward/doorward.toml";
        self.words("sh", &["-c", write, "sh", configuration]);
    }

    /// What the service manager says of our service.
    pub(crate) fn status(&self) -> String {
        let output = self.run("systemctl", &["status", "--no-pager", "--full", "doorward.service"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What systemd has said, and doorward, whose unit here says `StandardError=append:/run/doorward.log`.
    pub(crate) fn log(&self) -> String {
        let doorward = self.run("cat", &["/run/doorward.log"]).stdout;
        let systemd = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        format!("{systemd}\n{}", String::from_utf8_lossy(&doorward))
    }

    /// Where it runs.
    pub(crate) fn machine(&self) -> &Namespace {
        self.machine
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- systemd's log ----\n{}", self.log());
        }
        // --kill-child: with it goes the first process, and with that every other.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of `deploy/`.
pub(crate) fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// systemd itself, which is on no PATH.
pub(crate) fn systemd() -> PathBuf {
    let places = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
    let found = places.iter().map(PathBuf::from).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no systemd here: apt-get install systemd (tests/run does it as root)"))
}
