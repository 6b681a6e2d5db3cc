//! The catalogue of bad input to TLS, server names and redirects, row by row, on the real binary. `tests/vectors/tls_rows.txt`
//! says where else each row is tested, and where those around certificates are.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::support::authority::{Authority, Purpose};
use crate::support::handshake::Client;
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::program::installed;

const CONFIGURATION: &str = r#"
[edge]
names = ["claw.lan", "edge.local", "claw.example.com", "10.77.0.1"]
https_port = 8443

[[listener]]
name = "door"
bind = ["10.77.0.1:8443", "10.77.0.1:443"]

[[listener]]
name = "plain"
bind = ["10.77.0.1:80"]
protocol = "http"
"#;

const TLS: &str = "10.77.0.1:8443";
const PLAIN: &str = "10.77.0.1:80";
/// The handshake's deadline of ten seconds, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn row_100_a_host_other_than_the_server_name_is_misdirected() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let client = Client::trusting(&doorward.authority());
    for (host, status) in [("claw.lan", 200), ("edge.local", 421), ("other.lan", 421), ("10.77.0.1", 421)] {
        let client = client.clone();
        let headers = [("Host", host)].map(|(name, value)| (name, value.to_owned()));
        let shaken = home.lan.on(move || {
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            client.get(TLS, "claw.lan", "/doorward/whoami", &headers)
        });
        assert_eq!(shaken.unwrap().status(), status, "{host}");
    }
    // The same on streams of HTTP/2, where a browser might share one connection between names.
    let authority = doorward.folder().join("certs/local-ca.crt");
    for (host, status) in [("claw.lan:8443", "200"), ("edge.local:8443", "421"), ("other.lan", "421")] {
        let mut curl = home.lan.command(&installed("curl", "curl"));
        curl.args([
            "-s",
            "--http2",
            "--resolve",
            "claw.lan:8443:10.77.0.1",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code} %{http_version}",
        ]);
        curl.arg("--cacert").arg(&authority).args([
            "-H",
            &format!("Host: {host}"),
            "https://claw.lan:8443/doorward/whoami",
        ]);
        let output = curl.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{status} 2"), "{host}: {output:?}");
    }
}

#[test]
fn row_101_a_server_name_that_is_not_ours_ends_the_handshake_and_tells_nothing() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let said = |hello: Vec<u8>| home.lan.on(move || answer_to(TLS, &[&hello]));
    for name in ["other.lan", "lan", "a.claw.lan", "claw.lan.evil.example"] {
        let (heard, _) = said(hello_for(name));
        assert_eq!(alert_in(&heard), Some(112), "unrecognized_name for {name}: {heard:?}");
    }
    let long = format!("{}.lan", ["a".repeat(60).as_str(); 4].join("."));
    assert_eq!(alert_in(&said(hello_for(&long)).0), Some(112));
    // Names of ours, however they are written.
    for name in ["claw.lan", "CLAW.LAN", "claw.LAN"] {
        let (heard, _) = said(patched("claw.lan", name.as_bytes()));
        assert_eq!(heard.first(), Some(&22), "a ServerHello for {name}: {heard:?}");
    }
    // What is no name: refused, or as if none were sent, and the next caller does not notice.
    let client = Client::trusting(&doorward.authority());
    for broken in [b"claw\0lan".as_slice(), b"10.7.0.1", b"claw lan", b"\xff\xfe.l.lan", b"..lan..x", b"-law.lan"] {
        let (heard, _) = said(patched("claw.lan", broken));
        assert!(matches!(heard.first(), None | Some(&21 | &22)), "{broken:?}: {heard:?}");
        let next = client.clone();
        let shaken = home.lan.on(move || next.get(TLS, "claw.lan", "/doorward/whoami", &[])).unwrap();
        assert_eq!(shaken.status(), 200, "after {broken:?}: {}", shaken.answer);
    }
    let log = doorward.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("no such server name here")).collect();
    assert!(!told.is_empty(), "{log}");
    assert!(told[0].contains("edge.names"), "{}", told[0]);

    // Without a name the address is what was dialled.
    let client = client.nameless();
    let shaken = home.lan.on(move || client.get(TLS, "10.77.0.1", "/doorward/whoami", &[])).unwrap();
    assert_eq!(shaken.status(), 200, "{}", shaken.answer);
}

