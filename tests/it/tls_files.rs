//! Certificate files change under a running door: new handshakes see what is whole and sound, nobody sees anything else.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::authority::{Authority, Pair, Purpose};
use crate::support::handshake::Client;
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::program::run;
use crate::support::wait::until;

const CONFIGURATION: &str = r#"
[edge]
names = ["claw.lan", "drop.lan"]

[[listener]]
name = "lan"
bind = ["10.77.0.1:8443"]
protocol = "https"

[[certificates.file]]
cert = "pair/claw.crt"
key = "pair/claw.key"
"#;

#[test]
fn a_file_that_changes_is_shown_and_a_broken_one_is_not() {
    let home = Household::new();
    let authority = Authority::new("household");
    let server = |name: &str| authority.issue(Purpose::Server, &[name]);
    let mut doorward = Instance::stopped(&home.host, CONFIGURATION);
    let folder = doorward.folder().to_owned();
    let (pair, certs) = (folder.join("pair"), folder.join("certs"));
    fs::create_dir(&pair).unwrap();
    server("claw.lan").write(&pair, "claw");
    doorward.restart();
    let shows = |name: &'static str, pair: &Pair| {
        // A new one each time: a session that is resumed shows no certificate.
        let (client, pair) = (Client::trusting(authority.pem()), pair.clone());
        home.lan.on(move || client.shake("10.77.0.1:8443", name).is_ok_and(|shaken| shaken.shows(&pair)))
    };

    // Two writes, with a moment between them.
    let second = server("claw.lan");
    second.write_cert(&pair, "claw");
    second.write_key(&pair, "claw");
    until(|| shows("claw.lan", &second), || "the second pair".to_owned());

    fs::write(pair.join("claw.crt"), "half a certif").unwrap();
    until(
        || doorward.log().contains("certificate files not taken; the old certificate is shown on"),
        || "the refusal".to_owned(),
    );
    assert!(shows("claw.lan", &second));

    // The folder is swapped whole, as a deployment does.
    let (third, new) = (server("claw.lan"), folder.join("new"));
    fs::create_dir(&new).unwrap();
    third.write(&new, "claw");
    fs::rename(&pair, folder.join("old")).unwrap();
    fs::rename(&new, &pair).unwrap();
    until(|| shows("claw.lan", &third), || "the swapped folder".to_owned());

    // And what people drop where the readme says, without a word of configuration.
    let dropped = server("drop.lan");
    assert!(!shows("drop.lan", &dropped));
    dropped.write(&certs, "drop");
    until(|| shows("drop.lan", &dropped), || "the dropped pair".to_owned());

    // A mount tells nobody that anything has changed.
    let fourth = server("claw.lan");
    let _mount = Mount::over(&pair);
    fourth.write(&pair, "claw");
    until(|| shows("claw.lan", &fourth), || "the mounted pair".to_owned());

    let log = doorward.log();
    let told = log.lines().filter(|line| line.contains("not taken")).count();
    assert!(told <= 2, "a fault is told once (and a folder may be caught half swapped):\n{log}");
    assert!(log.contains("hint=") && log.contains("certificate read from files; new connections see it"), "{log}");
}

/// A file system over a folder, until it is dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn over(folder: &'a Path) -> Self {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "mode=755,size=1m", "doorward-test"]).arg(folder));
        Self(folder)
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
