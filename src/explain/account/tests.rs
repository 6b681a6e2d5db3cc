//! Accounts of decisions that were made up: what they say, and what they keep to themselves.

use std::sync::Arc;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use serde_json::Value;

use super::*;
use crate::base::code::Code;
use crate::decisions::Asked;
use crate::decisions::testing::case;
use crate::decisions::testing::denial;
use crate::decisions::testing::pending;
use crate::listener::Settings;
use crate::net::host::Authority;
use crate::net::host::Scheme;
use crate::net::range::Ranges;
use crate::net::range::Width;
use crate::origin;
use crate::origin::ClientIpHeader;
use crate::origin::Facts;
use crate::origin::Owner;
use crate::origin::Whois;
use crate::origin::resolve;
use crate::pairing::step::RequestEnd;

#[test]
fn a_device_that_waits_is_told_with_the_command_that_approves_it() {
    let since = Since::Waits { digest: "ab12".to_owned() };
    let (account, text) = told_since(&pending("192.168.1.20", "7f0e"), Some(since));
    for expected in [
        "Refused: pairing_required, code ",
        "192.168.1.20:40000",
        "192.168.1.20 (private)",
        "fails         this listener calls nobody local",
        "the gateway's secret, which is right",
        "doorward devices approve 7f0e --digest ab12\n",
        "doorward devices reject 7f0e",
        "2 minutes ago",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    assert_eq!((&account["connect"]["requestId"], &account["atMs"]), (&"7f0e".into(), &0.into()));
    assert_eq!((&account["outcome"], &account["origin"]["class"]), (&"refused".into(), &"private".into()));
}

#[test]
fn what_ended_since_is_told_and_never_to_be_approved_again() {
    for (how, words, next) in [
        (RequestEnd::Approved, "approved      60 seconds ago, by owner", "connect again"),
        (RequestEnd::Rejected, "rejected ", "if that was a mistake, connect again"),
        (RequestEnd::Displaced, "displaced ", "this request is over; connect again"),
        (RequestEnd::Expired, "expired ", "this request is over"),
        (RequestEnd::Superseded, "superseded ", "this request is over"),
    ] {
        let since = Since::over(how, UnixMillis(60_000), "owner");
        let (account, text) = told_since(&pending("192.168.1.20", "7f0e"), Some(since));
        assert!(text.contains(&format!("Since then\n  {words}")) && text.contains(next), "{text}");
        assert!(!text.contains("devices approve"), "{text}");
        assert_eq!((&account["since"]["request"], &account["since"]["atMs"]), (&"over".into(), &60_000.into()));
    }
    // Where nobody can say, the list can.
    let (account, text) = told(&pending("192.168.1.20", "7f0e"));
    assert!(account["since"].is_null() && text.contains("doorward devices list"), "{text}");
}

#[test]
fn every_element_of_the_header_has_its_verdict() {
    let rules = behind_a_proxy(&["10.0.0.0/24"]);
    let decision = forwarded(rules, "10.0.0.1", &["6.6.6.6, junk", "203.0.113.9:5, 10.0.0.7"]);
    let (account, text) = told(&decision);
    let walk = &account["clientIpHeader"];
    assert_eq!(walk["complete"], true);
    let elements: Vec<_> = walk["elements"].as_array().unwrap().iter().map(|element| &element["text"]).collect();
    assert_eq!(elements, ["10.0.0.7", "203.0.113.9:5"], "nothing left of the client is looked at");
    assert!(text.contains("line 1 \"10.0.0.7\": a trusted proxy, passed"), "{text}");
    assert!(text.contains("line 1 \"203.0.113.9:5\": the client"), "{text}");
    assert!(text.contains("203.0.113.9 (public)"), "{text}");
}

#[test]
fn what_to_change_names_the_key() {
    let untrusted = forwarded(behind_a_proxy(&["10.0.0.1"]), "10.0.0.2", &["203.0.113.9"]);
    let unread = forwarded(origin::Settings::default(), "10.0.0.2", &["203.0.113.9"]);
    let hidden = forwarded(behind_a_proxy(&["10.0.0.2"]), "127.0.0.1", &["203.0.113.9"]);
    let single = origin::Settings {
        client_ip_header: ClientIpHeader::parse("x-real-ip").unwrap(),
        ..behind_a_proxy(&["10.0.0.1"])
    };
    let repeated = judged(single, "10.0.0.1", &[("x-real-ip", "192.0.2.1"), ("x-real-ip", "192.0.2.2")]);
    let broken = forwarded(behind_a_proxy(&["10.0.0.1"]), "10.0.0.1", &["unknown"]);
    let circle = forwarded(behind_a_proxy(&["10.0.0.0/24"]), "10.0.0.1", &["10.0.0.9"]);
    for (decision, expected) in [
        (untrusted, "add it to trusted_proxies in [[listener]] \"test\": \"10.0.0.2\""),
        (unread, "name the header that it sends in client_ip_header, and add it to trusted_proxies"),
        (hidden, "whoever comes through 127.0.0.1 looks like it, so it cannot be trusted"),
        (repeated, "write x-real-ip anew"),
        (broken, "let the proxy at 10.0.0.1 write x-forwarded-for anew"),
        (circle, "narrow that list to your proxies"),
    ] {
        let (_, text) = told(&decision);
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    let mut foreign = denial("192.168.1.20");
    foreign.case.asked.authority = Some(Authority::parse("claw.lan:8443").unwrap());
    assert!(told(&foreign).1.contains("add to names in [edge]: \"claw.lan\""));
}

#[test]
fn each_condition_of_the_local_rule_is_told() {
    let rules = origin::Settings { local: LocalRule::Loopback { uids: Vec::new() }, ..Default::default() };
    let decision = judged(rules, "127.0.0.1", &[("via", "1.1 caddy")]);
    let (account, text) = told(&decision);
    let holds = |condition: &str| {
        let all = account["local"].as_array().unwrap();
        all.iter().find(|told| told["condition"] == condition).map(|told| told["holds"] == true)
    };
    assert_eq!(holds("the peer is loopback"), Some(true));
    assert_eq!(holds("a forwarding header is present"), Some(false));
    assert_eq!(holds("the kernel does not name the owner of the peer's socket"), Some(false));
    assert_eq!(account["local"].as_array().unwrap().len(), 7, "{text}");
    assert!(text.contains("Local: no"), "{text}");
}

#[test]
fn a_strangers_words_cannot_forge_a_line() {
    let value = "1.2.3.4\u{202e}\": the client";
    let lines = [("x-forwarded-for", value), ("origin", "https://a.example\u{202e}")];
    let mut decision = judged(behind_a_proxy(&["10.0.0.1"]), "10.0.0.1", &lines);
    decision.outcome = Outcome::Refused { reason: "foreign-web-origin", cause: None, status: Some(403), connect: None };
    let (account, text) = told(&decision);
    assert_eq!(account["request"]["webOrigin"], r"https://a.example\u{202e}", "{text}");
    assert!(!account.to_string().contains('\u{202e}'), "{account:#}");
    assert!(text.chars().all(|char| char == '\n' || !char.is_control()) && !text.contains('\u{202e}'), "{text}");
    assert!(text.contains(r"1.2.3.4\u{202e}\u{22}: the client") && text.contains("no readable address"), "{text}");
}

#[test]
fn more_lines_than_are_kept_are_not_walked_again() {
    let long = vec!["203.0.113.9, 10.0.0.7, 10.0.0.7, 10.0.0.7"; 80];
    let decision = forwarded(behind_a_proxy(&["10.0.0.0/24"]), "10.0.0.1", &long);
    let (account, text) = told(&decision);
    assert_eq!(account["clientIpHeader"]["complete"], false);
    assert!(text.contains("more came than is kept") && text.contains("203.0.113.9 (public)"), "{text}");
}

#[test]
fn a_head_that_was_never_read_lacks_nothing() {
    let outcome = || Outcome::Refused { reason: "malformed-request", cause: None, status: Some(400), connect: None };
    let mut case = forwarded(behind_a_proxy(&["10.0.0.1"]), "10.0.0.1", &[]).case;
    case.asked = Asked::unread(Scheme::Http);
    let (account, text) = told(&case.decided(Code::random(), outcome()));
    assert_eq!(account["origin"]["steps"], serde_json::json!([]));
    assert!(!text.contains("x-forwarded-for is absent") && text.contains("before it was read"), "{text}");
}

/// The account as JSON and as text, read two minutes later with the built-in configuration.
fn told(decision: &Decision) -> (Value, String) {
    told_since(decision, None)
}

fn told_since(decision: &Decision, since: Option<Since>) -> (Value, String) {
    let account = Account::of(decision, since, &OwnerCommand::default());
    (serde_json::to_value(&account).unwrap(), account.text(UnixMillis(120_000)))
}

fn behind_a_proxy(trusted: &[&str]) -> origin::Settings {
    let trusted_proxies = Ranges::parse(trusted, Width::Narrow).unwrap();
    origin::Settings { client_ip_header: ClientIpHeader::XForwardedFor, trusted_proxies, ..Default::default() }
}

fn forwarded(rules: origin::Settings, peer: &str, lines: &[&str]) -> Decision {
    let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
    judged(rules, peer, &lines)
}

/// A refusal under these rules, judged as the edge does.
fn judged(rules: origin::Settings, peer: &str, lines: &[(&'static str, &str)]) -> Decision {
    let mut case = case(peer);
    let lines = lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap()));
    let headers: HeaderMap = lines.collect();
    let facts = Facts {
        peer: case.connection.peer,
        proxy_header: None,
        owner: Owner::Unknown,
        tailnet: Whois::NotAsked,
        headers: &headers,
        authority: None,
        scheme: Scheme::Http,
    };
    case.origin = resolve(&facts, &rules, &case.network);
    let mut head = Request::get("/").body(()).unwrap().into_parts().0;
    head.headers.clone_from(&headers);
    case.asked = Asked::of(&head, None, Scheme::Http, &rules);
    case.listener = Arc::new(Settings { origin: rules, ..Settings::clone(&case.listener) });
    let outcome = Outcome::Refused { reason: "not-found", cause: None, status: Some(404), connect: None };
    case.decided(Code::random(), outcome)
}
