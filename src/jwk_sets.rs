//! The JWK Sets (RFC 7517) of those who issue identity tokens: read from a file or fetched by https, and kept.
//!
//! Promise: keys come only from the one place that is configured, never from where a token points. What is kept is bounded in
//! bytes, keys and age, a place that does not answer takes nothing away before that age, and no caller can make us ask more
//! than once a minute. Whoever needs a key that is not there waits a few seconds at most.

mod place;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::base::clock::{Clock, UnixMillis, millis};
use crate::base::limits::{
    JWK_SET_ASK_PERIOD, JWK_SET_FILE_ASK_PERIOD, JWK_SET_FILE_PERIOD, JWK_SET_LIFE, JWK_SET_REFRESH_PERIOD,
    JWK_SET_RETRY_PERIOD, JWK_SET_WAIT,
};
use crate::identity::provider::keys::KeySet;

pub use place::{HttpsUrl, Place, PlaceError, UrlFault};

/// One issuer's keys, as they were last read. Clones are one.
#[derive(Clone, Debug)]
pub struct IssuerKeys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The issuer, for the log.
    name: String,
    place: Place,
    clock: Clock,
    state: watch::Sender<State>,
    wanted: Notify,
}

#[derive(Clone, Debug)]
struct State {
    keys: Option<(Arc<KeySet>, UnixMillis)>,
    /// Looks that have ended.
    looks: u64,
    /// Whether one is under way, or about to be.
    is_looking: bool,
    /// When an unknown key last caused one.
    asked: Option<UnixMillis>,
    /// What the last one failed with.
    fault: Option<String>,
}

impl IssuerKeys {
    /// The set of the issuer called `name`; it is empty until [`IssuerKeys::keep_fresh`] works.
    pub fn new(name: &str, place: Place, clock: Clock) -> Self {
        // The first look comes with the start, and whoever calls before it has ended waits for it.
        let state = State { keys: None, looks: 0, is_looking: true, asked: None, fault: None };
        let (state, wanted) = (watch::Sender::new(state), Notify::new());
        Self(Arc::new(Shared { name: name.to_owned(), place, clock, state, wanted }))
    }

    /// The keys, unless none were read yet or they are too old to go by.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.usable(&self.0.state.borrow())
    }

    /// The keys of a look that ends after this call; nothing when it fails, takes too long, or was allowed too short a while ago.
    pub async fn newer(&self) -> Option<Arc<KeySet>> {
        let mut states = self.0.state.subscribe();
        let now = self.0.clock.steady();
        let (mut before, mut is_looking) = (0, false);
        let asks = self.0.state.send_if_modified(|state| {
            before = state.looks;
            let wait = millis(self.0.place.ask_period());
            let asks = !state.is_looking && state.asked.is_none_or(|asked| now.since(asked) >= wait);
            if asks {
                (state.asked, state.is_looking) = (Some(now), true);
            }
            is_looking = state.is_looking;
            asks
        });
        if asks {
            self.0.wanted.notify_one();
        } else if !is_looking {
            return None;
        }
        let ended = timeout(JWK_SET_WAIT, states.wait_for(|state| state.looks > before)).await.ok()?.ok()?;
        if ended.fault.is_some() { None } else { self.usable(&ended) }
    }

    /// Looks at the place at once, when the keys are of age, after a failure, and when somebody needs a newer key. Works until
    /// dropped; to be run on the desk, never on an event loop that serves callers.
    pub async fn keep_fresh(&self) -> Infallible {
        loop {
            self.0.state.send_modify(|state| state.is_looking = true);
            let read = self.0.place.read().await;
            let wait = if read.is_ok() { self.0.place.refresh_period() } else { JWK_SET_RETRY_PERIOD };
            self.take(read);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.0.wanted.notified() => {}
            }
        }
    }

    fn take(&self, read: Result<KeySet, PlaceError>) {
        let (name, place, now) = (&self.0.name, &self.0.place, self.0.clock.steady());
        self.0.state.send_modify(|state| {
            state.looks = state.looks.saturating_add(1);
            state.is_looking = false;
            match read {
                Ok(keys) => {
                    if state.fault.take().is_some() {
                        info!(identity = %name, %place, "keys of an identity provider read again");
                    }
                    state.keys = Some((Arc::new(keys), now));
                }
                Err(error) => {
                    let fault = error.to_string();
                    // One line for each cause, not one for each look.
                    if state.fault.as_ref() != Some(&fault) {
                        let hint = &*error.hint();
                        warn!(identity = %name, %place, %error, hint, "keys of an identity provider cannot be read; those read before count for a day");
                    }
                    state.fault = Some(fault);
                }
            }
        });
    }

    fn usable(&self, state: &State) -> Option<Arc<KeySet>> {
        let (keys, read) = state.keys.as_ref()?;
        (self.0.clock.steady().since(*read) < millis(JWK_SET_LIFE)).then(|| Arc::clone(keys))
    }
}

impl Place {
    fn refresh_period(&self) -> Duration {
        match self {
            Self::File(_) => JWK_SET_FILE_PERIOD,
            Self::Https { .. } => JWK_SET_REFRESH_PERIOD,
        }
    }

    fn ask_period(&self) -> Duration {
        match self {
            Self::File(_) => JWK_SET_FILE_ASK_PERIOD,
            Self::Https { .. } => JWK_SET_ASK_PERIOD,
        }
    }
}

#[cfg(test)]
mod tests;
