//! What the tailnet's own daemon, on this machine, says about a connection: whose node is at the other end.
//!
//! Promise: a name comes only out of a positive answer about exactly one address and port, of a caller who dialled an address
//! of this very node: anybody on a cable can take a tailnet's address for his own. Whatever is late, refused, unreadable or
//! about somebody else names nobody, and no answer outlives its connection, nor
//! [`WHOIS_LIFE`](crate::base::limits::WHOIS_LIFE) without being asked for again.

mod certificate;
mod kept;
mod local_api;
mod status;
mod whois;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use self::local_api::LocalApiError;
use crate::base::limits::{WHOIS_AT_ONCE_MAX, WHOIS_WAIT};
use crate::identity::claims::IdentityClaim;
use crate::net::addr::PeerAddr;
use crate::origin::Whois;
use crate::origin::tailnet::is_of_a_tailnet;

pub use self::certificate::TailscaleError;
pub use self::kept::PeerWord;
pub use self::whois::PROVIDER;

/// Where tailscaled listens unless told otherwise.
pub const SOCKET: &str = "/var/run/tailscale/tailscaled.sock";

/// `[tailscale]` of the configuration, for what is asked there: `whois = true`, or `certificates = true`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// tailscaled's unix socket.
    pub socket: PathBuf,
    /// Whose word counts by what was dialled.
    pub dialled: Dialled,
}

/// What a caller must have dialled to be asked about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dialled {
    /// Any address of ours, as one that a container runtime made of this node's: `danger_any_address`.
    AnyAddress,
    /// An address that tailscaled calls this node's own.
    ThisNode,
}

/// tailscaled's word on one peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
    /// The caller did not dial this node's address in the tailnet.
    Elsewhere,
    /// Its node belongs to this person.
    Person(IdentityClaim),
    /// No answer that could be read.
    NoAnswer,
    /// It knows no such peer.
    Nobody,
    /// Nobody asked.
    NotAsked,
    /// The node is a service's.
    Tagged,
}

impl Word {
    /// What it means for the origin.
    pub fn whois(&self) -> Whois {
        match self {
            Self::Elsewhere => Whois::Elsewhere,
            Self::Person(_) => Whois::Confirmed,
            Self::NoAnswer => Whois::NoAnswer,
            Self::Nobody => Whois::Nobody,
            Self::NotAsked => Whois::NotAsked,
            Self::Tagged => Whois::Tagged,
        }
    }

    /// The person.
    pub fn identity(&self) -> Option<&IdentityClaim> {
        match self {
            Self::Person(identity) => Some(identity),
            _ => None,
        }
    }
}

/// Asks tailscaled. Clones share its bounds.
#[derive(Clone, Debug)]
pub struct Tailscale(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: Settings,
    questions: Semaphore,
    /// The causes that the log has told since the last answer, a bit each.
    told: AtomicU8,
}

impl Tailscale {
    /// Asks at the socket that `settings` name.
    pub fn new(settings: Settings) -> Self {
        let questions = Semaphore::new(WHOIS_AT_ONCE_MAX);
        Self(Arc::new(Shared { settings, questions, told: AtomicU8::new(0) }))
    }

    /// Whose node `peer` is, who dialled `own`, within a bounded time.
    pub async fn whois(&self, peer: PeerAddr, own: IpAddr) -> Word {
        let asked = timeout(WHOIS_WAIT, self.ask(peer, own)).await;
        match asked.unwrap_or(Err(LocalApiError::Deadline)) {
            Ok(word) => {
                self.0.told.store(0, Ordering::Relaxed);
                word
            }
            Err(error) => {
                self.tell(&error);
                debug!(peer = %peer.socket(), %error, "tailscaled named nobody");
                Word::NoAnswer
            }
        }
    }

    fn socket(&self) -> &Path {
        &self.0.settings.socket
    }

    async fn ask(&self, peer: PeerAddr, own: IpAddr) -> Result<Word, LocalApiError> {
        let Settings { socket, dialled } = &self.0.settings;
        if *dialled == Dialled::ThisNode && !is_of_a_tailnet(own) {
            return Ok(Word::Elsewhere);
        }
        // Never fails: nobody closes it. Waiting for a place is part of the question's time.
        let _place = self.0.questions.acquire().await.map_err(|_| LocalApiError::Deadline)?;
        if *dialled == Dialled::ThisNode && !status::is_ours(&local_api::status(socket).await?, own)? {
            return Ok(Word::Elsewhere);
        }
        match local_api::whois(socket, peer).await? {
            Some(answer) => Ok(whois::read(&answer, peer.ip())?),
            None => Ok(Word::Nobody),
        }
    }

    /// One line for each cause until tailscaled answers again: a flood of callers is no flood of lines.
    fn tell(&self, error: &LocalApiError) {
        let bit = error.bit();
        if self.0.told.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let (socket, hint) = (self.0.settings.socket.display(), error.hint());
            warn!(%socket, %error, hint, "tailscaled does not answer, so nobody counts as tailnet");
        }
    }
}

#[cfg(test)]
mod tests;
