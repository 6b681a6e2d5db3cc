//! What the operator wrote, read strictly: every key known, every value judged at its place, everything wrong told at
//! once. Each room owns its settings; this one only assembles them.

pub mod diagnostic;
pub mod fault;
pub mod place;
mod section;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use diagnostic::Report;

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Something in it is wrong.
    #[error("{0}")]
    Invalid(Box<Report>),
    /// Nothing says where the state belongs.
    #[error("no place for the state: $HOME is not set")]
    NoHome,
    /// Larger than any configuration.
    #[error("the configuration is larger than {max} bytes: {}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// Not text.
    #[error("the configuration is not utf-8 text: {}", .0.display())]
    NotText(PathBuf),
    /// The file cannot be read.
    #[error("the configuration cannot be read ({cause}): {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}
