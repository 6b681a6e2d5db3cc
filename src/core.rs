//! The authority on who may enter: verifies the assertion, speaks the gateway protocol, pairs.
//!
//! One [`Core`] serves every event loop of the process. It accepts nothing without exactly one valid assertion,
//! wherever the call comes from, and decides at one desk, so that an approval, a revocation and a connect can never
//! miss each other.

mod admission;
mod bridged;
mod broadcast;
mod desk;
mod dispatch;
mod drain;
mod gateway_token;
mod handshake;
mod import;
mod invites;
mod judged;
mod methods;
mod news;
mod outbound;
mod pairings;
mod presence;
mod refusal;
mod refusal_log;
mod registry;
pub mod routes;
mod session;
mod settings;
mod setups;
#[cfg(test)]
pub(crate) mod testing;
mod timing;
mod upgrades;
mod upkeep;
pub mod upstream;
mod websocket;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::Request;
use http::Response;
use http::request::Parts;
use thiserror::Error;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use uuid::Uuid;

use crate::base::clock::Clock;
use crate::base::owner_command::OwnerCommand;
use crate::base::secret::Fingerprint;
use crate::core::admission::Lobby;
use crate::core::presence::Board;
use crate::core::registry::Registry;
use crate::core::session::Session;
use crate::core::setups::Setups;
use crate::core::upgrades::Upgrades;
use crate::core::upstream::Upstream;
use crate::core::upstream::passes::Passes;
use crate::core::websocket::WebSocket;
use crate::decisions::Decisions;
use crate::identity::jwks::JwkSet;
use crate::identity::verifier::Verifier;
use crate::pairing::cooling::Cooling;
use crate::pairing::herald::Herald;
use crate::pairing::rule::Rules;
use crate::pairing::throttle::Throttle;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::keys::token::TokenError;
use crate::store::keys::token::TokenSource;
use crate::telemetry::gate::Gate;

pub use admission::Admission;
pub use invites::InviteError;
pub use invites::Invites;
pub use invites::MadeInvite;
pub use invites::OpenInvite;
pub use pairings::Decider;
pub use pairings::Listing;
pub use pairings::Pairings;
pub use refusal::Refusal;
pub use refusal::Refused;
pub use settings::Settings;
pub use timing::Timing;

/// What the core is made of.
#[derive(Debug)]
pub struct Components {
    /// Whose assertions it believes.
    pub verifier: Verifier,
    /// What it remembers.
    pub store: Store,
    /// Where the gateway token stands; read now, and written by [`Core::rotate_token`].
    pub token: TokenSource,
    /// The wall clock.
    pub clock: Clock,
    /// How long it waits for what.
    pub timing: Timing,
    /// How the owner's commands reach it, for the log.
    pub owner: OwnerCommand,
    /// The real gateway that admitted operators are passed on to, if there is one.
    pub upstream: Option<Upstream>,
}

/// The core: cheap to clone, shared by all event loops.
#[derive(Clone, Debug)]
pub struct Core {
    inner: Arc<Inner>,
    routes: routes::Routes,
    /// What has arrived, for the tests of those who hand requests to us.
    #[cfg(test)]
    pub(crate) arrivals: testing::Arrivals,
}

/// How the core is, in numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Status {
    /// Sockets that had `hello-ok`.
    pub connections: usize,
    /// Sockets that have not had it yet.
    pub waiting: usize,
    /// Paired devices.
    pub paired: usize,
    /// Devices that wait for approval.
    pub pending: usize,
    /// Milliseconds since start.
    pub uptime_ms: u64,
}

/// What all handles and sockets share.
#[derive(Debug)]
struct Inner {
    verifier: Verifier,
    store: Store,
    token: TokenSource,
    /// The gateway token's hash; the token itself is not kept.
    secret: ArcSwap<Fingerprint>,
    clock: Clock,
    timing: Timing,
    owner: OwnerCommand,
    upstream: Option<Upstream>,
    refusal_log: Gate,
    rules: ArcSwap<Rules>,
    throttle: Mutex<Throttle>,
    cooling: Mutex<Cooling>,
    herald: Mutex<Herald>,
    desk: tokio::sync::Mutex<()>,
    /// Where visits to the desk and the upkeep run.
    runtime: tokio::runtime::Handle,
    registry: Arc<Registry>,
    lobby: Lobby,
    passes: Passes,
    board: Board,
    setups: Setups,
    invites_made: invites::Made,
    upgrades: Upgrades,
    decisions: Decisions,
    draining: watch::Sender<bool>,
    started: Instant,
    boot: String,
}

