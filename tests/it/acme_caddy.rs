//! A CA of another make: what holds for Pebble holds for Caddy's own ACME server.

use std::fs;

use serde_json::{Value, json};

use crate::support::acme_rig::standing;
use crate::support::caddy::Caddy;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::pebble::handshake;
use crate::support::wait::until;

const NAME: &str = "claw.example";

#[test]
fn caddys_ca_issues_by_either_challenge_and_renews_what_lives_for_twelve_hours() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let machine = Namespace::new();
        let caddy = Caddy::start(&machine, NAME);
        let text = format!(
            "[edge]\nnames = [\"{NAME}\"]\n[[listener]]\nname = \"web\"\nbind = [\"127.0.0.1:443\"]\n\
             [[listener]]\nname = \"plain\"\nbind = [\"127.0.0.1:80\"]\nprotocol = \"http\"\n\
             [[certificates.acme]]\nnames = [\"{NAME}\"]\ndirectory = \"{}\"\nroot_file = \"{}\"\n\
             challenges = [\"{challenge}\"]\n",
            Caddy::DIRECTORY,
            caddy.root_file()
        );
        let mut instance = Instance::start(&machine, &text);
        let issued = || instance_time(&instance, "/notAfterMs");
        until(|| issued().is_some(), || instance.log());
        let (first, begins) = (issued().unwrap(), instance_time(&instance, "/notBeforeMs").unwrap());
        assert!((11 * 3_600_000..13 * 3_600_000).contains(&(first - begins)), "{}", first - begins);
        let due = instance_time(&instance, "/attempts/dueMs").unwrap();
        assert!(due > begins && due < first - (first - begins) / 3 + 1, "within two thirds of it");
        // The time of its renewal comes: as it stands on disk, for neither of the two clocks can be moved alone.
        assert_eq!(instance.stop().code(), Some(0));
        let record = instance.folder().join("state/acme").read_dir().unwrap().map(|entry| entry.unwrap().path());
        let record = record
            .into_iter()
            .find(|path| path.to_str().unwrap().contains("/claw.example-") && path.extension().unwrap() == "json");
        let record = record.unwrap();
        let mut kept: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
        kept["renewal"] =
            json!({"askMs": first, "chosen": {"fromMs": begins, "toMs": begins + 2, "momentMs": begins + 1}});
        kept["nextMs"] = json!(0);
        fs::write(&record, kept.to_string()).unwrap();
        instance.restart();
        // Both may end in the same second, so the log tells them apart.
        until(|| instance.log().matches("certificate issued").count() == 2, || instance.log());
        assert!(instance_time(&instance, "/notAfterMs").unwrap() >= first);
        let root = caddy.root();
        machine.on(move || handshake(&root, NAME, &[])).unwrap();
        assert!(!instance.log().contains("not renewed"), "{}", instance.log());
    }
}

fn instance_time(instance: &Instance<'_>, pointer: &str) -> Option<i64> {
    standing(instance, NAME).pointer(pointer).and_then(Value::as_i64)
}
