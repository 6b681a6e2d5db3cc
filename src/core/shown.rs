//! Requests and devices as the gateway's lists, events and answers show them. No secret and no hash of one is in them.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::pairing::paired::PairedDevice;
use crate::pairing::paired::Profile;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;

/// Whether a device has an open socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Presence {
    Absent,
    Connected,
}

/// A pending request, with the origin and the digest that an approval is bound to.
pub(super) fn request(request: &PendingRequest) -> Value {
    let mut shown = Map::new();
    let mut set = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    set("requestId", json!(request.id));
    set("deviceId", json!(request.device()));
    set("publicKey", json!(request.key));
    profile(&request.profile, &mut set);
    set("role", json!(request.role));
    set("roles", json!([request.role]));
    set("scopes", json!(request.scopes));
    if let Some(ip) = request.origin.ip.filter(|_| !request.origin.local) {
        set("remoteIp", json!(ip));
    }
    set("silent", json!(false));
    set("isRepair", json!(request.repair == Repair::Yes));
    set("ts", json!(request.created_at.0));
    set("origin", json!(request.origin));
    set("digest", json!(request.digest()));
    Value::Object(shown)
}

/// A paired device; its tokens by what they are for and when they were made.
pub(super) fn device(device: &PairedDevice, presence: Presence) -> Value {
    let mut shown = Map::new();
    let mut set = |key: &str, value: Value| drop(shown.insert(key.to_owned(), value));
    let living = device.living_roles();
    let role = living.iter().copied().find(|role| *role == Role::Operator).or(living.first().copied());
    let scopes = device.grants.values().filter(|grant| grant.revoked_at.is_none());
    let scopes = scopes.fold(Scopes::NONE, |all, grant| all.union(&grant.scopes));
    set("deviceId", json!(device.id()));
    set("publicKey", json!(device.key));
    profile(&device.profile, &mut set);
    if let Some(label) = &device.label {
        set("operatorLabel", json!(label));
    }
    if let Some(role) = role {
        set("role", json!(role));
    }
    set("roles", json!(living));
    set("scopes", json!(scopes));
    set("tokens", tokens(device));
    set("createdAtMs", json!(device.created_at.0));
    set("approvedAtMs", json!(device.approved_at.0));
    set("approvedVia", json!(device.approved_via.as_str()));
    if let Some(seen) = device.last_seen_at {
        set("lastSeenAtMs", json!(seen.0));
    }
    set("connected", json!(presence == Presence::Connected));
    Value::Object(shown)
}

fn profile(profile: &Profile, set: &mut impl FnMut(&str, Value)) {
    if let Some(name) = &profile.display_name {
        set("displayName", json!(name));
    }
    set("platform", json!(profile.platform));
    if let Some(family) = &profile.device_family {
        set("deviceFamily", json!(family));
    }
    set("clientId", json!(profile.client_id));
    set("clientMode", json!(profile.client_mode));
}

fn tokens(device: &PairedDevice) -> Value {
    let tokens = device.grants.iter().map(|(role, grant)| {
        let mut token = json!({ "role": role, "scopes": grant.scopes });
        let times = [
            ("createdAtMs", Some(grant.token.map_or(grant.created_at, |token| token.created_at))),
            ("rotatedAtMs", grant.token.and_then(|token| token.rotated_at)),
            ("revokedAtMs", grant.revoked_at),
            ("lastUsedAtMs", grant.token.and_then(|token| token.last_used_at)),
        ];
        if let Value::Object(fields) = &mut token {
            let times = times.into_iter().filter_map(|(key, at)| Some((key.to_owned(), json!(at?.0))));
            fields.extend(times);
        }
        token
    });
    tokens.collect()
}