impl Core {
    /// Puts a core together; what it does aside from the event loops runs on the runtime that this is called on.
    ///
    /// # Errors
    /// [`CoreError`] when there is no gateway token.
    pub fn open(components: Components) -> Result<Self, CoreError> {
        let Components { verifier, store, token, clock, timing, owner, upstream } = components;
        let secret = ArcSwap::from_pointee(token.open()?.fingerprint());
        let rounds = timing.ping_period.as_millis() / timing.upkeep_period.as_millis().max(1);
        let inner = Arc::new(Inner {
            verifier,
            store: store.by(clock.clone()),
            token,
            secret,
            clock,
            timing,
            owner,
            upstream,
            refusal_log: Gate::default(),
            rules: ArcSwap::default(),
            throttle: Mutex::default(),
            cooling: Mutex::default(),
            herald: Mutex::default(),
            desk: tokio::sync::Mutex::new(()),
            runtime: tokio::runtime::Handle::current(),
            registry: Arc::new(Registry::new(usize::try_from(rounds).unwrap_or(1))),
            lobby: Lobby::default(),
            passes: Passes::default(),
            board: Board::new(Instant::now()),
            setups: Setups::default(),
            invites_made: invites::Made::default(),
            upgrades: Upgrades::default(),
            decisions: Decisions::default(),
            draining: watch::Sender::new(false),
            started: Instant::now(),
            boot: Uuid::new_v4().to_string(),
        });
        inner.runtime.spawn(upkeep::run(Arc::downgrade(&inner), timing));
        inner.runtime.spawn(gateway_token::watch(Arc::downgrade(&inner), timing.upkeep_period));
        if let Some(upstream) = inner.upstream.clone() {
            inner.runtime.spawn(upstream.keep());
        }
        Ok(Self {
            inner,
            routes: routes::Routes::new(),
            #[cfg(test)]
            arrivals: testing::Arrivals::default(),
        })
    }

    /// Answers a request that is no WebSocket upgrade.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (mut parts, body) = request.into_parts();
        #[cfg(test)]
        self.arrivals.note(&parts, &body);
        match self.inner.verifier.verify_request(&parts) {
            Ok(verified) => {
                parts.extensions.insert(verified);
                self.routes.answer(Request::from_parts(parts, body)).await
            }
            Err(error) => routes::without_assertion(&error),
        }
    }

    /// Judges an upgrade request before the edge sends its 101. Only for a handshake that the edge found valid: this one may
    /// use what the replay memory keeps for WebSockets.
    ///
    /// # Errors
    /// The answer to send in place of the 101.
    pub fn admit_socket(&self, parts: &Parts) -> Result<Admission, Response<Bytes>> {
        #[cfg(test)]
        self.arrivals.note(parts, b"");
        let verified = self.inner.verifier.verify_opening(parts);
        let verified = verified.map_err(|error| routes::without_assertion(&error))?;
        if self.inner.is_draining() {
            return Err(routes::refuse(Refusal::Draining));
        }
        let page = admission::page(&parts.headers);
        self.inner.lobby.enter(verified, page).ok_or_else(|| routes::refuse(Refusal::TooManySockets))
    }

    /// Serves one WebSocket from the bytes after the 101 to its end. `early` are the bytes that arrived with the
    /// head. Box `io`: the future keeps it by value.
    pub fn serve_socket<S>(
        &self,
        admission: Admission,
        io: S,
        early: Vec<u8>,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let socket = WebSocket::new(io, early);
        // Boxed, each: an admitted socket must not hold the memory of its handshake, nor a second copy of itself.
        let handshake = Box::pin(Session::begin(Arc::clone(&self.inner), admission, socket).handshake());
        async move {
            if let Some(session) = handshake.await {
                session.run().await;
            }
        }
    }

    /// Pending requests and paired devices, to look at and to decide about.
    pub fn pairings(&self) -> Pairings {
        Pairings { core: Arc::clone(&self.inner) }
    }

    /// The owner's invite, to make one and to end it.
    pub fn invites(&self) -> Invites {
        Invites { core: Arc::clone(&self.inner) }
    }

    /// The real gateway behind us, if there is one.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.inner.upstream.as_ref()
    }

    /// What it remembers.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// What was decided lately, here and by the edge in front.
    pub fn decisions(&self) -> &Decisions {
        &self.inner.decisions
    }

    /// How the core is. An answer means that the store can be read.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot.
    pub async fn status(&self) -> Result<Status, StoreError> {
        self.inner.status().await
    }

    /// Believes what `keys` sign from now on, and nothing that a dropped key signed.
    pub fn replace_keys(&self, keys: JwkSet) {
        self.inner.verifier.replace_keys(keys);
    }

    /// Judges every connect that comes from now on by `rules`. What waits already waits on.
    pub fn replace_rules(&self, rules: Rules) {
        self.inner.rules.store(Arc::new(rules));
    }

    /// Closes every WebSocket with 1012 `service restart`, spread over `window`, and takes no new ones. Done when the
    /// last one is gone; sights of devices that wait are written then.
    pub async fn drain(&self, window: Duration) {
        self.inner.drain(window).await;
    }
}

