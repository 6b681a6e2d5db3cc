//! What was acknowledged is there after kill -9: approvals, revocations and removals of two clients at once, over 200
//! deaths; `tests/bench/faults` takes 1,000.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, Session, call, connect};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};

/// Deaths.
fn rounds() -> u64 {
    std::env::var("DOORWARD_KILL_ROUNDS").map_or(200, |rounds| rounds.parse().unwrap())
}

/// Fewer than one address may have pending at once.
const WAITING: usize = 6;

/// Devices that are listed before all are removed.
const LISTED: usize = 30;
/// The log is looked through this often.
const VERIFIED_EVERY: u64 = 20;

#[test]
fn every_acknowledged_change_survives_kill_nine() {
    let home = Household::new();
    let mut doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let mut before = Paired::default();
    let mut cut_short = 0;
    for round in 0..rounds() {
        let work = prepare(&home, &doorward, &token, &before);
        let offered: usize = work.iter().map(|work| work.approvals.len() + work.endings.len()).sum();
        // From before the first answer to after the last one, in uneven steps.
        let delay = Duration::from_micros(500 + (round * 7919) % 30_000);
        let told = change_until_killed(&home, &mut doorward, &token, work, delay);
        cut_short += usize::from(told.approved.len() + told.removed.len() + told.revoked.len() < offered);
        doorward.restart();

        let after = paired(&doorward);
        for device in &told.approved {
            assert!(after.living.contains(device), "round {round}: {device} was approved, and is gone");
        }
        for device in &told.removed {
            assert!(!after.all.contains(device), "round {round}: {device} was removed, and is back");
        }
        for device in &told.revoked {
            assert!(!after.living.contains(device), "round {round}: {device} was revoked, and is back");
        }
        for device in before.living.iter().filter(|device| !told.attempted_endings.contains(*device)) {
            assert!(after.living.contains(device), "round {round}: {device} was paired before, and is gone");
        }
        for device in before.all.iter().filter(|device| !before.living.contains(*device)) {
            assert!(!after.living.contains(device), "round {round}: {device} was revoked long ago, and is back");
        }
        if round % VERIFIED_EVERY == 0 {
            assert_eq!(doorward.json(&["audit", "--verify"])["whole"], true, "round {round}");
        }
        before = if after.all.len() > LISTED { clear(&doorward) } else { after };
    }
    assert!(cut_short > 5, "only {cut_short} of {} deaths came in the middle of the work", rounds());
}

/// Removes all that are paired, so that the last rounds are no slower than the first.
fn clear(doorward: &Instance<'_>) -> Paired {
    doorward.words(&["devices", "clear", "--yes"]);
    let after = paired(doorward);
    assert!(after.all.is_empty(), "{} devices are there after all were removed", after.all.len());
    after
}

/// What is listed as paired, and what of it may enter.
#[derive(Default)]
struct Paired {
    all: BTreeSet<String>,
    living: BTreeSet<String>,
}

fn paired(doorward: &Instance<'_>) -> Paired {
    let mut paired = Paired::default();
    for device in doorward.paired() {
        let id = device["deviceId"].as_str().unwrap().to_owned();
        if device["roles"].as_array().is_some_and(|roles| !roles.is_empty()) {
            paired.living.insert(id.clone());
        }
        paired.all.insert(id);
    }
    paired
}

/// What one of the two clients does.
struct Work {
    approver: Device,
    approvals: Vec<(String, String)>,
    endings: Vec<(Ending, String)>,
}

#[derive(Clone, Copy)]
enum Ending {
    Removal,
    Revocation,
}

#[derive(Default)]
struct Told {
    approved: Vec<String>,
    removed: Vec<String>,
    revoked: Vec<String>,
    attempted_endings: BTreeSet<String>,
}

/// Fills up what waits, picks some paired devices to end, and gives each client a half.
fn prepare(home: &Household, doorward: &Instance<'_>, token: &str, before: &Paired) -> [Work; 2] {
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    for _ in doorward.pending().len()..WAITING {
        call(&home.lan, &caller, &Device::new(), Ask::operator(token)).refused();
    }
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut approvals: Vec<_> =
        doorward.pending().iter().map(|request| (text(&request["requestId"]), text(&request["deviceId"]))).collect();
    let kinds = [Ending::Removal, Ending::Revocation, Ending::Revocation, Ending::Removal];
    let mut endings: Vec<_> = kinds.into_iter().zip(before.living.iter().cloned()).collect();
    let (other_approvals, other_endings) =
        (approvals.split_off(approvals.len() / 2), endings.split_off(endings.len() / 2));
    let of = |approvals, endings| Work { approver: Device::new(), approvals, endings };
    [of(approvals, endings), of(other_approvals, other_endings)]
}

/// Both clients approve and end one after the other while the server is killed under them; what was acknowledged.
fn change_until_killed(
    home: &Household,
    doorward: &mut Instance<'_>,
    token: &str,
    work: [Work; 2],
    delay: Duration,
) -> Told {
    let (ready, go) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let workers = work.map(|work| {
            let (host, ready) = (&home.host, ready.clone());
            scope.spawn(move || {
                let ask = Ask::operator(token);
                host.block_on(move || async move {
                    let caller = Caller::plain("127.0.0.1:18789");
                    let mut session = connect(&caller, Some(&work.approver), &ask).await.hello();
                    ready.send(()).unwrap();
                    let mut told = Told::default();
                    let _cut = change(&mut session, work, &mut told).await;
                    told
                })
            })
        });
        for _ in 0..workers.len() {
            go.recv().expect("a client was not let in");
        }
        std::thread::sleep(delay);
        doorward.kill_nine();
        let mut all = Told::default();
        for worker in workers {
            let told = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.approved.extend(told.approved);
            all.removed.extend(told.removed);
            all.revoked.extend(told.revoked);
            all.attempted_endings.extend(told.attempted_endings);
        }
        all
    })
}

/// Does the work until there is no server any more; `told` says what was acknowledged.
async fn change(session: &mut Session, work: Work, told: &mut Told) -> Result<(), (u16, String)> {
    let mut endings = work.endings.into_iter();
    for (request, device) in work.approvals {
        let answer = session.attempt("device.pair.approve", json!({"requestId": request})).await?;
        drop(answer.expect("an approval was refused"));
        told.approved.push(device);
        let Some((ending, device)) = endings.next() else { continue };
        told.attempted_endings.insert(device.clone());
        let (method, params, acknowledged) = match ending {
            Ending::Removal => ("device.pair.remove", json!({"deviceId": device}), &mut told.removed),
            Ending::Revocation => {
                ("device.token.revoke", json!({"deviceId": device, "role": "operator"}), &mut told.revoked)
            }
        };
        let answer = session.attempt(method, params).await?;
        drop(answer.expect("a removal or revocation was refused"));
        acknowledged.push(device);
    }
    Ok(())
}
