//! For which nodes we have given our word at the upstream: once for each approval here, so that a node which is removed there
//! stays removed until the owner says otherwise.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::base::clock::UnixMillis;
use crate::pairing::device::DeviceId;

/// When a node was approved here, and whether the upstream has known it since.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::core) struct Approval {
    /// When the owner said yes, last.
    pub(in crate::core) at: UnixMillis,
    /// When its token became another, last, as it does when the upstream gives it one.
    pub(in crate::core) token_at: Option<UnixMillis>,
}

/// What of our word for a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Word {
    /// It is due.
    Due,
    /// It was given, and the upstream does not know the node: somebody removed it there. The owner has not heard of it.
    Spent,
    /// The same, and the owner has.
    Told,
}

/// The words that were given; of a paired device each.
#[derive(Debug, Default)]
pub(super) struct Vouched(Mutex<HashMap<DeviceId, (UnixMillis, Word)>>);

impl Vouched {
    /// What of our word for this node, of which the upstream says that it does not know it.
    pub(super) fn word(&self, device: DeviceId, approval: Approval) -> Word {
        let mut words = self.words();
        let given = words.get(&device).filter(|(at, _)| *at == approval.at).map(|(_, word)| *word);
        // Without memory, as after a start, its token remembers.
        let known = approval.token_at.is_some_and(|at| at >= approval.at);
        let word = given.unwrap_or(if known { Word::Spent } else { Word::Due });
        if word == Word::Spent {
            words.insert(device, (approval.at, Word::Told));
        }
        word
    }

    /// Notes that it was given.
    pub(super) fn give(&self, device: DeviceId, approval: Approval) {
        self.words().insert(device, (approval.at, Word::Spent));
    }

    /// The device is none of ours any more.
    pub(super) fn forget(&self, device: &DeviceId) {
        self.words().remove(device);
    }

    fn words(&self) -> MutexGuard<'_, HashMap<DeviceId, (UnixMillis, Word)>> {
        // Every change is one of a whole entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::device::DevicePublicKey;
    use crate::store::keys::device::DeviceKey;

    #[test]
    fn our_word_is_given_once_for_each_approval() {
        let state = tempfile::tempdir().unwrap();
        let device = DevicePublicKey::parse(&DeviceKey::open(state.path()).unwrap().public_key()).unwrap().id();
        let approval = |at, token_at: Option<i64>| Approval { at: UnixMillis(at), token_at: token_at.map(UnixMillis) };
        let vouched = Vouched::default();
        let first = approval(5, None);
        assert_eq!(vouched.word(device, first), Word::Due);
        assert_eq!(vouched.word(device, first), Word::Due, "it failed, so it is tried again");
        vouched.give(device, first);
        for expected in [Word::Spent, Word::Told, Word::Told] {
            assert_eq!(vouched.word(device, first), expected);
        }
        assert_eq!(vouched.word(device, approval(8, Some(6))), Word::Due, "the owner approved it anew");

        let started_anew = Vouched::default();
        assert_eq!(started_anew.word(device, approval(5, Some(6))), Word::Spent, "the upstream gave it a token");
        assert_eq!(started_anew.word(device, approval(5, Some(6))), Word::Told);
        started_anew.forget(&device);
        assert!(started_anew.words().is_empty());
        assert_eq!(started_anew.word(device, approval(7, Some(6))), Word::Due);
    }
}
