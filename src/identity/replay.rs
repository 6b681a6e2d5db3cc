//! Which single-use assertions were seen already. Bounded; when it is full the answer is no, never "probably new".

use std::collections::{BTreeMap, HashSet};

use ring::digest;
use thiserror::Error;

use crate::base::limits::REPLAYS_MAX;
use crate::base::limits::REPLAYS_RESERVE;

/// The first half of SHA-256 over key and `jti`: fixed size, whatever a signer writes.
type Mark = [u8; 16];

/// The assertions seen, each until nobody could use it any more.
#[derive(Debug, Default)]
pub struct Replays {
    seen: HashSet<Mark>,
    /// The same marks by the second after which they are useless.
    until: BTreeMap<u64, Vec<Mark>>,
    /// The latest second whose marks were forgotten.
    forgotten: u64,
}

/// How much of the memory a mark may fill.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Room {
    /// All of it: for a valid opening handshake of a WebSocket.
    All,
    /// All but the reserve, so that a flood of plain requests keeps no WebSocket out.
    Shared,
}

impl Room {
    fn marks_max(self) -> usize {
        match self {
            Self::All => REPLAYS_MAX,
            Self::Shared => REPLAYS_MAX.saturating_sub(REPLAYS_RESERVE),
        }
    }
}

impl Replays {
    /// Takes note of `jti`, signed by `kid` and usable until second `until`. `now` is steady time: were it set back, this
    /// would refuse all that is signed until it has caught up.
    ///
    /// # Errors
    /// [`ReplayError`] unless it is certainly new.
    pub fn note(&mut self, kid: &str, jti: &str, room: Room, until: u64, now: u64) -> Result<(), ReplayError> {
        self.forget(now);
        if until <= self.forgotten {
            return Err(ReplayError::Forgotten);
        }
        if self.seen.len() >= room.marks_max() {
            return Err(ReplayError::Full);
        }
        let mark = mark(kid, jti);
        if !self.seen.insert(mark) {
            return Err(ReplayError::Seen);
        }
        self.until.entry(until).or_default().push(mark);
        Ok(())
    }

    fn forget(&mut self, now: u64) {
        while let Some(entry) = self.until.first_entry() {
            if *entry.key() >= now {
                break;
            }
            self.forgotten = self.forgotten.max(*entry.key());
            for mark in entry.remove() {
                self.seen.remove(&mark);
            }
        }
    }
}

fn mark(kid: &str, jti: &str) -> Mark {
    let mut hash = digest::Context::new(&digest::SHA256);
    // `kid` is one of our own keys', of one length, so no two pairs make the same text.
    for part in [kid.as_bytes(), &[0], jti.as_bytes()] {
        hash.update(part);
    }
    let mut mark = Mark::default();
    mark.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    mark
}

/// Why a single-use assertion is not certainly new.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ReplayError {
    /// Its time lies where marks were dropped already: the clock went back.
    #[error("older than what the replay memory still knows")]
    Forgotten,
    /// The memory is full: somebody sends more than we can remember.
    #[error("replay memory full")]
    Full,
    /// It was used before.
    #[error("used before")]
    Seen,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_is_once_until_it_is_useless() {
        let mut replays = Replays::default();
        assert_eq!(replays.note("k", "a", Room::All, 130, 100), Ok(()));
        assert_eq!(replays.note("k", "a", Room::All, 130, 100), Err(ReplayError::Seen));
        assert_eq!(replays.note("k", "a", Room::All, 130, 130), Err(ReplayError::Seen));
        assert_eq!(replays.note("k", "b", Room::All, 130, 130), Ok(()));
        assert_eq!(replays.note("other", "a", Room::All, 130, 130), Ok(()));
        // Useless from 131 on, so forgotten, and never taken for new.
        assert_eq!(replays.note("k", "c", Room::All, 161, 131), Ok(()));
        assert_eq!(replays.seen.len(), 1);
        assert_eq!(replays.note("k", "a", Room::All, 130, 131), Err(ReplayError::Forgotten));
    }

    #[test]
    fn what_was_forgotten_is_never_new_again() {
        let mut replays = Replays::default();
        assert_eq!(replays.note("k", "a", Room::All, 130, 100), Ok(()));
        assert_eq!(replays.note("k", "b", Room::All, 170, 140), Ok(()));
        assert_eq!(replays.note("k", "a", Room::All, 130, 110), Err(ReplayError::Forgotten));
        assert_eq!(replays.note("k", "c", Room::All, 140, 110), Ok(()));
    }

    #[test]
    fn plain_requests_leave_a_quarter_to_websockets() {
        let mut replays = Replays::default();
        for number in 0..REPLAYS_MAX - REPLAYS_RESERVE {
            replays.note("k", &number.to_string(), Room::Shared, 130, 100).unwrap();
        }
        assert_eq!(replays.note("k", "plain", Room::Shared, 130, 100), Err(ReplayError::Full));
        assert_eq!(replays.note("k", "socket", Room::All, 130, 100), Ok(()));
        assert_eq!(replays.note("k", "socket", Room::All, 130, 100), Err(ReplayError::Seen));
    }

    #[test]
    fn a_full_memory_refuses_and_recovers() {
        let mut replays = Replays::default();
        for number in 0..REPLAYS_MAX {
            replays.note("k", &number.to_string(), Room::All, 130, 100).unwrap();
        }
        assert_eq!(replays.note("k", "one more", Room::All, 130, 100), Err(ReplayError::Full));
        assert_eq!(replays.note("k", "one more", Room::All, 161, 131), Ok(()));
    }
}
