//! Certificate files that would fail in a browser.

use std::os::unix::fs::symlink;

use super::*;
use crate::base::pem;
use crate::certificates::files::FileError;

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
        assert!(
            matches!(fails(&cert, &name("open", &key_text, mode)), FileError::KeyFile(error) if matches!(error.fault, Fault::Mode { .. })),
            "{mode:o}"
        );
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
    let absent = house.folder().join("absent");
    assert!(matches!(fails(&absent, &key), FileError::CertFile(error) if error.is_absent()));
    let error = fails(&cert, &absent);
    assert!(matches!(&error, FileError::KeyFile(error) if error.is_absent()));
    let words = error.to_string();
    assert!(
        words.starts_with("private key: file cannot be used (") && words.ends_with(&format!("): {}", absent.display()))
    );
    assert_eq!(error.hint(), format!("make {}, or name the file that is meant", absent.display()));
    assert!(
        matches!(fails(&cert, house.folder()), FileError::KeyFile(error) if matches!(error.fault, Fault::NotAFile))
    );
    let (cert, key) = house.write_pair("nameless", &local_ca::tests_leaf(&ca_pem, &[], now()));
    assert!(matches!(fails(&cert, &key), FileError::NoNames(_)));
}
