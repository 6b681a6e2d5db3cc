//! Promise: what `tests/vectors/client_ip.json` says holds on real sockets as it does in-process. Each case comes from the
//! very address it names, over HTTP/1.1, HTTP/2 and the WebSocket upgrade, and what the core made of it is read back:
//! from `/doorward/whoami`, or from the pending request of a device. What cannot run so is in a table.

mod case;
mod cannot;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use serde_json::{Value, json};

use self::cannot::{CANNOT, DIFFERENT, Reason, listed};
use self::case::{Case, EDGE, PUBLIC, VECTORS, listeners};
use crate::support::caller::Caller;
use crate::support::caller::roots;
use crate::support::gateway_client::{Ask, Device, Outcome, Session, connect, handshake};
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::wire::{Line, Reply, Then, Wire};

/// How a case comes: within TLS, but for the plain ones.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Transport {
    Http1,
    Http2,
    PlainHttp1,
    PlainWebSocket,
    WebSocket,
}

/// Those over which every case comes that can.
const TRANSPORTS: [Transport; 3] = [Transport::Http1, Transport::Http2, Transport::WebSocket];
/// Those of the cases of local listeners: plain is how an owner calls.
const PLAIN: [Transport; 2] = [Transport::PlainHttp1, Transport::PlainWebSocket];

#[test]
fn over_http1_every_case_ends_as_it_says_and_as_in_process() {
    assert_eq!(run(Transport::Http1), 189);
}

#[test]
fn over_http2_every_case_ends_as_it_says_and_as_in_process() {
    assert_eq!(run(Transport::Http2), 185);
}

#[test]
fn over_the_websocket_upgrade_every_case_ends_as_it_says_and_as_in_process() {
    assert_eq!(run(Transport::WebSocket), 186);
}

#[test]
fn without_tls_every_case_of_a_local_listener_ends_as_it_says_and_as_in_process() {
    assert_eq!(PLAIN.map(run), [27; 2]);
}

#[test]
fn what_cannot_run_is_exactly_what_its_reason_says() {
    let cases = Case::all();
    assert_eq!(cases.len(), 197);
    for case in &cases {
        for transport in TRANSPORTS.into_iter().chain(PLAIN) {
            let reasons: Vec<_> = Reason::ALL.iter().filter(|reason| reason.holds(case, transport)).collect();
            let row = listed(&case.id, transport);
            assert_eq!(row.iter().collect::<Vec<_>>(), reasons, "{} over {transport:?}", case.id);
        }
    }
    let ids: BTreeSet<_> = CANNOT.iter().map(|(id, _)| *id).collect();
    assert!(ids.len() == CANNOT.len() && ids.iter().all(|id| cases.iter().any(|case| case.id == *id)));
}

#[test]
fn a_configuration_that_must_be_refused_is_refused_and_the_same_one_with_an_honest_range_is_not() {
    let machine = Namespace::new();
    let cases = Case::all();
    let refused: Vec<_> = cases.iter().filter(|case| case.is_configuration()).collect();
    assert_eq!(refused.len(), 7);
    for case in refused {
        let check = |case: &Case| {
            let instance = Instance::stopped(&machine, &format!("{EDGE}{}", case.section(0)));
            let output = instance.command(&["check"]);
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, words) = check(case);
        assert!(code == Some(2) && words.contains("trusted_proxies"), "{}: {code:?}\n{words}", case.id);
        let honest = Case { trusted_proxies: vec!["10.0.0.0/24".to_owned()], ..case.clone() };
        assert_eq!(check(&honest).0, Some(0), "{}", case.id);
    }
}

