//! The core alone, in this process: a real store, real assertions, sockets of memory in place of the edge's.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use doorward::base::clock::{Clock, UnixMillis};
use doorward::base::owner_command::OwnerCommand;
use doorward::core::{Components, Core, Decider, Timing};
use doorward::identity::claims::{OriginClaim, RequestClaim, is_shareable};
use doorward::identity::headers::ASSERTION;
use doorward::identity::jwks::JwkSet;
use doorward::identity::signer::{Signer, SigningKey, Subject};
use doorward::identity::verifier::{Expected, Leeway, Lives, Verifier};
use doorward::origin::trail::Step;
use doorward::origin::{Class, Kind, Source};
use doorward::store::Store;
use doorward::store::keys::token::TokenSource;
use http::{HeaderValue, Request, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::gateway_client::{Ask, Device, Outcome, Socket, Stream, handshake};

/// Where the rig's clock stands at first.
const START: UnixMillis = UnixMillis(1_790_000_000_000);
/// What a socket's pipe holds in each direction.
pub(crate) const PIPE_BYTES: usize = 256 * 1024;

/// A caller on this machine, allowed to be local.
pub(crate) const HERE: &str = "127.0.0.1";
/// A service on this machine, which is not local.
pub(crate) const SERVICE: &str = "::ffff:127.0.0.1";
/// A caller on the household's network.
pub(crate) const LAN: &str = "192.168.1.20";

/// A caller of whom a trusted proxy says nothing.
pub(crate) const NOBODY: &str = "nobody";

/// A core with its state, its edge's key and its clock.
pub(crate) struct Rig {
    pub(crate) core: Core,
    pub(crate) clock: Clock,
    pub(crate) token: String,
    pub(crate) state: TempDir,
    signer: Signer,
    next: AtomicU64,
}

/// Waits that a test can sit through.
pub(crate) fn brisk() -> Timing {
    Timing {
        connect_wait: Duration::from_millis(300),
        close_wait: Duration::from_millis(200),
        upkeep_period: Duration::from_millis(50),
        health_period: Duration::from_millis(100),
        ping_period: Duration::from_millis(200),
        tick_period: Duration::from_millis(100),
    }
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(Timing::default()).await
    }

    pub(crate) async fn with(timing: Timing) -> Self {
        Self::over(tempfile::tempdir().unwrap(), timing).await
    }

    /// A core over state that is there already.
    pub(crate) async fn over(state: TempDir, timing: Timing) -> Self {
        let clock = Clock::fixed(START);
        let (key, _) = SigningKey::generate().unwrap();
        let keys = JwkSet::new(vec![key.public().clone()]);
        let expected =
            Expected { issuer: "edge".into(), audience: "core".into(), leeway: Leeway::SameHost, lives: Lives::Any };
        let signer = Signer::new(Arc::new(key), "edge", "core", clock.clone()).unwrap();
        let verifier = Verifier::new(keys, expected, clock.clone());
        let store = Store::open(&state.path().join("doorward.sqlite")).await.unwrap();
        let token = TokenSource::of(None, state.path());
        let text = token.open().unwrap().expose().clone();
        let (owner, upstream) = (OwnerCommand::default(), None);
        let components = Components { verifier, store, token, clock: clock.clone(), timing, owner, upstream };
        let core = Core::open(components).unwrap();
        Self { core, clock, token: text, state, signer, next: AtomicU64::new(1) }
    }

    /// A request's head with the assertion the edge would have put there.
    pub(crate) fn signed(&self, mut request: Request<Bytes>, from: &str) -> Request<Bytes> {
        let (mut head, body) = request.into_parts();
        let cid = format!("c{}", self.next.fetch_add(1, Ordering::Relaxed));
        let subject = Subject { cid, origin: origin(from), tls: None, identity: None };
        let claim = (!is_shareable(&head)).then(|| RequestClaim::of(&head).unwrap());
        let token = self.signer.sign(&subject, claim.as_ref()).unwrap();
        head.headers.append(ASSERTION, HeaderValue::from_str(&token).unwrap());
        request = Request::from_parts(head, body);
        request
    }

    /// Opens a WebSocket from `from`, as far as the 101.
    pub(crate) async fn dial(&self, from: &str) -> Result<Socket, Response<Bytes>> {
        self.dial_as(from, upgrade()).await
    }

    pub(crate) async fn dial_as(&self, from: &str, upgrade: Request<Bytes>) -> Result<Socket, Response<Bytes>> {
        let far: Box<dyn Stream> = Box::new(self.pipe(from, upgrade)?);
        Ok(WebSocketStream::from_raw_socket(far, Role::Client, None).await)
    }

    /// The caller's end of a socket that is past its 101.
    pub(crate) fn pipe(&self, from: &str, upgrade: Request<Bytes>) -> Result<DuplexStream, Response<Bytes>> {
        let (head, _) = self.signed(upgrade, from).into_parts();
        let admission = self.core.admit_socket(&head)?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let core = self.core.clone();
        tokio::spawn(async move { core.serve_socket(admission, Box::new(near), Vec::new()).await });
        Ok(far)
    }

    /// Connects and reads the verdict.
    pub(crate) async fn connect(&self, from: &str, device: Option<&Device>, ask: &Ask) -> Outcome {
        match self.dial(from).await {
            Ok(socket) => handshake(socket, device, ask).await,
            Err(response) => {
                let body = String::from_utf8_lossy(response.body()).into_owned();
                Outcome::NotUpgraded(response.status().as_u16(), body)
            }
        }
    }

    /// What a dashboard asks for, with the right secret.
    pub(crate) fn ask(&self) -> Ask {
        Ask::operator(&self.token)
    }

    /// Pairs a device elsewhere with these scopes, by the owner; its device token.
    pub(crate) async fn pair(&self, device: &Device, scopes: &[&str]) -> String {
        let ask = self.ask().with_scopes(scopes);
        let refusal = self.connect(LAN, Some(device), &ask).await.refused();
        let id = refusal.error["details"]["requestId"].as_str().unwrap().to_owned();
        self.core.pairings().approve(&id, None, &Decider::owner()).await.unwrap();
        let session = self.connect(LAN, Some(device), &ask).await.hello();
        let token = session.hello["auth"]["deviceToken"].as_str().unwrap().to_owned();
        session.close().await;
        token
    }

    /// The listing as the command line prints it.
    pub(crate) async fn listing(&self) -> Value {
        serde_json::to_value(self.core.pairings().list(&Decider::owner()).await.unwrap()).unwrap()
    }
}

