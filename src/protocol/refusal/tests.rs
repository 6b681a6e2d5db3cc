//! Each failure's words in each version, as a table: they are a contract with clients we did not write.

use serde_json::Value;
use serde_json::json;

use super::*;

const DEVICE: &str = "3d16effef61e745a270c860abf220e712d36da4b3f357e384146f7bae28cf924";
const REQUEST: &str = "4ec57fcc-a6cf-4911-bd14-5024c001e423";

/// What a failure says: error code, message, details, and the close code; the close reason is the message unless given.
struct Words {
    failure: Failure,
    code: &'static str,
    old: (&'static str, Value),
    new: (&'static str, Value),
    close: u16,
}

#[test]
fn each_refusal_has_its_words_in_each_version() {
    for Words { failure, code, old, new, close } in proofs().into_iter().chain(credentials()).chain(others()) {
        for (version, (message, details)) in [(Version::V3, old), (Version::V4, new)] {
            let error = serde_json::to_value(failure.error(version).unwrap()).unwrap();
            assert_eq!(error["code"], code, "{failure:?}");
            assert_eq!(error["message"], message, "{failure:?}");
            assert_eq!(error.get("details").unwrap_or(&Value::Null), &details, "{failure:?} in {version:?}");
            let closing = failure.close(version);
            assert_eq!(closing.code(), Some(close), "{failure:?}");
            let reason: String = message.chars().take(120).collect();
            assert_eq!(closing.reason(), reason, "{failure:?}");
        }
    }
}

fn proofs() -> Vec<Words> {
    let words = |fault, message, code, reason| Words {
        failure: Failure::Proof(fault),
        code: "INVALID_REQUEST",
        old: (message, Value::Null),
        new: (message, json!({ "code": code, "reason": reason })),
        close: 1008,
    };
    vec![
        words(
            ProofFault::IdMismatch,
            "device identity mismatch",
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
            "device-id-mismatch",
        ),
        words(
            ProofFault::SignatureStale,
            "device signature expired",
            "DEVICE_AUTH_SIGNATURE_EXPIRED",
            "device-signature-stale",
        ),
        words(ProofFault::NonceMissing, "device nonce required", "DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing"),
        words(
            ProofFault::NonceMismatch,
            "device nonce mismatch",
            "DEVICE_AUTH_NONCE_MISMATCH",
            "device-nonce-mismatch",
        ),
        words(
            ProofFault::SignatureInvalid,
            "device signature invalid",
            "DEVICE_AUTH_SIGNATURE_INVALID",
            "device-signature",
        ),
        words(
            ProofFault::PublicKeyInvalid,
            "device public key invalid",
            "DEVICE_AUTH_PUBLIC_KEY_INVALID",
            "device-public-key",
        ),
    ]
}

fn credentials() -> Vec<Words> {
    let remedy = "On the gateway's machine, `doorward token show` prints the token.";
    let words = |reason, audience, old, new, details| Words {
        failure: Failure::Unauthorized { reason, audience },
        code: "INVALID_REQUEST",
        old: (old, Value::Null),
        new: (new, details),
        close: 1008,
    };
    let missing = || {
        json!({ "code": "AUTH_TOKEN_MISSING", "authReason": "token_missing",
                "recommendedNextStep": "update_auth_configuration", "remediationHint": remedy,
                "canRetryWithDeviceToken": false })
    };
    let mismatch = || {
        json!({ "code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch",
                "recommendedNextStep": "update_auth_credentials", "remediationHint": remedy,
                "canRetryWithDeviceToken": false })
    };
    let spent = Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Spent };
    let cli_remote = "unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)";
    let limited = "unauthorized: too many failed authentication attempts (retry later)";
    let reissue = "unauthorized: device token mismatch (rotate/reissue device token)";
    let setup = "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; review `openclaw \
                 devices list`)";
    let invite = "unauthorized: invite invalid, expired or already used (on the gateway's machine, `doorward invite` makes \
                  a new one)";
    vec![
        words(
            Unauthorized::TokenMissing,
            Audience::Ui,
            "unauthorized: gateway token missing (open a tokenized dashboard URL or paste token in Control UI settings)",
            "unauthorized: gateway token missing (paste in Control UI settings or openclaw doctor \
             --generate-gateway-token; restart)",
            missing(),
        ),
        words(
            Unauthorized::TokenMissing,
            Audience::Other,
            "unauthorized: gateway token missing (provide gateway auth token)",
            "unauthorized: gateway token missing (provide gateway auth token)",
            missing(),
        ),
        words(
            spent,
            Audience::Ui,
            "unauthorized: gateway token mismatch (open a tokenized dashboard URL or paste token in Control UI settings)",
            "unauthorized: gateway token mismatch (open the dashboard URL and paste the token in Control UI settings)",
            mismatch(),
        ),
        words(
            spent,
            Audience::CliHere,
            cli_remote,
            "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)",
            mismatch(),
        ),
        words(spent, Audience::CliThere, cli_remote, cli_remote, mismatch()),
        words(
            Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Possible },
            Audience::CliThere,
            cli_remote,
            cli_remote,
            json!({ "code": "AUTH_TOKEN_MISMATCH", "authReason": "token_mismatch",
                    "recommendedNextStep": "retry_with_device_token", "canRetryWithDeviceToken": true }),
        ),
        words(
            Unauthorized::RateLimited { retry_after_ms: 299_000 },
            Audience::Other,
            limited,
            limited,
            json!({ "code": "AUTH_RATE_LIMITED", "authReason": "rate_limited",
                    "recommendedNextStep": "wait_then_retry", "canRetryWithDeviceToken": false }),
        ),
        words(
            Unauthorized::DeviceTokenMismatch,
            Audience::Other,
            reissue,
            reissue,
            json!({ "code": "AUTH_DEVICE_TOKEN_MISMATCH", "authReason": "device_token_mismatch",
                    "recommendedNextStep": "update_auth_credentials", "canRetryWithDeviceToken": false }),
        ),
        words(
            Unauthorized::InviteInvalid,
            Audience::Ui,
            invite,
            invite,
            json!({ "code": "AUTH_BOOTSTRAP_TOKEN_INVALID", "authReason": "invite_invalid",
                    "recommendedNextStep": "review_auth_configuration", "canRetryWithDeviceToken": false }),
        ),
        words(
            Unauthorized::BootstrapTokenInvalid,
            Audience::Other,
            setup,
            setup,
            json!({ "code": "AUTH_BOOTSTRAP_TOKEN_INVALID", "authReason": "bootstrap_token_invalid",
                    "recommendedNextStep": "review_auth_configuration", "canRetryWithDeviceToken": false }),
        ),
    ]
}

