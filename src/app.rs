//! One running instance: the state is locked first, then everything is opened or nothing is; then it serves until it is
//! told to end, and drains.

mod error;
mod judge;
pub mod lan;
pub mod lock;
mod network;
mod open;
mod own_names;
mod probe;
pub mod qr;
mod serve;
mod upkeep;

use rustix::fs::Mode;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::certificates;
use crate::config::Config;
use crate::config::place::Environment;

pub use error::AppError;
pub use judge::{exposed, judge, look_around, look_upstream};

use lock::StateLock;

/// Runs until SIGTERM or SIGINT, and drains.
///
/// # Errors
/// [`AppError`] when it cannot start, or was told twice to end.
pub fn run(config: Config, environment: &Environment) -> Result<(), AppError> {
    // Whatever is made from here on is for our eyes only.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // Pingora would install one if it found none; a second instance in one process (tests) finds the first one's.
    let _ = certificates::provider().as_ref().clone().install_default();
    let lock = StateLock::take(&config.state_dir)?;
    // The desk: store, admin socket and timers, apart from the event loops that serve callers.
    let desk = Builder::new_current_thread().enable_all().build().map_err(AppError::Runtime)?;
    let ended = desk.block_on(async {
        // First of all: a SIGHUP that finds no handler would end the process.
        let hangup = signal(SignalKind::hangup()).map_err(AppError::Runtime)?;
        let instance = open::open(config, environment, &lock).await?;
        serve::serve(instance, hangup).await
    });
    desk.shutdown_background();
    drop(lock);
    ended
}
