//! Real handshakes, in memory: a client that trusts only the local CA, against what a listener would show.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::HandshakeKind;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use self::client::{client_at, client_of, client_with, handshake, serial_shown, server};
use super::*;
use crate::base::limits::{LEAF_LIFE, LEAF_NAMES_MAX};
use crate::base::private_file::Fault;
use crate::certificates::local_ca::LocalCaError;
use crate::certificates::server_tls::ServerTls;

mod issued;
mod bad_pairs;
mod client;
mod clock;
mod own;
mod names;
mod of_tailnet;
mod watched;

/// The machine's own time, which a client under test has too unless it is given another.
fn now() -> UnixMillis {
    crate::base::clock::Clock::system().now()
}

const DAY: i64 = 86_400_000;

#[test]
fn a_client_that_trusts_the_ca_verifies_every_name() {
    let house = House::new(&["claw.example.com", "192.168.7.7", "203.0.113.7", "2001:db8::7", "pi.local"]);
    let certificates = house.open(now()).unwrap();
    let server = server(&certificates, &["h2", "http/1.1"]);
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
    let server = server(&certificates, &["http/1.1"]);
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
    let one = server(&certificates, &["http/1.1"]);
    let other = server(&certificates, &["http/1.1"]);
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
        let resolver = Resolver::new(Served::new(&[], &[], Leaves::single(loaded.certified)), Challenges::default());
        handshake(&client, &ServerTls::new(Arc::new(resolver), &[]).unwrap().forwarded(), name)
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
    assert!(error.hint().contains("doorward certs recreate-ca"), "{}", error.hint());
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
    assert_eq!(serial(&house, now().plus(19 * DAY)), first);
    let second = serial(&house, now().plus(20 * DAY));
    assert_ne!(second, first);
    house.settings.names.push(Host::parse("pi.local").unwrap());
    let third = serial(&house, now());
    assert_ne!(third, second);
    // A leaf that was lost or spoilt is no loss.
    fs::write(house.state().join("local-ca/leaf.pem"), "garbage").unwrap();
    assert_ne!(serial(&house, now()), third);
}

#[test]
fn a_leaf_lives_a_month_at_most() {
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
    let early = now().plus(-25 * DAY).max(UnixMillis(1_793_500_000_000));
    let certificates = house.open(early).unwrap();
    let server = server(&certificates, &[]);
    let late = early.plus(25 * DAY);
    let shown = |at| serial_shown(&client_at(certificates.ca_pem(), at), &server);
    let first = shown(early);
    assert_eq!(certificates.renew(early).unwrap(), Renewal::NotDue);
    assert_eq!(shown(late), first);
    assert_eq!(certificates.renew(late).unwrap(), Renewal::Renewed);
    let second = shown(late);
    assert_ne!(second, first);
    assert_eq!(certificates.renew(late).unwrap(), Renewal::NotDue);
    assert_eq!(shown(late), second);
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
    // It is over by the clock, and it may be the clock.
    house.open(now().plus(3651 * DAY)).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
}

#[test]
fn the_cas_certificate_stands_where_people_look_and_has_no_key() {
    let house = House::new(&[]);
    assert!(Certificates::judge(&house.settings, now()).is_empty());
    assert_eq!(fs::read_dir(house.state()).unwrap().count(), 0, "a judgement makes nothing");
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
    let server = server(&certificates, &[]);
    let (of_file, of_ca) = (client_of(other_ca.ca_pem()), client_of(ca.ca_pem()));
    for name in ["claw.example.com", "other.example.com", "CLAW.example.com"] {
        assert_eq!(handshake(&of_file, &server, name), Ok(HandshakeKind::Full), "{name}");
    }
    for name in ["pi.local", "localhost"] {
        assert_eq!(handshake(&of_ca, &server, name), Ok(HandshakeKind::Full), "{name}");
    }
    let tls = ServerTls::new(certificates.resolver(), &[]).unwrap();
    let dialled = tls.dialled("127.0.0.1".parse().unwrap());
    assert_eq!(handshake(&of_ca, &dialled, "127.0.0.1"), Ok(HandshakeKind::Full));
}

