//! An instance at work: it says where it is, to people and to the service manager that started it, and ends when it is
//! told to.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::admin::reload::Reloader;
use crate::base::owner_command::OwnerCommand;
use crate::certificates::tailnet;
use crate::config::Config;
use crate::telemetry::Format;

use super::AppError;
use super::judge::two_tokens;
use super::lan;
use super::open::Instance;

/// Serves until a signal or the loss of an event loop, then drains. A second signal cuts the drain short.
pub(super) async fn serve(instance: Instance, mut hangup: Signal) -> Result<(), AppError> {
    let mut ends = Ends::listen().map_err(AppError::Runtime)?;
    let Instance { acme, admin, config, edge, files, metrics, numbers, owner, reloader, tailnet, upkeep, workers } =
        instance;
    let lan = lan::told(&config, &upkeep.certificates, &edge.network());
    announce(&config, owner.url().as_deref(), lan.as_deref());
    tell_manager(NotifyState::Ready);
    // Through the drain too: whoever is served until the end needs keys.
    let _keys = edge.identities().keep_fresh();
    let outcome = tokio::select! {
        never = admin.serve(Arc::clone(&owner)) => match never {},
        never = metrics.serve(Arc::clone(&numbers)) => match never {},
        never = upkeep.run() => match never {},
        never = acme.run() => match never {},
        never = files.run() => match never {},
        never = keep_tailnet(tailnet) => match never {},
        never = reload_at(&mut hangup, &reloader) => match never {},
        () = ends.told() => Ok(()),
        () = workers.ended() => Err(AppError::EventLoop),
    };
    tell_manager(NotifyState::Stopping);
    let window = Duration::from_secs(edge.settings().drain_seconds);
    info!(seconds = window.as_secs(), "draining; a second signal ends at once");
    tokio::select! {
        () = workers.drain(window) => {
            info!("ended");
            outcome
        }
        // The owner and his monitor may look on meanwhile.
        never = admin.serve(owner) => match never {},
        never = metrics.serve(numbers) => match never {},
        () = ends.told() => Err(AppError::Forced),
    }
}

/// Says how it stands to a service manager that waits to hear it (`$NOTIFY_SOCKET`, sd_notify(3)). Without one, to nobody.
fn tell_manager(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager could not be told how it stands");
    }
}

/// Keeps the tailnet's certificates, where they are wanted.
async fn keep_tailnet(runner: Option<tailnet::Runner>) -> Infallible {
    match runner {
        Some(runner) => runner.run().await,
        None => std::future::pending().await,
    }
}

/// Takes the configuration anew at each SIGHUP. What became of it is in the log.
async fn reload_at(hangup: &mut Signal, reloader: &Arc<Reloader>) -> Infallible {
    while hangup.recv().await.is_some() {
        let _ = reloader.reload().await;
    }
    // Never: a signal's stream does not end.
    std::future::pending().await
}

/// The two signals that end an instance.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
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
fn announce(config: &Config, url: Option<&str>, lan: Option<&str>) {
    for note in &config.notes {
        info!("{note}");
    }
    for warning in config.warnings.iter().cloned().chain(two_tokens(config)) {
        warn!("{warning}");
    }
    for listener in &config.listeners {
        info!(listener = %listener.name, bind = ?listener.bind, "listening");
    }
    let command = OwnerCommand::new(config.file.as_deref()).with("dashboard");
    match url {
        Some(url) => info!(dashboard = url, open = %command, "ready"),
        None => info!("ready; no listener serves the dashboard"),
    }
    if config.log.format == Format::Text {
        // Whoever started this without a terminal has the same in the log.
        let told = format!("{}{}", welcome(url, &command), lan.unwrap_or_default());
        let _ = std::io::stdout().write_all(told.as_bytes());
    }
}

/// Where the dashboard is and how it is opened, if it is anywhere.
fn welcome(url: Option<&str>, command: &str) -> String {
    match url {
        Some(url) => format!("Dashboard: {url}\nOpen it signed in: {command}\n"),
        None => "Dashboard: no listener serves it (`serve = \"all\"` does)\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_serves_is_not_to_be_opened() {
        assert_eq!(welcome(Some("http://x/"), "d dashboard"), "Dashboard: http://x/\nOpen it signed in: d dashboard\n");
        let none = welcome(None, "d dashboard");
        assert!(none.contains("no listener serves it") && !none.contains("pen it") && !none.contains("d dashboard"));
    }
}
