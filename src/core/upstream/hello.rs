//! The `hello-ok` of a bridged client: the upstream's, with what is ours in it replaced. Pure.

use serde_json::Map;
use serde_json::Value;

/// Whether a method or an event is one of those that our core has to itself.
pub(in crate::core) fn is_ours(name: &str) -> bool {
    name.trim_start().starts_with("device.")
}

/// Puts together what the client is told: `upstream`, the payload of the upstream's `hello-ok`, with the credentials, the
/// `device.*` methods and events, and the stricter limits of `ours`.
pub(in crate::core) fn merge(upstream: Map<String, Value>, ours: &Value) -> Value {
    let mut hello = upstream;
    for key in ["type", "protocol", "auth"] {
        hello.insert(key.to_owned(), ours.get(key).cloned().unwrap_or_default());
    }
    let mut features = taken(&mut hello, "features");
    for list in ["methods", "events"] {
        let theirs = names(features.get(list)).filter(|name| !is_ours(name));
        let own = names(ours.get("features").and_then(|features| features.get(list))).filter(|name| is_ours(name));
        let all: Vec<Value> = theirs.chain(own).map(Into::into).collect();
        features.insert(list.to_owned(), all.into());
    }
    hello.insert("features".to_owned(), features.into());
    let mut policy = taken(&mut hello, "policy");
    for (key, ours) in ours.get("policy").and_then(Value::as_object).into_iter().flatten() {
        let stricter = match (policy.get(key).and_then(Value::as_u64), ours.as_u64()) {
            // A tick comes as often as the upstream sends it.
            (Some(theirs), Some(_)) if key == "tickIntervalMs" => theirs.into(),
            (Some(theirs), Some(ours)) => theirs.min(ours).into(),
            (None, _) if policy.contains_key(key) => continue,
            _ => ours.clone(),
        };
        policy.insert(key.clone(), stricter);
    }
    hello.insert("policy".to_owned(), policy.into());
    hello.into()
}

fn taken(object: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match object.remove(key) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    }
}

fn names(list: Option<&Value>) -> impl Iterator<Item = String> + '_ {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_client_sees_the_upstream_with_our_word_on_who_it_is() {
        let upstream = json!({
            "type": "hello-ok", "protocol": 4, "server": { "version": "2026.9.6", "connId": "u" },
            "features": { "methods": ["health", "device.pair.list", "device.new"], "events": ["tick", "device.pair.changed", "chat"],
                "capabilities": ["x"] },
            "snapshot": { "presence": [1] }, "controlUiUrl": "http://x",
            "auth": { "method": "token", "role": "operator", "scopes": ["operator.admin"], "deviceToken": "UP", "deviceTokens": ["UP2"],
                "issuedAtMs": 1, "recoveryScope": "r" },
            "policy": { "maxPayload": 99, "maxBufferedBytes": 5, "tickIntervalMs": 15_000, "attachments": { "maxBytes": 3 } },
        });
        let ours = json!({
            "type": "hello-ok", "protocol": 3, "server": { "version": "0.1.0" },
            "features": { "methods": ["health", "device.pair.list", "device.pair.approve"], "events": ["tick", "device.pair.requested"] },
            "auth": { "role": "operator", "scopes": ["operator.read"], "deviceToken": "OWN" },
            "policy": { "maxPayload": 50, "maxBufferedBytes": 60, "tickIntervalMs": 30_000 },
        });
        let Value::Object(upstream) = upstream else { panic!() };
        assert_eq!(
            merge(upstream, &ours),
            json!({
                "type": "hello-ok", "protocol": 3, "server": { "version": "2026.9.6", "connId": "u" },
                "features": { "methods": ["health", "device.pair.list", "device.pair.approve"],
                    "events": ["tick", "chat", "device.pair.requested"], "capabilities": ["x"] },
                "snapshot": { "presence": [1] }, "controlUiUrl": "http://x",
                "auth": { "role": "operator", "scopes": ["operator.read"], "deviceToken": "OWN" },
                "policy": { "maxPayload": 50, "maxBufferedBytes": 5, "tickIntervalMs": 15_000, "attachments": { "maxBytes": 3 } },
            })
        );
        assert_eq!(merge(Map::new(), &ours)["policy"]["maxPayload"], 50);
    }

    #[test]
    fn every_name_that_begins_with_device_is_ours() {
        for (name, ours) in [
            ("device.pair.list", true),
            (" device.x", true),
            ("device.", true),
            ("devices.list", false),
            ("node.pair.list", false),
        ] {
            assert_eq!(is_ours(name), ours, "{name}");
        }
    }
}
