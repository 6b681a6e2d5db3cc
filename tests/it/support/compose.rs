//! A deployment of `deploy/compose/`, started by a real Docker Compose as its owner would: a copy of the folder with his
//! names in it, a `.env`, `up`. What stands in for images that cannot be pulled is said in a file beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::docker::Engine;
use super::openclaw::from_cache;
use super::program::run;
use super::systemd::deployed;
use super::wait::until;

/// The gateway's token, in `.env` and nowhere else.
pub(crate) const TOKEN: &str = "0f6c1d7e58a94b23b1ce7a40d9e25c83";

/// One that is up; it is taken down when dropped, with all that it kept.
#[derive(Debug)]
pub(crate) struct Deployment<'a> {
    engine: &'a Engine<'a>,
    folder: PathBuf,
    files: Vec<&'static str>,
}

impl<'a> Deployment<'a> {
    /// A copy of `deploy/compose/NAME`, in which each of these texts of `doorward.toml` gives way to the owner's.
    pub(crate) fn of(engine: &'a Engine<'a>, name: &str, edits: &[(&str, &str)], image: &str) -> Self {
        let place = engine.folder().join("compose");
        if !place.exists() {
            run(Command::new("cp").arg("-r").arg(deployed("compose")).arg(&place));
        }
        let folder = place.join(name);
        let mut configuration = fs::read_to_string(folder.join("doorward.toml")).unwrap();
        for (text, own) in edits {
            assert!(configuration.contains(text), "{name} has no {text}:\n{configuration}");
            configuration = configuration.replace(text, own);
        }
        fs::write(folder.join("doorward.toml"), configuration).unwrap();
        fs::write(folder.join(".env"), format!("OPENCLAW_GATEWAY_TOKEN={TOKEN}\nOPENCLAW_IMAGE={image}\n")).unwrap();
        fs::write(folder.join("stand-in.yaml"), "services: {}\n").unwrap();
        Self { engine, folder, files: vec!["compose.yaml", "stand-in.yaml"] }
    }

    /// With these files in place of `compose.yaml`.
    pub(crate) fn by_files(mut self, files: &[&'static str]) -> Self {
        self.files = files.to_vec();
        self
    }

    /// With these lines more in `.env`, and this beside the shipped file.
    pub(crate) fn with(self, environment: &str, stand_in: &str) -> Self {
        let file = self.folder.join(".env");
        fs::write(&file, fs::read_to_string(&file).unwrap() + environment).unwrap();
        fs::write(self.folder.join("stand-in.yaml"), stand_in).unwrap();
        self
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `docker compose` with these arguments.
    pub(crate) fn compose(&self, arguments: &[&str]) -> Output {
        let program = from_cache(Path::new("compose-2/docker-compose"), "tests/peers/compose");
        let mut command = self.engine.host().command(&program);
        command.args(self.files.iter().flat_map(|file| ["--file", file])).args(arguments);
        command.env("DOCKER_HOST", self.engine.at()).current_dir(&self.folder).stdin(Stdio::null()).output().unwrap()
    }

    /// The same, which must succeed; its standard output, trimmed.
    pub(crate) fn said(&self, arguments: &[&str]) -> String {
        let output = self.compose(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker compose {arguments:?}: {stderr}\n{}", self.log());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts it, and waits until these services are healthy.
    pub(crate) fn up(&self, healthy: &[&str]) {
        self.said(&["up", "--detach"]);
        for service in healthy {
            until(|| self.container(service)["State"]["Health"]["Status"] == "healthy", || self.log());
        }
    }

    /// What the engine knows of a service's container.
    pub(crate) fn container(&self, service: &str) -> Value {
        let id = self.said(&["ps", "--all", "--quiet", service]);
        let found: Value = serde_json::from_str(&self.engine.said(&["inspect", &id])).unwrap();
        found[0].clone()
    }

    /// The ports of the host at which a service is published, as `ADDRESS:PORT`, each once: where it is all addresses of
    /// the host, the engine names those of IPv6 apart.
    pub(crate) fn published(&self, service: &str) -> Vec<String> {
        let container = self.container(service);
        let ports = container["NetworkSettings"]["Ports"].as_object().cloned().unwrap_or_default();
        let bound = ports.values().filter_map(Value::as_array).flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut bound: Vec<_> =
            bound.map(|port| format!("{}:{}", text(&port["HostIp"]), text(&port["HostPort"]))).collect();
        for address in bound.iter_mut().filter(|address| address.starts_with(":::")) {
            *address = address.replacen("::", "0.0.0.0", 1);
        }
        bound.sort();
        bound.dedup();
        bound
    }

    /// A doorward command inside.
    pub(crate) fn doorward(&self, arguments: &[&str]) -> String {
        self.said(&[&["exec", "-T", "doorward", "doorward"], arguments].concat())
    }

    /// Everything its services have logged.
    pub(crate) fn log(&self) -> String {
        let output = self.compose(&["--ansi", "never", "logs", "--no-color", "--tail", "400"]);
        let containers = self.compose(&["ps", "--all"]);
        String::from_utf8_lossy(&[containers.stdout, output.stdout, output.stderr].concat()).into_owned()
    }
}

impl Drop for Deployment<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the deployment's log ----\n{}", self.log());
        }
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}
