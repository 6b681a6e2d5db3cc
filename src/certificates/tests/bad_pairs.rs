//! Certificate files that would fail in a browser.

use std::os::unix::fs::symlink;

use super::*;
use crate::base::pem;
use crate::certificates::files::FileError;
use crate::certificates::files::form::{Form, Part};

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

#[test]
fn another_form_than_pem_is_named_with_the_command_that_mends_it() {
    let house = House::new(&["a.local"]);
    house.open(now()).unwrap();
    let ca_pem = fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap();
    let text = local_ca::tests_leaf(&ca_pem, &[Host::parse("a.local").unwrap()], now());
    let (key_text, cert_text) = split(&text);
    let der = |text: &str| x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap().1.contents;
    let block = |label: &str| pem::encode(label, &[0, 0, 0]).expose().clone().into_bytes();
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    let marked = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let pkcs12 = b"\x30\x82\x0a\x00\x02\x01\x03\x30".to_vec();
    for (cert, key, part, form, hint) in [
        (marked(cert_text), key_text.into(), Part::Certificate, Form::Marked, "LC_ALL=C sed"),
        // The second of a chain: behind the mark it would be passed over.
        ([cert_text.as_bytes(), &marked(cert_text)].concat(), key_text.into(), Part::Certificate, Form::Marked, "sed"),
        (cert_text.into(), marked(key_text), Part::Key, Form::Marked, "LC_ALL=C sed"),
        ([&[0xff, 0xfe], &wide(cert_text)[..]].concat(), key_text.into(), Part::Certificate, Form::Utf16, "iconv"),
        (wide(cert_text), key_text.into(), Part::Certificate, Form::Utf16, "iconv -f UTF-16"),
        (cert_text.into(), [&[0xff, 0xfe], &wide(key_text)[..]].concat(), Part::Key, Form::Utf16, "iconv"),
        (der(cert_text), key_text.into(), Part::Certificate, Form::Der, "openssl x509 -inform der"),
        (cert_text.into(), der(key_text), Part::Key, Form::DerKey, "openssl pkey -inform der"),
        (pkcs12.clone(), key_text.into(), Part::Certificate, Form::Pkcs12, "openssl pkcs12"),
        (cert_text.into(), pkcs12, Part::Key, Form::Pkcs12, "openssl pkcs12"),
        (block("PKCS7"), key_text.into(), Part::Certificate, Form::Pkcs7, "-print_certs"),
        (block("CERTIFICATE REQUEST"), key_text.into(), Part::Certificate, Form::Request, "name the certificate"),
        (block("TRUSTED CERTIFICATE"), key_text.into(), Part::Certificate, Form::Trusted, "openssl x509 -in"),
        (cert_text.into(), block("PUBLIC KEY"), Part::Key, Form::PublicKey, "name the private key"),
        (cert_text.into(), block("OPENSSH PRIVATE KEY"), Part::Key, Form::OpenSsh, "openssl has made"),
    ] {
        let at = |name: &str, bytes: &[u8]| {
            let path = house.write(name, "", 0o600);
            fs::write(&path, bytes).unwrap();
            path
        };
        let pair = FilePair { cert: at("Ann's.crt", &cert), key: at("Ann's.key", &key) };
        let error = files::load(&pair, now()).unwrap_err();
        let path = if part == Part::Key { &pair.key } else { &pair.cert };
        let expected = FileError::Form { form, part, path: path.clone() };
        assert_eq!(error.to_string(), expected.to_string());
        assert!(error.hint().contains(hint), "{error}: {}", error.hint());
    }
}

#[test]
fn a_key_in_the_certificates_place_and_the_other_way_round_is_one_fault() {
    let house = House::new(&["a.local"]);
    house.open(now()).unwrap();
    let ca_pem = fs::read_to_string(house.state().join("local-ca/ca.pem")).unwrap();
    let text = local_ca::tests_leaf(&ca_pem, &[Host::parse("a.local").unwrap()], now());
    let (key_text, cert_text) = split(&text);
    let pair = FilePair { cert: house.write("a\nb.crt", key_text, 0o600), key: house.write("a.key", cert_text, 0o644) };
    let error = files::load(&pair, now()).unwrap_err();
    assert!(matches!(error, FileError::Swapped { .. }), "{error}");
    assert!(!error.to_string().contains('\n') && !error.hint().contains('\n'), "{error} {}", error.hint());
    // The hint, done.
    let done = std::process::Command::new("bash").args(["-c", &error.hint()]).status().unwrap();
    assert!(done.success(), "{}", error.hint());
    files::load(&pair, now()).unwrap();
}
