//! The upstream as the rest of us has it: where it is, how it is, and a way to it for each client that was admitted.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_swap::ArcSwap;
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::net::lookup_host;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant as Deadline;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::base::limits::UPSTREAM_ADDRESS_LIFE;
use crate::base::limits::UPSTREAM_CALLS_MAX;
use crate::base::limits::UPSTREAM_CONNECT_WAIT;
use crate::base::limits::UPSTREAM_DIAL_WAIT;
use crate::base::limits::UPSTREAM_DIALS_MAX;
use crate::base::limits::UPSTREAM_HELLO_WAIT;
use crate::base::owner_command::OwnerCommand;
use crate::base::secret::Secret;
use crate::core::upstream::Endpoint;
use crate::core::upstream::Mode;
use crate::core::upstream::Settings;
use crate::core::upstream::connect::Challenge;
use crate::core::upstream::connect::Credentials;
use crate::core::upstream::dial;
use crate::core::upstream::dial::DialError;
use crate::core::upstream::dial::Head;
use crate::core::upstream::dial::Line;
use crate::core::upstream::frames::Secrets;
use crate::core::upstream::guests::Guests;
use crate::core::upstream::link::Call;
use crate::core::upstream::state::State;
use crate::core::upstream::state::Unreachable;
use crate::core::upstream::vouching::Vouched;
use crate::core::upstream::withheld::Withheld;
use crate::net::host::Host;
use crate::store::keys::device::DeviceKey;
use crate::store::keys::device::DeviceKeyError;
use crate::store::keys::token;
use crate::store::keys::token::TokenError;
use crate::telemetry::gate::Gate;

/// A real gateway behind us: cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub(super) shared: Arc<Shared>,
}

/// What all handles share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) key: DeviceKey,
    /// Whether it took us as a program of its own, without a device.
    pub(super) program: AtomicBool,
    /// As whom we stand in its list of devices.
    pub(super) name: String,
    pub(super) owner: OwnerCommand,
    tls: Option<Arc<ClientConfig>>,
    pub(super) token: ArcSwapOption<Secret<String>>,
    secrets: ArcSwap<Secrets>,
    pub(super) withheld: Withheld,
    pub(super) state: watch::Sender<State>,
    resolved: Mutex<Option<(SocketAddr, Instant)>>,
    pub(super) dials: Semaphore,
    pub(super) guests: Guests,
    /// Which refusals of clients the owner reads in the log.
    pub(super) refusals: Gate,
    pub(super) vouched: Vouched,
    pub(super) nudge: Notify,
    pub(super) calls: mpsc::Sender<Call>,
    pub(super) called: tokio::sync::Mutex<mpsc::Receiver<Call>>,
}

/// By which name of its own we speak to the upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Face {
    /// The address that we dial.
    Address,
    /// Loopback, as somebody on its own machine has it.
    Loopback,
}

/// Whether the upstream is told a web origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum Page {
    /// It is not: no page sent this.
    Absent,
    /// It is, its own.
    Present,
}

/// A WebSocket to the upstream that has its challenge and no `connect`.
pub(in crate::core) struct Opened {
    pub(super) line: Line,
    pub(super) challenge: Challenge,
}

impl Upstream {
    /// Reads what is needed; [`Upstream::keep`] connects. `edge` is the id that tells us from other doorwards.
    ///
    /// # Errors
    /// [`UpstreamError`] when a file of ours or of the operator's cannot be used.
    pub fn open(settings: Settings, state_dir: &Path, edge: &str, owner: OwnerCommand) -> Result<Self, UpstreamError> {
        Self::with(settings, DeviceKey::open(state_dir)?, edge, owner)
    }

    /// Says what [`Upstream::open`] would refuse, and makes nothing.
    ///
    /// # Errors
    /// As [`Upstream::open`].
    pub fn judge(settings: &Settings, state_dir: &Path) -> Result<(), UpstreamError> {
        DeviceKey::judge(state_dir)?;
        settings.token_file.as_deref().map(token::read_upstream).transpose()?;
        dial::tls(&settings.endpoint).map(drop).map_err(|error| UpstreamError::Tls(error.to_string()))
    }

    /// Looks whether a gateway answers there, as far as its first word, and says nothing to it.
    ///
    /// # Errors
    /// [`UpstreamError`] as [`Upstream::open`]; else how it is.
    pub async fn look(settings: &Settings) -> Result<Option<State>, UpstreamError> {
        let key = DeviceKey::random()?;
        let upstream = Self::with(settings.clone(), key, "look", OwnerCommand::default())?;
        Ok(upstream.shared.open(Face::Address, Page::Absent, None).await.err())
    }

