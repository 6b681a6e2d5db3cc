//! What the edge keeps for as long as a connection lasts.

use std::sync::{Arc, Mutex};

use pingora_core::protocols::http::ServerSession;

use super::assertion::SharedAssertion;
use crate::listener::facts::ConnectionFacts;

/// One connection, as its requests find it.
#[derive(Debug)]
pub struct Connection {
    facts: Arc<ConnectionFacts>,
    pub(super) shared: Mutex<Option<SharedAssertion>>,
}

impl Connection {
    /// The context of the connection with these facts.
    pub fn new(facts: Arc<ConnectionFacts>) -> Self {
        Self { facts, shared: Mutex::new(None) }
    }

    /// What is known about the connection.
    pub fn facts(&self) -> &Arc<ConnectionFacts> {
        &self.facts
    }

    /// The connection that `session` came by. None once its stream was taken.
    pub fn of(session: &ServerSession) -> Option<Arc<Self>> {
        let proxy = session.digest()?.proxy_digest.as_ref()?;
        proxy.user_data.as_ref()?.downcast_ref::<Arc<Self>>().cloned()
    }
}
