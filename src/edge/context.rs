//! What the edge keeps for as long as a connection lasts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use pingora_core::protocols::http::ServerSession;

use crate::base::clock::UnixMillis;
use crate::base::limits::ASSERTION_SHARED_SECONDS;
use crate::identity::signer::{Signer, Subject};
use crate::listener::facts::ConnectionFacts;
use crate::net::host::Authority;

/// One connection, as its requests find it.
#[derive(Debug)]
pub struct Connection {
    facts: Arc<ConnectionFacts>,
    shared: Mutex<Option<SharedAssertion>>,
    remembered: AtomicBool,
}

/// The last assertion of a connection that may be used again.
#[derive(Debug)]
pub(super) struct SharedAssertion {
    pub(super) subject: Subject,
    pub(super) authority: Authority,
    pub(super) issued: UnixMillis,
    /// Which key signed it, or the one before: then it is made anew.
    pub(super) kid: String,
    pub(super) token: HeaderValue,
}

impl Connection {
    /// The context of the connection with these facts.
    pub fn new(facts: Arc<ConnectionFacts>) -> Self {
        Self { facts, shared: Mutex::new(None), remembered: AtomicBool::new(false) }
    }

    /// What is known about the connection.
    pub fn facts(&self) -> &Arc<ConnectionFacts> {
        &self.facts
    }

    /// True the first time only: one answered request stands for all of its connection.
    pub(super) fn claim_first(&self) -> bool {
        !self.remembered.swap(true, Ordering::Relaxed)
    }

    /// Its last shared assertion, held only for the moment of a look or a signature, never across an await.
    pub(super) fn last_assertion(&self) -> MutexGuard<'_, Option<SharedAssertion>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that `session` came by. None once its stream was taken.
    pub fn of(session: &ServerSession) -> Option<Arc<Self>> {
        let proxy = session.digest()?.proxy_digest.as_ref()?;
        proxy.user_data.as_ref()?.downcast_ref::<Arc<Self>>().cloned()
    }
}

impl SharedAssertion {
    /// The token, if it says the same of the same authority, is young enough and `signer` still signs with its key: another may
    /// be believed no more. A clock that went back makes it old.
    pub(super) fn token_for(
        &self,
        subject: &Subject,
        authority: &Authority,
        signer: &Signer,
        now: UnixMillis,
    ) -> Option<HeaderValue> {
        let age = u64::try_from(now.since(self.issued)).ok()?;
        let fresh = age < ASSERTION_SHARED_SECONDS.saturating_mul(1000) && signer.signs_as(&self.kid);
        (fresh && self.authority == *authority && self.subject == *subject).then(|| self.token.clone())
    }
}