fn others() -> Vec<Words> {
    let same = |failure, code, message, old, new, close| Words {
        failure,
        code,
        old: (message, old),
        new: (message, new),
        close,
    };
    let full = "too many devices are waiting for approval (approve or reject some, then retry)";
    let full_here = "too many devices from this address are waiting for approval (approve or reject some, then retry)";
    let limit = |reason| {
        json!({ "code": "PAIRING_PENDING_LIMIT", "reason": reason, "recommendedNextStep": "wait_then_retry",
                "remediationHint": "doorward devices list shows what waits; approve or reject it." })
    };
    vec![
        same(
            Failure::ConnectExpected,
            "INVALID_REQUEST",
            "invalid handshake: first request must be connect",
            Value::Null,
            Value::Null,
            1008,
        ),
        same(
            Failure::ConnectInvalid(Faults::one("/device", "must have required property 'nonce'")),
            "INVALID_REQUEST",
            "invalid connect params: at /device: must have required property 'nonce'",
            Value::Null,
            Value::Null,
            1008,
        ),
        same(
            Failure::DeviceRequired { ui: UiFamily::Stranger },
            "NOT_PAIRED",
            "device identity required",
            Value::Null,
            json!({ "code": "DEVICE_IDENTITY_REQUIRED" }),
            1008,
        ),
        Words {
            failure: Failure::DeviceRequired { ui: UiFamily::Member },
            code: "INVALID_REQUEST",
            old: ("control ui requires HTTPS or localhost (secure context)", Value::Null),
            new: (
                "control ui requires device identity (use HTTPS or localhost secure context)",
                json!({ "code": "CONTROL_UI_DEVICE_IDENTITY_REQUIRED" }),
            ),
            close: 1008,
        },
        same(
            Failure::PairingRefused,
            "NOT_PAIRED",
            "pairing refused (this gateway's rules pair no such device)",
            Value::Null,
            json!({ "code": "PAIRING_REFUSED", "reason": "refused-by-rule",
                    "recommendedNextStep": "review_auth_configuration",
                    "remediationHint": "On the gateway's machine, `doorward explain --last-denied` names the rule." }),
            1008,
        ),
        same(Failure::PendingFull(PendingLimit::All), "UNAVAILABLE", full, Value::Null, limit("all"), 1008),
        same(Failure::PendingFull(PendingLimit::Client), "UNAVAILABLE", full_here, Value::Null, limit("client"), 1008),
        same(
            Failure::PendingFull(PendingLimit::Rejected { retry_after_ms: 7 }),
            "UNAVAILABLE",
            "the gateway's owner has rejected this device (retry later)",
            Value::Null,
            limit("rejected"),
            1008,
        ),
        same(
            Failure::ProtocolMismatch { minimum: 5, maximum: 6 },
            "INVALID_REQUEST",
            "protocol mismatch",
            json!({ "expectedProtocol": 3 }),
            json!({ "code": "PROTOCOL_MISMATCH", "clientMinProtocol": 5, "clientMaxProtocol": 6,
                    "expectedProtocol": 4, "minimumProbeProtocol": 3 }),
            1002,
        ),
        same(Failure::RoleInvalid, "INVALID_REQUEST", "invalid role", Value::Null, Value::Null, 1008),
        same(Failure::Internal, "UNAVAILABLE", "gateway message handler unavailable", Value::Null, Value::Null, 1011),
    ]
}

