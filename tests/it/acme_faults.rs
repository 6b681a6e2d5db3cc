//! What may go wrong between us and a CA, each fault on the real binary: nothing of it is an outage, nothing burns a CA's
//! limits, and everything is told with what to do.

use crate::support::acme_rig::{Wanted, configuration, standing};
use crate::support::fake_acme::{FakeAcme, Said};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::pebble::handshake;
use crate::support::wait::until;

#[test]
fn no_answer_of_a_ca_ends_the_instance_and_each_is_told() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    let never = "18446744073709551615";
    let order = |more: &str| {
        format!("{{\"status\":\"processing\",\"authorizations\":[{more}],\"finalize\":\"https://127.0.0.1:9/f\"}}")
    };
    let many = vec!["\"https://127.0.0.1:9/a\""; 1_000].join(",");
    let located = |said: Said| said.with("Location", "https://127.0.0.1:9/order");
    let rows = [
        ("no-json", "directory", Said::new(200, "<html>"), "does not answer as an acme server does"),
        (
            "no-nonce",
            "directory",
            Said::new(200, "{\"newNonce\":\"\",\"newAccount\":\"\",\"newOrder\":\"\"}"),
            "no https url",
        ),
        ("huge", "directory", Said::new(200, vec![b' '; 1 << 20]), "broke off"),
        (
            "wait",
            "new-order",
            Said::problem(503, "serverInternal", "later").with("Retry-After", never),
            "the ca refused",
        ),
        ("poll", "order", Said::new(200, order("")).with("Retry-After", never), "did not finish the order in time"),
        ("no-order", "new-order", Said::new(201, "{}"), "does not answer as an acme server does"),
        ("no-place", "new-order", Said::new(201, order("")), "no order URL"),
        ("many", "new-order", located(Said::new(201, order(&many))), "more authorizations than names"),
        (
            "no-chain",
            "certificate",
            Said::new(200, "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"),
            "cannot be used",
        ),
        ("no-pem", "certificate", Said::new(200, "hello"), "cannot be used"),
        (
            "caa",
            "new-order",
            Said::problem(403, "caa", "CAA record for a.example prevents issuance"),
            "caa records forbid it",
        ),
        ("blank", "account", Said::new(200, vec![0xff; 100]), "does not answer as an acme server does"),
    ];
    let names: Vec<String> = rows.iter().map(|row| format!("{}.example", row.0)).collect();
    for (ca, step, said, _) in &rows {
        fake.ca(ca, |ca| drop(ca.manners.instead.insert(step, said.clone())));
    }
    let wanted: Vec<Wanted> = rows.iter().zip(&names).map(|(row, name)| Wanted::of(name, row.0)).collect();
    let mut instance = Instance::start(&machine, &configuration(&fake, &wanted));
    for ((ca, _, _, words), name) in rows.iter().zip(&names) {
        let reason =
            || standing(&instance, name)["attempts"]["failure"]["reason"].as_str().unwrap_or_default().to_owned();
        until(|| reason().contains(words), || format!("{ca}: {}\n{}", reason(), instance.log()));
    }
    assert!(
        instance.words(&["status"]).contains("let this ca sign in the CAA records of"),
        "the next step of a caa refusal"
    );
    // All the same after a start: an order on disk is looked at at once.
    instance.kill_nine();
    instance.restart();
    let authority = instance.authority();
    assert!(machine.on(move || handshake(&authority, "huge.example", &[])).is_ok(), "the local ca serves");
    assert!(!instance.log().contains("panicked"), "{}", instance.log());
}

#[test]
fn an_order_that_hangs_is_looked_at_when_its_ca_says_and_no_other_is_made() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    let stuck = |status: &str, base: String| {
        let body = format!(
            "{{\"status\":\"{status}\",\"authorizations\":[\"{base}/authorization/0-0\"],\"finalize\":\"{base}/finalize/0\"}}"
        );
        Said::new(200, body).with("Retry-After", "7200")
    };
    for status in ["pending", "processing"] {
        let base = fake.directory(status).replace("/directory", "");
        fake.ca(status, |ca| drop(ca.manners.instead.insert("order", stuck(status, base))));
    }
    let wanted = [Wanted::of("a.example", "pending"), Wanted::of("b.example", "processing")];
    let mut instance = Instance::start(&machine, &configuration(&fake, &wanted));
    for Wanted { name, ca, .. } in wanted {
        until(|| standing(&instance, name)["attempts"]["stage"] == "waiting", || instance.log());
        let standing = standing(&instance, name);
        let next = standing["attempts"]["nextMs"].as_i64().unwrap();
        let now = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        assert!(next > now + 7_000_000, "{standing}");
        assert_eq!(standing["attempts"]["failure"]["reason"], "the ca did not finish the order in time");
        assert_eq!(fake.orders(ca), 1);
        fake.ca(ca, |ca| ca.manners.instead.clear());
    }
    // A start looks at once.
    instance.kill_nine();
    instance.restart();
    for Wanted { name, ca, .. } in wanted {
        until(|| standing(&instance, name)["notAfterMs"].is_i64(), || instance.log());
        assert_eq!(fake.orders(ca), 1);
    }
}

#[test]
fn a_storm_of_bad_nonces_is_sat_out() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    fake.ca("ca", |ca| ca.manners.bad_nonces = 12);
    let instance = Instance::start(&machine, &configuration(&fake, &[Wanted::of("a.example", "ca")]));
    until(|| standing(&instance, "a.example")["notAfterMs"].is_i64(), || instance.log());
    assert_eq!(fake.orders("ca"), 1);
}

