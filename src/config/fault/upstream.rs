//! What can be wrong with `[core.upstream]`, and what to do about it.

use thiserror::Error;

use super::shown;
use crate::core::upstream::EndpointError;
use crate::core::upstream::OpenPathError;

/// What is wrong.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum UpstreamFault {
    /// No methods.
    #[error("no method is named, so nothing is open")]
    NoMethods,
    /// Two entries of one path.
    #[error("another [[core.upstream.open]] has this path: {}", shown(.0))]
    OpenTwice(String),
    /// A path that opens nothing, or everything.
    #[error("{cause}: {}", shown(text))]
    OpenPath {
        /// Why.
        cause: OpenPathError,
        /// What was written.
        text: String,
    },
    /// We would dial ourselves.
    #[error("this is doorward itself, not the gateway behind it: {by} answers there")]
    Ourselves {
        /// What of ours.
        by: String,
    },
    /// Not a place of a gateway.
    #[error("{cause}: {}", shown(text))]
    Url {
        /// Why.
        cause: EndpointError,
        /// What was written.
        text: String,
    },
}

impl UpstreamFault {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoMethods => "name those that outside programs use: methods = [\"POST\"]".into(),
            Self::OpenTwice(_) => "list all methods of a path in one entry".into(),
            Self::OpenPath { cause, .. } => cause.hint().into(),
            Self::Ourselves { .. } => {
                "let the real gateway listen on a port of its own, as 18790 (`gateway.port` in its openclaw.json), and name that".into()
            }
            Self::Url { cause, .. } => cause.hint().into(),
        }
    }
}
