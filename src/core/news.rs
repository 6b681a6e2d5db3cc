//! Which requests operators hear of, and when, by the rules of [`crate::pairing::herald`].

use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tracing::error;
use tracing::info;

use crate::base::code::Code;
use crate::core::Inner;
use crate::identity::claims::OriginClaim;
use crate::pairing::cooling::Cooling;
use crate::pairing::device::DeviceId;
use crate::pairing::herald::Herald;
use crate::pairing::queue::Waiter;
use crate::pairing::request::PendingRequest;
use crate::pairing::step::Known;
use crate::pairing::step::Notice;

impl Inner {
    /// Whether what a device caused is told now. A request that is held back is told later; and so its end is no news if it
    /// comes before that.
    pub(super) fn is_news(&self, notice: &Notice) -> bool {
        match notice {
            Notice::Requested(request) => self.herald().announce(Waiter::of(request), self.clock.uptime()),
            Notice::Resolved { request, .. } => !self.herald().forget(request),
            Notice::Changed(_) | Notice::Close { .. } | Notice::Cool(_) | Notice::Settle { .. } => true,
        }
    }

    /// Tells of the requests that were held back, whose time has come, and that still wait.
    pub(super) async fn tell_late(self: &Arc<Self>) {
        let due = self.herald().due(self.clock.uptime());
        if due.is_empty() {
            return;
        }
        let _desk = self.desk().await;
        let (now, life) = (self.clock.now(), self.store.pending_life());
        for id in due {
            let found = self.store.request(&id).await.inspect_err(|fault| error!(%fault, "a request is not read"));
            let Some(request) = found.ok().flatten().filter(|request| !request.is_expired(now, life)) else { continue };
            self.tell_waiting(&request, &request.origin, None);
            self.carry_out(&Notice::Requested(Box::new(request)));
        }
    }

    /// The line by which the owner hears of a request, with the command that approves exactly what it names; `by` is the
    /// connection that it came by just now.
    pub(super) fn tell_waiting(
        &self,
        request: &PendingRequest,
        origin: &OriginClaim,
        by: Option<(&str, Option<Code>)>,
    ) {
        let (conn, code) = by.map_or(("-", None), |by| by);
        let approve = format!("devices approve {} --digest {}", request.id, request.digest());
        info!(
            request = %request.id, device = %request.device(), role = %request.role,
            name = request.profile.display_name.as_deref().unwrap_or("-"),
            conn, client = %origin.client_shown(), peer = %origin.peer,
            class = origin.class.as_str(), listener = %origin.listener, code = Code::shown(code),
            "a device waits for approval: {}", self.owner.with(&approve)
        );
    }

    /// What operators were told.
    pub(super) fn herald(&self) -> MutexGuard<'_, Herald> {
        // Lists of whole entries; what a panic left of them is good enough.
        self.herald.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `known`, with what is remembered of `device` for a while only.
    pub(super) fn remember(&self, device: &DeviceId, known: Known) -> Known {
        let (now, cooling) = (self.clock.uptime(), self.cooling());
        Known { cooling: cooling.remaining(device, now), settling: cooling.settling(device, now), ..known }
    }

    /// The devices that were rejected, and the requests that changed, just now.
    pub(super) fn cooling(&self) -> MutexGuard<'_, Cooling> {
        // As above.
        self.cooling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