#[test]
fn fifty_restarts_make_no_more_orders_than_a_ca_allows_and_a_limit_is_kept_to() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    fake.ca("limited", |ca| {
        let said = Said::problem(429, "rateLimited", "too many").with("Retry-After", "86400");
        ca.manners.instead.insert("new-order", said);
    });
    fake.ca("failing", |ca| {
        ca.manners.instead.insert("challenge", Said::problem(403, "unauthorized", "another page"));
    });
    let wanted = [Wanted::of("a.example", "limited"), Wanted::of("b.example", "failing")];
    let started = std::time::Instant::now();
    let mut instance = Instance::start(&machine, &configuration(&fake, &wanted));
    until(|| fake.asked("limited", "new-order") == 1 && fake.orders("failing") == 1, || instance.log());
    for _ in 0..50 {
        instance.kill_nine();
        instance.restart();
    }
    // Waits of 1, 5, 15 and 60 minutes, and no more than a quarter longer.
    let allowed = match started.elapsed().as_secs() {
        ..60 => 1,
        60..360 => 2,
        _ => 4,
    };
    assert!(fake.orders("failing") <= allowed, "{}: {}", fake.orders("failing"), instance.log());
    assert_eq!(fake.asked("limited", "new-order"), 1);
    let next = standing(&instance, "a.example")["attempts"]["nextMs"].as_i64();
    let now = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
    assert!(next.is_some_and(|next| next > now + 80_000_000), "{next:?}");
}

#[test]
fn a_kill_at_any_step_of_an_issuance_costs_one_order_at_most() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    let steps = [
        "directory",
        "nonce",
        "account",
        "new-order",
        "authorization",
        "challenge",
        "order",
        "finalize",
        "certificate",
    ];
    let names: Vec<String> = steps.iter().map(|step| format!("{step}.example")).collect();
    for step in steps {
        fake.ca(step, |ca| ca.manners.hold = Some(step));
    }
    let wanted: Vec<Wanted> = steps.iter().zip(&names).map(|(step, name)| Wanted::of(name, step)).collect();
    let mut instance = Instance::start(&machine, &configuration(&fake, &wanted));
    for step in steps {
        until(|| fake.asked(step, step) > 0, || format!("{step}\n{}", instance.log()));
    }
    instance.kill_nine();
    for step in steps {
        fake.ca(step, |ca| ca.manners.hold = None);
    }
    instance.restart();
    for (step, name) in steps.iter().zip(&names) {
        until(|| standing(&instance, name)["notAfterMs"].is_i64(), || format!("{step}\n{}", instance.log()));
        let most = if *step == "new-order" { 2 } else { 1 };
        assert!(fake.orders(step) <= most, "{step}: {}", fake.orders(step));
        let accounts = fake.asked(step, "account");
        assert!(accounts <= if *step == "account" { 2 } else { 1 }, "{step}: {accounts} accounts");
    }
    let root = fake.root();
    assert!(machine.on(move || handshake(&root, "finalize.example", &[])).is_ok());
}

#[test]
fn a_valid_certificate_is_shown_to_its_last_second_while_its_ca_is_away_and_the_alarms_are_told_once() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    fake.ca("ca", |ca| ca.manners.life = 45);
    let instance = Instance::start(&machine, &configuration(&fake, &[Wanted::of("a.example", "ca")]));
    until(|| standing(&instance, "a.example")["notAfterMs"].is_i64(), || instance.log());
    fake.ca("ca", |ca| drop(ca.manners.instead.insert("directory", Said::new(503, "away"))));
    let ends = standing(&instance, "a.example")["notAfterMs"].as_i64().unwrap() / 1_000;
    let now = || time::OffsetDateTime::now_utc().unix_timestamp();
    while now() < ends - 1 {
        let root = fake.root();
        let shown = machine.on(move || handshake(&root, "a.example", &[]));
        assert!(shown.is_ok() || now() >= ends, "{shown:?} {} s before its end\n{}", ends - now(), instance.log());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    until(|| standing(&instance, "a.example")["alarm"] == "over", || instance.log());
    until(|| instance.log().contains("it is over: browsers refuse it"), || instance.log());
    assert_eq!(instance.log().matches("less than a third of its life is left").count(), 1, "{}", instance.log());
    assert!(fake.asked("ca", "directory") <= 8, "asked {} times", fake.asked("ca", "directory"));
    assert_eq!(fake.orders("ca"), 1);
}

#[test]
fn a_first_issuance_is_told_as_it_goes_and_strangers_names_order_nothing() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    fake.ca("ca", |ca| ca.manners.hold = Some("challenge"));
    let instance = Instance::start(&machine, &configuration(&fake, &[Wanted::of("a.example", "ca")]));
    until(|| standing(&instance, "a.example")["attempts"]["stage"] == "proving", || instance.log());
    let words = instance.words(&["status"]);
    assert!(
        words.contains("certificate a.example  acme  none yet; the ca is looking whether the names are ours"),
        "{words}"
    );
    let authority = instance.authority();
    assert!(machine.on(move || handshake(&authority, "a.example", &[])).is_ok(), "the local ca serves meanwhile");
    let asked = fake.ca("ca", |ca| ca.asked.len());
    let authority = instance.authority();
    machine.on(move || {
        for number in 0..500 {
            let _ = handshake(&authority, &format!("x{number}.stranger.example"), &[]);
        }
    });
    assert_eq!((fake.orders("ca"), fake.ca("ca", |ca| ca.asked.len())), (1, asked));
    fake.ca("ca", |ca| ca.manners.hold = None);
    until(|| standing(&instance, "a.example")["notAfterMs"].is_i64(), || instance.log());
    let log = instance.log();
    let mut rest = log.as_str();
    for line in [
        "ordering a certificate",
        "order made",
        "looking whether the names are ours",
        "the ca is content, and signs",
        "certificate issued",
    ] {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("{line}:\n{log}")).1;
    }
}
