//! Who comes over the tailnet is known by tailscaled's own word on that very connection, and by nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::caller::Caller;
use crate::support::instance::Instance;
use crate::support::lan::Household;
use crate::support::program;
use crate::support::tailscaled::{FakeTailscaled, Says, node};

const WAIT: Duration = Duration::from_secs(30);

const CONFIGURATION: &str = r#"
[edge]
names = ["100.64.0.1", "fd7a:115c:a1e0::1", "10.77.0.1"]

[tailscale]
socket = "tailscaled.sock"
whois = true

[[listener]]
name = "tailnet"
bind = ["100.64.0.1:8443", "[fd7a:115c:a1e0::1]:8443", "10.77.0.1:8443"]
protocol = "https"

[[listener]]
name = "balanced"
bind = ["10.77.0.1:9443"]
protocol = "https"
proxy_protocol = "required"
proxy_protocol_from = ["10.77.0.2"]

[[listener]]
name = "sender"
bind = ["100.64.0.1:9443"]
protocol = "https"
proxy_protocol = "required"
proxy_protocol_from = ["100.64.0.7"]

[[listener]]
name = "forwarded"
bind = ["100.64.0.1:8080", "10.77.0.1:8080"]
protocol = "http"
serve = "all"
client_ip_header = "x-forwarded-for"
trusted_proxies = ["10.77.0.2", "100.64.0.7"]
"#;

const ALICE: &[&str] = &["100.64.0.7/32", "fd7a:115c:a1e0::7/128"];

/// A household whose cable carries a tailnet too.
fn tailnet() -> Household {
    let home = Household::new();
    for address in ["100.64.0.1/10", "fd7a:115c:a1e0::1/48"] {
        home.host.address("lan0", address);
    }
    for last in 7..=14 {
        home.lan.address("eth0", &format!("100.64.0.{last}/10"));
    }
    home.lan.address("eth0", "fd7a:115c:a1e0::7/48");
    home
}

/// `whoami` of a call from this address of the other machine.
fn whoami(home: &Household, caller: &Caller, from: &str, headers: &'static [(&'static str, &'static str)]) -> Value {
    let (caller, from): (_, IpAddr) = (caller.clone().from(from.parse().unwrap()), from.parse().unwrap());
    let answer = home.lan.on(move || caller.whoami(headers));
    assert_eq!(answer["local"], false, "{from}: {answer:#}");
    answer
}

#[test]
fn only_a_positive_whois_of_this_very_peer_makes_a_tailnet() {
    let home = tailnet();
    let mut doorward = Instance::stopped(&home.host, CONFIGURATION);
    let mut tagged = node("tagged-devices", &["100.64.0.8/32"]);
    tagged["Node"]["Tags"] = json!(["tag:ci"]);
    let fake = FakeTailscaled::start(
        &doorward.folder().join("tailscaled.sock"),
        &[
            ("100.64.0.7", Says::Answer(node("alice@example.com", ALICE))),
            ("fd7a:115c:a1e0::7", Says::Answer(node("alice@example.com", ALICE))),
            ("10.77.0.2", Says::Answer(node("mallory@example.com", &["10.77.0.2/32"]))),
            ("100.64.0.8", Says::Answer(tagged)),
            ("100.64.0.9", Says::Answer(node("bob@example.com", &["100.64.0.99/32"]))),
            ("100.64.0.10", Says::Silence),
            ("100.64.0.11", Says::Refusal(403)),
            ("100.64.0.12", Says::Answer(json!({"Node": {"Addresses": "100.64.0.12/32"}, "UserProfile": {}}))),
            ("100.64.0.13", Says::Answer(json!({"padding": "x".repeat(300_000)}))),
        ],
    );
    doorward.restart();
    let authority = doorward.authority();
    let tls = |address: &str| Caller::trusting(address, &authority);

    for (address, from) in [("100.64.0.1:8443", "100.64.0.7"), ("[fd7a:115c:a1e0::1]:8443", "fd7a:115c:a1e0::7")] {
        let answer = whoami(&home, &tls(address), from, &[("Tailscale-User-Login", "mallory@example.com")]);
        assert_eq!((&answer["class"], &answer["client_ip"]), (&json!("tailnet"), &json!(from)), "{answer:#}");
        let alice = json!({"provider": "tailscale", "login": "alice@example.com", "name": "Somebody"});
        assert_eq!(answer["identity"], alice, "{answer:#}");
        assert!(answer["steps"].to_string().contains("names the person"), "{answer:#}");
        let asked = fake.asked();
        assert_eq!(asked.iter().map(|peer| peer.ip().to_string()).collect::<Vec<_>>(), [from]);
        assert_ne!(asked[0].port(), 0);
    }
    for (last, words) in [
        (8, "a tagged node"),
        (9, "did not answer"),
        (10, "did not answer"),
        (11, "did not answer"),
        (12, "did not answer"),
        (13, "did not answer"),
        (14, "knows no such peer"),
    ] {
        let (from, start) = (format!("100.64.0.{last}"), Instant::now());
        let answer = whoami(&home, &tls("100.64.0.1:8443"), &from, &[("Tailscale-User-Login", "alice@example.com")]);
        assert_eq!((&answer["class"], &answer["identity"]), (&json!("private"), &Value::Null), "{answer:#}");
        assert!(answer["steps"].to_string().contains(words), "{from}: {answer:#}");
        assert!(start.elapsed() < Duration::from_secs(5), "{from}: a silent tailscaled holds nobody up");
        assert_eq!(fake.asked().len(), 1, "{from}");
    }
}

