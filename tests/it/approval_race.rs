//! Promise: whenever an approval falls, a client that tries again is in, and one that waits in its session is told, each with
//! exactly what was approved; nothing is left waiting. 300 approvals of devices, and as many of upgrades, fall at uneven
//! times into four clients' attempts; `tests/bench/faults` takes 1,000.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, Outcome, Session, connect};
use crate::support::instance::{Instance, owners_and};
use crate::support::namespace::Namespace;

/// Clients, each from an address of its own.
const LANES: u8 = 4;
/// From the acknowledged approval on; the goal of a second is measured by `tests/bench/run`.
const IN_TIME: Duration = Duration::from_secs(10);

/// A listener for whom nobody is local, beside the owner's.
const ELSEWHERE: &str = r#"
[edge]
names = ["127.0.0.1"]

[[listener]]
name = "elsewhere"
bind = ["127.0.0.1:18790"]
protocol = "http"
serve = "all"
"#;

/// Approvals of new devices, and as many of upgrades.
fn rounds() -> usize {
    std::env::var("DOORWARD_APPROVAL_ROUNDS").map_or(300, |rounds| rounds.parse().unwrap())
}

#[test]
fn an_approval_reaches_whoever_waits_for_it_whenever_it_falls() {
    let machine = Namespace::new();
    let instance = Instance::start(&machine, &owners_and(ELSEWHERE));
    let token = instance.token();
    let (mut waits, early) = machine.block_on(move || async move {
        let lanes: Vec<_> = (0..LANES).map(|lane| tokio::spawn(lane_of(lane, token.clone()))).collect();
        let (mut waits, mut early) = (Vec::new(), 0);
        for lane in lanes {
            let (waited, refused) = lane.await.unwrap();
            waits.extend(waited);
            early += refused;
        }
        (waits, early)
    });
    // Else every approval fell before an attempt, and none into one.
    assert!(early > 0, "nobody tried before the approval");
    assert_eq!(instance.pending(), Vec::<Value>::new(), "something waits for what was approved");
    assert_eq!(instance.paired().len(), waits.len() + usize::from(LANES));
    waits.sort();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    eprintln!("{} approvals: in after {median:?} (median), {longest:?} (longest)", waits.len());
}

/// The rounds of one lane, each with a new device; how long each was out after its approval was acknowledged, and how
/// many attempts were refused before it.
async fn lane_of(lane: u8, token: String) -> (Vec<Duration>, usize) {
    let here = Caller::plain("127.0.0.1:18789");
    let mut approver = connect(&here, Some(&Device::new()), &Ask::operator(&token)).await.hello();
    let ask = Ask::operator(&token).with_scopes(&["operator.read"]);
    let elsewhere = Caller::plain("127.0.0.1:18790").from(IpAddr::V4(Ipv4Addr::new(127, 0, 1, lane)));
    let (mut waits, mut early) = (Vec::new(), 0);
    for round in (usize::from(lane)..rounds()).step_by(usize::from(LANES)) {
        let device = Device::new();
        let first = connect(&elsewhere, Some(&device), &ask).await.refused();
        let request = first.error["details"]["requestId"].as_str().unwrap().to_owned();
        let client = tokio::spawn(try_until_in(elsewhere.clone(), device, ask.clone()));
        approve(&mut approver, &request, round).await;
        let acknowledged = Instant::now();
        let (mut session, at, refused) = timeout(IN_TIME, client).await.expect("not let in in time").unwrap();
        early += refused;
        waits.push(at.saturating_duration_since(acknowledged));
        assert_eq!(session.hello["auth"]["scopes"], json!(["operator.read"]));
        upgrade(&mut session, &mut approver, round).await;
        session.close().await;
    }
    (waits, early)
}

/// Tries again at once, as an impatient client does; refused only for want of an approval.
async fn try_until_in(elsewhere: Caller, device: Device, ask: Ask) -> (Session, Instant, usize) {
    for refused in 0.. {
        match connect(&elsewhere, Some(&device), &ask).await {
            Outcome::Hello(session) => return (*session, Instant::now(), refused),
            Outcome::Refused(refusal) => assert_eq!(refusal.error["code"], "NOT_PAIRED", "{refusal:?}"),
            Outcome::NotUpgraded(status, why) => panic!("{status}: {why}"),
        }
    }
    unreachable!("it tries until it is in")
}

/// Approves at another moment in each round; everybody who may know is told of it.
async fn approve(approver: &mut Session, request: &str, round: usize) {
    let delay = u64::try_from(round * 7919 % 20_000).unwrap();
    tokio::time::sleep(Duration::from_micros(delay)).await;
    approver.call("device.pair.approve", json!({"requestId": request})).await.unwrap();
    let told = async {
        loop {
            let told = approver.event("device.pair.resolved").await;
            if told["requestId"] == request {
                return told["decision"].clone();
            }
        }
    };
    let decision = timeout(IN_TIME, told).await.expect("the approval was not announced in time");
    assert_eq!(decision, "approved");
}

/// Asks for more in its session and waits there, while it is approved.
async fn upgrade(session: &mut Session, approver: &mut Session, round: usize) {
    let wanted = json!(["operator.approvals", "operator.read"]);
    let asked = session.call("device.scopes.requestUpgrade", json!({"scopes": wanted})).await.unwrap();
    let request = asked["requestId"].as_str().unwrap().to_owned();
    let mut wait = pin!(session.call("device.scopes.waitUpgrade", json!({"requestId": request})));
    let mut approval = pin!(approve(approver, &request, round * 31));
    let told = tokio::select! {
        told = &mut wait => {
            approval.await;
            told
        }
        // Acknowledged: from here on it counts.
        () = &mut approval => timeout(IN_TIME, wait).await.expect("the upgrade was not told in time"),
    };
    let told = told.unwrap();
    assert_eq!((&told["status"], &told["scopes"]), (&json!("approved"), &wanted));
}
