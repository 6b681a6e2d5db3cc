//! `hello-ok`, the answer to a `connect` that was admitted.

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::base::clock::UnixMillis;
use crate::base::limits::MESSAGE_BYTES_MAX;
use crate::base::limits::OUTBOUND_BYTES_PER_SOCKET_MAX;
use crate::base::limits::TICK_PERIOD;
use crate::base::secret::Secret;
use crate::protocol::event::Presence;
use crate::protocol::frame::StateVersion;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;
use crate::protocol::version::Version;

/// By what a session was let in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// A setup code.
    BootstrapToken,
    /// The device's own token.
    DeviceToken,
    /// The gateway's secret, sent as password.
    Password,
    /// The gateway's secret.
    Token,
    /// Somebody in front of us whom we trust has verified who it is.
    TrustedProxy,
}

/// Everything `hello-ok` says. The numbers of `policy` come from the limits.
#[derive(Clone, Debug)]
pub struct HelloOk<'a> {
    /// The version agreed on.
    pub version: Version,
    /// Our release.
    pub server_version: &'a str,
    /// This connection's id.
    pub connection: &'a str,
    /// The id of this run of the process.
    pub boot: &'a str,
    /// The build id that a bundled dashboard compares with its own: that of the client itself.
    pub build: Option<&'a str>,
    /// The methods we answer.
    pub methods: &'a [&'a str],
    /// The events we send.
    pub events: &'a [&'a str],
    /// Who is connected.
    pub presence: &'a [Presence],
    /// The health snapshot.
    pub health: &'a Value,
    /// The versions of both.
    pub state_version: StateVersion,
    /// Milliseconds since start.
    pub uptime_ms: u64,
    /// By what the session was let in.
    pub method: AuthMethod,
    /// Its role.
    pub role: Role,
    /// Its scopes.
    pub scopes: &'a Scopes,
    /// The device token, when it is handed out now, and when it was made.
    pub device_token: Option<(&'a Secret<String>, UnixMillis)>,
    /// The tokens of the device's other roles that are handed out with it, by a setup code.
    pub other_tokens: &'a [(Role, Scopes, Secret<String>)],
}

impl HelloOk<'_> {
    /// The payload.
    pub fn payload(&self) -> Value {
        let mut server = json!({ "version": self.server_version, "connId": self.connection });
        let mut snapshot = json!({
            "presence": self.presence,
            "health": self.health,
            "stateVersion": self.state_version,
            "uptimeMs": self.uptime_ms,
        });
        let mut auth = json!({ "role": self.role, "scopes": self.scopes });
        if let Some((token, issued_at)) = self.device_token {
            insert(&mut auth, "deviceToken", token.expose().as_str());
            insert(&mut auth, "issuedAtMs", issued_at.0);
            let others = self.other_tokens.iter().map(|(role, scopes, token)| {
                json!({ "deviceToken": token.expose(), "role": role, "scopes": scopes, "issuedAtMs": issued_at.0 })
            });
            let others: Vec<Value> = others.collect();
            if !others.is_empty() {
                insert(&mut auth, "deviceTokens", others);
            }
        }
        let mut features = json!({ "methods": self.methods, "events": self.events });
        let mut policy = json!({
            "maxPayload": MESSAGE_BYTES_MAX,
            "maxBufferedBytes": OUTBOUND_BYTES_PER_SOCKET_MAX,
            "tickIntervalMs": u64::try_from(TICK_PERIOD.as_millis()).unwrap_or(u64::MAX),
        });
        if self.version == Version::V4 {
            insert(&mut server, "bootId", self.boot);
            if let Some(build) = self.build {
                insert(&mut server, "buildId", build);
            }
            insert(&mut snapshot, "suspension", json!({ "phase": "accepting" }));
            if self.scopes.covers(&Scope::ADMIN) {
                insert(&mut snapshot, "authMode", "token");
            }
            insert(&mut auth, "method", json!(self.method));
            insert(&mut features, "capabilities", json!([]));
            insert(&mut policy, "attachments", json!({ "maxBytes": 19_464_192, "maxImageBytes": 6_291_456 }));
            insert(&mut policy, "allowedSessionVisibilities", json!(["shared", "read-only", "suggest", "draft"]));
            insert(&mut policy, "hasMultipleSessionSharingIdentities", false);
        }
        json!({
            "type": "hello-ok",
            "protocol": self.version.number(),
            "server": server,
            "features": features,
            "snapshot": snapshot,
            "auth": auth,
            "policy": policy,
        })
    }
}

fn insert(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(version: Version, scopes: &Scopes, token: Option<&Secret<String>>) -> Value {
        HelloOk {
            version,
            server_version: "0.1.0",
            connection: "c1",
            boot: "b1",
            build: Some("ui-1"),
            methods: &["health"],
            events: &["tick"],
            presence: &[],
            health: &json!({}),
            state_version: StateVersion { presence: 1, health: 2 },
            uptime_ms: 3,
            method: AuthMethod::DeviceToken,
            role: Role::Operator,
            scopes,
            device_token: token.map(|token| (token, UnixMillis(7))),
            other_tokens: &[],
        }
        .payload()
    }

    #[test]
    fn version_3_gets_what_the_old_gateways_sent() {
        let scopes = Scopes::from_iter([Scope::READ]);
        assert_eq!(
            hello(Version::V3, &scopes, Some(&Secret::new("t".to_owned()))),
            json!({ "type": "hello-ok", "protocol": 3, "server": { "version": "0.1.0", "connId": "c1" },
                "features": { "methods": ["health"], "events": ["tick"] },
                "snapshot": { "presence": [], "health": {}, "stateVersion": { "presence": 1, "health": 2 },
                              "uptimeMs": 3 },
                "auth": { "role": "operator", "scopes": ["operator.read"], "deviceToken": "t", "issuedAtMs": 7 },
                "policy": { "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000 } })
        );
    }

    #[test]
    fn version_4_gets_what_the_newer_gateway_sends() {
        let hello = hello(Version::V4, &Scopes::from_iter([Scope::READ]), None);
        assert_eq!(hello["protocol"], 4);
        assert_eq!(hello["server"], json!({ "version": "0.1.0", "connId": "c1", "bootId": "b1", "buildId": "ui-1" }));
        assert_eq!(hello["auth"], json!({ "method": "device-token", "role": "operator", "scopes": ["operator.read"] }));
        assert_eq!(hello["snapshot"]["suspension"], json!({ "phase": "accepting" }));
        assert_eq!(hello["policy"]["attachments"]["maxImageBytes"], 6_291_456);
    }

    #[test]
    fn only_an_admin_is_told_how_the_gateway_is_set_up() {
        for (scope, told) in [(Scope::ADMIN, true), (Scope::PAIRING, false)] {
            let hello = hello(Version::V4, &Scopes::from_iter([scope]), None);
            assert_eq!(hello["snapshot"].get("authMode").is_some(), told);
        }
    }
}
