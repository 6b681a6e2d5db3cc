//! The one place where it is decided who may enter. At the desk, one at a time: load what is known, decide, make it
//! durable, register or close sockets, tell the others. So a connect and a revocation can never miss each other.
//!
//! Every visit is a task of its own on the core's runtime: a caller that goes away in the middle cannot leave a change
//! that is durable and that nobody acted on, and no event loop waits for the disk.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::MutexGuard;
use tracing::error;
use tracing::warn;

use crate::base::clock::UnixMillis;
use crate::base::code::Code;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::RULE_DEVICES_MAX;
use crate::base::printable::printable;
use crate::core::Inner;
use crate::core::broadcast;
use crate::core::judged::judged;
use crate::core::presence;
use crate::core::registry::Arrival;
use crate::core::registry::Registered;
use crate::core::registry::Served;
use crate::core::setups::Handover;
use crate::decisions;
use crate::identity::claims::Assertion;
use crate::identity::verifier::Verified;
use crate::pairing::device::DeviceId;
use crate::pairing::device::Proof;
use crate::pairing::invite;
use crate::pairing::paired::Generation;
use crate::pairing::rule::Effect;
use crate::pairing::rule::Facts;
use crate::pairing::rule::Rule;
use crate::pairing::rule::RuleName;
use crate::pairing::rule::Then;
use crate::pairing::setup::Offer;
use crate::pairing::step;
use crate::pairing::step::Admitted;
use crate::pairing::step::Attempt;
use crate::pairing::step::Change;
use crate::pairing::step::Connected;
use crate::pairing::step::Fresh;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;
use crate::pairing::step::Page;
use crate::pairing::step::Past;
use crate::pairing::step::Room;
use crate::pairing::step::Step;
use crate::pairing::throttle::Subject;
use crate::protocol::connect::Connect;
use crate::protocol::event::Decision;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::store::Act;
use crate::store::StoreError;

/// A `connect` on its way to the desk.
#[derive(Debug)]
pub(super) struct Applicant {
    /// What it says.
    pub(super) connect: Connect,
    /// Where it comes from.
    pub(super) verified: Verified,
    /// Whether a page sent it.
    pub(super) page: Page,
    /// What came of its device.
    pub(super) proof: Proof,
}

/// An applicant that was let in.
#[derive(Debug)]
pub(super) struct Welcome {
    /// Its entry among the open sockets.
    pub(super) registered: Registered,
    /// What it was granted.
    pub(super) admitted: Admitted,
    /// The `connect` that was answered.
    pub(super) connect: Connect,
    /// What is remembered of it.
    pub(super) judged: Box<decisions::Connect>,
    /// What was given for a setup code, until the device heard of it.
    pub(super) handover: Option<Handover>,
}

/// An applicant that was not.
#[derive(Debug)]
pub(super) struct Rejection {
    /// Why.
    pub(super) failure: Failure,
    /// Its code here and in the log.
    pub(super) code: Option<Code>,
    /// What is remembered of its `connect`, if it was judged.
    pub(super) judged: Option<Box<decisions::Connect>>,
}

/// Why an applicant is not let in, and what is remembered of its `connect`, if it was judged.
type Unwelcome = (Failure, Option<Box<decisions::Connect>>);

