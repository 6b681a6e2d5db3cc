//! Promise: every refusal has a code, and by that code, its pairing request or its connection the owner is told the whole
//! decision; the one who was refused is told what the reason means; and no secret is in any of it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::support::caller::{Answer, Caller};
use crate::support::gateway_client::{Ask, Device, Refusal, call};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::wait::wait_until;

/// Stands for everything that must never be remembered.
const SECRET: &str = "SECRET-7f3c9a";

#[test]
fn one_refusal_is_told_the_same_by_each_of_its_names() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let (device, refusal) = refused_on_the_lan(&home, &doorward);
    let details = &refusal.error["details"];
    let (code, request) = (text(&details["doorward"]), text(&details["requestId"]));
    assert!(code.len() == 12 && !refusal.reason.contains(&code), "never in the close reason: {refusal:?}");

    let told = doorward.json(&["explain", &code]);
    assert_eq!((&told["outcome"], &told["reason"]), (&"refused".into(), &"pairing_required".into()), "{told:#}");
    assert_eq!((text(&told["code"]), text(&told["connect"]["requestId"])), (code.clone(), request.clone()));
    assert_eq!(told["connect"]["device"], device.id().as_str());
    assert_eq!((&told["origin"]["clientIp"], &told["origin"]["class"]), (&"10.77.0.2".into(), &"private".into()));
    assert_eq!((&told["listener"], &told["origin"]["local"]), (&"lan".into(), &false.into()));
    let connection = text(&told["connection"]);
    for id in [&request, &connection, &code.to_lowercase()] {
        assert_eq!(doorward.json(&["explain", id]), told, "{id}");
    }
    let words = doorward.words(&["explain", &code]);
    let digest = text(&doorward.pending_of(&device.id())["digest"]);
    let approve = format!("doorward devices approve {request} --digest {digest} --config ");
    for expected in ["Refused: pairing_required", "10.77.0.2", "Local: no", &approve] {
        assert!(words.contains(expected), "{expected:?} is not in\n{words}");
    }
    assert!(doorward.log().contains(&code), "the log names the code");
}

#[test]
fn what_became_of_the_request_since_is_told_and_nobody_is_sent_to_approve_it_again() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    for (word, how) in [("approve", "approved"), ("reject", "rejected")] {
        let (_, refusal) = refused_on_the_lan(&home, &doorward);
        let request = text(&refusal.error["details"]["requestId"]);
        assert_eq!(doorward.json(&["explain", &request])["since"]["request"], "waits");
        doorward.words(&["devices", word, &request]);
        let told = doorward.json(&["explain", &request]);
        let since = &told["since"];
        assert_eq!((&since["request"], &since["how"], &since["by"]), (&"over".into(), &how.into(), &"owner".into()));
        assert!(since["atMs"].as_i64() >= told["atMs"].as_i64(), "{told:#}");
        let words = doorward.words(&["explain", &request]);
        assert!(words.contains(&format!("Since then\n  {how}")) && words.contains("by owner"), "{words}");
        assert!(words.contains("connect again") && !words.contains("devices approve"), "{words}");
    }
}

#[test]
fn the_last_refusal_is_told_and_who_else_was_refused() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let nobody = doorward.command(&["explain", "--last-denied"]);
    assert_eq!(nobody.status.code(), Some(1));
    let (_, refusal) = refused_on_the_lan(&home, &doorward);
    let misdirected = wrong_host(&home, &doorward);
    let told = doorward.json(&["explain", "--last-denied"]);
    assert_eq!((&told["reason"], &told["status"]), (&"misdirected-host".into(), &421.into()), "{told:#}");
    assert!(misdirected.body.contains(&text(&told["code"])), "{misdirected:?}");
    let words = doorward.words(&["explain", "--last-denied"]);
    assert!(words.contains("add to names in [edge]: \"other.example\""), "{words}");

    // Who knows the secret is named though others came later.
    let local = Caller::plain("127.0.0.1:18789");
    home.host.on(move || local.get("/nothing.js", &[]).unwrap());
    let others = doorward.json(&["explain", "--last-denied"])["others"].clone();
    assert!(others[0].as_str().unwrap().contains(&text(&refusal.error["details"]["doorward"])), "{others:#}");
}

#[test]
fn a_code_that_is_not_known_is_an_error_with_its_possible_cause() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    for id in ["0123456789AB", "0123456789abcdef", "7f0e1c5e-0000-4000-8000-000000000000", "\u{1b}[2J"] {
        let output = doorward.command(&["explain", id]);
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("hint: only the latest are kept") && !words.contains('\u{1b}'), "{words}");
    }
    for usage in [&["explain"][..], &["explain", "a", "--last-denied"], &["explain", "a", "--batch", "-"]] {
        assert_eq!(doorward.command(usage).status.code(), Some(2), "{usage:?}");
    }
}

