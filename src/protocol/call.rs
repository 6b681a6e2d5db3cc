//! Calls that are refused while the socket stays open.

use serde_json::json;
use thiserror::Error;

use crate::base::limits::METHOD_SHOWN_CHARS_MAX;
use crate::base::printable::printable;
use crate::protocol::error::ErrorCode;
use crate::protocol::error::ErrorShape;
use crate::protocol::schema::Faults;
use crate::protocol::scope::Scope;
use crate::protocol::version::Version;

/// Why a call was refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum CallError {
    /// The caller may not decide about that device.
    #[error("device pairing approval denied")]
    ApprovalDenied,
    /// `connect` a second time.
    #[error("connect is only valid as the first request")]
    ConnectAgain,
    /// A device that is not paired.
    #[error("unknown deviceId")]
    DeviceUnknown,
    /// The request changed since it was shown.
    #[error("request changed since it was listed")]
    DigestMismatch,
    /// Something of ours failed.
    #[error("internal error")]
    Internal,
    /// A name for a device that is only blanks.
    #[error("label required")]
    LabelMissing,
    /// A method that does not exist here.
    #[error("unknown method: {}", printable(.0, METHOD_SHOWN_CHARS_MAX))]
    MethodUnknown(String),
    /// A node that is not paired.
    #[error("unknown nodeId")]
    NodeUnknown,
    /// Parameters that do not fit their schema.
    #[error("invalid {method} params: {faults}")]
    ParamsInvalid {
        /// The method.
        method: &'static str,
        /// What is wrong.
        faults: Faults,
    },
    /// The caller may not turn that device away.
    #[error("device pairing rejection denied")]
    RejectionDenied,
    /// The caller may not forget that device.
    #[error("device pairing removal denied")]
    RemovalDenied,
    /// The caller may not name that device.
    #[error("device pairing rename denied")]
    RenameDenied,
    /// A request that does not wait (any more).
    #[error("unknown requestId")]
    RequestUnknown,
    /// A method of another role.
    #[error("unauthorized role: {0}")]
    RoleUnauthorized(&'static str),
    /// A scope the caller lacks.
    #[error("missing scope: {0}")]
    ScopeMissing(Scope),
    /// The caller's session is being closed, or what it was granted was taken back.
    #[error("session ended")]
    SessionEnded,
    /// Revoking was not the caller's to do, or there is nothing to revoke.
    #[error("device token revocation denied")]
    TokenRevocationDenied,
    /// Rotating was not the caller's to do, or there is nothing to rotate.
    #[error("device token rotation denied")]
    TokenRotationDenied,
    /// Codes for new devices are made for a page that is not served here.
    #[error("join URLs are not served here; give the device the setup code itself")]
    SetupJoinUrl,
    /// Too many codes for new devices are open.
    #[error("too many setup codes are open; wait until some are used or ten minutes old")]
    SetupsFull,
    /// An address for new devices that cannot be one.
    #[error("publicUrl must be a ws, wss, http or https URL")]
    SetupUrlInvalid,
    /// A scope upgrade that was never asked for, or is over.
    #[error("scope upgrade expired or not found")]
    UpgradeGone,
    /// A scope upgrade that would take something away.
    #[error("requested scopes must include the connection's current scopes")]
    UpgradeNarrows,
    /// A scope that no operator has.
    #[error("requested scopes contain an unknown operator scope")]
    UpgradeScopeUnknown,
    /// No further scope upgrade can wait now.
    #[error("device scope upgrade is temporarily unavailable")]
    UpgradeUnavailable,
    /// A scope upgrade for a session that has no paired device.
    #[error(
        "device scope upgrade requires a paired browser identity; reopen the Control UI over HTTPS or localhost, then retry"
    )]
    UpgradeWithoutDevice,
}

