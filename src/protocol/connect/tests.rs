//! `connect`, read strictly: each fault in the validator's words, each bound hit once.

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::base::limits::CAPABILITIES_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::SCOPES_MAX;
use crate::protocol::scope::Scope;
use crate::protocol::version::Audience;

fn good() -> Value {
    json!({
        "minProtocol": 3, "maxProtocol": 4, "role": "operator", "scopes": ["operator.write", "operator.read"],
        "client": { "id": "cli", "mode": "cli", "version": "2026.9.6", "platform": "linux", "displayName": "Anna's",
                    "deviceFamily": "Linux", "modelIdentifier": "x", "instanceId": "y", "buildId": "b",
                    "timeZone": "Europe/Warsaw" },
        "caps": ["a"], "commands": ["b"], "permissions": { "c": true }, "pathEnv": "/bin", "locale": "pl",
        "userAgent": "u", "computerUse": {}, "workerRuns": {}, "modelCatalog": {},
        "auth": { "token": "t", "password": "p", "deviceToken": "d", "bootstrapToken": "b",
                  "approvalRuntimeToken": "a", "agentRuntimeIdentityToken": "i" },
        "device": { "id": "i", "publicKey": "k", "signature": "s", "signedAt": 7, "nonce": "n" },
    })
}

fn read(params: &Value) -> Result<Connect, (Version, Failure)> {
    let frame = json!({ "type": "req", "id": "1", "method": "connect", "params": params });
    Connect::read(&Request::parse(&frame.to_string()).unwrap())
}

/// `good` with the value at `pointer` replaced, or removed.
fn with(pointer: &str, value: Option<Value>) -> Value {
    let mut params = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let object = params.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => object.insert(key.to_owned(), value),
        None => object.remove(key),
    };
    params
}

#[test]
fn everything_that_clients_send_is_read() {
    let connect = read(&good()).unwrap();
    assert_eq!((connect.version, connect.role), (Version::V4, Role::Operator));
    assert_eq!((connect.client.id, connect.client.mode), (ClientId::Cli, ClientMode::Cli));
    assert_eq!(connect.client.display_name.as_deref(), Some("Anna's"));
    assert_eq!(connect.scopes.as_slice(), [Scope::WRITE, Scope::READ], "in the order sent: that is what was signed");
    assert_eq!(connect.auth.signed(), "t");
    let device = connect.device.unwrap();
    assert_eq!((device.signed_at, device.nonce.as_deref()), (7, Some("n")));
}

#[test]
fn little_is_enough() {
    let connect = read(&json!({ "minProtocol": 4, "maxProtocol": 4.0,
        "client": { "id": "test", "mode": "test", "version": "0", "platform": "x" } }))
    .unwrap();
    assert_eq!(connect.role, Role::Operator);
    assert!(connect.scopes.set().is_empty(), "absent scopes are none");
    assert!(connect.device.is_none() && connect.auth.is_empty());
}

#[test]
fn the_highest_common_version_is_answered() {
    for (minimum, maximum, version) in [
        (3, 3, Some(Version::V3)),
        (4, 4, Some(Version::V4)),
        (3, 4, Some(Version::V4)),
        (1, 3, Some(Version::V3)),
        (1, 99, Some(Version::V4)),
        (1, 2, None),
        (5, 9, None),
        (4, 3, None),
    ] {
        let mut params = with("/minProtocol", Some(json!(minimum)));
        params["maxProtocol"] = json!(maximum);
        match (read(&params), version) {
            (Ok(connect), Some(version)) => assert_eq!(connect.version, version),
            (Err((_, failure)), None) => assert_eq!(failure, Failure::ProtocolMismatch { minimum, maximum }),
            (outcome, _) => panic!("{minimum}..={maximum}: {outcome:?}"),
        }
    }
}

#[test]
fn no_common_version_is_told_in_the_words_of_the_nearest() {
    for (maximum, version) in [(2, Version::V3), (9, Version::V4)] {
        let mut params = with("/minProtocol", Some(json!(maximum)));
        params["maxProtocol"] = json!(maximum);
        assert_eq!(read(&params).unwrap_err().0, version);
    }
}

