//! Strangers who ask as a CA does: while an order is open and when none is, they get what a CA gets, for the name that was
//! asked about and for nothing else.

use crate::support::acme_rig::{Wanted, configuration, standing};
use crate::support::caller::{Answer, Caller};
use crate::support::fake_acme::FakeAcme;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::wait::until;

/// What the fake CA asks for.
const TOKEN: &str = "a-token-of-twenty-characters";

#[test]
fn row_110_the_token_of_an_open_order_is_answered_for_its_own_name_and_by_nobody_else() {
    let machine = Namespace::new();
    let fake = FakeAcme::start(&machine);
    // The second CA has no answer yet, so that nothing is open for its name.
    fake.ca("open", |ca| ca.manners.hold = Some("challenge"));
    fake.ca("silent", |ca| ca.manners.hold = Some("directory"));
    let wanted = [Wanted::of("a.example", "open"), Wanted::of("b.example", "silent")];
    let instance = Instance::start(&machine, &configuration(&fake, &wanted));
    until(|| fake.asked("open", "challenge") > 0, || instance.log());
    let plain = Caller::plain("127.0.0.1:80");
    let asked = |caller: &Caller, token: &str, host: &'static str| -> Answer {
        let (caller, path) = (caller.clone(), format!("/.well-known/acme-challenge/{token}"));
        machine.on(move || caller.get(&path, &[("Host", host)])).unwrap()
    };
    let good = asked(&plain, TOKEN, "a.example");
    let (token, thumbprint) = good.body.split_once('.').unwrap();
    assert_eq!((good.status, token, thumbprint.len()), (200, TOKEN, 43), "{}", good.body);
    assert_eq!(asked(&plain, TOKEN, "A.example:80").body, good.body);
    let cased = TOKEN.to_uppercase();
    let (half, longer) = (TOKEN.trim_end_matches("-characters"), format!("{TOKEN}x"));
    let long = "x".repeat(10_000);
    for (token, host) in [
        (TOKEN, "b.example"),
        (TOKEN, "other.example"),
        (TOKEN, "a.example.other.example"),
        (TOKEN, "127.0.0.1"),
        (cased.as_str(), "a.example"),
        (half, "a.example"),
        (longer.as_str(), "a.example"),
        ("", "a.example"),
        ("%61-token-of-twenty-characters", "a.example"),
        ("./a-token-of-twenty-characters", "a.example"),
        ("../../../etc/passwd", "a.example"),
        ("..%2f..%2fetc%2fpasswd", "a.example"),
        ("%2e%2e%2f%2e%2e%2fetc/passwd", "a.example"),
        ("..\\..\\etc\\passwd", "a.example"),
        ("/etc/passwd", "a.example"),
        ("a-token-of-twenty-characters%00", "a.example"),
        ("a-token-of-twenty-characters.", "a.example"),
        (long.as_str(), "a.example"),
    ] {
        let answer = asked(&plain, token, host);
        assert_eq!(answer.status, 404, "{token} {host}: {}", answer.body);
        assert!(!answer.body.contains(thumbprint) && !answer.body.contains("root:"), "{token} {host}: {}", answer.body);
    }
    let posted = machine.on(|| {
        use std::io::{Read as _, Write as _};
        let mut socket = std::net::TcpStream::connect("127.0.0.1:80").unwrap();
        let head = "Host: a.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        write!(socket, "POST /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\n{head}").unwrap();
        let mut heard = String::new();
        let _ = socket.read_to_string(&mut heard);
        heard
    });
    assert!(posted.starts_with("HTTP/1.1 404 ") && !posted.contains(thumbprint), "{posted}");
    // Once it is over, nothing is left to be asked for.
    fake.ca("open", |ca| ca.manners.hold = None);
    until(|| standing(&instance, "a.example")["notAfterMs"].is_i64(), || instance.log());
    assert_eq!(asked(&plain, TOKEN, "a.example").status, 404);
    assert_eq!((fake.orders("open"), fake.orders("silent")), (1, 0));
}
