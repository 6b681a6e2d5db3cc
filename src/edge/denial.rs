//! Why a request was refused, as it is remembered and logged.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::respond::Refusal;
use crate::base::code::Code;
use crate::core;
use crate::decisions;

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) reason: &'static str,
    /// The code in the answer.
    pub(super) code: Option<Code>,
    /// The exact cause, where we are the one who refused.
    cause: Option<String>,
}

impl Denial {
    /// A refusal of ours, with the code that goes into its answer.
    pub(super) fn of(refusal: &Refusal) -> Self {
        Self { reason: refusal.reason(), code: Code::random(), cause: Some(refusal.to_string()) }
    }

    /// The refusal that the core put into its answer.
    pub(super) fn within(response: &Response<Bytes>) -> Option<Self> {
        let refused = response.extensions().get::<core::Refused>()?;
        Some(Self { reason: refused.refusal.reason(), code: refused.code, cause: None })
    }

    /// An answer as it is remembered.
    pub(super) fn outcome(denial: Option<Self>, status: StatusCode) -> (Option<Code>, decisions::Outcome) {
        let status = status.as_u16();
        let Some(Self { reason, code, cause }) = denial else {
            return (None, decisions::Outcome::Served { status });
        };
        (code, decisions::Outcome::Refused { reason, cause, status: Some(status), connect: None })
    }
}
