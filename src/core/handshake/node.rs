//! What is different for a node of the gateway behind us: it answers that gateway's challenge, and its message passes as it is.
//!
//! Promise: nothing of a node goes up that was not admitted here, and no credential that was not checked here.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use tracing::debug;

use crate::base::clock::UnixMillis;
use crate::base::limits::SIGNED_AT_SKEW_MS;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::core::Inner;
use crate::core::desk::Welcome;
use crate::core::handshake::Challenged;
use crate::core::handshake::Unready;
use crate::core::registry::Peer;
use crate::core::session::Session;
use crate::core::upstream::Approval;
use crate::core::upstream::Line;
use crate::core::upstream::Missed;
use crate::core::upstream::Node;
use crate::core::upstream::Passed;
use crate::core::upstream::Tokens;
use crate::core::upstream::Told;
use crate::core::upstream::Upstream;
use crate::pairing::device::Challenge;
use crate::pairing::paired::DeviceToken;
use crate::pairing::step;
use crate::pairing::step::Page;
use crate::protocol::connect::Auth;
use crate::protocol::connect::Seat;
use crate::protocol::frame::Request;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::DeviceTokenHope;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::Unauthorized;
use crate::protocol::scope::Role;
use crate::store::Act;

/// The credentials that we know of. What else stands beside them passes to nobody.
const CREDENTIALS: [&str; 3] = ["token", "password", "deviceToken"];

/// A way to the gateway behind us, or why there is none.
type Came = Result<(Line, Map<String, Value>), Failure>;

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S, Challenged> {
    /// Takes the challenge of the gateway behind us for a caller that may be a node, if there is one in time; the time that
    /// stands in the challenge.
    pub(super) async fn lodge(&mut self) -> UnixMillis {
        let now = self.core.clock.now();
        // A page is never a node.
        let upstream = self.core.upstream.clone().filter(|_| self.state.admission.evidence().1 == Page::Absent);
        let Some(upstream) = upstream else { return now };
        let (caller, standing) = self.state.admission.seat();
        let Some(guest) = Box::pin(upstream.lodge(caller, standing)).await else { return now };
        let challenge = guest.challenge();
        let at = UnixMillis(challenge.ts);
        // What is signed by a clock that far from ours would be stale here: with our own challenge an operator is let in.
        if at.since(now).abs() > SIGNED_AT_SKEW_MS / 2 {
            debug!("the clock of the upstream is not ours: its challenge is not passed on");
            return now;
        }
        self.state.challenge = Challenge::new(challenge.nonce.clone());
        self.state.guest = Some(guest);
        at
    }

    /// Passes an admitted node on, with what the gateway behind us gives it in place of what we would have.
    pub(super) async fn pass(
        &mut self,
        upstream: &Upstream,
        welcome: &mut Welcome,
        request: &Request,
    ) -> Result<Came, Unready> {
        let told = |told| Ok(Err(Failure::Upstream(told)));
        let (secret, token) = (self.core.secret.load_full(), upstream.token());
        if token.is_some_and(|token| !secret.is(token.expose())) {
            return told(Told::NodeTokens);
        }
        let Some(guest) = self.state.guest.take() else {
            // It was let in here, so the places that are left to such callers are for it when it comes again.
            self.state.admission.succeeded();
            return told(upstream.ready().await.err().unwrap_or(Told::NodeLater));
        };
        let peer = Arc::clone(welcome.registered.peer());
        let (Some(device), auth) = (peer.arrival.device, &welcome.connect.auth) else {
            return Ok(Err(Failure::Internal));
        };
        let core = Arc::clone(&self.core);
        let held =
            self.meanwhile(core.visit(async move |core| core.store.known_device(&device).await.ok()?.device)).await?;
        let Some(paired) = held.flatten() else { return Ok(Err(Failure::Internal)) };
        let held = paired.living_grant(Role::Node).and_then(|grant| grant.token);
        let approval = Approval { at: paired.approved_at, token_at: held.and_then(|token| token.rotated_at) };
        let unauthorized =
            |reason| Failure::Unauthorized { reason, audience: welcome.connect.client.audience(Seat::There) };
        if !are_known(request) {
            return told(Told::NodeUnknown);
        }
        match judge(auth, &secret, held.as_ref()) {
            Ok(()) => {}
            Err(Unchecked::Other) => return told(Told::NodeUnknown),
            Err(Unchecked::Wrong(reason)) => return Ok(Err(unauthorized(reason))),
        }
        let tokens = if welcome.admitted.token.is_some() { Tokens::End } else { Tokens::Keep };
        let scopes = welcome.admitted.scopes.clone();
        let node = Node { device, scopes: &scopes, approval, tokens };
        let first = self.state.first.clone();
        let passed = Box::pin(self.meanwhile(upstream.pass(guest, &first, &request.id, node))).await?;
        let by_token = welcome.admitted.method == AuthMethod::DeviceToken;
        let (came, token) = match passed {
            Ok(Passed { line, hello, token }) => (Ok((line, hello)), token),
            // It is dead there, so it is here.
            Err(Missed::Stale) if by_token => (Err(unauthorized(Unauthorized::DeviceTokenMismatch)), None),
            Err(Missed::Stale) => return told(Told::Refuses),
            Err(Missed::Told(cause)) => return told(cause),
        };
        let print = token.as_ref().map(Secret::fingerprint);
        let adopted = self.core.visit(async move |core| core.adopt_token(&peer, print).await);
        Ok(match adopted.await.unwrap_or(Err(Failure::Internal)) {
            Ok(()) => {
                welcome.admitted.token = token;
                came
            }
            Err(failure) => Err(failure),
        })
    }
}

