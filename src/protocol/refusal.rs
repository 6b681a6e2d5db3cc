//! Every way in which a socket is refused or ended, and its words: message, code, details, close.
//!
//! One enum, so that no refusal can be worded in two places. Version 3 is told what the old gateways told it,
//! version 4 what the newer ones tell; which refusal it is never depends on the version.

mod unauthorized;
mod upstream;
mod words;

pub use unauthorized::DeviceTokenHope;
pub use unauthorized::Unauthorized;

use serde_json::Map;
use serde_json::Value;

use crate::protocol::close::Close;
use crate::protocol::error::ErrorShape;
use crate::protocol::schema::Faults;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;
use crate::protocol::version::Audience;
use crate::protocol::version::Version;

/// Why a socket is refused or ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Failure {
    /// The gateway's secret was replaced.
    AuthChanged,
    /// The first request was not `connect`.
    ConnectExpected,
    /// The parameters of `connect` do not fit their schema.
    ConnectInvalid(Faults),
    /// No `connect` within the time for it.
    ConnectLate,
    /// The device was removed, or its token revoked or rotated.
    DeviceRemoved,
    /// This client must come with a device.
    DeviceRequired {
        /// Whether it is one of the interfaces that get their own sentence.
        ui: UiFamily,
    },
    /// A message that is no request.
    FrameInvalid,
    /// More frames than may wait while `connect` is looked at.
    FramesQueued,
    /// A message that is no JSON.
    FrameUnreadable,
    /// Something of ours failed.
    Internal,
    /// A message larger than `hello-ok` promised to take.
    MessageTooLarge,
    /// Bytes that are no WebSocket.
    NotWebSocket {
        /// The close code that RFC 6455 §7.4.1 has for it.
        code: u16,
    },
    /// A frame larger than anybody may send before `hello-ok`.
    PayloadTooLarge,
    /// The owner's rules pair nobody like this.
    PairingRefused,
    /// A person must approve this device first.
    PairingRequired(Box<PairingRequired>),
    /// No further request can wait for approval now.
    PendingFull(PendingLimit),
    /// The pong did not come.
    PongLate,
    /// The device's proof does not hold.
    Proof(ProofFault),
    /// No common version.
    ProtocolMismatch {
        /// The client's lowest.
        minimum: i64,
        /// The client's highest.
        maximum: i64,
    },
    /// This instance stops.
    Restart,
    /// A role that does not exist here.
    RoleInvalid,
    /// The client reads slower than it is written to.
    SlowConsumer,
    /// The credential is missing, wrong, or may not be tried now.
    Unauthorized {
        /// What is wrong with it.
        reason: Unauthorized,
        /// For whom the hint is.
        audience: Audience,
    },
    /// Too many calls without the role or scope for them.
    UnauthorizedCalls,
    /// The gateway behind us does not serve this client now.
    Upstream(Upstream),
    /// The gateway behind us went away from a session.
    UpstreamLost,
}

/// Why the gateway behind us does not serve a client. Never the client's own fault, but where it says so itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Upstream {
    /// It refused this client as it is, in its own words.
    Client(Box<ClientRefused>),
    /// It heard of this node just now, and takes it when it comes again.
    NodeApproved,
    /// This node has to come again: there was no place for it.
    NodeLater,
    /// It took this node once and does not know it any more.
    NodeRefused,
    /// Its secret is another than ours, so what a node says cannot pass.
    NodeTokens,
    /// This node came with what only we know.
    NodeUnknown,
    /// It refuses us; its owner must act.
    Refuses,
    /// It answers nothing.
    Silent,
    /// It has only just begun to start, or is about to restart.
    Starting,
    /// Nobody is there.
    Unreachable,
}

/// The upstream's own words to a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientRefused {
    /// Its sentence.
    pub message: String,
    /// The same for programs.
    pub details: Map<String, Value>,
}

/// Whether a client is one of the interfaces that never come without a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UiFamily {
    /// It is.
    Member,
    /// It is not.
    Stranger,
}

/// Which limit on waiting requests was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PendingLimit {
    /// That of all clients together.
    All,
    /// That of one client address.
    Client,
    /// That of one device, whose request a person has rejected just now.
    Rejected {
        /// When it may ask again.
        retry_after_ms: u64,
    },
}

/// What is wrong with a device's proof.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofFault {
    /// The id is not the hash of the key.
    IdMismatch,
    /// The nonce is not that of this socket's challenge.
    NonceMismatch,
    /// No nonce.
    NonceMissing,
    /// The key is no Ed25519 public key that can prove anything.
    PublicKeyInvalid,
    /// The signature does not verify.
    SignatureInvalid,
    /// Signed too long ago, or in the future.
    SignatureStale,
}

/// Why a proven device may not enter yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PairingReason {
    /// It says that it is another machine than the one that was approved.
    MetadataUpgrade,
    /// It is new.
    NotPaired,
    /// It asks for a role it was not approved for.
    RoleUpgrade,
    /// It asks for scopes it was not approved for.
    ScopeUpgrade,
}

/// The answer to a device that waits for approval.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PairingRequired {
    /// Why.
    pub reason: PairingReason,
    /// The request that waits.
    pub request_id: String,
    /// The device's id.
    pub device_id: String,
    /// The role it asked for.
    pub role: Role,
    /// The scopes it asked for, in its order.
    pub scopes: Vec<Scope>,
    /// What it is approved for already, if it is known.
    pub approved: Option<(Vec<Role>, Scopes)>,
    /// Whether the client tries again by itself.
    pub retry: Retry,
}

/// What a waiting client does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// Nothing until it is started again.
    Manual,
    /// It waits and connects again.
    Wait,
}

impl Failure {
    /// The error to answer the request with; `None` when the socket ends without an answer.
    pub fn error(&self, version: Version) -> Option<ErrorShape> {
        words::error(self, version)
    }

    /// The same, with the short code that names this one refusal, here and in the log, in `details.doorward`.
    pub fn error_with_code(&self, version: Version, doorward: &str) -> Option<ErrorShape> {
        self.error(version).map(|error| error.with("doorward", doorward))
    }

    /// How the socket ends.
    pub fn close(&self, version: Version) -> Close {
        words::close(self, version)
    }

    /// One stable word for logs.
    pub fn reason(&self) -> &'static str {
        words::reason(self)
    }
}

#[cfg(test)]
mod tests;
