//! The numbers of a running instance: where its owner's monitor reads them and nobody else does, in a form that Prometheus'
//! own tool takes without a word, true, and never larger because of what strangers say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use doorward::base::limits::{METRICS_ADDRESSES_MAX, METRICS_CONNECTIONS_MAX};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::support::authority::{Authority, Purpose};
use super::support::caller::{Answer, Caller};
use super::support::gateway_client::{Ask, Device, call};
use super::support::handshake::Client;
use super::support::instance::Instance;
use super::support::lan::Household;
use super::support::namespace::Namespace;
use super::support::program::installed;
use super::support::wait::until;

const DAY: i64 = 86_400;
const WAIT: Duration = Duration::from_secs(30);
const METRICS: &str = "127.0.0.1:9464";
const ABROAD: &str = "10.77.0.1:9464";

const CONFIGURATION: &str = r#"
[edge]
names = ["claw.lan", "drop.lan", "10.77.0.1"]

[[listener]]
name = "home"
bind = ["127.0.0.1:18789"]
protocol = "auto"
local = "loopback"
local_uids = [0]

[[listener]]
name = "lan"
bind = ["10.77.0.1:8443"]
protocol = "https"

[[listener]]
name = "plain"
bind = ["10.77.0.1:80"]
protocol = "http"

[admin]
metrics_bind = ["127.0.0.1:9464", "10.77.0.1:9464"]
"#;

#[test]
fn a_monitor_reads_what_happened_in_a_form_that_prometheus_takes() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let (before, text) = numbers(&home.host);
    checked_by_prometheus(&text);
    for name in [
        concat!("doorward_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "doorward_ready",
        "doorward_store_up",
        "doorward_connections_max",
        "doorward_websockets{state=\"connected\"}",
    ] {
        assert!(before.contains_key(name), "{name}\n{text}");
    }
    let of_our_ca =
        |row: &String| row.starts_with("doorward_certificate_alarm{") && row.ends_with("source=\"local-ca\"}");
    assert_eq!(before.keys().filter(|row| of_our_ca(row)).count(), 1, "{text}");
    until(|| numbers(&home.host).0.contains_key("doorward_audit_chain_ok"), || doorward.log());

    // A device is let in and paired, one waits for approval, one guesses; a request, a redirect, a name that is not ours.
    let (local, lan) = (Caller::plain("127.0.0.1:18789"), Caller::trusting("10.77.0.1:8443", &doorward.authority()));
    let token = doorward.token();
    let session = call(&home.host, &local, &Device::new(), Ask::operator(&token)).hello();
    call(&home.lan, &lan, &Device::new(), Ask::operator(&token)).refused();
    call(&home.lan, &lan, &Device::new(), Ask::operator("wrong")).refused();
    let get = |caller: Caller, headers: &'static [(&'static str, &'static str)]| {
        home.lan.on(move || caller.get("/doorward/whoami", headers)).unwrap().status
    };
    assert_eq!(get(lan.clone(), &[]), 200);
    assert_eq!(get(Caller::plain("10.77.0.1:80"), &[("Host", "claw.lan")]), 308);
    assert_eq!(get(lan.clone(), &[("Host", "evil.example")]), 421);
    let client = Client::trusting(&doorward.authority());
    assert!(home.lan.on(move || client.shake("10.77.0.1:8443", "evil.example")).is_err());

    let rose = |after: &BTreeMap<String, f64>, name: &str| {
        after.get(name).copied().unwrap_or_default() - before.get(name).copied().unwrap_or_default()
    };
    // The last of them is counted a moment after its caller knows.
    until(|| rose(&numbers(&home.host).0, FAILED) >= 1.0, || numbers(&home.host).1);
    let (after, text) = numbers(&home.host);
    checked_by_prometheus(&text);
    for (name, by) in [
        ("doorward_connections_accepted_total{listener=\"home\"}", 1.0),
        ("doorward_connections_accepted_total{listener=\"lan\"}", 5.0),
        ("doorward_connections_refused_total{listener=\"lan\",reason=\"unknown-server-name\"}", 1.0),
        (FAILED, 1.0),
        ("doorward_tls_handshakes_total{listener=\"lan\",version=\"1.3\"}", 4.0),
        ("doorward_requests_total{listener=\"home\",status=\"1xx\"}", 1.0),
        ("doorward_requests_total{listener=\"lan\",status=\"1xx\"}", 2.0),
        ("doorward_requests_total{listener=\"lan\",status=\"2xx\"}", 1.0),
        ("doorward_requests_total{listener=\"lan\",status=\"4xx\"}", 1.0),
        ("doorward_requests_total{listener=\"plain\",status=\"3xx\"}", 1.0),
        ("doorward_connects_total{outcome=\"admitted\"}", 1.0),
        ("doorward_connects_total{outcome=\"refused\"}", 2.0),
        ("doorward_refusals_total{reason=\"misdirected-host\"}", 1.0),
        ("doorward_changes_total{change=\"device.put\"}", 1.0),
        ("doorward_changes_total{change=\"request.put\"}", 1.0),
        ("doorward_devices{state=\"paired\"}", 1.0),
        ("doorward_devices{state=\"pending\"}", 1.0),
        ("doorward_websockets{state=\"connected\"}", 1.0),
    ] {
        assert_eq!(rose(&after, name), by, "{name}\n{text}");
    }
    assert_eq!(
        (after["doorward_audit_chain_ok"], after["doorward_store_up"], after["doorward_ready"]),
        (1.0, 1.0, 1.0)
    );
    assert!(!text.contains(token.as_str()) && !text.contains("evil.example") && !text.contains("10.77.0.2"), "{text}");
    drop(session);
}

