//! Devices as a person reads them. Names and platforms are a stranger's words: everything is made printable.

use std::fmt::Write;

use serde_json::Value;

use crate::base::clock::UnixMillis;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::OwnerCommand;
use crate::base::printable::printable;
use crate::cli::invite;

/// Both lists.
pub(in crate::cli) fn lists(lists: &Value, owner: &OwnerCommand, now: UnixMillis) -> String {
    let list = |key| lists.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (pending, paired) = (list("pending"), list("paired"));
    let invite = lists.get("invite").filter(|invite| invite.is_object()).map_or_else(String::new, |invite| {
        let (left, scopes, cancel) = (invite::left(invite, now), invite::scopes(invite), owner.with("invite --cancel"));
        format!("An invite is open for {left}: {scopes}. Take it back: {cancel}\n")
    });
    if pending.is_empty() && paired.is_empty() {
        return format!("{invite}No device pairing entries.\n");
    }
    let mut shown = format!("{invite}Pending ({})\n", pending.len());
    for request in pending {
        pending_request(&mut shown, request, owner, now);
    }
    let _ = write!(shown, "\nPaired ({})\n", paired.len());
    for device in paired {
        paired_device(&mut shown, device, now);
    }
    shown
}

fn pending_request(shown: &mut String, request: &Value, owner: &OwnerCommand, now: UnixMillis) {
    let id = text(request.get("requestId"));
    let _ = writeln!(shown, "\n  {id}");
    line(shown, "device", &device(request));
    line(shown, "id", &text(request.get("deviceId")));
    line(shown, "asks for", &format!("{}: {}", text(request.get("role")), words(request.get("scopes"))));
    line(shown, "from", &origin(request.get("origin")));
    line(shown, "first seen", &age(request.get("ts"), now));
    if request.get("isRepair").and_then(Value::as_bool).unwrap_or_default() {
        line(shown, "note", "this device was paired before and asks again");
    }
    let digest = text(request.get("digest"));
    line(shown, "approve", &owner.with(&format!("devices approve {id} --digest {digest}")));
}

fn paired_device(shown: &mut String, paired: &Value, now: UnixMillis) {
    let _ = writeln!(shown, "\n  {}", text(paired.get("deviceId")));
    if let Some(label) = paired.get("operatorLabel") {
        line(shown, "name", &text(Some(label)));
    }
    line(shown, "device", &device(paired));
    let roles = words(paired.get("roles"));
    line(shown, "may", &format!("{roles}: {}", words(paired.get("scopes"))));
    line(shown, "approved", &format!("{}, {}", age(paired.get("approvedAtMs"), now), text(paired.get("approvedVia"))));
}

fn line(shown: &mut String, label: &str, value: &str) {
    let _ = writeln!(shown, "    {label:<11}{value}");
}

fn device(entry: &Value) -> String {
    let of = |key: &str| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let known = ["displayName", "platform", "clientId", "clientMode"].into_iter().filter_map(of);
    let known: Vec<_> = known.map(|text| printable(text, LABEL_CHARS_MAX)).collect();
    if known.is_empty() { "-".to_owned() } else { known.join(" · ") }
}

fn origin(claim: Option<&Value>) -> String {
    let of = |key: &str| claim.and_then(|claim| claim.get(key)).and_then(Value::as_str);
    let who = of("ip").unwrap_or("unattributed");
    let class = of("class").filter(|class| *class != who).map(|class| format!(" ({class})")).unwrap_or_default();
    let listener = of("listener").map(|name| format!(", listener {name}")).unwrap_or_default();
    printable(&format!("{who}{class}{listener}"), LABEL_CHARS_MAX)
}

fn words(list: Option<&Value>) -> String {
    let words = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let words: Vec<_> = words.iter().map(|word| text(Some(word))).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// A JSON text for a terminal; `-` for anything else.
pub(in crate::cli) fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).map_or_else(|| "-".to_owned(), |text| printable(text, LABEL_CHARS_MAX))
}

/// How long ago a time in milliseconds was.
fn age(at: Option<&Value>, now: UnixMillis) -> String {
    at.and_then(Value::as_i64).map_or_else(|| "-".to_owned(), |at| UnixMillis(at).ago(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_is_shown_with_its_origin_and_the_command_that_approves_it() {
        let lists_value = json!({
            "pending": [{
                "requestId": "r-1", "deviceId": "d-1", "displayName": "Ann's phone", "platform": "ios", "role": "operator",
                "scopes": ["operator.read", "operator.write"], "ts": 1_000, "digest": "ab12",
                "origin": {"kind": "ip", "ip": "192.168.1.20", "class": "private", "listener": "lan"},
            }],
            "paired": [],
        });
        let shown = lists(&lists_value, &OwnerCommand::default(), UnixMillis(181_000));
        for expected in [
            "Pending (1)\n",
            "Ann's phone · ios\n",
            "operator: operator.read, operator.write\n",
            "192.168.1.20 (private), listener lan\n",
            "3 minutes ago\n",
            "doorward devices approve r-1 --digest ab12\n",
            "Paired (0)\n",
        ] {
            assert!(shown.contains(expected), "{expected:?} is not in\n{shown}");
        }
    }

    #[test]
    fn a_strangers_words_cannot_move_the_cursor_or_forge_a_line() {
        let evil = "x\u{1b}[2J\nPaired (9)\u{202e}";
        let lists_value = json!({"pending": [{
            "requestId": evil, "deviceId": evil, "displayName": evil, "platform": evil, "role": evil, "scopes": [evil],
            "digest": evil, "origin": {"ip": evil, "class": evil, "listener": evil},
        }], "paired": [{"deviceId": evil, "roles": [evil], "approvedVia": evil}]});
        let shown = lists(&lists_value, &OwnerCommand::default(), UnixMillis(0));
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
        assert_eq!(shown.lines().filter(|line| line.starts_with("Paired (")).count(), 1, "{shown}");
    }

    #[test]
    fn anything_can_be_shown() {
        assert_eq!(lists(&json!({}), &OwnerCommand::default(), UnixMillis(0)), "No device pairing entries.\n");
        let odd = json!({"pending": [1, null, {}], "paired": [[], {"deviceId": 3}]});
        assert!(lists(&odd, &OwnerCommand::default(), UnixMillis(0)).contains("Pending (3)"));
    }
}
