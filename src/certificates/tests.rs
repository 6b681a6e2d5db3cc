//! Real handshakes, in memory: a client that trusts only the local CA, against what a listener would show.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};

use rustls::client::{ClientConnection, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConnection};
use tempfile::TempDir;

use super::*;
use crate::base::limits::LEAF_LIFE;
use crate::base::pem;
use crate::certificates::files::FileError;
use crate::certificates::local_ca::LocalCaError;
use crate::store::keys::private_file::Fault;

/// The machine's own time: the client under test has no other.
fn now() -> UnixMillis {
    crate::base::clock::Clock::system().now()
}

const DAY: i64 = 86_400_000;

#[test]
fn a_client_that_trusts_the_ca_verifies_every_name() {
    let house = House::new(&["claw.example.com", "192.168.7.7", "203.0.113.7", "2001:db8::7", "pi.local"]);
    let certificates = house.open(now()).unwrap();
    let server = server_config(certificates.resolver(), &["h2", "http/1.1"]).unwrap();
    let client = client_of(certificates.ca_pem());
    for name in
        ["localhost", "127.0.0.1", "::1", "claw.example.com", "192.168.7.7", "203.0.113.7", "2001:db8::7", "pi.local"]
    {
        assert_eq!(handshake(&client, &server, name), Ok(HandshakeKind::Full), "{name}");
    }
    // Shown a certificate for other names, it refuses.
    for name in ["other.example.com", "192.168.7.8", "evil.local"] {
        assert!(handshake(&client, &server, name).unwrap_err().contains("NotValidForName"), "{name}");
    }
}

#[test]
fn both_tls_versions_are_spoken_and_no_older_one() {
    let house = House::new(&[]);
    let certificates = house.open(now()).unwrap();
    let server = server_config(certificates.resolver(), &["http/1.1"]).unwrap();
    for version in [&TLS12, &TLS13] {
        let client = client_with(certificates.ca_pem(), &[version]);
        assert_eq!(handshake(&client, &server, "localhost"), Ok(HandshakeKind::Full));
        assert_eq!(handshake(&client, &server, "localhost"), Ok(HandshakeKind::Resumed), "{version:?}");
    }
    assert_eq!(server.max_early_data_size, 0);
}

#[test]
fn a_ticket_of_one_listener_is_worth_nothing_at_another() {
    let house = House::new(&[]);
    let certificates = house.open(now()).unwrap();
    let one = server_config(certificates.resolver(), &["http/1.1"]).unwrap();
    let other = server_config(certificates.resolver(), &["http/1.1"]).unwrap();
    let client = client_of(certificates.ca_pem());
    assert_eq!(handshake(&client, &one, "localhost"), Ok(HandshakeKind::Full));
    assert_eq!(handshake(&client, &other, "localhost"), Ok(HandshakeKind::Full));
    assert_eq!(handshake(&client, &other, "localhost"), Ok(HandshakeKind::Resumed));
}

#[test]
fn the_constraints_hold_even_if_the_ca_signs_more() {
    let house = House::new(&["claw.example.com"]);
    let certificates = house.open(now()).unwrap();
    let ca_pem = fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap();
    let client = client_of(certificates.ca_pem());
    // Signed with the CA's own key, as a thief would.
    let shown = |name: &str| {
        let host = Host::parse(name).unwrap();
        let text = local_ca::tests_leaf(&ca_pem, &[host], now());
        let (cert, key) = house.write_pair("stolen", &text);
        let loaded = files::load(&FilePair { cert, key }, now()).unwrap();
        let resolver = Resolver::new(Served::new(&[], loaded.certified));
        handshake(&client, &server_config(Arc::new(resolver), &[]).unwrap(), name)
    };
    for name in ["sub.claw.example.com", "printer.local", "10.1.2.3"] {
        assert_eq!(shown(name), Ok(HandshakeKind::Full), "{name}");
    }
    for name in ["bank.example", "example.com", "8.8.8.8", "2001:db8::1"] {
        assert!(shown(name).unwrap_err().contains("NameConstraintViolation"), "{name}");
    }
}

