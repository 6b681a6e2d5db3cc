//! What we say of ourselves and of a client in the upstream's `connect`. Pure.
//!
//! Promise: of a client's own words only those pass that name the program; its device, its credentials and what it asked for
//! are replaced by our device, or by none, the upstream's token and what was granted here.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::base::secret::Secret;
use crate::protocol::scope::Scopes;
use crate::store::keys::device::DeviceKey;

/// What our device says that it runs on. Always the same: another one would be another machine to the upstream.
const PLATFORM: &str = "linux";

/// The upstream's challenge.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::core) struct Challenge {
    /// Its nonce.
    pub(in crate::core) nonce: String,
    /// Its time, by which we sign: so our own clock does not matter.
    pub(in crate::core) ts: i64,
}

impl Challenge {
    /// Reads the upstream's first message.
    pub(super) fn read(text: &str) -> Option<Self> {
        let frame: Value = serde_json::from_str(text).ok()?;
        let payload = frame.get("payload").filter(|_| frame.get("event").is_some_and(|e| e == "connect.challenge"))?;
        let nonce = payload.get("nonce")?.as_str().filter(|nonce| !nonce.is_empty() && !nonce.contains('|'))?;
        Some(Self { nonce: nonce.to_owned(), ts: payload.get("ts").and_then(Value::as_i64).unwrap_or_default() })
    }
}

/// Who presents itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credentials<'a> {
    /// The upstream's token.
    pub(super) token: Option<&'a Secret<String>>,
    /// Our device; none where we are a program of the upstream's own.
    pub(super) key: Option<&'a DeviceKey>,
}

/// The text of the request `id` that answers `challenge` for the program of `params`, with exactly `scopes`.
pub(super) fn request(
    id: &str,
    params: Map<String, Value>,
    scopes: &Scopes,
    credentials: Credentials<'_>,
    challenge: &Challenge,
) -> String {
    let params = Value::Object(match credentials.key {
        Some(key) => present(params, scopes, (key, credentials.token), challenge),
        None => present_program(&params, scopes, credentials.token),
    });
    json!({ "type": "req", "id": id, "method": "connect", "params": params }).to_string()
}

fn present(
    mut params: Map<String, Value>,
    scopes: &Scopes,
    (key, token): (&DeviceKey, Option<&Secret<String>>),
    challenge: &Challenge,
) -> Map<String, Value> {
    let word = |key: &str| {
        let client = params.get("client").and_then(|client| client.get(key));
        client.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (client, mode) = (word("id"), word("mode"));
    if let Some(Value::Object(client)) = params.get_mut("client") {
        client.insert("platform".to_owned(), PLATFORM.into());
        client.remove("deviceFamily");
    }
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let token = token.map_or("", |token| token.expose().as_str());
    let Challenge { nonce, ts } = challenge;
    let device = key.id();
    let signed = format!("v3|{device}|{client}|{mode}|operator|{}|{ts}|{token}|{nonce}|{PLATFORM}|", scopes.join(","));
    params.insert("minProtocol".to_owned(), 4.into());
    params.insert("maxProtocol".to_owned(), 4.into());
    params.insert("role".to_owned(), "operator".into());
    params.insert("scopes".to_owned(), json!(scopes));
    params.insert(
        "device".to_owned(),
        json!({
            "id": device, "publicKey": key.public_key(), "signature": key.sign(&signed), "signedAt": ts, "nonce": nonce,
        }),
    );
    params.remove("auth");
    if !token.is_empty() {
        params.insert("auth".to_owned(), json!({ "token": token }));
    }
    params
}

/// As a program of the upstream's own: without a device, which the upstream takes for its token alone. Only what protocol 3
/// knows passes, for it refuses a request that has more.
fn present_program(params: &Map<String, Value>, scopes: &Scopes, token: Option<&Secret<String>>) -> Map<String, Value> {
    let mut client = only(params.get("client"), &["version", "displayName", "instanceId"]);
    for (key, value) in [("id", "gateway-client"), ("mode", "backend"), ("platform", PLATFORM)] {
        client.insert(key.to_owned(), value.into());
    }
    let mut ours: Map<String, Value> = ["caps", "locale", "userAgent"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), params.get(key)?.clone())))
        .collect();
    ours.insert("minProtocol".to_owned(), 3.into());
    ours.insert("maxProtocol".to_owned(), 4.into());
    ours.insert("client".to_owned(), client.into());
    ours.insert("role".to_owned(), "operator".into());
    ours.insert("scopes".to_owned(), scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().into());
    if let Some(token) = token.filter(|token| !token.expose().is_empty()) {
        ours.insert("auth".to_owned(), json!({ "token": token.expose() }));
    }
    ours
}