const FAILED: &str = "doorward_tls_handshakes_failed_total{listener=\"lan\",reason=\"unknown-server-name\"}";

#[test]
fn the_alarm_of_a_certificate_rises_as_its_end_comes_and_falls_with_a_new_one() {
    let home = Household::new();
    let authority = Authority::new("household");
    let pair = |days: i64| authority.issue_for(Purpose::Server, &["drop.lan"], (days - 90) * DAY, days * DAY);
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let row = |name: &str| format!("doorward_certificate_{name}{{names=\"drop.lan\",source=\"file\"}}");
    let alarm = || numbers(&home.host).0.get(&row("alarm")).copied();
    assert_eq!(alarm(), None);
    for (days, level, word) in
        [(60, 0.0, "none"), (20, 2.0, "third"), (6, 3.0, "week"), (1, 4.0, "day"), (80, 0.0, "none")]
    {
        pair(days).write(&doorward.folder().join("certs"), "drop");
        let shown = || numbers(&home.host).0.get(&row("left_seconds")).map(|left| (left / 86_400.0).ceil());
        until(|| shown() == Some(days as f64), || format!("{days} days\n{}", numbers(&home.host).1));
        assert_eq!(alarm(), Some(level), "{days} days are left");
        // What a dashboard reads says the same.
        let list = doorward.json(&["certs", "list"]);
        let listed =
            list["certificates"].as_array().unwrap().iter().find(|one| one["source"] == "file").unwrap().clone();
        assert_eq!((&listed["alarm"], &listed["alarmLevel"]), (&word.into(), &(level as u64).into()), "{listed:#}");
        let left = listed["secondsLeft"].as_i64().unwrap();
        assert!((days * DAY - 3_600..=days * DAY).contains(&left), "{left}");
        for field in ["names", "notAfterMs", "hint", "attempts"] {
            assert!(listed.get(field).is_some(), "{field} is missing: {listed:#}");
        }
    }
}

#[test]
fn the_numbers_are_on_their_own_addresses_alone() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let authority = doorward.authority();
    for (machine, caller) in [
        (&home.host, Caller::plain("127.0.0.1:18789")),
        (&home.host, Caller::trusting("127.0.0.1:18789", &authority)),
        (&home.lan, Caller::trusting("10.77.0.1:8443", &authority)),
    ] {
        for (path, status) in [
            ("/metrics", 404),
            ("/metrics/", 404),
            ("/metrics?x", 404),
            ("/doorward/metrics", 404),
            ("/debug", 404),
            ("/debug/pprof/", 404),
            // Other paths, and no numbers either.
            ("//metrics", 200),
            ("/%6detrics", 200),
        ] {
            let (shown, asking) = (format!("{caller:?} {path}"), caller.clone());
            let answer = machine.on(move || asking.get(path, &[])).unwrap();
            assert_eq!(answer.status, status, "{shown}: {}", answer.body);
            assert!(!answer.body.contains("doorward_") && !answer.body.contains("process_"), "{shown}");
        }
    }
    let caller = Caller::plain("10.77.0.1:80");
    let answer = home.lan.on(move || caller.get("/metrics", &[("Host", "claw.lan")])).unwrap();
    assert_eq!(answer.status, 308, "to a door where there is none");
    // And on those addresses there is nothing else.
    for path in ["/", "/healthz", "/doorward/whoami", "/doorward/ca", "/.well-known/doorward/jwks.json"] {
        assert_eq!(asked(&home.lan, ABROAD, path, &[]).status, 404, "{path}");
    }
    for (host, status) in
        [("evil.example", 421), ("127.0.0.1.evil.example:9464", 421), ("claw.lan", 200), ("10.77.0.1:9464", 200)]
    {
        let answer = asked(&home.lan, ABROAD, "/metrics", &[("Host", host)]);
        assert_eq!(answer.status, status, "{host}");
        assert!(answer.head.to_ascii_lowercase().contains("cache-control: no-store"), "{}", answer.head);
    }
    let status = doorward.words(&["status"]);
    assert!(status.contains("metrics  http://127.0.0.1:9464/metrics\n"), "{status}");
    assert!(doorward.words(&["check"]).contains("metrics  http://10.77.0.1:9464/metrics\n"));
}