impl Inner {
    /// Makes durable that of a node's device only this token of the gateway behind us counts from now on.
    async fn adopt_token(self: Arc<Self>, peer: &Peer, token: Option<Fingerprint>) -> Result<(), Failure> {
        let _desk = self.desk().await;
        let (Some(device), false) = (peer.arrival.device, peer.is_ending()) else { return Err(Failure::DeviceRemoved) };
        let known = self.store.known_device(&device).await.map_err(|_| Failure::Internal)?;
        let now = self.clock.now();
        let step = step::adopt(&known, device, peer.arrival.issuer, token, now);
        let connection = Some(peer.arrival.connection.clone());
        let act = Act { name: "upstream.token", actor: format!("device:{device}"), connection, at: now };
        self.commit(&step.changes, &act).await.map_err(|_| Failure::Internal)?;
        step.notices.iter().for_each(|notice| self.carry_out(notice));
        step.outcome.map_err(|_| Failure::DeviceRemoved)
    }
}

/// What stands in the way of a node's credentials.
#[derive(Debug, Eq, PartialEq)]
enum Unchecked {
    /// Only we know it.
    Other,
    /// It is wrong.
    Wrong(Unauthorized),
}

/// Whether each credential is one that we have checked, for the gateway behind us counts wrong ones against us.
fn judge(auth: &Auth, secret: &Fingerprint, held: Option<&DeviceToken>) -> Result<(), Unchecked> {
    let is_held = |token: &str| held.is_some_and(|held| held.fingerprint.is(token));
    let spent = Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Spent };
    let right = |sent: &Option<_>, is: &dyn Fn(&str) -> bool| {
        sent.as_ref().is_none_or(|sent: &Secret<String>| is(sent.expose()))
    };
    if auth.bootstrap_token.is_some() || auth.is_empty() {
        return Err(Unchecked::Other);
    }
    if !right(&auth.token, &|token| secret.is(token) || is_held(token))
        || !right(&auth.password, &|sent| secret.is(sent))
    {
        return Err(Unchecked::Wrong(spent));
    }
    if !right(&auth.device_token, &is_held) {
        return Err(Unchecked::Wrong(Unauthorized::DeviceTokenMismatch));
    }
    Ok(())
}

/// Whether `connect` has no credentials but those that we know of.
fn are_known(request: &Request) -> bool {
    let params: Option<Value> = request.params.as_deref().and_then(|params| serde_json::from_str(params.get()).ok());
    let auth = params.as_ref().and_then(|params| params.get("auth")).and_then(Value::as_object);
    auth.is_none_or(|auth| auth.keys().all(|key| CREDENTIALS.contains(&key.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::paired::Issuer;

    #[test]
    fn no_credential_goes_up_that_was_not_checked() {
        let secret = Fingerprint::of(b"secret");
        let held = DeviceToken {
            fingerprint: Fingerprint::of(b"device"),
            issuer: Issuer::Identity,
            created_at: UnixMillis(1),
            rotated_at: None,
            last_used_at: None,
        };
        let wrong = Unchecked::Wrong;
        let mismatch = || wrong(Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Spent });
        let stale = || wrong(Unauthorized::DeviceTokenMismatch);
        for (sent, expected) in [
            (["secret", "", "", ""], Ok(())),
            (["secret", "", "device", ""], Ok(())),
            (["device", "", "", ""], Ok(())),
            (["", "", "device", ""], Ok(())),
            (["", "secret", "", ""], Ok(())),
            (["guess", "", "device", ""], Err(mismatch())),
            (["secret", "guess", "", ""], Err(mismatch())),
            (["secret", "device", "", ""], Err(mismatch())),
            (["secret", "", "guess", ""], Err(stale())),
            (["secret", "", "secret", ""], Err(stale())),
            (["secret", "", "", "code"], Err(Unchecked::Other)),
            (["", "", "", ""], Err(Unchecked::Other)),
        ] {
            let [token, password, device_token, bootstrap_token] =
                sent.map(|sent| (!sent.is_empty()).then(|| Secret::new(sent.to_owned())));
            let auth = Auth { token, password, device_token, bootstrap_token };
            assert_eq!(judge(&auth, &secret, Some(&held)), expected, "{sent:?}");
            let unheld = judge(&auth, &secret, None);
            assert_eq!(unheld.is_ok(), expected.is_ok() && !sent.contains(&"device"), "{sent:?}");
        }
    }

    #[test]
    fn a_credential_that_we_do_not_know_is_seen() {
        for (auth, known) in [
            (r#"{"auth":{"token":"a","password":"b","deviceToken":"c"}}"#, true),
            ("{}", true),
            (r#"{"auth":{"token":"a","approvalRuntimeToken":"b"}}"#, false),
            (r#"{"auth":{"bootstrapToken":"b"}}"#, false),
            (r#"{"auth":{"agentRuntimeIdentityToken":""}}"#, false),
        ] {
            let frame = format!(r#"{{"type":"req","id":"1","method":"connect","params":{auth}}}"#);
            assert_eq!(are_known(&Request::parse(&frame).unwrap()), known, "{auth}");
        }
    }
}