#[test]
fn nobody_is_asked_about_an_address_that_bytes_on_the_wire_name() {
    let home = tailnet();
    let mut doorward = Instance::stopped(&home.host, CONFIGURATION);
    let alice = Says::Answer(node("alice@example.com", ALICE));
    let everybody = [("100.64.0.7", alice.clone()), ("100.64.0.14", alice.clone()), ("10.77.0.2", alice)];
    let fake = FakeTailscaled::start(&doorward.folder().join("tailscaled.sock"), &everybody);
    doorward.restart();
    let authority = doorward.authority();
    let tls = |address: &str| Caller::trusting(address, &authority);
    const LOGIN: &[(&str, &str)] = &[
        ("Tailscale-User-Login", "alice@example.com"),
        ("Tailscale-User-Name", "Alice"),
        ("X-Forwarded-For", "100.64.0.14"),
    ];
    let named = b"PROXY TCP4 100.64.0.7 100.64.0.1 4711 443\r\n";
    for (caller, from, client) in [
        (tls("10.77.0.1:8443"), "10.77.0.2", "10.77.0.2"),
        (tls("10.77.0.1:9443").with_preface(named), "10.77.0.2", "100.64.0.7"),
        (tls("100.64.0.1:9443").with_preface(named), "100.64.0.7", "100.64.0.7"),
        (tls("100.64.0.1:9443").with_preface(b"PROXY UNKNOWN\r\n"), "100.64.0.7", "100.64.0.7"),
        (Caller::plain("10.77.0.1:8080"), "10.77.0.2", "100.64.0.14"),
    ] {
        let headers = if caller.preface().is_empty() { LOGIN } else { &LOGIN[..2] };
        let answer = whoami(&home, &caller, from, headers);
        assert_eq!((&answer["class"], &answer["client_ip"]), (&json!("private"), &json!(client)), "{answer:#}");
        assert_eq!(answer["identity"], Value::Null, "{answer:#}");
    }
    // A proxy on the tailnet speaks for others: who it is itself does not count.
    let answer = whoami(&home, &Caller::plain("100.64.0.1:8080"), "100.64.0.7", &[("X-Forwarded-For", "100.64.0.9")]);
    assert_eq!((&answer["class"], &answer["identity"]), (&json!("private"), &Value::Null), "{answer:#}");
    assert_eq!(fake.asked(), []);
}

