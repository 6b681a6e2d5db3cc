//! How an order shows that the names are ours: which challenge is answered, with what, and why a CA was not content.

use std::collections::{HashMap, HashSet};

use instant_acme::{AuthorizationStatus, AuthorizedIdentifier, ChallengeStatus, Error, Order};

use crate::certificates::acme::ChallengeKind;
use crate::certificates::acme::account::insist;
use crate::certificates::acme::challenge::Answer;
use crate::certificates::acme::failure::{AcmeError, Reason};
use crate::certificates::acme::order::Job;
use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::unreachable::Unreachable;
use crate::certificates::acme::wire::Wire;
use crate::net::host::Host;

impl Job<'_> {
    /// An order has one authorization for each name; more of them would be asked for and kept one by one.
    pub(super) fn check_size(&self, order: &mut Order) -> Result<(), AcmeError> {
        match order.state().authorizations.len() > self.settings.names.len() {
            true => Err(Unreachable::Strange("an order with more authorizations than names".to_owned()).into()),
            false => Ok(()),
        }
    }

    /// Puts up the answer to one challenge for each name that is not proven yet, and tells the CA.
    pub(super) async fn prove(
        &self,
        order: &mut Order,
        wire: &Wire,
        attempt: u32,
    ) -> Result<HashMap<String, Answer>, AcmeError> {
        let kinds = rotated(&self.settings.challenges, attempt);
        let (mut answers, mut told, mut fault) = (HashMap::new(), HashSet::new(), None);
        let told_all = insist(wire, async || {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                let host = self.own_name(&authorization.identifier())?.host();
                let offers =
                    |kind: &ChallengeKind| authorization.challenges.iter().any(|one| one.r#type == (*kind).into());
                let Some(kind) = kinds.iter().copied().find(offers) else {
                    fault = Some(AcmeError::NoChallenge(host));
                    return Err(Error::Str("no challenge"));
                };
                let Some(mut challenge) = authorization.challenge(kind.into()) else { continue };
                let url = challenge.url.clone();
                if !answers.contains_key(&url) {
                    let answer = self.answer(kind, &host, &challenge.token, &challenge.key_authorization());
                    match answer {
                        Ok(answer) => drop(answers.insert(url.clone(), answer)),
                        Err(error) => {
                            fault = Some(error);
                            return Err(Error::Str("no answer"));
                        }
                    }
                }
                if challenge.status == ChallengeStatus::Pending && !told.contains(&url) {
                    challenge.set_ready().await?;
                    told.insert(url);
                }
            }
            Ok(())
        });
        let told_all = told_all.await;
        match fault {
            Some(fault) => Err(fault),
            None => told_all.map(|()| answers),
        }
    }

    /// The configured name that the CA means; we answer for no other.
    fn own_name(&self, identifier: &AuthorizedIdentifier<'_>) -> Result<Subject, Error> {
        Subject::of(identifier)
            .filter(|name| self.settings.names.contains(name))
            .ok_or(Error::Str("a name of ours in an authorization"))
    }

    fn answer(
        &self,
        kind: ChallengeKind,
        host: &Host,
        token: &str,
        authorization: &instant_acme::KeyAuthorization,
    ) -> Result<Answer, AcmeError> {
        match kind {
            ChallengeKind::Http01 => Ok(self.challenges.answer_http(host, token, authorization.as_str())),
            ChallengeKind::TlsAlpn01 => {
                let digest = <[u8; 32]>::try_from(authorization.digest().as_ref());
                // Never an error: SHA-256 has 32 bytes.
                let digest = digest.map_err(|_| AcmeError::Unusable("digest".to_owned()))?;
                Ok(self.challenges.answer_tls(host, digest)?)
            }
        }
    }

    /// Why an order came to nothing: the first challenge that the CA was not content with.
    pub(super) async fn verdict(&self, order: &mut Order, wire: &Wire) -> AcmeError {
        if let Err(error) = self.check_size(order) {
            return error;
        }
        let mut found = None;
        let looked = insist(wire, async || {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                authorization.refresh().await?;
                let host = self.own_name(&authorization.identifier())?.host();
                let kinds = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
                for kind in kinds {
                    let asked = authorization.challenges.iter().find(|one| one.r#type == kind.into());
                    if let Some(problem) = asked.and_then(|one| one.error.as_ref()) {
                        found = Some(AcmeError::refused(problem, Some((host, kind))));
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        let looked = looked.await;
        let order_says = order.state().error.as_ref().map(|problem| AcmeError::refused(problem, None));
        let unknown = AcmeError::Refused { reason: Reason::Other, detail: String::new(), looked: None };
        found.or(order_says).or(looked.err()).unwrap_or(unknown)
    }
}

/// Another challenge first at each attempt: where one port is closed the other may be open.
fn rotated(kinds: &[ChallengeKind], attempt: u32) -> Vec<ChallengeKind> {
    let mut kinds = kinds.to_vec();
    let by = usize::try_from(attempt).unwrap_or(0).checked_rem(kinds.len()).unwrap_or(0);
    kinds.rotate_left(by);
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_begins_with_another_challenge() {
        let both = [ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
        assert_eq!(rotated(&both, 0), both);
        assert_eq!(rotated(&both, 1), [ChallengeKind::TlsAlpn01, ChallengeKind::Http01]);
        assert_eq!(rotated(&both, 2), both);
        assert_eq!(rotated(&both[..1], 7), both[..1]);
    }
}