/// Runs every case that can; how many those are.
fn run(transport: Transport) -> usize {
    let cases = Case::all();
    let machine = Namespace::new();
    let peers: BTreeSet<IpAddr> = cases.iter().map(|case| case.peer.to_canonical()).collect();
    let owned = PUBLIC.map(|ip| ip.parse().unwrap()).into_iter().chain(peers);
    for ip in owned.filter(|ip: &IpAddr| !ip.is_unspecified() && !ip.is_loopback()) {
        machine.ip(&format!("address add {ip} dev lo"));
    }
    let doors = listeners(&cases);
    let sections: String = doors.iter().enumerate().map(|(number, door)| door.section(number)).collect();
    let doorward = Instance::start(&machine, &format!("{EDGE}{sections}"));

    let meant = |case: &Case| TRANSPORTS.contains(&transport) || case.listener.local_listener;
    let can = cases.into_iter().filter(|case| meant(case) && listed(&case.id, transport).is_none());
    let can: Vec<_> = can.collect();
    let house = House { doors, token: doorward.token(), roots: roots(&doorward.authority()) };
    let authority = doorward.authority();
    let calls = can.clone();
    let seen = machine.block_on(move || async move {
        let owner = Caller::trusting("127.0.0.1:18789", &authority);
        let ask = Ask::operator(&house.token);
        let mut owner = connect(&owner, Some(&Device::new()), &ask).await.hello();
        let mut seen = Vec::new();
        for case in &calls {
            seen.push(house.call(case, transport, &mut owner).await);
        }
        seen
    });

    let in_process = in_process();
    let wrong: Vec<_> =
        can.iter().zip(&seen).flat_map(|(case, seen)| judge(case, transport, seen, &in_process)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    can.len()
}

/// What a caller came to be.
struct Seen {
    /// In the words of the cases. A closed connection is a `reject` too: the policy leaves it the choice.
    kinds: &'static [&'static str],
    ip: Option<String>,
    local: bool,
    detail: String,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}, local {} ({})", self.kinds.join(" or "), self.ip, self.local, self.detail)
    }
}

impl Seen {
    fn origin(kind: &Value, ip: &Value, local: &Value) -> Self {
        let kinds: &[&str] = match kind.as_str() {
            Some("ip") => &["ip"],
            Some("unattributed") => &["unresolved"],
            other => panic!("{other:?}"),
        };
        let local = local.as_bool().unwrap();
        Self { kinds, ip: ip.as_str().map(str::to_owned), local, detail: String::new() }
    }

    fn refused(reply: Reply) -> Self {
        let (kinds, detail): (&[&str], _) = match reply {
            Reply::Answered { status, body } => {
                assert!((400..500).contains(&status), "{status} {body}");
                (&["reject"], format!("{status} {body}"))
            }
            Reply::Ended(how) => (&["reject", "reject_connection"], how),
            Reply::Plain => (&["reject"], "in plain text".to_owned()),
        };
        Self { kinds, ip: None, local: false, detail }
    }

    /// What an expectation names must be so.
    fn agrees(&self, expected: &Value) -> bool {
        let kind = self.kinds.iter().any(|kind| expected["kind"] == *kind);
        let ip = expected.get("ip").is_none_or(|ip| ip.as_str() == self.ip.as_deref());
        kind && ip && expected.get("local").is_none_or(|local| *local == self.local)
    }
}

/// Everything that is wrong with what was seen of a case.
fn judge(case: &Case, transport: Transport, seen: &Seen, in_process: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut accepted = [&case.expect].into_iter().chain(&case.also_ok);
    if !accepted.any(|expected| seen.agrees(expected)) {
        wrong.push(format!("{}: {seen}, expected {}", case.id, case.expect));
    }
    let never = seen.ip.as_ref().is_some_and(|ip| case.never_ip.contains(ip));
    if never || (seen.local && case.expect["local"] != true) {
        wrong.push(format!("{}: {seen}, which must never be", case.id));
    }
    let answer = in_process.iter().find(|answer| answer["id"] == case.id.as_str()).unwrap();
    let same = seen.agrees(answer);
    let different = DIFFERENT.iter().find(|(id, transports, _)| *id == case.id && transports.contains(&transport));
    match different.map(|(.., why)| why) {
        None if !same => wrong.push(format!("{}: {seen}, in-process {answer}", case.id)),
        Some(why) if same => wrong.push(format!("{}: {seen} as in-process, in spite of: {why}", case.id)),
        _ => {}
    }
    wrong
}

