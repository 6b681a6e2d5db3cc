//! What we show is believed by OpenSSL, which shares no code with us, and what the local CA may not sign is not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use doorward::base::clock::Clock;
use doorward::certificates::server_tls::ServerTls;
use doorward::certificates::{Certificates, Settings};
use doorward::net::host::Host;
use rustls::{ServerConfig, ServerConnection, Stream};
use tempfile::TempDir;

use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::program::{installed, run};

#[test]
fn openssl_takes_the_local_certificate_at_its_strictest() {
    let house = House::new(&["claw.example.com", "203.0.113.7"]);
    let verify =
        |how: [&str; 2]| house.openssl(&["verify", "-x509_strict", "-purpose", "sslserver", how[0], how[1], "-CAfile"]);
    for how in [
        ["-verify_hostname", "localhost"],
        ["-verify_hostname", "claw.example.com"],
        ["-verify_ip", "127.0.0.1"],
        ["-verify_ip", "::1"],
        ["-verify_ip", "203.0.113.7"],
    ] {
        // A leaf for each name, and one for all addresses.
        let leaves = house.leaves();
        let taken =
            leaves.iter().filter(|leaf| verify(how).arg(house.ca()).arg(leaf).output().unwrap().status.success());
        assert_eq!((taken.count(), leaves.len()), (1, 3), "{how:?}");
    }
    for how in [["-verify_hostname", "other.example.com"], ["-verify_ip", "203.0.113.8"]] {
        for leaf in house.leaves() {
            let output = verify(how).arg(house.ca()).arg(leaf).output().unwrap();
            assert!(!output.status.success(), "{how:?}");
        }
    }
}

#[test]
fn every_account_may_read_the_ca_and_none_its_key_whatever_the_umask() {
    let host = Namespace::new();
    // A start takes all rights of others away, as umask 077 does.
    let mut doorward = Instance::start(&host, "[certificates]\ndir = \"shared/certs\"\n");
    let at = |relative: &str| doorward.folder().join(relative);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let (folder, ca, key) = (at("shared/certs"), at("shared/certs/local-ca.crt"), at("state/local-ca/ca.pem"));
    assert_eq!((mode(&at("shared")), mode(&folder), mode(&ca), mode(&key)), (0o755, 0o755, 0o644, 0o600));
    // One that was made private before is mended; the folder is its owner's affair by now.
    assert!(doorward.stop().success());
    fs::set_permissions(&ca, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
    doorward.restart();
    assert_eq!((mode(&folder), mode(&ca)), (0o750, 0o644));
    // A link in its place is replaced, never written through.
    assert!(doorward.stop().success());
    let other = folder.join("other");
    fs::write(&other, "x").unwrap();
    fs::remove_file(&ca).unwrap();
    symlink(&other, &ca).unwrap();
    doorward.restart();
    assert_eq!(fs::read_to_string(&other).unwrap(), "x");
    assert!(fs::read_to_string(&ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn openssl_refuses_what_a_thief_signs_with_the_local_ca() {
    let house = House::new(&["claw.example.com"]);
    for (name, believed) in [
        ("DNS:printer.local", true),
        ("DNS:sub.claw.example.com", true),
        ("IP:10.1.2.3", true),
        ("DNS:bank.example", false),
        ("DNS:example.com", false),
        ("IP:8.8.8.8", false),
        ("IP:2001:db8::1", false),
    ] {
        let stolen = house.sign_as_a_thief(name);
        let mut verify = house.openssl(&["verify", "-CAfile"]);
        let output = verify.arg(house.ca()).arg(&stolen).output().unwrap();
        assert_eq!(output.status.success(), believed, "{name}: {}", words(&output));
        assert!(believed || words(&output).contains("permitted subtree violation"), "{name}: {}", words(&output));
    }
}

#[test]
fn openssl_shakes_hands_and_resumes_with_both_versions() {
    let house = House::new(&["claw.example.com"]);
    let address = serve(ServerTls::new(house.certificates.resolver(), &["http/1.1"]).unwrap().forwarded());
    for version in ["-tls1_2", "-tls1_3"] {
        let session = house.folder.path().join(version);
        let connect = |more: &[&str]| {
            let mut client =
                house.openssl(&["s_client", "-connect", &address.to_string(), version, "-verify_return_error"]);
            client.args(["-verify_hostname", "localhost", "-servername", "localhost", "-alpn", "http/1.1", "-CAfile"]);
            client.arg(house.ca()).args(more).arg(&session).stdin(Stdio::null());
            words(&run(&mut client))
        };
        let first = connect(&["-sess_out"]);
        assert!(first.contains("Verification: OK") && first.contains("New, "), "{first}");
        assert!(first.contains("ALPN protocol: http/1.1"), "{first}");
        // openssl leaves at the end of its input, at times before version 1.3's ticket has come: it may ask again.
        for _ in 0..50 {
            if session.exists() {
                break;
            }
            connect(&["-sess_out"]);
        }
        let second = connect(&["-sess_in"]);
        assert!(second.contains("Reused, "), "{second}");
    }
    let old = house
        .openssl(&["s_client", "-connect", &address.to_string(), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!old.status.success(), "{}", words(&old));
}

/// An edge's certificates, and a folder for what others make of them.
struct House {
    folder: TempDir,
    certificates: Certificates,
}

impl House {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = names.iter().map(|name| Host::parse(name).unwrap()).collect();
        let settings = Settings {
            state_dir: folder.path().to_owned(),
            dir: folder.path().join("certs"),
            names,
            ..Settings::default()
        };
        let certificates = Certificates::open(settings, Clock::system().now()).unwrap();
        Self { folder, certificates }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("certs/local-ca.crt")
    }

    /// Each leaf in a file of its own.
    fn leaves(&self) -> Vec<PathBuf> {
        let text = fs::read_to_string(self.folder.path().join("local-ca/leaf.pem")).unwrap();
        let parts = text.split_inclusive("-----END CERTIFICATE-----\n").enumerate().map(|(number, part)| {
            let path = self.folder.path().join(format!("leaf-{number}.pem"));
            fs::write(&path, part.get(part.find("-----BEGIN CERT").unwrap()..).unwrap()).unwrap();
            path
        });
        parts.collect()
    }

    fn openssl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(installed("openssl", "openssl"));
        command.args(arguments);
        command
    }

    /// A certificate for `name` by the CA's own key, as whoever steals the state folder can make.
    fn sign_as_a_thief(&self, name: &str) -> PathBuf {
        let at = |name: &str| self.folder.path().join(name);
        let ca = self.folder.path().join("local-ca/ca.pem");
        let key =
            ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=a thief"];
        run(self.openssl(&key).arg("-keyout").arg(at("thief.key")).arg("-out").arg(at("thief.csr")));
        fs::write(at("thief.ext"), format!("subjectAltName={name}\nextendedKeyUsage=serverAuth\n")).unwrap();
        let sign = ["x509", "-req", "-days", "30", "-CAcreateserial"];
        run(self
            .openssl(&sign)
            .args([Path::new("-in"), &at("thief.csr"), Path::new("-CA"), &self.ca(), Path::new("-CAkey"), &ca])
            .args([Path::new("-extfile"), &at("thief.ext"), Path::new("-out"), &at("thief.crt")]));
        at("thief.crt")
    }
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// Answers every connection with a word, until the test ends.
fn serve(config: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, config) = (socket.unwrap(), Arc::clone(&config));
            let mut connection = ServerConnection::new(config).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            // What a client does wrong is for the client to report.
            let _ = stream.write_all(b"hello\n").and_then(|()| stream.read(&mut [0; 64]));
        }
    });
    address
}
