//! The first frame of a socket: what is read can be written and read again, and every failure has an answer that fits.

use doorward::protocol::connect::Connect;
use doorward::protocol::frame::Request;
use doorward::protocol::json;
use serde_json::{Value, json};

/// What a close frame can carry of a reason (RFC 6455 §5.5).
const REASON_BYTES: usize = 123;

/// Checks any text as a frame.
pub fn holds(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(value) = json::parse(text) {
        assert_eq!(value, serde_json::from_str::<Value>(text).unwrap(), "one JSON text, two readings");
    }
    let Ok(request) = Request::parse(text) else { return };
    let again = written(&request);
    assert_eq!((&again.id, &again.method), (&request.id, &request.method));
    assert_eq!(again.params.as_ref().map(|raw| raw.get()), request.params.as_ref().map(|raw| raw.get()));
    match (Connect::read(&request), Connect::read(&again)) {
        (Ok(connect), Ok(again)) => {
            assert_eq!((&connect.client, &connect.role), (&again.client, &again.role));
            assert_eq!((&connect.scopes, &connect.device), (&again.scopes, &again.device));
            let asked = connect.scopes.set();
            assert!(asked.iter().all(|scope| !scope.as_str().is_empty() && scope.as_str().is_ascii()), "{asked:?}");
            assert_eq!(connect.auth.signed(), again.auth.signed());
        }
        (Err((version, failure)), Err(_)) => {
            assert!(failure.close(version).reason().len() <= REASON_BYTES, "{failure:?}");
            if let Some(error) = failure.error(version) {
                assert!(serde_json::to_string(&error).is_ok_and(|text| !text.is_empty()));
            }
        }
        (first, second) => panic!("{first:?}\n{second:?}"),
    }
}

/// The frame as another client would write it.
fn written(request: &Request) -> Request {
    let (id, method) = (json!(request.id), json!(request.method));
    let params = request.params.as_ref().map_or("null", |raw| raw.get());
    Request::parse(&format!("{{\"params\":{params},\"method\":{method},\"id\":{id},\"type\":\"req\"}}")).unwrap()
}
