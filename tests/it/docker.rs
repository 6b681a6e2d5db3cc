//! Behind a real Docker engine: for what each caller is taken, and that a port which is open to others makes nobody local.
//! Every caller says what an attacker would: a loopback Host.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::docker::{Container, Engine, GATEWAY, expect_root};
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
/// Plain HTTP where strangers may come in.
const PLAIN_REFUSED: &str = "port-not-closed";
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
    expect_root();
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
        let closed = found["closed"] == true;
        let seen = calls(home, &neighbour, &doorward, if closed { Way::Plain } else { Way::Tls });
        let mut table = format!("dockerd {engine:?}, {shape}: {}\n", found["found"]);
        for (from, seen) in FROM.iter().zip(&seen) {
            table.push_str(&format!("  {from:<28}{seen}\n"));
        }
        let _ = io::stderr().write_all(table.as_bytes());
        let said = found["found"].as_str().unwrap();
        assert!(said.starts_with(published), "{table}{}", doorward.log());
        let check = doorward.check();
        assert_eq!(check.contains("warning: published port 18789"), !closed, "{table}{check}");
        assert!(!doorward.log().contains("malformed-request"), "check was taken for a caller: {}", doorward.log());
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
        if !closed {
            // Nobody is let to send a secret in clear where strangers may be.
            let refused = |seen: &String| seen == "refused" || seen == PLAIN_REFUSED;
            let plain = calls(home, &neighbour, &doorward, Way::Plain);
            let own = shape == &"host network";
            assert!(plain.iter().enumerate().all(|(at, seen)| refused(seen) || (own && at < 2)), "{table}{plain:#?}");
            assert!(plain.iter().any(|seen| seen == PLAIN_REFUSED), "{table}{plain:#?}");
        }
    }
}

#[test]
fn a_firewall_that_hides_the_port_proves_nothing_and_the_owner_is_told_what_to_run() {
    expect_root();
    let home = Household::new();
    let docker = Engine::start(&home.host, &[]);
    // As ufw does by default. What the engine publishes passes it by, so an open port is as silent as a closed one.
    home.host.filter("iptables", "-I INPUT -i docker0 -m conntrack --ctstate NEW -j DROP");
    for options in [LOOPBACK_IPV4, EVERYWHERE] {
        let doorward = docker.run(CONFIGURATION, options);
        let found = doorward.published();
        assert_eq!(found["found"], "not proven closed: no clear answer from 172.30.0.1:18789", "{found:#}");
        let command = "sudo ufw allow proto tcp from 172.30.0.0/24 to 172.30.0.1 port 18789)";
        assert!(found["hint"].as_str().unwrap().contains(command), "{found:#}");
        for said in [doorward.log(), doorward.check()] {
            assert!(said.contains(command), "{said}");
        }
        assert_eq!(home.host.on(|| call("127.0.0.1:18789", Way::Plain)), PLAIN_REFUSED);
        assert_eq!(home.host.on(|| call("127.0.0.1:18789", Way::Tls)), "172.30.0.1 nat local=false");
        let health = home.host.on(|| Caller::plain("127.0.0.1:18789").get("/healthz", &[])).unwrap();
        assert_eq!(health.status, 200, "{}", health.head);
    }
    // What that command does.
    home.host.filter("iptables", "-I INPUT -p tcp -s 172.30.0.0/24 -d 172.30.0.1 --dport 18789 -j ACCEPT");
    for (options, closed, seen) in
        [(LOOPBACK_IPV4, true, "172.30.0.1 local local=true"), (EVERYWHERE, false, PLAIN_REFUSED)]
    {
        let doorward = docker.run(CONFIGURATION, options);
        assert_eq!(doorward.published()["closed"], closed, "{}", doorward.log());
        assert_eq!(home.host.on(|| call("127.0.0.1:18789", Way::Plain)), seen, "{}", doorward.log());
    }
}

#[test]
fn a_start_that_trusts_the_bridge_is_refused_with_the_reason() {
    expect_root();
    let home = Household::new();
    let docker = Engine::start(&home.host, &[]);
    let neighbour = docker.run(CONFIGURATION, &[]);
    let trusting = |range: &str, rest: &str| {
        format!(
            "state_dir = \"/state\"\n[[listener]]\nname = \"web\"\nbind = [\"0.0.0.0:8443\"]\n\
             client_ip_header = \"x-forwarded-for\"\ntrusted_proxies = [\"{range}\"]\n{rest}"
        )
    };
    for range in ["172.30.0.0/16", "172.30.0.0/24", GATEWAY] {
        let said = docker.refuses(&trusting(range, ""));
        let fault = format!("listener web trusts {range} in trusted_proxies, and that takes in 172.30.0.1 of our own");
        assert!(said.contains(&fault) && said.contains("danger_trust_own_bridge"), "{range}: {said}");
    }
    let allowed = docker.run(&trusting(&neighbour.address(), ""), &[]);
    assert!(!allowed.log().contains("danger_trust_own_bridge"), "{}", allowed.log());
    let dared = docker.run(&trusting("172.30.0.0/24", "danger_trust_own_bridge = true"), &[]);
    assert!(dared.log().contains("WARN") && dared.log().contains("danger_trust_own_bridge"), "{}", dared.log());
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

fn calls(home: &Household, neighbour: &Container<'_>, doorward: &Container<'_>, way: Way) -> Vec<String> {
    let own = doorward.address();
    // With the host's network a container has no address of its own.
    let direct = format!("{}:18789", if own.is_empty() { GATEWAY } else { &own });
    vec![
        home.host.on(move || call("127.0.0.1:18789", way)),
        home.host.on(move || call("[::1]:18789", way)),
        home.host.on(move || call("10.77.0.1:18789", way)),
        home.lan.on(move || call("10.77.0.1:18789", way)),
        home.lan.on(move || call("[fd77::1]:18789", way)),
        neighbour.on(move || call(&direct, way)),
        neighbour.on(move || call(&format!("{GATEWAY}:18789"), way)),
    ]
}

/// What a caller speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Plain,
    Tls,
}

/// Who we are there: address, class and whether local.
fn call(address: &str, way: Way) -> String {
    if TcpStream::connect_timeout(&address.parse().unwrap(), Duration::from_secs(3)).is_err() {
        return "refused".to_owned();
    }
    let host = [("Host", "localhost:18789")];
    let caller = match way {
        Way::Plain => Caller::plain(address),
        Way::Tls => Caller::blind(address),
    };
    let Ok(answer) = caller.get("/doorward/whoami", &host) else { return "refused".to_owned() };
    match serde_json::from_str::<Value>(&answer.body) {
        Ok(who) if answer.status == 200 => {
            let text = |key: &str| who[key].as_str().unwrap_or("nobody").to_owned();
            format!("{} {} local={}", text("client_ip"), text("class"), who["local"])
        }
        _ => answer.body.split(':').next().unwrap_or_default().to_owned(),
    }
}
