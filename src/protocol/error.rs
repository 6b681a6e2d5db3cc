//! The `error` object of a refused request.

use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

/// The gateway's error codes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// A scope is missing (version 4).
    Forbidden,
    /// The request cannot be right as it is.
    InvalidRequest,
    /// The device must be approved first.
    NotPaired,
    /// Not now.
    Unavailable,
}

/// `{code, message, details?, retryable?, retryAfterMs?}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorShape {
    /// The class of error.
    pub code: ErrorCode,
    /// One sentence for people, part of the contract.
    pub message: String,
    /// The same for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Map<String, Value>>,
    /// Whether the same request may succeed later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorShape {
    /// An error without details.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retryable: None, retry_after_ms: None }
    }

    /// The same error with one more detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.get_or_insert_default().insert(key.to_owned(), value.into());
        self
    }

    /// The same error, worth another try after `millis`.
    #[must_use]
    pub fn retry_after(mut self, millis: u64) -> Self {
        self.retryable = Some(true);
        self.retry_after_ms = Some(millis);
        self
    }
}