impl Inner {
    async fn status(&self) -> Result<Status, StoreError> {
        let (now, life, requests) = (self.clock.now(), self.store.pending_life(), self.store.requests().await?);
        Ok(Status {
            connections: self.registry.open(),
            waiting: self.lobby.all(),
            paired: self.store.devices_count().await?,
            pending: requests.iter().filter(|request| !request.is_expired(now, life)).count(),
            uptime_ms: self.uptime_ms(),
        })
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        // A count is whole between calls; a panic in between would leave one too many at most.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the core could not do something of its own.
#[derive(Debug, Error)]
pub enum CoreError {
    /// It is being shut down.
    #[error("the core is stopping")]
    Stopped,
    /// It could not be written into the audit log, and was not done.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gateway token cannot be read or written.
    #[error(transparent)]
    Token(#[from] TokenError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::base::clock::UnixMillis;
    use crate::identity::claims::RequestClaim;
    use crate::identity::headers::ASSERTION;
    use crate::identity::signer::{Signer, SigningKey};
    use crate::identity::testing::{opening, parts, subject};
    use crate::identity::verifier::{AssertionError, Expected, Leeway, Lives};

    #[tokio::test]
    async fn what_only_says_upgrade_takes_no_place_of_a_websocket() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(UnixMillis(1_800_000_000_000)));
        let key = Arc::new(SigningKey::generate().unwrap().0);
        let keys = JwkSet::new(vec![key.public().clone()]);
        let signer = Signer::new(key, "edge", "core", clock.clone()).unwrap();
        let (issuer, audience) = ("edge".to_owned(), "core".to_owned());
        let expected = Expected { issuer, audience, leeway: Leeway::SameHost, lives: Lives::Any };
        let verifier = Verifier::new(keys, expected, clock.clone());
        verifier.fill_shared();
        let store = Store::open(&folder.path().join("store")).await.unwrap();
        let token = TokenSource::of(None, folder.path());
        let (timing, owner, upstream) = (Timing::default(), OwnerCommand::default(), None);
        let core = Core::open(Components { verifier, store, token, clock, timing, owner, upstream }).unwrap();
        let signed = |mut head: Parts| {
            let token = signer.sign(&subject(), Some(&RequestClaim::of(&head).unwrap())).unwrap();
            head.headers.insert(ASSERTION, token.parse().unwrap());
            head
        };
        let other = signed(parts("GET", "/", &[("host", "a"), ("connection", "upgrade"), ("upgrade", "h2c")]));
        let answer = core.answer(Request::from_parts(other, Bytes::new())).await;
        assert_eq!(answer.status(), routes::without_assertion(&AssertionError::Missing).status());
        assert!(core.admit_socket(&signed(opening())).is_ok());
    }
}
