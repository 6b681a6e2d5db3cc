//! What a public CA has issued, among files and the local CA: what is shown for which name, and when.

use std::time::Duration;

use super::*;
use crate::base::secret::Secret;
use crate::certificates::acme::kept::Id;
use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::{ChallengeKind, DIRECTORY, KeyType};

const PUBLIC: &str = "claw.example.com";

#[test]
fn the_local_ca_serves_a_name_until_a_ca_has_issued_and_a_file_wins_over_both() {
    let mut house = House::new(&[PUBLIC, "home.local"]);
    house.settings.acme = vec![wanted(&[PUBLIC])];
    let certificates = house.open(now()).unwrap();
    let (local, server) = (client_of(certificates.ca_pem()), server(&certificates, &["http/1.1"]));
    assert!(handshake(&local, &server, PUBLIC).is_ok());

    let ca = Ca::new();
    ca.issue(&house, &certificates, PUBLIC);
    assert!(handshake(&ca.client(), &server, PUBLIC).is_ok());
    assert!(handshake(&local, &server, "home.local").is_ok(), "no other name changes");
    // The hourly look and a restart show it again.
    certificates.renew(now().plus(300 * 86_400_000)).unwrap();
    assert!(handshake(&ca.client(), &server, PUBLIC).is_ok());
    let again = house.open(now().plus(2 * 365 * 86_400_000)).unwrap();
    assert!(handshake(&ca.client(), &self::server(&again, &[]), PUBLIC).is_ok(), "by a clock that is years ahead too");

    let other = Ca::new();
    let (cert, key) = house.write_pair("own", &other.pair(PUBLIC));
    let mut settings = house.settings.clone();
    settings.files = vec![FilePair { cert, key }];
    certificates.replace(&settings, now()).unwrap();
    assert!(handshake(&other.client(), &server, PUBLIC).is_ok());
    // Nobody wants it from a CA any more.
    settings = Settings { files: Vec::new(), acme: Vec::new(), ..settings };
    certificates.replace(&settings, now()).unwrap();
    assert!(handshake(&client_of(certificates.ca_pem()), &server, PUBLIC).is_ok());
}

#[test]
fn a_cas_certificate_that_holds_goes_before_files_that_are_gone_or_over_and_nothing_is_taken_down() {
    for place in ["", "certs/"] {
        let mut house = House::new(&[PUBLIC]);
        house.settings.acme = vec![wanted(&[PUBLIC])];
        let (of_file, of_ca) = (Ca::new(), Ca::new());
        fs::create_dir_all(&house.settings.dir).unwrap();
        let (cert, key) = house.write_pair(&format!("{place}own"), &of_file.pair(PUBLIC));
        if place.is_empty() {
            house.settings.files = vec![FilePair { cert: cert.clone(), key: key.clone() }];
        }
        let certificates = house.open(now()).unwrap();
        let server = server(&certificates, &[]);
        let shows = |ca: &Ca| handshake(&ca.client(), &server, PUBLIC).is_ok();
        assert!(shows(&of_file), "{place}");
        fs::rename(&key, key.with_extension("away")).unwrap();
        certificates.look_at_files(now());
        assert!(shows(&of_file), "{place}: nothing else holds");
        of_ca.issue(&house, &certificates, PUBLIC);
        assert!(shows(&of_ca) && !shows(&of_file), "{place}: its owner may have withdrawn it");
        fs::rename(key.with_extension("away"), &key).unwrap();
        certificates.look_at_files(now());
        assert!(shows(&of_file), "{place}: it is there again");
        // Over before the CA's is.
        let mut short = of_file.pair_until(PUBLIC, Duration::from_secs(5 * 86_400));
        short.push('\n');
        house.write_pair(&format!("{place}own"), &short);
        certificates.look_at_files(now());
        assert!(shows(&of_file), "{place}");
        certificates.look_at_files(now().plus(6 * DAY));
        assert!(shows(&of_ca), "{place}: a file that is over is no certificate");
        certificates.look_at_files(now().plus(100 * DAY));
        assert!(shows(&of_file), "{place}: where all is over the order is as it was");
    }
}

#[test]
fn what_a_rehearsal_brings_takes_no_place_of_one_that_browsers_believe() {
    let mut house = House::new(&[PUBLIC]);
    house.settings.acme = vec![wanted(&[PUBLIC])];
    let (of_file, of_ca) = (Ca::new(), Ca::new());
    let (cert, key) = house.write_pair("own", &of_file.pair(PUBLIC));
    house.settings.files = vec![FilePair { cert, key: key.clone() }];
    let certificates = house.open(now()).unwrap();
    fs::remove_file(key).unwrap();
    {
        let mut shown = certificates.shown();
        shown.pairs.look(now());
        shown.pairs.believe_gone();
    }
    of_ca.issue(&house, &certificates, PUBLIC);
    assert!(handshake(&of_file.client(), &server(&certificates, &[]), PUBLIC).is_ok());
}

#[test]
fn a_name_that_the_local_ca_may_not_sign_is_no_obstacle_where_a_ca_will() {
    let mut house = House::new(&["home.local"]);
    drop(house.open(now()).unwrap());
    house.settings.names = vec![Host::parse(PUBLIC).unwrap()];
    assert!(matches!(house.open(now()), Err(CertificateError::LocalCa(LocalCaError::NotPermitted { .. }))));
    house.settings.acme = vec![wanted(&[PUBLIC])];
    house.open(now()).unwrap();
}

