//! Every way in which a socket is refused has its text; the edge and the core ask the same of theirs.

use super::*;
use crate::protocol::refusal::DeviceTokenHope;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::refusal::PairingRequired;
use crate::protocol::refusal::PendingLimit;
use crate::protocol::refusal::ProofFault;
use crate::protocol::refusal::Retry;
use crate::protocol::refusal::UiFamily;
use crate::protocol::refusal::Unauthorized;
use crate::protocol::schema::Faults;
use crate::protocol::scope::Role;
use crate::protocol::version::Audience;
use crate::protocol::version::Version;

#[test]
fn every_way_to_refuse_a_socket_has_its_text() {
    let mut words = Vec::new();
    for failure in std::iter::successors(Some(Failure::AuthChanged), after) {
        assert_eq!(of(failure.reason()).reason, failure.reason());
        words.push(failure.reason());
    }
    assert_eq!(words.len(), 32);
    for why in connect::CONNECT {
        assert!(words.contains(&why.reason), "no refusal says {}", why.reason);
    }
}

#[test]
fn texts_are_whole_sentences_and_hold_nothing_that_moves() {
    for why in [http::HTTP, connect::CONNECT].into_iter().flatten().chain([&GENERAL]) {
        for text in [why.what, why.caller, why.owner] {
            assert!(text.len() > 8 && text.ends_with('.') && !text.contains(['<', '>', '&', '"', '{']), "{why:?}");
        }
    }
    assert!(std::ptr::eq(of("anything"), of("else")));
}

/// Each leads to the next, so that none is left out: whoever adds one is asked here.
fn after(failure: &Failure) -> Option<Failure> {
    let audience = Audience::Other;
    let unauthorized = |reason| Failure::Unauthorized { reason, audience };
    Some(match failure {
        Failure::AuthChanged => Failure::ConnectExpected,
        Failure::ConnectExpected => Failure::ConnectInvalid(Faults::default()),
        Failure::ConnectInvalid(_) => Failure::ConnectLate,
        Failure::ConnectLate => Failure::DeviceRemoved,
        Failure::DeviceRemoved => Failure::DeviceRequired { ui: UiFamily::Stranger },
        Failure::DeviceRequired { .. } => Failure::FrameInvalid,
        Failure::FrameInvalid => Failure::FramesQueued,
        Failure::FramesQueued => Failure::FrameUnreadable,
        Failure::FrameUnreadable => Failure::Internal,
        Failure::Internal => Failure::MessageTooLarge,
        Failure::MessageTooLarge => Failure::NotWebSocket { code: 1002 },
        Failure::NotWebSocket { .. } => Failure::PayloadTooLarge,
        Failure::PayloadTooLarge => pairing_required(),
        Failure::PairingRequired(_) => Failure::PendingFull(PendingLimit::All),
        Failure::PendingFull(_) => Failure::PongLate,
        Failure::PongLate => Failure::Proof(ProofFault::IdMismatch),
        Failure::Proof(ProofFault::IdMismatch) => Failure::Proof(ProofFault::NonceMismatch),
        Failure::Proof(ProofFault::NonceMismatch) => Failure::Proof(ProofFault::NonceMissing),
        Failure::Proof(ProofFault::NonceMissing) => Failure::Proof(ProofFault::PublicKeyInvalid),
        Failure::Proof(ProofFault::PublicKeyInvalid) => Failure::Proof(ProofFault::SignatureInvalid),
        Failure::Proof(ProofFault::SignatureInvalid) => Failure::Proof(ProofFault::SignatureStale),
        Failure::Proof(ProofFault::SignatureStale) => Failure::ProtocolMismatch { minimum: 1, maximum: 2 },
        Failure::ProtocolMismatch { .. } => Failure::Restart,
        Failure::Restart => Failure::RoleInvalid,
        Failure::RoleInvalid => Failure::SlowConsumer,
        Failure::SlowConsumer => unauthorized(Unauthorized::BootstrapTokenInvalid),
        Failure::Unauthorized { reason, .. } => match reason {
            Unauthorized::BootstrapTokenInvalid => unauthorized(Unauthorized::DeviceTokenMismatch),
            Unauthorized::DeviceTokenMismatch => unauthorized(Unauthorized::RateLimited { retry_after_ms: 1 }),
            Unauthorized::RateLimited { .. } => {
                unauthorized(Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Spent })
            }
            Unauthorized::TokenMismatch { .. } => unauthorized(Unauthorized::TokenMissing),
            Unauthorized::TokenMissing => Failure::UnauthorizedCalls,
        },
        Failure::UnauthorizedCalls => return None,
    })
}

fn pairing_required() -> Failure {
    let waiting = PairingRequired {
        reason: PairingReason::NotPaired,
        request_id: "r-1".to_owned(),
        device_id: "d-1".to_owned(),
        role: Role::Operator,
        scopes: Vec::new(),
        approved: None,
        retry: Retry::Manual,
    };
    let failure = Failure::PairingRequired(Box::new(waiting));
    assert!(failure.error(Version::V3).is_some());
    failure
}
