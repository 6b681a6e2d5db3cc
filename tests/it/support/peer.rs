//! Real servers in front of us: HAProxy and nginx, each with a configuration of the test's own, on one machine.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::namespace::Namespace;
use super::program;

const START_WAIT: Duration = Duration::from_secs(15);

/// A running server; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) child: Child,
    folder: TempDir,
}

/// Starts HAProxy; `configuration` holds its frontends and backends.
pub(crate) fn haproxy(machine: &Namespace, configuration: &str, ready: &str) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let defaults =
        "global\n  maxconn 6000\ndefaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n";
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, format!("{defaults}{configuration}")).unwrap();
    let mut command = machine.command(&program::installed("haproxy", "haproxy"));
    command.arg("-db").arg("-f").arg(file);
    started(machine, command, folder, ready)
}

/// Starts nginx; `servers` holds the `server` blocks of its `http` block.
pub(crate) fn nginx(machine: &Namespace, servers: &str, ready: &str) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("  {what}_temp_path {what};\n"))
        .concat();
    let file = folder.path().join("nginx.conf");
    let whole = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr warn;\nevents {{ worker_connections 11264; }}\n\
         http {{\n  access_log off;\n{temporary}{servers}\n}}\n"
    );
    fs::write(&file, whole).unwrap();
    let mut command = machine.command(&program::installed("nginx", "nginx-light"));
    command.arg("-p").arg(folder.path()).arg("-e").arg("stderr").arg("-c").arg(file);
    started(machine, command, folder, ready)
}

/// Starts Caddy; `sites` are the site blocks of its Caddyfile, plain HTTP.
pub(crate) fn caddy(machine: &Namespace, sites: &str, ready: &str) -> Peer {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Caddyfile");
    fs::write(&file, format!("{{\n  admin off\n  auto_https off\n}}\n{sites}")).unwrap();
    let mut command = machine.command(&program::installed("caddy", "caddy"));
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", folder.path());
    started(machine, command, folder, ready)
}

/// Spawns the server and waits until it takes connections at `ready`, as seen from its own machine.
fn started(machine: &Namespace, mut command: Command, folder: TempDir, ready: &str) -> Peer {
    let log = File::create(folder.path().join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut peer = Peer { child: command.spawn().unwrap(), folder };
    let address: SocketAddr = ready.parse().unwrap();
    let start = Instant::now();
    while machine.on(move || TcpStream::connect_timeout(&address, Duration::from_secs(1))).is_err() {
        let gone = peer.child.try_wait().unwrap();
        assert!(gone.is_none(), "{command:?} ended ({}):\n{}", gone.unwrap(), peer.log());
        assert!(start.elapsed() < START_WAIT, "{command:?} does not listen on {ready}:\n{}", peer.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    peer
}

impl Peer {
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- the peer's log ----\n{}", self.log());
        }
    }
}
