//! What the operator wrote, read strictly: every key known, every value judged at its place, everything wrong told at
//! once. Each room owns its settings; this one only assembles them.

pub mod acme;
mod admin;
pub mod change;
pub mod diagnostic;
pub mod fault;
pub mod place;
mod file;
mod identities;
mod listeners;
mod local;
mod pairing;
mod ranges;
mod rooms;
mod section;
mod upstream;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::limits::CONFIG_BYTES_MAX;
use crate::base::private_file::{self, Fault, Link};
use crate::certificates;
use crate::core;
use crate::edge;
use crate::listener;
use crate::metrics;
use crate::tailscale;
use crate::telemetry;

use diagnostic::Report;
use place::Environment;

/// A whole configuration, ready to be handed out room by room.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; `None` is the built-in local profile.
    pub file: Option<PathBuf>,
    /// The folder that holds keys, store, lock and local CA.
    pub state_dir: PathBuf,
    /// `[edge]`.
    pub edge: edge::Settings,
    /// `edge.lan_names`: whether this machine's own names and addresses are answered too.
    pub lan_names: LanNames,
    /// The text that it was read from, where that stands in no file.
    pub built_in: Option<String>,
    /// `[[listener]]`, at least one.
    pub listeners: Vec<listener::Settings>,
    /// `[certificates]`.
    pub certificates: certificates::Settings,
    /// `[core]`.
    pub core: core::Settings,
    /// `[[identity]]`.
    pub identities: Vec<edge::identities::Settings>,
    /// `[tailscale]`, where whois is on.
    pub tailscale: Option<tailscale::Settings>,
    /// `[admin]`.
    pub metrics: metrics::Settings,
    /// `[log]`.
    pub log: telemetry::Settings,
    /// What is worth knowing and asks for nothing: said at start and by `check`.
    pub notes: Vec<String>,
    /// What weakens it, or cannot have been meant: said at start and by `check`.
    pub warnings: Vec<String>,
}

/// Whether this machine's own names and addresses are answered beside `edge.names`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LanNames {
    /// They are, as they are at each moment.
    Answered,
    /// They are nobody's.
    #[default]
    Unanswered,
}

impl Config {
    /// Reads the file that was `named`, or that the environment names, or the built-in local profile.
    ///
    /// # Errors
    /// [`ConfigError`], with every problem of the file.
    pub fn load(named: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        match environment.config_file(named) {
            Some(file) => Self::parse(&read_text(&file)?, Some(file), environment),
            None => Self::parse("", None, environment),
        }
    }

    /// Reads `text`, which stands in `file`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: Option<PathBuf>, environment: &Environment) -> Result<Self, ConfigError> {
        file::read(text, file, environment)
    }

    /// Reads again what this was read from.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read_again(&self, environment: &Environment) -> Result<Self, ConfigError> {
        match &self.built_in {
            Some(text) => Self::built_in(text, environment),
            None => Self::load(self.file.as_deref(), environment),
        }
    }

    /// Reads a profile that stands in no file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn built_in(text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let config = Self::parse(text, None, environment)?;
        Ok(Self { built_in: Some(text.to_owned()), ..config })
    }

    /// Where the state of a running instance may be whose `file` went wrong since, the likeliest first: what its `state_dir`
    /// says, if that can still be read, and where the state is without that key. Only the instance itself can say whether it
    /// has this file.
    pub fn possible_states(file: &Path, environment: &Environment) -> Vec<PathBuf> {
        file::possible_states(&read_text(file).unwrap_or_default(), file, environment)
    }

    /// The folder for the admin socket: the service manager's, else that of the state.
    pub fn socket_folder(&self, environment: &Environment) -> PathBuf {
        environment.runtime_dir().unwrap_or_else(|| self.state_dir.clone())
    }
}

/// Opens a regular file: a pipe in its place would hold up the start, and `reload` and `status` of a running instance.
fn open(path: &Path) -> io::Result<File> {
    private_file::open(path, Link::Followed).map_err(|error| match error.fault {
        Fault::Io(cause) => cause,
        other => io::Error::other(other),
    })
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |cause| ConfigError::Unreadable { path: path.to_path_buf(), cause };
    let mut bytes = Vec::new();
    let file = open(path).map_err(failed)?;
    file.take(CONFIG_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > CONFIG_BYTES_MAX) {
        return Err(ConfigError::TooLarge { path: path.to_path_buf(), max: CONFIG_BYTES_MAX });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText(path.to_path_buf()))
}

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

impl ConfigError {
    /// What to do about it; a report has a hint for each problem.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Invalid(_) => None,
            Self::NoHome => Some("set `state_dir` in the configuration, or $DOORWARD_STATE"),
            Self::NotText(_) => Some("save it as utf-8"),
            Self::TooLarge { .. } => Some("is this the right file?"),
            Self::Unreadable { .. } => {
                Some("name a file with --config or $DOORWARD_CONFIG; without one there is a local profile")
            }
        }
    }
}

#[cfg(test)]
mod tests;
