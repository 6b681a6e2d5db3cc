//! Moving in from an OpenClaw gateway: what its state folder says of devices and settings, read without changing anything
//! there, and judged like any input.
//!
//! A row that is not what it should be is told and left out, never guessed at; a file that cannot be read whole ends it.
//! Of device tokens only the hashes leave this room.

mod depth;
mod device;
mod error;
mod files;
mod issuer;
mod january;
pub mod mistakes;
mod september;
pub mod settings;
mod snapshot;
pub mod suggestion;

use std::path::Path;

use crate::import::files::Folder;

pub use device::Arrival;
pub use device::Loss;
pub use device::Unfit;
pub use device::Whence;
pub use device::Why;
pub use error::ImportError;
pub use issuer::OldSecret;
pub use issuer::SecretKind;

/// Which kind of gateway kept the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Release {
    /// 2026.1 and its like: JSON files.
    January,
    /// 2026.9: a SQLite database.
    September,
}

impl Release {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::January => "2026.1",
            Self::September => "2026.9",
        }
    }
}

/// The devices of a state folder.
#[derive(Debug)]
pub struct Devices {
    /// What kept them.
    pub release: Release,
    /// Those that can move.
    pub arrivals: Vec<Arrival>,
    /// Those that cannot, and why.
    pub unfit: Vec<Unfit>,
    /// How many wait there for approval. They do not move: they ask again, and where they come from is then known.
    pub waiting: usize,
}

/// Reads the devices of the gateway whose state is in `folder`; `secret` is its gateway token or password. A database is
/// copied to the folder `room` meanwhile.
///
/// # Errors
/// [`ImportError`]; then nothing of it counts.
pub async fn devices(folder: &Path, secret: &OldSecret, room: &Path) -> Result<Devices, ImportError> {
    let folder = Folder::open(folder)?;
    match september::find(&folder)? {
        Some(database) => september::read(&database, secret, room).await,
        None => january::read(&folder, secret)?.ok_or_else(|| ImportError::Nothing(folder.path().to_path_buf())),
    }
}

#[cfg(test)]
mod tests;
