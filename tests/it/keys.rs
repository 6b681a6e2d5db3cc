//! Promise: the signing key is replaced while requests and sockets flow, and no good request is refused for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::instance::{Instance, OWNERS};
use crate::support::keep::Kept;
use crate::support::namespace::Namespace;

#[test]
fn a_rotation_under_traffic_refuses_no_good_request() {
    const ROTATIONS: usize = 8;
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, OWNERS);
    let (token, over, answered) = (instance.token(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let traffic = machine.spawn({
        let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(traffic(&token, &over, &answered));
        }
    });
    let first = kids(&instance.json(&["keys", "list"]));
    assert_eq!(first.len(), 1);
    for rotation in 1..=ROTATIONS {
        let keys = instance.json(&["keys", "rotate"]);
        assert_eq!(keys["keys"][0]["state"], "current");
        assert_eq!(keys["keys"][1]["state"], "overlap");
        assert_eq!(kids(&keys).len(), rotation + 1);
        let (before, wait) = (answered.load(Ordering::Acquire), std::time::Instant::now());
        // With this key, too, something is signed.
        while answered.load(Ordering::Acquire) < before + 10 && !traffic.is_finished() {
            assert!(wait.elapsed() < Duration::from_secs(20), "no traffic");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    over.store(true, Ordering::Release);
    traffic.join().unwrap();
    assert_eq!(kids(&instance.json(&["keys", "list"])), shown(&machine), "the JWK Set shows the same");

    let keys = kids(&instance.json(&["keys", "rotate", "--compromised"]));
    assert_eq!(keys.len(), 1);
    assert_eq!(keys, shown(&machine));
    let files = std::fs::read_dir(instance.folder().join("state/keys")).unwrap().count();
    assert_eq!(files, 1, "what was seen by others is gone from the disk");
    // It is the one that a restart finds, and it can be replaced where nobody runs.
    instance.stop();
    assert_eq!(kids(&instance.json(&["keys", "list"])), keys);
    let offline = kids(&instance.json(&["keys", "rotate"]));
    assert_eq!(offline[1..], keys);
    instance.restart();
    assert_eq!(kids(&instance.json(&["keys", "list"])), offline);
}

async fn traffic(token: &str, over: &AtomicBool, answered: &AtomicUsize) {
    let (caller, device) = (Caller::plain("127.0.0.1:18789"), Device::new());
    let mut session = connect(&caller, Some(&device), &Ask::operator(token)).await.hello();
    let mut open = [Kept::open(&caller).await, Kept::open(&caller).await];
    while !over.load(Ordering::Acquire) {
        for kept in &mut open {
            assert_eq!(kept.whoami(&[]).await.unwrap()["verified"], true);
        }
        session.call("health", json!({})).await.unwrap();
        connect(&caller, Some(&device), &Ask::operator(token)).await.hello().close().await;
        answered.fetch_add(1, Ordering::AcqRel);
    }
}

fn kids(keys: &Value) -> Vec<String> {
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The names of the keys in the JWK Set.
fn shown(machine: &Namespace) -> Vec<String> {
    let caller = Caller::plain("127.0.0.1:18789");
    let answer = machine.on(move || caller.get("/.well-known/doorward/jwks.json", &[])).unwrap();
    kids(&serde_json::from_str(&answer.body).unwrap())
}
