//! Which refusals of WebSockets the owner reads in the log with what to do about them, in the words of [`why`].

use crate::decisions::why;
use crate::protocol::refusal::Failure;

/// What the owner can do about a refusal; none where nobody need do anything, or where another line says it.
pub(super) fn next_step(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::ConnectExpected
        | Failure::ConnectInvalid(_)
        | Failure::DeviceRequired { .. }
        | Failure::PendingFull(_)
        | Failure::Proof(_)
        | Failure::ProtocolMismatch { .. }
        | Failure::RoleInvalid
        | Failure::Unauthorized { .. } => Some(why::of(failure.reason()).owner),
        // A request that waits was told when it came; the rest is of no use to the owner.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::refusal::ProofFault;
    use crate::protocol::refusal::UiFamily;

    #[test]
    fn what_may_puzzle_the_owner_has_a_next_step_and_noise_has_none() {
        for ui in [UiFamily::Member, UiFamily::Stranger] {
            assert!(next_step(&Failure::DeviceRequired { ui }).is_some());
        }
        assert!(next_step(&Failure::Proof(ProofFault::SignatureStale)).unwrap().contains("clock"));
        for noise in [Failure::ConnectLate, Failure::FrameUnreadable, Failure::Restart, Failure::PayloadTooLarge] {
            assert_eq!(next_step(&noise), None, "{noise:?}");
        }
    }
}
