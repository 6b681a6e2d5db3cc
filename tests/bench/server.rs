//! The three servers, with certificates of one kind, on one machine: doorward answers itself, nginx and HAProxy pass on to the
//! backend.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::instance::Instance;
use crate::namespace::Namespace;
use crate::peer::{self, Peer};

/// Who serves.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Kind {
    Doorward,
    Haproxy,
    Nginx,
}

/// In the table's order.
pub(crate) const ALL: [Kind; 3] = [Kind::Doorward, Kind::Nginx, Kind::Haproxy];

/// Another order in each round, so that a slow minute of the machine is nobody's fate.
pub(crate) fn shuffled(round: usize) -> [Kind; 3] {
    let mut order = ALL;
    order.rotate_left(round % ALL.len());
    if round % 2 == 1 {
        order.swap(0, 1);
    }
    order
}

impl Kind {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Doorward => "doorward",
            Self::Haproxy => "HAProxy",
            Self::Nginx => "nginx",
        }
    }

    /// Where it answers requests; the peers have a second port for WebSockets.
    fn port(self) -> u16 {
        match self {
            Self::Doorward => 8443,
            Self::Haproxy => 8543,
            Self::Nginx => 8643,
        }
    }
}

/// What the servers share: the machine, the peers' certificate and backend.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) machine: &'a Namespace,
    authority: String,
    folder: TempDir,
    backend: Child,
}

impl<'a> Site<'a> {
    pub(crate) fn new(machine: &'a Namespace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        write_private(&folder.path().join("cert.pem"), &leaf.pem());
        write_private(&folder.path().join("key.pem"), &key.serialize_pem());
        // HAProxy wants both in one file.
        write_private(&folder.path().join("both.pem"), &format!("{}{}", leaf.pem(), key.serialize_pem()));
        let mut command = machine.command(&std::env::current_exe().unwrap());
        let backend = command.arg("backend").stdin(Stdio::null()).spawn().unwrap();
        wait_until_listening(machine, crate::backend::HTTP_PORT);
        Self { machine, authority, folder, backend }
    }

    pub(crate) fn backend(&self) -> Vec<u32> {
        vec![self.backend.id()]
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Site<'_> {
    fn drop(&mut self) {
        let _ = self.backend.kill();
        let _ = self.backend.wait();
    }
}

/// One running server.
#[derive(Debug)]
pub(crate) struct Server<'a> {
    pub(crate) kind: Kind,
    running: Running<'a>,
    processes: Vec<u32>,
}

#[derive(Debug)]
enum Running<'a> {
    Doorward(Box<Instance<'a>>),
    Peer(Peer),
}

impl<'a> Server<'a> {
    pub(crate) fn start(site: &Site<'a>, kind: Kind) -> Self {
        Self::start_timed(site, kind).0
    }

    /// Starts it on state that is already there; how long it took until its port could be reached.
    pub(crate) fn start_timed(site: &Site<'a>, kind: Kind) -> (Self, Duration) {
        let (running, listening) = match kind {
            Kind::Doorward => {
                let mut instance = Instance::start(site.machine, &doorward());
                instance.kill_nine();
                let (_, listening) = timed(site.machine, kind.port(), || instance.restart());
                (Running::Doorward(Box::new(instance)), listening)
            }
            Kind::Nginx => {
                let ready = format!("127.0.0.1:{}", kind.port());
                let start = || peer::nginx(site.machine, &nginx(site), &ready);
                let (peer, listening) = timed(site.machine, kind.port(), start);
                (Running::Peer(peer), listening)
            }
            Kind::Haproxy => {
                let ready = format!("127.0.0.1:{}", kind.port());
                let start = || peer::haproxy(site.machine, &haproxy(site), &ready);
                let (peer, listening) = timed(site.machine, kind.port(), start);
                (Running::Peer(peer), listening)
            }
        };
        let id = match &running {
            Running::Doorward(instance) => instance.id(),
            Running::Peer(peer) => peer.child.id(),
        };
        (Self { kind, running, processes: vec![id] }, listening)
    }