#[test]
fn a_stored_certificate_that_cannot_be_read_is_no_outage() {
    let mut house = House::new(&[PUBLIC]);
    house.settings.acme = vec![wanted(&[PUBLIC])];
    let ca = Ca::new();
    ca.issue(&house, &house.open(now()).unwrap(), PUBLIC);
    let folder = house.state().join("acme");
    let pair = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::write(&pair, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let certificates = house.open(now()).unwrap();
    assert!(handshake(&client_of(certificates.ca_pem()), &server(&certificates, &[]), PUBLIC).is_ok());
}

#[test]
fn whoever_asks_for_acme_tls_gets_the_answer_of_an_open_order_or_nothing() {
    let mut house = House::new(&[PUBLIC]);
    house.settings.acme = vec![wanted(&[PUBLIC])];
    let certificates = house.open(now()).unwrap();
    let server = server(&certificates, &["h2", "http/1.1", "acme-tls/1"]);
    let asking = |alpn: &[&str]| {
        let mut client = (*client_of(certificates.ca_pem())).clone();
        client.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        handshake(&Arc::new(client), &server, PUBLIC).unwrap_err()
    };
    let nothing = asking(&["acme-tls/1"]);
    assert_eq!(asking(&["h2", "acme-tls/1"]), nothing);
    let answer = certificates.challenges().answer_tls(&Host::parse(PUBLIC).unwrap(), [7; 32]).unwrap();
    // A self-signed one, which no client but a CA has a use for.
    assert_ne!(asking(&["acme-tls/1"]), nothing);
    for mixed in [&["http/1.1", "acme-tls/1"], &["acme-tls/1", "h2"], &["acme-tls/1", "acme-tls/1"]] {
        assert_eq!(asking(mixed), nothing, "{mixed:?}: HTTP would be spoken over the answer");
    }
    drop(answer);
    assert_eq!(asking(&["acme-tls/1"]), nothing);
}

#[test]
fn what_an_order_needs_is_judged_and_its_loss_is_no_outage() {
    let mut house = House::new(&[PUBLIC]);
    let judged = |house: &House| Certificates::judge(&house.settings, now()).pop();
    // What is there is shown on, and an order fails by itself; only a reload is refused as a whole.
    let starts = |house: &House| {
        let certificates = Certificates::open(house.settings.clone(), now()).unwrap();
        assert_eq!(certificates.replace(&house.settings, now()).is_err(), judged(house).is_some());
    };
    let absent = house.folder().join("absent.pem");
    house.settings.acme = vec![acme::Settings { root_file: Some(absent.clone()), ..wanted(&[PUBLIC]) }];
    let error = judged(&house).unwrap();
    assert!(error.to_string().contains("absent.pem") && error.hint().starts_with("make "), "{error}: {}", error.hint());
    starts(&house);
    house.write("absent.pem", "no roots", 0o644);
    assert!(judged(&house).is_some());
    let eab = |hmac_file| acme::ExternalAccount { directory: DIRECTORY.to_owned(), kid: "k".to_owned(), hmac_file };
    for (text, mode, taken) in [("c2VjcmV0", 0o600, true), ("c2VjcmV0", 0o644, false), ("not base64!", 0o600, false)] {
        let file = house.write("hmac", text, mode);
        house.settings.acme = vec![acme::Settings { eab: Some(eab(file)), ..wanted(&[PUBLIC]) }];
        assert_eq!(judged(&house).is_none(), taken, "{text} {mode:o}");
        starts(&house);
    }
}

fn wanted(names: &[&str]) -> acme::Settings {
    acme::Settings {
        names: names.iter().map(|name| Subject::parse(name).unwrap()).collect(),
        directories: vec![DIRECTORY.to_owned()],
        contact: Vec::new(),
        challenges: vec![ChallengeKind::Http01],
        dns: None,
        key_type: KeyType::P256,
        profile: None,
        root_file: None,
        eab: None,
    }
}

/// Somebody else's CA.
struct Ca {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// A key and its certificate for `name`, of ninety days around now.
    fn pair(&self, name: &str) -> String {
        self.pair_until(name, Duration::from_secs(89 * 86_400))
    }

    fn pair_until(&self, name: &str, from_now: Duration) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        let now = time::OffsetDateTime::from_unix_timestamp(now().0 / 1_000).unwrap();
        params.not_before = now - Duration::from_secs(86_400);
        params.not_after = now + from_now;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        format!("{}{}", key.serialize_pem(), certificate.pem())
    }

    /// As an order ends: in its file, then shown.
    fn issue(&self, house: &House, certificates: &Certificates, name: &str) {
        let id = Id::of(&house.settings.acme[0].names);
        let text = Secret::new(self.pair(name));
        let kept = certificates.kept().keep_pair(&id, &text, |read| read.map_err(AcmeError::from));
        certificates.show_issued(id, kept.unwrap(), now());
    }

    fn client(&self) -> Arc<rustls::ClientConfig> {
        client_at(&self.pem, now())
    }
}
