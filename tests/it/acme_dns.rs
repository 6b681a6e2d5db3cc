//! Certificates by dns-01, from a real CA that asks a real BIND: by dynamic update and by a hook, with what goes wrong there;
//! and certificates for addresses, which no DNS can vouch for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::KeyPair;

use crate::support::bind::{Bind, IDLE_KEY, KEY, KEY_512, OTHER_SECRET, STRANGE_KEY};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::pebble::{DIRECTORY, Manners, Pebble};
use crate::support::wait::{until, wait_until};

const PLACE: &str = "_acme-challenge.claw.example";
/// Somebody else's value in the same place.
const OTHERS: &str = "_acme-challenge.claw IN TXT \"somebody else's\"";
const BOTH: &str = "\"claw.example\", \"*.claw.example\"";

#[test]
fn a_wildcard_and_its_parent_are_proven_by_two_values_at_once_and_nobody_elses_is_touched() {
    for (key, more) in [(KEY, "zone = \"example\", "), (KEY_512, "")] {
        let machine = Namespace::new();
        let bind = Bind::primary(&machine, &[("example", &["127.0.0.1"], OTHERS)]);
        let pebble = Pebble::start(&machine, asking("127.0.0.1:53"));
        let dns = update(&bind, key, more);
        let instance = Instance::start(&machine, &configuration(&pebble, BOTH, &format!("key_type = \"p384\"\n{dns}")));
        wait_until(|| pebble.vouches_for("claw.example") && pebble.vouches_for("a.claw.example"));
        assert!(!pebble.vouches_for("deep.a.claw.example"), "a wildcard is one label");
        assert_eq!(bind.texts(PLACE), ["\"somebody else's\""]);
        assert_eq!(notes(&instance), 0);
        let pair = fs::read_dir(instance.folder().join("state/acme")).unwrap().flatten();
        let pair =
            pair.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|end| end == "pem")).unwrap();
        let key = KeyPair::from_pem(&fs::read_to_string(pair).unwrap()).unwrap();
        assert!(key.is_compatible(&rcgen::PKCS_ECDSA_P384_SHA384));
    }
}

#[test]
fn the_ca_is_told_when_every_name_server_shows_the_value() {
    let machine = Namespace::new();
    let bind = Bind::primary(&machine, &[("example", &["127.0.0.1", "127.0.0.2"], "")]);
    let secondary = Bind::secondary(&machine, "example");
    until(
        || !secondary.texts("example").is_empty() || secondary.log().contains("transferred serial"),
        || format!("no transfer:\n{}", secondary.log()),
    );
    // The CA asks the slow one, and only once.
    let pebble = Pebble::start(&machine, asking("127.0.0.2:53"));
    let dns = update(&bind, KEY, "");
    let instance = Instance::start(&machine, &configuration(&pebble, "\"claw.example\"", &dns));
    wait_until(|| pebble.vouches_for("claw.example"));
    assert_eq!(orders(&instance), 1);
    assert!(!instance.log().contains("no certificate yet"), "{}", instance.log());
}

#[test]
fn an_alias_leads_to_the_zone_that_may_be_changed() {
    let machine = Namespace::new();
    let alias = "_acme-challenge.claw IN CNAME one.acme.example.\none.acme IN CNAME claw.dynamic.test.";
    let zones: [(&str, &[&str], &str); 2] = [("example", &["127.0.0.1"], alias), ("dynamic.test", &["127.0.0.1"], "")];
    let bind = Bind::resolver(&machine, &zones);
    let pebble = Pebble::start(&machine, asking("127.0.0.1:53"));
    let dns = update(&bind, KEY, "zone = \"dynamic.test\", ");
    let _instance = Instance::start(&machine, &configuration(&pebble, "\"claw.example\"", &dns));
    wait_until(|| pebble.vouches_for("claw.example"));
    assert!(bind.texts("claw.dynamic.test").is_empty());
    assert!(bind.log().contains("updating zone 'dynamic.test/IN'"));
}

