//! Promise: every request that is not served gets one stable reason and a next step, and every request has one line in
//! the access log that no caller can forge and that holds no secret.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::caller::Caller;
use crate::support::instance::{Instance, owners_and};
use crate::support::namespace::Namespace;

const REST: &str = r#"
[edge]
names = ["claw.example.com", "127.0.0.1"]
origins = ["https://app.example.com"]

[[listener]]
name = "public"
bind = ["127.0.0.1:8443"]
protocol = "https"

[[listener]]
name = "redirect"
bind = ["127.0.0.1:8080"]
protocol = "http"
"#;

const SOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn refusals_are_stable_words_with_a_next_step() {
    let machine = Namespace::new();
    let _instance = Instance::start(&machine, &owners_and(REST));
    let head = |first: &str, rest: &str| format!("{first} HTTP/1.1\r\nHost: 127.0.0.1:18789\r\n{rest}\r\n");
    for (request, status, reason) in [
        ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 421, "misdirected-host"),
        ("GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n".to_owned(), 421, "misdirected-host"),
        ("GET / HTTP/1.0\r\n\r\n".to_owned(), 400, "bad-host"),
        ("GET / HTTP/1.1\r\nHost: a@127.0.0.1\r\n\r\n".to_owned(), 400, ""),
        (head("TRACE /", ""), 405, "method-not-allowed"),
        (head("POST /healthz", "Content-Length: 0\r\n"), 405, "method-not-allowed"),
        (head("OPTIONS *", ""), 400, "bad-target"),
        (head("CONNECT 127.0.0.1:18789", ""), 405, "method-not-allowed"),
        (head("POST /", "Content-Length: 65537\r\n"), 413, "body-too-large"),
        (head("POST /", "Transfer-Encoding: gzip, chunked\r\n"), 501, "unknown-transfer-coding"),
        (head("POST /", "Content-Length: 0\r\nExpect: tea\r\n"), 417, "unknown-expectation"),
        (head("POST /", "Content-Length: 0\r\nOrigin: https://evil.example\r\n"), 403, "foreign-web-origin"),
        (head("GET /", &format!("{SOCKET}Sec-WebSocket-Version: 13\r\nOrigin: null\r\n")), 403, "foreign-web-origin"),
        (
            head("GET /", &format!("{SOCKET}Sec-WebSocket-Version: 13\r\nOrigin: https://127.0.0.1:18789\r\n")),
            403,
            "foreign-web-origin",
        ),
        (head("GET /", &format!("{SOCKET}Sec-WebSocket-Version: 777\r\n")), 426, "websocket-version"),
        (
            head("GET /", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
            400,
            "bad-websocket-handshake",
        ),
    ] {
        let answer = exchange(&machine, "127.0.0.1:18789", &request, Ends::Server);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(reason.is_empty() || body.starts_with(&format!("{reason}: ")), "{request}\n{answer}");
    }
}

#[test]
fn an_h2c_upgrade_is_answered_in_http_1() {
    let machine = Namespace::new();
    let _instance = Instance::start(&machine, &owners_and(REST));
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let request = format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n");
    assert!(exchange(&machine, "127.0.0.1:18789", &request, Ends::Caller).starts_with("HTTP/1.1 200 "));
}

#[test]
fn health_knows_no_names_and_whoami_does() {
    let machine = Namespace::new();
    let instance = Instance::start(&machine, &owners_and(REST));
    let authority = instance.authority();
    let (plain, tls) = (Caller::plain("127.0.0.1:18789"), Caller::trusting("127.0.0.1:8443", &authority));
    let redirect = Caller::plain("127.0.0.1:8080");
    machine.on(move || {
        for caller in [&plain, &tls, &redirect] {
            for path in ["/healthz", "/readyz"] {
                assert_eq!(caller.get(path, &[("Host", "any.example")]).unwrap().status, 200, "{caller:?} {path}");
            }
        }
        for caller in [&plain, &tls] {
            let keys = caller.get("/.well-known/doorward/jwks.json", &[]).unwrap();
            assert!(keys.status == 200 && keys.body.contains("Ed25519"), "{keys:?}");
            assert_eq!(caller.get("/doorward/whoami", &[("Host", "any.example")]).unwrap().status, 421);
        }
        // No SNI was sent, so a name is not what this connection was opened for.
        let named = tls.get("/doorward/whoami", &[("Host", "claw.example.com")]).unwrap();
        assert!(named.status == 421 && named.body.starts_with("misdirected-connection: "), "{named:?}");
    });
}

