//! Decisions about devices: one function each, for the gateway protocol's methods and for the admin socket alike.
//! Each takes who decides; none can be reached without.

use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tracing::error;
use tracing::info;

use crate::base::clock::UnixMillis;
use crate::base::limits::DEVICE_LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::base::secret::Secret;
use crate::core::Inner;
use crate::core::registry::Peer;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::queue;
use crate::pairing::request::Digest;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::RequestId;
use crate::pairing::shown::Attendance;
use crate::pairing::step;
use crate::pairing::step::Known;
use crate::pairing::step::Step;
use crate::pairing::step::Upgrade;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scopes;
use crate::store::Act;
use crate::store::StoreError;

/// Pending requests and paired devices, to look at and to decide about.
#[derive(Clone, Debug)]
pub struct Pairings {
    pub(super) core: Arc<Inner>,
}

/// What waits and what is paired, as the gateway's clients read it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listing {
    /// Pending requests, those that are likely the owner's own first.
    pub pending: Vec<Value>,
    /// Paired devices, the last approved first.
    pub paired: Vec<Value>,
}

/// Who decides, and on which connection.
#[derive(Clone, Debug)]
pub struct Decider {
    /// Its session; none at the admin socket.
    session: Option<Arc<Peer>>,
}

impl Decider {
    /// The owner, at the admin socket.
    pub fn owner() -> Self {
        Self { session: None }
    }

    /// A session of the gateway protocol.
    pub(super) fn session(peer: Arc<Peer>) -> Self {
        Self { session: Some(peer) }
    }

    fn actor(&self) -> String {
        match self.session.as_ref().map(|peer| peer.arrival.device) {
            None => "owner".to_owned(),
            Some(Some(device)) => format!("device:{device}"),
            Some(None) => "local:command-line".to_owned(),
        }
    }

    fn act(&self, name: &'static str, at: UnixMillis) -> Act {
        let connection = self.session.as_ref().map(|peer| peer.arrival.connection.clone());
        Act { name, actor: self.actor(), connection, at }
    }

    /// As whom it decides at this moment, not when it connected: a session that is being closed decides nothing, and
    /// one whose grant shrank holds no more than that. Under the desk's lock no revocation can fall in between.
    async fn approver(&self, core: &Inner) -> Result<Approver, CallError> {
        let Some(peer) = &self.session else { return Ok(Approver::Owner) };
        if peer.is_ending() {
            return Err(CallError::SessionEnded);
        }
        let Some(device) = peer.arrival.device else { return Ok(peer.approver()) };
        let known = core.store.known_device(&device).await.map_err(internal)?;
        let grant = known.device.as_ref().and_then(|device| device.living_grant(peer.arrival.role));
        let grant = grant.ok_or(CallError::SessionEnded)?;
        let scopes = peer.arrival.scopes.iter().filter(|scope| grant.scopes.covers(scope)).cloned().collect();
        Ok(Approver::Session { device: Some(device), scopes })
    }
}

