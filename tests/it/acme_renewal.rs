//! When a certificate is renewed: when its CA says so, by its age whatever else the CA says, and never so often that a CA
//! has us order for ever.

use crate::support::acme_rig::{Wanted, configuration, standing};
use crate::support::fake_acme::{FakeAcme, Said};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::wait::until;

/// Short enough to be seen through: the first order after a certificate waits a quarter of it.
const LIFE: i64 = 80;

#[test]
fn a_window_in_the_past_renews_at_once_and_says_what_is_replaced_and_why() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    for (ca, is_replaced) in [("ca", false), ("replaced", true)] {
        fake.ca(ca, |ca| {
            ca.manners.life = LIFE;
            ca.manners.is_replaced = is_replaced;
            // Of the first certificate only, as in a mass revocation.
            ca.manners.renewal = Some(|number| match number {
                0 => Said::window(-3_600, -1_800),
                _ => Said::window(3_000, 4_000),
            });
        });
    }
    let wanted = [Wanted::of("a.example", "ca"), Wanted::of("b.example", "replaced")];
    let instance = Instance::start(&machine, &configuration(&fake, &wanted));
    for (ca, name) in [("ca", "a.example"), ("replaced", "b.example")] {
        until(|| fake.orders(ca) == 2, || instance.log());
        until(|| standing(&instance, name)["attempts"]["stage"] == "idle", || instance.log());
    }
    let made: Vec<_> = fake.ca("ca", |ca| ca.orders.iter().map(|order| order.wanted.clone()).collect());
    assert!(made[0].get("replaces").is_none(), "{made:?}");
    let replaced = made[1]["replaces"].as_str().unwrap();
    assert!(replaced.ends_with(".AQ"), "key of the issuer, and the serial number 1: {replaced}");
    // A CA that will not hear of it gets the same order without, in the same attempt.
    let plain = fake.ca("replaced", |ca| ca.orders[1].wanted.clone());
    assert!(plain.get("replaces").is_none(), "{plain}");
    assert_eq!(fake.asked("replaced", "new-order"), 3);
    assert!(!instance.log().contains("not renewed"), "{}", instance.log());
    assert!(instance.log().contains("https://ca.example/why"), "{}", instance.log());
}

#[test]
fn a_ca_that_wants_every_certificate_renewed_at_once_gets_an_order_now_and_then() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    fake.ca("ca", |ca| ca.manners.renewal = Some(|_| Said::window(-3_600, -1_800)));
    let mut instance = Instance::start(&machine, &configuration(&fake, &[Wanted::of("a.example", "ca")]));
    until(|| fake.asked("ca", "renewal-info") > 0, || instance.log());
    until(|| standing(&instance, "a.example")["attempts"]["nextMs"].is_i64(), || instance.log());
    let now = time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
    let next = standing(&instance, "a.example")["attempts"]["nextMs"].as_i64().unwrap();
    assert!(next > now + 3_000_000, "not within an hour: {}", next - now);
    instance.kill_nine();
    instance.restart();
    until(|| standing(&instance, "a.example")["attempts"]["nextMs"].is_i64(), || instance.log());
    assert_eq!(fake.orders("ca"), 1);
}

