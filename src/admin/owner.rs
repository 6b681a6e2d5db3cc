//! What the owner asks, answered: the core's own functions, with every scope.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::base::clock::{Clock, UnixMillis};
use crate::base::limits::DECISION_OTHERS_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::OwnerCommand;
use crate::base::printable::printable;
use crate::certificates::Certificates;
use crate::core::CoreError;
use crate::core::Decider;
use crate::core::upstream::{Upstream, advice};
use crate::edge::Edge;
use crate::edge::workers::Pulse;
use crate::explain::account;
use crate::explain::account::Account;
use crate::listener::caps::Caps;
use crate::listener::live::Live;
use crate::listener::tally::Tally;
use crate::origin::exposure::{Answer as DialAnswer, Answerer, Exposure};
use crate::protocol::call::CallError;
use crate::store::{Act, Filter, Line, StoreError};

use super::address::{self, Ports};
use super::certificates;
use super::invites::{self, Doors, Wish};
use super::keys::Keyring;
use super::reload::{Reloaded, Reloader};
use super::request::{Reply, Request};
use super::server::Answer;
use super::since;

/// Answers the admin socket.
#[derive(Debug)]
pub struct Owner {
    edge: Edge,
    caps: Caps,
    pulse: Pulse,
    facts: Facts,
    reloader: Arc<Reloader>,
    keyring: Arc<Keyring>,
    clock: Clock,
}

/// What does not change while the instance runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What is shown to whom.
    pub certificates: Arc<Certificates>,
    /// Every listener with its addresses.
    pub listeners: Vec<BoundListener>,
    /// Where the numbers are read.
    pub metrics: Vec<SocketAddr>,
    /// The state folder.
    pub state_dir: PathBuf,
    /// The file of the gateway token.
    pub token_file: PathBuf,
}

/// A listener and the addresses it came to have.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// Its settings, as they are now.
    pub settings: Live,
    /// Its addresses, as the kernel knows them.
    pub addresses: Vec<SocketAddr>,
    /// What happens there.
    pub tally: Tally,
}

impl Owner {
    /// Answers for the instance behind `edge`.
    pub fn new(
        edge: Edge,
        caps: Caps,
        pulse: Pulse,
        facts: Facts,
        reloader: Arc<Reloader>,
        keyring: Arc<Keyring>,
        clock: Clock,
    ) -> Self {
        Self { edge, caps, pulse, facts, reloader, keyring, clock }
    }

    /// Where the dashboard is, without the token.
    pub fn url(&self) -> Option<String> {
        let listeners: Vec<_> = self.facts.listeners.iter().map(|listener| listener.settings.load()).collect();
        let settings = self.edge.settings();
        let names: Vec<_> = settings.names.iter().chain(&settings.own).cloned().collect();
        address::dashboard(listeners.iter().map(AsRef::as_ref), &names, settings.https_port)
    }

    async fn reload(&self) -> Reply {
        match self.reloader.reload().await {
            Ok(Reloaded { changed, warnings }) => {
                Reply::Done(json!({"reloaded": true, "changed": changed, "warnings": warnings}))
            }
            Err(error) => Reply::failed(error.to_string().trim_end(), error.hint()),
        }
    }

    async fn status(&self) -> Reply {
        // The kernel lets in whom a dead event loop would have accepted, and nobody answers.
        let (ready, beats) = (self.edge.is_ready(), self.pulse.beats());
        let taking = ready && beats;
        let state = match (ready, beats) {
            (_, false) => "broken",
            (false, true) => "draining",
            (true, true) => "ready",
        };
        let reloader = Arc::clone(&self.reloader);
        // It reads files, perhaps from a disk that hangs: not on the loop that answers the owner.
        let (status, configuration) =
            tokio::join!(self.edge.core().status(), spawn_blocking(move || reloader.describe()));
        // None only if it broke off: the log has the panic.
        let (configuration, network) = (configuration.ok(), self.edge.network());
        let listeners = self.facts.listeners.iter().map(|listener| {
            let settings = listener.settings.load();
            let published = settings.origin.local.published_port().map(|port| {
                let exposure = network.exposure(port);
                let dialled = network.dials(port).iter().map(|dial| {
                    let by = (dial.answer == DialAnswer::Answered(Answerer::Ourselves)).then_some("this very listener");
                    json!({"address": dial.at.to_string(), "answer": dial.answer.as_str(), "by": by})
                });
                json!({"port": port, "found": exposure.to_string(), "closed": exposure == Exposure::Closed,
                    "dialled": dialled.collect::<Vec<_>>(), "hint": exposure.hint(port)})
            });
            json!({
                "name": settings.name,
                "protocol": settings.protocol.as_str(),
                "serve": settings.serve.as_str(),
                "addresses": listener.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "bound": taking,
                "published": published,
            })
        });
        let mut answer = json!({
            "ready": taking && status.is_ok(),
            "state": state,
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "config": self.reloader.file(),
            "configuration": configuration,
            "stateDir": self.facts.state_dir,
            "tokenFile": self.facts.token_file,
            "dashboard": self.url(),
            "connections": self.caps.open(),
            "container": network.container().map(|proof| proof.to_string()),
            "listeners": listeners.collect::<Vec<_>>(),
            "metrics": self.facts.metrics.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "certificates": self.facts.certificates.list(self.clock.now()),
        });
        if let Value::Object(fields) = &mut answer {
            match status {
                Ok(status) => {
                    fields.insert("store".into(), json!("open"));
                    fields.insert("devices".into(), json!({"paired": status.paired, "pending": status.pending}));
                    fields.insert(
                        "webSockets".into(),
                        json!({"connected": status.connections, "waiting": status.waiting}),
                    );
                    fields.insert("uptimeMs".into(), json!(status.uptime_ms));
                }
                Err(error) => {
                    fields.insert("store".into(), json!(error.to_string()));
                    fields.insert("hint".into(), json!(error.hint()));
                }
            }
        }
        self.with_invite(answer).await
    }

