//! A caller's body on its way up: how much of it may come, and how slowly.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::respond::Refusal;
use crate::base::limits::{
    FORWARDED_BODY_BYTES_MAX, FORWARDED_BODY_GRACE, FORWARDED_BYTES_PER_SECOND_MIN, FORWARDED_PIECE_WAIT,
};

/// One body. Nothing of it is kept here.
#[derive(Debug)]
pub(super) struct Upload {
    started: Instant,
    come: Arc<Come>,
}

/// What has come of it.
#[derive(Debug, Default)]
struct Come {
    bytes: AtomicU64,
    whole: AtomicBool,
}

impl Upload {
    /// One that begins now.
    pub(super) fn begin() -> Self {
        Self { started: Instant::now(), come: Arc::default() }
    }

    /// Counts a piece; `None` is the end.
    ///
    /// # Errors
    /// [`Refusal::BodyTooLarge`], [`Refusal::BodyTooSlow`].
    pub(super) fn take(&self, piece: Option<&Bytes>) -> Result<(), Refusal> {
        let bytes = piece.map_or(0, |piece| u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let all = self.come.bytes.fetch_add(bytes, Ordering::AcqRel).saturating_add(bytes);
        let late = self.started.elapsed().saturating_sub(FORWARDED_BODY_GRACE).as_secs();
        match () {
            () if all > FORWARDED_BODY_BYTES_MAX => Err(Refusal::BodyTooLarge),
            () if all < late.saturating_mul(FORWARDED_BYTES_PER_SECOND_MIN) => Err(Refusal::BodyTooSlow),
            () => Ok(()),
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.come.whole.store(true, Ordering::Release);
    }

    /// Waits until nothing has come for too long, which pingora notices in HTTP/1 alone. Over without that when the body is
    /// whole, or the request over.
    pub(super) fn silence(&self) -> impl Future<Output = Option<Silence>> + Send + 'static {
        silence(Arc::downgrade(&self.come), FORWARDED_PIECE_WAIT)
    }
}

/// A body of which nothing has come for too long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Silence;

async fn silence(come: Weak<Come>, wait: Duration) -> Option<Silence> {
    let mut before = 0;
    loop {
        sleep(wait).await;
        let come = come.upgrade()?;
        let now = come.bytes.load(Ordering::Acquire);
        if come.whole.load(Ordering::Acquire) {
            return None;
        }
        if now == before {
            return Some(Silence);
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_has_an_end_and_must_not_drip() {
        let upload = Upload::begin();
        let one = Bytes::from_static(b"x");
        assert!(upload.take(Some(&one)).is_ok());
        advance(FORWARDED_BODY_GRACE).await;
        assert!(upload.take(Some(&one)).is_ok());
        advance(Duration::from_secs(1)).await;
        assert!(matches!(upload.take(Some(&one)), Err(Refusal::BodyTooSlow)));
        let piece = Bytes::from(vec![0; 1024]);
        assert!(upload.take(Some(&piece)).is_ok(), "it has caught up");
        upload.come.bytes.store(FORWARDED_BODY_BYTES_MAX - 1, Ordering::Release);
        assert!(upload.take(Some(&one)).is_ok());
        assert!(matches!(upload.take(Some(&one)), Err(Refusal::BodyTooLarge)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_and_a_whole_body_is_none() {
        let one = Bytes::from_static(b"x");
        let silent = Upload::begin();
        assert!(silent.take(Some(&one)).is_ok());
        let begun = Instant::now();
        assert_eq!(silent.silence().await, Some(Silence));
        assert_eq!(begun.elapsed(), 2 * FORWARDED_PIECE_WAIT, "one wait since the last piece was seen");

        let (whole, gone) = (Upload::begin(), Upload::begin());
        whole.end();
        assert_eq!(whole.silence().await, None);
        let waiting = gone.silence();
        drop(gone);
        assert_eq!(waiting.await, None);
    }
}
