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
