//! In front of a gateway of early 2026, which speaks protocol 3, and as a program of a newer one: without a device of our own.

use serde_json::json;

use crate::support::bridge::{Bridge, SECRET, Shape, until_logged};
use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::openclaw::Release;

const DOOR: &str = "127.0.0.1:8080";

#[test]
fn an_operator_of_protocol_3_works_with_a_gateway_of_january_on_its_own_machine() {
    an_operator_works_with_january(Shape::Loopback, "mode = \"backend\"");
}

#[test]
fn an_operator_of_protocol_3_works_with_a_gateway_of_january_behind_a_containers_network() {
    // Nothing says which one it is: that is found out.
    an_operator_works_with_january(Shape::Veth, "");
}

fn an_operator_works_with_january(shape: Shape, mode: &str) {
    let bridge = Bridge::new(shape);
    let _gateway = bridge.gateway(Release::January);
    let doorward = bridge.doorward(mode);
    // So it calls itself where npm did not start it.
    until_logged(&doorward, "state=up: dev, protocol 3");
    bridge.host.block_on(|| async {
        let ask = || Ask { protocol: 3, payload: "v2", ..Ask::operator(SECRET) };
        let device = Device::new();
        let mut owner = connect(&Caller::plain(DOOR), Some(&device), &ask()).await.hello();
        let (hello, auth) = (&owner.hello, &owner.hello["auth"]);
        assert_eq!((&hello["protocol"], &hello["server"]["version"]), (&json!(3), &json!("dev")), "{hello:#}");
        assert!(auth["deviceToken"].is_string() && auth["role"] == "operator", "ours, for it says none: {auth:#}");
        let methods = hello["features"]["methods"].as_array().unwrap();
        assert!(methods.contains(&json!("config.get")) && methods.contains(&json!("device.pair.list")), "{methods:#?}");
        let settings = owner.call("config.get", json!({})).await.unwrap();
        assert_eq!(settings["config"]["gateway"]["port"], 18789, "{settings:#}");
        let listed = owner.call("device.pair.list", json!({})).await.unwrap();
        assert_eq!(listed["paired"][0]["deviceId"], device.id(), "ours, not the gateway's: {listed:#}");

        // What was not granted here is not granted there.
        let reader = ask().with_scopes(&["operator.read"]);
        let mut reader = connect(&Caller::plain(DOOR), Some(&Device::new()), &reader).await.hello();
        reader.call("sessions.list", json!({})).await.unwrap();
        let refused = reader.call("config.get", json!({})).await.unwrap_err();
        assert!(refused["message"].as_str().unwrap().contains("missing scope"), "{refused:#}");
        for session in [owner, reader] {
            session.close().await;
        }
    });
}

#[test]
fn a_program_of_a_newer_gateway_works_on_its_machine() {
    let bridge = Bridge::new(Shape::Loopback);
    let _gateway = bridge.gateway(Release::September);
    let doorward = bridge.doorward("mode = \"backend\"");
    until_logged(&doorward, "state=up: 2026.9.6, protocol 4");
    bridge.host.block_on(|| async {
        // A page's web origin would cost a program its rights.
        let reader =
            Ask::operator(SECRET).with_scopes(&["operator.read"]).with_header("Origin", "http://127.0.0.1:8080");
        let mut session = connect(&Caller::plain(DOOR), Some(&Device::new()), &reader).await.hello();
        session.call("sessions.list", json!({})).await.unwrap();
        let refused = session.call("config.set", json!({"raw": "{}"})).await.unwrap_err();
        assert_eq!(refused["details"]["missingScope"], "operator.admin", "{refused:#}");
        session.close().await;
    });
}

#[test]
fn a_program_of_a_newer_gateway_elsewhere_has_no_rights_and_that_is_said() {
    let bridge = Bridge::new(Shape::Veth);
    let _gateway = bridge.gateway(Release::September);
    let doorward = bridge.doorward("mode = \"backend\"");
    until_logged(&doorward, "it gives us no rights");
    assert!(doorward.log().contains("leave core.upstream.mode out"), "{}", doorward.log());
}
