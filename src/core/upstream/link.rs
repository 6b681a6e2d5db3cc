//! Our own connection to the upstream, kept open: by it we are paired there, know how the upstream is, and act there.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use serde_json::Value;
use serde_json::json;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::sleep;
use tokio::time::timeout;
use tracing::info;
use tracing::warn;
use uuid::Uuid;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::UPSTREAM_CALL_WAIT;
use crate::base::limits::UPSTREAM_HELLO_WAIT;
use crate::base::limits::UPSTREAM_PAGE_BYTES_MAX;
use crate::base::limits::UPSTREAM_PING_PERIOD;
use crate::base::limits::UPSTREAM_PONG_WAIT;
use crate::base::limits::UPSTREAM_RETRY_MAX;
use crate::base::limits::UPSTREAM_RETRY_MIN;
use crate::base::printable::printable;
use crate::core::upstream::Mode;
use crate::core::upstream::Upstream;
use crate::core::upstream::advice::hint;
use crate::core::upstream::bridge::tokens;
use crate::core::upstream::connect;
use crate::core::upstream::connect::Credentials;
use crate::core::upstream::dial::Heard;
use crate::core::upstream::dial::Line;
use crate::core::upstream::handle::Face;
use crate::core::upstream::handle::Opened;
use crate::core::upstream::handle::Page;
use crate::core::upstream::handle::Shared;
use crate::core::upstream::shape::Shape;
use crate::core::upstream::shape::build_id;
use crate::core::upstream::shape::is_build;
use crate::core::upstream::shape::up;
use crate::core::upstream::shape::wanted;
use crate::core::upstream::state::Reason;
use crate::core::upstream::state::State;
use crate::core::upstream::state::Unreachable;
use crate::core::upstream::verdict;
use crate::core::upstream::verdict::Verdict;

/// A call on our own connection.
#[derive(Debug)]
pub(super) struct Call {
    method: &'static str,
    params: Value,
    answer: oneshot::Sender<Result<Value, CallFailure>>,
}

/// Why a call on our own connection came to nothing.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum CallFailure {
    /// The upstream is not there.
    #[error("the upstream is not there")]
    Down,
    /// No answer in time.
    #[error("the upstream does not answer")]
    Late,
    /// It was refused; the upstream's words.
    #[error("the upstream refuses: {0}")]
    Refused(String),
}

/// Why it does not take us.
#[derive(Debug)]
enum Unwelcome {
    /// For this.
    As(State),
    /// As the dashboard of another build than this, its own.
    Outdated(String),
}

impl From<State> for Unwelcome {
    fn from(state: State) -> Self {
        Self::As(state)
    }
}

impl Unwelcome {
    /// How the upstream is for us.
    fn state(self) -> State {
        match self {
            Self::As(state) => state,
            // It was updated once more while we looked.
            Self::Outdated(_) => State::Starting,
        }
    }
}

impl Upstream {
    /// Keeps our own connection, for ever.
    pub(in crate::core) async fn keep(self) {
        let shared = &self.shared;
        let mut pause = UPSTREAM_RETRY_MIN;
        loop {
            match shared.establish().await {
                Ok((line, up)) => {
                    pause = UPSTREAM_RETRY_MIN;
                    shared.becomes(up);
                    let end = shared.hold(line).await;
                    shared.becomes(end);
                }
                Err(state) => {
                    shared.becomes(state);
                    pause = (pause * 2).min(UPSTREAM_RETRY_MAX);
                }
            }
            let refused = matches!(&*shared.state.borrow(), State::Refuses(_));
            let wait = if refused { UPSTREAM_PING_PERIOD } else { pause };
            let nudged = async {
                sleep(UPSTREAM_RETRY_MIN).await;
                if refused {
                    // Each attempt may count as one of a few that are allowed.
                    return std::future::pending().await;
                }
                shared.nudge.notified().await;
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = nudged => {}
            }
        }
    }