#[test]
fn a_bind_that_strangers_could_dial_or_that_is_taken_is_refused() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, "[admin]\nmetrics_bind = \"127.0.0.1:9464\"\n");
    let other = "[[listener]]\nbind = [\"127.0.0.1:1\"]\n[admin]\nmetrics_bind = ";
    for (bind, code, words) in [
        ("\"0.0.0.0:9465\"", 2, "doorward.toml:5:16: metrics would be read by whoever can dial 0.0.0.0:9465"),
        ("\"203.0.113.7:9465\"", 2, "hint: bind to loopback, or to an address of your own network"),
        ("\"127.0.0.1:1\"", 2, "127.0.0.1:1 is bound already by listener listener-1"),
        ("\"127.0.0.1:9464\"", 1, "127.0.0.1:9464 is taken by doorward (process "),
        ("\"10.9.9.9:9464\"", 1, "this machine does not have the address 10.9.9.9:9464"),
    ] {
        let other = Instance::stopped(&host, &format!("{other}{bind}\n"));
        for command in ["check", "run"] {
            let output = other.command(&[command]);
            let said =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
            // An address may come with a cable: `check` warns of it only.
            let is_coming = command == "check" && bind.contains("10.9.9.9");
            assert_eq!(output.status.code(), Some(if is_coming { 0 } else { code }), "{command} {bind}: {said}");
            assert!(said.contains(words), "{command} {bind}: {said}");
        }
    }
    // Another address needs a restart, and is told so.
    doorward.configure("[admin]\nmetrics_bind = \"127.0.0.1:9466\"\n");
    let output = doorward.command(&["reload"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("only a restart") && said.contains("admin.metrics_bind"),
        "{said}"
    );
    assert_eq!(asked(&host, METRICS, "/metrics", &[]).status, 200);
}

#[test]
fn no_flood_of_names_paths_and_addresses_makes_the_numbers_grow() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, CONFIGURATION);
    let authority = doorward.authority();
    let flood = |from: u32| {
        let (client, lan) = (Client::trusting(&authority), Caller::trusting("10.77.0.1:8443", &authority));
        home.lan.on(move || {
            for n in from..from + 40 {
                client.shake("10.77.0.1:8443", &format!("n{n}.attacker.example")).unwrap_err();
                let (host, agent) = (format!("h{n}.attacker.example"), format!("agent-{n}\"}} 1\nx"));
                let _ = lan.get(&format!("/p{n}/\"}}?q={n}"), &[("Host", &host)]);
                let _ = lan.get(&format!("/p{n}"), &[("User-Agent", &agent.replace('\n', " ")), ("Origin", &host)]);
                let mut socket = TcpStream::connect("10.77.0.1:80").unwrap();
                let _ = write!(socket, "M{n} /p{n} HTTP/1.{n}\r\nHost: h{n}\r\nX-{n}: y\r\n\r\n");
                let _ = socket.read(&mut [0; 64]);
            }
        });
    };
    let names = || numbers(&home.host).0.into_keys().collect::<BTreeSet<_>>();
    flood(0);
    let (known, before) = (names(), numbers(&home.host).0);
    flood(1_000);
    // It came, and was refused.
    for row in [FAILED, "doorward_requests_total{listener=\"lan\",status=\"4xx\"}"] {
        let rose = || numbers(&home.host).0[row] - before[row];
        until(|| rose() >= 40.0, || format!("{row}\n{}", numbers(&home.host).1));
    }
    assert_eq!(names().difference(&known).collect::<Vec<_>>(), Vec::<&String>::new());
    let (_, text) = numbers(&home.host);
    checked_by_prometheus(&text);
    for word in ["attacker", "agent-", "/p1", "M1"] {
        assert!(!text.contains(word), "{word}\n{text}");
    }
}

