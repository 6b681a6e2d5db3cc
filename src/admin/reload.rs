//! The configuration, taken anew while connections are open: whole, or not at all.
//!
//! Promise: whoever is told that it was taken meets the new rules in every decision that begins from then on, on open
//! connections too; whoever is told that it was not finds everything as before. No socket is closed by it, and nobody who
//! only asks how things are waits for it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::base::clock::{Clock, UnixMillis};
use crate::base::limits::RELOAD_WAIT;
use crate::certificates::{CertificateError, Certificates};
use crate::config::change::{Changes, compare};
use crate::config::place::Environment;
use crate::config::{Config, ConfigError};
use crate::edge::Edge;
use crate::listener::live::Live;
use crate::listener::own_bridge::{self, OwnBridgeError};

/// Takes the configuration anew; one for the whole instance.
#[derive(Debug)]
pub struct Reloader {
    certificates: Arc<Certificates>,
    clock: Clock,
    edge: Edge,
    environment: Environment,
    listeners: Vec<Live>,
    taken: ArcSwap<Taken>,
    /// Locked for the whole of a reload: one at a time.
    turn: Mutex<()>,
    /// How many were asked for and are not over.
    under_way: AtomicUsize,
}

/// The configuration that holds, and since when.
#[derive(Debug)]
struct Taken {
    config: Config,
    at: UnixMillis,
}

/// What a reload came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reloaded {
    /// The keys that are different now.
    pub changed: Vec<String>,
    /// What weakens the configuration, or cannot have been meant.
    pub warnings: Vec<String>,
}

impl Reloader {
    /// For the instance that runs `config` in `environment`: `edge` with these `listeners` and `certificates`.
    pub fn new(
        config: Config,
        environment: Environment,
        edge: Edge,
        listeners: Vec<Live>,
        certificates: Arc<Certificates>,
        clock: Clock,
    ) -> Self {
        let taken = ArcSwap::from_pointee(Taken { config, at: clock.now() });
        let (turn, under_way) = (Mutex::default(), AtomicUsize::new(0));
        Self { certificates, clock, edge, environment, listeners, taken, turn, under_way }
    }

    /// Reads the file again, as `doorward check` does, and takes it if all of it can be taken now.
    ///
    /// # Errors
    /// [`ReloadError`]; then everything is as before, but for [`ReloadError::UnderWay`]: that one goes on.
    pub async fn reload(self: &Arc<Self>) -> Result<Reloaded, ReloadError> {
        let turn = UnderWay::of(self);
        // Files are read and perhaps a certificate is signed: not on the loop that answers the owner. It writes its own line,
        // for whoever asked may be gone by then.
        let taking = spawn_blocking(move || {
            let reloaded = turn.0.take();
            tell(&reloaded);
            reloaded
        });
        match timeout(RELOAD_WAIT, taking).await {
            Ok(Ok(reloaded)) => reloaded,
            Ok(Err(broken)) => {
                let broken = Err(broken.into());
                tell(&broken);
                broken
            }
            Err(_) => Err(ReloadError::UnderWay),
        }
    }

