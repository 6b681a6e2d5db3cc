//! What stops no start and yet may not be what the owner means: a name that only the local CA serves although there are other
//! certificates, files for names that nobody dials here, a clock that was never set.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::files::{Loaded, dropped, load, read};
use super::local_ca::{LocalCa, LocalCaError};
use super::x509::{Names, Validity};
use super::{Settings, is_wanted, tailnet};
use crate::base::clock::UnixMillis;
use crate::base::owner_command::quoted_path;
use crate::base::printable::printable_path;
use crate::net::host::Host;

/// One such thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// The local CA is over by the clock: it signs nothing.
    Authority {
        /// When it ends.
        ends: UnixMillis,
        /// By the clock.
        now: UnixMillis,
    },
    /// The clock shows a time before this program was made.
    Clock(UnixMillis),
    /// Of this file no name is ours.
    Foreign {
        /// The certificate's file.
        cert: PathBuf,
        /// What it is for.
        names: Names,
    },
    /// A configured certificate does not hold by the clock, and is shown all the same.
    OutOfTime {
        /// Its file.
        cert: PathBuf,
        /// The time in which it holds.
        validity: Validity,
        /// By the clock.
        now: UnixMillis,
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
    if let Ok(Some(Err(LocalCaError::Expired { ends, now, .. }))) =
        LocalCa::find(&settings.state_dir).map(|ca| ca.map(|ca| ca.check_time(now)))
    {
        doubts.push(Doubt::Authority { ends, now });
    }
    let configured = settings.files.iter().map(|pair| (pair, read(pair)));
    let dropped = dropped::find(&settings.dir).pairs;
    let dropped = dropped.iter().filter(|pair| !settings.files.contains(pair)).map(|pair| (pair, load(pair, now)));
    let files: Vec<(PathBuf, Arc<Loaded>)> = configured
        .chain(dropped)
        .filter_map(|(pair, loaded)| Some((pair.cert.clone(), Arc::new(loaded.ok()?))))
        .collect();
    let out_of_time = files.iter().filter(|(_, file)| now.is_set() && !file.validity.holds(now));
    doubts.extend(out_of_time.map(|(cert, file)| Doubt::OutOfTime {
        cert: cert.clone(),
        validity: file.validity,
        now,
    }));
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
            Self::Authority { .. } => {
                "date: is that right? If not, set this machine's clock (timedatectl), and all is as before. Only if it is: \
                 doorward certs recreate-ca; each device must then install the new one"
                    .to_owned()
            }
            Self::Clock(_) => {
                "set this machine's clock (timedatectl); until then nothing is ordered, and nothing new of the local ca is kept"
                    .to_owned()
            }
            Self::Foreign { cert, .. } => {
                format!("write its names into edge.names, or take {} away", quoted_path(cert))
            }
            Self::OutOfTime { cert, .. } => format!(
                "see that this machine's clock is right: date; if it is, put a newer certificate in place of {}",
                quoted_path(cert)
            ),
            Self::Uncovered(name) => format!(
                "have a certificate issued that is for {name} too, or add it to the names of a `[[certificates.acme]]`"
            ),
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authority { ends, now } => write!(
                f,
                "the local ca ended on {}, and the clock of this machine says {}: devices refuse what it signed",
                ends.date(),
                now.date()
            ),
            Self::Clock(now) => {
                write!(f, "the clock of this machine says {}, which is before this program was made", now.date())
            }
            Self::Foreign { cert, names } => {
                write!(f, "certificate is for no name of ours but for {names}: {}", printable_path(cert))
            }
            Self::OutOfTime { cert, validity, now } => {
                let (begins, ends) = (validity.begins_at().date(), validity.ends_at().date());
                let (now, path) = (now.date(), printable_path(cert));
                write!(f, "certificate holds from {begins} to {ends}, and the clock of this machine says {now}: {path}")
            }
            Self::Uncovered(name) => {
                write!(f, "no file and no ca's certificate is for {name}: only devices that trust the local ca take it")
            }
        }
    }
}