#[test]
fn each_refusal_of_a_name_server_is_told_with_what_to_do_and_costs_the_ca_nothing() {
    let machine = Namespace::new();
    let bind = Bind::primary(&machine, &[("example", &["127.0.0.1"], "")]);
    let pebble = Pebble::start(&machine, asking("127.0.0.1:53"));
    let at = |server: &str, key: &str, zone: &str| {
        let file = bind.key_file(key);
        format!("update = {{ server = \"{server}\", {zone}key_file = \"{file}\" }}")
    };
    let cases = [
        ("bad-key.example", at("127.0.0.1", STRANGE_KEY, ""), "(BADKEY)", "give the server the key"),
        ("bad-secret.example", at("127.0.0.1", OTHER_SECRET, ""), "(BADSIG)", "the same secret"),
        ("refused.example", at("127.0.0.1", IDLE_KEY, ""), "(REFUSED)", "update-policy { grant idle zonesub TXT; };"),
        ("not-auth.test", at("127.0.0.1", KEY, "zone = \"test\", "), "(NOTAUTH)", "the primary name server of test"),
        ("nowhere.test", at("127.0.0.1", KEY, ""), "no zone was found", "set `zone`"),
        (
            "other-zone.test",
            at("127.0.0.1", KEY, "zone = \"example\", "),
            "is not in the zone example",
            "remove `zone`",
        ),
        ("silent.example", at("127.0.0.9", KEY, ""), "cannot be asked", "its port is open from here"),
    ];
    let mut text = doors(&cases.each_ref().map(|(name, ..)| *name));
    for (name, way, ..) in &cases {
        text.push_str(&table(&pebble, &format!("\"{name}\""), &format!("{RESOLVED}{way}\n")));
    }
    let instance = Instance::start(&machine, &text);
    for (name, _, words, hint) in &cases {
        wait_until(|| {
            let log = instance.log();
            log.lines().any(|line| line.contains(name) && line.contains(words) && line.contains(hint))
        });
    }
    // The CA was not asked to look at any of them.
    assert!(!pebble.log().contains("Pulled a task"), "{}", pebble.log());
    assert_eq!(bind.texts("_acme-challenge.refused.example"), [""; 0]);
}

#[test]
fn a_value_that_a_kill_has_left_is_removed_at_the_next_start_though_nobody_wants_the_certificate_now() {
    let machine = Namespace::new();
    let bind = Bind::primary(&machine, &[("example", &["127.0.0.1"], OTHERS)]);
    let pebble = Pebble::start(&machine, Manners { sleep: 60, ..asking("127.0.0.1:53") });
    let mut instance = Instance::start(&machine, &configuration(&pebble, BOTH, &update(&bind, KEY, "")));
    wait_until(|| bind.texts(PLACE).len() == 3);
    instance.kill_nine();
    assert_eq!((notes(&instance), bind.texts(PLACE).len()), (2, 3));
    let text = format!("state_dir = \"state\"\n{}", doors(&["claw.example"]));
    fs::write(instance.folder().join("doorward.toml"), text).unwrap();
    instance.restart();
    wait_until(|| bind.texts(PLACE) == ["\"somebody else's\""] && notes(&instance) == 0);
}

#[test]
fn a_hook_puts_the_value_where_it_belongs_and_knows_nothing_else_of_us() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners::default());
    let folder = tempfile::tempdir().unwrap();
    let hook = hook(folder.path(), &format!("{}\n{TELL}", record(folder.path())));
    let text = configuration(&pebble, BOTH, &format!("exec = [\"{hook}\", \"--first\"]\n"));
    let instance = Instance::start(&machine, &text);
    wait_until(|| pebble.vouches_for("claw.example") && pebble.vouches_for("a.claw.example"));
    wait_until(|| notes(&instance) == 0);
    let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
    let calls: Vec<&str> = calls.lines().collect();
    let words = |action: &str| format!("--first {action} {PLACE} ");
    assert_eq!(calls.iter().filter(|call| call.starts_with(&words("present"))).count(), 2, "{calls:#?}");
    assert_eq!(calls.iter().filter(|call| call.starts_with(&words("cleanup"))).count(), 2, "{calls:#?}");
    let names = fs::read_to_string(folder.path().join("environment")).unwrap();
    let mut names: Vec<&str> = names.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    // The last three are the shell's own.
    let own = ["DOORWARD_ACME_ACTION", "DOORWARD_ACME_FQDN", "DOORWARD_ACME_NAME", "DOORWARD_ACME_VALUE", "PATH"];
    assert_eq!(names, [&own[..], &["PWD", "SHLVL", "_"]].concat());
}

#[test]
fn a_hook_that_fails_is_told_and_one_that_others_can_change_is_never_run() {
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners::default());
    let folder = tempfile::tempdir().unwrap();
    let hook = hook(folder.path(), "printf '\\033[2Jno such\\nlevel=ERROR zone\\377'\nexit 3");
    let text = configuration(&pebble, "\"claw.example\"", &format!("exec = [\"{hook}\"]\n"));
    let mut instance = Instance::start(&machine, &text);
    wait_until(|| instance.log().contains("the hook failed with exit status: 3"));
    let log = instance.log();
    assert!(log.contains("no such") && !log.contains('\u{1b}') && !log.contains("\nlevel=ERROR"), "{log}");
    assert!(!pebble.log().contains("Pulled a task"));

    instance.stop();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();
    let check = instance.command(&["check"]);
    let words = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert!(!check.status.success() && words.contains("others can write to it"), "{words}");
    assert!(words.contains(&format!("chmod go-w {hook}")), "{words}");
}

