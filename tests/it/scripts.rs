//! The scripts tell what they do before they do anything, and trouble the package manager once.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

#[test]
fn help_is_the_head_comment_and_nothing_is_done() {
    for script in ["deploy/run", "tests/fuzz/run", "tests/run"] {
        let text = std::fs::read_to_string(root().join(script)).unwrap();
        let comment = text.lines().skip(1).map_while(|line| line.strip_prefix('#'));
        let expected: String = comment.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
        for option in ["-h", "--help"] {
            let home = tempfile::tempdir().unwrap();
            // No more than this is here, so that whatever began to work would fail and change nothing.
            let tools = tempfile::tempdir().unwrap();
            for tool in ["dirname", "sed"] {
                symlink(Path::new("/usr/bin").join(tool), tools.path().join(tool)).unwrap();
            }
            let mut command = Command::new("/bin/bash");
            command.arg(root().join(script)).arg(option).current_dir("/").env("HOME", home.path());
            let output = command.env("PATH", tools.path()).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{script} {option}: {output:?}");
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{script} {option}");
            assert!(output.stderr.is_empty(), "{script} {option}: {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(home.path().read_dir().unwrap().count(), 0);
        }
    }
}

#[test]
fn package_lists_are_read_once_and_everything_is_installed_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // The script's own functions, with every hand that would touch this machine replaced.
    let script = format!(
        r#"
        set -euo pipefail
        . deploy/toolchain.sh
        policy={}/policy-rc.d
        id() {{ echo 0; }}
        grep() {{ return 0; }}
        command() {{ [ "$2" = apt-get ]; }}
        rust_found() {{ :; }}
        debian_has() {{ [ "$updated" = yes ]; }}
        apt_get() {{ echo "apt-get $*"; }}
        need git git
        need haproxy haproxy
        find_toolchain checks 2>/dev/null
        "#,
        folder.path().display()
    );
    let output = Command::new("/bin/bash").arg("-c").arg(script).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let [update, install] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert_eq!(*update, "apt-get update");
    let install: Vec<_> = install.split(' ').collect();
    for package in
        ["git", "haproxy", "cmake", "gcc", "make", "rustc-web", "cargo-web", "rustfmt-web", "rust-web-clippy"]
    {
        assert!(install.contains(&package), "{package} is not in {install:?}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "the policy file is gone");
}

#[test]
fn what_the_run_script_is_given_is_found_where_its_user_stands() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    for part in ["deploy", "target/release", "elsewhere"] {
        std::fs::create_dir_all(tree.join(part)).unwrap();
    }
    std::fs::copy(root().join("deploy/run"), tree.join("deploy/run")).unwrap();
    // Nothing is built here: what would be is a program that says where it was started, and with what.
    let toolchain = root().join("deploy/toolchain.sh");
    let ready = format!(". '{}'\nfind_toolchain() {{ :; }}\ncargo() {{ :; }}\n", toolchain.display());
    std::fs::write(tree.join("deploy/toolchain.sh"), ready).unwrap();
    let binary = tree.join("target/release/doorward");
    std::fs::write(&binary, "#!/bin/sh\necho \"$(cat \"$3\") $*\"\n").unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(tree.join("elsewhere/mine.toml"), "mine").unwrap();

    let mut command = Command::new("/bin/bash");
    command.args(["../deploy/run", "--config", "mine.toml"]).current_dir(tree.join("elsewhere"));
    let output = command.env_remove("CARGO_TARGET_DIR").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "mine run --config mine.toml\n");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
