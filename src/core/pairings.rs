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
use crate::base::secret::Secret;
use crate::core::Inner;
use crate::pairing::approval::Approver;
use crate::pairing::device::DeviceId;
use crate::pairing::request::Digest;
use crate::pairing::request::RequestId;
use crate::pairing::shown::Attendance;
use crate::pairing::step;
use crate::pairing::step::Known;
use crate::pairing::step::Step;
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
    /// Pending requests, the newest first.
    pub pending: Vec<Value>,
    /// Paired devices, the last approved first.
    pub paired: Vec<Value>,
}

/// Who decides, and on which connection.
#[derive(Clone, Debug)]
pub struct Decider {
    /// What it may do.
    pub approver: Approver,
    /// Its connection's id; none at the admin socket.
    pub connection: Option<String>,
}

impl Decider {
    /// The owner, at the admin socket.
    pub fn owner() -> Self {
        Self { approver: Approver::Owner, connection: None }
    }

    fn actor(&self) -> String {
        match &self.approver {
            Approver::Owner => "owner".to_owned(),
            Approver::Session { device: Some(device), .. } => format!("device:{device}"),
            Approver::Session { device: None, .. } => "local:command-line".to_owned(),
        }
    }

    fn act(&self, name: &'static str, at: UnixMillis) -> Act {
        Act { name, actor: self.actor(), connection: self.connection.clone(), at }
    }
}

impl Pairings {
    /// Everything that `by` may see.
    ///
    /// # Errors
    /// [`CallError`] in the gateway's words.
    pub async fn list(&self, by: &Decider) -> Result<Listing, CallError> {
        by.approver.needs_pairing()?;
        let approver = by.approver.clone();
        let visit = self.core.visit(async move |core| {
            let now = core.clock.now();
            let (requests, devices) = (core.store.requests().await?, core.store.devices().await?);
            let pending = requests.iter().filter(|request| !request.is_expired(now));
            let pending = pending.filter(|request| approver.sees(&request.device())).map(|request| request.shown());
            let connected = core.registry.devices();
            let paired = devices.iter().filter(|device| approver.sees(&device.id())).map(|device| {
                let here = connected.contains(&device.id());
                device.shown(if here { Attendance::Here } else { Attendance::Away })
            });
            Ok::<_, StoreError>(Listing { pending: pending.collect(), paired: paired.collect() })
        });
        visit.await.map_or(Err(CallError::Internal), |listed| listed.map_err(internal))
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
        let approver = by.approver.clone();
        let decided = self.decide(Subject::Request(id), "device.pair.approve", by, move |known, now| {
            step::approve(known, id, digest, &approver, now)
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
        let approver = by.approver.clone();
        let decided = self.decide(Subject::Request(id), "device.pair.reject", by, move |known, now| {
            step::reject(known, id, &approver, now)
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
        let approver = by.approver.clone();
        let decided = self
            .decide(Subject::Device(id), "device.pair.remove", by, move |known, _| step::remove(known, id, &approver));
        decided.await?;
        info!(device = %id, by = %by.actor(), "device removed");
        Ok(json!({ "deviceId": id }))
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
        let approver = by.approver.clone();
        let fresh = Secret::random().map_err(|fault| {
            error!(%fault, "no random bytes");
            CallError::Internal
        })?;
        let decided = self.decide(Subject::Device(id), "device.token.rotate", by, move |known, now| {
            step::rotate(known, id, role, scopes.as_ref(), &approver, fresh, now)
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
        let approver = by.approver.clone();
        let decided = self.decide(Subject::Device(id), "device.token.revoke", by, move |known, now| {
            step::revoke(known, id, role, &approver, now)
        });
        let at = decided.await?;
        info!(device = %id, %role, by = %by.actor(), "device token revoked");
        Ok(json!({ "deviceId": id, "role": role, "revokedAtMs": at.0 }))
    }

    /// One decision at the desk: load, decide, commit, carry out.
    async fn decide<T: Send + 'static>(
        &self,
        subject: Subject,
        name: &'static str,
        by: &Decider,
        decision: impl FnOnce(&Known, UnixMillis) -> Step<Result<T, CallError>> + Send + 'static,
    ) -> Result<T, CallError> {
        let by = by.clone();
        let visit = self.core.visit(async move |core| {
            let _desk = core.desk().await;
            let now = core.clock.now();
            let known = core.known(subject).await.map_err(internal)?;
            let step = decision(&known, now);
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