    /// Approves a request that waits at the upstream.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn approve(&self, request: &str) -> Result<(), CallFailure> {
        self.call("device.pair.approve", json!({ "requestId": request })).await.map(drop)
    }

    /// Removes a device at the upstream; its sockets end there.
    ///
    /// # Errors
    /// [`CallFailure`].
    pub async fn remove(&self, device: &str) -> Result<(), CallFailure> {
        self.call("device.pair.remove", json!({ "deviceId": device })).await.map(drop)
    }

    /// What waits and what is paired there.
    pub(super) async fn pairings(&self) -> Result<Value, CallFailure> {
        self.call("device.pair.list", json!({})).await
    }

    /// Ends the device token that a node has there.
    pub(super) async fn rotate_node(&self, device: &str) -> Result<(), CallFailure> {
        self.call("device.token.rotate", json!({ "deviceId": device, "role": "node" })).await.map(drop)
    }

    async fn call(&self, method: &'static str, params: Value) -> Result<Value, CallFailure> {
        if !self.state().is_up() {
            return Err(CallFailure::Down);
        }
        let (answer, answered) = oneshot::channel();
        self.shared.calls.try_send(Call { method, params, answer }).map_err(|_| CallFailure::Late)?;
        match timeout(UPSTREAM_CALL_WAIT, answered).await {
            Ok(answer) => answer.unwrap_or(Err(CallFailure::Down)),
            Err(_) => Err(CallFailure::Late),
        }
    }
}

impl Shared {
    /// Notes how the upstream is; a change is told once.
    pub(super) fn becomes(&self, state: State) {
        let changed = self.state.send_if_modified(|before| {
            let changed = *before != state;
            *before = state.clone();
            changed
        });
        if !changed {
            return;
        }
        let url = &self.settings.endpoint;
        match &state {
            State::Up { .. } => info!(%url, %state, "the upstream is there: clients are served"),
            State::Refuses(_) | State::Silent | State::Starting | State::Unreachable(_) => {
                let hint = hint(&state, &self.settings).unwrap_or_else(|| self.owner.with("status"));
                warn!(%url, %state, %hint, "the upstream is not there for us: no client is served");
            }
        }
    }

    /// Connects as ourselves; how the upstream is then.
    async fn establish(&self) -> Result<(Line, State), State> {
        if let Err(error) = self.reread_token().await {
            return Err(State::Refuses(Reason::TokenFile { cause: error.to_string(), hint: error.hint() }));
        }
        self.check_token()?;
        if self.settings.mode == Mode::Backend {
            return self.present(&Shape::Program).await.map_err(Unwelcome::state);
        }
        match self.establish_device().await {
            // The gateways of early 2026: they give a program of their own its rights from anywhere.
            Err(State::Refuses(Reason::Protocol { expected: Some(3) })) => {
                self.present(&Shape::Program).await.map_err(Unwelcome::state)
            }
            established => established,
        }
    }

    async fn establish_device(&self) -> Result<(Line, State), State> {
        let build = self.page(UPSTREAM_PAGE_BYTES_MAX).await.map(|page| build_id(&page));
        let first = match build {
            Ok(Some(build)) => Shape::Dashboard(build),
            Ok(None) | Err(State::Unreachable(Unreachable::NotGateway(_))) => Shape::CommandLine,
            Err(state) => return Err(state),
        };
        match (self.present(&first).await, first) {
            (Err(Unwelcome::Outdated(build)), Shape::Dashboard(_)) => self.present(&Shape::Dashboard(build)).await,
            (Err(Unwelcome::As(State::Refuses(Reason::WebOrigin))), Shape::Dashboard(build)) => {
                match self.present(&Shape::DashboardByAddress(build)).await {
                    Err(Unwelcome::Outdated(build)) => self.present(&Shape::DashboardByAddress(build)).await,
                    presented => presented,
                }
            }
            (presented, _) => presented,
        }
        .map_err(Unwelcome::state)
    }

