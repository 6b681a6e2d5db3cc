//! `doorward certs`: what devices are given is what others read in it, never with a private key, and the local CA is replaced
//! by its owner's hand alone.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::authority::{Authority, Purpose};
use crate::support::instance::{Instance, OWNERS, owners_and};
use crate::support::namespace::Namespace;
use crate::support::program::{installed, run};
use crate::support::wait::until;

/// Reads a profile as Apple's devices do: its certificate in hex, then its types and identifiers.
const READ_PROFILE: &str = "
import plistlib, sys
profile = plistlib.load(open(sys.argv[1], 'rb'))
assert profile['PayloadType'] == 'Configuration' and profile['PayloadVersion'] == 1
(payload,) = profile['PayloadContent']
assert payload['PayloadType'] == 'com.apple.security.root' and payload['PayloadVersion'] == 1
import uuid
identifiers = {str(uuid.UUID(part['PayloadUUID'])) for part in (profile, payload)}
assert len(identifiers) == 2 and profile['PayloadIdentifier'] != payload['PayloadIdentifier']
print(payload['PayloadContent'].hex())
";

#[test]
fn the_ca_is_exported_in_forms_that_others_read() {
    let host = Namespace::new();
    let mut doorward = Instance::stopped(&host, OWNERS);
    let early = doorward.command(&["certs", "export", "--ca"]);
    assert_eq!(early.status.code(), Some(1), "nothing is made by asking: {early:?}");
    assert!(String::from_utf8_lossy(&early.stderr).contains("hint: the first `doorward run` makes it"), "{early:?}");
    doorward.restart();
    let at = |name: &str| doorward.folder().join(name);
    assert_eq!(doorward.words(&["certs", "export", "--ca"]), doorward.authority());

    let (der, profile) = (at("ca.der"), at("ca.mobileconfig"));
    let (der_text, profile_text) = (der.to_str().unwrap(), profile.to_str().unwrap());
    let told = doorward.words(&["certs", "export", "--ca", "--format", "der", "--out", der_text]);
    doorward.words(&["certs", "export", "--ca", "--format", "mobileconfig", "--out", profile_text]);
    let openssl = |arguments: &[&str]| {
        let output = run(Command::new(installed("openssl", "openssl")).args(arguments));
        String::from_utf8(output.stdout).unwrap()
    };
    for digest in ["sha256", "sha1"] {
        let says =
            openssl(&["x509", "-inform", "der", "-in", der_text, "-noout", "-fingerprint", &format!("-{digest}")]);
        let fingerprint = says.trim().split_once('=').unwrap().1;
        assert!(told.contains(fingerprint), "{fingerprint}: {told}");
        assert_eq!(doorward.json(&["certs", "export", "--ca"])[digest], fingerprint);
    }
    let read = run(Command::new(installed("python3", "python3")).args(["-c", READ_PROFILE, profile_text]));
    let hex: String = fs::read(&der).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(String::from_utf8(read.stdout).unwrap().trim(), hex);
}

#[test]
fn a_chain_is_exported_without_its_key() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, OWNERS);
    for name in ["localhost", "127.0.0.1", "::1"] {
        let chain = doorward.words(&["certs", "export", name]);
        assert!(chain.starts_with("-----BEGIN CERTIFICATE-----") && !chain.contains("PRIVATE"), "{chain}");
        let (file, ca) = (doorward.folder().join("chain"), doorward.folder().join("certs/local-ca.crt"));
        fs::write(&file, chain).unwrap();
        let how = if name == "localhost" { "-verify_hostname" } else { "-verify_ip" };
        run(Command::new(installed("openssl", "openssl")).args(["verify", how, name, "-CAfile"]).arg(&ca).arg(&file));
    }
    for (arguments, code) in [
        (&["certs", "export", "other.example"][..], 1),
        (&["certs", "export", "a/b"], 2),
        (&["certs", "export"], 2),
        (&["certs", "export", "--ca", "localhost"], 2),
        (&["certs", "export", "localhost", "--format", "mobileconfig"], 2),
        (&["certs", "export", "--ca", "--out", "/absent/file"], 1),
    ] {
        let refused = doorward.command(arguments);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(code), 0), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn the_ca_is_replaced_by_its_owners_hand_alone_and_the_old_one_is_kept() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, OWNERS);
    let old = doorward.authority();
    let running = doorward.command(&["certs", "recreate-ca", "--yes"]);
    assert_eq!(running.status.code(), Some(1), "an instance goes on with what it has read: {running:?}");
    assert!(
        String::from_utf8_lossy(&running.stderr)
            .contains("hint: this is done while doorward does not run: stop it (`kill "),
        "{running:?}"
    );
    assert!(doorward.stop().success());
    let unasked = doorward.command(&["certs", "recreate-ca"]);
    assert_eq!(unasked.status.code(), Some(2), "nobody sits there to be asked: {unasked:?}");
    assert_eq!(doorward.words(&["certs", "export", "--ca"]), old);

    // A name from outside is what makes a new one necessary.
    let file = doorward.folder().join("doorward.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n[edge]\nnames = [\"claw.example\"]\n")).unwrap();
    let refused = doorward.command(&["check"]);
    let says = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(says.contains("claw.example") && says.contains("doorward certs recreate-ca"), "{says}");
    assert!(says.contains("certificates.acme"), "{says}");
    let told = doorward.words(&["certs", "recreate-ca", "--yes"]);
    assert!(told.contains("Each device"), "{told}");
    let new = doorward.words(&["certs", "export", "--ca"]);
    assert!(new != old && doorward.authority() == new);
    assert!(kept(&doorward.folder().join("state/local-ca")).contains(&old));
    doorward.restart();
    assert!(doorward.words(&["certs", "export", "claw.example"]).starts_with("-----BEGIN"));
}