    /// The answer, whether an invite is open, and how the gateway behind us is.
    async fn with_invite(&self, mut answer: Value) -> Reply {
        // Where the store cannot be read, the answer says so itself.
        let open = self.edge.core().invites().open().await.ok().flatten();
        if let Value::Object(fields) = &mut answer {
            fields.insert("invite".into(), json!(open));
            fields.insert("upstream".into(), json!(self.edge.core().upstream().map(upstream)));
        }
        Reply::Done(answer)
    }

    async fn invite(&self, wish: Wish) -> Reply {
        let (now, settings) = (self.clock.now(), self.edge.settings());
        let listeners: Vec<_> = self.facts.listeners.iter().map(|listener| listener.settings.load()).collect();
        let listeners = listeners.iter().map(AsRef::as_ref).collect();
        let ports = if self.edge.network().container().is_some() { Ports::Mapped } else { Ports::AsBound };
        let certificates = self.facts.certificates.list(now);
        let doors = Doors { listeners, edge: &settings, certificates, ports };
        invites::make(wish, &doors, self.edge.core(), now).await
    }

    async fn renew(&self, name: Option<String>) -> Reply {
        let (held, now) = (Arc::clone(&self.facts.certificates), self.clock.now());
        // A leaf is signed and written: not on the loop that answers the owner.
        let renewed = spawn_blocking(move || certificates::renew(&held, name.as_deref(), now)).await;
        renewed.unwrap_or_else(|broken| Reply::failed(broken, "the log tells why; please report it"))
    }

    async fn explain(&self, id: Option<&str>) -> Reply {
        let (decisions, now) = (self.edge.core().decisions(), self.clock.now());
        let mut found = match id {
            Some(id) => Vec::from_iter(decisions.find(id)),
            None => decisions.denied(DECISION_OTHERS_MAX.saturating_add(1)),
        }
        .into_iter();
        let Some(decision) = found.next() else { return unknown(id) };
        let since = since::of(&decision, self.edge.core().store()).await;
        let account = Account::of(&decision, since, &OwnerCommand::new(self.reloader.file().as_deref()));
        let others: Vec<_> = found.map(|other| account::line(&other, now)).collect();
        let mut text = account.text(now);
        if !others.is_empty() {
            text.push_str("\nOthers who were refused lately, to be explained by their codes\n");
            others.iter().for_each(|other| text.extend(["  ", other, "\n"]));
        }
        let mut answer = json!(account);
        if let (Value::Object(answer), None) = (&mut answer, id) {
            answer.insert("others".into(), json!(others));
        }
        Reply::Done(json!({ "account": answer, "text": text }))
    }
}

/// Nothing is remembered under this id.
fn unknown(id: Option<&str>) -> Reply {
    match id {
        Some(id) => Reply::failed(
            format!("no decision is remembered under this id: {}", printable(id, LABEL_CHARS_MAX)),
            "only the latest are kept, in memory: newer ones may have taken its place, or doorward was started since; \
             callers who just left are in the log only",
        ),
        None => Reply::failed(
            "nobody was refused since doorward was started",
            "see `doorward status` if callers do not get here",
        ),
    }
}

