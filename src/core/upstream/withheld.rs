//! When the upstream's token is not shown to it: after a few wrong ones it locks our address out, and with us everybody who
//! comes from there, its owner too.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use crate::base::limits::UPSTREAM_TOKEN_PAUSE;
use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::core::upstream::Upstream;
use crate::core::upstream::handle::Shared;
use crate::core::upstream::state::Reason;
use crate::core::upstream::state::State;

/// The token that was refused last, if its time is not over.
#[derive(Debug, Default)]
pub(super) struct Withheld(Mutex<Option<Refused>>);

#[derive(Debug)]
struct Refused {
    token: Option<Fingerprint>,
    reason: Reason,
    at: Instant,
}

impl Withheld {
    /// Notes that `token` was refused for `reason`; of what says nothing of the token, nothing.
    pub(super) fn note(&self, token: Option<&Secret<String>>, reason: &Reason, now: Instant) {
        if matches!(reason, Reason::Token | Reason::LockedOut) {
            *self.refused() = Some(Refused { token: token.map(Secret::fingerprint), reason: reason.clone(), at: now });
        }
    }

    /// Notes that the upstream takes us.
    pub(super) fn clear(&self) {
        *self.refused() = None;
    }

    /// Why `token` is not shown now.
    pub(super) fn reason(&self, token: Option<&Secret<String>>, now: Instant) -> Option<Reason> {
        let refused = self.refused();
        let last = refused.as_ref()?;
        let is_early = now.saturating_duration_since(last.at) < UPSTREAM_TOKEN_PAUSE;
        (is_early && last.token == token.map(Secret::fingerprint)).then(|| last.reason.clone())
    }

    fn refused(&self) -> MutexGuard<'_, Option<Refused>> {
        // One value, whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Upstream {
    /// Why its token is shown to it for nobody now.
    pub(super) fn withholds(&self) -> Option<Reason> {
        match self.state() {
            State::Refuses(reason @ (Reason::Token | Reason::LockedOut)) => Some(reason),
            _ => self.shared.withheld.reason(self.token().as_ref(), Instant::now()),
        }
    }
}

impl Shared {
    /// Says no while our own connection must not show the token that we have.
    pub(super) fn check_token(&self) -> Result<(), State> {
        let reason = self.withheld.reason(self.token.load().as_deref(), Instant::now());
        reason.map_or(Ok(()), |reason| Err(State::Refuses(reason)))
    }

    /// How the upstream is that refused our own connection for `reason`.
    pub(super) fn refused(&self, reason: Reason) -> State {
        self.withheld.note(self.token.load().as_deref(), &reason, Instant::now());
        State::Refuses(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refused_token_is_shown_again_only_after_a_pause_and_another_at_once() {
        let (old, new) = (Secret::new("old".to_owned()), Secret::new("new".to_owned()));
        let start = Instant::now();
        let late = start + UPSTREAM_TOKEN_PAUSE;
        let early = late.checked_sub(Duration::from_millis(1)).unwrap();
        for reason in [Reason::Token, Reason::LockedOut] {
            for (refused, other) in [(Some(&old), Some(&new)), (None, Some(&new)), (Some(&old), None)] {
                let withheld = Withheld::default();
                assert_eq!(withheld.reason(refused, start), None);
                withheld.note(refused, &reason, start);
                assert_eq!(withheld.reason(refused, early), Some(reason.clone()));
                assert_eq!(withheld.reason(refused, late), None, "its time is over");
                assert_eq!(withheld.reason(other, early), None, "another one");
                withheld.clear();
                assert_eq!(withheld.reason(refused, early), None, "it was taken");
            }
        }
    }

    #[test]
    fn what_says_nothing_of_the_token_withholds_none() {
        let withheld = Withheld::default();
        for reason in [Reason::Busy, Reason::NotPaired { request: None }, Reason::Proxied, Reason::WebOrigin] {
            withheld.note(None, &reason, Instant::now());
            assert_eq!(withheld.reason(None, Instant::now()), None);
        }
    }

    #[test]
    fn the_pause_keeps_us_far_below_what_locks_an_address_out() {
        // Of openclaw 2026.9.6: ten within a minute.
        assert!(UPSTREAM_TOKEN_PAUSE >= Duration::from_secs(30));
    }
}
