//! A `connect` as it is remembered for whoever asks why: what it said, and what became of its credential, not that credential.

use crate::base::clock::UnixMillis;
use crate::base::limits::DECISION_SCOPES_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::limits::LOG_WORD_CHARS_MAX;
use crate::base::limits::SCOPE_CHARS_MAX;
use crate::base::printable::printable;
use crate::decisions;
use crate::decisions::Credential;
use crate::pairing::credential::Shared;
use crate::pairing::device::DeviceId;
use crate::pairing::rule::Ruled;
use crate::pairing::rule::Rules;
use crate::pairing::step::Connected;
use crate::pairing::step::Verdict;
use crate::protocol::connect::Auth;
use crate::protocol::connect::Client;
use crate::protocol::connect::Connect;
use crate::protocol::hello::AuthMethod;
use crate::protocol::refusal::Failure;
use crate::protocol::scope::Scope;

/// What is remembered of `connect` by `device`, whose shared secret was judged so, and of what came of it by `rules`.
pub(super) fn judged(
    connect: &Connect,
    device: Option<DeviceId>,
    shared: Shared,
    outcome: &Connected,
    rules: &Rules,
    at: UnixMillis,
) -> Box<decisions::Connect> {
    let admitted = outcome.outcome.as_ref().ok();
    Box::new(decisions::Connect {
        client: program(&connect.client),
        version: connect.version.number(),
        credential: credential(shared, &connect.auth, outcome),
        device: device.map(|device| device.to_string()),
        role: connect.role.as_str(),
        asked: shown(connect.scopes.set().iter()),
        granted: admitted.map(|admitted| shown(admitted.scopes.iter())).unwrap_or_default(),
        approved_via: admitted.and_then(|admitted| admitted.approved_via.as_ref()).map(ToString::to_string),
        ruled: outcome.effect.filter(|_| !rules.is_empty()).map(|effect| Ruled {
            rules: rules.clone(),
            at,
            role: connect.role,
            client: connect.client.id,
            effect,
        }),
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

fn credential(shared: Shared, auth: &Auth, outcome: &Connected) -> Credential {
    let past = matches!(&outcome.outcome, Ok(_) | Err(Failure::PairingRequired(_) | Failure::PendingFull(_)));
    match shared {
        Shared::Right(_) => Credential::Shared,
        _ if outcome.outcome.as_ref().is_ok_and(|admitted| admitted.method == AuthMethod::BootstrapToken) => {
            Credential::Setup
        }
        // It came past the credentials with none.
        _ if past && auth.is_empty() => Credential::Identity,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::pairing::paired::Issuer;
    use crate::pairing::step::Admitted;
    use crate::protocol::refusal::DeviceTokenHope;
    use crate::protocol::refusal::PendingLimit;
    use crate::protocol::refusal::Unauthorized;
    use crate::protocol::scope::Role;
    use crate::protocol::scope::Scopes;
    use crate::protocol::version::Audience;

    #[test]
    fn what_became_of_a_credential_is_told_in_each_case() {
        let auth = Auth { token: Some(Secret::new("some".to_owned())), ..Auth::default() };
        let refused = |reason| Err(Failure::Unauthorized { reason, audience: Audience::Other });
        let locked = Shared::Locked { retry_after_ms: 1 };
        let right = Shared::Right(AuthMethod::Token);
        for (shared, outcome, verdict, told) in [
            (right, admitted(AuthMethod::Token), Verdict::Right, Credential::Shared),
            (Shared::Right(AuthMethod::Password), Err(Failure::RoleInvalid), Verdict::Right, Credential::Shared),
            (right, admitted(AuthMethod::DeviceToken), Verdict::Right, Credential::Shared),
            (Shared::Missing, admitted(AuthMethod::DeviceToken), Verdict::Right, Credential::Device),
            // A token that was good stands beside a shared secret that was not, or was not looked at.
            (Shared::Wrong, admitted(AuthMethod::DeviceToken), Verdict::Right, Credential::Device),
            (locked, admitted(AuthMethod::DeviceToken), Verdict::Right, Credential::Device),
            (Shared::Missing, Err(Failure::PendingFull(PendingLimit::All)), Verdict::Right, Credential::Device),
            (locked, refused(Unauthorized::RateLimited { retry_after_ms: 1 }), Verdict::Unjudged, Credential::Locked),
            (Shared::Missing, refused(Unauthorized::TokenMissing), Verdict::Unjudged, Credential::Missing),
            (Shared::Missing, Err(Failure::RoleInvalid), Verdict::Unjudged, Credential::Missing),
            (Shared::Missing, refused(Unauthorized::DeviceTokenMismatch), Verdict::Wrong, Credential::Wrong),
            (
                Shared::Wrong,
                refused(Unauthorized::TokenMismatch { device_token: DeviceTokenHope::Spent }),
                Verdict::Wrong,
                Credential::Wrong,
            ),
        ] {
            let outcome = Connected { outcome, verdict, effect: None };
            assert_eq!(credential(shared, &auth, &outcome), told, "{shared:?} {outcome:?}");
        }
    }

    #[test]
    fn who_came_past_the_credentials_with_none_was_vouched_for() {
        for outcome in [admitted(AuthMethod::TrustedProxy), Err(Failure::PendingFull(PendingLimit::All))] {
            let outcome = Connected { outcome, verdict: Verdict::Unjudged, effect: None };
            assert_eq!(credential(Shared::Missing, &Auth::default(), &outcome), Credential::Identity);
        }
    }

    #[test]
    fn so_many_scopes_are_kept_and_no_more() {
        for (asked, kept) in
            [(DECISION_SCOPES_MAX, DECISION_SCOPES_MAX), (DECISION_SCOPES_MAX + 1, DECISION_SCOPES_MAX)]
        {
            let scopes: Vec<_> = (0..asked).map(|n| Scope::parse(&format!("operator.x{n}")).unwrap()).collect();
            assert_eq!(shown(scopes.iter()).len(), kept);
        }
    }

    fn admitted(method: AuthMethod) -> Result<Admitted, Failure> {
        let scopes = Scopes::default();
        Ok(Admitted {
            device: None,
            role: Role::Operator,
            scopes,
            method,
            token: None,
            other_tokens: Vec::new(),
            issuer: Issuer::Setup,
            approved_via: None,
        })
    }
}
