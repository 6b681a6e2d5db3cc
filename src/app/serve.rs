//! An instance at work: it says where it is, and ends when it is told to.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::config::Config;
use crate::telemetry::Format;

use super::AppError;
use super::open::Instance;

/// Serves until a signal or the loss of an event loop, then drains. A second signal cuts the drain short.
pub(super) async fn serve(instance: Instance) -> Result<(), AppError> {
    let mut signals = Signals::listen().map_err(AppError::Runtime)?;
    let Instance { admin, config, owner, upkeep, url, workers } = instance;
    announce(&config, url.as_deref());
    let outcome = tokio::select! {
        never = admin.serve(Arc::clone(&owner)) => match never {},
        never = upkeep.run() => match never {},
        () = signals.told() => Ok(()),
        () = workers.ended() => Err(AppError::EventLoop),
    };
    let window = Duration::from_secs(config.edge.drain_seconds);
    info!(seconds = window.as_secs(), "draining; a second signal ends at once");
    tokio::select! {
        () = workers.drain(window) => {
            info!("ended");
            outcome
        }
        // The owner may look on meanwhile.
        never = admin.serve(owner) => match never {},
        () = signals.told() => Err(AppError::Forced),
    }
}

/// The two signals that end an instance.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Says where the dashboard is, without the token: this goes to logs.
fn announce(config: &Config, url: Option<&str>) {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    for listener in &config.listeners {
        info!(listener = %listener.name, bind = ?listener.bind, "listening");
    }
    let file = config.file.as_ref().map(|file| format!("--config {} ", file.display())).unwrap_or_default();
    let command = format!("doorward {file}dashboard");
    let url = url.unwrap_or("no listener serves it");
    info!(dashboard = url, open = %command, "ready");
    if config.log.format == Format::Text {
        // Whoever started this without a terminal has the same in the log.
        let _ = writeln!(std::io::stdout(), "Dashboard: {url}\nOpen it signed in: {command}");
    }
}