#[test]
fn a_name_that_the_ca_may_not_sign_is_refused_with_the_remedy() {
    let mut house = House::new(&["claw.example.com"]);
    house.open(now()).unwrap();
    house.settings.names.push(Host::parse("other.example.com").unwrap());
    let error = house.open(now()).unwrap_err();
    assert!(matches!(&error, CertificateError::LocalCa(LocalCaError::NotPermitted { name, .. })
        if name.to_string() == "other.example.com"));
    assert!(error.hint().contains("local-ca"), "{}", error.hint());
    // Local names need no permission of their own.
    house.settings.names = vec![Host::parse("new.local").unwrap(), Host::parse("10.9.8.7").unwrap()];
    house.open(now()).unwrap();
}

#[test]
fn the_leaf_lasts_until_its_names_or_its_time_change() {
    let mut house = House::new(&["claw.example.com"]);
    let serial = |house: &House, now| {
        let shown = house.open(now).unwrap();
        let leaf = fs::read(house.state().join("local-ca/leaf.pem")).unwrap();
        let leaf = CertificateDer::from_pem_slice(&leaf).unwrap();
        assert!(!shown.ca_pem().is_empty());
        x509::parse(&leaf).unwrap().raw_serial_as_string()
    };
    let first = serial(&house, now());
    assert_eq!(serial(&house, now().plus(250 * DAY)), first);
    let second = serial(&house, now().plus(266 * DAY));
    assert_ne!(second, first);
    house.settings.names.push(Host::parse("pi.local").unwrap());
    let third = serial(&house, now());
    assert_ne!(third, second);
    // A leaf that was lost or spoilt is no loss.
    fs::write(house.state().join("local-ca/leaf.pem"), "garbage").unwrap();
    assert_ne!(serial(&house, now()), third);
}

#[test]
fn a_leaf_lives_at_most_397_days() {
    let house = House::new(&[]);
    house.open(now()).unwrap();
    let leaf = fs::read(house.state().join("local-ca/leaf.pem")).unwrap();
    let leaf = CertificateDer::from_pem_slice(&leaf).unwrap();
    let validity = x509::Validity::of(&x509::parse(&leaf).unwrap());
    // Both ends count (RFC 5280 §4.1.2.5).
    assert_eq!(validity.ends - validity.begins + 1, i64::try_from(LEAF_LIFE.as_secs()).unwrap());
}

#[test]
fn a_running_edge_shows_the_renewed_leaf() {
    let house = House::new(&[]);
    let early = now().plus(-300 * DAY).max(UnixMillis(1_793_500_000_000));
    let certificates = house.open(early).unwrap();
    assert_eq!(certificates.renew(early).unwrap(), Renewal::NotDue);
    assert_eq!(certificates.renew(early.plus(300 * DAY)).unwrap(), Renewal::Renewed);
    assert_eq!(certificates.renew(early.plus(300 * DAY)).unwrap(), Renewal::NotDue);
}

#[test]
fn a_clock_that_is_not_set_makes_no_ca_that_is_expired_tomorrow() {
    let house = House::new(&[]);
    // Its leaf is good from the earliest date on, so with such a clock nothing can verify it: nothing is shown.
    assert!(house.open(UnixMillis(0)).is_err());
    house.open(now()).unwrap();
}

#[test]
fn a_ca_is_never_replaced() {
    let house = House::new(&[]);
    house.open(now()).unwrap();
    let path = house.state().join("local-ca/ca.pem");
    let good = fs::read_to_string(&path).unwrap();
    let other = House::new(&[]);
    other.open(now()).unwrap();
    let foreign = fs::read_to_string(other.state().join("local-ca/ca.pem")).unwrap();
    let mixed = [split(&good).0, split(&foreign).1].concat();
    let leaf = fs::read_to_string(house.state().join("local-ca/leaf.pem")).unwrap();
    for bad in ["", "garbage", good.split_at(100).0, &mixed, &leaf] {
        fs::write(&path, bad).unwrap();
        let error = house.open(now()).unwrap_err();
        assert!(error.to_string().ends_with(&path.display().to_string()), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), bad);
    }
    fs::write(&path, &good).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = house.open(now()).unwrap_err();
    assert!(matches!(&error, CertificateError::LocalCa(LocalCaError::File(error))
        if matches!(error.fault, Fault::Mode { .. })));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(house.open(now().plus(3651 * DAY)), Err(CertificateError::LocalCa(LocalCaError::Expired(_)))));
}