impl CallError {
    /// The error to answer with.
    pub fn error(&self, version: Version) -> ErrorShape {
        let message = self.to_string();
        match (self, version) {
            (Self::ScopeMissing(scope), Version::V4) => ErrorShape::new(ErrorCode::Forbidden, message)
                .with("code", "MISSING_SCOPE")
                .with("missingScope", scope.as_str())
                .with("requiredScopes", json!([scope])),
            (Self::Internal, _) => ErrorShape::new(ErrorCode::Unavailable, message),
            (Self::SetupsFull | Self::UpgradeUnavailable, _) => {
                ErrorShape { retryable: Some(true), ..ErrorShape::new(ErrorCode::Unavailable, message) }
            }
            (Self::UpgradeWithoutDevice, _) => ErrorShape::new(ErrorCode::InvalidRequest, message)
                .with("code", "DEVICE_IDENTITY_REQUIRED")
                .with("recommendedNextStep", "reopen_control_ui_securely"),
            (Self::DigestMismatch, _) => ErrorShape::new(ErrorCode::InvalidRequest, message)
                .with("code", "PAIRING_REQUEST_CHANGED")
                .with("remediationHint", "List the pending requests again and approve what is shown then."),
            _ => ErrorShape::new(ErrorCode::InvalidRequest, message),
        }
    }

    /// Whether this counts against the caller (`repeated unauthorized calls`).
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::RoleUnauthorized(_) | Self::ScopeMissing(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_worded_by_version() {
        let error = CallError::ScopeMissing(Scope::PAIRING);
        let shown = |version| serde_json::to_value(error.error(version)).unwrap();
        assert_eq!(
            shown(Version::V3),
            json!({ "code": "INVALID_REQUEST", "message": "missing scope: operator.pairing" })
        );
        assert_eq!(
            shown(Version::V4),
            json!({ "code": "FORBIDDEN", "message": "missing scope: operator.pairing",
                    "details": { "code": "MISSING_SCOPE", "missingScope": "operator.pairing",
                                 "requiredScopes": ["operator.pairing"] } })
        );
    }

    #[test]
    fn each_refused_call_has_the_gateways_sentence() {
        let faults = Faults::one("/requestId", "must be string");
        for (error, message) in [
            (CallError::ApprovalDenied, "device pairing approval denied"),
            (CallError::DeviceUnknown, "unknown deviceId"),
            (CallError::DigestMismatch, "request changed since it was listed"),
            (CallError::MethodUnknown("a\nb".to_owned()), r"unknown method: a\u{a}b"),
            (
                CallError::ParamsInvalid { method: "device.pair.approve", faults },
                "invalid device.pair.approve params: at /requestId: must be string",
            ),
            (CallError::LabelMissing, "label required"),
            (CallError::NodeUnknown, "unknown nodeId"),
            (CallError::UpgradeGone, "scope upgrade expired or not found"),
            (CallError::UpgradeNarrows, "requested scopes must include the connection's current scopes"),
            (CallError::UpgradeScopeUnknown, "requested scopes contain an unknown operator scope"),
            (CallError::RejectionDenied, "device pairing rejection denied"),
            (CallError::RemovalDenied, "device pairing removal denied"),
            (CallError::RenameDenied, "device pairing rename denied"),
            (CallError::RequestUnknown, "unknown requestId"),
            (CallError::RoleUnauthorized("node"), "unauthorized role: node"),
            (CallError::SessionEnded, "session ended"),
            (CallError::TokenRevocationDenied, "device token revocation denied"),
            (CallError::TokenRotationDenied, "device token rotation denied"),
        ] {
            for version in [Version::V3, Version::V4] {
                let shape = error.error(version);
                assert_eq!((shape.code, shape.message.as_str()), (ErrorCode::InvalidRequest, message));
            }
        }
        for (error, code) in [
            (CallError::SetupsFull, ErrorCode::Unavailable),
            (CallError::UpgradeUnavailable, ErrorCode::Unavailable),
            (CallError::UpgradeWithoutDevice, ErrorCode::InvalidRequest),
        ] {
            let shape = error.error(Version::V4);
            assert_eq!((shape.code, shape.retryable.is_some()), (code, code == ErrorCode::Unavailable), "{error}");
        }
        assert_eq!(CallError::Internal.error(Version::V4).code, ErrorCode::Unavailable);
    }

    #[test]
    fn calls_beyond_ones_rights_are_counted() {
        assert!(CallError::ScopeMissing(Scope::READ).is_unauthorized());
        assert!(CallError::RoleUnauthorized("node").is_unauthorized());
        assert!(!CallError::RequestUnknown.is_unauthorized());
    }
}
