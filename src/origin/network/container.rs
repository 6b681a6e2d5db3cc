//! Whether we run in a container, by what its runtime leaves behind. Pure: text goes in, a proof comes out.
//!
//! Promise: a machine that only runs containers is none itself: its mounts of other root file systems, and a daemon's
//! own cgroup, prove nothing.

use std::fmt;

/// What a runtime leaves in a container, as far as it could be read; what could not be is empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traces<'a> {
    /// Marks that exist as files.
    pub marks: &'a [Mark],
    /// The text of `/proc/self/cgroup`.
    pub cgroup: &'a str,
    /// The text of `/proc/self/mountinfo`.
    pub mountinfo: &'a str,
}

/// An empty file that says so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// Podman's.
    Containerenv,
    /// Docker's.
    Dockerenv,
}

impl Mark {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Containerenv, Self::Dockerenv];

    /// Where it lies.
    pub fn path(self) -> &'static str {
        match self {
            Self::Containerenv => "/run/.containerenv",
            Self::Dockerenv => "/.dockerenv",
        }
    }
}

/// How we know that we run in a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Container {
    /// Our cgroup is one that a runtime makes.
    Cgroup,
    /// A runtime mounted our `/etc/hosts` or our root.
    Mount,
    /// A runtime's mark.
    Marked(Mark),
}

impl Container {
    /// The first proof among `traces`, if there is any.
    pub fn detect(traces: &Traces<'_>) -> Option<Self> {
        let marked = || traces.marks.first().copied().map(Self::Marked);
        let mounted = || traces.mountinfo.lines().any(is_runtime_mount).then_some(Self::Mount);
        let grouped = || traces.cgroup.lines().any(is_runtime_cgroup).then_some(Self::Cgroup);
        marked().or_else(mounted).or_else(grouped)
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cgroup => f.write_str("the cgroup"),
            Self::Mount => f.write_str("the mounts"),
            Self::Marked(mark) => f.write_str(mark.path()),
        }
    }
}

/// Whose the users of our namespace are, by `/proc/self/uid_map`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Users {
    /// The machine's own: root here is root there.
    #[default]
    Machine,
    /// Others stand for them there, as under a rootless runtime: what forwards ports to us may then stand in a network that
    /// we cannot reach.
    Mapped,
}

impl Users {
    /// What the text says; anything but the machine's own whole range counts as mapped.
    pub fn of(uid_map: &str) -> Self {
        let whole = uid_map.split_whitespace().eq(["0", "0", "4294967295"]);
        if whole { Self::Machine } else { Self::Mapped }
    }
}

/// Characters of a container's id, at least.
const ID_CHARS_MIN: usize = 32;

/// `hierarchy:controllers:path`.
fn is_runtime_cgroup(line: &str) -> bool {
    let Some(path) = line.splitn(3, ':').nth(2) else { return false };
    let mut before = "";
    path.split('/').any(|name| {
        let made = is_runtime_scope(name) || (is_id(name) && ["docker", "libpod_parent"].contains(&before));
        before = name;
        made
    })
}

fn is_runtime_scope(name: &str) -> bool {
    let of =
        |prefix: &str| name.strip_prefix(prefix).is_some_and(|rest| is_id(rest.strip_suffix(".scope").unwrap_or(rest)));
    let named = ["kubepods", "kubepods.slice"].contains(&name) || name.starts_with("lxc.payload");
    named || ["docker-", "libpod-", "cri-containerd-", "crio-", "nerdctl-"].into_iter().any(of)
}

fn is_id(text: &str) -> bool {
    text.len() >= ID_CHARS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `id parent device root mount-point options [fields] - type source super-options` (proc_pid_mountinfo(5)).
fn is_runtime_mount(line: &str) -> bool {
    let Some((own, file_system)) = line.split_once(" - ") else { return false };
    let mut own = own.split(' ').skip(3);
    let (Some(root), Some(point)) = (own.next(), own.next()) else { return false };
    let mut file_system = file_system.split(' ');
    let (kind, options) = (file_system.next(), file_system.nth(1).unwrap_or_default());
    match point {
        // The runtime writes the container's own, and binds it there.
        "/etc/hosts" => {
            ["/containers/", "/overlay-containers/", "/kubelet/pods/"].iter().any(|part| root.contains(part))
        }
        "/" => {
            let stores = ["/docker/", "/containers/storage/", "/containerd/", "io.containerd."];
            kind.is_some_and(|kind| kind.contains("overlay")) && stores.iter().any(|store| options.contains(store))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