#[test]
fn row_101_a_flood_of_unknown_names_keeps_nobody_out() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let alerts = home.lan.on(|| {
        let name = |n: u32| format!("n{n}.attacker.example");
        (0..500).filter(|n| alert_in(&answer_to(TLS, &[&hello_for(&name(*n))]).0) == Some(112)).count()
    });
    assert_eq!(alerts, 500);
    let client = Client::trusting(&doorward.authority());
    assert_eq!(home.lan.on(move || client.shake(TLS, "claw.lan")).unwrap().status(), 200);
    let log = doorward.log();
    let told = log.lines().filter(|line| line.contains("no such server name")).count();
    assert!(told > 0 && log.contains("held_back="), "{told}");
    assert!(!log.contains("ordering a certificate"), "{log}");
}

#[test]
fn row_102_a_client_hello_in_pieces_is_read_and_an_endless_one_is_dropped() {
    let home = Household::new();
    let _doorward = Instance::start(&home.host, CONFIGURATION);
    // Byte by byte, and each byte a record of its own (RFC 8446 §5.1).
    let hello = hello_for("claw.lan");
    let whole = hello.clone();
    let (heard, _) = home.lan.on(move || answer_to(TLS, &whole.chunks(1).collect::<Vec<_>>()));
    assert_eq!(heard.first(), Some(&22), "{heard:?}");
    let records: Vec<Vec<u8>> = hello[5..].iter().map(|byte| vec![22, 3, 1, 0, 1, *byte]).collect();
    let (heard, took) = home.lan.on(move || answer_to(TLS, &records.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    assert!(matches!(heard.first(), Some(&21 | &22)) && took < PATIENCE, "{heard:?} after {took:?}");
    // One that says it is 16 MiB, one that says 64 KiB and never ends, one that says goodbye, one of SSL 2.
    let huge = [&[22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff][..], &[0; 16_000]].concat();
    let endless = [&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff][..], &[0; 16_380]].concat();
    let goodbye = [hello.as_slice(), &[21, 3, 3, 0, 2, 1, 0]].concat();
    let old = [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 1, 0, 0x80, 2, 0, 0x80, 3, 0, 0x80, 4, 0, 0x80, 5, 0, 0x80]
        .to_vec();
    for (what, bytes) in [("huge", huge), ("endless", endless), ("goodbye", goodbye), ("ssl 2", old)] {
        let home = &home;
        let (heard, took) = home.lan.on(move || answer_to(TLS, &[&bytes]));
        assert!(took < PATIENCE, "{what} is held for {took:?}: {heard:?}");
    }
}

#[test]
fn row_102_neither_renegotiation_nor_early_data_is_taken() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let openssl = |more: &[&str], input: &str| {
        let mut command = home.lan.command(&installed("openssl", "openssl"));
        command.args(["s_client", "-connect", TLS, "-servername", "claw.lan", "-CAfile"]);
        command.arg(doorward.folder().join("certs/local-ca.crt")).args(more);
        spoken(command, input)
    };
    let words = openssl(&["-tls1_2", "-legacy_renegotiation"], "R\n");
    assert!(words.contains("Secure Renegotiation IS supported"), "{words}");
    assert!(words.contains("RENEGOTIATING") && !words.contains("200 OK"), "{words}");
    assert!(words.contains(":no renegotiation:"), "{words}");
    // It listens until we hang up, which is after the tickets: each says how much early data it is good for.
    let request = "GET /healthz HTTP/1.1\r\nHost: claw.lan\r\nConnection: close\r\n\r\n";
    let words = openssl(&["-tls1_3", "-ign_eof"], request);
    assert!(words.contains("200 OK"), "{words}");
    let tickets = words.matches("New Session Ticket arrived").count();
    assert!(tickets > 0, "no ticket to judge:\n{words}");
    assert_eq!(words.lines().filter(|line| line.trim() == "Max Early Data: 0").count(), tickets, "{words}");
}

