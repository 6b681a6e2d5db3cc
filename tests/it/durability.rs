//! Promise: a full disk, a failing one, a power cut, or no descriptor left, loses nothing and lets nobody in: what could not
//! be written is told as failed, paired devices go on, and all is well again as soon as the disk is.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::core_rig::with_device_token;
use crate::support::disk::{Disk, Loss, OnDisk, shut_down};
use crate::support::gateway_client::{Ask, Device, Outcome, connect};
use crate::support::instance::{Instance, OWNERS};
use crate::support::many::store_with;
use crate::support::namespace::Namespace;
use crate::support::program::{installed, run};

/// Attempts while the disk is unwell, each by another device.
const ATTEMPTS: usize = 20;
/// Devices among thousands that are asked for when nothing can be read.
const KNOWN: usize = 20;
/// Power cuts, each on what the one before left.
const CUTS: u64 = 12;

#[test]
fn a_full_disk_loses_nothing_and_is_got_over_without_a_restart() {
    let host = Namespace::new();
    let doorward = OnDisk::start(&host, Disk::Small);
    let (first, token) = (Device::new(), doorward.token());
    let own = paired(&doorward, &first, &token);
    let before = doorward.json(&["devices", "list"])["paired"].clone();
    fill(&doorward.disk());
    let failed = attempt(&doorward, &token);
    assert!(failed > 0, "the disk was not full: nothing failed");
    assert!(doorward.log().contains("nothing was changed"), "nobody was told:\n{}", doorward.log());
    for known in before.as_array().unwrap() {
        let there = doorward.json(&["devices", "list"]);
        let stays = |device: &Value| device["deviceId"] == known["deviceId"] && device["tokens"] == known["tokens"];
        assert!(there["paired"].as_array().unwrap().iter().any(stays), "{known} is not what it was");
    }
    doorward.connect(&first, own.clone()).hello();
    fs::remove_file(doorward.disk().join("filler")).unwrap();
    let device = Device::new();
    doorward.connect(&device, Ask::operator(&token)).hello();
    assert!(doorward.is_paired(&device), "it did not recover");
    assert_whole(&doorward);
}

#[test]
fn a_disk_that_has_become_read_only_keeps_paired_devices_in_and_everybody_else_out() {
    let host = Namespace::new();
    let mut doorward = OnDisk::start(&host, Disk::Ext4);
    let (first, token) = (Device::new(), doorward.token());
    let own = paired(&doorward, &first, &token);
    doorward.make_read_only();
    assert_eq!(attempt(&doorward, &token), ATTEMPTS, "something was written to a disk that takes nothing");
    doorward.connect(&first, own.clone()).hello();
    // It says so, and for each act that failed once: it does not try again by itself.
    let told = doorward.log().matches("desk: nothing was changed").count();
    assert!((1..=ATTEMPTS + 5).contains(&told), "told {told} times:\n{}", doorward.log());
    doorward.kill();
    doorward.restart();
    doorward.connect(&first, own).hello();
    paired(&doorward, &Device::new(), &token);
    assert_whole(&doorward);
}

