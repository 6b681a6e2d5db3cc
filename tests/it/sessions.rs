//! What an admitted device lives through: news of requests, and its own removal.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, call, connect};
use crate::support::instance::Instance;
use crate::support::lan::{HOUSEHOLD, Household};

#[test]
fn owner_hears_of_a_request_and_of_its_end() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let (token, authority) = (doorward.token(), doorward.authority());
    let (told, heard) = std::sync::mpsc::channel();
    let owner = home.host.spawn({
        let token = token.clone();
        move || {
            block_on(async move {
                let caller = Caller::plain("127.0.0.1:18789");
                let mut owner = connect(&caller, Some(&Device::new()), &Ask::operator(&token)).await.hello();
                told.send(()).unwrap();
                let request = owner.event("device.pair.requested").await;
                let id = request["requestId"].clone();
                owner.call("device.pair.approve", json!({"requestId": id})).await.unwrap();
                let end = owner.event("device.pair.resolved").await;
                assert_eq!((&end["requestId"], &end["decision"]), (&id, &json!("approved")), "{end:#}");
                let unknown = owner.call("device.pair.approve", json!({"requestId": id})).await;
                assert!(unknown.is_err(), "approved twice: {unknown:?}");
                owner.close().await;
                request
            })
        }
    });
    heard.recv().unwrap();
    let device = Device::new();
    let caller = Caller::trusting("10.77.0.1:8443", &authority);
    call(&home.lan, &caller, &device, Ask::operator(&token)).refused();
    let request = owner.join().unwrap();
    assert_eq!(request["deviceId"], device.id(), "{request:#}");
    assert_eq!(request["remoteIp"], "10.77.0.2", "{request:#}");
    call(&home.lan, &caller, &device, Ask::operator(&token)).hello();
}

#[test]
fn removed_device_is_out_within_a_second() {
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let token = doorward.token();
    let device = Device::new();
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let ask = Ask::operator(&token);
    call(&home.lan, &caller, &device, ask.clone()).refused();
    let request = doorward.pending_of(&device.id());
    doorward.words(&["devices", "approve", request["requestId"].as_str().unwrap()]);

    let (told, inside) = std::sync::mpsc::channel();
    let visitor = home.lan.spawn({
        let (caller, device, ask) = (caller.clone(), device.clone(), ask.clone());
        move || {
            block_on(async move {
                let session = connect(&caller, Some(&device), &ask).await.hello();
                told.send(()).unwrap();
                let (code, reason) = session.closed().await;
                (code, reason, Instant::now())
            })
        }
    });
    inside.recv().unwrap();
    let removed = home.host.block_on(move || async move {
        let caller = Caller::plain("127.0.0.1:18789");
        let mut owner = connect(&caller, Some(&Device::new()), &Ask::operator(&token)).await.hello();
        owner.call("device.pair.remove", json!({"deviceId": device.id()})).await.unwrap();
        Instant::now()
    });
    let (code, reason, closed) = visitor.join().unwrap();
    assert_eq!(code, 4001, "{reason}");
    assert!(closed.saturating_duration_since(removed) < Duration::from_secs(1), "it took too long");
    assert!(doorward.pending().is_empty());
    let refusal = call(&home.lan, &caller, &Device::new(), ask).refused();
    assert!(refusal.reason.starts_with("pairing required"), "{refusal:?}");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
