//! A key that is replaced signs and is believed in the right order, by age and by command.

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};

use super::*;
use crate::admin::testing::House;
use crate::base::limits::{SIGNING_KEY_LIFE, SIGNING_KEY_OVERLAP};
use crate::identity::claims::RequestClaim;
use crate::identity::headers::ASSERTION;
use crate::identity::signer::Signer;
use crate::identity::testing::{parts, subject};
use crate::store::keys::signing::{Replaced, SigningKeys};

#[tokio::test]
async fn a_key_of_age_is_replaced_where_it_signs_and_where_it_is_believed() {
    let house = House::open("").await;
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
    let house = House::open("").await;
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

impl House {
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
