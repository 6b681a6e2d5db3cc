//! Who is paired at once, who waits, and who can never pass for local: on machines joined by real links.

use serde_json::Value;

use crate::support::caller::Caller;
use crate::support::gateway_client::{ALL_SCOPES, Ask, Device, Outcome, call};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::namespace::Namespace;

#[test]
fn owner_on_the_host_is_paired_at_once() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let authority = doorward.authority();
    for caller in [
        Caller::plain("127.0.0.1:18789"),
        Caller::plain("[::1]:18789"),
        Caller::trusting("127.0.0.1:18789", &authority),
        Caller::trusting("[::1]:18789", &authority),
    ] {
        let device = Device::new();
        let outcome = call(&home.host, &caller, &device, Ask::operator(&doorward.token()));
        assert_eq!(granted(outcome), sorted(&ALL_SCOPES), "{caller:?}");
        let paired = doorward.paired();
        let ours = paired.iter().find(|paired| paired["deviceId"] == device.id().as_str()).unwrap();
        assert_eq!(ours["approvedVia"], "silent", "{ours:#}");
    }
    assert!(doorward.pending().is_empty());
}

#[test]
fn owner_on_the_host_without_the_secret_gets_nothing() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let caller = Caller::plain("127.0.0.1:18789");
    let refusal = call(&home.host, &caller, &Device::new(), Ask::operator("not the secret")).refused();
    assert_eq!(refusal.code, 1008, "{refusal:?}");
    assert!(refusal.reason.starts_with("unauthorized"), "{refusal:?}");
    assert!(doorward.pending().is_empty() && doorward.paired().is_empty());
}

#[test]
fn lan_machine_waits_for_approval_and_gets_exactly_that() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    for (target, own_address) in [("10.77.0.1:8443", "10.77.0.2"), ("[fd77::1]:8443", "fd77::2")] {
        let caller = Caller::trusting(target, &doorward.authority());
        let device = Device::new();
        let scopes = ["operator.read", "operator.write"];
        let ask = Ask::operator(&doorward.token()).with_scopes(&scopes);

        let refusal = call(&home.lan, &caller, &device, ask.clone()).refused();
        assert_eq!(refusal.code, 1008, "{refusal:?}");
        assert!(refusal.reason.starts_with("pairing required"), "{refusal:?}");
        assert_eq!(refusal.error["code"], "NOT_PAIRED", "{refusal:?}");

        let request = doorward.pending_of(&device.id());
        assert_eq!(request["remoteIp"], own_address, "{request:#}");
        assert_eq!(request["origin"]["ip"], own_address, "{request:#}");
        assert_eq!(request["origin"]["class"], "private", "{request:#}");
        assert_eq!(request["origin"]["local"], false, "{request:#}");
        assert_eq!(request["requestId"], refusal.error["details"]["requestId"], "{request:#}");

        let id = request["requestId"].as_str().unwrap();
        let command = format!("doorward devices approve {id}");
        assert!(refusal.error["details"]["remediationHint"].as_str().unwrap().contains(&command), "{refusal:?}");
        let digest = request["digest"].as_str().unwrap();
        let command =
            format!("{command} --digest {digest} --config {}", doorward.folder().join("doorward.toml").display());
        assert!(doorward.log().contains(&command), "the log does not name the command:\n{}", doorward.log());
        doorward.words(&["devices", "approve", id]);

        assert_eq!(granted(call(&home.lan, &caller, &device, ask)), sorted(&scopes));
        // Asking for more waits again, and the grant stays what it was.
        let more = call(&home.lan, &caller, &device, Ask::operator(&doorward.token())).refused();
        assert!(more.reason.starts_with("pairing required"), "{more:?}");
    }
}

#[test]
fn a_rejected_request_lets_nobody_in() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let device = Device::new();
    let ask = Ask::operator(&doorward.token());
    call(&home.lan, &caller, &device, ask.clone()).refused();
    let request = doorward.pending_of(&device.id());
    doorward.words(&["devices", "reject", request["requestId"].as_str().unwrap()]);
    assert!(doorward.pending().is_empty());
    call(&home.lan, &caller, &device, ask).refused();
    assert!(doorward.paired().is_empty());
}

#[test]
fn strange_host_or_web_origin_is_refused_before_the_101() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let lan = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let loopback = Caller::plain("127.0.0.1:18789");
    for (machine, caller, name, value, status) in [
        (&home.lan, &lan, "Origin", "https://evil.example", 403),
        (&home.lan, &lan, "Origin", "null", 403),
        (&home.lan, &lan, "Host", "evil.example", 421),
        (&home.lan, &lan, "Host", "127.0.0.1:8443", 421),
        (&home.host, &loopback, "Origin", "http://evil.example", 403),
        (&home.host, &loopback, "Origin", "http://127.0.0.1:9", 403),
        (&home.host, &loopback, "Host", "rebound.evil.example:18789", 421),
    ] {
        let ask = Ask::operator(&doorward.token()).with_header(name, value);
        assert_eq!(call(machine, caller, &Device::new(), ask).status(), status, "{name}: {value}");
    }
    assert!(doorward.pending().is_empty() && doorward.paired().is_empty());
}

