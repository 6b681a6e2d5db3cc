//! HTTP at the edge: limits, Host, origin, route, strip, sign, core, access log.
//!
//! Promise: nothing reaches the core but a request whose origin we found and signed; every refusal has one
//! stable reason and a next step, and every request, refused ones too, has one line in the access log.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::base::clock::Clock;
use crate::certificates::Certificates;
use crate::core::Core;
use crate::identity::jwks::JwkSet;
use crate::identity::signer::Signer;
use crate::listener::live::LiveNetwork;
use crate::net::host::{Host, WebOrigin};
use crate::origin::Network;

use identities::Identities;

pub mod access_log;
mod advice;
pub mod assertion;
pub mod body;
mod ca;
pub mod context;
mod denial;
pub mod host;
pub mod identities;
mod phases;
pub mod proxy;
mod record;
pub mod respond;
pub mod route;
mod service;
pub mod upgrade;
mod upload;
mod upstream;
mod why;
pub mod workers;

#[cfg(test)]
mod tests;

use advice::Advisor;

/// `[edge]` of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The edge's name: `iss` of its assertions.
    pub id: String,
    /// The only Hosts that are answered, loopback names on local listeners apart.
    pub names: Vec<Host>,
    /// This machine's own names and addresses of now, answered by TLS alone and where the household dials them.
    pub own: Vec<Host>,
    /// Further pages that may open WebSockets and change things.
    pub origins: Vec<WebOrigin>,
    /// Where redirects lead.
    pub https_port: u16,
    /// SIGTERM to exit.
    pub drain_seconds: u64,
}

/// What all event loops share; cheap to clone.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

struct Shared {
    settings: ArcSwap<Settings>,
    /// Held while they are replaced: a half of them each is kept.
    changing: Mutex<()>,
    signer: Arc<Signer>,
    core: Core,
    network: LiveNetwork,
    identities: Identities,
    clock: Clock,
    jwks: ArcSwap<Bytes>,
    certificates: OnceLock<Arc<Certificates>>,
    draining: AtomicBool,
    advisor: Advisor,
}

impl Edge {
    /// An edge in front of `core`, which believes `signer`; `keys` is what the JWK Set endpoint shows, `identities` whose
    /// tokens are read.
    pub fn new(
        settings: Settings,
        signer: Arc<Signer>,
        keys: &JwkSet,
        core: Core,
        network: LiveNetwork,
        identities: Identities,
        clock: Clock,
    ) -> Self {
        Self(Arc::new(Shared {
            changing: Mutex::new(()),
            settings: ArcSwap::from_pointee(settings),
            signer,
            core,
            network,
            identities,
            clock,
            jwks: ArcSwap::from_pointee(Bytes::from(keys.to_json())),
            certificates: OnceLock::new(),
            draining: AtomicBool::new(false),
            advisor: Advisor::default(),
        }))
    }

    /// Goes by `certificates` from now on: answers the questions of CAs, offers the local CA to devices of the house, and holds
    /// browsers to https where what is shown is what every one of them believes. Without them, nothing of that.
    pub fn go_by(&self, certificates: Arc<Certificates>) {
        // Said once, at the start: what they hold changes.
        let _ = self.0.certificates.set(certificates);
    }

    /// Its settings, as they are now: load once for each decision.
    pub fn settings(&self) -> Arc<Settings> {
        self.0.settings.load_full()
    }

    /// The core behind it.
    pub fn core(&self) -> &Core {
        &self.0.core
    }

    /// Judges later requests by `settings`, our own names apart; the name that assertions are issued by stays what the signer
    /// has.
    pub fn replace_settings(&self, settings: Settings) {
        self.change(|before| Settings { own: before.own.clone(), ..settings });
    }

    /// Answers to `own` too from now on, the names and addresses that this machine has now.
    pub fn replace_own_names(&self, own: Vec<Host>) {
        self.change(|before| Settings { own, ..before.clone() });
    }

    fn change(&self, change: impl FnOnce(&Settings) -> Settings) {
        let _alone = self.0.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.settings.store(Arc::new(change(&self.settings())));
    }

    /// What is known of this machine's network.
    pub fn network(&self) -> Arc<Network> {
        self.0.network.load()
    }

    /// Judges later requests by what is known of this machine's network now.
    pub fn replace_network(&self, network: Network) {
        self.0.network.replace(network);
    }

    /// Shows `keys` from now on.
    pub fn replace_keys(&self, keys: &JwkSet) {
        self.0.jwks.store(Arc::new(Bytes::from(keys.to_json())));
    }

    /// Those whose identity tokens are read.
    pub fn identities(&self) -> &Identities {
        &self.0.identities
    }

    /// Whether new work is taken.
    pub fn is_ready(&self) -> bool {
        !self.0.draining.load(Ordering::Acquire)
    }

    fn stop_taking(&self) {
        self.0.draining.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}