#[test]
fn whatever_a_ca_says_of_renewals_that_cannot_be_the_certificate_is_renewed_by_its_age() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    let window = |start: &str, end: &str, why: &str| {
        format!("{{\"suggestedWindow\":{{\"start\":\"{start}\",\"end\":\"{end}\"}},\"explanationURL\":\"{why}\"}}")
    };
    let (early, late) = ("2030-01-01T00:00:00Z", "2030-01-02T00:00:00Z");
    let answers = [
        ("turned", Said::new(200, window(late, early, ""))),
        ("empty", Said::new(200, window(late, late, ""))),
        ("epoch", Said::new(200, window("1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z", ""))),
        ("far", Said::new(200, window("9998-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "javascript:alert(1)"))),
        ("garbled", Said::new(200, "{\"suggestedWindow\": 7}")),
        ("missing", Said::new(404, "not here")),
        ("huge", Said::new(200, vec![b' '; 2 << 20])),
        ("endless", Said::new(503, "").with("Retry-After", "18446744073709551615")),
    ];
    let names: Vec<String> = answers.iter().map(|(ca, _)| format!("{ca}.example")).collect();
    for (ca, said) in &answers {
        fake.ca(ca, |ca| {
            ca.manners.renewal = Some(|_| Said::new(500, ""));
            ca.manners.instead.insert("renewal-info", said.clone());
        });
    }
    let wanted: Vec<Wanted> = answers.iter().zip(&names).map(|((ca, _), name)| Wanted::of(name, ca)).collect();
    let instance = Instance::start(&machine, &configuration(&fake, &wanted));
    for ((ca, _), name) in answers.iter().zip(&names) {
        until(|| fake.asked(ca, "renewal-info") > 0, || format!("{ca}\n{}", instance.log()));
        let stands = || standing(&instance, name);
        until(|| stands()["attempts"]["nextMs"].is_i64(), || format!("{ca}: {}\n{}", stands(), instance.log()));
        let standing = stands();
        let at = |pointer: &str| standing.pointer(pointer).and_then(|value| value.as_i64()).unwrap();
        let (begins, ends, due) = (at("/notBeforeMs"), at("/notAfterMs"), at("/attempts/dueMs"));
        let twelfth = (ends - begins) / 12;
        assert!((begins + 7 * twelfth..=begins + 8 * twelfth).contains(&due), "{ca}: {standing}");
        assert!(standing["attempts"]["explanation"].is_null(), "{ca}: {standing}");
        assert_eq!(fake.orders(ca), 1, "{ca}");
        let next = at("/attempts/nextMs") - time::OffsetDateTime::now_utc().unix_timestamp() * 1_000;
        assert!((30_000..=25 * 3_600_000).contains(&next), "{ca} is asked again in time: {next}");
    }
}

#[test]
fn a_profile_is_asked_for_by_name_and_one_that_is_not_there_is_told_with_those_that_are() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    for ca in ["ca", "other"] {
        fake.ca(ca, |ca| ca.manners.profiles = &["classic", "shortlived"]);
    }
    let wanted = [
        Wanted { more: "profile = \"shortlived\"", ..Wanted::of("a.example", "ca") },
        Wanted { more: "profile = \"tiny\"", ..Wanted::of("b.example", "other") },
    ];
    let instance = Instance::start(&machine, &configuration(&fake, &wanted));
    until(|| fake.orders("ca") == 1, || instance.log());
    assert_eq!(fake.ca("ca", |ca| ca.orders[0].wanted["profile"].clone()), "shortlived");
    until(|| standing(&instance, "b.example")["attempts"]["failure"].is_object(), || instance.log());
    let words = instance.words(&["status"]);
    let (classic, short) = (words.contains("no profile of this name: tiny; it has"), words.contains("shortlived"));
    assert!(classic && short && words.contains("write one of those as `profile`"), "{words}");
    assert_eq!(fake.orders("other"), 0);
}

#[test]
fn a_rehearsals_certificate_is_replaced_at_once_when_another_ca_is_configured() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    let rehearsal = configuration(&fake, &[Wanted::of("a.example", "rehearsal")]);
    let instance = Instance::start(&machine, &rehearsal);
    until(|| standing(&instance, "a.example")["notAfterMs"].is_i64(), || instance.log());
    let real = configuration(&fake, &[Wanted::of("a.example", "real")]);
    instance.configure(&real);
    instance.words(&["reload"]);
    until(|| fake.orders("real") == 1, || instance.log());
    until(|| standing(&instance, "a.example")["attempts"]["directory"] == fake.directory("real"), || instance.log());
}