    pub(crate) fn processes(&self) -> &[u32] {
        &self.processes
    }

    pub(crate) fn is_proxy(&self) -> bool {
        matches!(self.running, Running::Peer(_))
    }

    /// Who signed its certificate, in PEM; all are P-256.
    pub(crate) fn authority(&self, site: &Site<'_>) -> String {
        match &self.running {
            Running::Doorward(instance) => instance.authority(),
            Running::Peer(_) => site.authority.clone(),
        }
    }

    /// The gateway secret, when it is doorward.
    pub(crate) fn token(&self) -> Option<String> {
        match &self.running {
            Running::Doorward(instance) => Some(instance.token()),
            Running::Peer(_) => None,
        }
    }

    /// Lets a waiting device in, when it is doorward.
    pub(crate) fn approve(&self, device: &str) {
        if let Running::Doorward(instance) = &self.running {
            let request = instance.pending_of(device);
            instance.words(&["devices", "approve", request["requestId"].as_str().expect("requests have an id")]);
        }
    }

    pub(crate) fn requests(&self) -> String {
        format!("127.0.0.1:{}", self.kind.port())
    }

    pub(crate) fn sockets(&self) -> String {
        format!("127.0.0.1:{}", self.kind.port() + u16::from(self.is_proxy()))
    }
}

fn doorward() -> String {
    format!(
        "[edge]\nnames = [\"127.0.0.1\"]\n[[listener]]\nname = \"bench\"\nbind = [\"127.0.0.1:{}\"]\nprotocol = \"https\"\n",
        Kind::Doorward.port()
    )
}

fn nginx(site: &Site<'_>) -> String {
    let server = |port: u16, to: u16, more: &str| {
        format!(
            "server {{\n listen 127.0.0.1:{port} ssl backlog=4096;\n ssl_certificate {};\n ssl_certificate_key {};\n\
             ssl_protocols TLSv1.2 TLSv1.3;\n keepalive_requests 10000;\n location / {{\n proxy_pass http://to{to};\n\
             proxy_http_version 1.1;\n proxy_set_header Host $http_host;\n\
             proxy_set_header X-Forwarded-For $remote_addr;\n{more} }}\n}}\n\
             upstream to{to} {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 1000000; }}\n",
            site.file("cert.pem"),
            site.file("key.pem")
        )
    };
    let upgrade = "proxy_set_header Upgrade $http_upgrade;\n proxy_set_header Connection upgrade;\n";
    let plain = "proxy_set_header Connection \"\";\n";
    let port = Kind::Nginx.port();
    server(port, crate::backend::HTTP_PORT, plain) + &server(port + 1, crate::backend::SOCKET_PORT, upgrade)
}

fn haproxy(site: &Site<'_>) -> String {
    let server = |port: u16, to: u16| {
        format!(
            "frontend f{port}\n  mode http\n  option forwardfor\n  bind 127.0.0.1:{port} ssl crt {} alpn http/1.1 backlog 4096\n\
             \x20 default_backend b{to}\nbackend b{to}\n  mode http\n  http-reuse always\n  server one 127.0.0.1:{to}\n",
            site.file("both.pem")
        )
    };
    let port = Kind::Haproxy.port();
    server(port, crate::backend::HTTP_PORT) + &server(port + 1, crate::backend::SOCKET_PORT)
}

/// Runs `start` while a thread on the machine tries the port every half millisecond; when it answered.
fn timed<T>(machine: &Namespace, port: u16, start: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    std::thread::scope(|scope| {
        let probe = scope.spawn(move || wait_until_listening(machine, port));
        let started = start();
        let answered = probe.join().expect("it listens in the end");
        (started, answered.duration_since(began))
    })
}

fn wait_until_listening(machine: &Namespace, port: u16) -> Instant {
    machine.on(move || {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "nothing listens on port {port}");
            std::thread::sleep(Duration::from_micros(500));
        }
        Instant::now()
    })
}

fn write_private(file: &PathBuf, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