#[test]
fn what_a_caller_claims_of_itself_changes_nothing() {
    let machine = Namespace::new();
    let _instance = Instance::start(&machine, &owners_and(REST));
    let caller = Caller::plain("127.0.0.1:18789");
    machine.on(move || {
        let honest = caller.whoami(&[]);
        assert_eq!(honest["local"], true, "{honest}");
        for (name, value) in [
            ("X-Doorward-Assertion", "e30.e30.e30"),
            ("X_Doorward_Assertion", "e30.e30.e30"),
            ("x.doorward.assertion", "e30.e30.e30"),
            ("X-OpenClaw-Scopes", "operator.admin"),
            ("Remote-User", "owner"),
            ("Connection", "x-doorward-assertion"),
        ] {
            let claimed = caller.whoami(&[(name, value)]);
            assert_eq!(
                (&claimed["client_ip"], &claimed["verified"]),
                (&honest["client_ip"], &honest["verified"]),
                "{name}"
            );
        }
        for trace in ["X-Forwarded-For", "x_forwarded_for", "Forwarded", "Via", "CF-Connecting-IP"] {
            assert_eq!(caller.whoami(&[(trace, "203.0.113.9")])["local"], false, "{trace}");
        }
    });
}

#[test]
fn a_plain_request_is_led_to_our_own_names_only() {
    let machine = Namespace::new();
    let _instance = Instance::start(&machine, &owners_and(REST));
    let caller = Caller::plain("127.0.0.1:8080");
    machine.on(move || {
        let led = caller.get("//evil.example/%2e%2e?token=SECRET&a=b", &[("Host", "claw.example.com")]).unwrap();
        assert_eq!(led.status, 308);
        assert!(led.head.contains("location: https://claw.example.com//evil.example/%2e%2e?a=b\r\n"), "{}", led.head);
        for host in ["evil.example", "localhost", "claw.example.com.evil.example"] {
            assert_eq!(caller.get("/", &[("Host", host)]).unwrap().status, 421, "{host}");
        }
    });
}

#[test]
fn the_access_log_has_one_line_for_each_request_and_no_secret_and_loses_none_at_the_end() {
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, &owners_and(REST));
    let caller = Caller::plain("127.0.0.1:18789");
    machine.on(move || {
        let agent = "x\" status=500 reason=\"forged \u{202e}";
        caller
            .get("/doorward/whoami?token=SECRET-1", &[("User-Agent", agent), ("Authorization", "Bearer SECRET-2")])
            .unwrap();
        caller.get("/refused", &[("Host", "evil.example"), ("Cookie", "SECRET-3")]).unwrap();
    });
    exchange(&machine, "127.0.0.1:18789", "GET  /malformed HTTP/1.1\r\n\r\n", Ends::Server);
    exchange(&machine, "127.0.0.1:18789", "GET /malformed HTTP/1.1\r\nUser-Agent: \u{1b}[2J\r\n\r\n", Ends::Server);
    let socket = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:18789\r\n{SOCKET}Sec-WebSocket-Version: 13\r\n\r\n");
    exchange(&machine, "127.0.0.1:18789", &socket, Ends::Caller);
    // SIGTERM while some of them are gathered.
    assert!(instance.stop().success());
    let log = instance.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(" access: ")).collect();
    // The event loops log by themselves: whose line is first depends on who is slow.
    let mut statuses: Vec<_> = lines.iter().map(|line| field(line, "status")).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["101", "200", "400", "400", "421"], "{log}");
    assert!(!log.contains("SECRET") && !log.contains('\u{1b}') && !log.contains('\u{202e}'), "{log}");
    let of = |status: &str| *lines.iter().find(|line| field(line, "status") == status).unwrap();
    assert_eq!(field(of("421"), "reason"), "\"misdirected-host\"");
    assert_eq!(field(of("200"), "path"), "\"/doorward/whoami\"");
}

/// Who ends a connection.
#[derive(Clone, Copy)]
enum Ends {
    /// The caller, once it has an answer.
    Caller,
    /// The server.
    Server,
}

/// Sends bytes and reads to the end of the connection.
fn exchange(machine: &Namespace, address: &'static str, request: &str, ends: Ends) -> String {
    let request = request.to_owned();
    machine.on(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        if let Ends::Caller = ends {
            let mut piece = [0; 4096];
            let bytes = stream.read(&mut piece).unwrap();
            answer.extend_from_slice(&piece[..bytes]);
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        }
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
}

fn field<'l>(line: &'l str, name: &str) -> &'l str {
    let value = line.split_once(&format!(" {name}=")).unwrap_or_else(|| panic!("no {name}: {line}")).1;
    value.split(' ').next().unwrap()
}
