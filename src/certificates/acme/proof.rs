//! How an order shows that the names are ours: which challenge is answered, with what, and why a CA was not content.

use std::collections::HashSet;

use instant_acme::{AuthorizationStatus, AuthorizedIdentifier, ChallengeStatus, Error, KeyAuthorization, Order};

use crate::certificates::acme::ChallengeKind;
use crate::certificates::acme::account::insist;
use crate::certificates::acme::challenge::Answer;
use crate::certificates::acme::dns::publish::{Publisher, Value};
use crate::certificates::acme::failure::{AcmeError, Reason};
use crate::certificates::acme::order::Job;
use crate::certificates::acme::subject::Subject;
use crate::certificates::acme::unreachable::Unreachable;
use crate::certificates::acme::wire::Wire;
use crate::net::host::Host;

/// What stands at our ports until this is dropped.
pub(super) type Answers = Vec<Answer>;

/// A challenge that we answer.
struct Question {
    kind: ChallengeKind,
    host: Host,
    url: String,
    token: String,
    authorization: KeyAuthorization,
}

impl Job<'_> {
    /// An order has one authorization for each name; more of them would be asked for and kept one by one.
    pub(super) fn check_size(&self, order: &mut Order) -> Result<(), AcmeError> {
        match order.state().authorizations.len() > self.settings.names.len() {
            true => Err(Unreachable::Strange("an order with more authorizations than names".to_owned()).into()),
            false => Ok(()),
        }
    }

    /// Puts up the answer to one challenge for each name that is not proven yet, waits until each can be seen, and tells the
    /// CA. What stands in the DNS then is noted on disk, and the caller's to withdraw.
    pub(super) async fn prove(&self, order: &mut Order, wire: &Wire, attempt: u32) -> Result<Answers, AcmeError> {
        let asked = self.asked(order, wire, attempt).await?;
        let (mut answers, mut values) = (Answers::new(), Vec::new());
        for question in &asked {
            let text = question.authorization.as_str();
            answers.extend(match question.kind {
                ChallengeKind::Http01 => Some(self.challenges.answer_http(&question.host, &question.token, text)),
                ChallengeKind::TlsAlpn01 => {
                    let digest = <[u8; 32]>::try_from(question.authorization.digest().as_ref());
                    // Never an error: SHA-256 has 32 bytes.
                    let digest = digest.map_err(|_| AcmeError::Unusable("digest".to_owned()))?;
                    Some(self.challenges.answer_tls(&question.host, digest)?)
                }
                ChallengeKind::Dns01 => {
                    let text = question.authorization.dns_value();
                    values.push(Value { host: question.host.to_string(), text });
                    None
                }
            });
        }
        if let Some(settings) = self.settings.dns.as_ref().filter(|_| !values.is_empty()) {
            let publisher = Publisher { settings, id: self.id, kept: self.kept, clock: self.clock };
            publisher.publish(&values).await?;
        }
        let mut told = HashSet::new();
        let tell = async || {
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                let is_here = |question: &&Question| authorization.challenges.iter().any(|one| one.url == question.url);
                let Some(question) = asked.iter().find(is_here) else { continue };
                let Some(mut challenge) = authorization.challenge(question.kind.into()) else { continue };
                if challenge.status == ChallengeStatus::Pending && !told.contains(&question.url) {
                    challenge.set_ready().await?;
                    told.insert(question.url.clone());
                }
            }
            Ok(())
        };
        insist(wire, tell).await.map(|()| answers)
    }

    /// The challenge to answer for each name that is not proven yet.
    async fn asked(&self, order: &mut Order, wire: &Wire, attempt: u32) -> Result<Vec<Question>, AcmeError> {
        let kinds = rotated(&self.settings.challenges, attempt);
        let (mut asked, mut fault) = (Vec::new(), None);
        let looked = insist(wire, async || {
            asked.clear();
            let mut authorizations = order.authorizations();
            while let Some(authorization) = authorizations.next().await {
                let mut authorization = authorization?;
                if authorization.status != AuthorizationStatus::Pending {
                    continue;
                }
                let subject = self.own_name(&authorization.identifier())?;
                let fits = |kind: &ChallengeKind| {
                    kind.suits(&subject) && authorization.challenges.iter().any(|one| one.r#type == (*kind).into())
                };
                let Some(kind) = kinds.iter().copied().find(fits) else {
                    fault = Some(AcmeError::NoChallenge(subject.host()));
                    return Err(Error::Str("no challenge"));
                };
                let Some(challenge) = authorization.challenge(kind.into()) else { continue };
                asked.push(Question {
                    kind,
                    host: subject.host(),
                    url: challenge.url.clone(),
                    token: challenge.token.clone(),
                    authorization: challenge.key_authorization(),
                });
            }
            Ok(())
        });
        let looked = looked.await;
        match fault {
            Some(fault) => Err(fault),
            None => looked.map(|()| asked),
        }
    }

    /// The configured name that the CA means; we answer for no other.
    fn own_name(&self, identifier: &AuthorizedIdentifier<'_>) -> Result<Subject, Error> {
        Subject::of(identifier)
            .filter(|name| self.settings.names.contains(name))
            .ok_or(Error::Str("a name of ours in an authorization"))
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
                let kinds = [ChallengeKind::Dns01, ChallengeKind::Http01, ChallengeKind::TlsAlpn01];
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
