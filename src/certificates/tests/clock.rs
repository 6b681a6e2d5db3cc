//! A clock that was never set, and what else stops no start and is told.

use super::*;
use crate::certificates::doubt::{Doubt, doubts};

#[test]
fn a_clock_that_is_not_set_makes_no_ca_that_is_expired_tomorrow() {
    let house = House::new(&[]);
    house.open(UnixMillis(0)).unwrap();
    let leaf = house.state().join("local-ca/leaf.pem");
    assert!(!leaf.exists(), "no leaf is kept that is dated by such a clock");
    let certificates = house.open(now()).unwrap();
    assert!(leaf.exists());
    let client = client_at(certificates.ca_pem(), now().plus(3_649 * DAY));
    let error = handshake(&client, &server(&certificates, &[]), "localhost").unwrap_err();
    assert!(error.contains("Expired") && !error.contains("UnknownIssuer"), "{error}");
}

#[test]
fn by_a_clock_that_is_not_set_what_there_is_is_served_and_nothing_is_written() {
    let mut house = House::new(&["claw.example.com", "pi.local"]);
    let other = House::new(&[]);
    let of_file = client_of(other.open(now()).unwrap().ca_pem());
    let ca_pem = fs::read_to_string(other.state().join("local-ca/ca.pem")).unwrap();
    let name = Host::parse("claw.local").unwrap();
    let (cert, key) = house.write_pair("claw", &local_ca::tests_leaf(&ca_pem, std::slice::from_ref(&name), now()));
    house.settings.files.push(FilePair { cert, key });
    house.settings.names.push(name);
    let before = house.open(now()).unwrap();
    let of_ca = client_of(before.ca_pem());
    let serial = |certificates: &Certificates| serial_shown(&of_ca, &server(certificates, &[]));
    let first = serial(&before);
    let kept = || fs::read(house.state().join("local-ca/leaf.pem")).unwrap();
    let leaf = kept();
    for clock in [UnixMillis(0), UnixMillis(-1), UnixMillis(1_793_491_199_999)] {
        let certificates = house.open(clock).unwrap();
        assert_eq!(
            handshake(&of_file, &server(&certificates, &[]), "claw.local"),
            Ok(HandshakeKind::Full),
            "{clock:?}"
        );
        assert_eq!(serial(&certificates), first, "{clock:?}: the stored leaf");
        assert_eq!(certificates.renew(clock).unwrap(), Renewal::NotDue);
        // For a name that came since, one from the earliest date on; nothing of it is kept.
        let mut settings = house.settings.clone();
        settings.names.push(Host::parse("new.local").unwrap());
        certificates.replace(&settings, clock).unwrap();
        assert_eq!(handshake(&of_ca, &server(&certificates, &[]), "new.local"), Ok(HandshakeKind::Full), "{clock:?}");
        certificates.reissue_local(clock).unwrap();
        assert_eq!(kept(), leaf, "{clock:?}");
        let alarms: Vec<_> = certificates.list(clock).iter().map(|standing| standing.alarm).collect();
        assert!(clock.0 > 0 || alarms == [alarm::Alarm::NotYet; 2], "{clock:?}: {alarms:?}");
        // Set: the leaf is issued and kept.
        assert_eq!(certificates.renew(now()).unwrap(), Renewal::Renewed);
        assert_ne!(kept(), leaf);
        fs::write(house.state().join("local-ca/leaf.pem"), &leaf).unwrap();
    }
}

#[test]
fn what_may_not_be_meant_is_told_and_stops_nothing() {
    let names = ["claw.example.com", "www.example.com", "pi.local", "192.168.7.7", "box.tail1.ts.net"];
    let mut house = House::new(&names);
    let other = House::new(&[]);
    other.open(now()).unwrap();
    let ca_pem = fs::read_to_string(other.state().join("local-ca/ca.pem")).unwrap();
    let name = |text: &str| Host::parse(text).unwrap();
    let told = |house: &House, now| {
        let doubts = doubts(&house.settings, now);
        assert!(doubts.iter().all(|doubt| !doubt.hint().is_empty() && !doubt.to_string().is_empty()));
        doubts
    };
    assert_eq!(told(&house, now()), [], "the local ca's house");
    assert_eq!(told(&house, UnixMillis(5)), [Doubt::Clock(UnixMillis(5))]);
    let write = |stem: &str, names: &[&str]| {
        let names: Vec<_> = names.iter().map(|text| name(text)).collect();
        let (cert, key) = house.write_pair(stem, &local_ca::tests_leaf(&ca_pem, &names, now()));
        FilePair { cert, key }
    };
    let (own, foreign) = (write("own", &["claw.example.com"]), write("foreign", &["example.org"]));
    house.settings.files = vec![own];
    let uncovered = |text: &str| Doubt::Uncovered(name(text));
    assert_eq!(told(&house, now()), [uncovered("www.example.com"), uncovered("box.tail1.ts.net")]);
    let socket = house.folder().join("tailscaled.sock");
    house.settings.tailnet = Some(crate::tailscale::Settings { socket, dialled: crate::tailscale::Dialled::ThisNode });
    house.settings.files.push(foreign.clone());
    let names = x509::Names { exact: vec![name("example.org")], wildcards: Vec::new() };
    let foreign = Doubt::Foreign { cert: foreign.cert, names };
    assert_eq!(told(&house, now()), [foreign, uncovered("www.example.com")]);
}
