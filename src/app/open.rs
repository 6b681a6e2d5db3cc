//! Opening an instance bottom-up: keys, store, core, certificates, doors, admin socket. The first failure ends it, with
//! nothing served.

use std::net::SocketAddr;
use std::sync::Arc;

use tracing::warn;

use crate::admin::keys::Keyring;
use crate::admin::owner::{BoundListener, Facts, Owner};
use crate::admin::reload::Reloader;
use crate::admin::request::SOCKET;
use crate::admin::server::Server;
use crate::base::clock::Clock;
use crate::base::owner_command::OwnerCommand;
use crate::certificates;
use crate::certificates::Certificates;
use crate::certificates::acme::challenge;
use crate::certificates::acme::runner::Runner;
use crate::certificates::files::watch::Watch;
use crate::certificates::tailnet;
use crate::config::Config;
use crate::config::LanNames;
use crate::config::place::Environment;
use crate::core::upstream::Upstream;
use crate::core::{self, Core, Timing};
use crate::edge::Edge;
use crate::edge::identities::Identities;
use crate::edge::workers::{Listening, Workers, event_loops};
use crate::identity::signer::{Life, Signer};
use crate::identity::verifier::{Expected, Leeway, Lives, Verifier};
use crate::listener::Protocol;
use crate::listener::bind::{self, Bound};
use crate::listener::caps::{Caps, Limits};
use crate::listener::connection::Door;
use crate::listener::knock::Knocks;
use crate::listener::live::{Live, LiveNetwork};
use crate::listener::own_bridge;
use crate::listener::tally::Tally;
use crate::metrics::{self, Numbers, Sources};
use crate::pairing::rule::review;
use crate::store::keys::signing::SigningKeys;
use crate::store::{FILE_NAME, Store};
use crate::tailscale::Tailscale;

use super::AppError;
use super::lock::StateLock;
use super::network;
use super::own_names;
use super::upkeep::{Doubt, Links, Upkeep};

/// What a connection may speak after TLS, in order of preference.
const ALPN: [&str; 3] = ["h2", "http/1.1", challenge::ALPN];

/// Everything open and serving.
pub(super) struct Instance {
    pub(super) acme: Runner,
    pub(super) admin: Server,
    pub(super) config: Config,
    pub(super) edge: Edge,
    pub(super) files: Watch,
    pub(super) metrics: metrics::server::Server,
    pub(super) numbers: Arc<Numbers>,
    pub(super) owner: Arc<Owner>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) tailnet: Option<tailnet::Runner>,
    pub(super) upkeep: Upkeep,
    pub(super) workers: Workers,
}

/// Opens everything `config` says, under `lock`.
pub(super) async fn open(config: Config, environment: &Environment, lock: &StateLock) -> Result<Instance, AppError> {
    let clock = Clock::system();
    let keys = SigningKeys::open(&config.state_dir, clock.now())?;
    let signer = Arc::new(Signer::new(keys.current(), &config.edge.id, &config.core.id, clock.clone())?);
    let core = open_core(&config, &keys, signer.life(), &clock).await?;
    // What could not be read of it is told by the upkeep, which looks at once.
    let network = network::read().map_err(AppError::Network)?.network;
    own_bridge::judge(&config.listeners, &network)?;
    let Taken { admin, bound, metrics } = Taken::take(&config, environment)?;
    let own = match config.lan_names {
        LanNames::Answered => own_names::of_now(&network, &config.listeners),
        LanNames::Unanswered => Vec::new(),
    };
    let settings = certificates::Settings { own, ..config.certificates.clone() };
    // Last of what can fail by the configuration: the first start fixes what the local CA may sign for, and whoever corrects
    // one that failed may correct the names too.
    let certificates = Arc::new(Certificates::open(settings, clock.now())?);
    // What the rules' own text shows is told with the configuration's other warnings.
    review::hidden(&config.core.rules, &network).iter().for_each(|told| warn!("{told}"));
    let (network, knocks) = (LiveNetwork::new(network), Knocks::default());
    let (listening, listeners) = listening(&config, bound, &certificates, &network, &knocks)?;

    let identities = Identities::new(config.identities.clone(), clock.clone());
    let (settings, signing) = (config.edge.clone(), Arc::clone(&signer));
    let edge = Edge::new(settings, signing, &keys.public(), core, network, identities, clock.clone());
    edge.go_by(Arc::clone(&certificates));
    edge.replace_own_names(certificates.own_names());
    lock.announce(admin.path()).map_err(AppError::Runtime)?;
    let caps = Caps::new(Limits::within_descriptors());
    let workers = Workers::start(edge.clone(), listening, caps.clone())?;
    let live: Vec<Live> = listeners.iter().map(|listener| listener.settings.clone()).collect();
    let reloader = Arc::new(Reloader::new(
        config.clone(),
        environment.clone(),
        edge.clone(),
        live.clone(),
        Arc::clone(&certificates),
        clock.clone(),
    ));
    let keyring = Arc::new(Keyring::new(keys, signer, edge.clone(), clock.clone()));
    let counted = listeners.iter().map(|bound| (bound.settings.load().name.clone(), bound.tally.clone()));
    let numbers = Arc::new(Numbers::new(Sources {
        edge: edge.clone(),
        caps: caps.clone(),
        certificates: Arc::clone(&certificates),
        listeners: counted.collect(),
        clock: clock.clone(),
    }));
    let (state_dir, metrics_at) = (config.state_dir.clone(), metrics.addresses().to_vec());
    let token_file = config.core.token(&state_dir).path().to_path_buf();
    let facts =
        Facts { certificates: Arc::clone(&certificates), listeners, metrics: metrics_at, state_dir, token_file };
    let (pulse, reloading) = (workers.pulse(), Arc::clone(&reloader));
    let (answering, signing) = (edge.clone(), Arc::clone(&keyring));
    let owner = Arc::new(Owner::new(answering, caps, pulse, facts, reloading, signing, clock.clone()));
    let acme = Runner::new(Arc::clone(&certificates), clock.clone());
    let asking = config.certificates.tailnet.clone().map(Tailscale::new);
    let tailnet = asking.map(|asked| tailnet::Runner::new(Arc::clone(&certificates), asked, clock.clone()));
    let files = Watch::new(Arc::clone(&certificates), clock.clone());
    let (lan_names, links, doubt) = (config.lan_names, Links::default(), Doubt::default());
    let edge_kept = edge.clone();
    let upkeep =
        Upkeep { certificates, clock, lan_names, listeners: live, edge: edge_kept, keyring, knocks, links, doubt };
    Ok(Instance { acme, admin, config, edge, files, metrics, numbers, owner, reloader, tailnet, upkeep, workers })
}