#[test]
fn each_fault_has_the_validators_words() {
    let long = "x".repeat(LABEL_CHARS_MAX + 1);
    let word = |path: &str| format!("at {path}: must be equal to one of the allowed values");
    let pattern = r#"at /scopes/0: must match pattern "^[A-Za-z0-9._:*/-]+$""#;
    for (pointer, value, fault) in [
        ("/minProtocol", None, "must have required property 'minProtocol'"),
        ("/maxProtocol", Some(json!("4")), "at /maxProtocol: must be integer"),
        ("/maxProtocol", Some(json!(4.5)), "at /maxProtocol: must be integer"),
        ("/minProtocol", Some(json!(0)), "at /minProtocol: must be >= 1"),
        ("/client", None, "must have required property 'client'"),
        ("/client", Some(json!([])), "at /client: must be object"),
        ("/client/id", None, "at /client: must have required property 'id'"),
        ("/client/id", Some(json!("curl")), &word("/client/id")),
        ("/client/mode", Some(json!(1)), &word("/client/mode")),
        ("/client/version", Some(json!("")), "at /client/version: must not have fewer than 1 characters"),
        ("/client/platform", Some(json!(null)), "at /client/platform: must be string"),
        ("/client/displayName", Some(json!(long)), "at /client/displayName: must not have more than 256 characters"),
        ("/client/buildId", Some(json!("x".repeat(97))), "at /client/buildId: must not have more than 96 characters"),
        ("/client/timeZone", Some(json!("x".repeat(65))), "at /client/timeZone: must not have more than 64 characters"),
        ("/client/more", Some(json!(1)), "at /client: unexpected property 'more'"),
        ("/more", Some(json!(1)), "at root: unexpected property 'more'"),
        ("/role", Some(json!("")), "at /role: must not have fewer than 1 characters"),
        ("/scopes", Some(json!("operator.read")), "at /scopes: must be array"),
        ("/scopes", Some(json!(["a,b"])), pattern),
        ("/scopes", Some(json!([1])), "at /scopes/0: must be string"),
        ("/scopes", Some(json!(vec!["a"; SCOPES_MAX + 1])), "at /scopes: must not have more than 64 items"),
        ("/caps", Some(json!([""])), "at /caps/0: must not have fewer than 1 characters"),
        ("/commands", Some(json!(vec!["a"; CAPABILITIES_MAX + 1])), "at /commands: must not have more than 1024 items"),
        ("/permissions", Some(json!({ "a": 1 })), "at /permissions: must have boolean values only"),
        ("/permissions", Some(json!([])), "at /permissions: must be object"),
        ("/locale", Some(json!(1)), "at /locale: must be string"),
        ("/device", Some(json!(null)), "at /device: must be object"),
        ("/device/nonce", None, "at /device: must have required property 'nonce'"),
        ("/device/id", Some(json!("")), "at /device/id: must not have fewer than 1 characters"),
        ("/device/signedAt", Some(json!(-1)), "at /device/signedAt: must be >= 0"),
        ("/device/signedAt", Some(json!("7")), "at /device/signedAt: must be integer"),
        ("/device/signedAt", Some(json!(9_223_372_036_854_775_808_u64)), "at /device/signedAt: must be integer"),
        (
            "/device/publicKey",
            Some(json!("x".repeat(513))),
            "at /device/publicKey: must not have more than 512 characters",
        ),
        ("/auth", Some(json!("t")), "at /auth: must be object"),
        ("/auth/token", Some(json!(null)), "at /auth/token: must be string"),
        ("/auth/token", Some(json!(["t"])), "at /auth/token: must be string"),
        ("/auth/password", Some(json!({})), "at /auth/password: must be string"),
        ("/auth/token", Some(json!("x".repeat(4097))), "at /auth/token: must not have more than 4096 characters"),
        ("/auth/secret", Some(json!("t")), "at /auth: unexpected property 'secret'"),
    ] {
        match read(&with(pointer, value)) {
            Err((_, Failure::ConnectInvalid(faults))) => assert_eq!(faults.to_string(), fault, "{pointer}"),
            other => panic!("{pointer}: {other:?}"),
        }
    }
}

#[test]
fn a_strangers_key_is_shown_escaped_and_cut() {
    let params = with(&format!("/\r\n\u{1b}[2J'{}", "x".repeat(100)), Some(json!(1)));
    let Err((_, Failure::ConnectInvalid(faults))) = read(&params) else { panic!() };
    let shown = faults.to_string();
    assert!(shown.starts_with(r"at root: unexpected property '\u{d}\u{a}\u{1b}[2J'xxx"), "{shown}");
    assert!(shown.len() < 120, "{shown}");
}

