//! The complaint that this program is an answer to: a gateway in a container sees its own bridge in the place of every caller,
//! so that its owner at the host is told to pair. With doorward before it the owner is let in, and nobody else is.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::bridge::SECRET;
use crate::support::caller::Caller;
use crate::support::docker::{Container, Engine, expect_root};
use crate::support::gateway_client::{Ask, Device, Outcome, call, connect};
use crate::support::lan::Household;
use crate::support::namespace::Namespace;
use crate::support::openclaw::{Gateway, Release};

const CONFIGURATION: &str = r#"
state_dir = "/state"

[edge]
names = ["10.77.0.1", "fd77::1"]

[[listener]]
name = "published"
bind = ["0.0.0.0:18789", "[::]:18789"]
protocol = "auto"
local = "published-loopback"
published_port = 18789

[[listener]]
name = "lan"
bind = ["0.0.0.0:8443", "[::]:8443"]
protocol = "https"

[core.upstream]
url = "http://172.30.0.200:18789"
token_file = "gateway-token"
"#;

#[test]
fn the_owner_of_a_gateway_in_a_container_is_let_in_without_an_approval_and_nobody_else_is() {
    expect_root();
    let home = Household::new();
    let docker = Engine::start(&home.host, &[]);
    let beside = beside(&home.host);
    let _gateway = Gateway::of(Release::January, &beside, SECRET);

    // Alone, published on the host's loopback.
    home.host.sysctl("net.ipv4.conf.all.route_localnet=1");
    let to_it = "-p tcp -d 127.0.0.1 --dport 18790 -j DNAT --to 172.30.0.200:18789";
    home.host.filter("iptables", &format!("-t nat -A OUTPUT {to_it}"));
    home.host.filter("iptables", "-t nat -A POSTROUTING -o docker0 -s 127.0.0.1 -j MASQUERADE");
    let refusal =
        call(&home.host, &Caller::plain("127.0.0.1:18790"), &Device::new(), page("http://127.0.0.1:18790")).refused();
    assert_eq!((refusal.code, refusal.reason.as_str()), (1008, "pairing required"), "{refusal:?}");

    fs::create_dir_all(docker.folder().join("conf")).unwrap();
    fs::write(docker.folder().join("conf/gateway-token"), SECRET).unwrap();
    let neighbour = docker.run(CONFIGURATION, &[]);
    let doorward = docker.run(CONFIGURATION, &["--publish", "127.0.0.1:18789:18789", "--publish", "8443:8443"]);
    assert_eq!(doorward.published()["closed"], true, "{}", doorward.log());
    until_up(&doorward);
    home.host.block_on(|| async {
        let owner = page("http://127.0.0.1:18789");
        let mut session = connect(&Caller::plain("127.0.0.1:18789"), Some(&Device::new()), &owner).await.hello();
        assert_eq!(session.hello["server"]["version"], "dev", "{:#}", session.hello);
        let settings = session.call("config.get", json!({})).await.unwrap();
        assert_eq!(settings["config"]["gateway"]["port"], 18789, "the real one answers: {settings:#}");
    });

    for at in ["10.77.0.1:8443", "[fd77::1]:8443"] {
        let stranger = call(&home.lan, &Caller::blind(at), &Device::new(), page(&format!("https://{at}")));
        waits(at, stranger);
    }
    for at in ["10.77.0.1:18789", "[fd77::1]:18789"] {
        let dialled = home.lan.on(|| TcpStream::connect_timeout(&at.parse().unwrap(), Duration::from_secs(3)));
        assert!(dialled.is_err(), "{at} is open to the LAN");
    }
    let at = format!("{}:18789", doorward.address());
    let stranger = neighbour.on(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ask = page("http://localhost:18789").with_header("Host", "localhost:18789");
        runtime.block_on(connect(&Caller::plain(&at), Some(&Device::new()), &ask))
    });
    waits("the neighbour", stranger);
}

/// The machine of the gateway, on the engine's own bridge as a container is.
fn beside(host: &Namespace) -> Namespace {
    let machine = Namespace::new();
    host.cable("oc0", &machine, "eth0");
    host.ip("link set oc0 master docker0 up");
    machine.address("eth0", "172.30.0.200/24");
    machine.ip("route add default via 172.30.0.1");
    machine
}

/// The dashboard of January, with the right token, at this origin.
fn page(origin: &str) -> Ask {
    let ask = Ask { protocol: 3, payload: "v2", client: ("openclaw-control-ui", "webchat"), ..Ask::operator(SECRET) };
    ask.with_header("Origin", origin)
}

/// Whoever is told this must be approved first.
fn waits(who: &str, outcome: Outcome) {
    let refusal = outcome.refused();
    assert_eq!((refusal.code, &refusal.error["code"]), (1008, &json!("NOT_PAIRED")), "{who}: {refusal:?}");
    assert!(refusal.reason.starts_with("pairing required"), "{who}: {refusal:?}");
}

fn until_up(doorward: &Container<'_>) {
    let start = Instant::now();
    while !doorward.log().contains("state=up: dev, protocol 3") {
        assert!(start.elapsed() < Duration::from_secs(120), "{}", doorward.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}