fn waiting(reason: PairingReason, retry: Retry) -> PairingRequired {
    PairingRequired {
        reason,
        request_id: REQUEST.to_owned(),
        device_id: DEVICE.to_owned(),
        role: Role::Operator,
        scopes: vec![Scope::READ, Scope::ADMIN],
        approved: None,
        retry,
    }
}

#[test]
fn a_waiting_device_is_told_what_to_do_in_the_captured_words() {
    let failure = Failure::PairingRequired(Box::new(waiting(PairingReason::NotPaired, Retry::Manual)));
    assert_eq!(
        serde_json::to_value(failure.error(Version::V4)).unwrap(),
        json!({ "code": "NOT_PAIRED", "message": "pairing required: device is not approved yet", "details": {
            "code": "PAIRING_REQUIRED", "reason": "not-paired", "requestId": REQUEST,
            "remediationHint":
                format!("Approve this device from the pending pairing requests: doorward devices approve {REQUEST}"),
            "deviceId": DEVICE, "requestedRole": "operator", "requestedScopes": ["operator.read", "operator.admin"],
        }})
    );
    let close = failure.close(Version::V4);
    assert_eq!(close.code(), Some(1008));
    assert_eq!(
        close.reason(),
        format!("pairing required: device is not approved yet (requestId: {REQUEST})"),
        "as captured from the newer gateway"
    );
    assert_eq!(
        serde_json::to_value(failure.error(Version::V3)).unwrap(),
        json!({ "code": "NOT_PAIRED", "message": "pairing required", "details": { "requestId": REQUEST } })
    );
    assert_eq!(
        (failure.close(Version::V3).code(), failure.close(Version::V3).reason()),
        (Some(1008), "pairing required")
    );
}