async fn open_core(config: &Config, keys: &SigningKeys, life: &Life, clock: &Clock) -> Result<Core, AppError> {
    let expected = Expected {
        issuer: config.edge.id.clone(),
        audience: config.core.id.clone(),
        leeway: Leeway::SameHost,
        lives: Lives::Only(life.clone()),
    };
    let token = config.core.token(&config.state_dir);
    let store = Store::open(&config.state_dir.join(FILE_NAME)).await?.with_pending_life(config.core.pending_life);
    let owner = OwnerCommand::new(config.file.as_deref());
    let upstream = config.core.upstream.clone();
    let upstream = upstream
        .map(|settings| Upstream::open(settings, &config.state_dir, &config.edge.id, owner.clone()))
        .transpose()?;
    let components = core::Components {
        verifier: Verifier::new(keys.public(), expected, clock.clone()),
        store,
        token: token.clone(),
        clock: clock.clone(),
        timing: Timing::default(),
        owner,
        upstream,
    };
    let core = Core::open(components)?;
    core.replace_rules(config.core.rules.clone());
    if token.is_exposed() {
        let file = token.path().display();
        warn!(%file, "other users can read the gateway token");
    }
    Ok(core)
}

/// The addresses of this instance, which others may have.
struct Taken {
    admin: Server,
    /// Those of all listeners, in their order.
    bound: Vec<Bound>,
    metrics: metrics::server::Server,
}

impl Taken {
    /// Takes all of them, or none.
    fn take(config: &Config, environment: &Environment) -> Result<Self, AppError> {
        let listeners = config.listeners.iter().flat_map(|listener| listener.bind.iter().copied());
        let bound = bind::bind(&listeners.collect::<Vec<SocketAddr>>(), event_loops())?;
        let metrics = metrics::server::Server::bind(&config.metrics)?;
        let admin = Server::bind(&config.socket_folder(environment).join(SOCKET))?;
        Ok(Self { admin, bound, metrics })
    }
}

/// Makes doors of what is `bound`. Answers with what each listener came to have, too, for `status`.
fn listening(
    config: &Config,
    bound: Vec<Bound>,
    certificates: &Certificates,
    network: &LiveNetwork,
    knocks: &Knocks,
) -> Result<(Vec<Listening>, Vec<BoundListener>), AppError> {
    let tailscale = config.tailscale.clone().map(Tailscale::new);
    let mut bound = bound.into_iter();
    let (mut listening, mut shown) = (Vec::new(), Vec::new());
    for settings in &config.listeners {
        let tls = match settings.protocol {
            Protocol::Http => None,
            Protocol::Auto | Protocol::Https => Some(certificates.server_tls(&settings.name, &ALPN)?),
        };
        let own: Vec<Bound> = bound.by_ref().take(settings.bind.len()).collect();
        let addresses = own.iter().map(|bound| bound.address).collect();
        let live = Live::new(settings.clone());
        let tally = Tally::default();
        shown.push(BoundListener { settings: live.clone(), addresses, tally: tally.clone() });
        let (network, knocks, tailscale) = (network.clone(), knocks.clone(), tailscale.clone());
        let door = Door { settings: live, network, knocks, tls, tailscale, tally };
        listening.push(Listening { door, bound: own });
    }
    Ok((listening, shown))
}
