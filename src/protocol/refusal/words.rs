//! The sentences: what each failure says in each version.

use serde_json::Value;
use serde_json::json;

use crate::protocol::close::Close;
use crate::protocol::error::ErrorCode;
use crate::protocol::error::ErrorShape;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::refusal::PairingRequired;
use crate::protocol::refusal::PendingLimit;
use crate::protocol::refusal::ProofFault;
use crate::protocol::refusal::Retry;
use crate::protocol::refusal::UiFamily;
use crate::protocol::refusal::upstream;
use crate::protocol::scope::Role;
use crate::protocol::version::Version;

/// Milliseconds after which a client is told to try again where a person must act first.
const RETRY_PERSON_MS: u64 = 30_000;

/// The close code of a refusal by policy (RFC 6455 §7.4.1).
const POLICY: u16 = 1008;

pub(super) fn error(failure: &Failure, version: Version) -> Option<ErrorShape> {
    let invalid = |text: &str| ErrorShape::new(ErrorCode::InvalidRequest, text);
    Some(match failure {
        Failure::ConnectExpected => invalid("invalid handshake: first request must be connect"),
        Failure::ConnectInvalid(faults) => invalid(&format!("invalid connect params: {faults}")),
        Failure::DeviceRequired { ui } => device_required(*ui, version),
        Failure::Internal => ErrorShape::new(ErrorCode::Unavailable, "gateway message handler unavailable"),
        Failure::PairingRefused => pairing_refused(version),
        Failure::PairingRequired(waiting) => pairing_required(waiting, version),
        Failure::PendingFull(limit) => pending_full(*limit, version),
        Failure::Proof(fault) => proof(*fault, version),
        Failure::ProtocolMismatch { minimum, maximum } => protocol_mismatch(*minimum, *maximum, version),
        Failure::RoleInvalid => invalid("invalid role"),
        Failure::Unauthorized { reason, audience } => reason.error(*audience, version),
        Failure::Upstream(cause) => upstream::error(cause),
        Failure::AuthChanged
        | Failure::ConnectLate
        | Failure::DeviceRemoved
        | Failure::FrameInvalid
        | Failure::FrameUnreadable
        | Failure::FramesQueued
        | Failure::MessageTooLarge
        | Failure::NotWebSocket { .. }
        | Failure::PayloadTooLarge
        | Failure::PongLate
        | Failure::Restart
        | Failure::SlowConsumer
        | Failure::UnauthorizedCalls
        | Failure::UpstreamLost => return None,
    })
}

pub(super) fn close(failure: &Failure, version: Version) -> Close {
    let code = match failure {
        Failure::AuthChanged => return Close::new(4001, "gateway auth changed"),
        Failure::ConnectLate | Failure::FrameUnreadable => return Close::new(1000, ""),
        Failure::DeviceRemoved => return Close::new(4001, "device removed"),
        Failure::FrameInvalid => return Close::new(POLICY, "invalid request frame"),
        Failure::PongLate => return Close::plain(),
        Failure::FramesQueued => return Close::new(POLICY, "too many pending handshake frames"),
        Failure::MessageTooLarge => return Close::new(1009, "message too large"),
        Failure::NotWebSocket { code } => return Close::new(*code, ""),
        Failure::PayloadTooLarge => return Close::new(1009, "preauth payload too large"),
        Failure::Restart => return Close::new(1012, "service restart"),
        Failure::SlowConsumer => return Close::new(POLICY, "slow consumer"),
        Failure::UnauthorizedCalls => return Close::new(POLICY, "repeated unauthorized calls"),
        Failure::Upstream(cause) => return upstream::close(cause),
        Failure::UpstreamLost => return Close::new(1012, "service restart"),
        Failure::Internal => 1011,
        Failure::ProtocolMismatch { .. } => 1002,
        _ => POLICY,
    };
    let message = error(failure, version).map(|error| error.message).unwrap_or_default();
    match failure {
        // The id in the reason is how people find it: many clients show the reason and nothing else.
        Failure::PairingRequired(waiting) if version == Version::V4 => {
            Close::new(code, &format!("{message} (requestId: {})", waiting.request_id))
        }
        _ => Close::new(code, &message),
    }
}

pub(super) fn reason(failure: &Failure) -> &'static str {
    match failure {
        Failure::AuthChanged => "auth_changed",
        Failure::ConnectExpected => "connect_expected",
        Failure::ConnectInvalid(_) => "connect_invalid",
        Failure::ConnectLate => "connect_late",
        Failure::DeviceRemoved => "device_removed",
        Failure::DeviceRequired { .. } => "device_required",
        Failure::FrameInvalid => "frame_invalid",
        Failure::FrameUnreadable => "frame_unreadable",
        Failure::FramesQueued => "frames_queued",
        Failure::Internal => "internal",
        Failure::MessageTooLarge => "message_too_large",
        Failure::NotWebSocket { .. } => "not_websocket",
        Failure::PairingRefused => "pairing_refused",
        Failure::PairingRequired(_) => "pairing_required",
        Failure::PayloadTooLarge => "payload_too_large",
        Failure::PendingFull(_) => "pending_full",
        Failure::PongLate => "pong_late",
        Failure::Proof(fault) => proof_words(*fault).2,
        Failure::ProtocolMismatch { .. } => "protocol_mismatch",
        Failure::Restart => "restart",
        Failure::RoleInvalid => "role_invalid",
        Failure::SlowConsumer => "slow_consumer",
        Failure::Unauthorized { reason, .. } => reason.word(),
        Failure::UnauthorizedCalls => "unauthorized_calls",
        Failure::Upstream(cause) => upstream::reason(cause),
        Failure::UpstreamLost => "upstream_lost",
    }
}