impl Inner {
    /// Runs a visit to the desk to its end, whatever becomes of the caller.
    pub(super) async fn visit<T, F>(self: &Arc<Self>, visit: impl FnOnce(Arc<Self>) -> F) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        // An error is a panic of the visit, or the end of the runtime: either way nothing was decided for this caller.
        self.runtime.spawn(visit(Arc::clone(self))).await.ok()
    }

    /// Waits for the desk.
    pub(super) async fn desk(&self) -> MutexGuard<'_, ()> {
        self.desk.lock().await
    }

    /// Decides about one `connect`.
    pub(super) async fn connect(self: Arc<Self>, applicant: Applicant) -> Result<Welcome, Rejection> {
        let code = Code::random();
        let _desk = self.desk().await;
        match self.decide(applicant, code).await {
            Ok(Ok(welcome)) => Ok(welcome),
            Ok(Err((failure, judged))) => Err(Rejection { failure, code, judged }),
            Err(fault) => {
                error!(%fault, code = Code::shown(code), "connect not decided");
                Err(Rejection { failure: Failure::Internal, code, judged: None })
            }
        }
    }

    async fn decide(
        self: &Arc<Self>,
        applicant: Applicant,
        code: Option<Code>,
    ) -> Result<Result<Welcome, Unwelcome>, DeskError> {
        if self.is_draining() {
            return Ok(Err((Failure::Restart, None)));
        }
        let Applicant { mut connect, verified, page, proof } = applicant;
        invite::set_apart(&mut connect.auth);
        let (claims, now) = (verified.claims(), self.clock.now());
        let device = match &proof {
            Proof::Proven(device) => Some(device.id()),
            Proof::Absent | Proof::Refused(_) => None,
        };
        let rules = self.rules.load_full();
        let (origin, identity) = (&claims.origin, claims.idn.as_ref());
        let facts = Facts { origin, identity, role: connect.role, client: connect.client.id };
        // One judgement, by which it is looked up what is known, decided, and explained.
        let rule = rules.first(&facts, now);
        let known = match proof {
            Proof::Proven(device) => self.known_by(&device.id(), rule, now).await?,
            Proof::Absent | Proof::Refused(_) => Known::default(),
        };
        let subject = Subject::of(&claims.origin, &proof, known.device.as_ref());
        let (fresh, gateway) = (Fresh::random()?, self.secret.load());
        // Before there is leave to judge: from that on nothing may fail or wait until it is settled, or leave that came to
        // nothing would count as a failure of the caller's.
        let offer = self.offer(&connect, device).await?;
        let (shared, reservation) = self.throttle().judge(subject, &connect.auth, &gateway, self.clock.uptime());
        let generation = Generation::of(&gateway);
        let attempt =
            Attempt { connect: &connect, origin, identity, rule, page, proof, shared, offer, generation, fresh };
        let Step { changes, notices, outcome } = step::connect(&known, attempt, now);
        if let Some(reservation) = reservation {
            self.throttle().settle(reservation, outcome.verdict, self.clock.uptime());
        }
        let act = Act { name: "connect", actor: actor(claims), connection: Some(claims.cid.clone()), at: now };
        self.commit(&changes, &act).await?;
        self.tell(&notices, claims, code);
        if let (Some(rule), Some(Effect::Full)) = (rule, outcome.effect) {
            self.tell_of_full(rule.name(), &notices);
        }
        let handover = self.redeemed(&connect, &outcome, now);
        let judged = judged(&connect, device, shared, &outcome, &rules, now);
        let admitted = match outcome.outcome {
            Ok(admitted) => admitted,
            Err(failure) => return Ok(Err((failure, Some(judged)))),
        };
        let registered = self.registry.register(Arrival {
            connection: claims.cid.clone(),
            device: admitted.device,
            version: connect.version,
            role: admitted.role,
            scopes: admitted.scopes.clone(),
            issuer: admitted.issuer,
            origin: may_ask(&admitted).then(|| Box::new(claims.origin.without_steps())),
            url: admitted.scopes.covers(&Scope::ADMIN).then(|| url(claims)),
            presence: presence::entry(&connect, claims, &admitted, now),
            served: if self.upstream.is_some() { Served::Upstream } else { Served::Here },
        });
        Ok(Ok(Welcome { registered, admitted, connect, judged, handover }))
    }

    /// What is known of `device`; what people did about it before and how many `rule` has approved, if that could make a
    /// difference.
    async fn known_by(&self, device: &DeviceId, rule: Option<&Rule>, now: UnixMillis) -> Result<Known, StoreError> {
        let known = self.store.known(device, now).await?;
        let (past, room) = match rule {
            Some(rule) if known.device.is_none() && matches!(rule.then(), Then::Approve(_)) => {
                (self.store.past(device).await?, self.store.room_under(rule.name()).await?)
            }
            Some(_) | None => (Past::Blank, Room::Left),
        };
        Ok(self.remember(device, Known { past, room, ..known }))
    }

    /// Says that a rule approves nobody any more, where a device began to wait for that.
    fn tell_of_full(&self, rule: &RuleName, notices: &[Notice]) {
        let begins = notices.iter().any(|notice| matches!(notice, Notice::Requested(_)));
        if let Some(held_back) = begins.then(|| self.refusal_log.pass(Instant::now())).flatten() {
            warn!(
                %rule, held_back,
                "a rule has approved as many devices as one may ({RULE_DEVICES_MAX}), so a person decides; remove what is not used: {}",
                self.owner.with("devices list")
            );
        }
    }

    /// What came of the setup code or invite in `connect`. Both are 32 random bytes, which nobody guesses: so they are looked
    /// at whatever the caller's address has done, and neighbours who guess do not make a good one worthless.
    async fn offer(&self, connect: &Connect, device: Option<DeviceId>) -> Result<Offer, StoreError> {
        Ok(match (&connect.auth.bootstrap_token, device) {
            (None, _) => Offer::Absent,
            (Some(secret), Some(device)) if invite::is_meant(secret.expose()) => {
                self.offer_of_invite(secret, &device).await?
            }
            (Some(secret), Some(device)) => self.setups.judge(secret, &device, self.clock.uptime()),
            (Some(_), None) => Offer::Void,
        })
    }

    /// Binds the setup code by which a device was let in to that device, whatever becomes of the socket.
    fn redeemed(self: &Arc<Self>, connect: &Connect, outcome: &Connected, now: UnixMillis) -> Option<Handover> {
        let admitted = outcome.outcome.as_ref().ok()?;
        let device = admitted.device.filter(|_| admitted.method == AuthMethod::BootstrapToken)?;
        // An invite was bound with the change itself.
        let secret = connect.auth.bootstrap_token.as_ref().filter(|secret| !invite::is_meant(secret.expose()))?;
        let name = connect.client.display_name.as_deref().map(|name| printable(name, LABEL_CHARS_MAX));
        self.setups.redeem(secret, device, name.as_deref(), now);
        Some(Handover::new(Arc::clone(self), device))
    }

    /// Makes `changes` durable. A failure is logged here once; the caller answers that nothing was done.
    pub(super) async fn commit(&self, changes: &[Change], act: &Act) -> Result<(), StoreError> {
        self.store.commit(changes, act).await.inspect_err(|fault| {
            error!(%fault, hint = %fault.hint(), act = act.name, "nothing was changed");
        })?;
        for change in changes {
            if let Change::DropRequest { id, end } = change {
                self.upgrades.ended(id, *end, Instant::now());
            }
        }
        Ok(())
    }

    /// Does what durable changes ask for: sockets are closed, and operators told.
    pub(super) fn tell(&self, notices: &[Notice], claims: &Assertion, code: Option<Code>) {
        for notice in notices {
            if !self.is_news(notice) {
                continue;
            }
            if let Notice::Requested(request) = notice {
                self.tell_waiting(request, &claims.origin, Some((&claims.cid, code)));
            }
            self.carry_out(notice);
        }
    }

    /// The part of [`Inner::tell`] that needs no caller.
    pub(super) fn carry_out(&self, notice: &Notice) {
        match notice {
            Notice::Cool(device) => self.cooling().note(*device, self.clock.uptime()),
            Notice::Settle { device, role } => self.cooling().changed(*device, *role, self.clock.uptime()),
            Notice::Resolved { request, decision: Decision::Approved, .. } => self.herald().approved(request),
            _ => {}
        }
        if let Notice::Close { device, role } = notice {
            self.passes.end(|holder| holder.is(device, *role));
            self.registry.end(&Failure::DeviceRemoved, |peer| {
                peer.arrival.device == Some(*device) && role.is_none_or(|role| role == peer.arrival.role)
            });
        }
        broadcast::notice(&self.registry, notice, self.clock.now());
    }
}

/// Whether a session may come to ask for more than it holds.
fn may_ask(admitted: &Admitted) -> bool {
    admitted.device.is_some() && admitted.role == Role::Operator && !admitted.scopes.covers(&Scope::ADMIN)
}

/// The address that the caller reached us by, as a WebSocket's.
fn url(claims: &Assertion) -> String {
    let scheme = if claims.tls.is_some() { "wss" } else { "ws" };
    let authority = claims.req.as_ref().map(|request| request.authority.as_str()).unwrap_or_default();
    format!("{scheme}://{authority}")
}

/// Who did it, for the audit log: the client where it is known, else the peer that did not say for whom it calls; and
/// whom somebody we trust named.
fn actor(claims: &Assertion) -> String {
    let origin = &claims.origin;
    let caller = match origin.ip {
        Some(client) => format!("client:{client}"),
        None => format!("unattributed:{}", origin.peer),
    };
    match &claims.idn {
        Some(identity) => {
            format!("{caller} as {} of {}", printable(&identity.login, LABEL_CHARS_MAX), identity.provider)
        }
        None => caller,
    }
}

/// Why the desk could not decide. Ours or the disk's fault, never the caller's.
#[derive(Debug, thiserror::Error)]
enum DeskError {
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}
