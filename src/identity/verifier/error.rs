//! Why an assertion was not believed, one cause each.

use thiserror::Error;

use crate::base::limits::{ASSERTION_BYTES_MAX, ASSERTION_LIFE_SECONDS, ASSERTION_SHARED_SECONDS};
use crate::identity::claims::RequestClaimError;
use crate::identity::replay::ReplayError;

/// The part of a request to which an assertion does not belong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestPart {
    /// The method.
    Method,
    /// Host and port.
    Authority,
    /// Path and query.
    Path,
    /// Whether it asks for another protocol.
    Upgrade,
    /// `Sec-WebSocket-Key`.
    WebSocketKey,
}

/// Why an assertion was not believed. All of it is for the log.
#[derive(Debug, Error)]
pub enum AssertionError {
    /// `alg` is not `EdDSA`.
    #[error("another algorithm than EdDSA")]
    Algorithm,
    /// For another receiver.
    #[error("for another audience")]
    Audience,
    /// Not canonical base64url.
    #[error("not canonical base64url")]
    Base64,
    /// Signed before we started: our replay memory does not reach that far.
    #[error("signed before this core started")]
    BeforeStart,
    /// The payload is not exactly the claims.
    #[error("claims malformed: {0}")]
    Claims(serde_json::Error),
    /// The claims contradict each other.
    #[error("claims contradict each other")]
    Contradiction,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// The JOSE header is not exactly `alg`, `typ`, `kid`.
    #[error("jose header malformed: {0}")]
    Header(serde_json::Error),
    /// From another edge.
    #[error("from another issuer")]
    Issuer,
    /// No key of that `kid`.
    #[error("unknown key")]
    KeyUnknown,
    /// `exp - iat` is negative or too long.
    #[error("life longer than {ASSERTION_LIFE_SECONDS} s")]
    Life,
    /// A header whose name another reader would take for ours.
    #[error("a header that looks like the assertion's")]
    LookAlike,
    /// No assertion.
    #[error("no assertion")]
    Missing,
    /// `iat` or `nbf` lies ahead: the clocks differ.
    #[error("signed in the future")]
    NotYet,
    /// Signed by an edge that has ended, or by another one with the same key.
    #[error("signed in another life of the edge")]
    OtherLife,
    /// For another request.
    #[error("for another request: {0:?} differs")]
    OtherRequest(RequestPart),
    /// More than one assertion.
    #[error("more than one assertion")]
    Repeated,
    /// Not certainly new.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The request cannot be bound at all.
    #[error(transparent)]
    Request(#[from] RequestClaimError),
    /// Not three segments.
    #[error("not three segments")]
    Shape,
    /// Shared for longer than allowed.
    #[error("shared for more than {ASSERTION_SHARED_SECONDS} s")]
    SharedTooOld,
    /// The signature does not verify.
    #[error("bad signature")]
    Signature,
    /// Longer than any.
    #[error("longer than {ASSERTION_BYTES_MAX} bytes")]
    TooLong,
    /// `typ` is not ours.
    #[error("another type than doorward-origin+jwt")]
    Type,
    /// Without `req`, on a request that needs its own.
    #[error("not bound to a request that needs its own assertion")]
    Unbound,
}

impl AssertionError {
    /// All that a caller is told.
    pub const PUBLIC: &'static str =
        "edge identity invalid: call by way of the edge; the log of this instance has the cause";
}
