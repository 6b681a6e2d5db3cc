//! Behind a real Docker engine: for what each caller is taken, and that a port which is open to others makes nobody local.
//! Every caller says what an attacker would: a loopback Host.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::docker::{Container, Engine, GATEWAY};
use crate::support::lan::Household;

const CONFIGURATION: &str = r#"
state_dir = "/state"

[edge]
names = ["10.77.0.1", "fd77::1"]
drain_seconds = 1

[[listener]]
name = "published"
bind = ["0.0.0.0:18789", "[::]:18789"]
protocol = "auto"
local = "published-loopback"
published_port = 18789
"#;

const LOOPBACK: &[&str] = &["--publish", "127.0.0.1:18789:18789", "--publish", "[::1]:18789:18789"];
const LOOPBACK_IPV4: &[&str] = &["--publish", "127.0.0.1:18789:18789"];
const EVERYWHERE: &[&str] = &["--publish", "18789:18789"];
const HOST_NETWORK: &[&str] = &["--network", "host"];

/// Nobody answers there.
const REFUSED: (&str, &str, bool) = ("refused", "", false);
/// The runtime's mask: anybody can be behind it.
const MASKED: (&str, &str, bool) = (GATEWAY, "nat", false);
/// The owner at the host.
const OWNER: (&str, &str, bool) = (GATEWAY, "local", true);
const NEIGHBOUR: (&str, &str, bool) = ("neighbour", "container", false);
const LAN: (&str, &str, bool) = ("10.77.0.2", "private", false);
const LAN_IPV6: (&str, &str, bool) = ("fd77::2", "private", false);

/// From where each is called, in the order of the rows below: the host's 127.0.0.1, [::1] and LAN address, a LAN machine
/// over IPv4 and IPv6, a neighbour container directly and by way of the gateway.
type Row = [(&'static str, &'static str, bool); 7];

/// What `status` says of the published port, and for what each caller is taken.
type Case<'a> = (&'static str, &'a [&'static str], &'static str, Row);

#[test]
fn each_caller_of_a_container_is_taken_for_what_the_engine_lets_us_know() {
    if !has_root() {
        return;
    }
    let home = Household::new();
    let ours = "open beyond the host's loopback: this very listener answers";
    let closed = "not reachable beyond the host's loopback";
    let shared = "not proven closed: no container network";
    judge(
        &home,
        &[],
        &[
            ("loopback", LOOPBACK, closed, [OWNER, OWNER, REFUSED, REFUSED, REFUSED, NEIGHBOUR, REFUSED]),
            (
                "everywhere",
                EVERYWHERE,
                ours,
                [MASKED, MASKED, ("10.77.0.1", "private", false), LAN, MASKED, NEIGHBOUR, MASKED],
            ),
            (
                "host network",
                HOST_NETWORK,
                shared,
                [
                    ("127.0.0.1", "nat", false),
                    ("::1", "nat", false),
                    ("10.77.0.1", "private", false),
                    LAN,
                    LAN_IPV6,
                    ("neighbour", "private", false),
                    ("neighbour", "private", false),
                ],
            ),
        ],
    );
    judge(
        &home,
        &["--userland-proxy=false"],
        &[
            ("loopback", LOOPBACK_IPV4, closed, [OWNER, REFUSED, REFUSED, REFUSED, REFUSED, NEIGHBOUR, REFUSED]),
            ("everywhere", EVERYWHERE, ours, [MASKED, REFUSED, MASKED, LAN, REFUSED, NEIGHBOUR, NEIGHBOUR]),
        ],
    );
    judge(
        &home,
        &["--iptables=false", "--ip-masq=false"],
        &[
            ("loopback", LOOPBACK, closed, [OWNER, OWNER, REFUSED, REFUSED, REFUSED, NEIGHBOUR, REFUSED]),
            ("everywhere", EVERYWHERE, ours, [MASKED, MASKED, MASKED, MASKED, MASKED, NEIGHBOUR, MASKED]),
        ],
    );
}

fn judge(home: &Household, engine: &[&str], cases: &[Case<'_>]) {
    let docker = Engine::start(&home.host, engine);
    let neighbour = docker.run(CONFIGURATION, &[]);
    for (shape, options, published, row) in cases {
        let doorward = docker.run(CONFIGURATION, options);
        let found = doorward.published();
        let seen = calls(home, &neighbour, &doorward);
        let mut table = format!("dockerd {engine:?}, {shape}: {}\n", found["found"]);
        for (from, seen) in FROM.iter().zip(&seen) {
            table.push_str(&format!("  {from:<28}{seen}\n"));
        }
        let _ = io::stderr().write_all(table.as_bytes());
        let said = found["found"].as_str().unwrap();
        assert!(said.starts_with(published), "{table}{}", doorward.log());
        let check = doorward.check();
        assert_eq!(check.contains("warning: published port 18789"), found["closed"] == false, "{table}{check}");
        if *published != "not reachable beyond the host's loopback" {
            assert!(doorward.log().contains("nobody is local through the published port"), "{}", doorward.log());
        }
        let at = neighbour.address();
        let expected = row.map(|(client, class, local)| match client {
            "refused" => client.to_owned(),
            "neighbour" => format!("{at} {class} local={local}"),
            _ => format!("{client} {class} local={local}"),
        });
        assert_eq!(seen, expected, "{table}{}", doorward.log());
    }
}

const FROM: [&str; 7] = [
    "host 127.0.0.1",
    "host [::1]",
    "host, its LAN address",
    "LAN, IPv4",
    "LAN, IPv6",
    "neighbour container",
    "neighbour, by the gateway",
];

fn calls(home: &Household, neighbour: &Container<'_>, doorward: &Container<'_>) -> Vec<String> {
    let own = doorward.address();
    // With the host's network a container has no address of its own.
    let direct = format!("{}:18789", if own.is_empty() { GATEWAY } else { &own });
    vec![
        home.host.on(|| call("127.0.0.1:18789")),
        home.host.on(|| call("[::1]:18789")),
        home.host.on(|| call("10.77.0.1:18789")),
        home.lan.on(|| call("10.77.0.1:18789")),
        home.lan.on(|| call("[fd77::1]:18789")),
        neighbour.on(move || call(&direct)),
        neighbour.on(|| call(&format!("{GATEWAY}:18789"))),
    ]
}

/// Who we are there: address, class and whether local.
fn call(address: &str) -> String {
    if TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(3)).is_err() {
        return "refused".to_owned();
    }
    let host = [("Host", "localhost:18789")];
    let Ok(answer) = Caller::plain(address).get("/doorward/whoami", &host) else { return "refused".to_owned() };
    match serde_json::from_str::<Value>(&answer.body) {
        Ok(who) if answer.status == 200 => {
            let text = |key: &str| who[key].as_str().unwrap_or("nobody").to_owned();
            format!("{} {} local={}", text("client_ip"), text("class"), who["local"])
        }
        _ => format!("status {}", answer.status),
    }
}

/// A Docker engine cannot run in a user namespace. A test that did not run must not look as if it had.
fn has_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !whole {
        let said =
            "NOT TESTED: tests/it/docker.rs needs a Docker engine, which needs real root: run tests/run as root\n";
        let _ = io::stderr().write_all(said.as_bytes());
    }
    whole
}
