//! What a running instance does now and then, each cheap when nothing is due: the network and its
//! published ports, signing keys, certificates.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::admin::keys::Keyring;
use crate::base::clock::{Clock, UnixMillis};
use crate::base::limits::{MAINTENANCE_PERIOD, NETWORK_PERIOD};
use crate::certificates::{CertificateError, Certificates, Renewal};
use crate::config::LanNames;
use crate::edge::Edge;
use crate::listener;
use crate::listener::knock::Knocks;
use crate::listener::live::Live;
use crate::net::host::Host;
use crate::origin::Network;
use crate::origin::exposure::Exposure;

use super::network::Looked;
use super::probe::Probed;
use super::{network, own_names, probe};

/// What is kept fresh.
pub(super) struct Upkeep {
    pub(super) certificates: Arc<Certificates>,
    pub(super) clock: Clock,
    pub(super) lan_names: LanNames,
    pub(super) listeners: Vec<Live>,
    pub(super) edge: Edge,
    pub(super) keyring: Arc<Keyring>,
    pub(super) knocks: Knocks,
    pub(super) links: Links,
    pub(super) doubt: Doubt,
}

/// Whether the clock was never set, when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Doubt(AtomicBool);

impl Doubt {
    /// Whether a clock that shows `now` was set since the last look.
    fn is_over(&self, now: UnixMillis) -> bool {
        self.0.swap(!now.is_set(), Ordering::Relaxed) && now.is_set()
    }
}

/// Whether it was told that links cannot be read.
#[derive(Debug, Default)]
pub(super) struct Links(AtomicBool);

impl Links {
    /// Whether that they cannot be read, if so, is news; it is again after they could be read.
    fn is_news(&self, unread: bool) -> bool {
        !self.0.swap(unread, Ordering::Relaxed) && unread
    }
}

impl Upkeep {
    /// Works until dropped.
    pub(super) async fn run(self) -> Infallible {
        let mut network_due = interval(NETWORK_PERIOD);
        let mut maintenance_due = interval(MAINTENANCE_PERIOD);
        for due in [&mut network_due, &mut maintenance_due] {
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                _ = network_due.tick() => {
                    self.look_at_network().await;
                    if self.doubt.is_over(self.clock.now()) {
                        info!("the clock of this machine is set");
                        self.renew_certificates(Certificates::renew).await;
                    }
                    self.renew_certificates(Certificates::renew_what_does_not_hold).await;
                }
                _ = maintenance_due.tick() => {
                    self.rotate_keys();
                    self.renew_certificates(Certificates::renew).await;
                }
            }
        }
    }

    async fn look_at_network(&self) {
        let Looked { network: read, unread } = match network::read() {
            Ok(looked) => looked,
            // What was known is nearer to the truth than nothing: a gateway that is forgotten looks like a neighbour.
            Err(error) => return warn!(%error, "routes cannot be read; those read before stand"),
        };
        if let (true, Some(error)) = (self.links.is_news(unread.is_some()), unread) {
            warn!(hint = error.hint(), "{error}");
        }
        let known = self.edge.network();
        if Network::clone(&known).without_exposures() != read {
            // On another network, what was found of the old one proves nothing.
            self.edge.replace_network(read.clone());
        }
        let listeners: Vec<Arc<listener::Settings>> = self.listeners.iter().map(Live::load).collect();
        if self.lan_names == LanNames::Answered {
            let settings: Vec<_> = listeners.iter().map(|listener| listener::Settings::clone(listener)).collect();
            self.follow(own_names::of_now(&read, &settings)).await;
        }
        let mut probed = read;
        for port in probe::published(listeners.iter().map(Arc::as_ref)) {
            let Probed { exposure, dials } = probe::probe(&probed, port, &self.knocks).await;
            tell(port, known.exposure(port), exposure);
            probed = probed.with_exposure(port, exposure).with_dials(port, dials);
        }
        if *self.edge.network() != probed {
            self.edge.replace_network(probed);
        }
    }

    /// Answers to the names and addresses that this machine has now, with a certificate for them first. Without any, those
    /// before stand: a cable that is out for a minute is no move.
    async fn follow(&self, own: Vec<Host>) {
        if own.is_empty() {
            return;
        }
        let (certificates, now) = (Arc::clone(&self.certificates), self.clock.now());
        let before = certificates.own_names();
        let followed = tokio::task::spawn_blocking(move || certificates.follow(own, now)).await;
        let own = self.certificates.own_names();
        match followed {
            Ok(Ok(_)) if own == before => {}
            Ok(Ok(_)) => {
                let names: Vec<_> = own.iter().map(ToString::to_string).collect();
                info!(
                    names = names.join(" "),
                    "this machine's own names and addresses changed; its certificate has them"
                );
                self.edge.replace_own_names(own);
            }
            Ok(Err(error)) => error!(%error, hint = %error.hint(), "local certificate not issued for new addresses"),
            Err(error) => error!(%error, "local certificate not issued for new addresses: it broke off"),
        }
    }

    fn rotate_keys(&self) {
        if let Err(error) = self.keyring.maintain() {
            error!(%error, hint = %error.hint(), "signing keys not rotated");
        }
    }

    async fn renew_certificates(&self, renew: fn(&Certificates, UnixMillis) -> Result<Renewal, CertificateError>) {
        let (certificates, now) = (Arc::clone(&self.certificates), self.clock.now());
        match tokio::task::spawn_blocking(move || renew(&certificates, now)).await {
            Ok(Ok(Renewal::NotDue)) => {}
            Ok(Ok(Renewal::Renewed)) => info!("local certificate renewed"),
            Ok(Err(error)) => error!(%error, hint = %error.hint(), "local certificate not renewed"),
            Err(error) => error!(%error, "local certificate not renewed: the renewal broke off"),
        }
    }
}

/// Says what a probe found, if it is news.
fn tell(port: u16, before: Exposure, now: Exposure) {
    match now.hint(port) {
        _ if before == now => {}
        Some(hint) => warn!(port, found = %now, hint, "nobody is local through the published port"),
        None => info!(port, found = %now, "the host's own callers can be local through the published port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::EARLIEST;

    #[test]
    fn a_clock_is_set_once() {
        let doubt = Doubt::default();
        for (now, is_over) in
            [(EARLIEST, false), (UnixMillis(0), false), (UnixMillis(1), false), (EARLIEST, true), (EARLIEST, false)]
        {
            assert_eq!(doubt.is_over(now), is_over, "{now:?}");
        }
    }

    #[test]
    fn links_that_cannot_be_read_are_told_once_until_they_can_be_read_again() {
        let links = Links::default();
        let told = [true, true, false, true, true, false, false].map(|unread| links.is_news(unread));
        assert_eq!(told, [true, false, false, true, false, false, false]);
    }
}