fn device_required(ui: UiFamily, version: Version) -> ErrorShape {
    let (code, message, detail) = match (ui, version) {
        (UiFamily::Member, Version::V3) => {
            (ErrorCode::InvalidRequest, "control ui requires HTTPS or localhost (secure context)", "")
        }
        (UiFamily::Member, Version::V4) => (
            ErrorCode::InvalidRequest,
            "control ui requires device identity (use HTTPS or localhost secure context)",
            "CONTROL_UI_DEVICE_IDENTITY_REQUIRED",
        ),
        (UiFamily::Stranger, _) => (ErrorCode::NotPaired, "device identity required", "DEVICE_IDENTITY_REQUIRED"),
    };
    let error = ErrorShape::new(code, message);
    if version == Version::V4 { error.with("code", detail) } else { error }
}

fn pairing_required(waiting: &PairingRequired, version: Version) -> ErrorShape {
    if version == Version::V3 {
        return ErrorShape::new(ErrorCode::NotPaired, "pairing required")
            .with("requestId", waiting.request_id.as_str());
    }
    let (reason, text) = match waiting.reason {
        PairingReason::MetadataUpgrade => ("metadata-upgrade", "device identity changed and must be re-approved"),
        PairingReason::NotPaired => ("not-paired", "device is not approved yet"),
        PairingReason::RoleUpgrade => ("role-upgrade", "device is asking for a higher role than currently approved"),
        PairingReason::ScopeUpgrade => ("scope-upgrade", "device is asking for more scopes than currently approved"),
    };
    let hint = format!(
        "Approve this device from the pending pairing requests: doorward devices approve {}",
        waiting.request_id
    );
    let mut error = ErrorShape::new(ErrorCode::NotPaired, format!("pairing required: {text}"))
        .with("code", "PAIRING_REQUIRED")
        .with("reason", reason)
        .with("requestId", waiting.request_id.as_str())
        .with("remediationHint", hint)
        .with("deviceId", waiting.device_id.as_str())
        .with("requestedRole", waiting.role.as_str());
    if !waiting.scopes.is_empty() {
        error = error.with("requestedScopes", json!(waiting.scopes));
    }
    if let Some((roles, scopes)) = &waiting.approved {
        let roles: Vec<Value> = roles.iter().map(|role: &Role| role.as_str().into()).collect();
        error = error.with("approvedRoles", roles).with("approvedScopes", json!(scopes));
    }
    match waiting.retry {
        Retry::Manual => error,
        Retry::Wait => {
            error.with("recommendedNextStep", "wait_then_retry").with("retryable", true).with("pauseReconnect", false)
        }
    }
}

fn pairing_refused(version: Version) -> ErrorShape {
    let error = ErrorShape::new(ErrorCode::NotPaired, "pairing refused (this gateway's rules pair no such device)");
    match version {
        Version::V3 => error,
        Version::V4 => error
            .with("code", "PAIRING_REFUSED")
            .with("reason", "refused-by-rule")
            .with("recommendedNextStep", "review_auth_configuration")
            .with("remediationHint", "On the gateway's machine, `doorward explain --last-denied` names the rule."),
    }
}

fn pending_full(limit: PendingLimit, version: Version) -> ErrorShape {
    let (message, scope, wait) = match limit {
        PendingLimit::All => {
            ("too many devices are waiting for approval (approve or reject some, then retry)", "all", RETRY_PERSON_MS)
        }
        PendingLimit::Client => (
            "too many devices from this address are waiting for approval (approve or reject some, then retry)",
            "client",
            RETRY_PERSON_MS,
        ),
        PendingLimit::Rejected { retry_after_ms } => {
            ("the gateway's owner has rejected this device (retry later)", "rejected", retry_after_ms)
        }
    };
    let error = ErrorShape::new(ErrorCode::Unavailable, message).retry_after(wait);
    match version {
        Version::V3 => error,
        Version::V4 => error
            .with("code", "PAIRING_PENDING_LIMIT")
            .with("reason", scope)
            .with("recommendedNextStep", "wait_then_retry")
            .with("remediationHint", "doorward devices list shows what waits; approve or reject it."),
    }
}

/// Message, details code and details reason.
fn proof_words(fault: ProofFault) -> (&'static str, &'static str, &'static str) {
    match fault {
        ProofFault::IdMismatch => ("device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch"),
        ProofFault::NonceMismatch => ("device nonce mismatch", "DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch"),
        ProofFault::NonceMissing => ("device nonce required", "DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing"),
        ProofFault::PublicKeyInvalid => {
            ("device public key invalid", "DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key")
        }
        ProofFault::SignatureInvalid => {
            ("device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID", "device-signature")
        }
        ProofFault::SignatureStale => {
            ("device signature expired", "DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale")
        }
    }
}

fn proof(fault: ProofFault, version: Version) -> ErrorShape {
    let (message, code, reason) = proof_words(fault);
    let error = ErrorShape::new(ErrorCode::InvalidRequest, message);
    match version {
        Version::V3 => error,
        Version::V4 => error.with("code", code).with("reason", reason),
    }
}

fn protocol_mismatch(minimum: i64, maximum: i64, version: Version) -> ErrorShape {
    let error = ErrorShape::new(ErrorCode::InvalidRequest, "protocol mismatch");
    match version {
        Version::V3 => error.with("expectedProtocol", 3),
        Version::V4 => error
            .with("code", "PROTOCOL_MISMATCH")
            .with("clientMinProtocol", minimum)
            .with("clientMaxProtocol", maximum)
            .with("expectedProtocol", 4)
            .with("minimumProbeProtocol", 3),
    }
}
