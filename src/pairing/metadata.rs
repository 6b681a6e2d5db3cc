//! The machine a device says it is: frozen when it was approved, because the signed proof repeats it. Another platform or
//! family under the same key is a new claim that a person must see, save for what changes by itself: a native app whose
//! system was updated, and the names that a node host has for one and the same system.

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::pairing::paired::Profile;
use crate::protocol::connect::Client;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::ClientMode;

/// How a claim compares with what was approved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pin {
    /// It says something else: a person must approve that.
    Broken,
    /// It says the same.
    Holds,
    /// It says the same of a newer system: this is its platform from now on.
    Moved(String),
}

/// Compares what `client` says with what was approved.
pub fn pin(approved: &Profile, client: &Client) -> Pin {
    let family = client.device_family.as_deref().map(shown);
    if approved.device_family.as_deref().is_some_and(|pinned| folded(pinned) != folded(&family.unwrap_or_default())) {
        return Pin::Broken;
    }
    let claimed_shown = shown(&client.platform);
    let (pinned, claimed) = (folded(&approved.platform), folded(&claimed_shown));
    if pinned == claimed || (is_node_host(client) && same_runtime(&pinned, &claimed)) {
        Pin::Holds
    } else if is_update(client.id, &pinned, &claimed) {
        Pin::Moved(claimed_shown)
    } else {
        Pin::Broken
    }
}

fn is_node_host(client: &Client) -> bool {
    client.id == ClientId::NodeHost && client.mode == ClientMode::Node
}

/// Whether both are names that a node host has for one system: its runtime's, the system's, and that of the app it came with.
fn same_runtime(pinned: &str, claimed: &str) -> bool {
    let by_app = matches!(claimed, "darwin" | "macos") && versions(pinned, "macos");
    by_app || runtime(pinned) == runtime(claimed)
}

fn runtime(platform: &str) -> &str {
    match platform {
        "darwin" => "macos",
        "win32" => "windows",
        other => other,
    }
}

/// Whether a native app is on the same kind of system as before, in another version of it.
fn is_update(app: ClientId, pinned: &str, claimed: &str) -> bool {
    let from_runtime = app == ClientId::Macos && versions(claimed, "macos") && matches!(pinned, "darwin" | "macos");
    from_runtime || system(app, claimed).is_some_and(|of| system(app, pinned) == Some(of))
}

/// The kind of system that this app names so.
fn system(app: ClientId, platform: &str) -> Option<&'static str> {
    let begins = |name: &str| platform.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    match app {
        ClientId::Android if begins("android") => Some("android"),
        ClientId::Ios if begins("ios") || begins("ipados") => Some("ios"),
        ClientId::Macos if versions(platform, "macos") => Some("macos"),
        ClientId::Watchos if versions(platform, "watchos") => Some("watchos"),
        _ => None,
    }
}

/// Whether it is `name` and one to three numbers joined by dots.
fn versions(platform: &str, name: &str) -> bool {
    let version = platform.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
    version.is_some_and(|version| {
        let numbers = || version.split('.');
        numbers().count() <= 3
            && numbers().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

fn shown(label: &str) -> String {
    printable(label, LABEL_CHARS_MAX)
}

fn folded(label: &str) -> String {
    label.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, mode: &str, platform: &str, family: Option<&str>) -> Client {
        Client {
            id: ClientId::parse(id).unwrap(),
            mode: ClientMode::parse(mode).unwrap(),
            version: "1".to_owned(),
            platform: platform.to_owned(),
            display_name: None,
            device_family: family.map(str::to_owned),
            instance_id: None,
            build_id: None,
        }
    }

    #[test]
    fn another_machine_under_the_same_key_must_be_seen() {
        let (cli, ios, mac) = (("cli", "cli"), ("openclaw-ios", "ui"), ("openclaw-macos", "ui"));
        let (watch, android, node) = (("openclaw-watchos", "ui"), ("openclaw-android", "ui"), ("node-host", "node"));
        for ((id, mode), pinned, claimed, kind) in [
            (cli, "linux", "linux", "holds"),
            (cli, "linux", " Linux ", "holds"),
            (cli, "linux", "macos", "broken"),
            (cli, "linux", "", "broken"),
            (cli, "darwin", "macos", "broken"),
            (cli, "ios 17.1", "ios 18", "broken"),
            (ios, "iOS 17.1", "iOS 18.0", "moved"),
            (ios, "iOS", "iPadOS 18", "moved"),
            (ios, "ios 17", "iosx 17", "broken"),
            (ios, "ios 17", "android 15", "broken"),
            (android, "android 14", "android 15 beta", "moved"),
            (watch, "watchos 10", "watchos 11.0.1", "moved"),
            (watch, "watchos 10", "watchos 11.0.0.1", "broken"),
            (watch, "watchos 10", "watchos", "broken"),
            (mac, "macos 14.1", "macos 15", "moved"),
            (mac, "darwin", "macos 15", "moved"),
            (mac, "macos 15", "darwin", "broken"),
            (mac, "linux", "macos 15", "broken"),
            (node, "darwin", "macos", "holds"),
            (node, "macos 15.1", "darwin", "holds"),
            (node, "win32", "windows", "holds"),
            (node, "linux", "darwin", "broken"),
        ] {
            let approved = Profile::of(&client(id, mode, pinned, None));
            let found = match pin(&approved, &client(id, mode, claimed, None)) {
                Pin::Broken => "broken",
                Pin::Holds => "holds",
                Pin::Moved(_) => "moved",
            };
            assert_eq!(found, kind, "{id}: {pinned:?} then {claimed:?}");
        }
    }

    #[test]
    fn a_family_once_named_stays() {
        for (pinned, claimed, pinned_holds) in [
            (None, None, true),
            (None, Some("iPhone"), true),
            (Some("iPhone"), Some("iphone"), true),
            (Some("iPhone"), Some("iPad"), false),
            (Some("iPhone"), None, false),
        ] {
            let approved = Profile::of(&client("openclaw-ios", "ui", "ios 17", pinned));
            let held = pin(&approved, &client("openclaw-ios", "ui", "ios 17", claimed)) == Pin::Holds;
            assert_eq!(held, pinned_holds, "{pinned:?} then {claimed:?}");
        }
    }

    #[test]
    fn what_is_escaped_when_stored_is_escaped_when_compared() {
        let odd = client("cli", "cli", "li\u{202e}nux\n", None);
        assert_eq!(pin(&Profile::of(&odd), &odd), Pin::Holds);
    }
}
