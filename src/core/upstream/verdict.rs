//! What the upstream makes of a `connect`, and whose fault a refusal is: the client's, ours, or nobody's. Pure.

use serde_json::Map;
use serde_json::Value;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::UPSTREAM_REQUEST_ID_CHARS_MAX;
use crate::base::printable::printable;
use crate::core::upstream::state::Reason;
use crate::protocol::close::Close;
use crate::protocol::refusal::ClientRefused;

/// What came of a `connect`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// The payload of `hello-ok`.
    Accepted(Map<String, Value>),
    /// This client cannot go on there as it is, and the upstream says so itself.
    Client(Box<ClientRefused>),
    /// It will not have us.
    Refused(Reason),
    /// It has only just begun to start, or is about to restart.
    Starting,
}

/// Reads the answer to the request `id`; nothing for any other message.
pub(super) fn of(text: &str, id: &str) -> Option<Verdict> {
    let Value::Object(mut frame) = serde_json::from_str(text).ok()? else { return None };
    if frame.get("type")? != "res" || frame.get("id")? != id {
        return None;
    }
    if frame.get("ok") == Some(&Value::Bool(true)) {
        return match frame.remove("payload") {
            Some(Value::Object(payload)) => Some(Verdict::Accepted(payload)),
            _ => Some(Verdict::Refused(Reason::HelloEmpty)),
        };
    }
    Some(refused(frame.get("error").unwrap_or(&Value::Null)))
}

/// What a close without an answer means.
pub(super) fn of_close(close: Option<&Close>) -> Verdict {
    match close.and_then(Close::code) {
        Some(1008) => {
            let reason = close.map(Close::reason).unwrap_or_default();
            Verdict::Refused(Reason::Other(printable(reason, LABEL_CHARS_MAX)))
        }
        _ => Verdict::Starting,
    }
}

fn refused(error: &Value) -> Verdict {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let detail = |key: &str| error.get("details").and_then(|details| details.get(key));
    let (code, message, detailed) = (text(error.get("code")), text(error.get("message")), text(detail("code")));
    if code == "NOT_PAIRED" || detailed == "PAIRING_REQUIRED" || message.starts_with("pairing required") {
        let request = detail("requestId").and_then(Value::as_str).filter(|id| is_request(id));
        return Verdict::Refused(Reason::NotPaired { request: request.map(str::to_owned) });
    }
    if message.starts_with("protocol mismatch") {
        if detail("reloadRequired") == Some(&Value::Bool(true)) {
            return Verdict::Client(Box::new(ClientRefused { message, details: details(error) }));
        }
        let expected = detail("expectedProtocol").and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
        return Verdict::Refused(Reason::Protocol { expected });
    }
    if detailed == "AUTH_RATE_LIMITED" || message.contains("too many failed") {
        return Verdict::Refused(Reason::LockedOut);
    }
    if detailed.starts_with("AUTH_") || message.starts_with("unauthorized") {
        return Verdict::Refused(Reason::Token);
    }
    if detailed == "CONTROL_UI_ORIGIN_NOT_ALLOWED" || message.starts_with("origin ") {
        return Verdict::Refused(Reason::WebOrigin);
    }
    if code == "UNAVAILABLE" {
        return Verdict::Starting;
    }
    Verdict::Refused(Reason::Other(printable(&message, LABEL_CHARS_MAX)))
}