#[test]
fn row_103_old_versions_and_weak_ciphers_are_refused() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    for (how, is_good) in [
        (["-tls1_2"].as_slice(), true),
        (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "AES128-SHA:AES256-SHA:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"], false),
        (&["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"], false),
    ] {
        let mut command = home.lan.command(&installed("openssl", "openssl"));
        command.args(["s_client", "-connect", TLS, "-servername", "claw.lan"]).args(how).stdin(Stdio::null());
        let output = command.output().unwrap();
        let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        // An alert is an answer of ours; arguments that openssl does not take end it without one.
        assert_eq!(
            (output.status.success(), words.contains("SSL alert number")),
            (is_good, !is_good),
            "{how:?}: {words}"
        );
    }
    let client = Client::trusting(&doorward.authority());
    assert_eq!(home.lan.on(move || client.shake(TLS, "claw.lan")).unwrap().status(), 200);
}

#[test]
fn row_104_http_on_the_tls_port_and_tls_on_the_http_port_get_an_answer_and_no_wait() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    for _ in 0..5 {
        let (heard, took) = home.lan.on(|| answer_to(TLS, &[b"GET / HTTP/1.1\r\nHost: claw.lan\r\n\r\n"]));
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.starts_with("HTTP/1.1 400 ") && heard.contains("https"), "{heard}");
        assert!(took < PATIENCE, "{took:?}");
    }
    let log = doorward.log();
    let told = log.lines().filter(|line| line.contains("plain http on a tls port") && line.contains(" INFO ")).count();
    assert!(told > 0, "{log}");
    let (heard, took) = home.lan.on(|| answer_to(PLAIN, &[&hello_for("claw.lan")]));
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!((heard.is_empty() || heard.starts_with("HTTP/1.1 400 ")) && took < PATIENCE, "{heard} after {took:?}");
}

#[test]
fn row_105_a_redirect_leads_to_names_of_ours_alone_and_carries_no_secret() {
    let home = Household::new();
    let _doorward = Instance::start(&home.host, CONFIGURATION);
    for (request, status, location) in [
        ("GET / HTTP/1.1\r\nHost: claw.lan", "308", Some("https://claw.lan:8443/")),
        ("GET /a%2fb/%2e%2e?x=1 HTTP/1.1\r\nHost: CLAW.lan:80", "308", Some("https://claw.lan:8443/a%2fb/%2e%2e?x=1")),
        (
            "GET //evil.example/%2e%2e HTTP/1.0\r\nHost: claw.lan",
            "308",
            Some("https://claw.lan:8443//evil.example/%2e%2e"),
        ),
        ("GET http://claw.lan/x HTTP/1.1\r\nHost: claw.lan", "308", Some("https://claw.lan:8443/x")),
        ("GET /?token=SECRET HTTP/1.1\r\nHost: claw.lan", "308", Some("https://claw.lan:8443/")),
        ("GET /?a=1&Token=SECRET&%74oken=SECRET#t HTTP/1.1\r\nHost: claw.lan", "", None),
        ("GET /?a=1&Token=SECRET&%74oken=SECRET HTTP/1.1\r\nHost: claw.lan", "308", Some("https://claw.lan:8443/?a=1")),
        (
            "POST /?password=SECRET HTTP/1.1\r\nHost: claw.lan\r\nContent-Length: 0",
            "308",
            Some("https://claw.lan:8443/"),
        ),
        ("GET / HTTP/1.1\r\nHost: evil.example", "421", None),
        ("GET / HTTP/1.1\r\nHost: claw.lan.evil.example", "421", None),
        ("GET / HTTP/1.1\r\nHost: localhost", "421", None),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: claw.lan", "4", None),
        ("GET //evil.example/%2e%2e HTTP/1.0\r\nX: y", "400", None),
        ("GET / HTTP/1.1\r\nHost: claw.lan\r\nHost: evil.example", "400", None),
        ("GET /\r\nSet-Cookie:x HTTP/1.1\r\nHost: claw.lan", "4", None),
        ("GET /%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: claw.lan", "308", Some("https://claw.lan:8443/%0d%0aSet-Cookie:x")),
    ] {
        let sent = format!("{request}\r\nConnection: close\r\n\r\n");
        let (heard, _) = home.lan.on(move || answer_to(PLAIN, &[sent.as_bytes()]));
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {heard}");
        let found = heard.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("location").then_some(value)
        });
        if !status.is_empty() {
            assert_eq!(found, location, "{request}: {heard}");
        }
        let head = heard.split("\r\n\r\n").next().unwrap_or_default().to_ascii_lowercase();
        assert!(
            !head.contains("secret") && !head.contains("\nset-cookie") && !head.contains("strict-transport"),
            "{heard}"
        );
    }
}