    fn take(&self) -> Result<Reloaded, ReloadError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.taken.load();
        let config = taken.config.read_again(&self.environment())?;
        let changes = compare(&taken.config, &config);
        if !changes.restart.is_empty() {
            return Err(ReloadError::NeedsRestart(changes.restart));
        }
        own_bridge::judge(&config.listeners, &self.edge.network())?;
        // The last that can fail, and it changes nothing then.
        self.certificates.replace(&config.certificates, self.clock.now())?;
        // Rules first, and listeners last: a socket that is judged while this goes on, or that was opened before and is judged
        // soon after, has the origin that its listener saw then. What a rule takes back is so taken back at once; what one
        // newly gives can for that moment meet an origin of before, as it can on every socket that is open.
        self.edge.core().replace_rules(config.core.rules.clone());
        self.edge.replace_settings(config.edge.clone());
        for listener in &config.listeners {
            // Never none: a listener that is new needs a restart.
            if let Some(live) = self.listeners.iter().find(|live| live.load().name == listener.name) {
                live.replace(listener.clone());
            }
        }
        let reloaded = Reloaded { changed: changes.live, warnings: config.warnings.clone() };
        self.taken.store(Arc::new(Taken { config, at: self.clock.now() }));
        Ok(reloaded)
    }

    /// The environment of now: the age of what a file names is judged by it.
    fn environment(&self) -> Environment {
        Environment { now: self.clock.now(), ..self.environment.clone() }
    }

    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<PathBuf> {
        self.taken.load().config.file.clone()
    }

    /// Since when which configuration holds, and how the file on disk compares with it; for `status`. It reads files.
    pub fn describe(&self) -> Value {
        let taken = self.taken.load_full();
        let on_disk = OnDisk::of(&taken.config, &self.environment());
        let reloading = self.under_way.load(Ordering::Acquire) > 0;
        let mut described = json!({"file": taken.config.file, "loadedAtMs": taken.at.0, "onDisk": on_disk.word(),
            "reloading": reloading});
        if let Value::Object(fields) = &mut described {
            match on_disk {
                OnDisk::Wrong(error) => drop(fields.insert("problem".into(), json!(error.to_string().trim_end()))),
                OnDisk::Changed(Changes { live, restart }) => {
                    fields.insert("changed".into(), json!(live));
                    fields.insert("needsRestart".into(), json!(restart));
                }
                OnDisk::Same => {}
            }
        }
        described
    }
}

/// A reload that was asked for; its drop is its end.
struct UnderWay(Arc<Reloader>);

impl UnderWay {
    fn of(reloader: &Arc<Reloader>) -> Self {
        reloader.under_way.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(reloader))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The lines of a reload that is over.
fn tell(reloaded: &Result<Reloaded, ReloadError>) {
    match reloaded {
        Ok(Reloaded { changed, warnings }) => {
            warnings.iter().for_each(|warning| warn!("{warning}"));
            info!(changed = %shown(changed), "configuration reloaded");
        }
        Err(fault) => error!(error = %fault, hint = %fault.hint(), "configuration not reloaded; the old one holds"),
    }
}

/// How the file compares with what holds.
enum OnDisk {
    Changed(Changes),
    Same,
    Wrong(ConfigError),
}

impl OnDisk {
    fn of(taken: &Config, environment: &Environment) -> Self {
        match taken.read_again(environment) {
            Err(error) => Self::Wrong(error),
            Ok(config) => match compare(taken, &config) {
                changes if changes.is_empty() => Self::Same,
                changes => Self::Changed(changes),
            },
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Changed(changes) if changes.restart.is_empty() => "newer",
            Self::Changed(_) => "needs-restart",
            Self::Same => "same",
            Self::Wrong(ConfigError::Unreadable { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => "deleted",
            Self::Wrong(ConfigError::Unreadable { .. }) => "unreadable",
            Self::Wrong(_) => "invalid",
        }
    }
}

fn shown(changed: &[String]) -> String {
    if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") }
}

/// Why a configuration was not taken. The operator's to mend.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// It broke off: a fault of ours.
    #[error("the reload broke off: {0}")]
    Broken(#[from] JoinError),
    /// A certificate that it names cannot be shown.
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    /// The file is not a valid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It changes what only a restart can change.
    #[error("only a restart can change this, so nothing of the file was taken:\n  {}", .0.join("\n  "))]
    NeedsRestart(Vec<String>),
    /// A listener would trust what hides strangers.
    #[error(transparent)]
    OwnBridge(#[from] OwnBridgeError),
    /// It takes longer than an answer may, and goes on.
    #[error("the configuration is still being taken")]
    UnderWay,
}

impl ReloadError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Broken(_) => "the log tells why; please report it".to_owned(),
            Self::Certificates(error) => error.hint(),
            Self::Config(error) => {
                error.hint().unwrap_or("mend the file and reload again; the old configuration holds").to_owned()
            }
            Self::NeedsRestart(_) => "restart doorward, or take these lines back and reload again".to_owned(),
            Self::OwnBridge(error) => error.hint().to_owned(),
            Self::UnderWay => "it goes on: ask `doorward status`; the log says how it ends".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