/// The household with a container on its host behind Docker's NAT: a bridge 172.18.0.1 that hides every caller, IPv4
/// and IPv6.
struct Docker {
    host: Namespace,
    container: Namespace,
    lan: Namespace,
}

impl Docker {
    fn new() -> Self {
        let (Household { host, lan }, container) = (Household::new(), Namespace::new());
        host.ip("link add br0 type bridge");
        host.address("br0", "172.18.0.1/24");
        host.address("br0", "fd18::1/64");
        host.cable("port0", &container, "eth0");
        host.ip("link set port0 master br0 up");
        for (address, gateway) in [("172.18.0.2/24", "172.18.0.1"), ("fd18::2/64", "fd18::1")] {
            container.address("eth0", address);
            container.ip(&format!("route add default via {gateway}"));
        }
        host.sysctl("net.ipv4.ip_forward=1");
        host.sysctl("net.ipv6.conf.all.forwarding=1");
        host.sysctl("net.ipv4.conf.all.route_localnet=1");
        for (tool, container) in [("iptables", "172.18.0.2"), ("ip6tables", "[fd18::2]")] {
            for chain in ["PREROUTING", "OUTPUT"] {
                host.filter(tool, &format!("-t nat -A {chain} -p tcp --dport 18789 -j DNAT --to {container}:18789"));
            }
            host.filter(tool, "-t nat -A POSTROUTING -o br0 -j MASQUERADE");
        }
        Self { host, container, lan }
    }
}

const CONTAINER: &str = r#"
[edge]
names = ["10.77.0.1", "fd77::1", "127.0.0.1", "localhost"]

[[listener]]
name = "published"
bind = ["0.0.0.0:18789", "[::]:18789"]
protocol = "https"
"#;

#[test]
fn nobody_behind_the_nat_bridge_is_local_whatever_they_say() {
    let docker = Docker::new();
    let doorward = Instance::start(&docker.container, CONTAINER);
    let authority = doorward.authority();
    let claims: &[&[(&str, &str)]] = &[
        &[],
        &[("Host", "127.0.0.1:18789")],
        &[("Host", "localhost:18789"), ("Origin", "https://localhost:18789")],
        &[("Origin", "https://127.0.0.1:18789")],
        &[("X-Forwarded-For", "127.0.0.1")],
        &[("X-Forwarded-For", "::1"), ("X-Real-IP", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")],
        &[("X-Doorward-Assertion", "e30.e30.e30"), ("X-Forwarded-For", "172.18.0.1")],
    ];
    let callers = [
        (&docker.lan, "10.77.0.1:18789", "172.18.0.1"),
        (&docker.lan, "[fd77::1]:18789", "fd18::1"),
        (&docker.host, "10.77.0.1:18789", "172.18.0.1"),
        (&docker.host, "127.0.0.1:18789", "172.18.0.1"),
    ];
    for (machine, target, bridge) in callers {
        let caller = Caller::trusting(target, &authority);
        let answer = machine.on({
            let caller = caller.clone();
            move || caller.whoami(&[("X-Forwarded-For", "127.0.0.1")])
        });
        assert_eq!((&answer["class"], &answer["local"]), (&"nat".into(), &false.into()), "{target}: {answer:#}");
        assert_eq!(answer["client_ip"], bridge, "{target}: {answer:#}");
        for headers in claims {
            let device = Device::new();
            let mut ask = Ask::operator(&doorward.token());
            for (name, value) in *headers {
                ask = ask.with_header(name, value);
            }
            judge_stranger(&doorward, call(machine, &caller, &device, ask), &device, headers);
        }
    }
    assert!(doorward.paired().is_empty());
}

/// A stranger's lies end before the 101 or in a pending request of class `nat` that is then cleared away.
fn judge_stranger(doorward: &Instance<'_>, outcome: Outcome, device: &Device, headers: &[(&str, &str)]) {
    match outcome {
        Outcome::Hello(session) => panic!("{headers:?} let a stranger in: {session:?}"),
        Outcome::NotUpgraded(status, body) => {
            assert!([400, 403, 421].contains(&status), "{headers:?}: {status} {body}");
            assert!(!headers.is_empty(), "an honest stranger may ask: {status} {body}");
        }
        Outcome::Refused(refusal) => {
            assert!(refusal.reason.starts_with("pairing required"), "{headers:?}: {refusal:?}");
            let request = doorward.pending_of(&device.id());
            assert_eq!(request["origin"]["class"], "nat", "{headers:?}: {request:#}");
            assert_eq!(request["origin"]["local"], false, "{headers:?}: {request:#}");
            doorward.words(&["devices", "reject", request["requestId"].as_str().unwrap()]);
        }
    }
}

/// The scopes of `hello-ok`, sorted.
fn granted(outcome: Outcome) -> Vec<String> {
    let hello = outcome.hello().hello;
    let scopes = hello["auth"]["scopes"].as_array().unwrap();
    sorted(&scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>())
}

fn sorted(scopes: &[&str]) -> Vec<String> {
    let mut scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    scopes.sort();
    scopes
}
