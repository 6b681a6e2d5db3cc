//! The owner's invite: made, taken back and told of at the desk like every other decision about who may enter.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Serialize;
use thiserror::Error;
use tracing::info;

use crate::base::clock::Uptime;
use crate::base::limits::INVITES_MADE_MAX;
use crate::base::limits::INVITES_MADE_PERIOD;
use crate::base::secret::Secret;
use crate::core::Inner;
use crate::pairing::device::DeviceId;
use crate::pairing::invite;
use crate::pairing::invite::Invite;
use crate::pairing::invite::InviteId;
use crate::pairing::setup::Offer;
use crate::pairing::step;
use crate::pairing::step::Step;
use crate::protocol::scope::Scopes;
use crate::store::Act;
use crate::store::StoreError;

/// The invite, to be made and ended by the owner.
#[derive(Clone, Debug)]
pub struct Invites {
    pub(super) core: Arc<Inner>,
}

/// An invite that was just made.
#[derive(Debug)]
pub struct MadeInvite {
    /// The secret itself: the only time that it is seen.
    pub secret: Secret<String>,
    /// Until when it counts, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// Whether another one was open and ended by it.
    pub replaced: bool,
}

/// An open invite, without its secret.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenInvite {
    /// Until when it counts, in milliseconds since 1970.
    pub expires_at_ms: i64,
    /// What a device gets for it.
    pub scopes: Scopes,
}

/// When invites were made lately.
#[derive(Debug, Default)]
pub(super) struct Made(Mutex<VecDeque<Uptime>>);

impl Made {
    /// Counts one more; how long to wait where that would be too many.
    fn count(&self, now: Uptime) -> Result<(), Duration> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |at: &Uptime| now.since(*at);
        made.retain(|at| age(at) < INVITES_MADE_PERIOD);
        if made.len() >= INVITES_MADE_MAX {
            return Err(made
                .front()
                .map_or(INVITES_MADE_PERIOD, |first| INVITES_MADE_PERIOD.saturating_sub(age(first))));
        }
        made.push_back(now);
        Ok(())
    }
}

impl Invites {
    /// Makes a new invite that gives `scopes` for `life`; one that was open ends.
    ///
    /// # Errors
    /// [`InviteError`]; then nothing was changed.
    pub async fn make(&self, scopes: Scopes, life: Duration) -> Result<MadeInvite, InviteError> {
        let visit = self.core.visit(async move |core| {
            let _desk = core.desk().await;
            let now = core.clock.now();
            let secret = invite::secret()?;
            let made = Invite {
                id: InviteId::random(),
                secret: secret.fingerprint(),
                scopes,
                made_at: now,
                life_ms: i64::try_from(life.as_millis()).unwrap_or(i64::MAX),
                redeemed: None,
            };
            let expires_at_ms = made.ends_at().0;
            core.invites_made.count(core.clock.uptime()).map_err(|wait| InviteError::TooMany { wait })?;
            let before = core.store.invite().await?;
            let Step { changes, outcome: replaced, .. } = step::invite(before.as_ref(), made, now);
            core.commit(&changes, &Act::owner("invite", now)).await?;
            info!(replaced, "invite made");
            Ok(MadeInvite { secret, expires_at_ms, replaced })
        });
        visit.await.unwrap_or(Err(InviteError::Stopped))
    }

    /// Ends the open invite; whether there was one.
    ///
    /// # Errors
    /// [`InviteError`]; then nothing was changed.
    pub async fn cancel(&self) -> Result<bool, InviteError> {
        let visit = self.core.visit(async move |core| {
            let _desk = core.desk().await;
            let cancelled = core.cancel_invite(&Act::owner("invite.cancel", core.clock.now())).await?;
            if cancelled {
                info!("invite taken back");
            }
            Ok(cancelled)
        });
        visit.await.unwrap_or(Err(InviteError::Stopped))
    }

    /// The open invite.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn open(&self) -> Result<Option<OpenInvite>, StoreError> {
        let found = self.core.store.invite().await?.filter(|invite| invite.is_open(self.core.clock.now()));
        Ok(found.map(|invite| OpenInvite { expires_at_ms: invite.ends_at().0, scopes: invite.scopes }))
    }
}

impl Inner {
    /// What `device` gets for the invite that it sent.
    pub(super) async fn offer_of_invite(
        &self,
        secret: &Secret<String>,
        device: &DeviceId,
    ) -> Result<Offer, StoreError> {
        let found = self.store.invite().await?;
        let found = found.filter(|invite| invite.admits(secret, device, self.clock.now()));
        Ok(found.map_or(Offer::Void, |invite| Offer::Invite(Box::new(invite))))
    }

    /// Ends the invite; whether it was open. At the desk only.
    pub(super) async fn cancel_invite(&self, act: &Act) -> Result<bool, StoreError> {
        let before = self.store.invite().await?;
        let Step { changes, outcome, .. } = step::cancel_invite(before.as_ref(), act.at);
        self.commit(&changes, act).await?;
        Ok(outcome)
    }

    /// Forgets an invite whose time is over. At the desk only.
    pub(super) async fn expire_invite(&self, act: &Act) -> Result<(), StoreError> {
        let before = self.store.invite().await?;
        self.commit(&step::expire_invite(before.as_ref(), act.at).changes, act).await
    }
}

/// Why there is no invite.
#[derive(Debug, Error)]
pub enum InviteError {
    /// The kernel gives no random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(#[from] getrandom::Error),
    /// The core is being shut down.
    #[error("the core is stopping")]
    Stopped,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// So many were made lately.
    #[error("{INVITES_MADE_MAX} invites were made lately; the next may be made in {} seconds", wait.as_secs().saturating_add(1))]
    TooMany {
        /// For how long none is made.
        wait: Duration,
    },
}

impl InviteError {
    /// What the owner can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Random(_) => "try again".to_owned(),
            Self::Stopped => "start it again and repeat this".to_owned(),
            Self::Store(error) => error.hint(),
            Self::TooMany { .. } => {
                "a script that makes invites in a loop is broken; `doorward audit` tells when they were made".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invites_are_made_so_fast_and_no_faster() {
        let (made, start) = (Made::default(), Uptime::default().plus(INVITES_MADE_PERIOD));
        for second in 0..INVITES_MADE_MAX {
            made.count(start.plus(Duration::from_secs(u64::try_from(second).unwrap()))).unwrap();
        }
        let later = start.plus(INVITES_MADE_PERIOD - Duration::from_secs(1));
        assert_eq!(made.count(later), Err(Duration::from_secs(1)));
        made.count(later.plus(Duration::from_secs(1))).unwrap();
    }
}
