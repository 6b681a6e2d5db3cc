//! Promise: the admin socket answers its owner and root, nobody else, also where a folder's mode was loosened.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::program::installed;
use crate::support::wait::wait_until;

#[test]
fn the_admin_socket_refuses_another_user() {
    let host = Namespace::new();
    let doorward = Instance::stopped(&host, "");
    let runtime = tempfile::tempdir().unwrap();
    fs::set_permissions(runtime.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where everybody can run it.
    let binary = runtime.path().join("doorward");
    fs::copy(env!("CARGO_BIN_EXE_doorward"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();

    let log = runtime.path().join("log");
    let mut command = host.command(&binary);
    command.arg("--config").arg(doorward.folder().join("doorward.toml")).arg("run");
    command.env("RUNTIME_DIRECTORY", runtime.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
    wait_until(|| doorward.command(&["status"]).status.success());
    let socket = runtime.path().join("admin.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();

    let as_user = |uid: &str| {
        let mut command = Command::new(installed("setpriv", "util-linux"));
        command
            .args([&format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups"])
            .arg(&binary)
            .arg("status");
        command.env("RUNTIME_DIRECTORY", runtime.path()).env("DOORWARD_STATE", runtime.path().join("none"));
        command.env_remove("DOORWARD_CONFIG").current_dir("/").output().unwrap()
    };
    let own = as_user("0");
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stderr));
    let other = as_user("65534");
    let words = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(!words.contains("setpriv:"), "another user is needed, and here is none: run tests/run as root: {words}");
    assert_eq!(other.status.code(), Some(1), "{words}");
    assert!(words.contains("cannot be asked") && other.stdout.is_empty(), "{words}");
    wait_until(|| fs::read_to_string(&log).unwrap().contains("admin socket refused a foreign user"));

    child.kill().unwrap();
    child.wait().unwrap();
}