impl Pairings {
    /// Everything that `by` may see.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn list(&self, by: &Decider) -> Result<Listing, CallError> {
        let by = by.clone();
        let visit = self.core.visit(async move |core| {
            let (approver, now) = (by.approver(&core).await?, core.clock.now());
            approver.needs_pairing()?;
            let requests = core.store.requests().await.map_err(internal)?;
            let devices = core.store.devices().await.map_err(internal)?;
            let life = core.store.pending_life();
            let is_due = |request: &PendingRequest| !request.is_expired(now, life) && approver.sees(&request.device());
            let mut pending: Vec<PendingRequest> = requests.into_iter().filter(is_due).collect();
            queue::put_in_order(&mut pending);
            let connected = core.registry.devices();
            let paired = devices.iter().filter(|device| approver.sees(&device.id())).map(|device| {
                let here = connected.contains(&device.id());
                device.shown(if here { Attendance::Here } else { Attendance::Away })
            });
            Ok(Listing { pending: pending.iter().map(PendingRequest::shown).collect(), paired: paired.collect() })
        });
        visit.await.unwrap_or(Err(CallError::Internal))
    }

    /// Approves the request of this id, if it still is what `digest` was taken of.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn approve(&self, request: &str, digest: Option<&str>, by: &Decider) -> Result<Value, CallError> {
        let id = read::<RequestId>(request).ok_or(CallError::RequestUnknown)?;
        let digest = match digest.map(str::parse::<Digest>) {
            None => None,
            Some(Ok(digest)) => Some(digest),
            Some(Err(_)) => return Err(CallError::DigestMismatch),
        };
        let decided = self.decide(Subject::Request(id), "device.pair.approve", by, move |known, approver, now| {
            step::approve(known, id, digest, approver, now)
        });
        let device = decided.await?;
        info!(request = %id, device = %device.id(), by = %by.actor(), "device approved");
        let here = self.core.registry.is_connected(&device.id());
        let device = device.shown(if here { Attendance::Here } else { Attendance::Away });
        Ok(json!({ "requestId": id, "device": device }))
    }

    /// Rejects the request of this id.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn reject(&self, request: &str, by: &Decider) -> Result<Value, CallError> {
        let id = read::<RequestId>(request).ok_or(CallError::RequestUnknown)?;
        let decided = self.decide(Subject::Request(id), "device.pair.reject", by, move |known, approver, now| {
            step::reject(known, id, approver, now)
        });
        let request = decided.await?;
        info!(request = %id, device = %request.device(), by = %by.actor(), "device rejected");
        Ok(json!({ "requestId": id, "deviceId": request.device() }))
    }

    /// Forgets a device and closes its sockets.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn remove(&self, device: &str, by: &Decider) -> Result<Value, CallError> {
        let id = read::<DeviceId>(device).ok_or(CallError::DeviceUnknown)?;
        let decided = self.decide(Subject::Device(id), "device.pair.remove", by, move |known, approver, _| {
            step::remove(known, id, approver)
        });
        let removed = decided.await?;
        info!(device = %id, by = %by.actor(), "device removed");
        if let (Some(upstream), true) = (&self.core.upstream, removed.grants.contains_key(&Role::Node)) {
            self.core.runtime.spawn(upstream.clone().forget(id));
        }
        Ok(json!({ "deviceId": id }))
    }

    /// Gives a device a person's name.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn rename(&self, device: &str, label: &str, by: &Decider) -> Result<Value, CallError> {
        let label = printable(label.trim(), DEVICE_LABEL_CHARS_MAX);
        if label.is_empty() {
            return Err(CallError::LabelMissing);
        }
        let id = read::<DeviceId>(device).ok_or(CallError::DeviceUnknown)?;
        let name = label.clone();
        let decided = self.decide(Subject::Device(id), "device.pair.rename", by, move |known, approver, _| {
            step::rename(known, id, &name, approver)
        });
        decided.await?;
        info!(device = %id, name = label, by = %by.actor(), "device renamed");
        Ok(json!({ "deviceId": id, "label": label }))
    }

    /// Replaces a device's token and closes its sockets; only the device itself is told the new one.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn rotate(
        &self,
        device: &str,
        role: Role,
        scopes: Option<Scopes>,
        by: &Decider,
    ) -> Result<Value, CallError> {
        let id = read::<DeviceId>(device).ok_or(CallError::TokenRotationDenied)?;
        let fresh = Secret::random().map_err(|fault| {
            error!(%fault, "no random bytes");
            CallError::Internal
        })?;
        let decided = self.decide(Subject::Device(id), "device.token.rotate", by, move |known, approver, now| {
            step::rotate(known, id, role, scopes.as_ref(), approver, fresh, now)
        });
        let rotated = decided.await?;
        info!(device = %id, %role, by = %by.actor(), "device token rotated");
        let mut answer = json!({ "deviceId": id, "role": role, "scopes": rotated.scopes, "rotatedAtMs": rotated.at.0,
                                 "tokenDelivery": "withheld-cross-device" });
        if let (Some(token), Value::Object(fields)) = (&rotated.token, &mut answer) {
            fields.insert("token".to_owned(), json!(token.expose()));
            fields.insert("tokenDelivery".to_owned(), json!("in-band"));
        }
        Ok(answer)
    }

    /// Takes a device's grant back and closes its sockets.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn revoke(&self, device: &str, role: Role, by: &Decider) -> Result<Value, CallError> {
        let id = read::<DeviceId>(device).ok_or(CallError::TokenRevocationDenied)?;
        let decided = self.decide(Subject::Device(id), "device.token.revoke", by, move |known, approver, now| {
            step::revoke(known, id, role, approver, now)
        });
        let at = decided.await?;
        info!(device = %id, %role, by = %by.actor(), "device token revoked");
        Ok(json!({ "deviceId": id, "role": role, "revokedAtMs": at.0 }))
    }

    /// The paired devices that may be nodes, of those that `by` may see.
    pub(super) async fn nodes(&self, by: &Decider) -> Result<Vec<Value>, CallError> {
        let by = by.clone();
        let visit = self.core.visit(async move |core| {
            let approver = by.approver(&core).await?;
            approver.needs_pairing()?;
            let devices = core.store.devices().await.map_err(internal)?;
            let seen = devices.iter().filter(|device| approver.sees(&device.id()));
            Ok(seen.filter_map(PairedDevice::shown_as_node).collect())
        });
        visit.await.unwrap_or(Err(CallError::Internal))
    }

    /// Lets the device of a session ask for more than it was approved for.
    pub(super) async fn request_upgrade(
        &self,
        peer: &Arc<Peer>,
        asked: Scopes,
        by: &Decider,
    ) -> Result<RequestId, CallError> {
        let (device, origin) = (peer.arrival.device, peer.arrival.origin.clone());
        // An administrator holds everything that there is to ask for, and whoever has no device has nobody to give it to.
        let (Some(device), Some(origin)) = (device, origin) else {
            return Err(match peer.arrival.device {
                None => CallError::UpgradeWithoutDevice,
                Some(_) => CallError::UpgradeNarrows,
            });
        };
        let (by, core) = (by.clone(), Arc::clone(&self.core));
        let visit = self.core.visit(async move |_| {
            let _desk = core.desk().await;
            let (approver, now) = (by.approver(&core).await?, core.clock.now());
            let Approver::Session { scopes: holds, .. } = &approver else { return Err(CallError::SessionEnded) };
            let known = core.remember(&device, core.store.known(&device, now).await.map_err(internal)?);
            let fresh = RequestId::random();
            let upgrade = Upgrade { device, holds, asked: &asked, origin: &origin, fresh };
            let step = step::request_upgrade(&known, upgrade, now);
            let act = by.act("device.scopes.requestUpgrade", now);
            core.commit(&step.changes, &act).await.map_err(|_| CallError::Internal)?;
            if let Ok(id) = &step.outcome {
                core.upgrades.note(*id, device);
                info!(request = %id, device = %device, "scope upgrade requested");
            }
            step.notices.iter().filter(|notice| core.is_news(notice)).for_each(|notice| core.carry_out(notice));
            step.outcome
        });
        visit.await.unwrap_or(Err(CallError::Internal))
    }

    /// Hands the device of a session a token for what it was granted meanwhile; its scopes.
    pub(super) async fn deliver(
        &self,
        device: DeviceId,
        issuer: Issuer,
        fresh: &Secret<String>,
        by: &Decider,
    ) -> Result<Scopes, CallError> {
        let fresh = fresh.clone();
        self.decide(Subject::Device(device), "device.scopes.waitUpgrade", by, move |known, _, now| {
            step::deliver(known, device, issuer, &fresh, now)
        })
        .await
    }

    /// One decision at the desk: load, decide, commit, carry out.
    async fn decide<T: Send + 'static>(
        &self,
        subject: Subject,
        name: &'static str,
        by: &Decider,
        decision: impl FnOnce(&Known, &Approver, UnixMillis) -> Step<Result<T, CallError>> + Send + 'static,
    ) -> Result<T, CallError> {
        let by = by.clone();
        let visit = self.core.visit(async move |core| {
            let _desk = core.desk().await;
            let (approver, now) = (by.approver(&core).await?, core.clock.now());
            let known = core.known(subject).await.map_err(internal)?;
            let step = decision(&known, &approver, now);
            core.commit(&step.changes, &by.act(name, now)).await.map_err(|_| CallError::Internal)?;
            step.notices.iter().for_each(|notice| core.carry_out(notice));
            step.outcome
        });
        visit.await.unwrap_or(Err(CallError::Internal))
    }
}

/// Whom a decision is about.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Device(DeviceId),
    Request(RequestId),
}

impl Inner {
    async fn known(&self, subject: Subject) -> Result<Known, StoreError> {
        let device = match subject {
            Subject::Device(device) => device,
            Subject::Request(id) => match self.store.request(&id).await? {
                Some(request) => request.device(),
                None => return Ok(Known::default()),
            },
        };
        self.store.known_device(&device).await
    }
}

fn internal(fault: StoreError) -> CallError {
    error!(%fault, hint = %fault.hint(), "store not read");
    CallError::Internal
}

fn read<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