#[test]
fn many_faults_are_named_and_no_more_than_eight() {
    let Err((_, Failure::ConnectInvalid(faults))) = read(&json!({})) else { panic!() };
    let expected = "must have required property 'minProtocol'; must have required property 'maxProtocol'; \
                    must have required property 'client'";
    assert_eq!(faults.to_string(), expected);
    let unknown: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("k{n}"), json!(n))).collect();
    let Err((_, Failure::ConnectInvalid(faults))) = read(&Value::Object(unknown)) else { panic!() };
    assert_eq!(faults.to_string().split("; ").count(), 8);
}

#[test]
fn version_3_may_leave_the_nonce_out_on_the_wire() {
    let mut params = with("/device/nonce", None);
    params["maxProtocol"] = json!(3);
    assert_eq!(read(&params).unwrap().device.unwrap().nonce, None);
}

#[test]
fn empty_credentials_are_none() {
    let connect = read(&with("/auth", Some(json!({ "token": "", "password": "" })))).unwrap();
    assert!(connect.auth.is_empty());
    assert_eq!(connect.auth.signed(), "");
}

#[test]
fn the_version_is_judged_before_the_role() {
    let params = with("/role", Some(json!("worker")));
    assert_eq!(read(&params).unwrap_err().1, Failure::RoleInvalid);
    let mut params = params;
    params["minProtocol"] = json!(9);
    assert_eq!(read(&params).unwrap_err().1, Failure::ProtocolMismatch { minimum: 9, maximum: 4 });
}

#[test]
fn only_connect_comes_first() {
    let request = Request::parse(r#"{"type":"req","id":"1","method":"health"}"#).unwrap();
    assert_eq!(Connect::read(&request).unwrap_err().1, Failure::ConnectExpected);
    for params in ["", r#","params":null"#, r#","params":[]"#, r#","params":"x""#] {
        let request = Request::parse(&format!(r#"{{"type":"req","id":"1","method":"connect"{params}}}"#)).unwrap();
        let Err((_, Failure::ConnectInvalid(faults))) = Connect::read(&request) else { panic!("{params}") };
        assert_eq!(faults.to_string(), "must be object");
    }
}

#[test]
fn a_doubled_key_is_refused() {
    let text = good().to_string().replacen(r#""role""#, r#""role":"node","role""#, 1);
    let request = Request::parse(&format!(r#"{{"type":"req","id":"1","method":"connect","params":{text}}}"#)).unwrap();
    let Err((_, Failure::ConnectInvalid(faults))) = Connect::read(&request) else { panic!() };
    assert_eq!(faults.to_string(), "must not have duplicate properties");
}

#[test]
fn hints_are_for_the_program_that_calls() {
    for (id, mode, seat, audience) in [
        ("cli", "cli", Seat::Here, Audience::CliHere),
        ("cli", "cli", Seat::There, Audience::CliThere),
        ("openclaw-control-ui", "webchat", Seat::Here, Audience::Ui),
        ("webchat", "webchat", Seat::There, Audience::Ui),
        ("openclaw-ios", "ui", Seat::There, Audience::Other),
        ("node-host", "node", Seat::There, Audience::Other),
    ] {
        let mut params = with("/client/id", Some(json!(id)));
        params["client"]["mode"] = json!(mode);
        assert_eq!(read(&params).unwrap().client.audience(seat), audience, "{id}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in ".{0,200}") {
        if let Ok(request) = Request::parse(&text) {
            let _ = Connect::read(&request);
        }
    }

    #[test]
    fn no_value_anywhere_breaks_the_reader(
        place in 0_usize..14,
        value in proptest::sample::select(vec![
            json!(null), json!(true), json!(-1), json!(1e300), json!(u64::MAX), json!(""), json!("\0|,"), json!([]),
            json!([[[]]]), json!({}), json!({ "a": { "b": [1] } }),
        ]),
    ) {
        let places = ["/minProtocol", "/maxProtocol", "/client", "/client/id", "/client/mode", "/role", "/scopes",
                      "/device", "/device/signedAt", "/device/nonce", "/auth", "/auth/token", "/permissions", "/caps"];
        let _ = read(&with(places[place], Some(value)));
    }
}
