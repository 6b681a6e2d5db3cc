//! The end of an instance: every socket is told 1012, not all at once, so that the clients do not come back as one.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use crate::base::limits::DRAIN_STEP;
use crate::core::Inner;
use crate::protocol::refusal::Failure;

impl Inner {
    /// Whether no socket is taken any more.
    pub(super) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    pub(super) async fn drain(&self, window: Duration) {
        {
            // From here on no connect is decided: whoever is listed below is the last.
            let _desk = self.desk().await;
            self.draining.send_replace(true);
        }
        let mut peers = Vec::with_capacity(self.registry.open());
        for step in 0..self.registry.steps() {
            peers.extend(self.registry.step(step));
        }
        // The last ones need time for the closing handshake.
        let spread = window.saturating_sub(self.timing.close_wait);
        let steps = usize::try_from(spread.as_millis() / DRAIN_STEP.as_millis()).unwrap_or(usize::MAX).max(1);
        let share = peers.len().div_ceil(steps).max(1);
        let start = Instant::now();
        for (step, share) in (0_u32..).zip(peers.chunks(share)) {
            sleep_until(start + DRAIN_STEP.saturating_mul(step)).await;
            share.iter().for_each(|peer| peer.end(&Failure::Restart));
        }
        while self.registry.open() + self.lobby.all() > 0 {
            sleep(DRAIN_STEP).await;
        }
        // Logged where it fails; a sight that is lost lets nobody in.
        let _logged = self.flush().await;
    }
}