#[test]
fn a_store_that_cannot_be_read_is_never_taken_for_an_empty_one() {
    let host = Namespace::new();
    let known: Vec<Device> = (0..KNOWN).map(|_| Device::new()).collect();
    let mut doorward = OnDisk::start_with(&host, Disk::Ext4, |state| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(store_with(state, &known));
    });
    let (first, token) = (Device::new(), doorward.token());
    let own = paired(&doorward, &first, &token);
    let by_token = |device: &Device| with_device_token(&device.id());
    doorward.connect(&known[0], by_token(&known[0])).hello();
    doorward.fail_disk();
    // What is in memory may still be known. It is let in or told that we failed, and never that it is nobody.
    let mut unread = 0;
    for device in &known {
        match doorward.connect(device, by_token(device)) {
            Outcome::Hello(_) => {}
            other => {
                let refusal = other.refused();
                assert_eq!(refusal.error["code"], "UNAVAILABLE", "{refusal:?}");
                unread += 1;
            }
        }
    }
    assert!(unread > 0, "all of them were in memory: no read failed");
    for _ in 0..3 {
        match doorward.connect(&first, own.clone()) {
            Outcome::Hello(_) => {}
            other => assert_eq!(other.refused().error["code"], "UNAVAILABLE"),
        }
        let stranger = doorward.connect(&Device::new(), Ask::operator(&token)).refused();
        assert_eq!(stranger.error["code"], "UNAVAILABLE", "{stranger:?}");
    }
    doorward.kill();

    // Nor at the start.
    let said = doorward.log().len();
    let ended =
        doorward.start_after(&format!("perl -e \"{}\" &&", shut_down("state", Loss::Nothing).replace('$', "\\$")));
    assert!(!ended.success(), "it started on a disk that cannot be read");
    let told = doorward.log().split_off(said);
    assert!(told.contains("Input/output error"), "{told}");
    doorward.restart();
    doorward.connect(&first, own).hello();
    for device in &known {
        doorward.connect(device, by_token(device)).hello();
    }
    assert_whole(&doorward);
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let host = Namespace::new();
    let mut doorward = OnDisk::start(&host, Disk::Ext4);
    let token = doorward.token();
    let mut told = Told::default();
    for cut in 0..CUTS {
        let powered = Arc::new(AtomicBool::new(true));
        let work = host.spawn({
            let (token, powered) = (token.clone(), Arc::clone(&powered));
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(pair_and_remove(&token, &powered))
            }
        });
        // After enough was done, at an uneven moment of the next change.
        let start = doorward.log().matches("device removed").count();
        crate::support::wait::wait_until(|| {
            work.is_finished() || doorward.log().matches("device removed").count() > start + 2
        });
        std::thread::sleep(std::time::Duration::from_micros(cut * 7919 % 20_000));
        powered.store(false, Ordering::SeqCst);
        doorward.cut_power();
        let done = work.join().unwrap();
        assert!(!done.removed.is_empty(), "nothing was removed before the cut");
        told.paired.extend(done.paired);
        told.removed.extend(done.removed);
        doorward.restart();
        let listed = doorward.json(&["devices", "list"])["paired"].clone();
        let is_there = |device: &String| listed.as_array().unwrap().iter().any(|paired| paired["deviceId"] == **device);
        for device in &told.paired {
            assert!(is_there(device), "cut {cut}: {device} was let in, and is gone");
        }
        for device in &told.removed {
            assert!(!is_there(device), "cut {cut}: {device} was removed, and is back");
        }
        assert_whole(&doorward);
    }
}

#[test]
fn without_descriptors_a_removal_fails_whole_and_succeeds_as_soon_as_there_are_some() {
    let host = Namespace::new();
    let doorward = OnDisk::start(&host, Disk::Small);
    let token = doorward.token();
    let (owner, other) = (Device::new(), Device::new());
    doorward.connect(&other, Ask::operator(&token)).hello();
    let caller = Caller::plain("127.0.0.1:18789");
    let (id, pid) = (other.id(), doorward.id());
    let told = host.block_on(move || async move {
        let ask = Ask::operator(&token);
        let mut session = connect(&caller, Some(&owner), &ask).await.hello();
        let limit = |limit: &str| {
            let mut command = Command::new(installed("prlimit", "util-linux"));
            run(command.arg(format!("--pid={pid}")).arg(format!("--nofile={limit}:")));
        };
        limit("3");
        let remove = || json!({"deviceId": id});
        let first = session.call("device.pair.remove", remove()).await;
        limit("1000");
        let list = session.call("device.pair.list", json!({})).await.unwrap();
        let is_there = list["paired"].as_array().unwrap().iter().any(|device| device["deviceId"] == *id);
        (first.is_err(), is_there, session.call("device.pair.remove", remove()).await.is_ok())
    });
    assert_eq!(told, (true, true, true), "refused, still paired, then removed");
    assert!(!doorward.is_paired(&other));
}

