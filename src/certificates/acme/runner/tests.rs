//! A turn that breaks off, without a CA.

use super::*;
use crate::certificates;
use crate::certificates::acme::backoff::{OpenOrder, Record};
use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::{ChallengeKind, KeyType};
use crate::net::host::Host;

#[test]
fn a_turn_that_breaks_off_is_a_failure_that_lets_its_order_go() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = Settings {
        names: vec![Subject::parse("a.example").unwrap()],
        directories: vec!["https://ca.example/d".to_owned()],
        contact: Vec::new(),
        challenges: vec![ChallengeKind::Http01],
        dns: None,
        key_type: KeyType::P256,
        profile: None,
        root_file: None,
        eab: None,
    };
    let settings = certificates::Settings {
        state_dir: folder.path().to_owned(),
        dir: folder.path().join("certs"),
        names: vec![Host::parse("a.example").unwrap()],
        acme: vec![wanted.clone()],
        ..certificates::Settings::default()
    };
    let (clock, id) = (Clock::fixed(UnixMillis(1_800_000_000_000)), Id::of(&wanted.names));
    let certificates = Arc::new(Certificates::open(settings, clock.now()).unwrap());
    let runner = Runner::new(Arc::clone(&certificates), clock.clone());
    let text = String::new;
    let order =
        OpenOrder { directory: text(), url: text(), key: text(), made_ms: clock.now().0, next_ms: 0, resumes: 0 };
    runner.kept.keep_record(&id, &Record { order: Some(order), ..Record::default() }).unwrap();
    let (_, known) = runner.broke_off(&wanted, id.clone());
    let record = runner.kept.record(&id).unwrap();
    assert_eq!((record.order, record.next_ms), (None, clock.now().plus(60_000).0));
    let told = certificates.list(clock.now()).remove(0).attempts.and_then(|attempts| attempts.failure);
    assert!(told.is_some_and(|failure| failure.reason.contains("broke off")));
    assert_eq!(known.paused, None);
}