#[test]
fn the_cas_certificate_stands_where_people_look_and_has_no_key() {
    let house = House::new(&[]);
    let certificates = house.open(now()).unwrap();
    let text = fs::read_to_string(house.settings.dir.join("local-ca.crt")).unwrap();
    assert_eq!(text, certificates.ca_pem());
    assert!(!text.contains("PRIVATE"));
    for name in ["ca.pem", "leaf.pem"] {
        let mode = fs::metadata(house.state().join("local-ca").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn a_file_wins_for_the_names_it_covers() {
    let mut house = House::new(&["claw.example.com", "pi.local"]);
    let ca = house.open(now()).unwrap();
    let other = House::new(&["claw.example.com", "other.example.com", "x.wild.example"]);
    let other_ca = other.open(now()).unwrap();
    let ca_pem = fs::read_to_string(other.state().join("local-ca/ca.pem")).unwrap();
    let text = local_ca::tests_leaf(
        &ca_pem,
        &[Host::parse("claw.example.com").unwrap(), Host::parse("other.example.com").unwrap()],
        now(),
    );
    let (cert, key) = house.write_pair("claw", &text);
    house.settings.files.push(FilePair { cert, key });
    // Outside the CA's constraints, and no matter: the file covers it.
    house.settings.names.push(Host::parse("other.example.com").unwrap());
    let certificates = house.open(now()).unwrap();
    let server = server_config(certificates.resolver(), &[]).unwrap();
    let (of_file, of_ca) = (client_of(other_ca.ca_pem()), client_of(ca.ca_pem()));
    for name in ["claw.example.com", "other.example.com", "CLAW.example.com"] {
        assert_eq!(handshake(&of_file, &server, name), Ok(HandshakeKind::Full), "{name}");
    }
    for name in ["pi.local", "localhost", "127.0.0.1"] {
        assert_eq!(handshake(&of_ca, &server, name), Ok(HandshakeKind::Full), "{name}");
    }
    assert!(certificates.resolver().is_from_file(&Host::parse("claw.example.com").unwrap()));
    assert!(!certificates.resolver().is_from_file(&Host::parse("pi.local").unwrap()));
}

#[test]
fn every_bad_pair_is_refused_with_its_cause() {
    let house = House::new(&["a.local"]);
    house.open(now()).unwrap();
    let ca_pem = fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap();
    let leaf = |name: &str| local_ca::tests_leaf(&ca_pem, &[Host::parse(name).unwrap()], now());
    let (cert, key) = house.write_pair("a", &leaf("a.local"));
    let (other_cert, other_key) = house.write_pair("b", &leaf("b.local"));
    let load =
        |cert: &Path, key: &Path, now| files::load(&FilePair { cert: cert.to_owned(), key: key.to_owned() }, now);
    let fails = |cert: &Path, key: &Path| {
        let error = load(cert, key, now()).unwrap_err();
        assert!(!error.hint().is_empty());
        error
    };
    load(&cert, &key, now()).unwrap();
    let name = |file: &str, text: &str, mode: u32| house.write(file, text, mode);
    let (cert_text, key_text) = (fs::read_to_string(&cert).unwrap(), fs::read_to_string(&key).unwrap());
    let ca_text = split(&ca_pem).1.to_owned();

    // A whole chain in order, with CRLF and text around it, as tools write it.
    let chain = format!("subject=a\r\n{cert_text}issuer=b\n{ca_text}").replace('\n', "\r\n");
    load(&name("chain", &chain, 0o644), &key, now()).unwrap();
    // Behind a link of ours, as ACME clients keep it.
    symlink(&key, house.folder().join("live")).unwrap();
    load(&cert, &house.folder().join("live"), now()).unwrap();

    assert!(matches!(fails(&cert, &other_key), FileError::Mismatch { .. }));
    assert!(matches!(load(&cert, &key, now().plus(400 * DAY)), Err(FileError::Expired(_))));
    assert!(matches!(load(&cert, &key, now().plus(-2 * DAY)), Err(FileError::NotYetValid(_))));
    assert!(matches!(fails(&name("reversed", &format!("{ca_text}{cert_text}"), 0o644), &key), FileError::Order(_)));
    let gap = format!("{cert_text}{}", fs::read_to_string(&other_cert).unwrap());
    assert!(matches!(fails(&name("gap", &gap, 0o644), &key), FileError::Order(_)));
    for mode in [0o640, 0o604, 0o644, 0o660] {
        assert!(matches!(fails(&cert, &name("open", &key_text, mode)), FileError::KeyMode { .. }), "{mode:o}");
    }
    assert_eq!(
        fails(&cert, &name("open", &key_text, 0o644)).hint(),
        format!("chmod 600 {}", house.folder().join("open").display())
    );
    assert!(matches!(fails(&key, &key), FileError::NoCertificate(_)));
    assert!(matches!(fails(&cert, &name("nokey", &cert_text, 0o600)), FileError::NoKey(_)));
    let block = |label: &str| pem::encode(label, &[0, 0, 0]).expose().clone();
    let (encrypted, junk, broken) = (&block("ENCRYPTED PRIVATE KEY"), &block("PRIVATE KEY"), &block("CERTIFICATE"));
    assert!(matches!(fails(&cert, &name("encrypted", encrypted, 0o600)), FileError::KeyEncrypted(_)));
    assert!(matches!(fails(&cert, &name("junk", junk, 0o600)), FileError::KeyKind(_)));
    assert!(matches!(fails(&name("broken", broken, 0o644), &key), FileError::NotACertificate(_)));
    assert!(matches!(fails(&name("empty", "", 0o644), &key), FileError::NoCertificate(_)));
    assert!(matches!(fails(&name("many", &cert_text.repeat(11), 0o644), &key), FileError::TooLong(_)));
    assert!(matches!(fails(&house.folder().join("absent"), &key), FileError::Io { .. }));
    assert!(matches!(fails(&cert, house.folder()), FileError::NotAFile(_)));
    let (cert, key) = house.write_pair("nameless", &local_ca::tests_leaf(&ca_pem, &[], now()));
    assert!(matches!(fails(&cert, &key), FileError::NoNames(_)));
}

/// The key of a text, and its certificates.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find("-----BEGIN CERT").unwrap())
}

/// One edge's folders and settings.
struct House {
    _folder: TempDir,
    settings: Settings,
}

impl House {
    fn new(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            state_dir: folder.path().join("state"),
            dir: folder.path().join("certs"),
            names: names.iter().map(|name| Host::parse(name).unwrap()).collect(),
            files: Vec::new(),
        };
        fs::create_dir(&settings.state_dir).unwrap();
        Self { _folder: folder, settings }
    }

    fn open(&self, now: UnixMillis) -> Result<Certificates, CertificateError> {
        Certificates::open(self.settings.clone(), now)
    }

    fn state(&self) -> &Path {
        &self.settings.state_dir
    }

    fn folder(&self) -> &Path {
        self._folder.path()
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A key with its certificate as two files.
    fn write_pair(&self, name: &str, text: &str) -> (PathBuf, PathBuf) {
        let (key, cert) = split(text);
        (self.write(&format!("{name}.crt"), cert, 0o644), self.write(&format!("{name}.key"), key, 0o600))
    }
}

fn client_of(ca_pem: &str) -> Arc<ClientConfig> {
    client_with(ca_pem, &[&TLS13])
}

fn client_with(ca_pem: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

/// Shakes hands and exchanges a word each way, so that tickets arrive.
fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>, name: &str) -> Result<HandshakeKind, String> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    client.writer().write_all(b"ping").unwrap();
    let mut said_pong = false;
    for _ in 0..8 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets().map_err(|error| format!("{error:?}"))?;
        }
        if !server.is_handshaking() && !said_pong {
            server.writer().write_all(b"pong").unwrap();
            said_pong = true;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets().map_err(|error| format!("{error:?}"))?;
        }
    }
    let mut heard = [0; 4];
    client.reader().read_exact(&mut heard).map_err(|error| error.to_string())?;
    assert_eq!(&heard, b"pong");
    client.handshake_kind().ok_or_else(|| "no handshake".to_owned())
}