#[test]
fn row_106_nobody_is_held_to_https_by_a_certificate_that_only_a_household_trusts() {
    let home = Household::new();
    let authority = Authority::new("somebody's own");
    // On the port that browsers go to, or they would not be told anyway.
    let mut doorward = Instance::stopped(&home.host, &CONFIGURATION.replace("https_port = 8443\n", ""));
    std::fs::create_dir(doorward.folder().join("certs")).unwrap();
    authority.issue(Purpose::Server, &["claw.example.com"]).write(&doorward.folder().join("certs"), "claw");
    doorward.restart();
    let both = format!("{}{}", doorward.authority(), authority.pem());
    for name in ["claw.lan", "edge.local", "10.77.0.1", "claw.example.com"] {
        for path in ["/", "/healthz", "/doorward/whoami", "/nothing"] {
            let client = Client::trusting(&both);
            let shaken = home.lan.on(move || client.get("10.77.0.1:443", name, path, &[])).unwrap();
            assert_eq!(shaken.header("strict-transport-security"), None, "{name}{path}: {}", shaken.answer);
        }
    }
}

/// What a client of today says first when it wants `name`.
fn hello_for(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// The same with other bytes, as many, in the place of the name.
fn patched(name: &str, by: &[u8]) -> Vec<u8> {
    assert_eq!(name.len(), by.len());
    let mut hello = hello_for(name);
    let at = hello.windows(name.len()).position(|bytes| bytes == name.as_bytes()).unwrap();
    hello[at..at + by.len()].copy_from_slice(by);
    hello
}

/// Everything that comes back until the other side ends or has said something, and how long that took.
fn answer_to(address: &str, pieces: &[&[u8]]) -> (Vec<u8>, Duration) {
    let start = Instant::now();
    let address: SocketAddr = address.parse().unwrap();
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for piece in pieces {
        // It may have heard enough.
        if socket.write_all(piece).is_err() {
            break;
        }
    }
    let mut heard = vec![0; 16 * 1024];
    let mut length = 0;
    while length < heard.len() {
        match socket.read(&mut heard[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => break,
        }
        if heard[0] == 22 {
            break;
        }
    }
    heard.truncate(length);
    (heard, start.elapsed())
}

/// The description of the fatal alert that comes first.
fn alert_in(heard: &[u8]) -> Option<u8> {
    match heard {
        [21, 3, _, 0, 2, 2, description, ..] => Some(*description),
        _ => None,
    }
}

/// What a program says that reads `input` and then its end.
fn spoken(mut command: Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}
