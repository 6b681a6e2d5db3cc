//! The real programs of OpenClaw work through us with the real gateway: its command lines and its node host.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Bridge, SECRET, Shape, until_logged};
use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::openclaw::{NodeHost, OpenClaw, Release};

const HERE: &str = "ws://127.0.0.1:8080";
const THERE: &str = "wss://10.77.0.1:8443";
const LAN: &str = "[edge]\nnames = [\"10.77.0.1\"]\n[[listener]]\nname = \"lan\"\nbind = [\"10.77.0.1:8443\"]\n";

/// A real program takes seconds to start, and comes again after a while.
const WAIT: Duration = Duration::from_secs(180);

#[test]
fn real_command_lines_and_node_hosts_work_with_the_gateway_behind_us() {
    let bridge = Bridge::new(Shape::Veth);
    let lan = Namespace::new();
    bridge.host.cable("lan0", &lan, "eth0");
    bridge.host.address("lan0", "10.77.0.1/24");
    lan.address("eth0", "10.77.0.2/24");
    let _gateway = bridge.gateway(Release::September);
    let doorward = bridge.doorward(LAN);
    until_logged(&doorward, "state=up: 2026.9.6, protocol 4");
    let authority = doorward.folder().join("authority.pem");
    std::fs::write(&authority, doorward.authority()).unwrap();

    let here = OpenClaw::new(&bridge.host, Release::September);
    let reach = ["--url", HERE, "--token", SECRET];
    let health = here.json(&[&["gateway", "call", "health"], &reach[..]].concat());
    assert_eq!(health["ok"], true, "{health:#}");
    let devices = here.json(&[&["devices", "list"], &reach[..]].concat());
    assert_eq!(devices["paired"], json!([]), "our devices, not the gateway's: {devices:#}");

    // From elsewhere each comes with a device, which is approved here.
    for release in [Release::September, Release::January] {
        let away = OpenClaw::new(&lan, release).trusting(&authority);
        let command = ["system", "presence", "--url", THERE, "--token", SECRET];
        assert!(!away.command(&command).status.success(), "{release:?}");
        approve_all(&doorward, "cli");
        away.words(&command);
    }

    let near = OpenClaw::new(&bridge.host, Release::September);
    let mut near = near.node(&["--host", "127.0.0.1", "--port", "8080", "--no-tls", "--display-name", "near"], SECRET);
    let far = OpenClaw::new(&lan, Release::September).trusting(&authority);
    let mut far = far.node(&["--host", "10.77.0.1", "--port", "8443", "--tls", "--display-name", "far"], SECRET);
    for (name, node) in [("near", &mut near), ("far", &mut far)] {
        until(name, &doorward, node, || pending_named(&doorward, name).is_some());
        let request = pending_named(&doorward, name).unwrap();
        assert_eq!(request["role"], "node", "{request:#}");
        doorward.words(&["devices", "approve", request["requestId"].as_str().unwrap()]);
    }
    for (name, node) in [("near", &mut near), ("far", &mut far)] {
        until(name, &doorward, node, || nodes(&bridge).contains(&name.to_owned()));
    }
}

/// The names of the nodes that the gateway says are connected.
fn nodes(bridge: &Bridge) -> Vec<String> {
    let listed = bridge.host.block_on(|| async {
        let mut owner =
            connect(&Caller::plain("127.0.0.1:8080"), Some(&Device::new()), &Ask::operator(SECRET)).await.hello();
        let listed = owner.call("node.list", json!({})).await.unwrap();
        owner.close().await;
        listed
    });
    let connected = listed["nodes"].as_array().unwrap().iter().filter(|node| node["connected"] == true);
    connected.filter_map(|node| node["displayName"].as_str().map(str::to_owned)).collect()
}

fn pending_named(doorward: &Instance<'_>, name: &str) -> Option<Value> {
    doorward.pending().into_iter().find(|request| request["displayName"] == name)
}

fn approve_all(doorward: &Instance<'_>, client: &str) {
    let pending = doorward.pending();
    assert!(!pending.is_empty() && pending.iter().all(|request| request["clientId"] == client), "{pending:#?}");
    for request in pending {
        doorward.words(&["devices", "approve", request["requestId"].as_str().unwrap()]);
    }
}

fn until(what: &str, doorward: &Instance<'_>, node: &mut NodeHost, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        let said = || format!("{}\n--- doorward\n{}", node.log(), doorward.log());
        assert!(start.elapsed() < WAIT, "{what}: not in time\n{}", said());
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(node.runs(), "{what} ended:\n{}", node.log());
}