#[test]
fn whoever_takes_a_tailnets_address_on_another_cable_is_not_that_person() {
    let home = tailnet();
    let mut doorward = Instance::stopped(&home.host, CONFIGURATION);
    let alice = [("100.64.0.7", Says::Answer(node("alice@example.com", ALICE)))];
    let fake = FakeTailscaled::start(&doorward.folder().join("tailscaled.sock"), &alice);
    doorward.restart();
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let answer = whoami(&home, &caller, "100.64.0.7", &[]);
    assert_eq!((&answer["class"], &answer["identity"]), (&json!("private"), &Value::Null), "{answer:#}");
    assert!(answer["steps"].to_string().contains("what was dialled is no tailnet address"), "{answer:#}");
    assert_eq!(fake.asked(), []);

    doorward.stop();
    let anywhere = CONFIGURATION.replace("whois = true", "whois = true\ndanger_any_address = true");
    let mut doorward = Instance::stopped(&home.host, &anywhere);
    let _fake = FakeTailscaled::start(&doorward.folder().join("tailscaled.sock"), &alice);
    doorward.restart();
    assert!(doorward.log().contains("danger_any_address"), "{}", doorward.log());
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let answer = whoami(&home, &caller, "100.64.0.7", &[]);
    assert_eq!((&answer["class"], &answer["identity"]["login"]), (&json!("tailnet"), &json!("alice@example.com")));
}

#[test]
fn a_guest_of_the_tailnet_who_takes_every_place_of_one_client_keeps_no_other_node_out() {
    /// What one client may hold where so few descriptors are to be had.
    const PLACES: usize = 64;
    let home = tailnet();
    for last in [8, 9, 10] {
        home.lan.address("eth0", &format!("fd7a:115c:a1e0::{last}/48"));
    }
    let mut doorward = Instance::stopped(&home.host, CONFIGURATION);
    let bob = Says::Answer(node("bob@example.com", &["fd7a:115c:a1e0::8/128"]));
    let known = [("fd7a:115c:a1e0::7", Says::Answer(node("alice@example.com", ALICE))), ("fd7a:115c:a1e0::8", bob)];
    let _fake = FakeTailscaled::start(&doorward.folder().join("tailscaled.sock"), &known);
    let prlimit = program::installed("prlimit", "util-linux");
    doorward.wrap(&[prlimit.to_str().unwrap(), "--nofile=512:512"]);
    doorward.restart();
    let caller = Caller::trusting("[fd7a:115c:a1e0::1]:8443", &doorward.authority());
    home.lan.block_on(move || async move {
        let mut held = Vec::new();
        for _ in 0..PLACES {
            held.push(open(&caller, "fd7a:115c:a1e0::8", "tailnet").await.unwrap());
        }
        open(&caller, "fd7a:115c:a1e0::8", "tailnet").await.unwrap_err();
        held.push(open(&caller, "fd7a:115c:a1e0::7", "tailnet").await.unwrap());
        // Nobody vouches for these: whoever has the /64 may choose any of its addresses.
        for _ in 0..PLACES {
            held.push(open(&caller, "fd7a:115c:a1e0::9", "private").await.unwrap());
        }
        open(&caller, "fd7a:115c:a1e0::10", "private").await.unwrap_err();
    });
}

/// A connection of a node that was answered as one of this class, kept open.
async fn open(caller: &Caller, from: &str, class: &str) -> io::Result<TlsStream<TcpStream>> {
    let opened = timeout(WAIT, async {
        let socket = TcpSocket::new_v6()?;
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
        let stream = socket.connect(caller.address()).await?;
        let connector = TlsConnector::from(caller.tls().unwrap());
        let mut stream = connector.connect(ServerName::IpAddress(caller.address().ip().into()), stream).await?;
        stream.write_all(b"GET /doorward/whoami HTTP/1.1\r\nHost: [fd7a:115c:a1e0::1]\r\n\r\n").await?;
        stream.flush().await?;
        let (mut answer, mut part) = (String::new(), [0; 4096]);
        while !answer.contains("\"verified\"") {
            let bytes = stream.read(&mut part).await?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.push_str(&String::from_utf8_lossy(&part[..bytes]));
        }
        assert!(answer.contains(&format!("\"class\":\"{class}\"")), "{from}: {answer}");
        Ok(stream)
    });
    opened.await.expect("neither served nor refused in time")
}

#[test]
fn without_tailscaled_nobody_is_tailnet_and_the_log_says_so_once() {
    let home = tailnet();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let caller = Caller::trusting("100.64.0.1:8443", &doorward.authority());
    for _ in 0..3 {
        let answer = whoami(&home, &caller, "100.64.0.7", &[]);
        assert_eq!((&answer["class"], &answer["identity"]), (&json!("private"), &Value::Null), "{answer:#}");
    }
    let log = doorward.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("tailscaled does not answer")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("mount its socket") && told[0].contains("tailscaled.sock"), "{}", told[0]);
}
