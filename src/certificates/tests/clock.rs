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

#[test]
fn a_leaf_of_a_clock_that_was_ahead_or_behind_for_a_moment_is_issued_anew_within_the_minute() {
    let (house, right) = (House::new(&["pi.local"]), now().plus(100 * DAY));
    let certificates = house.open(right).unwrap();
    let of_ca = client_at(certificates.ca_pem(), right);
    let shown = |certificates: &Certificates| handshake(&of_ca, &server(certificates, &[]), "pi.local");
    assert_eq!(certificates.renew_what_does_not_hold(right).unwrap(), Renewal::NotDue);
    for (days, fault) in [(40, "NotValidYet"), (3_000, "NotValidYet"), (-60, "Expired")] {
        let wrong = right.plus(days * DAY);
        assert_eq!(certificates.renew(wrong).unwrap(), Renewal::Renewed, "{days}");
        assert!(shown(&certificates).unwrap_err().contains(fault), "{days}");
        assert_eq!(certificates.renew_what_does_not_hold(right).unwrap(), Renewal::Renewed, "{days}");
        assert!(shown(&certificates).is_ok(), "{days}");
        // Nor does the next start show what such a look has kept.
        certificates.renew(wrong).unwrap();
        assert!(shown(&house.open(right).unwrap()).is_ok(), "{days}");
        certificates.renew(right).unwrap();
    }
}

#[test]
fn by_a_clock_that_is_ahead_by_years_what_there_is_is_served_and_no_device_is_to_trust_anew() {
    let mut house = House::new(&["pi.local", "claw.local"]);
    let (of_file, issue) = another_ca();
    let of_file = client_of(&of_file);
    let (cert, key) = house.write_pair("claw", &issue(now()));
    house.settings.files.push(FilePair { cert: cert.clone(), key });
    let before = house.open(now()).unwrap();
    let of_ca = client_of(before.ca_pem());
    let state = house.state().to_owned();
    let kept = || ["ca.pem", "leaf.pem"].map(|file| fs::read(state.join("local-ca").join(file)).unwrap());
    let first = kept();
    let ahead = now().plus(11 * 365 * DAY);

    let certificates = house.open(ahead).unwrap();
    let shown =
        |certificates: &Certificates, client: &_, name: &str| handshake(client, &server(certificates, &[]), name);
    assert_eq!(shown(&certificates, &of_ca, "pi.local"), Ok(HandshakeKind::Full));
    assert_eq!(shown(&certificates, &of_file, "claw.local"), Ok(HandshakeKind::Full));
    // It is said, by the start and by the list, and the clock is named first.
    assert!(certificates.list(ahead).iter().all(|standing| standing.alarm == alarm::Alarm::Over));
    let doubts = doubts(&house.settings, ahead);
    assert!(matches!(&doubts[..], [Doubt::Authority { .. }, Doubt::OutOfTime { cert: file, .. }] if *file == cert));
    let refused = [certificates.renew(ahead).map(drop).unwrap_err(), certificates.reissue_local(ahead).unwrap_err()];
    assert!(refused.iter().all(|error| matches!(error, CertificateError::LocalCa(LocalCaError::Expired { .. }))));
    for hint in refused.iter().map(CertificateError::hint).chain(doubts.first().map(Doubt::hint)) {
        assert!(hint.starts_with("date"), "{hint}");
    }
    assert!(doubts[1].hint().contains("clock is right: date; if it is"), "{}", doubts[1].hint());
    // A new name by such a clock has a leaf that holds as long as the stored one.
    let mut settings = house.settings.clone();
    settings.names.push(Host::parse("new.local").unwrap());
    certificates.replace(&settings, ahead).unwrap();
    assert_eq!(shown(&certificates, &of_ca, "new.local"), Ok(HandshakeKind::Full));
    assert_eq!(certificates.renew_what_does_not_hold(ahead).unwrap(), Renewal::NotDue);
    assert_eq!(kept(), first, "nothing is written");
    // Right again.
    assert_eq!(certificates.renew(now()).unwrap(), Renewal::Renewed);
    assert_ne!(kept()[1], first[1]);
    // What was dropped and is over by such a clock comes back with the right one, without being written anew.
    let (cert, key) = (house.settings.files[0].cert.clone(), house.settings.files.remove(0).key);
    for (file, place) in [(cert, "claw.crt"), (key, "claw.key")] {
        fs::rename(file, house.settings.dir.join(place)).unwrap();
    }
    let certificates = Certificates::open(house.settings.clone(), ahead).unwrap();
    assert_eq!(certificates.look_at_files(ahead).len(), 0);
    assert_eq!(certificates.look_at_files(now()).len(), 1);
    assert_eq!(shown(&certificates, &of_file, "claw.local"), Ok(HandshakeKind::Full));
}

#[test]
fn a_reload_takes_no_file_that_is_over_in_place_of_what_is_shown() {
    let (mut house, today) = (House::new(&["claw.local"]), now().plus(40 * DAY));
    let (of_file, issue) = another_ca();
    let of_file = client_at(&of_file, today);
    let (cert, key) = house.write_pair("claw", &issue(today));
    house.settings.files.push(FilePair { cert, key });
    let certificates = house.open(today).unwrap();
    let shown = || handshake(&of_file, &server(&certificates, &[]), "claw.local");
    let over = issue(now());
    house.write_pair("claw", &over);
    certificates.replace(&house.settings, today).unwrap();
    assert!(shown().is_ok(), "the older one of the same files");
    let mut settings = house.settings.clone();
    let (cert, key) = house.write_pair("other", &over);
    settings.files = vec![FilePair { cert, key }];
    let error = certificates.replace(&settings, today).unwrap_err();
    assert!(matches!(&error, CertificateError::File(files::FileError::Expired(_))), "{error}");
    assert!(error.hint().contains("date"), "{}", error.hint());
    assert!(shown().is_ok());
}

#[test]
fn what_is_exported_for_a_name_is_what_is_shown_for_it_when_a_file_is_over() {
    let mut house = House::new(&["claw.local"]);
    let (of_file, issue) = another_ca();
    // The first is over sooner.
    for (stem, at) in [("first", now()), ("second", now().plus(20 * DAY))] {
        let (cert, key) = house.write_pair(stem, &issue(at));
        house.settings.files.push(FilePair { cert, key });
    }
    let name = Host::parse("claw.local").unwrap();
    for (later, first) in [(0, true), (35, false), (500, true)] {
        let now_then = now().plus(later * DAY);
        let certificates = house.open(now_then).unwrap();
        let client = client_at(&of_file, if first { now() } else { now_then });
        let shown = client::serial_for(&client, &server(&certificates, &[]), "claw.local").unwrap();
        let exported = Certificates::find_chain(&house.settings, &name, now_then).unwrap().unwrap();
        assert_eq!(x509::parse(&exported[0]).unwrap().raw_serial_as_string(), shown, "{later} days on");
        let pair = &house.settings.files[usize::from(!first)];
        assert_eq!(exported[0], files::read(pair).unwrap().certified.cert[0], "{later} days on");
    }
}

/// Another CA's certificate, and what issues one for `claw.local` at a time.
fn another_ca() -> (String, impl Fn(UnixMillis) -> String) {
    let other = House::new(&[]);
    let trusted = other.open(now()).unwrap().ca_pem().to_owned();
    let ca_pem = fs::read_to_string(other.state().join("local-ca/ca.pem")).unwrap();
    let name = Host::parse("claw.local").unwrap();
    (trusted, move |at| local_ca::tests_leaf(&ca_pem, std::slice::from_ref(&name), at))
}
