//! Programs that the tests need besides Rust. A missing one fails the test and says what to install: a test that
//! cannot run has shown nothing.

use std::path::PathBuf;
use std::process::{Command, Output};

/// The path of an installed program, or a failure that names the Debian package.
pub(crate) fn installed(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package} (tests/run does it as root)"))
}

/// Runs a command to its end; anything but success fails the test with the command and its words.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed ({})\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