#[test]
fn a_start_that_fails_fixes_no_names_of_the_local_ca() {
    let host = Namespace::new();
    // Others are there already.
    let held = host.on(|| ["127.0.0.1:18789", "127.0.0.1:9464"].map(|address| TcpListener::bind(address).unwrap()));
    let named = |name: &str, port: u16, rest: &str| {
        format!("[edge]\nnames = [\"{name}\"]\n[[listener]]\nbind = [\"127.0.0.1:{port}\"]\n{rest}")
    };
    let many: Vec<String> = (0..100).map(|number| format!("\"n{number}.example\"")).collect();
    let many = named("n.example", 8443, "").replace("[\"n.example\"]", &format!("[{}]", many.join(", ")));
    let mut doorward = Instance::stopped(&host, "");
    for (configuration, cause) in [
        (named("wrong.example", 18_789, ""), "127.0.0.1:18789 is taken"),
        (named("wrong.example", 8443, "[admin]\nmetrics_bind = [\"127.0.0.1:9464\"]\n"), "127.0.0.1:9464 is taken"),
        (many, "more than 100 names for the local certificate"),
    ] {
        doorward.configure(&configuration);
        let refused = doorward.command(&["run"]);
        let says = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && says.contains(cause), "{cause}: {refused:?}");
        assert!(!doorward.folder().join("state/local-ca/ca.pem").exists(), "{cause}");
    }
    doorward.configure(&named("right.example", 8443, ""));
    doorward.restart();
    assert!(doorward.words(&["certs", "export", "right.example"]).starts_with("-----BEGIN"));
    drop(held);
}

#[test]
fn a_check_lists_what_is_ordered_of_cas_and_warns_where_none_reaches_a_listener() {
    let host = Namespace::new();
    host.address("lo", "192.0.2.7/32");
    let configuration = |plain: &str| {
        format!(
            "[edge]\nnames = [\"a.example\", \"b.example\"]\n[[listener]]\nbind = [\"192.0.2.7:443\"]\n\
             [[listener]]\nbind = [\"{plain}\"]\nprotocol = \"http\"\n\
             [[certificates.acme]]\nnames = [\"a.example\", \"b.example\"]\ndirectory = [\"https://one.example/\", \"https://two.example/\"]\n"
        )
    };
    let doorward = Instance::stopped(&host, &configuration("192.0.2.7:80"));
    let words = doorward.words(&["check"]);
    let line = "acme     a.example, b.example  shown to be yours by http-01, tls-alpn-01  from https://one.example/, else https://two.example/\n";
    assert!(words.contains(line) && !words.contains("warning:"), "{words}");
    let ordered = serde_json::json!([{
        "names": ["a.example", "b.example"],
        "directories": ["https://one.example/", "https://two.example/"],
        "challenges": ["http-01", "tls-alpn-01"],
    }]);
    assert_eq!(doorward.json(&["check"])["acme"], ordered);
    for elsewhere in ["192.0.2.7:8080", "127.0.0.1:80"] {
        doorward.configure(&configuration(elsewhere));
        let told = "a ca asks for http-01 at port 80 of a.example, and no listener for it is bound there";
        let words = doorward.words(&["check"]);
        assert!(words.contains(&format!("warning: certificates.acme: {told}")), "{words}");
        let json = doorward.json(&["check"]);
        assert!(json["ok"] == true && json["warnings"].to_string().contains(told), "{json:#}");
    }
}

#[test]
fn certificates_are_listed_with_the_cas_fingerprints_and_renewed_as_far_as_may_be() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, OWNERS);
    let ca = doorward.json(&["certs", "export", "--ca"]);
    let listed = doorward.json(&["certs", "list"]);
    let (standing, local) = (&listed["certificates"][0], &listed["localCa"]);
    assert_eq!((&standing["source"], &standing["alarm"]), (&"local-ca".into(), &"none".into()), "{listed}");
    assert!(standing["names"].as_array().unwrap().contains(&"localhost".into()), "{listed}");
    assert!(standing["notAfterMs"].as_i64().unwrap() > standing["notBeforeMs"].as_i64().unwrap(), "{listed}");
    assert_eq!((&local["sha256"], &local["name"], &local["inUse"]), (&ca["sha256"], &ca["name"], &true.into()));
    let words = doorward.words(&["certs", "list"]);
    for word in ["localhost", "local-ca", local["sha256"].as_str().unwrap(), local["sha1"].as_str().unwrap()] {
        assert!(words.contains(word), "{word}: {words}");
    }

    let before = doorward.words(&["certs", "export", "localhost"]);
    let renewed = doorward.json(&["certs", "renew", "LOCALHOST"]);
    assert_eq!(renewed["renewals"][0]["renewal"], "issued", "{renewed}");
    assert_ne!(doorward.words(&["certs", "export", "localhost"]), before);
    assert!(doorward.words(&["certs", "renew"]).contains("issued anew"));
    let unknown = doorward.command(&["certs", "renew", "other.example"]);
    let says = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(1) && says.contains("doorward certs list"), "{says}");
}

