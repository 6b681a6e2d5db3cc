//! A clock that is wrong, and a disk that is full: nothing is ordered for it, and nothing is thrown away.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;

use crate::support::acme_rig::{Wanted, configuration, standing};
use crate::support::authority::{Authority, Purpose};
use crate::support::fake_acme::{FakeAcme, Said};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::pebble::handshake;
use crate::support::program;
use crate::support::wait::until;

#[test]
fn a_clock_that_is_wrong_orders_and_throws_away_nothing_and_is_told() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    let wanted = [Wanted::of("a.example", "ca"), Wanted::of("b.example", "none")];
    let limited = Said::problem(429, "rateLimited", "wait").with("Retry-After", "86400");
    fake.ca("none", |ca| drop(ca.manners.instead.insert("new-order", limited)));
    let mut instance = Instance::start(&machine, &configuration(&fake, &wanted));
    until(|| standing(&instance, "a.example")["attempts"]["stage"] == "idle", || instance.log());
    until(|| standing(&instance, "a.example")["notAfterMs"].is_i64(), || instance.log());
    until(|| standing(&instance, "b.example")["attempts"]["stage"] == "waiting", || instance.log());
    assert_eq!(instance.stop().code(), Some(0));
    let before = kept(&instance);
    let (env, preload) = (program::installed("env", "coreutils"), format!("LD_PRELOAD={}", faketime().display()));
    for (moved, year) in [("+200d", "2027"), ("-2d", "2026")] {
        instance.wrap(&[
            env.to_str().unwrap(),
            &preload,
            &format!("FAKETIME={moved}"),
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]);
        instance.restart();
        for name in ["a.example", "b.example"] {
            until(
                || standing(&instance, name)["attempts"]["stage"] == "clock",
                || format!("{moved} {name}\n{}", instance.log()),
            );
            let failure = standing(&instance, name)["attempts"]["failure"].clone();
            assert!(
                failure["reason"].as_str().unwrap().starts_with(&format!("the clock of this machine says {year}-")),
                "{failure}"
            );
            assert!(failure["hint"].as_str().unwrap().contains("timedatectl"), "{failure}");
        }
        let root = fake.root();
        assert!(machine.on(move || handshake(&root, "a.example", &[])).is_ok(), "{moved}: it is shown on");
        instance.kill_nine();
        assert_eq!(kept(&instance), before, "{moved}: nothing is written by a clock that is wrong");
    }
    // Set while it runs, to a time at which it would not start.
    let time = instance.folder().join("time");
    let (from, fresh) = (format!("FAKETIME_TIMESTAMP_FILE={}", time.display()), "FAKETIME_NO_CACHE=1");
    fs::write(&time, "+0").unwrap();
    instance.wrap(&[env.to_str().unwrap(), &preload, &from, fresh, "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
    instance.restart();
    // It asks when the certificate is to be renewed, and writes it down.
    until(|| standing(&instance, "a.example")["attempts"]["nextMs"].is_i64(), || instance.log());
    let before = kept(&instance);
    fs::write(&time, "-20600d").unwrap();
    until(|| standing(&instance, "a.example")["attempts"]["stage"] == "clock", || instance.log());
    let reason = standing(&instance, "a.example")["attempts"]["failure"]["reason"].to_string();
    assert!(reason.contains("says 1970-") && reason.contains("before this program was made"), "{reason}");
    let root = fake.root();
    assert!(machine.on(move || handshake(&root, "a.example", &[])).is_ok(), "it is shown on");
    assert_eq!(kept(&instance), before);
    fs::write(&time, "+0").unwrap();
    until(|| standing(&instance, "a.example")["attempts"]["stage"] == "idle", || instance.log());
    instance.kill_nine();
    instance.wrap(&[]);
    instance.restart();
    until(|| standing(&instance, "a.example")["attempts"]["stage"] == "idle", || instance.log());
    until(|| standing(&instance, "b.example")["attempts"]["stage"] == "waiting", || instance.log());
    assert_eq!((fake.orders("ca"), fake.asked("none", "new-order")), (1, 1));
}

#[test]
fn a_start_with_a_clock_that_was_never_set_serves_what_is_valid_and_says_so() {
    const TEXT: &str =
        "[edge]\nnames = [\"claw.example\", \"pi.local\"]\n[[listener]]\nname = \"door\"\nbind = [\"127.0.0.1:443\"]\n";
    let machine = Namespace::new();
    let authority = Authority::new("somebody's own");
    let mut instance = Instance::stopped(&machine, TEXT);
    fs::create_dir(instance.folder().join("certs")).unwrap();
    authority.issue(Purpose::Server, &["claw.example"]).write(&instance.folder().join("certs"), "claw");
    instance.restart();
    assert_eq!(instance.stop().code(), Some(0));
    let at = instance.folder().to_owned();
    let before = fs::read(at.join("state/local-ca/leaf.pem")).unwrap();
    let (env, preload) = (program::installed("env", "coreutils"), format!("LD_PRELOAD={}", faketime().display()));
    let time = at.join("time");
    fs::write(&time, "@1970-01-02 00:00:00").unwrap();
    let from = format!("FAKETIME_TIMESTAMP_FILE={}", time.display());
    instance.wrap(&[env.to_str().unwrap(), &preload, &from, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
    instance.restart();
    let log = instance.log();
    assert!(log.contains("the clock of this machine says 1970-01-0") && log.contains("timedatectl"), "{log}");
    for (root, name) in [(authority.pem().to_owned(), "claw.example"), (instance.authority(), "pi.local")] {
        assert!(machine.on(move || handshake(&root, name, &[])).is_ok(), "{name}\n{}", instance.log());
    }
    until(|| instance.log().contains("it does not hold yet, by the clock of this machine"), || instance.log());
    assert_eq!(fs::read(at.join("state/local-ca/leaf.pem")).unwrap(), before, "nothing is written by such a clock");
    // A machine that has nothing yet is served too, by what is not kept.
    instance.kill_nine();
    fs::remove_file(at.join("state/local-ca/leaf.pem")).unwrap();
    instance.restart();
    let root = instance.authority();
    assert!(machine.on(move || handshake(&root, "pi.local", &[])).is_ok(), "{}", instance.log());
    assert!(!at.join("state/local-ca/leaf.pem").exists());
    // Set while it runs, as NTP does soon after the start.
    fs::write(&time, "+0").unwrap();
    until(|| at.join("state/local-ca/leaf.pem").exists(), || instance.log());
    assert!(instance.log().contains("the clock of this machine is set"), "{}", instance.log());
}

#[test]
fn a_full_disk_costs_no_order_and_leaves_no_half_file() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    for step in ["account", "certificate"] {
        fake.ca(step, |ca| ca.manners.hold = Some(step));
    }
    let wanted = [Wanted::of("account.example", "account"), Wanted::of("certificate.example", "certificate")];
    let text = configuration(&fake, &wanted);
    let without = text.split("[[certificates.acme]]").next().unwrap();
    let mut instance = Instance::start(&machine, without);
    assert_eq!(instance.stop().code(), Some(0));
    instance.configure(&text);
    let state = instance.folder().join("state/acme");
    fs::create_dir(&state).unwrap();
    let small = format!("mount -t tmpfs -o size=128k,mode=700 tmpfs {} && exec \"$@\"", state.display());
    let unshare = program::installed("unshare", "util-linux");
    instance.wrap(&[unshare.to_str().unwrap(), "--mount", "sh", "-c", &small, "sh"]);
    instance.restart();
    for step in ["account", "certificate"] {
        until(|| fake.asked(step, step) == 1, || instance.log());
    }
    // The folder as the instance has it.
    let inside = PathBuf::from(format!("/proc/{}/root{}", instance.id(), state.display()));
    let mut filler = fs::File::create(inside.join("filler")).unwrap();
    while filler.write_all(&[0; 1]).is_ok() {
        while filler.write_all(&[0; 4_096]).is_ok() {}
    }
    for step in ["account", "certificate"] {
        fake.ca(step, |ca| ca.manners.hold = None);
    }
    for name in ["account.example", "certificate.example"] {
        let reason = || standing(&instance, name)["attempts"]["failure"]["reason"].to_string();
        until(|| reason().contains("No space left"), || format!("{name}: {}\n{}", reason(), instance.log()));
        let authority = instance.authority();
        assert!(machine.on(move || handshake(&authority, name, &[])).is_ok(), "the local ca serves");
    }
    assert_eq!((fake.orders("account"), fake.orders("certificate")), (0, 1));
    drop(filler);
    fs::remove_file(inside.join("filler")).unwrap();
    for name in ["account.example", "certificate.example"] {
        until(|| standing(&instance, name)["notAfterMs"].is_i64(), || instance.log());
    }
    assert_eq!((fake.orders("account"), fake.orders("certificate")), (1, 1));
    for entry in fs::read_dir(&inside).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.ends_with(".json") || name.ends_with(".pem"), "{name}");
    }
}

/// The library that shows another time. Its command would stand between us and what it starts.
fn faketime() -> PathBuf {
    let _ = program::installed("faketime", "faketime");
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let mut files = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    files.find(|file| file.is_file()).expect("apt-get install libfaketime")
}

/// What is kept of CAs, by its digests.
fn kept(instance: &Instance<'_>) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(instance.folder().join("state/acme")).unwrap();
    let digest = |path: &PathBuf| {
        let mut hasher = DefaultHasher::new();
        fs::read(path).unwrap().hash(&mut hasher);
        hasher.finish()
    };
    entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), digest(&path))).collect()
}
