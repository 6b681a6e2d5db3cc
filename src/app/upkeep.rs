//! What a running instance does now and then, each cheap when nothing is due: the network and its
//! published ports, signing keys, certificates.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::admin::keys::Keyring;
use crate::base::clock::Clock;
use crate::base::limits::{MAINTENANCE_PERIOD, NETWORK_PERIOD};
use crate::certificates::{Certificates, Renewal};
use crate::edge::Edge;
use crate::listener;
use crate::listener::knock::Knocks;
use crate::listener::live::Live;
use crate::origin::Network;
use crate::origin::exposure::Exposure;

use super::{network, probe};

/// What is kept fresh.
pub(super) struct Upkeep {
    pub(super) certificates: Arc<Certificates>,
    pub(super) clock: Clock,
    pub(super) listeners: Vec<Live>,
    pub(super) edge: Edge,
    pub(super) keyring: Arc<Keyring>,
    pub(super) knocks: Knocks,
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
                _ = network_due.tick() => self.look_at_network().await,
                _ = maintenance_due.tick() => {
                    self.rotate_keys();
                    self.renew_certificates().await;
                }
            }
        }
    }

    async fn look_at_network(&self) {
        let read = match network::read() {
            Ok(read) => read,
            // What was known is nearer to the truth than nothing: a gateway that is forgotten looks like a neighbour.
            Err(error) => return warn!(%error, "routes cannot be read; those read before stand"),
        };
        let known = self.edge.network();
        if Network::clone(&known).without_exposures() != read {
            // On another network, what was found of the old one proves nothing.
            self.edge.replace_network(read.clone());
        }
        let listeners: Vec<Arc<listener::Settings>> = self.listeners.iter().map(Live::load).collect();
        let mut probed = read;
        for port in probe::published(listeners.iter().map(Arc::as_ref)) {
            let exposure = probe::probe(&probed, port, &self.knocks).await;
            tell(port, known.exposure(port), exposure);
            probed = probed.with_exposure(port, exposure);
        }
        if *self.edge.network() != probed {
            self.edge.replace_network(probed);
        }
    }

    fn rotate_keys(&self) {
        if let Err(error) = self.keyring.maintain() {
            error!(%error, hint = %error.hint(), "signing keys not rotated");
        }
    }

    async fn renew_certificates(&self) {
        let (certificates, now) = (Arc::clone(&self.certificates), self.clock.now());
        match tokio::task::spawn_blocking(move || certificates.renew(now)).await {
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
    use bytes::Bytes;
    use http::{HeaderValue, Request, StatusCode};

    use super::*;
    use crate::base::limits::{SIGNING_KEY_LIFE, SIGNING_KEY_OVERLAP};
    use crate::base::owner_command::OwnerCommand;
    use crate::certificates;
    use crate::config::Config;
    use crate::config::place::Environment;
    use crate::core::{self, Core, Timing};
    use crate::edge::identities::Identities;
    use crate::identity::claims::RequestClaim;
    use crate::identity::headers::ASSERTION;
    use crate::identity::signer::Signer;
    use crate::identity::testing::{parts, subject};
    use crate::identity::verifier::{Expected, Leeway, Lives, Verifier};
    use crate::listener::live::LiveNetwork;
    use crate::store::keys::signing::{Replaced, SigningKeys};
    use crate::store::keys::token::TokenSource;
    use crate::store::{FILE_NAME, Store};

    #[tokio::test]
    async fn a_key_of_age_is_replaced_where_it_signs_and_where_it_is_believed() {
        let house = House::open().await;
        let first_key = house.key();
        let first = house.signed();
        house.clock.advance(i64::try_from(SIGNING_KEY_LIFE.as_millis()).unwrap());
        let old = house.signed();
        assert_eq!(key_of(&old), key_of(&first));
        house.upkeep.rotate_keys();
        let new = house.signed();
        assert_ne!(key_of(&new), key_of(&old));
        assert_eq!(house.answer(new).await, StatusCode::OK);
        assert_eq!(house.answer(old).await, StatusCode::OK, "what was under way is believed");

        // Somebody who has the old key is believed until its overlap ends, and not a moment longer.
        let thief = Signer::new(first_key, "edge", "core", house.clock.clone()).unwrap();
        house.clock.advance(overlap() - 1_000);
        house.upkeep.rotate_keys();
        assert_eq!(house.answer(whoami(&thief)).await, StatusCode::OK);
        house.clock.advance(1_000);
        house.upkeep.rotate_keys();
        assert_eq!(house.answer(whoami(&thief)).await, StatusCode::UNAUTHORIZED);
        assert_eq!(house.answer(house.signed()).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_key_that_others_saw_is_refused_at_once_and_any_other_overlaps() {
        let house = House::open().await;
        let under_way = house.signed();
        let listed = house.upkeep.keyring.rotate(Replaced::Overlaps).unwrap();
        let until = house.clock.now().seconds() as i64 * 1_000 + overlap();
        // A second later than the first one, so that a restart tells them apart.
        assert_eq!(listed["keys"][1]["verifiesUntilMs"], until + 1_000);
        let next = house.signed();
        assert_ne!(key_of(&next), key_of(&under_way));
        assert_eq!(house.answer(under_way).await, StatusCode::OK, "its key overlaps");
        assert_eq!(house.answer(next).await, StatusCode::OK);

        let under_way = house.signed();
        let listed = house.upkeep.keyring.rotate(Replaced::Compromised).unwrap();
        assert_eq!(listed["keys"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(house.answer(under_way).await, StatusCode::UNAUTHORIZED);
        assert_eq!(house.answer(house.signed()).await, StatusCode::OK);
    }

    /// The name of the key that signed it stands in the first part.
    fn key_of(request: &Request<Bytes>) -> String {
        request.headers()[ASSERTION].to_str().unwrap().split('.').next().unwrap().to_owned()
    }

    fn overlap() -> i64 {
        i64::try_from(SIGNING_KEY_OVERLAP.as_millis()).unwrap()
    }

    /// A whoami as the edge hands it on, signed with the signer's key of the moment.
    fn whoami(signer: &Signer) -> Request<Bytes> {
        let mut head = parts("GET", "/doorward/whoami", &[("host", "claw.example")]);
        let token = signer.sign(&subject(), Some(&RequestClaim::of(&head).unwrap())).unwrap();
        head.headers.append(ASSERTION, HeaderValue::from_str(&token).unwrap());
        Request::from_parts(head, Bytes::new())
    }

    /// Edge, core and keys on a clock that the test moves.
    struct House {
        clock: Clock,
        signer: Arc<Signer>,
        state: tempfile::TempDir,
        upkeep: Upkeep,
    }

    impl House {
        async fn open() -> Self {
            let state = tempfile::tempdir().unwrap();
            let environment = Environment { doorward_state: Some(state.path().into()), ..Environment::default() };
            let config = Config::parse("", None, &environment).unwrap();
            let clock = Clock::fixed(Clock::system().now());
            let keys = SigningKeys::open(state.path(), clock.now()).unwrap();
            let (issuer, audience) = ("edge".into(), "core".into());
            let expected = Expected { issuer, audience, leeway: Leeway::SameHost, lives: Lives::Any };
            let components = core::Components {
                verifier: Verifier::new(keys.public(), expected, clock.clone()),
                store: Store::open(&state.path().join(FILE_NAME)).await.unwrap(),
                token: TokenSource::of(None, state.path()),
                clock: clock.clone(),
                timing: Timing::default(),
                owner: OwnerCommand::default(),
            };
            let core = Core::open(components).unwrap();
            let signer = Arc::new(Signer::new(keys.current(), "edge", "core", clock.clone()).unwrap());
            let (signing, public, network) = (Arc::clone(&signer), keys.public(), LiveNetwork::default());
            let identities = Identities::new(Vec::new(), clock.clone());
            let edge = Edge::new(config.edge, signing, &public, core, network, identities, clock.clone());
            let files = certificates::Settings { state_dir: state.path().into(), ..config.certificates };
            let certificates = Arc::new(Certificates::open(files, clock.now()).unwrap());
            let keyring = Arc::new(Keyring::new(keys, Arc::clone(&signer), edge.clone(), clock.clone()));
            let (listeners, knocks) = (Vec::new(), Knocks::default());
            let upkeep = Upkeep { certificates, clock: clock.clone(), listeners, edge, keyring, knocks };
            Self { clock, signer, state, upkeep }
        }

        fn key(&self) -> Arc<crate::identity::signer::SigningKey> {
            SigningKeys::find(self.state.path()).unwrap().unwrap().current()
        }

        fn signed(&self) -> Request<Bytes> {
            whoami(&self.signer)
        }

        async fn answer(&self, request: Request<Bytes>) -> StatusCode {
            self.upkeep.edge.core().answer(request).await.status()
        }
    }
}
