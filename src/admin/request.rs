//! What a command may ask of the running instance, and how it is answered: one JSON object a line, either way.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pairing::import::Import;
use crate::protocol::scope::{Role, Scopes};
use crate::store::keys::signing::Replaced;

/// The file name of the socket.
pub const SOCKET: &str = "admin.sock";

/// A question.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Approve one pending request.
    Approve {
        /// Which.
        request_id: String,
        /// The digest that was shown with it; a request that changed since is then not approved.
        digest: Option<String>,
    },
    /// The latest entries of the audit log.
    Audit {
        /// None older than this, in milliseconds since 1970.
        since_ms: Option<i64>,
        /// About this device alone, by the beginning of its id.
        device: Option<String>,
        /// With this word in what was done or changed.
        action: Option<String>,
        /// At most so many.
        most: usize,
    },
    /// How each certificate stands, and the local CA's fingerprints.
    Certificates,
    /// End the open invite.
    CancelInvite,
    /// Copy the store.
    BackupStore {
        /// To this file; else among its backups.
        to: Option<PathBuf>,
    },
    /// Whether the store is whole.
    CheckStore,
    /// Where the dashboard is.
    Dashboard,
    /// Pending requests and paired devices.
    Devices,
    /// One remembered decision, step by step.
    Explain {
        /// Its connection, its pairing request or its code; the last refusal if none is named.
        id: Option<String>,
    },
    /// Take in devices that another gateway had paired.
    Import(Import),
    /// Make an invite.
    Invite {
        /// What a device gets for it; the usual, if none are named.
        scopes: Option<Scopes>,
        /// For how many seconds; as long as may be, if nothing is named.
        seconds: Option<u64>,
        /// The address in its link; found, if none is named.
        url: Option<String>,
    },
    /// The signing keys.
    Keys,
    /// Reject one pending request.
    Reject {
        /// Which.
        request_id: String,
    },
    /// Read the configuration again.
    Reload,
    /// Forget a paired device.
    Remove {
        /// Which.
        device_id: String,
    },
    /// A new certificate for one of ours, within what its CA allows.
    RenewCertificates {
        /// One of its names; all but those from files if none is named.
        name: Option<String>,
    },
    /// Give a paired device a name.
    Rename {
        /// Which.
        device_id: String,
        /// Its name.
        label: String,
    },
    /// Take back what a paired device may do in one role.
    Revoke {
        /// Which.
        device_id: String,
        /// As what.
        role: Role,
    },
    /// Replace a paired device's token.
    RotateDevice {
        /// Whose.
        device_id: String,
        /// As what.
        role: Role,
        /// What is left of its scopes; all if none are named.
        scopes: Option<Scopes>,
    },
    /// A new signing key.
    RotateKeys {
        /// What becomes of the one before.
        replaced: Replaced,
    },
    /// A new gateway token.
    RotateToken,
    /// How the instance is.
    Status,
    /// Whether the audit log is whole.
    VerifyAudit,
}

/// The answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done; what the command prints.
    Done(Value),
    /// Not done, in words for the one who asked.
    Failed {
        /// What went wrong.
        error: String,
        /// What to do.
        hint: String,
    },
}

impl Reply {
    /// A refusal and what to do about it.
    pub fn failed(error: impl ToString, hint: impl Into<String>) -> Self {
        Self::Failed { error: error.to_string(), hint: hint.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        for (request, text) in [
            (Request::Status, r#"{"command":"status"}"#),
            (
                Request::RotateKeys { replaced: Replaced::Compromised },
                r#"{"command":"rotate-keys","replaced":"compromised"}"#,
            ),
            (
                Request::Approve { request_id: "a".into(), digest: None },
                r#"{"command":"approve","request_id":"a","digest":null}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
        for bad in
            [r#"{"command":"stop"}"#, r#"{"command":"approve"}"#, r#"{"command":"reject","request_id":"a","x":1}"#]
        {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
