//! Every way in which a socket is refused has its text; the edge and the core ask the same of theirs.

use std::time::Duration;

use super::*;
use crate::base::limits::BODY_BYTES_MAX;
use crate::base::limits::CONNECT_WAIT;
use crate::base::limits::HEAD_BYTES_MAX;
use crate::base::limits::HEAD_LINES_MAX;
use crate::base::limits::LOCKOUT;
use crate::base::limits::SIGNED_AT_SKEW_MS;
use crate::certificates::client_auth::ClientCertificateFault;
use crate::listener::caps::CapError;
use crate::listener::connection::ConnectionError;
use crate::net::host::HostError;
use crate::protocol::refusal::ClientRefused;
use crate::protocol::refusal::DeviceTokenHope;
use crate::protocol::refusal::Failure;
use crate::protocol::refusal::PairingReason;
use crate::protocol::refusal::PairingRequired;
use crate::protocol::refusal::PendingLimit;
use crate::protocol::refusal::ProofFault;
use crate::protocol::refusal::Retry;
use crate::protocol::refusal::UiFamily;
use crate::protocol::refusal::Unauthorized;
use crate::protocol::refusal::Upstream;
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
    assert_eq!(words.len(), 45);
    for why in connect::CONNECT {
        assert!(words.contains(&why.reason), "no refusal says {}", why.reason);
    }
}

#[test]
fn every_way_to_come_to_no_request_has_its_text() {
    let io = || std::io::Error::other("x");
    let mut words = Vec::new();
    for error in [
        ConnectionError::Cap(CapError::Client),
        ConnectionError::ClientCertificate(ClientCertificateFault::Absent),
        ConnectionError::Deadline,
        ConnectionError::PlainHttp,
        ConnectionError::PlainText,
        ConnectionError::ProxyHeaderTooLong,
        ConnectionError::ProxySender,
        ConnectionError::Sni(HostError::Name),
        ConnectionError::Tls(io()),
        ConnectionError::Unconfigured,
        ConnectionError::UnknownName("x.example".to_owned()),
    ] {
        let reason = error.reason().unwrap();
        assert_eq!(of(reason).reason, reason);
        words.push(reason);
    }
    for why in greeting::GREETING {
        assert!(words.contains(&why.reason), "no connection ends by {}", why.reason);
    }
    for passing in [ConnectionError::Io(io()), ConnectionError::Knock, ConnectionError::UnknownAlpn] {
        assert_eq!(passing.reason(), None, "{passing}: nobody wonders about it");
    }
}

#[test]
fn texts_are_whole_sentences_and_hold_nothing_that_moves() {
    for why in [http::HTTP, connect::CONNECT, greeting::GREETING].into_iter().flatten().chain([&GENERAL]) {
        for text in [why.what, why.caller, why.owner] {
            assert!(text.len() > 8 && text.ends_with('.') && !text.contains(['<', '>', '&', '"', '{']), "{why:?}");
        }
    }
    assert!(std::ptr::eq(of("anything"), of("else")));
    assert!(greeting::GREETING.is_sorted_by_key(|why| why.reason));
}

#[test]
fn a_number_in_a_text_is_the_limit_that_holds() {
    let seconds = |wait: Duration| wait.as_secs();
    let limits = [
        ("body-too-large", "64 KiB", BODY_BYTES_MAX as u64 / 1_024),
        ("device-signature-stale", "two minutes", SIGNED_AT_SKEW_MS.unsigned_abs() / 60_000),
        ("head-too-large", "64 KiB", HEAD_BYTES_MAX as u64 / 1_024),
        ("rate_limited", "five minutes", seconds(LOCKOUT) / 60),
        ("too-many-headers", "100 header", HEAD_LINES_MAX as u64),
        ("too-many-sockets", "ten seconds", seconds(CONNECT_WAIT)),
    ];
    let mut told = Vec::new();
    for why in [http::HTTP, connect::CONNECT, greeting::GREETING].into_iter().flatten().chain([&GENERAL]) {
        for text in [why.what, why.caller, why.owner] {
            for pair in text.split([' ', '.', ',', ':']).collect::<Vec<_>>().windows(2) {
                let (number, unit) = (pair[0], pair[1]);
                let is_unit = ["KiB", "header", "minutes", "seconds"].contains(&unit);
                let is_number = ["two", "five", "ten", "64", "100"].contains(&number);
                // One header by its name is none of many.
                let is_name = unit == "header" && !number.starts_with(|first: char| first.is_ascii_digit());
                let is_none = is_name || ["few", "broken"].contains(&number);
                assert!(!is_unit || is_number || is_none, "which limit is this? {text}");
                if is_unit && is_number {
                    told.push((why.reason, format!("{number} {unit}")));
                }
            }
        }
    }
    told.sort();
    told.dedup();
    let expected: Vec<_> = limits.iter().map(|(reason, words, _)| (*reason, (*words).to_owned())).collect();
    assert_eq!(told, expected);
    for (reason, words, limit) in limits {
        let number = match words.split(' ').next().unwrap() {
            "two" => 2,
            "five" => 5,
            "ten" => 10,
            digits => digits.parse().unwrap(),
        };
        assert_eq!(limit, number, "{reason}: {words}");
    }
    let spoken: Vec<i64> = (0..100).filter(|number| Version::negotiate(*number, *number).is_some()).collect();
    assert!(spoken == [3, 4] && of("protocol_mismatch").owner.contains("Versions 3 and 4"));
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
        Failure::PayloadTooLarge => Failure::PairingRefused,
        Failure::PairingRefused => pairing_required(),
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
            Unauthorized::DeviceTokenMismatch => unauthorized(Unauthorized::InviteInvalid),
            Unauthorized::InviteInvalid => unauthorized(Unauthorized::RateLimited { retry_after_ms: 1 }),
            Unauthorized::RateLimited { .. } => {
                unauthorized(Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Spent })
            }
            Unauthorized::TokenMismatch { .. } => unauthorized(Unauthorized::TokenMissing),
            Unauthorized::TokenMissing => Failure::UnauthorizedCalls,
        },
        Failure::UnauthorizedCalls => Failure::Upstream(Upstream::NodeApproved),
        Failure::Upstream(Upstream::NodeApproved) => Failure::Upstream(Upstream::NodeLater),
        Failure::Upstream(Upstream::NodeLater) => Failure::Upstream(Upstream::NodeRefused),
        Failure::Upstream(Upstream::NodeRefused) => Failure::Upstream(Upstream::NodeTokens),
        Failure::Upstream(Upstream::NodeTokens) => Failure::Upstream(Upstream::NodeUnknown),
        Failure::Upstream(Upstream::NodeUnknown) => Failure::Upstream(Upstream::Refuses),
        Failure::Upstream(Upstream::Refuses) => Failure::Upstream(Upstream::Silent),
        Failure::Upstream(Upstream::Silent) => Failure::Upstream(Upstream::Starting),
        Failure::Upstream(Upstream::Starting) => Failure::Upstream(Upstream::Unreachable),
        Failure::Upstream(Upstream::Unreachable) => {
            let refused = ClientRefused { message: "reload".to_owned(), details: serde_json::Map::new() };
            Failure::Upstream(Upstream::Client(Box::new(refused)))
        }
        Failure::Upstream(Upstream::Client(_)) => Failure::UpstreamLost,
        Failure::UpstreamLost => return None,
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
