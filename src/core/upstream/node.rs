//! A node's way to the upstream: the upstream's own challenge, the node's own `connect`, and our word there for a node that was
//! approved here.
//!
//! A node signs for the one that it talks to, so nothing of its message can be replaced: what it says passes as it is, and
//! therefore only after each credential in it was checked here.

use serde_json::Map;
use serde_json::Value;
use tokio::time::timeout;
use tracing::info;
use tracing::warn;

use crate::base::limits::UPSTREAM_CHALLENGE_WAIT;
use crate::base::limits::UPSTREAM_HELLO_WAIT;
use crate::base::limits::UPSTREAM_RETRY_MAX;
use crate::base::secret::Secret;
use crate::core::upstream::Upstream;
use crate::core::upstream::connect::Challenge;
use crate::core::upstream::dial::Line;
use crate::core::upstream::guests::Place;
use crate::core::upstream::guests::Standing;
use crate::core::upstream::handle::Face;
use crate::core::upstream::handle::Opened;
use crate::core::upstream::handle::Page;
use crate::core::upstream::link::CallFailure;
use crate::core::upstream::state::Reason;
use crate::core::upstream::state::State;
use crate::core::upstream::verdict;
use crate::core::upstream::verdict::Verdict;
use crate::core::upstream::vouching::Approval;
use crate::core::upstream::vouching::Word;
use crate::pairing::caller::CallerKey;
use crate::pairing::device::DeviceId;
use crate::protocol::refusal::Upstream as Told;
use crate::protocol::scope::Scopes;

/// A socket at the upstream for one that may be a node, and the place that it takes.
pub(in crate::core) struct Guest {
    opened: Opened,
    _place: Place,
}

impl Guest {
    /// The upstream's challenge.
    pub(in crate::core) fn challenge(&self) -> &Challenge {
        &self.opened.challenge
    }
}

/// A node that was admitted here.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Node<'a> {
    /// Its device.
    pub(in crate::core) device: DeviceId,
    /// What it was granted here.
    pub(in crate::core) scopes: &'a Scopes,
    /// Since when it may be one here.
    pub(in crate::core) approval: Approval,
    /// Whether it may hold a device token of the upstream's that counts no more here.
    pub(in crate::core) tokens: Tokens,
}

/// What becomes of the device token that a node may have had of the upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) enum Tokens {
    /// It counts no more here, so it must not there.
    End,
    /// It counts.
    Keep,
}

/// A node's session at the upstream.
pub(in crate::core) struct Passed {
    /// The socket there.
    pub(in crate::core) line: Line,
    /// The payload of its `hello-ok`.
    pub(in crate::core) hello: Map<String, Value>,
    /// The device token that it gave the node.
    pub(in crate::core) token: Option<Secret<String>>,
}

/// Why a node did not come through.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::core) enum Missed {
    /// The upstream does not take the device token by which we admitted it.
    Stale,
    /// What it is told.
    Told(Told),
}

impl Upstream {
    /// A socket at the upstream for a caller that may be a node, if there is a place and the upstream is quick.
    pub(in crate::core) async fn lodge(&self, caller: CallerKey, standing: Standing) -> Option<Guest> {
        if !self.state().is_up() {
            return None;
        }
        let place = self.shared.guests.enter(caller, standing)?;
        let opened = timeout(UPSTREAM_CHALLENGE_WAIT, self.shared.open(Face::Address, Page::Absent, None)).await;
        Some(Guest { opened: opened.ok()?.ok()?, _place: place })
    }

    /// Passes on the `connect` of an admitted node, `text` with the request `id`, and vouches for it where it is new there.
    ///
    /// # Errors
    /// [`Missed`].
    pub(in crate::core) async fn pass(
        &self,
        guest: Guest,
        text: &str,
        id: &str,
        node: Node<'_>,
    ) -> Result<Passed, Missed> {
        if node.tokens == Tokens::End {
            match self.rotate_node(&node.device.to_string()).await {
                // It has none there.
                Ok(()) | Err(CallFailure::Refused(_)) => {}
                Err(failure) => return Err(Missed::Told(told(&failure))),
            }
        }
        let mut line = guest.opened.line;
        let answered = timeout(UPSTREAM_HELLO_WAIT, async {
            let _left = line.send(text.to_owned()).await;
            loop {
                match line.next().await {
                    Ok(text) => {
                        if let Some(verdict) = verdict::of(&text, id) {
                            return verdict;
                        }
                    }
                    Err(close) => return verdict::of_close(close.as_ref()),
                }
            }
        });
        Err(match answered.await {
            Err(_) => Missed::Told(Told::Silent),
            Ok(Verdict::Accepted(hello)) => return Ok(Passed { line, token: token(&hello), hello }),
            Ok(Verdict::Refused(Reason::NotPaired { request: Some(request) })) => {
                Missed::Told(self.vouch(&request, node).await)
            }
            Ok(Verdict::Refused(Reason::Token)) => Missed::Stale,
            Ok(Verdict::Client(refused)) => Missed::Told(self.client(*refused)),
            Ok(Verdict::Refused(reason)) => {
                warn!(device = %node.device, %reason, "the upstream refuses a node");
                Missed::Told(State::Refuses(reason).told())
            }
            Ok(Verdict::Starting) => Missed::Told(Told::Starting),
        })
    }

