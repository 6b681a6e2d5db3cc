//! Debian's BIND with a zone that whoever has its key may change, and what the world is told of it.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::namespace::Namespace;
use super::program;

const START_WAIT: Duration = Duration::from_secs(30);

/// A key that may change TXT records below every zone, one that the server knows and lets change nothing, one of the first
/// one's name with another secret, and one that it does not know.
pub(crate) const KEY: &str = "key \"acme\" { algorithm hmac-sha256; secret \"b25lIGtleSBmb3IgdGhlIGRvb3I=\"; };";
pub(crate) const KEY_512: &str =
    "key \"acme-512\" { algorithm hmac-sha512; secret \"YSBsb25nZXIga2V5IGZvciB0aGUgZG9vcg==\"; };";
pub(crate) const IDLE_KEY: &str = "key \"idle\" { algorithm hmac-sha256; secret \"bm90aGluZyBvcGVucyBieSBtZQ==\"; };";
pub(crate) const OTHER_SECRET: &str = "key \"acme\" { algorithm hmac-sha256; secret \"YW5vdGhlciBzZWNyZXQ=\"; };";
pub(crate) const STRANGE_KEY: &str =
    "key \"stranger\" { algorithm hmac-sha256; secret \"b25lIGtleSBmb3IgdGhlIGRvb3I=\"; };";

/// A running name server on port 53 of one address; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Bind<'a> {
    machine: &'a Namespace,
    folder: TempDir,
    address: &'static str,
    child: Option<Child>,
}

impl<'a> Bind<'a> {
    /// A primary of `zones`: each with its name servers' addresses, and further records.
    pub(crate) fn primary(machine: &'a Namespace, zones: &[(&str, &[&str], &str)]) -> Self {
        Self::of_zones(machine, zones, "recursion no;")
    }

    /// A primary that also follows aliases from one zone to the next, as a resolver does.
    pub(crate) fn resolver(machine: &'a Namespace, zones: &[(&str, &[&str], &str)]) -> Self {
        Self::of_zones(machine, zones, "recursion yes;")
    }

    fn of_zones(machine: &'a Namespace, zones: &[(&str, &[&str], &str)], options: &str) -> Self {
        let bind = Self::prepare(machine, "127.0.0.1");
        let mut config = String::new();
        for (zone, servers, records) in zones {
            let mut text = format!("$TTL 1\n@ IN SOA ns1.{zone}. root.{zone}. 1 2 1 3600 1\n{records}\n");
            for (index, server) in servers.iter().enumerate() {
                let index = index + 1;
                text.push_str(&format!("@ IN NS ns{index}.{zone}.\nns{index} IN A {server}\n"));
            }
            bind.write(&format!("{zone}.zone"), &text);
            config.push_str(&format!(
                "zone \"{zone}\" {{ type primary; file \"{zone}.zone\"; notify no;\n\
                 update-policy {{ grant acme zonesub TXT; grant acme-512 zonesub TXT; }}; }};\n"
            ));
        }
        bind.run(options, &config)
    }

    /// A secondary on 127.0.0.2 that looks every few seconds for what the primary has.
    pub(crate) fn secondary(machine: &'a Namespace, zone: &str) -> Self {
        // named listens on addresses that a link has; the whole of 127.0.0.0/8 is not that.
        machine.address("lo", "127.0.0.2/8");
        let bind = Self::prepare(machine, "127.0.0.2");
        bind.run(
            "recursion no;",
            &format!("zone \"{zone}\" {{ type secondary; primaries {{ 127.0.0.1; }}; file \"{zone}.copy\"; }};\n"),
        )
    }

    fn prepare(machine: &'a Namespace, address: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("bind-").tempdir().unwrap();
        Self { machine, folder, address, child: None }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn run(mut self, options: &str, zones: &str) -> Self {
        let (folder, address) = (self.folder.path().display().to_string(), self.address);
        self.write(
            "named.conf",
            &format!(
                "options {{ directory \"{folder}\"; pid-file none; session-keyfile \"{folder}/session.key\"; lock-file none;\n\
                 listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; {options} dnssec-validation no;\n\
                 allow-transfer {{ any; }}; min-refresh-time 2; max-refresh-time 3; }};\n\
                 controls {{ }};\n{KEY}\n{KEY_512}\n{IDLE_KEY}\n{zones}"
            ),
        );
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = self.machine.command(&program::installed("named", "bind9"));
        command.args(["-g", "-n", "1", "-c", &format!("{folder}/named.conf")]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let (socket, start): (SocketAddr, _) = (format!("{address}:53").parse().unwrap(), Instant::now());
        while self.machine.on(move || TcpStream::connect(socket)).is_err() {
            assert!(start.elapsed() < START_WAIT, "named does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        self
    }

    /// A file with a key that only we can read.
    pub(crate) fn key_file(&self, key: &str) -> String {
        let name = key.split('"').nth(1).unwrap();
        let path = self.folder.path().join(format!("{name}-{}.key", key.len()));
        fs::write(&path, key).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The TXT values that it shows at `name`, as `dig` writes them.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let mut dig = self.machine.command(&program::installed("dig", "bind9-dnsutils"));
        dig.args(["+short", "+norecurse", &format!("@{}", self.address), name, "TXT"]);
        let output = program::run(&mut dig).stdout;
        let mut texts: Vec<String> = String::from_utf8(output).unwrap().lines().map(str::to_owned).collect();
        texts.sort();
        texts
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Bind<'_> {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("---- named's log, the newest first ----\n{}", lines.join("\n"));
        }
    }
}
