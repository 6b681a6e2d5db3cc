//! Let's Encrypt's small test CA, with the DNS that it asks: every name leads to this machine's 127.0.0.1, and the challenges are
//! looked for on ports 80 and 443.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::json;
use tempfile::TempDir;

use super::caller::Caller;
use super::namespace::Namespace;
use super::program;

const START_WAIT: Duration = Duration::from_secs(15);
/// Its directory.
pub(crate) const DIRECTORY: &str = "https://127.0.0.1:14000/dir";

/// A running CA; it is ended when dropped.
#[derive(Debug)]
pub(crate) struct Pebble<'a> {
    machine: &'a Namespace,
    folder: TempDir,
    root: String,
    children: Vec<Child>,
}

/// How it behaves besides what is usual.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manners {
    /// Nonces of a hundred that it rejects.
    pub(crate) nonce_reject: u8,
    /// It waits up to so many seconds before it looks.
    pub(crate) sleep: u8,
    /// It takes only accounts that it knows otherwise: (kid, key in base64url).
    pub(crate) eab: Option<(&'static str, &'static str)>,
    /// The name server that it asks, if not its own.
    pub(crate) dns_server: Option<&'static str>,
    /// Seconds that its certificates live, if not for years.
    pub(crate) life: Option<u32>,
}

impl<'a> Pebble<'a> {
    /// Starts it on this machine.
    pub(crate) fn start(machine: &'a Namespace, manners: Manners) -> Self {
        let folder = tempfile::Builder::new().prefix("pebble-").tempdir().unwrap();
        let root = make_certificates(&folder);
        let eab = manners.eab;
        let config = json!({"pebble": {
            "listenAddress": "127.0.0.1:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": folder.path().join("leaf.crt"),
            "privateKey": folder.path().join("leaf.key"),
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "certificateValidityPeriod": manners.life.unwrap_or(90 * 86_400),
            "externalAccountBindingRequired": eab.is_some(),
            "externalAccountMACKeys": eab.map(|(kid, key)| json!({kid: key})).unwrap_or_else(|| json!({})),
        }});
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let mut pebble = Self { machine, folder, root, children: Vec::new() };
        let mut dns = machine.command(&program::installed("pebble-challtestsrv", "pebble"));
        dns.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        dns.args(["-dns01", "127.0.0.1:8053", "-management", "127.0.0.1:8055"]);
        pebble.spawn(dns, "127.0.0.1:8055");
        let mut ca = machine.command(&program::installed("pebble", "pebble"));
        ca.arg("-config")
            .arg(pebble.folder.path().join("config.json"))
            .args(["-dnsserver", manners.dns_server.unwrap_or("127.0.0.1:8053")]);
        ca.env("PEBBLE_WFE_NONCEREJECT", manners.nonce_reject.to_string()).env("PEBBLE_AUTHZREUSE", "0");
        match manners.sleep {
            0 => ca.env("PEBBLE_VA_NOSLEEP", "1"),
            seconds => ca.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        pebble.spawn(ca, "127.0.0.1:14000");
        pebble
    }

    fn spawn(&mut self, mut command: Command, ready: &str) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.children.push(command.spawn().unwrap());
        let (address, start): (SocketAddr, _) = (ready.parse().unwrap(), Instant::now());
        while self.machine.on(move || TcpStream::connect(address)).is_err() {
            assert!(start.elapsed() < START_WAIT, "{command:?} does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells the DNS something: a path of its management interface and a JSON body.
    pub(crate) fn dns(&self, path: &str, body: &str) {
        let (path, body) = (path.to_owned(), body.to_owned());
        let answer = self.machine.on(move || {
            let mut socket = TcpStream::connect("127.0.0.1:8055").unwrap();
            let length = body.len();
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
            let mut answer = String::new();
            std::io::Read::read_to_string(&mut socket, &mut answer).unwrap();
            answer
        });
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// The file with the root that its directory's own certificate leads to.
    pub(crate) fn root_file(&self) -> String {
        self.folder.path().join("root.crt").to_str().unwrap().to_owned()
    }

    /// Whether who connects to 127.0.0.1:443 for `name` is shown a certificate that this CA has issued for it.
    pub(crate) fn vouches_for(&self, name: &str) -> bool {
        self.vouched_for(name).is_some()
    }

    /// The certificate that this CA has issued for `name`, if who connects to 127.0.0.1:443 is shown one.
    pub(crate) fn vouched_for(&self, name: &str) -> Option<CertificateDer<'static>> {
        let root = self.root.clone();
        let issuing = self.machine.on(move || Caller::trusting("127.0.0.1:15000", &root).get("/roots/0", &[]));
        self.machine.on({
            let (issuing, name) = (issuing.unwrap().body, name.to_owned());
            move || handshake(&issuing, &name, &[]).ok()
        })
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// A TLS handshake with 127.0.0.1:443 for `name` by somebody who trusts only `root`, in PEM: the certificate that was shown.
pub(crate) fn handshake(root: &str, name: &str, alpn: &[&str]) -> Result<CertificateDer<'static>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).map_err(|error| error.to_string())?).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect("127.0.0.1:443").map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(START_WAIT)).unwrap();
    while client.is_handshaking() {
        client.complete_io(&mut socket).map_err(|error| error.to_string())?;
    }
    // Never: a handshake that is done has shown one.
    Ok(client.peer_certificates().unwrap()[0].clone().into_owned())
}

/// A root in `root.crt`, and what it has signed for 127.0.0.1 in `leaf.crt` and `leaf.key`; the root in PEM.
fn make_certificates(folder: &TempDir) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
    for (file, text) in [("root.crt", root.pem()), ("leaf.crt", leaf.pem()), ("leaf.key", leaf_key.serialize_pem())] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    root.pem()
}

impl Drop for Pebble<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("---- pebble's log, the newest first ----\n{}", lines.join("\n"));
        }
    }
}