#[test]
fn each_reason_for_pairing_has_its_sentence() {
    for (reason, word, text) in [
        (PairingReason::NotPaired, "not-paired", "device is not approved yet"),
        (PairingReason::RoleUpgrade, "role-upgrade", "device is asking for a higher role than currently approved"),
        (PairingReason::ScopeUpgrade, "scope-upgrade", "device is asking for more scopes than currently approved"),
    ] {
        let failure = Failure::PairingRequired(Box::new(PairingRequired {
            approved: Some((vec![Role::Operator], Scopes::from_iter([Scope::READ]))),
            ..waiting(reason, Retry::Wait)
        }));
        let error = failure.error(Version::V4).unwrap();
        let details = error.details.unwrap();
        assert_eq!(error.message, format!("pairing required: {text}"));
        assert_eq!(details["reason"], word);
        assert_eq!(details["approvedRoles"], json!(["operator"]));
        assert_eq!(details["approvedScopes"], json!(["operator.read"]));
        assert_eq!(details["recommendedNextStep"], "wait_then_retry");
        assert_eq!((&details["retryable"], &details["pauseReconnect"]), (&json!(true), &json!(false)));
        assert!(failure.close(Version::V4).reason().len() <= 120, "the id may be cut, never the limit");
    }
}

#[test]
fn a_locked_client_is_told_when_to_come_back() {
    let reason = Unauthorized::RateLimited { retry_after_ms: 299_000 };
    for version in [Version::V3, Version::V4] {
        let error = Failure::Unauthorized { reason, audience: Audience::Other }.error(version).unwrap();
        assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(299_000)));
        let error = Failure::PendingFull(PendingLimit::All).error(version).unwrap();
        assert_eq!((error.retryable, error.retry_after_ms), (Some(true), Some(30_000)));
    }
}

#[test]
fn what_ends_a_socket_without_an_answer_only_closes() {
    for (failure, close) in [
        (Failure::AuthChanged, Close::new(4001, "gateway auth changed")),
        (Failure::ConnectLate, Close::new(1000, "")),
        (Failure::DeviceRemoved, Close::new(4001, "device removed")),
        (Failure::FrameInvalid, Close::new(1008, "invalid request frame")),
        (Failure::FramesQueued, Close::new(1008, "too many pending handshake frames")),
        (Failure::FrameUnreadable, Close::new(1000, "")),
        (Failure::MessageTooLarge, Close::new(1009, "message too large")),
        (Failure::NotWebSocket { code: 1007 }, Close::new(1007, "")),
        (Failure::PayloadTooLarge, Close::new(1009, "preauth payload too large")),
        (Failure::PongLate, Close::plain()),
        (Failure::Restart, Close::new(1012, "service restart")),
        (Failure::SlowConsumer, Close::new(1008, "slow consumer")),
        (Failure::UnauthorizedCalls, Close::new(1008, "repeated unauthorized calls")),
    ] {
        for version in [Version::V3, Version::V4] {
            assert_eq!(failure.error(version), None, "{failure:?}");
            assert_eq!(failure.close(version), close, "{failure:?}");
        }
    }
}

#[test]
fn the_short_code_stands_in_the_details_and_not_in_the_close_reason() {
    for failure in [Failure::RoleInvalid, Failure::Proof(ProofFault::NonceMismatch)] {
        for version in [Version::V3, Version::V4] {
            let error = failure.error_with_code(version, "k7dq2m9xw4pt").unwrap();
            assert_eq!(error.details.unwrap()["doorward"], "k7dq2m9xw4pt");
            assert!(!failure.close(version).reason().contains("k7dq2m9xw4pt"));
        }
    }
}
