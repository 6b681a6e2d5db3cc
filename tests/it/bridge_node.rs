//! A node that the owner approves here is a node of the real gateway behind us; one that he did not approve is unknown there.

use std::fs::read_to_string;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::bridge::{Bridge, SECRET, Shape, until_logged};
use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, Outcome, Refusal, Session, call, connect, next_frame, upgrade};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::openclaw::{OpenClaw, Release};

const DOOR: &str = "127.0.0.1:8080";
const UP: &str = "state=up: 2026.9.6, protocol 4";

/// For what happens aside, on a slow machine.
const WAIT: Duration = Duration::from_secs(60);

#[test]
fn a_node_approved_here_is_one_of_the_gateway_until_the_owner_says_otherwise() {
    let bridge = Bridge::new(Shape::Veth);
    let _gateway = bridge.gateway(Release::September);
    let doorward = bridge.doorward("");
    until_logged(&doorward, UP);
    let node = Device::new();
    let id = node.id();
    let knock = |ask: Ask| call(&bridge.host, &Caller::plain(DOOR), &node, ask);

    let refusal = knock(with_secret()).refused();
    assert_eq!((refusal.error["code"].as_str(), refusal.code), (Some("NOT_PAIRED"), 1008), "{refusal:#?}");
    let there = devices_there(bridge.inner());
    assert!(!there.contains(&id), "nobody approved it, and the gateway has heard of it: {there}");
    let request = doorward.pending_of(&id)["requestId"].as_str().unwrap().to_owned();
    doorward.words(&["devices", "approve", &request]);

    // The gateway is told of it, and it comes again.
    let refusal = knock(with_secret()).refused();
    comes_again(&refusal);
    let session = knock(with_secret()).hello();
    assert_eq!(session.hello["server"]["version"], "2026.9.6", "{:#}", session.hello);
    let first = device_token(&session);
    assert!(devices_there(bridge.inner()).contains(&id));
    let acts = doorward.json(&["audit", "--device", &id])["entries"].clone();
    assert!(acts.as_array().unwrap().iter().any(|entry| entry["act"] == "upstream.token"), "{acts:#}");

    // Its token is the gateway's, so it is enough for both.
    let (listed, hello) = bridge.host.block_on({
        let (node, ask) = (node.clone(), with_token(&first));
        move || async move {
            let session = connect(&Caller::plain(DOOR), Some(&node), &ask).await.hello();
            let mut owner = connect(&Caller::plain(DOOR), Some(&Device::new()), &Ask::operator(SECRET)).await.hello();
            (owner.call("node.list", json!({})).await.unwrap(), session.hello)
        }
    });
    assert_eq!((&hello["auth"]["role"], &hello["auth"]["method"]), (&json!("node"), &json!("device-token")));
    let nodes = listed["nodes"].as_array().unwrap();
    assert!(nodes.iter().any(|node| node["nodeId"] == id.as_str() && node["connected"] == true), "{listed:#}");

    // What the owner ends here is over there too.
    doorward.words(&["devices", "rotate", "--device", &id, "--role", "node"]);
    let refusal = knock(with_token(&first)).refused();
    assert_eq!(refusal.error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH", "{refusal:#?}");
    let second = device_token(&knock(with_secret()).hello());
    assert_ne!(first, second, "the token that was ended would count again");
    removed(&bridge, &doorward, &node);
}

/// Its socket ends within a second, and the gateway forgets it.
fn removed(bridge: &Bridge, doorward: &Instance<'_>, node: &Device) {
    let (told, inside) = std::sync::mpsc::channel();
    let visitor = bridge.host.spawn({
        let node = node.clone();
        move || {
            block_on(async move {
                let session = connect(&Caller::plain(DOOR), Some(&node), &with_secret()).await.hello();
                told.send(()).unwrap();
                (session.closed().await, Instant::now())
            })
        }
    });
    inside.recv().unwrap();
    doorward.words(&["devices", "remove", &node.id()]);
    let done = Instant::now();
    let (close, closed) = visitor.join().unwrap();
    assert_eq!(close, (4001, "device removed".to_owned()));
    let late = closed.saturating_duration_since(done);
    assert!(late < Duration::from_secs(1), "closed {late:?} after the command");
    until("the gateway forgets it", || !devices_there(bridge.inner()).contains(&node.id()));
}

#[test]
fn strangers_who_say_nothing_leave_the_gateways_places_to_others() {
    let bridge = Bridge::new(Shape::Veth);
    let lan = Namespace::new();
    bridge.host.cable("lan0", &lan, "eth0");
    bridge.host.address("lan0", "10.77.0.1/16");
    for number in 2..22 {
        lan.address("eth0", &format!("10.77.0.{number}/16"));
    }
    let _gateway = bridge.gateway(Release::September);
    let more = "[edge]\nnames = [\"10.77.0.1\"]\n[[listener]]\nname = \"lan\"\nbind = [\"10.77.0.1:8443\"]\n";
    let doorward = bridge.doorward(more);
    until_logged(&doorward, UP);
    let authority = doorward.authority();

    let (told, idle) = std::sync::mpsc::channel();
    let (leave, stay) = tokio::sync::oneshot::channel::<()>();
    let strangers = lan.spawn(move || {
        block_on(async move {
            let mut sockets = Vec::new();
            for number in 0..40 {
                let from = format!("10.77.0.{}", 2 + number / 2).parse().unwrap();
                let caller = Caller::trusting("10.77.0.1:8443", &authority).from(from);
                let mut socket = upgrade(&caller, &with_secret()).await.unwrap();
                assert_eq!(next_frame(&mut socket).await.unwrap()["event"], "connect.challenge");
                sockets.push(socket);
            }
            told.send(()).unwrap();
            let _ = stay.await;
        })
    });
    idle.recv().unwrap();
    let open = bridge.inner().on(open_to_gateway);
    assert!((1..=5).contains(&open), "our own connection and four strangers' at the most: {open}");
    let outcome = call(&bridge.host, &Caller::plain(DOOR), &Device::new(), Ask::operator(SECRET));
    assert_eq!(outcome.hello().hello["server"]["version"], "2026.9.6");
    // What is not let in here has no place there any more.
    let outcome = call(&bridge.host, &Caller::plain(DOOR), &Device::new(), with_secret());
    assert!(matches!(outcome, Outcome::Refused(_)));
    drop(leave);
    strangers.join().unwrap();
    until("the strangers' places are free", || bridge.inner().on(open_to_gateway) == 1);
}

#[test]
fn a_node_is_told_why_it_cannot_pass_where_the_tokens_differ() {
    let bridge = Bridge::new(Shape::Loopback);
    let _gateway = bridge.gateway(Release::September);
    let mut doorward = bridge.stopped("[core]\ntoken_file = \"our-token\"\n");
    let ours = "an0therS3cretOfOurOwn0123456789";
    std::fs::write(doorward.folder().join("our-token"), ours).unwrap();
    let checked = doorward.words(&["check"]);
    assert!(checked.contains("no node can pass"), "{checked}");
    doorward.restart();
    until_logged(&doorward, UP);
    let node = Device::new();
    let ask = || Ask { token: Some(ours.to_owned()), ..with_secret() };
    call(&bridge.host, &Caller::plain(DOOR), &node, ask()).refused();
    let request = doorward.pending_of(&node.id())["requestId"].as_str().unwrap().to_owned();
    doorward.words(&["devices", "approve", &request]);
    let refusal = call(&bridge.host, &Caller::plain(DOOR), &node, ask()).refused();
    comes_again(&refusal);
    assert_eq!(refusal.error["details"]["reason"], "upstream-node-tokens", "{refusal:#?}");
    assert!(!devices_there(bridge.inner()).contains(&node.id()));
    // An operator is none of it: doorward's own token is not the one that goes up for him.
    call(&bridge.host, &Caller::plain(DOOR), &Device::new(), Ask::operator(ours)).hello();
}

/// It is never told that it is not paired.
fn comes_again(refusal: &Refusal) {
    let error = &refusal.error;
    assert_eq!((&error["code"], &error["retryable"]), (&json!("UNAVAILABLE"), &json!(true)), "{error:#}");
    assert!(error["retryAfterMs"].as_u64().unwrap() > 0 && refusal.code == 1013, "{refusal:#?}");
    assert!(!error.to_string().contains("pairing"), "{error:#}");
}

fn with_secret() -> Ask {
    Ask { role: "node", client: ("node-host", "node"), ..Ask::operator(SECRET).with_scopes(&[]) }
}

fn with_token(token: &str) -> Ask {
    Ask { token: None, device_token: Some(token.to_owned()), ..with_secret() }
}

fn device_token(session: &Session) -> String {
    session.hello["auth"]["deviceToken"].as_str().unwrap().to_owned()
}

/// What the gateway itself says of its devices.
fn devices_there(machine: &Namespace) -> String {
    let reach = ["--url", "ws://127.0.0.1:18789", "--token", SECRET];
    let listed: Value = OpenClaw::new(machine, Release::September).json(&[&["devices", "list"], &reach[..]].concat());
    listed.to_string()
}

/// Connections to the gateway that are open, as its machine has them.
fn open_to_gateway() -> usize {
    let table = read_to_string("/proc/thread-self/net/tcp").unwrap();
    let established = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (ours, _, state) = (fields.next(), fields.next(), fields.next());
        ours.is_some_and(|ours| ours.ends_with(&format!(":{:04X}", 18789))) && state == Some("01")
    };
    table.lines().filter(|line| established(line)).count()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < WAIT, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