/// Whether `id` names a request: one word of a command line that the owner copies, and no option of it.
fn is_request(id: &str) -> bool {
    id.len() <= UPSTREAM_REQUEST_ID_CHARS_MAX
        && id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn details(error: &Value) -> Map<String, Value> {
    error.get("details").and_then(Value::as_object).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_is_somebodys_fault() {
        let refused = |code: &str, message: &str, details: Value| {
            let frame = json!({ "type": "res", "id": "c", "ok": false,
                "error": { "code": code, "message": message, "details": details } });
            of(&frame.to_string(), "c").unwrap()
        };
        let reason = Verdict::Refused;
        for (verdict, expected) in [
            (
                refused("NOT_PAIRED", "pairing required: x", json!({ "code": "PAIRING_REQUIRED", "requestId": "r" })),
                reason(Reason::NotPaired { request: Some("r".to_owned()) }),
            ),
            (
                refused("NOT_PAIRED", "device identity required", Value::Null),
                reason(Reason::NotPaired { request: None }),
            ),
            (
                refused(
                    "INVALID_REQUEST",
                    "unauthorized: gateway token mismatch",
                    json!({ "code": "AUTH_TOKEN_MISMATCH" }),
                ),
                reason(Reason::Token),
            ),
            (
                refused(
                    "INVALID_REQUEST",
                    "unauthorized: too many failed authentication attempts",
                    json!({ "code": "AUTH_RATE_LIMITED" }),
                ),
                reason(Reason::LockedOut),
            ),
            (
                refused(
                    "INVALID_REQUEST",
                    "origin not allowed (x)",
                    json!({ "code": "CONTROL_UI_ORIGIN_NOT_ALLOWED" }),
                ),
                reason(Reason::WebOrigin),
            ),
            (
                refused("INVALID_REQUEST", "protocol mismatch", json!({ "expectedProtocol": 3 })),
                reason(Reason::Protocol { expected: Some(3) }),
            ),
            (refused("UNAVAILABLE", "gateway starting; retry shortly", json!({})), Verdict::Starting),
            (refused("INVALID_REQUEST", "invalid role", json!({})), reason(Reason::Other("invalid role".to_owned()))),
        ] {
            assert_eq!(verdict, expected);
        }
        let reload = json!({ "code": "PROTOCOL_MISMATCH", "reloadRequired": true });
        let told = refused("UNAVAILABLE", "protocol mismatch: Control UI updated; reload", reload.clone());
        let Verdict::Client(told) = told else { panic!("{told:?}") };
        assert_eq!(
            (told.message.as_str(), Value::Object(told.details)),
            ("protocol mismatch: Control UI updated; reload", reload)
        );
    }

    #[test]
    fn a_request_is_named_only_by_what_is_safe_in_a_command() {
        let named = |id: &str| {
            let error = json!({ "code": "NOT_PAIRED", "details": { "requestId": id } });
            match refused(&error) {
                Verdict::Refused(Reason::NotPaired { request }) => request,
                other => panic!("{other:?}"),
            }
        };
        let longest = "a".repeat(UPSTREAM_REQUEST_ID_CHARS_MAX);
        for good in ["r-9", "0F8fad5b-d9cb-469f-a165-70867728950e", &longest] {
            assert_eq!(named(good).as_deref(), Some(good));
        }
        for bad in ["", "-y", "r;reboot", "$(reboot)", "r 9", "r\u{1b}[2J", "r\n", "ü", &format!("{longest}a")] {
            assert_eq!(named(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_the_answer_to_our_request_counts() {
        for other in ["x", r#"{"type":"event","event":"tick"}"#, r#"{"type":"res","id":"d","ok":true,"payload":{}}"#] {
            assert_eq!(of(other, "c"), None, "{other}");
        }
        let hello = r#"{"type":"res","id":"c","ok":true,"payload":{"type":"hello-ok"}}"#;
        assert!(matches!(of(hello, "c"), Some(Verdict::Accepted(payload)) if payload["type"] == "hello-ok"));
        let empty = r#"{"type":"res","id":"c","ok":true}"#;
        assert_eq!(of(empty, "c"), Some(Verdict::Refused(Reason::HelloEmpty)), "no word of the gateway's");
        assert_eq!(of_close(Some(&Close::new(1013, "gateway starting"))), Verdict::Starting);
        assert_eq!(of_close(None), Verdict::Starting);
        assert_eq!(of_close(Some(&Close::new(1008, "no"))), Verdict::Refused(Reason::Other("no".to_owned())));
    }
}
