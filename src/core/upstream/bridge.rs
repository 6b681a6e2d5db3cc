//! A client's own way to the upstream: a socket there, our word on who it is, the upstream's `hello-ok`.

use std::time::Instant;

use http::HeaderValue;
use serde_json::Map;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

use crate::base::limits::UPSTREAM_HELLO_WAIT;
use crate::base::limits::UPSTREAM_READY_WAIT;
use crate::base::secret::Secret;
use crate::core::upstream::Upstream;
use crate::core::upstream::advice::hint;
use crate::core::upstream::connect;
use crate::core::upstream::dial::Line;
use crate::core::upstream::handle::Face;
use crate::core::upstream::handle::Opened;
use crate::core::upstream::handle::Page;
use crate::core::upstream::state::State;
use crate::core::upstream::verdict;
use crate::core::upstream::verdict::Verdict;
use crate::protocol::refusal::ClientRefused;
use crate::protocol::refusal::Upstream as Told;
use crate::protocol::scope::Scopes;

impl Upstream {
    /// A client's session at the upstream, and the payload of the `hello-ok` there. `params` are those of the client's
    /// `connect`, `scopes` what it was granted here.
    ///
    /// # Errors
    /// What the client is told.
    pub(in crate::core) async fn bridge(
        &self,
        params: Option<&RawValue>,
        scopes: &Scopes,
        page: Page,
    ) -> Result<(Line, Map<String, Value>), Told> {
        self.ready().await?;
        let permit = timeout(UPSTREAM_READY_WAIT, self.shared.dials.acquire()).await;
        // Never closed; so many on their way at once that there is no place in time.
        let _permit = permit.map_err(|_| Told::Starting)?.map_err(|_| Told::Starting)?;
        let opened = self.open_for(scopes, page).await?;
        self.introduce(opened, params, scopes).await
    }

    /// Waits a moment for an upstream that is not there now.
    pub(in crate::core) async fn ready(&self) -> Result<(), Told> {
        let mut state = self.shared.state.subscribe();
        if state.borrow().is_up() {
            return Ok(());
        }
        self.shared.nudge.notify_one();
        let up = timeout(UPSTREAM_READY_WAIT, state.wait_for(State::is_up)).await.is_ok();
        if up { Ok(()) } else { Err(self.state().told()) }
    }

    /// A WebSocket there for a client with `scopes`, and its challenge.
    async fn open_for(&self, scopes: &Scopes, page: Page) -> Result<Opened, Told> {
        let named: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let header = HeaderValue::from_str(&named.join(",")).ok();
        // No page is a program of its own: with a web origin it would have no rights there.
        let page = if self.shared.is_program() { Page::Absent } else { page };
        self.shared.open(Face::Address, page, header).await.map_err(|state| self.note(&state))
    }

    /// Answers the upstream's challenge for a client, on a socket that is open already.
    pub(in crate::core) async fn introduce(
        &self,
        opened: Opened,
        params: Option<&RawValue>,
        scopes: &Scopes,
    ) -> Result<(Line, Map<String, Value>), Told> {
        if let Some(reason) = self.withholds() {
            return Err(State::Refuses(reason).told());
        }
        let Opened { mut line, challenge } = opened;
        let id = Uuid::new_v4().to_string();
        // Never empty: the client's `connect` was read before.
        let params = params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
        let text = self.shared.with_credentials(|own| connect::request(&id, params, scopes, own, &challenge));
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
        match answered.await {
            Err(_) => Err(self.note(&State::Silent)),
            Ok(Verdict::Accepted(hello)) => {
                for token in tokens(&hello) {
                    self.shared.hide(&token);
                }
                Ok((line, hello))
            }
            Ok(Verdict::Client(refused)) => Err(self.client(*refused)),
            Ok(Verdict::Refused(reason)) => Err(self.note(&State::Refuses(reason))),
            Ok(Verdict::Starting) => Err(Told::Starting),
        }
    }

    /// What a client is told that found the upstream so, and a line for the owner, who alone can mend it.
    fn note(&self, state: &State) -> Told {
        if let Some(hint) = hint(state, self.settings())
            && let Some(held_back) = self.shared.refusals.pass(Instant::now())
        {
            // Its words may quote what was sent to it.
            let cause = self.secrets().scrub_text(&state.to_string());
            warn!(fault = %cause, %hint, held_back, "the upstream does not serve a client");
        }
        state.told()
    }

    /// What a client is told that the upstream does not take as it is.
    pub(super) fn client(&self, refused: ClientRefused) -> Told {
        Told::Client(Box::new(self.secrets().scrub_refused(refused)))
    }
}

/// The device tokens that a `hello-ok` hands out.
pub(super) fn tokens(hello: &Map<String, Value>) -> Vec<Secret<String>> {
    let auth = hello.get("auth");
    let of =
        |value: &Value| value.get("deviceToken").and_then(Value::as_str).map(|token| Secret::new(token.to_owned()));
    let others = auth.and_then(|auth| auth.get("deviceTokens")).and_then(Value::as_array);
    auth.into_iter().chain(others.into_iter().flatten()).filter_map(of).collect()
}
