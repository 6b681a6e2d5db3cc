//! The gateway token while we run: rotated by command, or by whoever writes another into its file. Either way the old one is
//! dead at once, with everything that stands on it.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tracing::error;
use tracing::info;

use crate::base::secret::Fingerprint;
use crate::base::secret::Secret;
use crate::core::Core;
use crate::core::CoreError;
use crate::core::Inner;
use crate::core::upstream::passes::Holder;
use crate::pairing::paired::Issuer;
use crate::protocol::refusal::Failure;
use crate::store::Act;
use crate::store::Line;
use crate::store::keys::token::TokenStamp;

impl Core {
    /// Makes a new gateway token: durable when this returns, the old one dead at once, and with it every device token that
    /// was handed out to whoever knew it, every setup code, the open invite, and every socket that came in by any of them.
    /// Devices stay paired: whoever knows the new token is handed others.
    ///
    /// # Errors
    /// [`CoreError`] when the file is not ours to write, or could not be written; then the old token stays.
    pub async fn rotate_token(&self) -> Result<Secret<String>, CoreError> {
        let rotated = self.inner.visit(async move |core| {
            let _desk = core.desk().await;
            // Written before it is done: what nobody can look up later is not done at all.
            let act = Act::owner("token.rotate", core.clock.now());
            core.store.record(&act, Line { change: "token.rotate", ..Line::default() }).await?;
            core.cancel_invite(&act).await?;
            let source = core.token.clone();
            let token = spawn_blocking(move || source.rotate()).await.map_err(|_| CoreError::Stopped)??;
            core.take_secret(token.fingerprint());
            info!("gateway token rotated");
            Ok(token)
        });
        rotated.await.unwrap_or(Err(CoreError::Stopped))
    }
}

/// Looks at the token's file in every `period` until the last handle on the core is gone. On its own: the operator's file may
/// lie on a disk that hangs, and then nothing else waits.
pub(super) async fn watch(core: Weak<Inner>, period: Duration) {
    let mut rounds = interval(period);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = TokenWatch::default();
    loop {
        rounds.tick().await;
        let Some(source) = core.upgrade().map(|core| core.token.clone()) else { return };
        let stamp = spawn_blocking(move || source.stamp()).await.ok().flatten();
        let Some(core) = core.upgrade() else { return };
        if stamp.is_some() && stamp != watch.read {
            core.take_token_of_file(stamp, &mut watch).await;
        }
    }
}

/// What was seen of the token's file.
#[derive(Debug, Default)]
struct TokenWatch {
    /// As it was when it was read last.
    read: Option<TokenStamp>,
    /// As it was when it could not be used. It is read once more before anybody hears of it: it may be half written.
    doubtful: Option<TokenStamp>,
}

impl Inner {
    /// Reads the token's file, which is as `stamp` says now, and takes another token that stands there. One that cannot be
    /// used changes nothing.
    async fn take_token_of_file(&self, stamp: Option<TokenStamp>, watch: &mut TokenWatch) {
        let (source, before) = (self.token.clone(), self.secret.load_full());
        // Not at the desk, where everybody would wait for it.
        let Ok(token) = spawn_blocking(move || source.read()).await else { return };
        let _desk = self.desk().await;
        if *before != **self.secret.load() {
            // Rotated meanwhile: what was read before must not undo it. The next round reads again.
            return;
        }
        match token {
            Ok(token) => {
                watch.read = stamp;
                let fingerprint = token.fingerprint();
                if fingerprint != **self.secret.load() {
                    let act = Act::own("token.file", self.clock.now());
                    // Somebody wrote it down already: it is in force whether this can be or not.
                    let _counted = self.store.record(&act, Line { change: "token.rotate", ..Line::default() }).await;
                    let _logged = self.cancel_invite(&act).await;
                    self.take_secret(fingerprint);
                    info!(file = %self.token.path().display(), "gateway token taken from its file: the old one is void");
                }
            }
            Err(fault) if watch.doubtful == stamp => {
                watch.read = stamp;
                error!(%fault, hint = fault.hint(), "gateway token not taken from its file: the old one stays in force");
            }
            Err(_) => watch.doubtful = stamp,
        }
    }

    /// Puts another secret in force and ends what stands on the one before. Only at the desk.
    fn take_secret(&self, secret: Fingerprint) {
        self.secret.store(Arc::new(secret));
        self.setups.void();
        self.throttle().forget_known();
        self.passes.end(Holder::stands_on_secret);
        self.registry.end(&Failure::AuthChanged, |peer| matches!(peer.arrival.issuer, Issuer::Gateway(_)));
    }
}
