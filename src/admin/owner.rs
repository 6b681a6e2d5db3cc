//! What the owner asks, answered: the core's own functions, with every scope.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::core::CoreError;
use crate::core::Decider;
use crate::edge::Edge;
use crate::edge::workers::Pulse;
use crate::listener::caps::Caps;
use crate::listener::live::Live;
use crate::protocol::call::CallError;

use super::request::{Reply, Request};
use super::server::Answer;

/// Answers the admin socket.
#[derive(Debug)]
pub struct Owner {
    edge: Edge,
    caps: Caps,
    pulse: Pulse,
    facts: Facts,
}

/// What does not change while the instance runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration file, if one was read.
    pub config: Option<PathBuf>,
    /// Every listener with its addresses.
    pub listeners: Vec<BoundListener>,
    /// The state folder.
    pub state_dir: PathBuf,
    /// Where the dashboard is, without the token.
    pub url: Option<String>,
}

/// A listener and the addresses it came to have.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// Its settings, as they are now.
    pub settings: Live,
    /// Its addresses, as the kernel knows them.
    pub addresses: Vec<SocketAddr>,
}

impl Owner {
    /// Answers for the instance behind `edge`.
    pub fn new(edge: Edge, caps: Caps, pulse: Pulse, facts: Facts) -> Self {
        Self { edge, caps, pulse, facts }
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
        let status = self.edge.core().status().await;
        let listeners = self.facts.listeners.iter().map(|listener| {
            let settings = listener.settings.load();
            json!({
                "name": settings.name,
                "protocol": settings.protocol.as_str(),
                "serve": settings.serve.as_str(),
                "addresses": listener.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "bound": taking,
            })
        });
        let mut answer = json!({
            "ready": taking && status.is_ok(),
            "state": state,
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "config": self.facts.config,
            "stateDir": self.facts.state_dir,
            "dashboard": self.facts.url,
            "connections": self.caps.open(),
            "listeners": listeners.collect::<Vec<_>>(),
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
        Reply::Done(answer)
    }
}

impl Answer for Owner {
    async fn answer(&self, request: Request) -> Reply {
        let (core, owner) = (self.edge.core(), Decider::owner());
        match request {
            Request::Approve { request_id, digest } => {
                called(core.pairings().approve(&request_id, digest.as_deref(), &owner).await)
            }
            Request::Dashboard => Reply::Done(json!({"url": self.facts.url})),
            Request::Devices => called(core.pairings().list(&owner).await.map(|lists| json!(lists))),
            Request::Reject { request_id } => called(core.pairings().reject(&request_id, &owner).await),
            Request::RotateToken => match core.rotate_token().await {
                Ok(_) => Reply::Done(json!({"rotated": true})),
                Err(CoreError::Token(error)) => Reply::failed(&error, error.hint()),
                Err(error @ CoreError::Stopped) => Reply::failed(error, "start it again and repeat this"),
            },
            Request::Status => self.status().await,
        }
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
        _ => "see the log of the running doorward",
    }
}