#[test]
fn the_page_behind_a_code_tells_the_reason_and_nothing_of_the_case() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let (device, refusal) = refused_on_the_lan(&home, &doorward);
    let code = text(&refusal.error["details"]["doorward"]);
    let request = text(&refusal.error["details"]["requestId"]);
    let page = |path: String| {
        let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
        home.lan.on(move || caller.get(&path, &[]).unwrap())
    };
    let known = page(format!("/doorward/why/{code}"));
    assert!(known.status == 200 && known.body.contains("<h1>pairing_required</h1>"), "{known:?}");
    for header in ["cache-control: no-store", "content-security-policy: default-src 'none'", "text/html"] {
        assert!(known.head.to_ascii_lowercase().contains(header), "{known:?}");
    }
    for part in ["10.77", &request, &code, &device.id(), "<script"] {
        assert!(!known.body.contains(part), "{part}: {known:?}");
    }
    let general = page("/doorward/why/".to_owned());
    assert!(general.status == 200 && general.body != known.body);
    assert_eq!(page("/doorward/why/0123456789AB".to_owned()).body, general.body);
    // The Host rules hold there too.
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let elsewhere = home.lan.on(move || caller.get("/doorward/why/", &[("Host", "other.example")]).unwrap());
    assert_eq!(elsewhere.status, 421);
}

#[test]
fn every_http_refusal_carries_a_code_that_the_owner_can_ask_about() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let local = Caller::plain("127.0.0.1:18789");
    let missing = home.host.on(move || local.get("/nothing.js", &[]).unwrap());
    let body: Value = serde_json::from_str(&missing.body).unwrap();
    let told = doorward.json(&["explain", &text(&body["error"]["doorward"])]);
    assert_eq!((&told["reason"], &told["request"]["path"]), (&"not-found".into(), &"/nothing.js".into()), "{told:#}");
    assert_eq!(told["origin"]["local"], true, "{told:#}");

    let misdirected = wrong_host(&home, &doorward);
    let line = misdirected.body.lines().nth(1).unwrap();
    let code = line.split(' ').nth(1).unwrap();
    assert_eq!(doorward.json(&["explain", code])["reason"], "misdirected-host", "{line}");
    logged(&doorward, code);
}

#[test]
fn bytes_that_are_no_request_are_told_too() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let refused = home.lan.on(move || caller.get("/two words", &[("X-Forwarded-For", "127.0.0.1")]).unwrap());
    assert!(refused.status == 400 && refused.body.starts_with("malformed-request: "), "{refused:?}");
    let code = refused.body.lines().nth(1).unwrap().split(' ').nth(1).unwrap();
    let line = logged(&doorward, code);
    let told = doorward.json(&["explain", code]);
    assert_eq!((&told["reason"], &told["status"]), (&"malformed-request".into(), &400.into()), "{told:#}");
    assert_eq!((&told["origin"]["clientIp"], &told["origin"]["local"]), (&"10.77.0.2".into(), &false.into()));
    assert_eq!((&told["request"]["path"], &told["request"]["host"]), (&"-".into(), &Value::Null), "{told:#}");
    assert_eq!(doorward.json(&["explain", &text(&told["connection"])]), told);
    let words = doorward.words(&["explain", code]);
    assert!(words.contains("the head was refused before it was read"), "{words}");
    assert!(line.contains(&text(&told["connection"])) && line.contains("client=10.77.0.2"), "{line}");
}

#[test]
fn a_connection_that_came_to_no_request_has_its_name_in_the_log() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, &format!("{HOUSEHOLD}\n[log]\naccess = false\n"));
    let plain = Caller::plain("10.77.0.1:8443");
    assert_eq!(home.lan.on(move || plain.get("/", &[]).unwrap()).status, 400);
    let line = logged(&doorward, "plain http on a tls port");
    let conn = line.split("conn=").nth(1).and_then(|rest| rest.split(' ').next());
    assert!(conn.is_some_and(|conn| conn.len() == 16 && conn.bytes().all(|byte| byte.is_ascii_hexdigit())), "{line}");
}