#[test]
fn a_file_for_an_address_is_shown_to_whoever_dials_it() {
    let mut house = House::new(&["203.0.113.7", "192.168.7.7", "claw.example.com"]);
    let ca = house.open(now()).unwrap();
    let other = House::new(&["203.0.113.7", "198.51.100.9"]);
    let other_ca = other.open(now()).unwrap();
    let ca_pem = fs::read_to_string(other.state().join("local-ca/ca.pem")).unwrap();
    let addresses = ["203.0.113.7", "198.51.100.9"].map(|address| Host::parse(address).unwrap());
    let (cert, key) = house.write_pair("addresses", &local_ca::tests_leaf(&ca_pem, &addresses, now()));
    house.settings.files.push(FilePair { cert, key });
    // Outside the CA's constraints, and no matter: whoever dials it is shown the file.
    house.settings.names.push(addresses[1].clone());
    let certificates = house.open(now()).unwrap();
    let tls = ServerTls::new(certificates.resolver(), &[]).unwrap();
    let dialled = |address: &str| tls.dialled(address.parse().unwrap());
    let (of_file, of_ca) = (other_ca.ca_pem(), ca.ca_pem());
    for (trusted, server, name) in [
        (of_file, dialled("203.0.113.7"), "203.0.113.7"),
        (of_file, dialled("::ffff:203.0.113.7"), "203.0.113.7"),
        (of_file, dialled("198.51.100.9"), "198.51.100.9"),
        // Behind NAT or a load balancer our own end is none of our names: the file is all that can be meant.
        (of_file, dialled("172.18.0.2"), "203.0.113.7"),
        (of_file, tls.forwarded(), "203.0.113.7"),
        (of_ca, dialled("192.168.7.7"), "192.168.7.7"),
        (of_ca, dialled("127.0.0.1"), "127.0.0.1"),
        (of_ca, dialled("::1"), "::1"),
        (of_ca, dialled("203.0.113.7"), "claw.example.com"),
    ] {
        assert_eq!(handshake(&client_of(trusted), &server, name), Ok(HandshakeKind::Full), "{name}");
    }
    // Without such a file every address is the local leaf's.
    house.settings.files.clear();
    house.settings.names.pop();
    let tls = ServerTls::new(house.open(now()).unwrap().resolver(), &[]).unwrap();
    let dialled = tls.dialled("172.18.0.2".parse().unwrap());
    assert_eq!(handshake(&client_of(ca.ca_pem()), &dialled, "203.0.113.7"), Ok(HandshakeKind::Full));
}

#[test]
fn a_connection_of_its_own_keeps_the_tickets_of_its_listener() {
    let house = House::new(&[]);
    let certificates = house.open(now()).unwrap();
    let tls = ServerTls::new(certificates.resolver(), &[]).unwrap();
    let client = client_of(certificates.ca_pem());
    let dialled = || tls.dialled("127.0.0.1".parse().unwrap());
    assert_eq!(handshake(&client, &dialled(), "127.0.0.1"), Ok(HandshakeKind::Full));
    assert_eq!(handshake(&client, &dialled(), "127.0.0.1"), Ok(HandshakeKind::Resumed));
}

#[test]
fn a_leaf_carries_a_bounded_number_of_names() {
    let mut house = House::new(&[]);
    // Beside localhost and the two loopback addresses.
    house.settings.names = (3..LEAF_NAMES_MAX).map(|n| Host::parse(&format!("n{n}.local")).unwrap()).collect();
    house.open(now()).unwrap();
    house.settings.names.push(Host::parse("one-too-many.local").unwrap());
    let error = house.open(now()).unwrap_err();
    assert!(matches!(error, CertificateError::LocalCa(LocalCaError::TooManyNames)), "{error}");
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
            ..Settings::default()
        };
        fs::create_dir(&settings.state_dir).unwrap();
        Self { _folder: folder, settings }
    }

    /// Opens them; a judgement before that says the same.
    fn open(&self, now: UnixMillis) -> Result<Certificates, CertificateError> {
        let judged: Vec<_> = Certificates::judge(&self.settings, now).iter().map(ToString::to_string).collect();
        let opened = Certificates::open(self.settings.clone(), now);
        let refused = opened.as_ref().err().filter(|error| {
            // What comes of issuing is not known before.
            !matches!(error, CertificateError::LocalCa(LocalCaError::Unbelievable(_)))
        });
        assert_eq!(judged, refused.iter().map(ToString::to_string).collect::<Vec<_>>());
        opened
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

#[test]
fn names_and_files_are_replaced_under_a_server_or_stay_as_they_were() {
    let mut house = House::new(&["claw.example.com"]);
    let certificates = house.open(now()).unwrap();
    let server = server(&certificates, &["http/1.1"]);
    let client = client_of(certificates.ca_pem());
    assert!(handshake(&client, &server, "new.local").is_err());
    let mut settings = house.settings.clone();
    settings.names.push(Host::parse("new.local").unwrap());
    certificates.replace(&settings, now()).unwrap();
    assert_eq!(handshake(&client, &server, "new.local"), Ok(HandshakeKind::Full));
    // The hourly renewal keeps what the reload brought.
    assert_eq!(certificates.renew(now()).unwrap(), Renewal::NotDue);

    house.settings.names = vec![Host::parse("other.example.com").unwrap()];
    assert!(certificates.replace(&house.settings, now()).is_err(), "not permitted");
    house.settings.names.clear();
    house.settings.files = vec![FilePair { cert: "/absent".into(), key: "/absent".into() }];
    assert!(certificates.replace(&house.settings, now()).is_err(), "no such file");
    assert_eq!(handshake(&client_of(certificates.ca_pem()), &server, "new.local"), Ok(HandshakeKind::Full));
    // Nor does a later renewal take up what was refused.
    let late = now().plus(300 * DAY);
    assert_eq!(certificates.renew(late).unwrap(), Renewal::Renewed);
    assert_eq!(handshake(&client_at(certificates.ca_pem(), late), &server, "new.local"), Ok(HandshakeKind::Full));
}
