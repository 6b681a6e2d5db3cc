//! The core's one clockwork: a round each second for all sockets together, so that no socket needs a timer.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Instant;

use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tracing::error;

use crate::base::limits::EXPIRY_PERIOD;
use crate::base::limits::SEEN_FLUSH_PERIOD;
use crate::core::Inner;
use crate::core::Timing;
use crate::core::broadcast;
use crate::pairing::step;
use crate::protocol::event;
use crate::protocol::frame::StateVersion;
use crate::store::Act;
use crate::store::StoreError;

/// Runs until the last handle on the core is gone.
pub(super) async fn run(core: Weak<Inner>, timing: Timing) {
    let mut rounds = interval(timing.upkeep_period);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Due::new(Instant::now());
    for round in 0_usize.. {
        rounds.tick().await;
        let Some(core) = core.upgrade() else { return };
        let now = Instant::now();
        core.registry.ping(round);
        core.board.tell(&core.registry, now);
        core.tell_late().await;
        if now.duration_since(due.tick) >= timing.tick_period {
            due.tick = now;
            broadcast::tick(&core.registry, core.clock.now());
        }
        if now.duration_since(due.health) >= timing.health_period {
            due.health = now;
            let version = StateVersion { presence: core.registry.presence_version(), health: 1 };
            broadcast::health(&core.registry, &event::health(core.clock.now(), 0), version);
        }
        if now.duration_since(due.expiry) >= EXPIRY_PERIOD {
            due.expiry = now;
            // The next round tries again: an expired request is refused by its own time in any case.
            let _logged = core.expire().await;
        }
        if now.duration_since(due.flush) >= SEEN_FLUSH_PERIOD {
            due.flush = now;
            let _logged = core.flush().await;
        }
    }
}

/// When each thing was last done.
struct Due {
    tick: Instant,
    health: Instant,
    expiry: Instant,
    flush: Instant,
}

impl Due {
    fn new(now: Instant) -> Self {
        Self { tick: now, health: now, expiry: now, flush: now }
    }
}

impl Inner {
    async fn expire(self: &Arc<Self>) -> Result<(), StoreError> {
        let _desk = self.desk().await;
        let now = self.clock.now();
        // It counts no longer in any case, and the requests must not wait for it.
        let _logged = self.expire_invite(&Act::own("expire", now)).await.inspect_err(|fault| error!(%fault, "invite"));
        let requests = self.store.requests().await.inspect_err(|fault| error!(%fault, "requests not read"))?;
        let step = step::expire(&requests, self.store.pending_life(), now);
        if !step.changes.is_empty() {
            self.commit(&step.changes, &Act::own("expire", now)).await?;
            step.notices.iter().for_each(|notice| self.carry_out(notice));
        }
        Ok(())
    }

    /// Writes what may become durable later.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let act = Act::own("seen", self.clock.now());
        self.store.flush(&act).await.inspect_err(|fault| error!(%fault, "sights of devices not written"))
    }
}
