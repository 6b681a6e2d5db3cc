//! Connects that mean something only after others: what a paired device is told, and one that waits.

use serde_json::json;

use super::{Told, World, told};
use crate::support::gateway_client::{Ask, Device};

type Story = fn(&World<'_>) -> Told;

/// Each with the name of its case.
pub(super) const ALL: [(&str, Story); 12] = [
    ("paired: again with the secret", |world| {
        let device = Device::new();
        world.pair(&device, &["operator.read"]);
        told(&world.connect(&device, Ask::operator(&world.token).with_scopes(&["operator.read"])))
    }),
    ("paired: by its own token", |world| {
        let device = Device::new();
        let token = world.pair(&device, &["operator.read"]);
        told(&world.connect(&device, own(&token, &["operator.read"])))
    }),
    ("paired: by its own token as token", |world| {
        let device = Device::new();
        let token = world.pair(&device, &["operator.read"]);
        told(&world.connect(&device, Ask::operator(&token).with_scopes(&["operator.read"])))
    }),
    ("paired: fewer scopes", |world| {
        let device = Device::new();
        world.pair(&device, &["operator.read", "operator.write"]);
        told(&world.connect(&device, Ask::operator(&world.token).with_scopes(&["operator.read"])))
    }),
    ("paired: more scopes", |world| {
        let device = Device::new();
        world.pair(&device, &["operator.read"]);
        told(&world.connect(&device, Ask::operator(&world.token).with_scopes(&["operator.write"])))
    }),
    ("paired: another role", |world| {
        let device = Device::new();
        world.pair(&device, &["operator.read"]);
        let node = Ask { role: "node", client: ("node-host", "node"), ..Ask::operator(&world.token).with_scopes(&[]) };
        told(&world.connect(&device, node))
    }),
    ("paired: another machine", |world| {
        let device = Device::new();
        world.pair(&device, &["operator.read"]);
        let moved = Ask { platform: "windows", ..Ask::operator(&world.token).with_scopes(&["operator.read"]) };
        told(&world.connect(&device, moved))
    }),
    ("paired: revoked", |world| {
        let device = Device::new();
        let token = world.pair(&device, &["operator.read"]);
        world.call("device.token.revoke", json!({ "deviceId": device.id(), "role": "operator" }));
        told(&world.connect(&device, own(&token, &["operator.read"])))
    }),
    ("paired: removed", |world| {
        let device = Device::new();
        let token = world.pair(&device, &["operator.read"]);
        world.call("device.pair.remove", json!({ "deviceId": device.id() }));
        told(&world.connect(&device, own(&token, &["operator.read"])))
    }),
    ("paired: rotated", |world| {
        let device = Device::new();
        let token = world.pair(&device, &["operator.read"]);
        world.call("device.token.rotate", json!({ "deviceId": device.id(), "role": "operator" }));
        told(&world.connect(&device, own(&token, &["operator.read"])))
    }),
    ("waiting: asks the same again", |world| again(world, &["operator.read"])),
    ("waiting: asks for more", |world| again(world, &["operator.write"])),
];

fn own(token: &str, scopes: &[&str]) -> Ask {
    Ask { token: None, device_token: Some(token.to_owned()), ..Ask::operator("").with_scopes(scopes) }
}

/// A device that waits to read, and asks for `scopes` then: what it is told, whether its request is the same one, and
/// what the request asks for.
fn again(world: &World<'_>, scopes: &[&str]) -> Told {
    let device = Device::new();
    let id = |ask| {
        let refusal = world.connect(&device, ask).refused();
        refusal.error["details"]["requestId"].as_str().unwrap().to_owned()
    };
    let first = id(Ask::operator(&world.token).with_scopes(&["operator.read"]));
    let second = id(Ask::operator(&world.token).with_scopes(scopes));
    let listed = world.call("device.pair.list", json!({}));
    let own: Vec<_> =
        listed["pending"].as_array().unwrap().iter().filter(|one| one["deviceId"] == device.id()).collect();
    let mut asked: Vec<_> =
        own.iter().flat_map(|one| one["scopes"].as_array().unwrap()).map(ToString::to_string).collect();
    asked.sort();
    Told::from([
        ("same", (first == second).to_string()),
        ("waiting", own.len().to_string()),
        ("asks", asked.join(",")),
        ("listed", own.iter().all(|one| one["requestId"] == second).to_string()),
    ])
}
