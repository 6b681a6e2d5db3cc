//! One running instance: the state is locked first, then everything is opened or nothing is.

pub mod address;
pub mod lock;

use thiserror::Error;

use crate::config::Config;
use crate::config::place::Environment;

/// Runs until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// [`AppError`] when it cannot start.
pub fn run(_config: Config, _environment: &Environment) -> Result<(), AppError> {
    Err(AppError)
}

/// Why it did not start.
#[derive(Debug, Error)]
#[error("the core is not in yet")]
pub struct AppError;

impl AppError {
    /// What to do.
    pub fn hint(&self) -> String {
        String::new()
    }
}
