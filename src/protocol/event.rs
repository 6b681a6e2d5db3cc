//! Events: what the server says unasked.

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::base::clock::UnixMillis;
use crate::protocol::connect::ClientMode;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// Every event that we send, and no other.
pub const EVENTS: &[&str] = &[
    CONNECT_CHALLENGE,
    DEVICE_PAIR_CHANGED,
    DEVICE_PAIR_REQUESTED,
    DEVICE_PAIR_RESOLVED,
    DEVICE_SETUP_COMPLETED,
    DEVICE_SETUP_UNCERTAIN,
    HEALTH,
    NODE_PAIR_RESOLVED,
    PRESENCE,
    TICK,
];
/// The server's first word.
pub const CONNECT_CHALLENGE: &str = "connect.challenge";
/// A paired device changed.
pub const DEVICE_PAIR_CHANGED: &str = "device.pair.changed";
/// A device waits for approval.
pub const DEVICE_PAIR_REQUESTED: &str = "device.pair.requested";
/// A request was decided.
pub const DEVICE_PAIR_RESOLVED: &str = "device.pair.resolved";
/// A setup code was redeemed, and its device heard so.
pub const DEVICE_SETUP_COMPLETED: &str = "device.pair.setup.completed";
/// A setup code was redeemed by a device that went away before it heard so.
pub const DEVICE_SETUP_UNCERTAIN: &str = "device.pair.setup.deliveryUncertain";
/// How this instance is.
pub const HEALTH: &str = "health";
/// What a node may do was decided; here only that it is none any more.
pub const NODE_PAIR_RESOLVED: &str = "node.pair.resolved";
/// Who is connected changed.
pub const PRESENCE: &str = "presence";
/// A sign of life.
pub const TICK: &str = "tick";

/// The payload of `connect.challenge`; sent before any version is agreed on, so in the newer form.
pub fn challenge(nonce: &str, now: UnixMillis) -> Value {
    json!({ "nonce": nonce, "ts": now.0, "capabilities": [] })
}

/// The payload of `tick`.
pub fn tick(now: UnixMillis) -> Value {
    json!({ "ts": now.0 })
}

/// How a request ended, as `device.pair.resolved` tells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Let in.
    Approved,
    /// Turned away, superseded or removed.
    Rejected,
}

/// The payload of `device.pair.resolved`.
pub fn resolved(request_id: &str, device_id: &str, decision: Decision, now: UnixMillis) -> Value {
    json!({ "requestId": request_id, "deviceId": device_id, "decision": decision, "ts": now.0 })
}

/// The payload of `node.pair.resolved` for a node that was removed: no request was about it.
pub fn node_removed(node_id: &str, now: UnixMillis) -> Value {
    json!({ "requestId": "", "nodeId": node_id, "decision": "removed", "ts": now.0 })
}

/// One entry of the presence list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// One line for people.
    pub text: String,
    /// When this entry last changed.
    pub ts: i64,
    /// The caller's address, if it is known and not this machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The program's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its family of devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_family: Option<String>,
    /// Its name for people, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Used as what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ClientMode>,
    /// Why this entry changed.
    pub reason: &'static str,
    /// Its device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Its own name for this instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Its scopes.
    pub scopes: Scopes,
}

/// The payload of `presence`.
pub fn presence(list: &[Presence]) -> Value {
    json!({ "presence": list })
}

/// The payload of the method `health`, and the snapshot of the same name in `hello-ok`.
pub fn health(now: UnixMillis, duration_ms: u64) -> Value {
    json!({ "ok": true, "ts": now.0, "durationMs": duration_ms, "channels": {}, "channelOrder": [], "agents": [],
            "sessions": { "count": 0, "recent": [] } })
}

/// The payload of the method `status`: numbers about this instance.
pub fn status(version: &str, uptime_ms: u64, connections: usize, devices: Option<Devices>) -> Value {
    let mut status = json!({
        "ok": true,
        "runtimeVersion": version,
        "uptimeMs": uptime_ms,
        "connections": connections,
        "channelSummary": [],
        "queuedSystemEvents": [],
        "sessions": { "count": 0, "recent": [] },
    });
    if let (Some(devices), Value::Object(fields)) = (devices, &mut status) {
        fields.insert("devices".to_owned(), json!(devices));
    }
    status
}

/// How many devices there are, for those who decide about them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Devices {
    /// Those that are paired.
    pub paired: usize,
    /// Those that wait.
    pub pending: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_gateways_payloads() {
        let now = UnixMillis(7);
        assert_eq!(challenge("n", now), json!({ "nonce": "n", "ts": 7, "capabilities": [] }));
        assert_eq!(tick(now), json!({ "ts": 7 }));
        assert_eq!(
            resolved("r", "d", Decision::Approved, now),
            json!({ "requestId": "r", "deviceId": "d", "decision": "approved", "ts": 7 })
        );
        assert_eq!(resolved("r", "d", Decision::Rejected, now)["decision"], "rejected");
        assert_eq!(node_removed("n", now), json!({ "requestId": "", "nodeId": "n", "decision": "removed", "ts": 7 }));
        assert_eq!(presence(&[]), json!({ "presence": [] }));
        assert_eq!(health(now, 1)["ok"], true);
        let counted = status("0", 1, 3, Some(Devices { paired: 4, pending: 2 }));
        assert_eq!((&counted["connections"], &counted["devices"]), (&json!(3), &json!({ "paired": 4, "pending": 2 })));
        assert_eq!(status("0", 1, 3, None).get("devices"), None);
    }
}
