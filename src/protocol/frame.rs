//! Frames: one JSON object per WebSocket text message (closed objects; an unknown key is an error).

use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::protocol::error::ErrorShape;

/// A request: `{"type":"req","id":…,"method":…,"params":…}`.
///
/// `params` stay as text until a method reads them, so that a large frame costs its own size and no more.
#[derive(Clone, Debug)]
pub struct Request {
    /// The client's own name for this request, repeated in the answer.
    pub id: String,
    /// The method's name.
    pub method: String,
    /// The method's parameters, unread.
    pub params: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(rename = "type")]
    kind: Kind,
    id: String,
    method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
    #[serde(default)]
    traceparent: Option<String>,
    #[serde(default, rename = "expectedProfileId")]
    expected_profile_id: Option<String>,
}

#[derive(Deserialize)]
enum Kind {
    #[serde(rename = "req")]
    Request,
}

impl Request {
    /// Reads one text message.
    ///
    /// # Errors
    /// [`FrameError::NotJson`] when no JSON reader could read it, else [`FrameError::NotRequest`].
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let wire: Wire = serde_json::from_str(text).map_err(|error| match error.classify() {
            // A wrong field may stand before the fault that makes the rest unreadable.
            serde_json::error::Category::Data if is_json(text) => FrameError::NotRequest,
            _ => FrameError::NotJson,
        })?;
        let Wire { kind: Kind::Request, id, method, params, traceparent, expected_profile_id } = wire;
        let label = |text: &str| !text.is_empty() && text.chars().nth(LABEL_CHARS_MAX).is_none();
        let short = traceparent.is_none_or(|text| text.chars().nth(128).is_none())
            && expected_profile_id.is_none_or(|text| !text.is_empty() && text.chars().nth(128).is_none());
        if !label(&id) || !label(&method) || !short {
            return Err(FrameError::NotRequest);
        }
        Ok(Self { id, method, params: params.filter(|raw| raw.get() != "null") })
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Why a message is no request.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FrameError {
    /// No JSON at all: the socket is closed without a word.
    #[error("not json")]
    NotJson,
    /// JSON, but not a request: closed 1008 `invalid request frame`.
    #[error("not a request frame")]
    NotRequest,
}

/// The text of `{"type":"res","id":…,"ok":true,"payload":…}`.
///
/// # Errors
/// When `payload` cannot be written as JSON; its own `Serialize` is at fault.
pub fn accepted(id: &str, payload: &impl Serialize) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Accepted<'a, P> {
        #[serde(rename = "type")]
        kind: &'static str,
        id: &'a str,
        ok: bool,
        payload: &'a P,
    }
    serde_json::to_string(&Accepted { kind: "res", id, ok: true, payload })
}

/// The text of `{"type":"res","id":…,"ok":false,"error":…}`.
///
/// # Errors
/// When the details cannot be written as JSON.
pub fn refused(id: &str, error: &ErrorShape) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Refused<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        id: &'a str,
        ok: bool,
        error: &'a ErrorShape,
    }
    serde_json::to_string(&Refused { kind: "res", id, ok: false, error })
}

/// The versions of the two lists that a client keeps, in events that change one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct StateVersion {
    /// Changes of the presence list so far.
    pub presence: u64,
    /// Changes of the health snapshot so far.
    pub health: u64,
}

/// The text of `{"type":"event","event":…,"payload":…,"seq":…,"stateVersion":…}`. Targeted events have no `seq`.
///
/// # Errors
/// When `payload` cannot be written as JSON.
pub fn event(
    name: &str,
    payload: &impl Serialize,
    seq: Option<u64>,
    state_version: Option<StateVersion>,
) -> serde_json::Result<String> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Event<'a, P> {
        #[serde(rename = "type")]
        kind: &'static str,
        event: &'a str,
        payload: &'a P,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        state_version: Option<StateVersion>,
    }
    serde_json::to_string(&Event { kind: "event", event: name, payload, seq, state_version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error::ErrorCode;

    #[test]
    fn a_request_is_a_closed_object() {
        let request = Request::parse(r#"{"type":"req","id":"1:a","method":"health","params":{"x":[1]}}"#).unwrap();
        assert_eq!((request.id.as_str(), request.method.as_str()), ("1:a", "health"));
        assert_eq!(request.params.unwrap().get(), r#"{"x":[1]}"#);
        let longest = "x".repeat(LABEL_CHARS_MAX);
        assert!(Request::parse(&format!(r#"{{"type":"req","id":"{longest}","method":"m","params":null}}"#)).is_ok());
        assert!(Request::parse(r#"{"type":"req","id":"1","method":"m","traceparent":"00-x"}"#).is_ok());
    }

    #[test]
    fn what_is_no_request_is_told_from_what_is_no_json() {
        let too_long = format!(r#"{{"type":"req","id":"{}","method":"m"}}"#, "x".repeat(LABEL_CHARS_MAX + 1));
        let deep = format!(r#"{{"type":"req","id":"1","method":"m","params":{}}}"#, "[".repeat(100_000));
        for (text, error) in [
            ("", FrameError::NotJson),
            ("{", FrameError::NotJson),
            ("hello", FrameError::NotJson),
            (r#"{"type":"req","id":"1","method":"m"} x"#, FrameError::NotJson),
            (r#"{"type":"res",}"#, FrameError::NotJson),
            (deep.as_str(), FrameError::NotJson),
            ("null", FrameError::NotRequest),
            ("[]", FrameError::NotRequest),
            ("{}", FrameError::NotRequest),
            (r#"{"type":"res","id":"1","ok":true}"#, FrameError::NotRequest),
            (r#"{"type":"req","id":"","method":"m"}"#, FrameError::NotRequest),
            (r#"{"type":"req","id":"1","method":""}"#, FrameError::NotRequest),
            (r#"{"type":"req","id":1,"method":"m"}"#, FrameError::NotRequest),
            (r#"{"type":"req","id":"1","method":"m","more":1}"#, FrameError::NotRequest),
            (r#"{"type":"req","id":"1","method":"m","method":"n"}"#, FrameError::NotRequest),
            (r#"{"type":"req","id":"1","method":"m","expectedProfileId":""}"#, FrameError::NotRequest),
            (too_long.as_str(), FrameError::NotRequest),
        ] {
            let shown: String = text.chars().take(80).collect();
            assert_eq!(Request::parse(text).unwrap_err(), error, "{shown}");
        }
    }

    #[test]
    fn answers_and_events_have_the_gateways_shape() {
        assert_eq!(accepted("1", &[0]).unwrap(), r#"{"type":"res","id":"1","ok":true,"payload":[0]}"#);
        let error = ErrorShape::new(ErrorCode::InvalidRequest, "no");
        assert_eq!(
            refused("\"", &error).unwrap(),
            r#"{"type":"res","id":"\"","ok":false,"error":{"code":"INVALID_REQUEST","message":"no"}}"#
        );
        let version = StateVersion { presence: 2, health: 3 };
        assert_eq!(
            event("tick", &1, Some(7), Some(version)).unwrap(),
            r#"{"type":"event","event":"tick","payload":1,"seq":7,"stateVersion":{"presence":2,"health":3}}"#
        );
    }
}