/// An upgrade request as a native client sends it.
pub(crate) fn upgrade() -> Request<Bytes> {
    let request = Request::get("/").header("host", "claw.example").header("connection", "Upgrade");
    let request = request.header("upgrade", "websocket").header("sec-websocket-version", "13");
    request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==").body(Bytes::new()).unwrap()
}

/// A device's connect with its own token in place of the secret.
pub(crate) fn with_device_token(token: &str) -> Ask {
    let mut ask = Ask::operator("").with_scopes(&[]);
    (ask.token, ask.device_token) = (None, Some(token.to_owned()));
    ask
}

/// A new device's connect with the setup code that `device.pair.setupCode` answered, as an app reads it.
pub(crate) fn with_setup_code(made: &Value) -> Ask {
    let code = URL_SAFE_NO_PAD.decode(made["setupCode"].as_str().unwrap()).unwrap();
    let code: Value = serde_json::from_slice(&code).unwrap();
    let mut ask = Ask::operator("").with_scopes(&["operator.read"]);
    (ask.token, ask.setup_code) = (None, Some(code["bootstrapToken"].as_str().unwrap().to_owned()));
    ask
}

/// Whether the address stands for one on the internet: those of RFC 3849 and RFC 5737 do.
fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_documentation(),
        IpAddr::V6(ip) => ip.segments().starts_with(&[0x2001, 0xdb8]),
    }
}

/// What the edge would claim of a caller at `from`.
fn origin(from: &str) -> OriginClaim {
    let ip: Option<IpAddr> = (from != NOBODY).then(|| from.parse().unwrap());
    let peer = ip.unwrap_or("172.18.0.1".parse().unwrap());
    let (kind, class, steps) = match ip {
        None => (Kind::Unattributed, Class::Unattributed, [Step::HeaderAbsent, Step::LocalNever]),
        Some(ip) if ip.is_loopback() => (Kind::Ip, Class::Local, [Step::PeerIsClient, Step::Local]),
        Some(ip) if is_public(ip) => (Kind::Ip, Class::Public, [Step::PeerIsClient, Step::LocalNever]),
        Some(_) => (Kind::Ip, Class::Private, [Step::PeerIsClient, Step::LocalNever]),
    };
    OriginClaim {
        kind,
        ip,
        port: None,
        class,
        local: class == Class::Local,
        peer,
        listener: "lan".into(),
        source: if ip.is_some() { Source::Peer } else { Source::XForwardedFor },
        via: Vec::new(),
        steps: steps.to_vec().try_into().unwrap(),
    }
}
