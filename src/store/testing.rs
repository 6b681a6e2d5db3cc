//! A store in a folder of its own, and what stands in it, for tests.

use std::path::PathBuf;

use sqlx::Connection;

use super::*;
use crate::base::secret::Fingerprint;
use crate::identity::claims::OriginClaim;
use crate::origin::Class;
use crate::origin::Kind;
use crate::origin::Source;
use crate::origin::trail::Trail;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Generation;
use crate::pairing::paired::Grant;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::Profile;
use crate::pairing::request::Repair;
use crate::protocol::connect::ClientId;
use crate::protocol::connect::ClientMode;
use crate::protocol::scope::Scope;

pub(super) const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

pub(super) async fn fresh() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&file(&folder)).await.unwrap();
    (folder, store)
}

pub(super) async fn close(store: Store) {
    let connection = std::sync::Arc::into_inner(store.connection).unwrap();
    connection.into_inner().close().await.unwrap();
}

pub(super) fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join(FILE_NAME)
}

pub(super) fn act(name: &'static str) -> Act {
    Act { name, actor: "owner".to_owned(), connection: None, at: NOW }
}

pub(super) fn put(device: &PairedDevice) -> Change {
    Change::PutDevice(Box::new(device.clone()))
}

pub(super) fn known_id(seed: u8) -> DeviceId {
    key(seed).id()
}

pub(super) fn key(seed: u8) -> DevicePublicKey {
    let key = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    DevicePublicKey::from_bytes(*key.verifying_key().as_bytes()).unwrap()
}

pub(super) fn profile() -> Profile {
    Profile {
        client_id: ClientId::Cli,
        client_mode: ClientMode::Cli,
        platform: "linux".to_owned(),
        display_name: Some("żółw ' \" ;--".to_owned()),
        device_family: None,
    }
}

pub(super) fn device(seed: u8) -> PairedDevice {
    let token = DeviceToken {
        fingerprint: Fingerprint::of(&[seed]),
        issuer: Issuer::Gateway(Generation::of(&Fingerprint::of(&[seed]))),
        created_at: NOW,
        rotated_at: Some(NOW.plus(1)),
        last_used_at: None,
    };
    let scopes = [Scope::READ, Scope::WRITE].into_iter().collect();
    let living = Grant { scopes, token: Some(token), created_at: NOW, revoked_at: None };
    let revoked = Grant { scopes: Default::default(), token: None, created_at: NOW, revoked_at: Some(NOW.plus(2)) };
    PairedDevice {
        key: key(seed),
        profile: profile(),
        label: Some("kitchen".to_owned()),
        grants: [(Role::Operator, living), (Role::Node, revoked)].into_iter().collect(),
        approved_via: ApprovedVia::Silent,
        created_at: NOW,
        approved_at: NOW.plus(3),
        last_seen_at: None,
    }
}

pub(super) fn request(seed: u8) -> PendingRequest {
    let ip = "2001:db8::7".parse().unwrap();
    PendingRequest {
        id: RequestId::random(),
        key: key(seed),
        profile: profile(),
        role: Role::Operator,
        scopes: [Scope::ADMIN].into_iter().collect(),
        origin: OriginClaim {
            kind: Kind::Ip,
            ip: Some(ip),
            port: Some(7),
            class: Class::Public,
            local: false,
            peer: ip,
            listener: "lan".to_owned(),
            source: Source::XForwardedFor,
            via: vec!["10.0.0.1".parse().unwrap()],
            steps: Trail::default(),
        },
        repair: Repair::Yes,
        created_at: NOW,
        refreshed_at: NOW,
    }
}
