//! What others say of our TLS: sslyze by Mozilla's intermediate profile, and testssl, whose words are all in
//! `tests/peers/testssl.findings`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::authority::{Authority, Purpose};
use crate::support::instance::Instance;
use crate::support::lan::{CLAW_DOOR, Household};
use crate::support::openclaw::from_cache;
use crate::support::program::installed;

/// A door with a certificate of the tests' own CA.
struct Rig {
    home: Household,
    authority: Authority,
}

impl Rig {
    fn new() -> Self {
        Self { home: Household::new(), authority: Authority::new("scanners") }
    }

    fn door(&self) -> (Instance<'_>, PathBuf) {
        let mut doorward = Instance::stopped(&self.home.host, CLAW_DOOR);
        self.authority.issue_for(Purpose::Server, &["claw.lan"], -86_400, 80 * 86_400).write(doorward.folder(), "claw");
        let file = doorward.folder().join("authority.pem");
        fs::write(&file, self.authority.pem()).unwrap();
        doorward.restart();
        (doorward, file)
    }
}

#[test]
fn sslyze_finds_mozillas_intermediate_profile() {
    let rig = Rig::new();
    let (doorward, authority) = rig.door();
    let scan = |authority: &Path| -> Output {
        let sslyze = from_cache(Path::new("sslyze/environment/bin/sslyze"), "tests/peers/tls");
        let mut command = rig.home.lan.command(&sslyze);
        command.args(["--mozilla_config", "intermediate", "--certinfo_ca_file"]).arg(authority);
        command.arg("claw.lan:8443{10.77.0.1}").stdin(Stdio::null()).output().unwrap()
    };
    let output = scan(&authority);
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && words.contains("claw.lan:8443: OK - Compliant"), "{words}");
    // It can say no: this is not the CA.
    let output = scan(&doorward.folder().join("certs/local-ca.crt"));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && words.contains("certificate_path_validation"), "{words}");
}

#[test]
fn testssl_says_what_is_listed_and_nothing_else() {
    let rig = Rig::new();
    let (doorward, authority) = rig.door();
    let found = doorward.folder().join("testssl.json");
    let mut command = rig.home.lan.command(&installed("testssl", "testssl.sh"));
    command.args(["--nodns", "none", "--ip", "10.77.0.1", "--warnings", "off", "--color", "0", "--quiet", "--add-ca"]);
    command.arg(&authority).arg("--jsonfile").arg(&found).arg("claw.lan:8443");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    let findings: Value = serde_json::from_str(&fs::read_to_string(&found).unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {words}"));
    let told: BTreeSet<String> = findings.as_array().unwrap().iter().filter_map(line).collect();
    let listed = include_str!("../peers/testssl.findings");
    let listed: BTreeSet<String> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split("  # ").next().unwrap().trim().to_owned())
        .collect();
    let missing: Vec<_> = listed.difference(&told).collect();
    let new: Vec<_> = told.difference(&listed).collect();
    assert!(missing.is_empty() && new.is_empty(), "no longer said: {missing:#?}\nnot listed: {new:#?}\n{words}");
}

/// What is no praise and no plain fact: severity and what it is about. Nor a warning: by those testssl tells what it could
/// not find out itself, for want of time or of an old OpenSSL.
fn line(finding: &Value) -> Option<String> {
    let word = |key: &str| finding[key].as_str().unwrap_or_default();
    (!matches!(word("severity"), "OK" | "INFO" | "DEBUG" | "WARN"))
        .then(|| format!("{} {}", word("severity"), word("id")))
}