#[test]
fn a_start_without_descriptors_ends_or_succeeds_and_forgets_nobody() {
    let host = Namespace::new();
    let mut doorward = Instance::start(&host, OWNERS);
    let (token, caller) = (doorward.token(), Caller::plain("127.0.0.1:18789"));
    let device = Device::new();
    crate::support::gateway_client::call(&host, &caller, &device, Ask::operator(&token)).hello();
    let before = doorward.paired();
    doorward.stop();
    let prlimit = installed("prlimit", "util-linux");
    let mut ended = 0;
    for allowed in [4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40] {
        let mut command = host.command(&prlimit);
        command.arg(format!("--nofile={allowed}:{allowed}")).arg(env!("CARGO_BIN_EXE_doorward")).arg("run");
        command.arg("--config").arg(doorward.folder().join("doorward.toml")).current_dir(doorward.folder());
        ended += usize::from(ended_by_itself(command, &doorward));
    }
    assert!(ended > 3, "only {ended} starts were short of anything");
    doorward.restart();
    let listed: Vec<_> = doorward.paired().iter().map(|device| device["tokens"].clone()).collect();
    assert_eq!(listed, before.iter().map(|device| device["tokens"].clone()).collect::<Vec<_>>());
    assert_eq!(doorward.json(&["store", "check"])["whole"], true);
}

/// Whether it ended before it was ready; if it is, it is killed.
fn ended_by_itself(mut command: Command, doorward: &Instance<'_>) -> bool {
    use std::process::Stdio;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(!status.success(), "it ended, and said that all was well");
            return true;
        }
        // One that waits for descriptors that never come is as good as ended.
        if doorward.command(&["status"]).status.success() || start.elapsed() > std::time::Duration::from_secs(5) {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[derive(Debug, Default)]
struct Told {
    paired: Vec<String>,
    removed: Vec<String>,
}

/// Pairs devices and removes every other one, as long as there is power; what was acknowledged. A machine without power says
/// nothing: what is said while the disk is being shut down does not count, for an fsync under way then may succeed and
/// keep nothing.
async fn pair_and_remove(token: &str, powered: &AtomicBool) -> Told {
    let (caller, ask, mut told) = (Caller::plain("127.0.0.1:18789"), Ask::operator(token), Told::default());
    let mut session = connect(&caller, Some(&Device::new()), &ask).await.hello();
    loop {
        for stays in [true, false] {
            let device = Device::new();
            let Outcome::Hello(_) = connect(&caller, Some(&device), &ask).await else { return told };
            if !powered.load(Ordering::SeqCst) {
                return told;
            }
            if stays {
                told.paired.push(device.id());
                continue;
            }
            match session.attempt("device.pair.remove", json!({"deviceId": device.id()})).await {
                Ok(Ok(_)) if powered.load(Ordering::SeqCst) => told.removed.push(device.id()),
                _ => return told,
            }
        }
    }
}

/// Pairs the device at this machine; what it asks with from now on.
fn paired(doorward: &OnDisk<'_>, device: &Device, token: &str) -> Ask {
    let hello = doorward.connect(device, Ask::operator(token)).hello().hello;
    with_device_token(hello["auth"]["deviceToken"].as_str().unwrap())
}

/// New devices, one after the other; how many were refused. What doorward said is what stands there: let in and paired, or
/// refused and unknown.
fn attempt(doorward: &OnDisk<'_>, token: &str) -> usize {
    let mut failed = 0;
    for _ in 0..ATTEMPTS {
        let device = Device::new();
        let outcome = doorward.connect(&device, Ask::operator(token));
        let is_in = matches!(outcome, Outcome::Hello(_));
        failed += usize::from(!is_in);
        assert_eq!(doorward.is_paired(&device), is_in, "{outcome:?}");
    }
    failed
}

fn assert_whole(doorward: &OnDisk<'_>) {
    assert_eq!(doorward.json(&["audit", "--verify"])["whole"], true);
    assert_eq!(doorward.json(&["store", "check"])["whole"], true);
}

/// Writes until nothing more fits.
fn fill(disk: &Path) {
    use std::io::Write as _;
    let mut filler = File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[7; 512]).is_ok() {}
}