fn only(object: Option<&Value>, keys: &[&str]) -> Map<String, Value> {
    let of = |key: &&str| Some(((*key).to_owned(), object?.get(*key)?.clone()));
    keys.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::pairing::device::DevicePublicKey;
    use crate::protocol::scope::Scope;

    #[test]
    fn of_a_client_its_program_passes_and_nothing_else_that_counts() {
        let state = tempfile::tempdir().unwrap();
        let key = DeviceKey::open(state.path()).unwrap();
        let token = Secret::new("upstream-token".to_owned());
        let sent = json!({
            "minProtocol": 3, "maxProtocol": 3, "role": "node", "scopes": ["operator.admin"], "caps": ["tool-events"],
            "client": { "id": "openclaw-control-ui", "mode": "webchat", "version": "1", "platform": "MacIntel",
                "deviceFamily": "mac", "displayName": "Ann", "instanceId": "i", "buildId": "b" },
            "auth": { "token": "ours", "password": "p", "deviceToken": "d", "bootstrapToken": "b" },
            "device": { "id": "theirs" }, "locale": "de",
        });
        let Value::Object(sent) = sent else { panic!() };
        let scopes = Scopes::from_iter([Scope::READ, Scope::WRITE]);
        let challenge = Challenge { nonce: "n".to_owned(), ts: 7 };
        let text = request("c1", sent, &scopes, Credentials { token: Some(&token), key: Some(&key) }, &challenge);
        let request: Value = serde_json::from_str(&text).unwrap();
        let params = &request["params"];
        assert_eq!((&request["id"], &request["method"]), (&json!("c1"), &json!("connect")));
        assert_eq!(
            (&params["minProtocol"], &params["maxProtocol"], &params["role"]),
            (&json!(4), &json!(4), &json!("operator"))
        );
        assert_eq!(params["scopes"], json!(["operator.read", "operator.write"]));
        assert_eq!(params["auth"], json!({ "token": "upstream-token" }));
        assert_eq!((&params["caps"], &params["locale"]), (&json!(["tool-events"]), &json!("de")));
        assert_eq!(
            params["client"],
            json!({ "id": "openclaw-control-ui", "mode": "webchat", "version": "1", "platform": "linux",
                "displayName": "Ann", "instanceId": "i", "buildId": "b" })
        );
        let device = &params["device"];
        assert_eq!((&device["id"], &device["nonce"], &device["signedAt"]), (&json!(key.id()), &json!("n"), &json!(7)));
        let signed = format!(
            "v3|{}|openclaw-control-ui|webchat|operator|operator.read,operator.write|7|upstream-token|n|linux|",
            key.id()
        );
        let signature = URL_SAFE_NO_PAD.decode(device["signature"].as_str().unwrap()).unwrap();
        assert!(
            DevicePublicKey::parse(device["publicKey"].as_str().unwrap())
                .unwrap()
                .verifies(signed.as_bytes(), &signature)
        );
    }

    #[test]
    fn a_program_has_no_device_and_says_what_protocol_3_knows() {
        let token = Secret::new("upstream-token".to_owned());
        let sent = json!({
            "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.admin"], "caps": ["tool-events"],
            "client": { "id": "openclaw-control-ui", "mode": "webchat", "version": "1", "platform": "MacIntel",
                "deviceFamily": "mac", "displayName": "Ann", "instanceId": "i", "buildId": "b" },
            "auth": { "token": "ours" }, "device": { "id": "theirs" }, "locale": "de", "later": 1,
        });
        let Value::Object(sent) = sent else { panic!() };
        let challenge = Challenge { nonce: "n".to_owned(), ts: 7 };
        let credentials = Credentials { token: Some(&token), key: None };
        let text = request("c1", sent, &Scopes::from_iter([Scope::READ]), credentials, &challenge);
        let request: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            request["params"],
            json!({
                "minProtocol": 3, "maxProtocol": 4, "role": "operator", "scopes": ["operator.read"], "caps": ["tool-events"],
                "client": { "id": "gateway-client", "mode": "backend", "version": "1", "platform": "linux",
                    "displayName": "Ann", "instanceId": "i" },
                "auth": { "token": "upstream-token" }, "locale": "de",
            })
        );
    }

    #[test]
    fn only_a_challenge_is_one() {
        let good = r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":5}}"#;
        assert_eq!(Challenge::read(good), Some(Challenge { nonce: "n".to_owned(), ts: 5 }));
        for bad in [
            "",
            "{}",
            r#"{"type":"event","event":"tick","payload":{"nonce":"n","ts":5}}"#,
            r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"","ts":5}}"#,
            r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"a|b","ts":5}}"#,
        ] {
            assert_eq!(Challenge::read(bad), None, "{bad}");
        }
    }
}