    fn with(settings: Settings, key: DeviceKey, edge: &str, owner: OwnerCommand) -> Result<Self, UpstreamError> {
        let tls = dial::tls(&settings.endpoint).map_err(|error| UpstreamError::Tls(error.to_string()))?;
        let token = settings.token_file.as_deref().map(token::read_upstream).transpose()?;
        let id = key.id();
        let name = format!("doorward {edge} {}", id.get(..6).unwrap_or_default());
        let secrets = token.as_ref().map_or_else(Secrets::default, |token| Secrets::default().with_token(token));
        let (calls, called) = mpsc::channel(UPSTREAM_CALLS_MAX);
        let shared = Shared {
            program: AtomicBool::new(settings.mode == Mode::Backend),
            settings,
            key,
            name,
            owner,
            tls,
            token: ArcSwapOption::from_pointee(token),
            secrets: ArcSwap::from_pointee(secrets),
            withheld: Withheld::default(),
            state: watch::Sender::new(State::Starting),
            resolved: Mutex::default(),
            dials: Semaphore::new(UPSTREAM_DIALS_MAX),
            guests: Guests::default(),
            refusals: Gate::default(),
            vouched: Vouched::default(),
            nudge: Notify::new(),
            calls,
            called: tokio::sync::Mutex::new(called),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the operator says of it.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// How it is.
    pub fn state(&self) -> State {
        self.shared.state.borrow().clone()
    }

    /// Its token, as its file had it when we connected last.
    pub fn token(&self) -> Option<Secret<String>> {
        self.shared.token.load().as_deref().cloned()
    }

    /// The address to dial; a name's is kept for a while.
    ///
    /// # Errors
    /// [`Unreachable`] when a name has none.
    pub async fn address(&self) -> Result<SocketAddr, Unreachable> {
        if let Some(address) = self.shared.kept() {
            return Ok(address);
        }
        let found = self.shared.resolve().await?;
        let first = found.first().copied().ok_or_else(|| Unreachable::Name("none".to_owned()))?;
        self.shared.keep_address(Some(first));
        Ok(first)
    }

    /// What stands in Host, and behind the scheme in Origin, of what is sent to `address`: a private address itself, which the
    /// newer gateway takes wherever it is, else the name that the operator wrote.
    pub fn authority(&self, address: SocketAddr) -> HeaderValue {
        authority(&self.shared.settings.endpoint, address)
    }

    /// What must not reach a client.
    pub(in crate::core) fn secrets(&self) -> Arc<Secrets> {
        self.shared.secrets.load_full()
    }
}

impl Shared {
    /// Reads the token's file again.
    pub(super) async fn reread_token(&self) -> Result<(), TokenError> {
        let Some(file) = self.settings.token_file.clone() else { return Ok(()) };
        let read = tokio::task::spawn_blocking(move || token::read_upstream(&file)).await;
        if let Ok(read) = read {
            let token = read?;
            self.secrets.rcu(|secrets| secrets.with_token(&token));
            self.token.store(Some(Arc::new(token)));
        }
        Ok(())
    }

    /// Never lets `secret` pass to a client from now on.
    pub(super) fn hide(&self, secret: &Secret<String>) {
        self.secrets.rcu(|secrets| secrets.with(secret));
    }

    /// Runs `say` with what we present ourselves by.
    pub(super) fn with_credentials<T>(&self, say: impl FnOnce(Credentials<'_>) -> T) -> T {
        let token = self.token.load();
        say(Credentials { token: token.as_deref(), key: (!self.is_program()).then_some(&self.key) })
    }

    /// Whether we are a program of the upstream's own there, and no device.
    pub(super) fn is_program(&self) -> bool {
        self.program.load(Ordering::Acquire)
    }

    /// A WebSocket to it, and its challenge.
    pub(super) async fn open(&self, face: Face, page: Page, scopes: Option<HeaderValue>) -> Result<Opened, State> {
        let mut line = self.dial(face, page, scopes).await?;
        let first = timeout(UPSTREAM_HELLO_WAIT, line.next()).await.map_err(|_| State::Silent)?;
        // It is on its way down, or not yet up, that closes without a word.
        let first = first.map_err(|_| State::Starting)?;
        let odd = || State::Unreachable(Unreachable::NotGateway("its first message is no challenge".to_owned()));
        let challenge = Challenge::read(&first).ok_or_else(odd)?;
        Ok(Opened { line, challenge })
    }

    async fn dial(&self, face: Face, page: Page, scopes: Option<HeaderValue>) -> Result<Line, State> {
        let until = deadline();
        let (stream, address) = self.stream(until).await?;
        let endpoint = &self.settings.endpoint;
        let host = match face {
            Face::Address => authority(endpoint, address),
            Face::Loopback => value(&format!("127.0.0.1:{}", endpoint.port())),
        };
        let scheme = endpoint.scheme().as_str();
        let origin = host.to_str().ok().filter(|_| page == Page::Present);
        let origin = origin.map(|host| value(&format!("{scheme}://{host}")));
        within(until, dial::upgrade(stream, Head { host, origin, scopes })).await
    }

    /// The upstream's page.
    pub(super) async fn page(&self, bytes_max: usize) -> Result<String, State> {
        let until = deadline();
        let (stream, address) = self.stream(until).await?;
        let host = authority(&self.settings.endpoint, address);
        within(until, dial::page(stream, &host, bytes_max)).await
    }

    /// A connection to the first of its addresses that takes one.
    async fn stream(&self, until: Deadline) -> Result<(dial::Stream, SocketAddr), State> {
        let addresses = match self.kept() {
            Some(address) => vec![address],
            None => self.resolve().await.map_err(State::Unreachable)?,
        };
        self.first_of(addresses, until).await
    }

    /// Whoever has not taken the connection in time is not there; only of one that took it can be said that it is silent.
    async fn first_of(&self, addresses: Vec<SocketAddr>, until: Deadline) -> Result<(dial::Stream, SocketAddr), State> {
        let mut last = State::Unreachable(Unreachable::Name("none".to_owned()));
        for address in addresses {
            let connecting = dial::connect(&self.settings.endpoint, self.tls.as_ref(), address);
            match timeout_at(until.min(Deadline::now() + UPSTREAM_CONNECT_WAIT), connecting).await {
                Ok(Ok(stream)) => {
                    self.keep_address(Some(address));
                    return Ok((stream, address));
                }
                Ok(Err(error)) => last = error.into(),
                Err(_) => last = State::Unreachable(Unreachable::TimedOut),
            }
        }
        // A container that was made anew has another.
        self.keep_address(None);
        Err(last)
    }

    async fn resolve(&self) -> Result<Vec<SocketAddr>, Unreachable> {
        let endpoint = &self.settings.endpoint;
        let name = match endpoint.host() {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, endpoint.port())]),
            Host::Name(name) => name.clone(),
        };
        let looked = timeout(UPSTREAM_DIAL_WAIT, lookup_host((name, endpoint.port()))).await;
        let found = looked.map_err(|_| Unreachable::Name("no answer in time".to_owned()))?;
        let mut found: Vec<SocketAddr> = found.map_err(|error| Unreachable::Name(error.to_string()))?.collect();
        // Gateways in containers listen on IPv4 first.
        found.sort_by_key(SocketAddr::is_ipv6);
        Ok(found)
    }

