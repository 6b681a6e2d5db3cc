//! A `connect` as it is remembered for whoever asks why: what it said, and what became of its credential, not that credential.

use crate::base::limits::DECISION_SCOPES_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::LOG_WORD_CHARS_MAX;
use crate::base::limits::SCOPE_CHARS_MAX;
use crate::base::printable::printable;
use crate::decisions;
use crate::decisions::Credential;
use crate::pairing::credential::Shared;
use crate::pairing::device::DeviceId;
use crate::pairing::step::Connected;
use crate::pairing::step::Verdict;
use crate::protocol::connect::Client;
use crate::protocol::connect::Connect;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Scope;

/// What is remembered of `connect` by `device`, whose shared secret was judged so, and of what came of it.
pub(super) fn judged(
    connect: &Connect,
    device: Option<DeviceId>,
    shared: Shared,
    outcome: &Connected,
) -> Box<decisions::Connect> {
    let admitted = outcome.outcome.as_ref().ok();
    Box::new(decisions::Connect {
        client: program(&connect.client),
        version: connect.version.number(),
        credential: credential(shared, outcome),
        device: device.map(|device| device.to_string()),
        role: connect.role.as_str(),
        asked: shown(connect.scopes.set().iter()),
        granted: admitted.map(|admitted| shown(admitted.scopes.iter())).unwrap_or_default(),
        approved_via: admitted.and_then(|admitted| admitted.approved_via).map(|via| via.as_str()),
        request_id: match &outcome.outcome {
            Err(Failure::PairingRequired(waiting)) => Some(waiting.request_id.clone()),
            Ok(_) | Err(_) => None,
        },
    })
}

fn program(client: &Client) -> String {
    let version = printable(&client.version, LOG_WORD_CHARS_MAX);
    let platform = printable(&client.platform, LOG_WORD_CHARS_MAX);
    let said = format!("{}/{} {version} {platform}", client.id.as_str(), client.mode.as_str());
    said.chars().take(LABEL_CHARS_MAX).collect()
}

fn shown<'a>(scopes: impl Iterator<Item = &'a Scope>) -> Vec<String> {
    scopes.take(DECISION_SCOPES_MAX).map(|scope| printable(&scope.to_string(), SCOPE_CHARS_MAX)).collect()
}

fn credential(shared: Shared, outcome: &Connected) -> Credential {
    let past = matches!(&outcome.outcome, Ok(_) | Err(Failure::PairingRequired(_) | Failure::PendingFull(_)));
    match shared {
        Shared::Right(_) => Credential::Shared,
        // It came past the credentials without the shared one: by its own token.
        _ if past || outcome.outcome.as_ref().is_ok_and(|admitted| admitted.method == AuthMethod::DeviceToken) => {
            Credential::Device
        }
        Shared::Locked { .. } => Credential::Locked,
        Shared::Missing if outcome.verdict == Verdict::Wrong => Credential::Wrong,
        Shared::Missing => Credential::Missing,
        Shared::Wrong => Credential::Wrong,
    }
}
