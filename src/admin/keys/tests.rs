//! A key that is replaced signs and is believed in the right order, by age and by command.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};

use super::*;
use crate::base::limits::{SIGNING_KEY_LIFE, SIGNING_KEY_OVERLAP};
use crate::base::owner_command::OwnerCommand;
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
    house.keyring.maintain().unwrap();
    let new = house.signed();
    assert_ne!(key_of(&new), key_of(&old));
    assert_eq!(house.answer(new).await, StatusCode::OK);
    assert_eq!(house.answer(old).await, StatusCode::OK, "what was under way is believed");

    // Somebody who has the old key is believed until its overlap ends, and not a moment longer.
    let thief = Signer::new(first_key, "edge", "core", house.clock.clone()).unwrap();
    house.clock.advance(overlap() - 1_000);
    house.keyring.maintain().unwrap();
    assert_eq!(house.answer(whoami(&thief)).await, StatusCode::OK);
    house.clock.advance(1_000);
    house.keyring.maintain().unwrap();
    assert_eq!(house.answer(whoami(&thief)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(house.answer(house.signed()).await, StatusCode::OK);
}

#[tokio::test]
async fn a_key_that_others_saw_is_refused_at_once_and_any_other_overlaps() {
    let house = House::open().await;
    let under_way = house.signed();
    let listed = house.keyring.rotate(Replaced::Overlaps).unwrap();
    let until = house.clock.now().seconds() as i64 * 1_000 + overlap();
    // A second later than the first one, so that a restart tells them apart.
    assert_eq!(listed["keys"][1]["verifiesUntilMs"], until + 1_000);
    let next = house.signed();
    assert_ne!(key_of(&next), key_of(&under_way));
    assert_eq!(house.answer(under_way).await, StatusCode::OK, "its key overlaps");
    assert_eq!(house.answer(next).await, StatusCode::OK);

    let under_way = house.signed();
    let listed = house.keyring.rotate(Replaced::Compromised).unwrap();
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
    edge: Edge,
    keyring: Keyring,
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
        let keyring = Keyring::new(keys, Arc::clone(&signer), edge.clone(), clock.clone());
        Self { clock, signer, state, edge, keyring }
    }

    fn key(&self) -> Arc<crate::identity::signer::SigningKey> {
        SigningKeys::find(self.state.path()).unwrap().unwrap().current()
    }

    fn signed(&self) -> Request<Bytes> {
        whoami(&self.signer)
    }

    async fn answer(&self, request: Request<Bytes>) -> StatusCode {
        self.edge.core().answer(request).await.status()
    }
}
