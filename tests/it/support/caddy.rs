//! Caddy's own ACME server: a CA of another make than Pebble. It looks for challenges on ports 80 and 443 of the name only, so it
//! runs on a machine of the test's own, with a private `/etc/hosts`.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::caller::Caller;
use super::namespace::Namespace;
use super::program;
use super::wait::until;

/// A running Caddy with its CA; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Caddy {
    folder: TempDir,
    child: Child,
}

impl Caddy {
    /// Its CA's directory.
    pub(crate) const DIRECTORY: &str = "https://127.0.0.1:14443/acme/local/directory";

    /// Starts it on this machine, where `name` leads to 127.0.0.1.
    pub(crate) fn start(machine: &Namespace, name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("caddy-").tempdir().unwrap();
        let path = |file: &str| folder.path().join(file);
        let config = json!({
            "admin": {"disabled": true},
            "storage": {"module": "file_system", "root": path("data")},
            "apps": {
                "http": {"servers": {"ca": {
                    "listen": ["127.0.0.1:14443"],
                    "routes": [{"handle": [{"handler": "acme_server"}]}],
                    "tls_connection_policies": [{"default_sni": "127.0.0.1"}],
                    "automatic_https": {"disable_redirects": true},
                }}},
                "pki": {"certificate_authorities": {"local": {"install_trust": false}}},
                "tls": {
                    "certificates": {"automate": ["127.0.0.1"]},
                    "automation": {"policies": [{"subjects": ["127.0.0.1"], "issuers": [{"module": "internal"}]}]},
                },
            },
        });
        fs::write(path("caddy.json"), config.to_string()).unwrap();
        fs::write(path("hosts"), format!("127.0.0.1 localhost {name}\n")).unwrap();
        let log = File::create(path("log")).unwrap();
        let mut command = machine.command(&program::installed("unshare", "util-linux"));
        command.args(["--mount", "sh", "-c", "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"", "sh"]);
        command.arg(path("hosts")).arg(program::installed("caddy", "caddy")).args(["run", "--config"]);
        command.arg(path("caddy.json")).env("HOME", folder.path());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let caddy = Self { folder, child };
        // It listens before it has a certificate of its own: who asks then is refused, and waits before asking again.
        let answers = |root: String| {
            let asking = move || Caller::trusting("127.0.0.1:14443", &root).get("/acme/local/directory", &[]);
            machine.on(asking).is_ok_and(|answer| answer.status == 200)
        };
        until(|| fs::read_to_string(caddy.root_file()).is_ok_and(answers), || caddy.log());
        caddy
    }

    /// The file with its root.
    pub(crate) fn root_file(&self) -> String {
        self.folder.path().join("data/pki/authorities/local/root.crt").to_str().unwrap().to_owned()
    }

    /// That root, in PEM.
    pub(crate) fn root(&self) -> String {
        fs::read_to_string(self.root_file()).unwrap()
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- caddy's log ----\n{}", self.log());
        }
    }
}
