//! What was acknowledged is there after kill -9: approvals and removals alike, over fifty deaths.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call, connect};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};

const ROUNDS: u64 = 50;
/// Fewer than one address may have pending at once.
const WAITING: usize = 6;

#[test]
fn every_acknowledged_change_survives_kill_nine() {
    let home = Household::new();
    let mut doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let mut paired = BTreeSet::new();
    let mut cut_short = 0;
    for round in 0..ROUNDS {
        let work = prepare(&home, &doorward, &token, &paired);
        let offered = work.approvals.len() + work.removals.len();
        // From before the first answer to after the last one, in uneven steps.
        let delay = Duration::from_micros(500 + (round * 7919) % 30_000);
        let told = change_until_killed(&home, &mut doorward, &token, work, delay);
        cut_short += usize::from(told.approved.len() + told.removed.len() < offered);
        doorward.restart();

        let there: BTreeSet<String> =
            doorward.paired().iter().map(|device| device["deviceId"].as_str().unwrap().to_owned()).collect();
        for device in &told.approved {
            assert!(there.contains(device), "round {round}: {device} was approved, and is gone");
        }
        for device in &told.removed {
            assert!(!there.contains(device), "round {round}: {device} was removed, and is back");
        }
        for device in paired.iter().filter(|device| !told.attempted_removals.contains(*device)) {
            assert!(there.contains(device), "round {round}: {device} was paired before, and is gone");
        }
        paired = there;
    }
    assert!(cut_short > 5, "only {cut_short} of {ROUNDS} deaths came in the middle of the work");
}

struct Work {
    approver: Device,
    approvals: Vec<(String, String)>,
    removals: Vec<String>,
}

#[derive(Default)]
struct Told {
    approved: Vec<String>,
    removed: Vec<String>,
    attempted_removals: BTreeSet<String>,
}

/// Fills up what waits, and picks some paired devices to remove.
fn prepare(home: &Household, doorward: &Instance<'_>, token: &str, paired: &BTreeSet<String>) -> Work {
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    for _ in doorward.pending().len()..WAITING {
        call(&home.lan, &caller, &Device::new(), Ask::operator(token)).refused();
    }
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let approvals =
        doorward.pending().iter().map(|request| (text(&request["requestId"]), text(&request["deviceId"]))).collect();
    Work { approver: Device::new(), approvals, removals: paired.iter().take(2).cloned().collect() }
}

/// Approves and removes one after the other while the server is killed under it; what was acknowledged.
fn change_until_killed(
    home: &Household,
    doorward: &mut Instance<'_>,
    token: &str,
    work: Work,
    delay: Duration,
) -> Told {
    let (ready, go) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let host = &home.host;
        let worker = scope.spawn(move || {
            let ask = Ask::operator(token);
            host.block_on(move || async move {
                let caller = Caller::plain("127.0.0.1:18789");
                let mut session = connect(&caller, Some(&work.approver), &ask).await.hello();
                ready.send(()).unwrap();
                let mut told = Told::default();
                let mut removals = work.removals.into_iter();
                for (request, device) in work.approvals {
                    match session.attempt("device.pair.approve", json!({"requestId": request})).await {
                        Ok(answer) => drop(answer.expect("an approval was refused")),
                        Err(_) => return told,
                    }
                    told.approved.push(device);
                    let Some(device) = removals.next() else { continue };
                    told.attempted_removals.insert(device.clone());
                    match session.attempt("device.pair.remove", json!({"deviceId": device})).await {
                        Ok(answer) => drop(answer.expect("a removal was refused")),
                        Err(_) => return told,
                    }
                    told.removed.push(device);
                }
                told
            })
        });
        go.recv().expect("the approver was not let in");
        std::thread::sleep(delay);
        doorward.kill_nine();
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