    fn kept(&self) -> Option<SocketAddr> {
        let kept = *self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        kept.filter(|(_, at)| at.elapsed() < UPSTREAM_ADDRESS_LIFE).map(|(address, _)| address)
    }

    fn keep_address(&self, address: Option<SocketAddr>) {
        let mut kept = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*kept, address) {
            (Some((before, at)), Some(address)) if *before == address && at.elapsed() < UPSTREAM_ADDRESS_LIFE => {}
            _ => *kept = address.map(|address| (address, Instant::now())),
        }
    }
}

/// When a dial that begins now has to be done.
fn deadline() -> Deadline {
    Deadline::now() + UPSTREAM_DIAL_WAIT
}

/// Bounds what is asked of one that took the connection.
async fn within<T>(until: Deadline, asked: impl Future<Output = Result<T, DialError>>) -> Result<T, State> {
    Ok(timeout_at(until, asked).await.map_err(|_| State::Silent)??)
}

fn authority(endpoint: &Endpoint, address: SocketAddr) -> HeaderValue {
    if Host::Address(address.ip().to_canonical()).is_local_only() {
        return value(&address.to_string());
    }
    value(&format!("{}:{}", endpoint.host(), endpoint.port()))
}

fn value(text: &str) -> HeaderValue {
    // Never the other: hosts, addresses and ports are visible ASCII.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("127.0.0.1"))
}

/// Why there is no upstream at the start. The operator's to mend.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// Our own device key.
    #[error(transparent)]
    Key(#[from] DeviceKeyError),
    /// TLS to it cannot be spoken.
    #[error("no TLS to the upstream: {0}")]
    Tls(String),
    /// Its token's file.
    #[error("upstream: {0}")]
    Token(#[from] TokenError),
}

impl UpstreamError {
    /// The command or the act that mends it.
    pub fn hint(&self) -> String {
        match self {
            Self::Key(error) => error.hint(),
            Self::Tls(_) => "install the ca-certificates of this system".to_owned(),
            Self::Token(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests;
