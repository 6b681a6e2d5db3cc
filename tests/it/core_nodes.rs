//! `node.pair.*` of a core without a gateway behind it: nodes are devices, and nothing that they can do is ever pending.

use doorward::core::Decider;
use serde_json::json;

use super::support::core_rig::{HERE, LAN, Rig, with_device_token};
use super::support::gateway_client::{Ask, Device};

#[tokio::test]
async fn a_node_is_listed_and_removed_as_one_by_an_admin_only() {
    let rig = Rig::new().await;
    let mut owner = rig.connect(HERE, Some(&Device::new()), &rig.ask()).await.hello();
    let node = Device::new();
    let ask = Ask { role: "node", client: ("node-host", "node"), ..rig.ask().with_scopes(&[]) };
    let refusal = rig.connect(LAN, Some(&node), &ask).await.refused();
    let request = refusal.error["details"]["requestId"].as_str().unwrap();
    rig.core.pairings().approve(request, None, &Decider::owner()).await.unwrap();
    let session = rig.connect(LAN, Some(&node), &ask).await.hello();
    let helper = Device::new();
    let token = rig.pair(&helper, &["operator.pairing"]).await;
    let mut helper = rig.connect(LAN, Some(&helper), &with_device_token(&token)).await.hello();

    let listed = owner.call("node.pair.list", json!({})).await.unwrap();
    assert_eq!((&listed["pending"], &listed["paired"][0]["nodeId"]), (&json!([]), &json!(node.id())));
    assert_eq!(listed["paired"].as_array().unwrap().len(), 1, "an operator's device is no node");
    assert_eq!(helper.call("node.pair.list", json!({})).await.unwrap()["paired"], json!([]));
    let error = helper.call("node.pair.remove", json!({ "nodeId": node.id() })).await.unwrap_err();
    assert_eq!(error["message"], "unknown nodeId");
    for method in ["node.pair.approve", "node.pair.reject"] {
        let error = owner.call(method, json!({ "requestId": "x" })).await.unwrap_err();
        assert_eq!(error["message"], "unknown requestId", "{method}");
        let error = owner.call(method, json!({})).await.unwrap_err();
        assert!(error["message"].as_str().unwrap().starts_with(&format!("invalid {method} params: ")), "{error}");
    }

    assert_eq!(
        owner.call("node.pair.remove", json!({ "nodeId": node.id() })).await.unwrap(),
        json!({ "nodeId": node.id() })
    );
    assert_eq!(session.closed().await, (4001, "device removed".to_owned()));
    let told = owner.event("node.pair.resolved").await;
    assert_eq!((&told["nodeId"], &told["decision"]), (&json!(node.id()), &json!("removed")));
    let error = owner.call("node.pair.remove", json!({ "nodeId": node.id() })).await.unwrap_err();
    assert_eq!(error["message"], "unknown nodeId");
}
