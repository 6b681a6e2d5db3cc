//! The settings of a listener, and what is known of this machine's network, as they are now: a reload replaces the
//! one and every look at the kernel's tables the other, under connections that are already open.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Settings;
use crate::origin::Network;

/// A handle on one listener's settings; cheap to clone, and all clones see the same.
///
/// Whoever decides something loads once and decides by that one value alone: then no decision is made half by what
/// was and half by what is.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<Settings>>);

impl Live {
    /// A handle that begins with `settings`.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(settings)))
    }

    /// What holds now.
    pub fn load(&self) -> Arc<Settings> {
        self.0.load_full()
    }

    /// Lets `settings` hold from the next load on, on open connections too. The addresses and the protocol stay what
    /// the sockets have: only a restart changes those.
    pub fn replace(&self, settings: Settings) {
        self.0.store(Arc::new(settings));
    }
}

/// A handle on what is known of this machine's network; cheap to clone, and all clones see the same.
#[derive(Clone, Debug, Default)]
pub struct LiveNetwork(Arc<ArcSwap<Network>>);

impl LiveNetwork {
    /// A handle that begins with `network`.
    pub fn new(network: Network) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(network)))
    }

    /// What is known now.
    pub fn load(&self) -> Arc<Network> {
        self.0.load_full()
    }

    /// Lets `network` hold from the next load on.
    pub fn replace(&self, network: Network) {
        self.0.store(Arc::new(network));
    }
}
