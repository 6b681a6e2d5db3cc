//! What the owner reads in the log when a WebSocket was refused: the reason, and what to do about it.

use crate::protocol::refusal::Failure;
use crate::protocol::refusal::ProofFault;
use crate::protocol::refusal::UiFamily;
use crate::protocol::refusal::Unauthorized;

/// What the owner can do about a refusal; none where nobody need do anything, or where another line says it.
pub(super) fn next_step(failure: &Failure) -> Option<&'static str> {
    Some(match failure {
        Failure::ConnectExpected | Failure::ConnectInvalid(_) | Failure::RoleInvalid => {
            "this client speaks the gateway protocol otherwise: update it"
        }
        Failure::DeviceRequired { ui: UiFamily::Member } => {
            "open the page over https or on localhost: elsewhere a browser makes no device key"
        }
        Failure::DeviceRequired { ui: UiFamily::Stranger } => {
            "only on this machine a client may come without a device; `openclaw system presence` sends one"
        }
        Failure::PendingFull(_) => "`doorward devices list` shows what waits; approve or reject it",
        Failure::Proof(ProofFault::SignatureStale) => "compare the client's clock with this machine's",
        Failure::Proof(_) => "update the client, or let it make a new device key and approve that",
        Failure::ProtocolMismatch { .. } => {
            "versions 3 and 4 of the gateway protocol are spoken here: update the client"
        }
        Failure::Unauthorized { reason, .. } => match reason {
            Unauthorized::BootstrapTokenInvalid => "give the client the gateway token: `doorward token show`",
            Unauthorized::DeviceTokenMismatch => "its token was replaced or revoked: connect it with the gateway token",
            Unauthorized::RateLimited { .. } => "too many wrong secrets came from there: wait, then use the right one",
            Unauthorized::TokenMismatch { .. } | Unauthorized::TokenMissing => "`doorward token show` prints the token",
        },
        // A request that waits was told when it came; the rest is of no use to the owner.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
