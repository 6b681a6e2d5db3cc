//! The end of an instance: every socket is told 1012, not all at once, so that the clients do not come back as one.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use crate::base::limits::DRAIN_STEP;
use crate::core::Inner;
use crate::core::registry::Peer;
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
        send_away(&peers, spread).await;
        while self.registry.open() + self.lobby.all() > 0 {
            sleep(DRAIN_STEP).await;
        }
        // Logged where it fails; a sight that is lost lets nobody in.
        let _logged = self.flush().await;
    }
}

/// Ends the sockets in equal shares, a step apart, so that the last share goes within `spread`. A share is one socket
/// at least: a few sockets are gone before the window is over.
async fn send_away(peers: &[Arc<Peer>], spread: Duration) {
    let steps = usize::try_from(spread.as_millis() / DRAIN_STEP.as_millis()).unwrap_or(usize::MAX).max(1);
    let share = peers.len().div_ceil(steps).max(1);
    let start = Instant::now();
    for (step, share) in (0_u32..).zip(peers.chunks(share)) {
        sleep_until(start + DRAIN_STEP.saturating_mul(step)).await;
        share.iter().for_each(|peer| peer.end(&Failure::Restart));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::registry::Arrival;
    use crate::core::registry::Registry;

    #[tokio::test(start_paused = true)]
    async fn the_sockets_are_told_evenly_and_within_the_window() {
        for (sockets, window, expected) in
            [(1_000, 10, vec![100; 10]), (150, 5, vec![30; 5]), (30, 10, vec![10, 10, 10, 0]), (5, 0, vec![5, 0])]
        {
            let registry = Arc::new(Registry::new(1));
            let here: Vec<_> = (0..sockets).map(|_| registry.register(Arrival::sample())).collect();
            let peers: Vec<_> = here.iter().map(|registered| Arc::clone(registered.peer())).collect();
            let leaving = tokio::spawn(async move { send_away(&peers, Duration::from_secs(window)).await });
            // Half a step back, so that it is plain which second a step belongs to.
            tokio::time::sleep(Duration::from_secs(1) - DRAIN_STEP / 2).await;
            let mut told = Vec::new();
            for _ in &expected {
                let closes: Vec<_> = here.iter().filter_map(|socket| socket.peer().outbound.take_close()).collect();
                assert!(closes.iter().all(|close| close.code() == Some(1012)), "{closes:?}");
                told.push(closes.len());
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            assert_eq!(told, expected, "{sockets} sockets in {window} s");
            leaving.await.unwrap();
        }
    }
}