#[test]
fn a_value_that_the_world_does_not_see_is_told_as_that() {
    let machine = Namespace::new();
    let bind = Bind::primary(&machine, &[("example", &["127.0.0.1"], "")]);
    // This CA asks another DNS, where nothing is.
    let pebble = Pebble::start(&machine, Manners::default());
    let dns = update(&bind, KEY, "");
    let instance = Instance::start(&machine, &configuration(&pebble, "\"claw.example\"", &dns));
    wait_until(|| instance.log().contains("see what the world is told at _acme-challenge.claw.example"));
    wait_until(|| bind.texts(PLACE).is_empty() && notes(&instance) == 0);
}

#[test]
fn an_address_gets_a_certificate_that_is_shown_to_who_sends_no_name() {
    for challenge in ["http-01", "tls-alpn-01"] {
        let machine = Namespace::new();
        let pebble = Pebble::start(&machine, Manners::default());
        let more = format!("challenges = [\"{challenge}\"]\n");
        let text = format!("{}{}", doors(&["127.0.0.1"]), table_with(&pebble, "\"127.0.0.1\"", &more));
        let instance = Instance::start(&machine, &text);
        wait_until(|| pebble.vouches_for("127.0.0.1"));
        assert_eq!(orders(&instance), 1);
    }
}

/// The CA asks this name server.
fn asking(server: &'static str) -> Manners {
    Manners { dns_server: Some(server), ..Manners::default() }
}

/// Names are looked up at this machine's own server.
const RESOLVED: &str = "resolvers = [\"127.0.0.1\"]\n";

fn update(bind: &Bind<'_>, key: &str, more: &str) -> String {
    let file = bind.key_file(key);
    format!("{RESOLVED}update = {{ server = \"127.0.0.1:53\", {more}key_file = \"{file}\" }}\n")
}

fn doors(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        "[edge]\nnames = [{}]\n[[listener]]\nname = \"web\"\nbind = [\"127.0.0.1:443\"]\n\
         [[listener]]\nname = \"plain\"\nbind = [\"127.0.0.1:80\"]\nprotocol = \"http\"\n",
        names.join(", ")
    )
}

fn table_with(pebble: &Pebble<'_>, names: &str, more: &str) -> String {
    let root = pebble.root_file();
    format!("[[certificates.acme]]\nnames = [{names}]\ndirectory = \"{DIRECTORY}\"\nroot_file = \"{root}\"\n{more}")
}

/// A certificate by dns-01; `dns` may begin with keys of the table itself, as lines without a space before their key.
fn table(pebble: &Pebble<'_>, names: &str, dns: &str) -> String {
    let (own, dns) = match dns.split_once('\n') {
        Some((own, dns)) if own.starts_with("key_type") => (own, dns),
        _ => ("", dns),
    };
    table_with(pebble, names, &format!("challenges = [\"dns-01\"]\n{own}\n[certificates.acme.dns]\n{dns}"))
}

fn configuration(pebble: &Pebble<'_>, names: &str, dns: &str) -> String {
    let edge = ["claw.example", "a.claw.example", "deep.a.claw.example"];
    format!("{}{}", doors(&edge), table(pebble, names, dns))
}

/// A program of the operator's.
fn hook(folder: &Path, script: &str) -> String {
    let path = folder.join("hook");
    fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn record(folder: &Path) -> String {
    let folder = folder.display();
    format!("echo \"$@\" >> {folder}/calls; env >> {folder}/environment")
}

/// Tells the CA's DNS: its test server sets one more value, or clears them all.
const TELL: &str = r#"
case $DOORWARD_ACME_ACTION in
    present) path=/set-txt; body="{\"host\":\"$DOORWARD_ACME_FQDN.\",\"value\":\"$DOORWARD_ACME_VALUE\"}" ;;
    cleanup) path=/clear-txt; body="{\"host\":\"$DOORWARD_ACME_FQDN.\"}" ;;
esac
exec 3<>/dev/tcp/127.0.0.1/8055
printf 'POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' "$path" "${#body}" "$body" >&3
read -r answer <&3
[[ $answer == *" 200 "* ]]
"#;

fn orders(instance: &Instance<'_>) -> usize {
    instance.log().matches("order made").count()
}

/// Values that are noted as being in the DNS.
fn notes(instance: &Instance<'_>) -> usize {
    let Ok(entries) = fs::read_dir(instance.folder().join("state/acme")) else { return 0 };
    entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "dns")).count()
}