#[test]
fn a_check_names_what_is_wrong_with_a_pair_and_its_hint_done_as_it_stands_mends_it() {
    let host = Namespace::new();
    let authority = Authority::new("somebody's own");
    let mut doorward = Instance::stopped(&host, &owners_and(""));
    // As a person may call a folder and files.
    let below = doorward.folder().join("certs/Ann's $(id) keys");
    fs::create_dir_all(&below).unwrap();
    authority.issue(Purpose::Server, &["claw.example.com"]).write(&below, "my\nclaw");
    let [cert, key] = ["crt", "key"].map(|ending| below.join(format!("my\nclaw.{ending}")));
    let sound = [fs::read(&cert).unwrap(), fs::read(&key).unwrap()];
    let check = || doorward.command(&["check", "--json"]);
    assert_eq!(check().status.code(), Some(0), "{:?}", check());
    let convert = |words: &[&str], from: &Path| {
        run(Command::new(installed(words[0], "openssl")).args(&words[1..]).arg("-in").arg(from)).stdout
    };
    let der = [
        convert(&["openssl", "x509", "-outform", "der"], &cert),
        convert(&["openssl", "pkey", "-outform", "der"], &key),
    ];
    let marked = |bytes: &[u8]| [b"\xef\xbb\xbf", bytes].concat();
    let wide = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let units = std::iter::once(0xfeff).chain(text.encode_utf16().collect::<Vec<_>>());
        units.flat_map(u16::to_le_bytes).collect::<Vec<_>>()
    };
    let [cert_bytes, key_bytes] = &sound;
    for (cert_now, key_now, words) in [
        (marked(cert_bytes), key_bytes.clone(), "certificate is pem behind a byte order mark"),
        (cert_bytes.clone(), marked(key_bytes), "private key is pem behind a byte order mark"),
        (wide(cert_bytes), key_bytes.clone(), "certificate is pem in utf-16"),
        (cert_bytes.clone(), wide(key_bytes), "private key is pem in utf-16"),
        (der[0].clone(), key_bytes.clone(), "certificate is in der, not in pem"),
        (cert_bytes.clone(), der[1].clone(), "private key is in der, not in pem"),
        (key_bytes.clone(), cert_bytes.clone(), "holds the private key, and the key's file the certificate"),
    ] {
        fs::write(&cert, cert_now).unwrap();
        fs::write(&key, key_now).unwrap();
        let said = check();
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        let problems = said["problems"].as_array().unwrap();
        assert_eq!(problems.len(), 1, "{said}");
        assert!(problems[0]["error"].as_str().unwrap().contains(words), "{said}");
        let hint = problems[0]["hint"].as_str().unwrap();
        assert!(!hint.contains('\n'), "{hint}");
        run(Command::new(installed("bash", "bash")).args(["-c", hint]));
        let said = check();
        assert_eq!(said.status.code(), Some(0), "{hint}: {said:?}");
    }
    // Windows' line ends are no fault.
    let crlf = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().replace('\n', "\r\n");
    fs::write(&cert, crlf(cert_bytes)).unwrap();
    fs::write(&key, crlf(key_bytes)).unwrap();
    doorward.restart();
    assert!(doorward.words(&["certs", "list"]).contains("file"));
}

#[test]
fn an_order_that_failed_is_listed_with_its_cause_and_not_hastened() {
    let host = Namespace::new();
    // Nobody listens there.
    let acme = "[[certificates.acme]]\nnames = [\"a.example\"]\ndirectory = \"https://127.0.0.1:9/dir\"\n";
    let doorward = Instance::start(&host, &owners_and(&format!("[edge]\nnames = [\"a.example\"]\n{acme}")));
    let standing = || doorward.json(&["certs", "list"])["certificates"][0].clone();
    until(|| standing()["attempts"]["stage"] == "waiting", || standing().to_string());
    let failed = standing();
    assert!(failed["hint"].is_string() && failed["attempts"]["nextMs"].is_i64(), "{failed}");
    let words = doorward.words(&["certs", "list"]);
    assert!(
        words.contains("a.example\n  from      acme") && words.contains("none yet") && words.contains("hint: "),
        "{words}"
    );
    let refused = doorward.command(&["certs", "renew", "a.example"]);
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && says.contains("limits allow the next at"), "{says}");
}

/// What the dated files of a folder hold.
fn kept(folder: &Path) -> String {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let dated = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ca-2"));
    dated.map(|path| fs::read_to_string(path).unwrap()).collect()
}
