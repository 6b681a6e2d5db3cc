//! As which program our own connection presents itself, what it asks for, and what it reads off the answer. Pure.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::base::limits::BUILD_ID_CHARS_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::core::upstream::state::Reason;
use crate::core::upstream::state::State;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;
use crate::protocol::version::Version;

/// Where the upstream's page names its build.
const BUILD_ID: &str = "data-openclaw-control-ui-build-id=\"";

/// As which program we connect.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// A dashboard on the upstream's own machine: the newer gateway pairs it by itself, through a container's NAT too. So this
    /// comes first, for a device that was seen in another shape has to be approved by a person.
    Dashboard(String),
    /// The same, at the address that we dial: where loopback origins are not taken.
    DashboardByAddress(String),
    /// A command line: for a gateway that serves no dashboard.
    CommandLine,
    /// A program of the gateway's own, which has no device.
    Program,
}

impl Shape {
    /// What `connect` says of us as `name`.
    pub(super) fn params(&self, name: &str) -> Map<String, Value> {
        let (id, mode, build) = match self {
            Self::Dashboard(build) | Self::DashboardByAddress(build) => ("openclaw-control-ui", "webchat", Some(build)),
            // A program of its own is named where it presents itself.
            Self::CommandLine | Self::Program => ("cli", "cli", None),
        };
        let mut client = json!({
            "id": id, "mode": mode, "version": env!("CARGO_PKG_VERSION"), "displayName": name,
            "instanceId": name,
        });
        if let (Some(build), Value::Object(client)) = (build, &mut client) {
            client.insert("buildId".to_owned(), build.as_str().into());
        }
        let mut params = Map::new();
        params.insert("client".to_owned(), client);
        params.insert("caps".to_owned(), json!([]));
        params
    }
}

/// Everything that we may have to do there, and what any of our clients may be granted.
pub(super) fn wanted() -> Scopes {
    [Scope::ADMIN, Scope::PAIRING, Scope::APPROVALS, Scope::READ, Scope::WRITE, Scope::QUESTIONS].into_iter().collect()
}

/// How the upstream is that says this; without the rights that we asked for it is of no use to anybody.
pub(super) fn up(hello: &Map<String, Value>) -> Result<State, State> {
    let version = hello.get("server").and_then(|server| server.get("version")).and_then(Value::as_str);
    let protocol = hello.get("protocol").and_then(Value::as_i64).unwrap_or(4);
    let protocol = Version::negotiate(protocol, protocol)
        .ok_or(State::Refuses(Reason::Protocol { expected: u8::try_from(protocol).ok() }))?;
    // Early gateways name none, and give what is asked.
    let granted = hello.get("auth").and_then(|auth| auth.get("scopes")).and_then(Value::as_array);
    if granted.is_some_and(|granted| !granted.iter().any(|scope| scope == Scope::ADMIN.as_str())) {
        return Err(State::Refuses(Reason::NoRights));
    }
    Ok(State::Up { version: printable(version.unwrap_or("?"), LABEL_CHARS_MAX), protocol })
}

/// The build that the page names; a hash of the page's own files behind it is no part of it.
pub(super) fn build_id(page: &str) -> Option<String> {
    let (_, rest) = page.split_once(BUILD_ID)?;
    let (build, _) = rest.split_once('"')?;
    let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let build = build.rsplit_once('-').filter(|(_, hash)| is_hash(hash)).map_or(build, |(build, _)| build);
    is_build(build).then(|| build.to_owned())
}

/// Whether this may be a build's name.
pub(super) fn is_build(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= BUILD_ID_CHARS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_read_off_the_page() {
        let page = "<html data-openclaw-control-ui-base-path=\"\" data-openclaw-control-ui-build-id=\"2026.9.6-x\">";
        assert_eq!(build_id(page).as_deref(), Some("2026.9.6-x"));
        let hashed = format!("data-openclaw-control-ui-build-id=\"2026.9.6-release-x-{}\" lang", "a1".repeat(32));
        assert_eq!(build_id(&hashed).as_deref(), Some("2026.9.6-release-x"));
        for none in ["", "<html>", "data-openclaw-control-ui-build-id=\"\"", "data-openclaw-control-ui-build-id=\"x"] {
            assert_eq!(build_id(none), None, "{none}");
        }
    }

    #[test]
    fn an_upstream_that_gives_us_no_rights_or_speaks_another_protocol_is_not_up() {
        let up = |hello: Value| {
            let Value::Object(hello) = hello else { panic!() };
            up(&hello)
        };
        let version = "2026.1.29".to_owned();
        let server = json!({ "version": version });
        assert_eq!(up(json!({ "protocol": 3, "server": server })), Ok(State::Up { version, protocol: Version::V3 }));
        let empty = json!({ "protocol": 4, "server": server, "auth": { "scopes": [] } });
        assert_eq!(up(empty), Err(State::Refuses(Reason::NoRights)));
        let later = json!({ "protocol": 5, "server": server });
        assert_eq!(up(later), Err(State::Refuses(Reason::Protocol { expected: Some(5) })));
    }
}
