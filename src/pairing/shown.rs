//! What people and clients are shown of requests and devices: the gateway's own shapes, and ours beside them.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::pairing::paired::Grant;
use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::protocol::scope::Role;

/// Whether a device has a session now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attendance {
    /// It has none.
    Away,
    /// It has one.
    Here,
}

impl PendingRequest {
    /// The request as `device.pair.list` and `device.pair.requested` have it, with our `origin` and `digest`.
    pub fn shown(&self) -> Value {
        let mut shown = profile(&self.profile);
        set(&mut shown, "requestId", json!(self.id));
        set(&mut shown, "deviceId", json!(self.device()));
        set(&mut shown, "publicKey", json!(self.key));
        set(&mut shown, "role", json!(self.role));
        set(&mut shown, "roles", json!([self.role]));
        set(&mut shown, "scopes", json!(self.scopes));
        // As the gateway: an address is shown only where it tells something.
        if let Some(ip) = self.origin.ip.filter(|_| !self.origin.local) {
            set(&mut shown, "remoteIp", json!(ip));
        }
        set(&mut shown, "silent", json!(false));
        set(&mut shown, "isRepair", json!(self.repair == Repair::Yes));
        set(&mut shown, "ts", json!(self.created_at.0));
        set(&mut shown, "refreshedAtMs", json!(self.refreshed_at.0));
        set(&mut shown, "origin", json!(self.origin));
        set(&mut shown, "digest", json!(self.digest()));
        Value::Object(shown)
    }
}

impl PairedDevice {
    /// The device as `device.pair.list` has it: tokens by their dates, never their value.
    pub fn shown(&self, presence: Attendance) -> Value {
        let mut shown = profile(&self.profile);
        set(&mut shown, "deviceId", json!(self.id()));
        set(&mut shown, "publicKey", json!(self.key));
        if let Some(label) = &self.label {
            set(&mut shown, "operatorLabel", json!(label));
        }
        if let Some(role) = self.living_roles().last() {
            set(&mut shown, "role", json!(role));
        }
        set(&mut shown, "roles", json!(self.living_roles()));
        set(&mut shown, "scopes", json!(self.living_scopes()));
        let tokens: Vec<Value> = self.grants.iter().map(|(role, grant)| token(*role, grant)).collect();
        set(&mut shown, "tokens", json!(tokens));
        set(&mut shown, "approvedVia", json!(self.approved_via));
        set(&mut shown, "createdAtMs", json!(self.created_at.0));
        set(&mut shown, "approvedAtMs", json!(self.approved_at.0));
        if let Some(seen) = self.last_seen_at {
            set(&mut shown, "lastSeenAtMs", json!(seen.0));
        }
        set(&mut shown, "connected", json!(presence == Attendance::Here));
        Value::Object(shown)
    }
}

impl PairedDevice {
    /// The device as `node.pair.list` has it, if it may be a node.
    pub fn shown_as_node(&self) -> Option<Value> {
        let grant = self.living_grant(Role::Node)?;
        let mut shown = profile(&self.profile);
        set(&mut shown, "nodeId", json!(self.id()));
        set(&mut shown, "createdAtMs", json!(grant.created_at.0));
        set(&mut shown, "approvedAtMs", json!(self.approved_at.0));
        Some(Value::Object(shown))
    }
}

fn profile(profile: &Profile) -> Map<String, Value> {
    match json!(profile) {
        Value::Object(shown) => shown,
        // Never: a struct is an object.
        _ => Map::new(),
    }
}

fn token(role: Role, grant: &Grant) -> Value {
    let mut shown = Map::new();
    let created = grant.token.map_or(grant.created_at, |token| token.created_at);
    set(&mut shown, "role", json!(role));
    set(&mut shown, "scopes", json!(grant.scopes));
    set(&mut shown, "createdAtMs", json!(created.0));
    let rotated = grant.token.and_then(|token| token.rotated_at);
    let used = grant.token.and_then(|token| token.last_used_at);
    for (key, at) in [("rotatedAtMs", rotated), ("revokedAtMs", grant.revoked_at), ("lastUsedAtMs", used)] {
        if let Some(at) = at {
            set(&mut shown, key, json!(at.0));
        }
    }
    Value::Object(shown)
}

fn set(object: &mut Map<String, Value>, key: &str, value: Value) {
    object.insert(key.to_owned(), value);
}
