//! What runtimes leave in containers, and what they leave on their hosts.

use super::*;

const ID: &str = "6f3a0d5c3b1e4f0a9d8c7b6a5f4e3d2c1b0a99887766554433221100ffeeddcc";

fn of_cgroup(cgroup: &str) -> Option<Container> {
    Container::detect(&Traces { cgroup, ..Traces::default() })
}

fn of_mount(mountinfo: &str) -> Option<Container> {
    Container::detect(&Traces { mountinfo, ..Traces::default() })
}

#[test]
fn a_runtimes_cgroup_is_a_container_and_its_daemon_is_not() {
    for path in [
        format!("12:memory:/docker/{ID}"),
        format!("0::/system.slice/docker-{ID}.scope"),
        format!("0::/machine.slice/libpod-{ID}.scope/container"),
        format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
        format!("1:name=systemd:/kubepods/besteffort/pod0f3e/{ID}"),
        format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
        "0::/lxc.payload.web/system.slice/doorward.service".to_owned(),
    ] {
        let cgroup = format!("9:name=systemd:/\n8:pids:/\n{path}\n");
        assert_eq!(of_cgroup(&cgroup), Some(Container::Cgroup), "{path}");
    }
    for host in [
        "",
        "0::/",
        "0::/init.scope",
        "0::/system.slice/docker.service",
        "0::/system.slice/docker-compose@claw.service",
        "0::/system.slice/containerd.service",
        "0::/user.slice/user-1000.slice/session-3.scope",
        "0::/docker/not-an-id",
        "garbage",
    ] {
        assert_eq!(of_cgroup(host), None, "{host}");
    }
}

#[test]
fn a_runtimes_mounts_are_a_container_and_the_roots_it_keeps_for_others_are_not() {
    let hosts = format!("/var/lib/docker/containers/{ID}/hosts");
    for line in [
        format!("612 611 254:1 {hosts} /etc/hosts rw,relatime - ext4 /dev/vda1 rw"),
        "700 699 0:51 / / rw,relatime master:3 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB:/var/lib/\
         docker/overlay2/l/CD,upperdir=/var/lib/docker/overlay2/ef/diff,workdir=/var/lib/docker/overlay2/ef/work"
            .to_owned(),
        "801 620 0:60 / / rw,relatime - fuse.fuse-overlayfs fuse-overlayfs rw,lowerdir=/home/a/.local/share/containers/\
         storage/overlay/l/X"
            .to_owned(),
        "900 1 0:9 / / rw - overlay overlay rw,lowerdir=/run/containerd/io.containerd.runtime.v2.task/k8s.io/x".to_owned(),
        format!("44 40 0:25 /containers/storage/overlay-containers/{ID}/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw"),
        "45 40 8:1 /var/lib/kubelet/pods/0f/etc-hosts /etc/hosts rw - ext4 /dev/sda1 rw".to_owned(),
    ] {
        assert_eq!(of_mount(&format!("1 0 0:2 / /proc rw - proc proc rw\n{line}\n")), Some(Container::Mount), "{line}");
    }
    for host in [
        "26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
        "26 1 0:22 / / rw,relatime - overlay overlay rw,lowerdir=/media/rom,upperdir=/media/rw/upper",
        "300 26 0:51 / /var/lib/docker/overlay2/ef/merged rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB",
        "301 26 254:1 /srv/hosts /etc/hosts rw - ext4 /dev/vda1 rw",
        "302 26 0:4 net:[4026532200] /run/docker/netns/0f rw - nsfs nsfs rw",
        "garbage",
    ] {
        assert_eq!(of_mount(host), None, "{host}");
    }
}

#[test]
fn a_mark_is_enough_and_is_named() {
    for mark in Mark::ALL {
        let found = Container::detect(&Traces { marks: &[mark], ..Traces::default() });
        assert_eq!(found, Some(Container::Marked(mark)));
        assert_eq!(found.unwrap().to_string(), mark.path());
    }
    assert_eq!(Container::detect(&Traces::default()), None);
}

#[test]
fn only_the_whole_range_is_the_machines_own() {
    assert_eq!(Users::of("         0          0 4294967295\n"), Users::Machine);
    for mapped in [
        // Rootless Docker and Podman; `--userns=keep-id`; userns-remap; a map that cannot be read.
        "0 1000 1\n1 100000 65536\n",
        "0 1 1000\n1000 0 1\n1001 1001 64536\n",
        "0 165536 65536\n",
        "",
    ] {
        assert_eq!(Users::of(mapped), Users::Mapped, "{mapped:?}");
    }
}