#[test]
fn who_holds_on_to_the_numbers_door_is_cut_off_and_the_monitor_gets_in() {
    let host = Namespace::new();
    let _doorward = Instance::start(&host, "[admin]\nmetrics_bind = \"127.0.0.1:9464\"\n");
    host.on(|| {
        let address: SocketAddr = METRICS.parse().unwrap();
        // More than are served at once, each with half a head.
        let mut held: Vec<_> = (0..32).map(|_| TcpStream::connect(address).unwrap()).collect();
        for socket in &mut held {
            socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n").unwrap();
        }
        let start = Instant::now();
        let answer = loop {
            let answer = Caller::plain(METRICS).get("/metrics", &[]);
            if answer.is_ok() || start.elapsed() > 8 * WAIT {
                break answer;
            }
        };
        assert_eq!(answer.unwrap().status, 200);
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        let _ = write!(socket, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n", "y".repeat(20_000));
        let mut heard = Vec::new();
        let _ = socket.read_to_end(&mut heard);
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 431 "), "{heard}");
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        let _ = write!(socket, "POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n");
        let mut heard = String::new();
        let _ = socket.read_to_string(&mut heard);
        assert!(
            heard.starts_with("HTTP/1.1 405 ") && heard.to_ascii_lowercase().contains("allow: get, head"),
            "{heard}"
        );
    });
}

#[test]
fn one_address_whose_callers_say_nothing_takes_no_place_from_another() {
    let host = Namespace::new();
    let addresses: Vec<_> = (1..=METRICS_ADDRESSES_MAX).map(|n| format!("\"127.0.0.{n}:9464\"")).collect();
    let _doorward = Instance::start(&host, &format!("[admin]\nmetrics_bind = [{}]\n", addresses.join(", ")));
    host.on(|| {
        // Who says nothing is cut off after a while, so that on a slow machine one attempt may prove nothing.
        let is_served_beside = || {
            let held: Vec<_> =
                (1..METRICS_CONNECTIONS_MAX).map(|_| TcpStream::connect("127.0.0.2:9464").unwrap()).collect();
            let answer = Caller::plain("127.0.0.2:9464").get("/metrics", &[]);
            held.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
            let is_open = |mut socket: &TcpStream| {
                socket.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            };
            answer.is_ok_and(|answer| answer.status == 200) && held.iter().all(is_open)
        };
        assert!((0..10).any(|_| is_served_beside()), "it waits for those who say nothing");
    });
}

#[test]
fn a_store_that_cannot_be_read_is_told_beside_the_other_numbers() {
    let host = Namespace::new();
    let doorward = Instance::start(&host, "[admin]\nmetrics_bind = \"127.0.0.1:9464\"\n");
    let (before, failed) = (numbers(&host).0, "doorward_store_errors_total{kind=\"read\"}");
    assert_eq!((before["doorward_store_up"], before.get(failed)), (1.0, None));
    let file = doorward.folder().join("state/doorward.sqlite");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut other = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        sqlx::query("ALTER TABLE devices RENAME TO elsewhere").execute(&mut other).await.unwrap();
        other.close().await.unwrap();
    });
    let (after, text) = numbers(&host);
    assert_eq!((after["doorward_store_up"], after[failed] >= 1.0), (0.0, true), "{text}");
    assert!(!text.contains("doorward_devices{") && after.contains_key("doorward_connections_open"), "{text}");
}

/// Every row and its number, and the text they stand in.
fn numbers(machine: &Namespace) -> (BTreeMap<String, f64>, String) {
    let answer = asked(machine, METRICS, "/metrics", &[]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("text/plain; version=0.0.4"), "{}", answer.head);
    let rows = answer.body.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (row, number) = line.rsplit_once(' ').unwrap();
        (row.to_owned(), number.parse().unwrap())
    });
    (rows.collect(), answer.body)
}

fn asked(machine: &Namespace, address: &'static str, path: &'static str, headers: &[(&str, &str)]) -> Answer {
    Caller::plain(address).get_on(machine, path, headers)
}

/// Prometheus' own reader of the format, which also says what is badly named.
fn checked_by_prometheus(text: &str) {
    let mut command = std::process::Command::new(installed("promtool", "prometheus"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && words.is_empty(), "{words}\n{text}");
}
