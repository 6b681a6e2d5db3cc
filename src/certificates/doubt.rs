//! What stops no start and yet may not be what the owner means: a name that only the local CA serves although there are other
//! certificates, files for names that nobody dials here, a clock that was never set.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{Loaded, dropped, load};
use super::x509::Names;
use super::{Settings, is_wanted, tailnet};
use crate::base::clock::UnixMillis;
use crate::base::owner_command::quoted_path;
use crate::base::printable::printable_path;
use crate::net::host::Host;

/// One such thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// The clock shows a time before this program was made.
    Clock(UnixMillis),
    /// Of this file no name is ours.
    Foreign {
        /// The certificate's file.
        cert: PathBuf,
        /// What it is for.
        names: Names,
    },
    /// Others are there, and none is for this name.
    Uncovered(Host),
}

/// What there is to doubt about `settings` at `now`.
pub fn doubts(settings: &Settings, now: UnixMillis) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if !now.is_set() {
        doubts.push(Doubt::Clock(now));
    }
    let dropped = dropped::find(&settings.dir).pairs;
    let pairs = settings.files.iter().chain(dropped.iter().filter(|pair| !settings.files.contains(pair)));
    let files: Vec<(PathBuf, Arc<Loaded>)> =
        pairs.filter_map(|pair| Some((pair.cert.clone(), Arc::new(load(pair, now).ok()?)))).collect();
    let ours = || settings.names.iter().chain(&settings.own);
    let foreign = files.iter().filter(|(_, file)| !ours().any(|name| file.names.covers(name)));
    doubts.extend(foreign.map(|(cert, file)| Doubt::Foreign { cert: cert.clone(), names: file.names.clone() }));
    if files.is_empty() && settings.acme.is_empty() {
        // Then it is the local CA's house, and meant so.
        return doubts;
    }
    let is_covered = |name: &Host| {
        files.iter().any(|(_, file)| file.names.covers(name))
            || is_wanted(&settings.acme, name)
            || settings.tailnet.is_some() && tailnet::is_tailnets(name)
    };
    let uncovered = settings.names.iter().filter(|name| !name.is_local_only() && !is_covered(name));
    doubts.extend(uncovered.cloned().map(Doubt::Uncovered));
    doubts
}

impl Doubt {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Clock(_) => {
                "set this machine's clock (timedatectl); until then nothing is ordered, and nothing new of the local ca is kept"
                    .to_owned()
            }
            Self::Foreign { cert, .. } => {
                format!("write its names into edge.names, or take {} away", quoted_path(cert))
            }
            Self::Uncovered(name) => format!(
                "have a certificate issued that is for {name} too, or add it to the names of a `[[certificates.acme]]`"
            ),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock(now) => {
                write!(f, "the clock of this machine says {}, which is before this program was made", now.date())
            }
            Self::Foreign { cert, names } => {
                write!(f, "certificate is for no name of ours but for {names}: {}", printable_path(cert))
            }
            Self::Uncovered(name) => {
                write!(f, "no file and no ca's certificate is for {name}: only devices that trust the local ca take it")
            }
        }
    }
}
