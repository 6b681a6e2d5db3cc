//! What the tests of the owner's door share: an instance without sockets, on a clock that they move.

use std::fs;
use std::sync::Arc;

use super::keys::Keyring;
use super::owner::{Facts, Owner};
use super::reload::Reloader;
use crate::base::clock::Clock;
use crate::base::owner_command::OwnerCommand;
use crate::certificates::{self, Certificates};
use crate::config::Config;
use crate::config::place::Environment;
use crate::core::{self, Core, Timing};
use crate::edge::Edge;
use crate::edge::identities::Identities;
use crate::edge::workers::Workers;
use crate::identity::signer::Signer;
use crate::identity::verifier::{Expected, Leeway, Lives, Verifier};
use crate::listener::caps::{Caps, Limits};
use crate::listener::live::{Live, LiveNetwork};
use crate::store::keys::signing::SigningKeys;
use crate::store::keys::token::{GATEWAY_TOKEN_FILE, TokenSource};
use crate::store::{FILE_NAME, Store};

/// The instance.
pub(crate) struct House {
    pub(crate) clock: Clock,
    pub(crate) edge: Edge,
    pub(crate) owner: Owner,
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) state: tempfile::TempDir,
}

impl House {
    /// One whose only listener has these lines.
    pub(crate) async fn open(listener: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (clock, file) = (Clock::fixed(Clock::system().now()), state.path().join("doorward.toml"));
        let text = format!("[edge]\nnames = [\"a.example\"]\n[[listener]]\nbind = [\"127.0.0.1:1\"]\n{listener}\n");
        fs::write(&file, text).unwrap();
        let doorward_state = Some(state.path().into());
        let environment = Environment { doorward_state, now: clock.now(), ..Environment::default() };
        let config = Config::load(Some(&file), &environment).unwrap();
        let keys = SigningKeys::open(state.path(), clock.now()).unwrap();
        let (issuer, audience) = (config.edge.id.clone(), config.core.id.clone());
        let signer = Arc::new(Signer::new(keys.current(), &issuer, &audience, clock.clone()).unwrap());
        let expected = Expected { issuer, audience, leeway: Leeway::SameHost, lives: Lives::Any };
        let components = core::Components {
            verifier: Verifier::new(keys.public(), expected, clock.clone()),
            store: Store::open(&state.path().join(FILE_NAME)).await.unwrap(),
            token: TokenSource::of(None, state.path()),
            clock: clock.clone(),
            timing: Timing::default(),
            owner: OwnerCommand::default(),
            upstream: None,
        };
        let core = Core::open(components).unwrap();
        let (settings, public) = (config.edge.clone(), keys.public());
        let identities = Identities::new(Vec::new(), clock.clone());
        let network = LiveNetwork::default();
        let edge = Edge::new(settings, Arc::clone(&signer), &public, core, network, identities, clock.clone());
        let files = certificates::Settings { state_dir: state.path().into(), ..config.certificates.clone() };
        let certificates = Arc::new(Certificates::open(files, clock.now()).unwrap());
        let live: Vec<Live> = config.listeners.iter().cloned().map(Live::new).collect();
        let (shown, swapped) = (Arc::clone(&certificates), certificates);
        let reloader = Reloader::new(config, environment, edge.clone(), live, swapped, clock.clone());
        let (reloader, caps) = (Arc::new(reloader), Caps::new(Limits { total: 1, reserve: 0, per_client: 1 }));
        let keyring = Arc::new(Keyring::new(keys, Arc::clone(&signer), edge.clone(), clock.clone()));
        let pulse = Workers::start(edge.clone(), Vec::new(), caps.clone()).unwrap().pulse();
        let (listeners, metrics, state_dir) = (Vec::new(), Vec::new(), state.path().into());
        let token_file = state.path().join(GATEWAY_TOKEN_FILE);
        let facts = Facts { certificates: shown, listeners, metrics, state_dir, token_file };
        let owner =
            Owner::new(edge.clone(), caps, pulse, facts, Arc::clone(&reloader), Arc::clone(&keyring), clock.clone());
        Self { clock, edge, owner, reloader, keyring, signer, state }
    }
}