impl Answer for Owner {
    async fn answer(&self, request: Request) -> Reply {
        let (core, owner) = (self.edge.core(), Decider::owner());
        match request {
            Request::Approve { request_id, digest } => {
                called(core.pairings().approve(&request_id, digest.as_deref(), &owner).await)
            }
            Request::Audit { since_ms, device, action, most } => {
                let filter = Filter { since: since_ms.map(UnixMillis), device, action, most };
                stored(core.store().audit(&filter).await.map(|entries| json!({"entries": entries})))
            }
            Request::Certificates => Reply::Done(certificates::list(&self.facts.certificates, self.clock.now())),
            Request::BackupStore { to } => {
                stored(core.store().backup(to.as_deref()).await.map(|backup| json!({"backup": backup})))
            }
            Request::CheckStore => {
                let faults = core.store().faults().await;
                let faults = faults.iter().map(|fault| json!({"error": fault.to_string(), "hint": fault.hint()}));
                Reply::Done(json!({"faults": faults.collect::<Vec<_>>()}))
            }
            Request::CancelInvite => invites::cancel(core).await,
            Request::Dashboard => Reply::Done(json!({"url": self.url()})),
            Request::Explain { id } => self.explain(id.as_deref()).await,
            Request::Import(import) => match core.pairings().import(import).await {
                Ok(fates) => Reply::Done(json!({ "fates": fates })),
                Err(error) => refused(error),
            },
            Request::Devices => match core.pairings().list(&owner).await {
                Ok(lists) => self.with_invite(json!(lists)).await,
                Err(error) => called(Err(error)),
            },
            Request::Invite { scopes, seconds, url } => self.invite(Wish { scopes, seconds, url }).await,
            Request::Keys => Reply::Done(self.keyring.list()),
            Request::Reject { request_id } => called(core.pairings().reject(&request_id, &owner).await),
            Request::Reload => self.reload().await,
            Request::Remove { device_id } => called(core.pairings().remove(&device_id, &owner).await),
            Request::RenewCertificates { name } => self.renew(name).await,
            Request::Rename { device_id, label } => called(core.pairings().rename(&device_id, &label, &owner).await),
            Request::Revoke { device_id, role } => called(core.pairings().revoke(&device_id, role, &owner).await),
            Request::RotateDevice { device_id, role, scopes } => {
                called(core.pairings().rotate(&device_id, role, scopes, &owner).await)
            }
            Request::RotateKeys { replaced } => {
                let line = Line { change: "keys.rotate", detail: json!({"replaced": replaced}), ..Line::default() };
                if let Err(error) = core.store().record(&Act::owner("keys.rotate", self.clock.now()), line).await {
                    return Reply::failed(&error, error.hint());
                }
                match self.keyring.rotate(replaced) {
                    Ok(keys) => Reply::Done(keys),
                    Err(error) => Reply::failed(&error, error.hint()),
                }
            }
            Request::RotateToken => match core.rotate_token().await {
                Ok(_) => Reply::Done(json!({"rotated": true})),
                Err(error) => refused(error),
            },
            Request::Status => self.status().await,
            Request::VerifyAudit => {
                stored(core.store().verify_audit().await.map(|entries| json!({"whole": true, "entries": entries})))
            }
        }
    }
}

fn stored(result: Result<Value, StoreError>) -> Reply {
    match result {
        Ok(value) => Reply::Done(value),
        Err(error) => {
            let hint = error.hint();
            Reply::failed(error, hint)
        }
    }
}

fn refused(error: CoreError) -> Reply {
    match error {
        CoreError::Store(error) => Reply::failed(&error, error.hint()),
        CoreError::Token(error) => Reply::failed(&error, error.hint()),
        error @ CoreError::Stopped => Reply::failed(error, "start it again and repeat this"),
    }
}

fn called(result: Result<Value, CallError>) -> Reply {
    match result {
        Ok(value) => Reply::Done(value),
        Err(error) => {
            let hint = hint(&error);
            Reply::failed(error, hint)
        }
    }
}

fn hint(error: &CallError) -> &'static str {
    match error {
        CallError::DigestMismatch => "somebody changed what is asked for: look at `doorward devices list` again",
        CallError::RequestUnknown => {
            "it was decided, replaced or has expired; `doorward devices list` shows what waits now"
        }
        CallError::DeviceUnknown => "`doorward devices list` shows the paired devices by their whole ids",
        CallError::LabelMissing => "give it a name with --name",
        CallError::TokenRevocationDenied => {
            "no such device is paired, or nothing in that role is left to take back: look at `doorward devices list`"
        }
        CallError::TokenRotationDenied => {
            "no such device is paired, or it holds less in that role: look at `doorward devices list`; more than it was \
             approved for it gets only by a request of its own"
        }
        _ => "see the log of the running doorward",
    }
}

/// How the gateway behind us is, and what its owner does about it.
fn upstream(upstream: &Upstream) -> Value {
    let (settings, state) = (upstream.settings(), upstream.state());
    json!({
        "url": settings.endpoint.to_string(),
        "mode": settings.mode.as_str(),
        "state": state.word(),
        "told": state.to_string(),
        "hint": advice::hint(&state, settings),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing::House;
    use crate::decisions::testing::denial;

    #[tokio::test]
    async fn how_long_ago_it_was_is_told_by_the_instances_clock() {
        let house = House::open("").await;
        let mut decision = denial("192.168.1.20");
        decision.case.at = house.clock.now();
        house.edge.core().decisions().keep(decision);
        house.clock.advance(3 * 3_600_000);
        let Reply::Done(told) = house.owner.answer(Request::Explain { id: None }).await else {
            panic!("nobody was refused")
        };
        assert!(told["text"].as_str().unwrap().contains("3 hours ago"), "{told:#}");
    }
}