    /// Approves the request of a node at the upstream, if it is about no more than what was approved here, and for the first
    /// time since then: what is removed there must not come back by itself.
    async fn vouch(&self, request: &str, node: Node<'_>) -> Told {
        let device = node.device;
        match self.shared.vouched.word(device, node.approval) {
            Word::Due => {}
            Word::Spent => {
                let next = self.shared.owner.with(&format!("devices remove {device}"));
                warn!(%device, next, "a node was removed at the upstream: it stays out until it is removed here too, connects again and is approved");
                return Told::NodeRefused;
            }
            Word::Told => return Told::NodeRefused,
        }
        let approved = async {
            let listed = self.pairings().await?;
            if !is_no_more(&listed, request, node) {
                warn!(%device, request, "a request at the upstream is about more than was approved here: not approved there");
                return Ok(Told::Refuses);
            }
            self.approve(request).await?;
            self.shared.vouched.give(device, node.approval);
            info!(%device, request, "node approved at the upstream");
            Ok(Told::NodeApproved)
        };
        approved.await.unwrap_or_else(|failure| {
            warn!(%device, request, fault = %failure, "node not approved at the upstream");
            told(&failure)
        })
    }

    /// Removes a node at the upstream, as soon as the upstream is there.
    pub(in crate::core) async fn forget(self, device: DeviceId) {
        self.shared.vouched.forget(&device);
        let mut state = self.shared.state.subscribe();
        loop {
            if state.wait_for(State::is_up).await.is_err() {
                return;
            }
            match self.remove(&device.to_string()).await {
                Ok(()) => return info!(%device, "removed at the upstream"),
                // It has never heard of it.
                Err(CallFailure::Refused(_)) => return,
                Err(failure) => {
                    warn!(%device, fault = %failure, "not removed at the upstream, tried again");
                    tokio::time::sleep(UPSTREAM_RETRY_MAX).await;
                }
            }
        }
    }
}

/// The device token that a `hello-ok` gives to whom it is for.
fn token(hello: &Map<String, Value>) -> Option<Secret<String>> {
    let token = hello.get("auth")?.get("deviceToken")?.as_str().filter(|token| !token.is_empty())?;
    Some(Secret::new(token.to_owned()))
}

fn told(failure: &CallFailure) -> Told {
    match failure {
        CallFailure::Down => Told::Starting,
        CallFailure::Late => Told::Silent,
        CallFailure::Refused(_) => Told::Refuses,
    }
}

/// Whether `request`, as the upstream lists it, is this node's and asks for nothing that it was not granted here.
fn is_no_more(listed: &Value, request: &str, node: Node<'_>) -> bool {
    let pending = listed.get("pending").and_then(Value::as_array).into_iter().flatten();
    let mut found = pending.filter(|pending| pending.get("requestId").is_some_and(|id| id == request));
    let (Some(found), None) = (found.next(), found.next()) else { return false };
    let words = |key: &str| found.get(key).and_then(Value::as_array).into_iter().flatten();
    let device = node.device.to_string();
    found.get("deviceId").and_then(Value::as_str) == Some(device.as_str())
        && found.get("role").is_none_or(|role| role == "node")
        && (found.get("role").is_some() || words("roles").next().is_some())
        && words("roles").all(|role| role == "node")
        && words("scopes").all(|scope| {
            let scope = scope.as_str().unwrap_or_default();
            node.scopes.iter().any(|granted| granted.as_str() == scope)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::clock::UnixMillis;
    use crate::base::owner_command::OwnerCommand;
    use crate::core::upstream::{Endpoint, Mode, Settings};
    use crate::pairing::device::DevicePublicKey;
    use crate::protocol::scope::Scope;
    use crate::protocol::version::Version;
    use crate::store::keys::device::DeviceKey;

    #[tokio::test(start_paused = true)]
    async fn a_slow_upstream_holds_no_challenge_back_and_no_place() {
        let listening = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::parse(&format!("http://{}", listening.local_addr().unwrap())).unwrap();
        let settings = Settings { endpoint, token_file: None, mode: Mode::Device, open: Vec::new() };
        let state = tempfile::tempdir().unwrap();
        let upstream = Upstream::open(settings, state.path(), "edge", OwnerCommand::default()).unwrap();
        let caller = CallerKey::stranger([203, 0, 113, 7]);
        assert!(upstream.lodge(caller, Standing::Stranger).await.is_none(), "it is not up");
        upstream.shared.becomes(State::Up { version: "x".to_owned(), protocol: Version::V4 });
        let start = tokio::time::Instant::now();
        for _ in 0..5 {
            assert!(upstream.lodge(caller, Standing::Stranger).await.is_none(), "it says nothing");
        }
        assert_eq!(start.elapsed(), UPSTREAM_CHALLENGE_WAIT * 5, "each had a place");
    }

    #[test]
    fn only_what_was_approved_here_is_approved_there() {
        let state = tempfile::tempdir().unwrap();
        let key = DeviceKey::open(state.path()).unwrap();
        let device = DevicePublicKey::parse(&key.public_key()).unwrap().id();
        let (scopes, tokens) = (Scopes::from_iter([Scope::READ]), Tokens::Keep);
        let approval = Approval { at: UnixMillis(1), token_at: None };
        let node = Node { device, scopes: &scopes, approval, tokens };
        let id = device.to_string();
        let asks = |pending: Value| is_no_more(&json!({ "pending": pending, "paired": [] }), "r", node);
        let one =
            json!({ "requestId": "r", "deviceId": id, "role": "node", "roles": ["node"], "scopes": ["operator.read"] });
        let with = |key: &str, value: Value| {
            let mut other = one.clone();
            other[key] = value;
            asks(json!([other]))
        };
        assert!(asks(json!([{ "requestId": "x" }, one])) && with("scopes", json!([])));
        assert!(!asks(json!([])) && !asks(json!([one, one])), "exactly that one");
        assert!(!with("requestId", json!("s")) && !with("deviceId", json!("d")));
        assert!(!with("role", json!("operator")) && !with("roles", json!(["node", "operator"])));
        assert!(!with("scopes", json!(["operator.read", "operator.admin"])) && !with("scopes", json!([7])));
    }
}
