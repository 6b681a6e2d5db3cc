//! An instance at work: it says where it is, keeps keys, certificates and routes fresh, and ends when it is told to.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::base::clock::Clock;
use crate::base::limits::MAINTENANCE_PERIOD;
use crate::base::limits::NETWORK_PERIOD;
use crate::certificates::Certificates;
use crate::certificates::Renewal;
use crate::config::Config;
use crate::edge::Edge;
use crate::identity::signer::Signer;
use crate::store::keys::signing::SigningKeys;
use crate::telemetry::Format;

use super::AppError;
use super::open::{Instance, network};

/// Serves until a signal, then drains. A second signal cuts the drain short.
pub(super) async fn serve(instance: Instance) -> Result<(), AppError> {
    let mut signals = Signals::listen().map_err(AppError::Runtime)?;
    let Instance { admin, config, owner, upkeep, url, workers } = instance;
    announce(&config, url.as_deref());
    tokio::select! {
        () = admin.serve(Arc::clone(&owner)) => {}
        () = upkeep.run() => {}
        () = signals.told() => {}
    }
    let window = Duration::from_secs(config.edge.drain_seconds);
    info!(seconds = window.as_secs(), "draining; a second signal ends at once");
    tokio::select! {
        () = workers.drain(window) => {
            info!("ended");
            Ok(())
        }
        // The owner may look on meanwhile.
        () = admin.serve(owner) => Err(AppError::Forced),
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

/// What must be done now and then, each cheap when nothing is due.
pub(super) struct Upkeep {
    pub(super) certificates: Arc<Certificates>,
    pub(super) clock: Clock,
    pub(super) edge: Edge,
    pub(super) keys: SigningKeys,
    pub(super) signer: Arc<Signer>,
}

impl Upkeep {
    async fn run(mut self) {
        let mut network_due = interval(NETWORK_PERIOD);
        let mut maintenance_due = interval(MAINTENANCE_PERIOD);
        for due in [&mut network_due, &mut maintenance_due] {
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = network_due.tick() => self.edge.replace_network(network()),
                _ = maintenance_due.tick() => {
                    self.rotate_keys();
                    self.renew_certificates().await;
                }
            }
        }
    }

    /// The order matters: nobody signs with a key that is not believed yet.
    fn rotate_keys(&mut self) {
        match self.keys.maintain(self.clock.now()) {
            Ok(false) => {}
            Ok(true) => {
                self.edge.core().replace_keys(self.keys.public());
                self.edge.replace_keys(&self.keys.public());
                self.signer.replace_key(self.keys.current());
                info!("signing keys rotated by age");
            }
            Err(error) => error!(%error, hint = %error.hint(), "signing keys not rotated"),
        }
    }

    async fn renew_certificates(&self) {
        let (certificates, now) = (Arc::clone(&self.certificates), self.clock.now());
        match tokio::task::spawn_blocking(move || certificates.renew(now)).await {
            Ok(Ok(Renewal::NotDue)) | Err(_) => {}
            Ok(Ok(Renewal::Renewed)) => info!("local certificate renewed"),
            Ok(Err(error)) => error!(%error, hint = %error.hint(), "local certificate not renewed"),
        }
    }
}
