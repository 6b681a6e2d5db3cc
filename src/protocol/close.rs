//! How a socket ends: a WebSocket close code and a reason of at most 120 bytes (RFC 6455 §5.5.1 allows 123).

use crate::base::limits::CLOSE_REASON_BYTES_MAX;

/// A close frame's content.
///
/// Invariant: the reason has at most [`CLOSE_REASON_BYTES_MAX`] bytes, cut between characters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Close {
    code: Option<u16>,
    reason: String,
}

impl Close {
    /// A close without code and reason.
    pub fn plain() -> Self {
        Self { code: None, reason: String::new() }
    }

    /// A close with `code`; `reason` is cut where it must be.
    pub fn new(code: u16, reason: &str) -> Self {
        let mut end = reason.len().min(CLOSE_REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        Self { code: Some(code), reason: reason.get(..end).unwrap_or_default().to_owned() }
    }

    /// The code, if one is sent.
    pub fn code(&self) -> Option<u16> {
        self.code
    }

    /// The reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        for (reason, bytes) in [("a".repeat(120), 120), ("a".repeat(121), 120), (format!("a{}", "ż".repeat(80)), 119)]
        {
            let close = Close::new(1008, &reason);
            assert_eq!(close.reason().len(), bytes);
            assert!(reason.starts_with(close.reason()));
        }
    }
}
