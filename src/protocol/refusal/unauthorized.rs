//! A credential that was refused: reason, sentence, code and the hint for this kind of client.

use crate::protocol::error::ErrorCode;
use crate::protocol::error::ErrorShape;
use crate::protocol::version::Audience;
use crate::protocol::version::Version;

/// What is wrong with the credential.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unauthorized {
    /// The invitation cannot be used.
    BootstrapTokenInvalid,
    /// The device token is not this device's living one.
    DeviceTokenMismatch,
    /// The owner's invite cannot be used: it is no open one, or not for this role.
    InviteInvalid,
    /// Too many wrong ones came from there.
    RateLimited {
        /// When the next may be tried.
        retry_after_ms: u64,
    },
    /// The gateway token is wrong.
    TokenMismatch {
        /// Whether the device may have a token of its own to try.
        device_token: DeviceTokenHope,
    },
    /// No credential was sent.
    TokenMissing,
}

/// Whether a client that sent a wrong gateway token may have a device token to try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeviceTokenHope {
    /// It has a device and sent no device token.
    Possible,
    /// It has none, or has tried it.
    Spent,
}

impl Unauthorized {
    /// `authReason` in the details.
    pub fn word(self) -> &'static str {
        match self {
            Self::BootstrapTokenInvalid => "bootstrap_token_invalid",
            Self::DeviceTokenMismatch => "device_token_mismatch",
            Self::InviteInvalid => "invite_invalid",
            Self::RateLimited { .. } => "rate_limited",
            Self::TokenMismatch { .. } => "token_mismatch",
            Self::TokenMissing => "token_missing",
        }
    }

    /// The sentence, which is the close reason too.
    pub(super) fn message(self, audience: Audience, version: Version) -> String {
        let hint = self.hint(audience, version);
        match self {
            Self::BootstrapTokenInvalid => {
                // Word for word the gateway's: apps match it.
                "unauthorized: setup code invalid, expired, revoked, or already used (create a new code; review \
                 `openclaw devices list`)"
                    .to_owned()
            }
            Self::DeviceTokenMismatch => "unauthorized: device token mismatch (rotate/reissue device token)".to_owned(),
            Self::InviteInvalid => {
                "unauthorized: invite invalid, expired or already used (on the gateway's machine, `doorward invite` \
                 makes a new one)"
                    .to_owned()
            }
            Self::RateLimited { .. } => {
                "unauthorized: too many failed authentication attempts (retry later)".to_owned()
            }
            Self::TokenMismatch { .. } => format!("unauthorized: gateway token mismatch ({hint})"),
            Self::TokenMissing => format!("unauthorized: gateway token missing ({hint})"),
        }
    }

    fn hint(self, audience: Audience, version: Version) -> &'static str {
        match (audience, version) {
            (Audience::CliHere, Version::V4) => "use this gateway's gateway.auth.token or pair the device",
            (Audience::CliHere | Audience::CliThere, _) => "set gateway.remote.token to match gateway.auth.token",
            (Audience::Ui, Version::V3) => "open a tokenized dashboard URL or paste token in Control UI settings",
            (Audience::Ui, Version::V4) if self == Self::TokenMissing => {
                "paste in Control UI settings or openclaw doctor --generate-gateway-token; restart"
            }
            (Audience::Ui, Version::V4) => "open the dashboard URL and paste the token in Control UI settings",
            (Audience::Other, _) => "provide gateway auth token",
        }
    }

    /// The whole error.
    pub(super) fn error(self, audience: Audience, version: Version) -> ErrorShape {
        let error = ErrorShape::new(ErrorCode::InvalidRequest, self.message(audience, version));
        let error = match self {
            Self::RateLimited { retry_after_ms } => error.retry_after(retry_after_ms),
            _ => error,
        };
        if version == Version::V3 {
            return error;
        }
        let (code, next) = match self {
            // The gateway's code for both: its own page tells people by it what to do.
            Self::BootstrapTokenInvalid | Self::InviteInvalid => {
                ("AUTH_BOOTSTRAP_TOKEN_INVALID", "review_auth_configuration")
            }
            Self::DeviceTokenMismatch => ("AUTH_DEVICE_TOKEN_MISMATCH", "update_auth_credentials"),
            Self::RateLimited { .. } => ("AUTH_RATE_LIMITED", "wait_then_retry"),
            Self::TokenMismatch { device_token: DeviceTokenHope::Possible } => {
                ("AUTH_TOKEN_MISMATCH", "retry_with_device_token")
            }
            Self::TokenMismatch { .. } => ("AUTH_TOKEN_MISMATCH", "update_auth_credentials"),
            Self::TokenMissing => ("AUTH_TOKEN_MISSING", "update_auth_configuration"),
        };
        let error = error.with("code", code).with("authReason", self.word()).with("recommendedNextStep", next);
        let hope = matches!(self, Self::TokenMismatch { device_token: DeviceTokenHope::Possible });
        let error = error.with("canRetryWithDeviceToken", hope);
        match self {
            Self::TokenMismatch { .. } if hope => error,
            Self::TokenMissing | Self::TokenMismatch { .. } => {
                error.with("remediationHint", "On the gateway's machine, `doorward token show` prints the token.")
            }
            _ => error,
        }
    }
}