    async fn present(&self, shape: &Shape) -> Result<(Line, State), Unwelcome> {
        let (face, page) = match shape {
            Shape::Dashboard(_) => (Face::Loopback, Page::Present),
            Shape::DashboardByAddress(_) => (Face::Address, Page::Present),
            Shape::CommandLine | Shape::Program => (Face::Address, Page::Absent),
        };
        let Opened { mut line, challenge } = self.open(face, page, None).await?;
        let id = Uuid::new_v4().to_string();
        let is_program = *shape == Shape::Program;
        let text = self.with_credentials(|own| {
            let own = Credentials { key: (!is_program).then_some(&self.key), ..own };
            connect::request(&id, shape.params(&self.name), &wanted(), own, &challenge)
        });
        let answered = timeout(UPSTREAM_HELLO_WAIT, async {
            let _left = line.send(text).await;
            loop {
                match line.next().await {
                    Ok(text) => {
                        if let Some(verdict) = verdict::of(&text, &id) {
                            return verdict;
                        }
                    }
                    Err(close) => return verdict::of_close(close.as_ref()),
                }
            }
        });
        match answered.await.map_err(|_| State::Silent)? {
            Verdict::Accepted(hello) => {
                tokens(&hello).iter().for_each(|token| self.hide(token));
                self.withheld.clear();
                let up = up(&hello)?;
                self.program.store(is_program, Ordering::Release);
                Ok((line, up))
            }
            Verdict::Client(refused) => {
                let build = refused.details.get("gatewayBuildId").and_then(Value::as_str).filter(|id| is_build(id));
                Err(build.map_or(Unwelcome::As(State::Starting), |build| Unwelcome::Outdated(build.to_owned())))
            }
            Verdict::Starting => Err(State::Starting.into()),
            Verdict::Refused(reason) => Err(self.refused(reason).into()),
        }
    }

    /// Holds the connection until it ends; how the upstream is then.
    async fn hold(&self, mut line: Line) -> State {
        let mut called = self.called.lock().await;
        let mut waiting: HashMap<String, oneshot::Sender<Result<Value, CallFailure>>> = HashMap::new();
        let mut pings = interval(UPSTREAM_PING_PERIOD);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let sent = tokio::select! {
                message = line.heard() => {
                    heard = Instant::now();
                    match message {
                        Heard::Text(text) => answer(&text, &mut waiting),
                        Heard::Life => {}
                        Heard::End(_) => return State::Starting,
                    }
                    continue;
                }
                _ = pings.tick() => {
                    if heard.elapsed() >= UPSTREAM_PONG_WAIT {
                        return State::Silent;
                    }
                    waiting.retain(|_, answer| !answer.is_closed());
                    timeout(UPSTREAM_PONG_WAIT, line.ping()).await
                }
                Some(Call { method, params, answer }) = called.recv() => {
                    if answer.is_closed() {
                        // Whoever asked has given up, and may have asked again.
                        continue;
                    }
                    let id = Uuid::new_v4().to_string();
                    let text = json!({ "type": "req", "id": id, "method": method, "params": params }).to_string();
                    waiting.insert(id, answer);
                    timeout(UPSTREAM_PONG_WAIT, line.send(text)).await
                }
            };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return State::Starting,
                Err(_) => return State::Silent,
            }
        }
    }
}

/// Hands an answer to whoever waits for it.
fn answer(text: &str, waiting: &mut HashMap<String, oneshot::Sender<Result<Value, CallFailure>>>) {
    if waiting.is_empty() {
        return;
    }
    let Ok(Value::Object(mut frame)) = serde_json::from_str(text) else { return };
    let Some(answer) = frame.get("id").and_then(Value::as_str).and_then(|id| waiting.remove(id)) else { return };
    let told = if frame.get("ok") == Some(&Value::Bool(true)) {
        Ok(frame.remove("payload").unwrap_or_default())
    } else {
        let words = frame.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
        Err(CallFailure::Refused(printable(words.unwrap_or("?"), LABEL_CHARS_MAX)))
    };
    // Whoever asked may be gone.
    let _ = answer.send(told);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_to_whoever_asked() {
        let (answer_of, mut answered) = oneshot::channel();
        let mut waiting = HashMap::from([("1".to_owned(), answer_of)]);
        answer(r#"{"type":"event","event":"tick"}"#, &mut waiting);
        answer(r#"{"type":"res","id":"2","ok":true,"payload":1}"#, &mut waiting);
        assert_eq!(waiting.len(), 1);
        answer(r#"{"type":"res","id":"1","ok":false,"error":{"message":"unknown requestId"}}"#, &mut waiting);
        assert_eq!(answered.try_recv().unwrap(), Err(CallFailure::Refused("unknown requestId".to_owned())));
    }
}
