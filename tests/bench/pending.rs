//! What a flood of requests leaves: 100,000 devices from 10,000 networks of IPv6 ask one after the other, each with a proof of
//! its key and the gateway's secret. How long one attempt takes, how large the store becomes, how long the list of what waits
//! takes, and where in it the owner's own request stands. Row 138 of the catalogue.
//!
//! `cargo bench --bench pending`; the goals: the list below 100 ms, the owner in the first three. At this pace, an hour, three
//! thousand of them find a place; what they leave is their entries in the audit log, which is cut at 20,000.
#![expect(clippy::expect_used, reason = "a bench that cannot go on says why and ends")]

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::base::clock::Clock;
use doorward::base::clock::UnixMillis;
use doorward::base::secret::Fingerprint;
use doorward::identity::claims::OriginClaim;
use doorward::pairing::credential::Shared;
use doorward::pairing::device::Challenge;
use doorward::pairing::device::Proof;
use doorward::pairing::device::prove;
use doorward::pairing::paired::Generation;
use doorward::pairing::queue::put_in_order;
use doorward::pairing::request::PendingRequest;
use doorward::pairing::setup::Offer;
use doorward::pairing::step;
use doorward::pairing::step::Attempt;
use doorward::pairing::step::Fresh;
use doorward::pairing::step::Page;
use doorward::protocol::connect::Connect;
use doorward::protocol::frame::Request;
use doorward::store::Act;
use doorward::store::FILE_NAME;
use doorward::store::Store;
use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use serde_json::json;

const ATTEMPTS: u32 = 100_000;
const NETWORKS: u32 = 10_000;
/// Between two of them: all of them in an hour.
const BETWEEN_MS: i64 = 36;
/// The owner's device asks every so many attempts.
const OWNER_ASKS: u32 = 5_000;
/// The list is looked at every so many attempts.
const LISTED: u32 = 100;
const SECRET: &str = "k3yPq9vTz0aWx7LmN2bRc5dEk3yPq9vTz0aWx7LmN2b";
const START: UnixMillis = UnixMillis(1_790_000_000_000);

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Clock::fixed(START);
        let store = Store::open(&folder.path().join(FILE_NAME)).await.expect("a store").by(clock.clone());
        let owner = caller(u32::MAX, "192.168.1.30", "private");
        let (mut decided, mut listed, mut worst) = (Vec::new(), Vec::new(), 0);
        for number in 0..ATTEMPTS {
            let network = number % NETWORKS;
            let from = format!("2001:db8:{:x}:{:x}::1", network / 4, network % 4);
            let stranger = caller(number, &from, "public");
            let start = Instant::now();
            attempt(&store, &clock, stranger).await;
            decided.push(start.elapsed());
            clock.advance(BETWEEN_MS);
            if number % OWNER_ASKS == OWNER_ASKS - 1 {
                attempt(&store, &clock, owner.clone()).await;
            }
            if number % LISTED == LISTED - 1 {
                let start = Instant::now();
                let mut requests = store.requests().await.expect("the store answers");
                put_in_order(&mut requests);
                let shown: Vec<_> = requests.iter().map(PendingRequest::shown).collect();
                listed.push(start.elapsed());
                let place = requests.iter().position(|request| request.key.id() == owner.0);
                worst = worst.max(place.map_or(0, |place| place + 1));
                std::hint::black_box(shown);
            }
        }
        println!("| attempts | one attempt, µs [p99] | the list, ms [p99] | store, KiB | its log, KiB | the owner's place |\n|---|---|---|---|---|---|");
        let (attempt, list) = (told(decided, 1e6), told(listed, 1e3));
        let (bytes, log) = (kib(&folder.path().join(FILE_NAME)), kib(&folder.path().join("doorward.sqlite-wal")));
        println!("| {ATTEMPTS} | {attempt} | {list} | {bytes:.0} | {log:.0} | {worst} |");
    });
}

type Caller = (doorward::pairing::device::DeviceId, Connect, Proof, OriginClaim);

/// A device that asks for everything with the gateway's secret, and what came of its proof.
fn caller(number: u32, from: &str, class: &str) -> Caller {
    let key = SigningKey::from_bytes(Fingerprint::of(&number.to_be_bytes()).as_bytes());
    let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let id = Fingerprint::of(key.verifying_key().as_bytes()).to_hex();
    let text = format!("v3|{id}|cli|cli|operator|operator.admin|{}|{SECRET}|nonce|linux|", START.0);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes());
    let params = json!({
        "minProtocol": 4, "maxProtocol": 4, "role": "operator", "scopes": ["operator.admin"],
        "client": { "id": "cli", "mode": "cli", "version": "1", "platform": "linux" }, "auth": { "token": SECRET },
        "device": { "id": id, "publicKey": public, "signature": signature, "signedAt": START.0, "nonce": "nonce" },
    });
    let frame = json!({ "type": "req", "id": "1", "method": "connect", "params": params }).to_string();
    let connect = Connect::read(&Request::parse(&frame).expect("a request")).expect("a connect");
    let proof = prove(&connect, Challenge::new("nonce".to_owned()), START);
    let origin = json!({ "kind": "ip", "ip": from, "class": class, "local": false, "peer": from, "listener": "web",
                         "source": "peer", "via": [] });
    let device = match &proof {
        Proof::Proven(device) => Some(device.id()),
        Proof::Absent | Proof::Refused(_) => None,
    };
    (device.expect("a proof"), connect, proof, serde_json::from_value(origin).expect("an origin"))
}

/// What the desk does for one `connect`.
async fn attempt(store: &Store, clock: &Clock, (device, connect, proof, origin): Caller) {
    let (now, gateway) = (clock.now(), Fingerprint::of(SECRET.as_bytes()));
    let known = store.known(&device, now).await.expect("the store answers");
    let attempt = Attempt {
        connect: &connect,
        origin: &origin,
        identity: None,
        rule: None,
        page: Page::Absent,
        proof,
        shared: Shared::judge(&connect.auth, &gateway),
        offer: Offer::Absent,
        generation: Generation::of(&gateway),
        fresh: Fresh::random().expect("random values"),
    };
    let step = step::connect(&known, attempt, now);
    let act = Act { name: "connect", actor: "client:bench".to_owned(), connection: None, at: now };
    store.commit(&step.changes, &act).await.expect("the store writes");
}

fn told(mut times: Vec<Duration>, unit: f64) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * unit;
    format!("**{:.1}** [{:.1}]", at(50), at(99))
}

fn kib(file: &Path) -> f64 {
    std::fs::metadata(file).map_or(0, |found| found.len()) as f64 / 1_024.0
}
