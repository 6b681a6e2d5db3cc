//! How a listener knows the probe of its own process: by a word that was drawn for that one dial.
//!
//! Promise: a stranger gains and changes nothing here. The word is 128 random bits, good for one probe and one hearing,
//! and what is heard only makes a log line surer: whether the port is open, the dial itself tells.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;
use tokio::net::TcpStream;

/// Before the random part: no other protocol's first bytes.
const GREETING: &[u8; 16] = b"doorward-knock/1";
const WORD_BYTES: usize = 32;

/// The word of the probe under way, shared by it and the listeners.
#[derive(Clone, Debug, Default)]
pub struct Knocks(Arc<Mutex<Knock>>);

#[derive(Debug, Default)]
enum Knock {
    Awaited([u8; WORD_BYTES]),
    Heard,
    #[default]
    None,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// Our own probe.
    Knock,
    /// Anything else.
    Other,
}

impl Knocks {
    /// A new word, awaited until [`Knocks::end`].
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn expect(&self) -> Result<[u8; WORD_BYTES], getrandom::Error> {
        let mut word = [0; WORD_BYTES];
        let (greeting, random) = word.split_at_mut(GREETING.len());
        greeting.copy_from_slice(GREETING);
        getrandom::fill(random)?;
        *self.lock() = Knock::Awaited(word);
        Ok(word)
    }

    /// Whether the word was heard; it is awaited no more.
    pub fn end(&self) -> bool {
        matches!(std::mem::take(&mut *self.lock()), Knock::Heard)
    }

    /// Looks at the first bytes of a connection, and takes none. Where no probe is under way, it does not even look.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn hear(&self, stream: &TcpStream) -> io::Result<Heard> {
        if !matches!(&*self.lock(), Knock::Awaited(_)) {
            return Ok(Heard::Other);
        }
        let mut first = [0; WORD_BYTES];
        let seen = stream.peek(&mut first).await?;
        Ok(self.judge(first.get(..seen).unwrap_or_default()))
    }

    fn judge(&self, first: &[u8]) -> Heard {
        let mut knock = self.lock();
        match &*knock {
            Knock::Awaited(word) if bool::from(word.as_slice().ct_eq(first)) => {
                *knock = Knock::Heard;
                Heard::Knock
            }
            _ => Heard::Other,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Knock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_changes_nothing_and_a_word_is_good_once() {
        let knocks = Knocks::default();
        assert_eq!(knocks.judge(b""), Heard::Other);
        let word = knocks.expect().unwrap();
        let mut guess = word;
        guess[WORD_BYTES - 1] ^= 1;
        for wrong in [&guess[..], &word[..WORD_BYTES - 1], b"", GREETING] {
            assert_eq!(knocks.judge(wrong), Heard::Other);
        }
        assert_eq!(knocks.judge(&word), Heard::Knock);
        assert_eq!(knocks.judge(&word), Heard::Other, "heard once");
        assert!(knocks.end());
        assert!(!knocks.end());
    }

    #[test]
    fn each_probe_has_its_own_word() {
        let knocks = Knocks::default();
        let old = knocks.expect().unwrap();
        assert!(!knocks.end());
        assert_eq!(knocks.judge(&old), Heard::Other, "its probe is over");
        let new = knocks.expect().unwrap();
        assert_ne!(old, new);
        assert_eq!(knocks.judge(&old), Heard::Other);
        assert!(!knocks.end());
    }
}