/// What `explain --batch` says of every case.
fn in_process() -> Vec<Value> {
    let mut out = Vec::new();
    doorward::explain::batch::run(VECTORS, &mut out).unwrap();
    String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The doors of the instance, and what its callers know.
struct House {
    doors: Vec<Case>,
    token: String,
    roots: Arc<RootCertStore>,
}

impl House {
    async fn call(&self, case: &Case, transport: Transport, owner: &mut Session) -> Seen {
        let to = case.target(&self.doors);
        let roots = TRANSPORTS.contains(&transport).then(|| Arc::clone(&self.roots));
        let wire = Wire { from: case.peer, to, first: case.first(), name: case.name(), roots };
        if let Some(then) = unfinished(case) {
            return Seen::refused(wire.first_only(then).await);
        }
        let lines = case.lines(to);
        let reply = match transport {
            Transport::Http1 | Transport::PlainHttp1 => {
                let version = if case.is_without_host() { "1.0" } else { "1.1" };
                wire.http1(&format!("GET /doorward/whoami HTTP/{version}"), &lines).await
            }
            Transport::Http2 => wire.http2(&fields(&lines)).await,
            Transport::WebSocket | Transport::PlainWebSocket => {
                return self.connect(&wire, &upgrade(&lines), owner).await;
            }
        };
        match reply {
            Reply::Answered { status: 200, body } => {
                let origin: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(origin["verified"], true, "{origin}");
                Seen::origin(&origin["kind"], &origin["client_ip"], &origin["local"])
            }
            refused => Seen::refused(refused),
        }
    }

    /// A new device connects: whoever is not local waits, and the pending request holds what the core saw. One that is
    /// local is admitted at once; then a second device asks to be a node, which waits in any case.
    async fn connect(&self, wire: &Wire, lines: &[Line], owner: &mut Session) -> Seen {
        let operator = Ask::operator(&self.token);
        let (device, outcome) = match self.ask(wire, lines, &operator).await {
            Ok(answer) => answer,
            Err(reply) => return Seen::refused(reply),
        };
        let Outcome::Hello(session) = outcome else {
            let seen = pending(&device, outcome, owner).await;
            assert!(!seen.local, "a local one waits: {wire:?}");
            return seen;
        };
        session.close().await;
        let listing = owner.call("device.pair.list", json!({})).await.unwrap();
        let paired = find(&listing["paired"], &device);
        assert_eq!(paired["approvedVia"], "silent", "{paired}");
        let node = Ask { client: ("node-host", "node"), role: "node", scopes: Vec::new(), ..operator };
        let (device, outcome) = self.ask(wire, lines, &node).await.unwrap();
        let seen = pending(&device, outcome, owner).await;
        assert!(seen.local, "{wire:?} was admitted: {seen}");
        seen
    }

    async fn ask(&self, wire: &Wire, lines: &[Line], ask: &Ask) -> Result<(Device, Outcome), Reply> {
        let device = Device::new();
        let socket = wire.websocket(lines).await?;
        let outcome = handshake(socket, Some(&device), ask).await;
        Ok((device, outcome))
    }
}

/// Reads a pending request as its approver does, and clears it away.
async fn pending(device: &Device, outcome: Outcome, owner: &mut Session) -> Seen {
    let refusal = outcome.refused();
    assert!(refusal.reason.starts_with("pairing required"), "{refusal:?}");
    let listing = owner.call("device.pair.list", json!({})).await.unwrap();
    let request = find(&listing["pending"], device);
    assert_eq!(request["requestId"], refusal.error["details"]["requestId"], "{request}");
    owner.call("device.pair.reject", json!({"requestId": request["requestId"]})).await.unwrap();
    let origin = &request["origin"];
    Seen::origin(&origin["kind"], &origin["ip"], &origin["local"])
}

fn find<'a>(list: &'a Value, device: &Device) -> &'a Value {
    let mut found = list.as_array().unwrap().iter().filter(|entry| entry["deviceId"] == device.id().as_str());
    found.next().unwrap_or_else(|| panic!("{} is not in {list}", device.id()))
}

/// How a case ends whose bytes break off before any request; none for all others.
fn unfinished(case: &Case) -> Option<Then> {
    let first = case.first();
    Reason::Unfinished.holds(case, Transport::Http2).then_some(if first.is_empty() { Then::Silence } else { Then::Fin })
}

/// The lines as fields of HTTP/2: names in lower case (RFC 9113 §8.2.1), the first Host as `:authority`.
fn fields(lines: &[Line]) -> Vec<Line> {
    let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let mut fields = vec![line(":method", "GET"), line(":scheme", "https"), line(":path", "/doorward/whoami")];
    let mut rest: Vec<_> = lines.iter().map(|(name, value)| line(&name.to_lowercase(), value.trim())).collect();
    if let Some(host) = rest.iter().position(|(name, _)| name == "host") {
        fields.push(line(":authority", &rest.remove(host).1));
    }
    fields.extend(rest);
    fields
}

/// The lines of an opening handshake with these among them (RFC 6455 §4.1).
fn upgrade(lines: &[Line]) -> Vec<Line> {
    let line = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let opening = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    opening.map(line).into_iter().chain(lines.iter().cloned()).collect()
}
