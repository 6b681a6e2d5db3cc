//! A store with many paired devices, more than SQLite keeps of it in memory.

use std::collections::BTreeMap;
use std::path::Path;

use doorward::base::clock::Clock;
use doorward::base::secret::Fingerprint;
use doorward::pairing::device::DevicePublicKey;
use doorward::pairing::paired::{ApprovedVia, DeviceToken, Grant, Issuer, PairedDevice, Profile};
use doorward::pairing::step::Change;
use doorward::protocol::connect::{ClientId, ClientMode};
use doorward::protocol::scope::{Role, Scope};
use doorward::store::{Act, FILE_NAME, Store};
use sha2::{Digest, Sha256};

use super::gateway_client::Device;
use super::wait::wait_until;

/// What SQLite keeps of a file in memory, if it is told nothing else.
const PAGE_CACHE_BYTES: u64 = 2_000 * 1_024;
const STRANGERS: u32 = 6_000;

/// Makes a store in `folder` that is much larger than the page cache, and in which `devices` are paired, each by the token
/// that is its id.
pub(crate) async fn store_with(folder: &Path, devices: &[Device]) {
    let (file, clock) = (folder.join(FILE_NAME), Clock::system());
    let store = Store::open(&file).await.unwrap();
    let own = devices.iter().map(|device| paired(DevicePublicKey::parse(&device.public_key()).unwrap(), &clock));
    let strangers = (0..STRANGERS).map(|number| {
        let seed = Sha256::digest(number.to_be_bytes()).into();
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        paired(DevicePublicKey::from_bytes(key.verifying_key().to_bytes()).unwrap(), &clock)
    });
    let changes: Vec<Change> = own.chain(strangers).map(|device| Change::PutDevice(Box::new(device))).collect();
    let act = Act { name: "test", actor: "owner".to_owned(), connection: None, at: clock.now() };
    store.commit(&changes, &act).await.unwrap();
    drop(store);
    // It is closed on a thread of its own; then its log is merged and gone.
    let log = file.with_extension("sqlite-wal");
    wait_until(|| !log.exists());
    let bytes = std::fs::metadata(&file).unwrap().len();
    assert!(bytes > 2 * PAGE_CACHE_BYTES, "the store has {bytes} bytes");
}

fn paired(key: DevicePublicKey, clock: &Clock) -> PairedDevice {
    let now = clock.now();
    let token = DeviceToken {
        fingerprint: Fingerprint::of(key.id().to_string().as_bytes()),
        issuer: Issuer::Setup,
        created_at: now,
        rotated_at: None,
        last_used_at: None,
    };
    let grant =
        Grant { scopes: [Scope::READ].into_iter().collect(), token: Some(token), created_at: now, revoked_at: None };
    PairedDevice {
        key,
        profile: Profile {
            client_id: ClientId::Cli,
            client_mode: ClientMode::Cli,
            platform: "linux".to_owned(),
            display_name: None,
            device_family: None,
        },
        label: None,
        grants: BTreeMap::from([(Role::Operator, grant)]),
        approved_via: ApprovedVia::Owner,
        created_at: now,
        approved_at: now,
        last_seen_at: Some(now),
    }
}
