//! What the tailnet's own daemon, on this machine, says about a connection: whose node is at the other end.
//!
//! Promise: a name comes only out of a positive answer about exactly one address and port. Whatever is late, refused,
//! unreadable or about somebody else names nobody, and no answer outlives its connection.

mod local_api;
mod whois;

use std::path::PathBuf;
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

pub use self::whois::PROVIDER;

/// Where tailscaled listens unless told otherwise.
pub const SOCKET: &str = "/var/run/tailscale/tailscaled.sock";

/// `[tailscale]` of the configuration, where `whois = true`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// tailscaled's unix socket.
    pub socket: PathBuf,
}

/// tailscaled's word on one peer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Word {
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
    socket: PathBuf,
    questions: Semaphore,
    /// The causes that the log has told since the last answer, a bit each.
    told: AtomicU8,
}

impl Tailscale {
    /// Asks at the socket that `settings` name.
    pub fn new(settings: Settings) -> Self {
        let questions = Semaphore::new(WHOIS_AT_ONCE_MAX);
        Self(Arc::new(Shared { socket: settings.socket, questions, told: AtomicU8::new(0) }))
    }

    /// Whose node `peer` is, within a bounded time.
    pub async fn whois(&self, peer: PeerAddr) -> Word {
        let asked = timeout(WHOIS_WAIT, self.ask(peer)).await;
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

    async fn ask(&self, peer: PeerAddr) -> Result<Word, LocalApiError> {
        // Never fails: nobody closes it. Waiting for a place is part of the question's time.
        let _place = self.0.questions.acquire().await.map_err(|_| LocalApiError::Deadline)?;
        match local_api::whois(&self.0.socket, peer).await? {
            Some(answer) => Ok(whois::read(&answer, peer.ip())?),
            None => Ok(Word::Nobody),
        }
    }

    /// One line for each cause until tailscaled answers again: a flood of callers is no flood of lines.
    fn tell(&self, error: &LocalApiError) {
        let bit = error.bit();
        if self.0.told.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let (socket, hint) = (self.0.socket.display(), error.hint());
            warn!(%socket, %error, hint, "tailscaled does not answer, so nobody counts as tailnet");
        }
    }
}

#[cfg(test)]
mod tests;
