//! A bridged session whose client takes nothing for a while.

use futures_util::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::io::duplex;

use super::*;
use crate::base::clock::{Clock, UnixMillis};
use crate::base::owner_command::OwnerCommand;
use crate::core::registry::{Arrival, Registry, Served};
use crate::core::timing::Timing;
use crate::core::upstream::{Endpoint, Mode, Settings};
use crate::core::websocket::WebSocket;
use crate::core::{Components, Core};
use crate::identity::jwks::JwkSet;
use crate::identity::signer::SigningKey;
use crate::identity::verifier::{Expected, Leeway, Lives, Verifier};
use crate::store::Store;
use crate::store::keys::token::TokenSource;

/// What the socket holds, and more than that.
const HELD: usize = 1024;
const MORE: usize = 10 * HELD;

/// From a client, masked with zeros.
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];
const CALL: &str = r#"{"type":"req","id":"1","method":"device.pair.list"}"#;

struct Rig {
    session: Session<DuplexStream, Bridged>,
    peer: Arc<Peer>,
    registry: Arc<Registry>,
    client: DuplexStream,
    _gateway: DuplexStream,
    _core: Core,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn open() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Clock::fixed(UnixMillis(1_800_000_000_000)));
        let keys = JwkSet::new(vec![SigningKey::generate().unwrap().0.public().clone()]);
        let (issuer, audience) = ("edge".to_owned(), "core".to_owned());
        let expected = Expected { issuer, audience, leeway: Leeway::SameHost, lives: Lives::Any };
        let verifier = Verifier::new(keys, expected, clock.clone());
        let store = Store::open(&folder.path().join("store")).await.unwrap();
        let token = TokenSource::of(None, folder.path());
        let (timing, owner) = (Timing::default(), OwnerCommand::default());
        let core = Core::open(Components { verifier, store, token, clock, timing, owner, upstream: None }).unwrap();
        let endpoint = Endpoint::parse("http://127.0.0.1:1").unwrap();
        let settings = Settings { endpoint, token_file: None, mode: Mode::Device, open: Vec::new() };
        let upstream = Upstream::open(settings, folder.path(), "edge", OwnerCommand::default()).unwrap();
        let registry = Arc::new(Registry::new(1));
        let registered = registry.register(Arrival { served: Served::Upstream, ..Arrival::sample() });
        let peer = Arc::clone(registered.peer());
        let ((near, client), (far, gateway)) = (duplex(HELD), duplex(HELD));
        let line = Line(WebSocket::dialled(Box::new(far), Vec::new()));
        let state = Bridged::new(registered, VecDeque::new(), Way { upstream, line, hello: Map::new() });
        let session = Session { core: Arc::clone(&core.inner), socket: WebSocket::new(near, Vec::new()), state };
        Self { session, peer, registry, client, _gateway: gateway, _core: core, _folder: folder }
    }

    /// What there is to do now, if anything.
    fn turn(&mut self) -> Option<Turn> {
        poll_fn(|cx| self.session.poll_turn(cx)).now_or_never()
    }

    /// The client gets more than its socket holds, and says what it says.
    async fn falls_behind(&mut self) {
        self.peer.outbound.answer("x".repeat(MORE)).unwrap();
        assert!(self.turn().is_none());
        let call = [&[0x81, 0x80 | u8::try_from(CALL.len()).unwrap(), 0, 0, 0, 0], CALL.as_bytes()].concat();
        self.client.write_all(&[&PING[..], &call].concat()).await.unwrap();
        assert!(self.turn().is_none(), "nothing of it is read");
    }
}

#[tokio::test]
async fn who_takes_nothing_is_not_heard_and_its_own_pings_do_not_keep_it() {
    let mut rig = Rig::open().await;
    for _ in 0..3 {
        rig.registry.ping(0);
        rig.client.write_all(&PING).await.unwrap();
        assert!(rig.turn().is_none(), "who listens lives by its pings");
    }
    rig.falls_behind().await;
    rig.registry.ping(0);
    rig.client.write_all(&PING).await.unwrap();
    assert!(rig.turn().is_none());
    rig.registry.ping(0);
    let late = Failure::PongLate.close(rig.peer.arrival.version);
    assert!(matches!(rig.turn(), Some(Turn::Close(close)) if close == late));
}

#[tokio::test]
async fn who_catches_up_lives_and_is_heard() {
    let mut rig = Rig::open().await;
    rig.falls_behind().await;
    rig.registry.ping(0);
    let mut bytes = [0; HELD];
    let turn = loop {
        match rig.turn() {
            Some(turn) => break turn,
            None => assert!(rig.client.read(&mut bytes).await.unwrap() > 0),
        }
    };
    assert!(matches!(turn, Turn::Call(text) if text == CALL));
    rig.registry.ping(0);
    assert!(!rig.peer.is_ending());
}
