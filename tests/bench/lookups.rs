//! What it costs to find a device among 10, 10,000 and 1,000,000 that are paired, and one that is not among them: the same
//! question that every `connect` asks of the store.
//!
//! `cargo bench --bench lookups`; the goal is that it does not grow. It takes some minutes, most of them to pair a million.
#![expect(dead_code, reason = "what measures here measures more in other benches")]
#![expect(clippy::expect_used, clippy::panic, reason = "a bench that cannot go on says why and ends")]

#[path = "measure.rs"]
mod measure;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use doorward::base::clock::Clock;
use doorward::base::secret::Fingerprint;
use doorward::pairing::device::DeviceId;
use doorward::pairing::device::DevicePublicKey;
use doorward::pairing::paired::ApprovedVia;
use doorward::pairing::paired::DeviceToken;
use doorward::pairing::paired::Grant;
use doorward::pairing::paired::Issuer;
use doorward::pairing::paired::PairedDevice;
use doorward::pairing::paired::Profile;
use doorward::pairing::step::Change;
use doorward::protocol::connect::ClientId;
use doorward::protocol::connect::ClientMode;
use doorward::protocol::scope::Role;
use doorward::protocol::scope::Scope;
use doorward::store::Act;
use doorward::store::Store;
use ed25519_dalek::SigningKey;

const COUNTS: [u32; 3] = [10, 10_000, 1_000_000];
/// Paired by one act, so that a million are not a million transactions.
const AT_ONCE: u32 = 5_000;
const LOOKUPS: usize = 20_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, clock) = (folder.path().join("doorward.db"), Clock::system());
        let store = Store::open(&file).await.expect("a store");
        let mut ids = Vec::new();
        println!("| paired devices | found, µs [p99] | not found, µs [p99] | store, MiB | memory, MiB |\n|---|---|---|---|---|");
        for count in COUNTS {
            pair(&store, &clock, count, &mut ids).await;
            let (found, missed) = (lookups(&store, &clock, &ids).await, lookups(&store, &clock, &strangers()).await);
            let memory = measure::memory_kib(&[std::process::id()]) / 1_024.0;
            println!("| {count} | {found} | {missed} | {:.1} | {memory:.0} |", size(&file));
        }
    });
}

/// Pairs devices until there are `count`.
async fn pair(store: &Store, clock: &Clock, count: u32, ids: &mut Vec<DeviceId>) {
    let mut next = u32::try_from(ids.len()).expect("a million at most");
    while next < count {
        let end = count.min(next + AT_ONCE);
        let devices: Vec<PairedDevice> = (next..end).map(|number| device(number, clock)).collect();
        ids.extend(devices.iter().map(PairedDevice::id));
        let changes: Vec<Change> = devices.into_iter().map(|device| Change::PutDevice(Box::new(device))).collect();
        let act = Act { name: "bench", actor: "owner".to_owned(), connection: None, at: clock.now() };
        store.commit(&changes, &act).await.expect("they are written");
        next = end;
    }
}

/// The median and the 99th percentile of many lookups, each of another device.
async fn lookups(store: &Store, clock: &Clock, ids: &[DeviceId]) -> String {
    let mut times = Vec::with_capacity(LOOKUPS);
    // A prime step goes through all of them in no order that a disk would like.
    for id in ids.iter().cycle().step_by(104_729).take(LOOKUPS) {
        let start = Instant::now();
        black_box(store.known(id, clock.now()).await.expect("the store answers"));
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default().as_secs_f64() * 1e6;
    format!("**{:.0}** [{:.0}]", at(50), at(99))
}

fn strangers() -> Vec<DeviceId> {
    (0..1_000_u32).map(|number| key(u32::MAX - number).id()).collect()
}

fn key(number: u32) -> DevicePublicKey {
    let seed = Fingerprint::of(&number.to_be_bytes());
    let key = SigningKey::from_bytes(seed.as_bytes());
    DevicePublicKey::from_bytes(key.verifying_key().to_bytes()).expect("a key")
}

fn device(number: u32, clock: &Clock) -> PairedDevice {
    let now = clock.now();
    let token = DeviceToken {
        fingerprint: Fingerprint::of(&number.to_le_bytes()),
        issuer: Issuer::Setup,
        created_at: now,
        rotated_at: None,
        last_used_at: None,
    };
    let scopes = [Scope::READ, Scope::WRITE].into_iter().collect();
    let grant = Grant { scopes, token: Some(token), created_at: now, revoked_at: None };
    PairedDevice {
        key: key(number),
        profile: Profile {
            client_id: ClientId::Cli,
            client_mode: ClientMode::Cli,
            platform: "linux".to_owned(),
            display_name: Some(format!("device {number}")),
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

/// The store with its log, in MiB.
fn size(file: &Path) -> f64 {
    let log = file.with_extension("db-wal");
    let bytes = |file: &Path| std::fs::metadata(file).map_or(0, |found| found.len());
    (bytes(file) + bytes(&log)) as f64 / f64::from(1 << 20)
}
