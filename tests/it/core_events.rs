//! What the core says unasked: every event that `hello-ok` announces, and no other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use doorward::core::Decider;
use futures_util::SinkExt as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::support::core_rig::{HERE, LAN, Rig, brisk, with_setup_code};
use super::support::gateway_client::{Device, Session, connect_frame, next_frame, verdict};

#[tokio::test]
async fn every_event_that_hello_announces_is_sent_and_no_other() {
    let rig = Rig::with(brisk()).await;
    let mut socket = rig.dial(HERE).await.unwrap();
    let challenge = next_frame(&mut socket).await.unwrap();
    let mut sent = BTreeSet::from([challenge["event"].as_str().unwrap().to_owned()]);
    let connect = connect_frame(&challenge["payload"], Some(&Device::new()), &rig.ask()).to_string();
    socket.send(Message::text(connect)).await.unwrap();
    let mut owner = verdict(socket).await.hello();
    let announced: BTreeSet<String> = serde_json::from_value(owner.hello["features"]["events"].clone()).unwrap();
    let device = Device::new();
    rig.pair(&device, &["operator.read"]).await;
    rig.core.pairings().remove(&device.id(), &Decider::owner()).await.unwrap();
    redeem_twice(&rig, &mut owner).await;
    sent.extend(owner.names());
    let until = Instant::now() + Duration::from_secs(5);
    while sent != announced {
        let frame = next_frame(&mut owner.socket).await.unwrap();
        let event = frame["event"].as_str().unwrap().to_owned();
        assert!(announced.contains(&event), "{event} was never announced");
        sent.insert(event);
        assert!(Instant::now() < until, "announced and never sent: {:?}", announced.difference(&sent));
    }
}

#[test]
fn a_disk_that_hangs_under_the_tokens_file_stops_no_clock() {
    // With its one thread for files in use, every look at the token's file waits as for a disk that hangs.
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let rig = Rig::with(brisk()).await;
        let mut owner = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
        let (held, hangs) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let hanging = tokio::task::spawn_blocking(move || {
            begun.send(()).unwrap();
            hangs.recv()
        });
        begins.await.unwrap();
        let told = async {
            // More of them than can have been under way.
            for _ in 0..8 {
                owner.event("tick").await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(60), told).await;
        drop(held);
        hanging.await.unwrap().unwrap_err();
        told.expect("the clockwork waits for a file");
    });
}

/// Two devices redeem a setup code: one hears of it, the other goes away. The first is a node too, and then none.
async fn redeem_twice(rig: &Rig, owner: &mut Session) {
    for heard in [true, false] {
        let made = owner.call("device.pair.setupCode", json!({ "includeQr": false })).await.unwrap();
        let ask = with_setup_code(&made);
        let device = Device::new();
        if heard {
            rig.connect(LAN, Some(&device), &ask).await.hello();
            owner.call("node.pair.remove", json!({ "nodeId": device.id() })).await.unwrap();
        } else {
            let mut socket = rig.dial(LAN).await.unwrap();
            let challenge = next_frame(&mut socket).await.unwrap()["payload"].clone();
            let connect = connect_frame(&challenge, Some(&device), &ask).to_string();
            socket.send(Message::text(connect)).await.unwrap();
            drop(socket);
        }
    }
}
