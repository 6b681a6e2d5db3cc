//! Somebody with a Chromium and a database of certificates of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::program::{installed, run};

/// Who sits in front of a browser; it is to run with `HOME` at [`home`](Self::home).
pub(crate) struct Person(TempDir);

impl Person {
    /// Trusts what every browser does.
    pub(crate) fn new() -> Self {
        let person = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(person.database()).unwrap();
        run(person.certutil().args(["-N", "--empty-password"]));
        person
    }

    /// Trusts what the CA in the file `authority` has signed, too.
    pub(crate) fn trust(&self, authority: &Path) {
        run(self.certutil().args(["-A", "-t", "C,,", "-n", "household", "-i"]).arg(authority));
    }

    pub(crate) fn home(&self) -> &Path {
        self.0.path()
    }

    fn certutil(&self) -> Command {
        let mut command = Command::new(installed("certutil", "libnss3-tools"));
        command.arg("-d").arg(format!("sql:{}", self.database().display()));
        command
    }

    fn database(&self) -> PathBuf {
        self.0.path().join(".pki/nssdb")
    }
}