#[test]
fn a_connection_that_came_to_no_request_is_told_too() {
    let home = Household::new();
    let raw = |name, port, from| {
        format!(
            "[[listener]]\nname = \"{name}\"\nbind = [\"10.77.0.1:{port}\"]\nprotocol = \"https\"\n\
             proxy_protocol = \"required\"\nproxy_protocol_from = [\"{from}\"]\n"
        )
    };
    let configuration = format!("{HOUSEHOLD}{}{}", raw("listed", 9443, "10.77.0.2"), raw("other", 9444, "10.77.0.9"));
    let doorward = Instance::start(&home.host, &configuration);
    let hello: &[u8] = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00";
    for (port, bytes, reason, client, advice) in [
        (8443, &b"GET / HTTP/1.1\r\n\r\n"[..], "plain-http-on-tls", "10.77.0.2".into(), "use the https address"),
        (8443, b"PROXY TCP4 1.2.3.4", "not-tls", "10.77.0.2".into(), "set proxy_protocol = required"),
        (8443, hello, "tls-failed", "10.77.0.2".into(), "install the local CA"),
        (9443, b"GET / HTTP/1.1\r\n\r\n", "bad-proxy-header", Value::Null, "send a PROXY header"),
        (9443, b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\nGET /", "plain-http-on-tls", "192.0.2.7".into(), "https"),
        (
            9444,
            b"",
            "proxy-sender-unlisted",
            Value::Null,
            "proxy_protocol_from in [[listener]] \"other\": \"10.77.0.2\"",
        ),
    ] {
        let before = kept(&doorward);
        home.lan.on(move || {
            let mut stream = TcpStream::connect(("10.77.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        wait_until(|| kept(&doorward)["connection"] != before["connection"]);
        let told = kept(&doorward);
        assert_eq!((&told["reason"], &told["code"], &told["status"]), (&reason.into(), &Value::Null, &Value::Null));
        assert_eq!((&told["origin"]["clientIp"], &told["origin"]["local"]), (&client, &false.into()), "{told:#}");
        let connection = text(&told["connection"]);
        let words = doorward.words(&["explain", &connection]);
        for part in [reason, advice, "none came", "ended before a request came", &connection] {
            assert!(words.contains(part), "{part} is not in\n{words}");
        }
    }
}

/// The last refusal, or nothing.
fn kept(doorward: &Instance<'_>) -> Value {
    let output = doorward.command(&["--json", "explain", "--last-denied"]);
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

#[test]
fn what_was_let_in_is_told_too() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let session =
        call(&home.host, &Caller::plain("127.0.0.1:18789"), &Device::new(), Ask::operator(&doorward.token())).hello();
    let connection = text(&session.hello["server"]["connId"]);
    let told = doorward.json(&["explain", &connection]);
    assert_eq!((&told["outcome"], &told["connect"]["approvedVia"]), (&"admitted".into(), &"silent".into()), "{told:#}");
    let held = told["local"].as_array().unwrap();
    assert!(held.len() == 7 && held.iter().all(|condition| condition["holds"] == true), "{told:#}");
}

#[test]
fn no_secret_is_told_to_anybody() {
    let home = Household::new();
    let mut doorward = Instance::start(&home.host, HOUSEHOLD);
    let (device, caller) = (Device::new(), Caller::trusting("10.77.0.1:8443", &doorward.authority()));
    let ask = Ask::operator(&doorward.token())
        .with_header("Authorization", &format!("Bearer {SECRET}"))
        .with_header("Cookie", &format!("session={SECRET}"))
        .with_header("Referer", &format!("https://10.77.0.1:8443/?token={SECRET}"))
        .with_header("X-Forwarded-Access-Token", SECRET)
        .with_header("X-Original-URL", &format!("/?token={SECRET}"));
    let refusal = call(&home.lan, &caller, &device, ask).refused();
    let wrong = call(&home.lan, &caller, &Device::new(), Ask::operator(SECRET)).refused();
    let asked = caller.clone();
    let query = home.lan.on(move || asked.get(&format!("/a.js?token={SECRET}"), &[("Cookie", SECRET)]).unwrap());
    let body: Value = serde_json::from_str(&query.body).unwrap();
    let token = doorward.token();
    for code in [&refusal.error["details"]["doorward"], &wrong.error["details"]["doorward"], &body["error"]["doorward"]]
    {
        let code = text(code);
        for words in [doorward.words(&["explain", &code]), doorward.json(&["explain", &code]).to_string()] {
            assert!(!words.contains(SECRET) && !words.contains(&token), "{words}");
        }
    }
    assert!(doorward.stop().success());
    let log = doorward.log();
    assert!(!log.contains(SECRET) && !log.contains(&token), "{log}");
}

/// A device of the LAN with the right secret, refused until somebody approves it.
fn refused_on_the_lan(home: &Household, doorward: &Instance<'_>) -> (Device, Refusal) {
    let (device, caller) = (Device::new(), Caller::trusting("10.77.0.1:8443", &doorward.authority()));
    let refusal = call(&home.lan, &caller, &device, Ask::operator(&doorward.token())).refused();
    (device, refusal)
}

/// A page asked for under a name that is not served.
fn wrong_host(home: &Household, doorward: &Instance<'_>) -> Answer {
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    home.lan.on(move || caller.get("/", &[("Host", "other.example")]).unwrap())
}

/// The line with these words; it may come a moment after the answer.
fn logged(doorward: &Instance<'_>, words: &str) -> String {
    wait_until(|| doorward.log().contains(words));
    let log = doorward.log();
    log.lines().find(|line| line.contains(words)).unwrap().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
