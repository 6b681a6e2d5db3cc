//! Who may reach what of the upstream over HTTP.
//!
//! Promise: whatever goes up was let through by [`judge`]; the secret alone, from elsewhere, reaches nothing by which
//! something is done; and no device reaches by our token what it was not granted.

use crate::core::upstream::Mode;
use crate::core::upstream::resource::Resource;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// What a request says of who sent it, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Credential {
    /// Nothing that we read.
    Absent,
    /// The token of a paired device.
    Device {
        /// As what it was given.
        role: Role,
        /// For what.
        scopes: Scopes,
    },
    /// Not looked at: too many wrong ones came from there.
    Locked {
        /// When the next may be tried.
        retry_after_ms: u64,
    },
    /// The gateway's secret.
    Secret,
    /// Neither.
    Wrong,
}

/// Whose page sent the request.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Page {
    /// No page says so.
    Absent,
    /// One of another site.
    Foreign,
    /// One of ours, or one that the configuration allows.
    Ours,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    /// Anywhere else.
    Elsewhere,
    /// The owner, at this machine.
    Here,
}

/// What is known of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// What it asks for.
    pub resource: Resource,
    /// Whether the configuration opens its path to its method.
    pub opened: Opened,
    /// Whose page sent it.
    pub page: Page,
    /// Where it comes from.
    pub place: Place,
    /// What it says of its sender.
    pub credential: Credential,
    /// How we present ourselves to the upstream.
    pub mode: Mode,
}

/// Whether an owner's rule opens the path.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Opened {
    /// No rule does.
    No,
    /// One does.
    Yes,
}

/// Leave to go up.
///
/// Invariant: made by [`judge`] alone. Our token goes up with an admitted request and with no other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Passage(Way);

/// In which way a request goes up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Way {
    /// Its sender is known, and may do this much.
    Admitted(Scopes),
    /// As it came, for the upstream to judge, but for what is a credential of ours.
    Open(Bearer),
    /// Anybody's: without anything that tells who sent it.
    Public(Resource),
}

/// What becomes of the credential of a request on an open path.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Bearer {
    /// Nobody's whom we know: the upstream's to judge.
    Kept,
    /// Ours, and by it nothing is admitted here: none of the upstream's business.
    Removed,
}

impl Passage {
    /// In which way.
    pub fn way(&self) -> &Way {
        &self.0
    }
}

/// Why a request does not go up.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Denial {
    /// It says nothing of its sender.
    CredentialMissing,
    /// It is neither the secret nor a device's token.
    CredentialWrong,
    /// The secret came from elsewhere, where it needs a device beside it.
    DeviceMissing,
    /// Too many wrong ones came from there.
    Locked {
        /// When the next may be tried.
        retry_after_ms: u64,
    },
    /// A node's token, where an operator's is needed.
    OperatorMissing,
    /// A page of another site.
    PageForeign,
    /// A device that was not granted as much.
    ScopeMissing,
}

/// What a request says of its sender need be looked at only for this.
pub fn asks_who(resource: Resource, opened: Opened) -> bool {
    match opened {
        Opened::Yes => true,
        // One that says who sends it means perhaps more than the page.
        Opened::No => !matches!(resource, Resource::Asset | Resource::Document),
    }
}

/// Decides about one request.
///
/// # Errors
/// [`Denial`].
pub fn judge(facts: Facts) -> Result<Passage, Denial> {
    if facts.opened == Opened::No {
        return judge_closed(facts);
    }
    if facts.page == Page::Foreign {
        return Err(Denial::PageForeign);
    }
    // A token of ours that the upstream does not know would count there as a guess of ours.
    let bearer = match &facts.credential {
        Credential::Absent | Credential::Locked { .. } | Credential::Wrong => Bearer::Kept,
        Credential::Device { .. } | Credential::Secret => Bearer::Removed,
    };
    let open = Passage(Way::Open(bearer));
    let admitted = judge_closed(facts).ok().filter(|passage| matches!(passage.way(), Way::Admitted(_)));
    Ok(admitted.unwrap_or(open))
}

/// Decides as if no rule opened the path.
fn judge_closed(facts: Facts) -> Result<Passage, Denial> {
    let Facts { resource, opened: _, page, place, credential, mode } = facts;
    let public = Passage(Way::Public(resource));
    match (resource, &credential) {
        (Resource::Asset | Resource::Document, _) | (Resource::Place, Credential::Absent) => return Ok(public),
        _ if page == Page::Foreign => return Err(Denial::PageForeign),
        _ => {}
    }
    let scopes = match credential {
        Credential::Absent => return Err(Denial::CredentialMissing),
        Credential::Wrong => return Err(Denial::CredentialWrong),
        Credential::Locked { retry_after_ms } => return Err(Denial::Locked { retry_after_ms }),
        Credential::Secret if place == Place::Here => owner(),
        Credential::Secret if resource == Resource::Personal => Scopes::from_iter([Scope::READ]),
        Credential::Secret => return Err(Denial::DeviceMissing),
        Credential::Device { scopes, .. } if resource == Resource::Personal => scopes,
        Credential::Device { role: Role::Node, .. } => return Err(Denial::OperatorMissing),
        Credential::Device { scopes, role: Role::Operator } => {
            if !scopes.covers(&needed(resource, mode)) {
                return Err(Denial::ScopeMissing);
            }
            scopes
        }
    };
    Ok(Passage(Way::Admitted(scopes)))
}

/// What a device must hold. An upstream takes our token for its owner's word, whatever the device behind it may do: so only
/// who may do everything does anything by it. One that trusts us as its proxy is told the scopes, and keeps to them.
fn needed(resource: Resource, mode: Mode) -> Scope {
    match (resource, mode) {
        (Resource::Reading, _) | (_, Mode::TrustedProxy) => Scope::READ,
        (_, Mode::Backend | Mode::Device) => Scope::ADMIN,
    }
}

/// Whoever has the secret, at this machine, is the owner.
fn owner() -> Scopes {
    Scopes::from_iter([Scope::ADMIN])
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCES: [Resource; 6] =
        [Resource::Asset, Resource::Document, Resource::Place, Resource::Personal, Resource::Reading, Resource::Rest];
    const MODES: [Mode; 3] = [Mode::Backend, Mode::Device, Mode::TrustedProxy];

    /// Every combination there is, each with what came of it.
    fn all() -> Vec<(Facts, Result<Passage, Denial>)> {
        let mut found = Vec::new();
        for resource in RESOURCES {
            for opened in [Opened::No, Opened::Yes] {
                for page in [Page::Absent, Page::Foreign, Page::Ours] {
                    for place in [Place::Elsewhere, Place::Here] {
                        for credential in credentials() {
                            for mode in MODES {
                                let credential = credential.clone();
                                let facts = Facts { resource, opened, page, place, credential, mode };
                                found.push((facts.clone(), judge(facts)));
                            }
                        }
                    }
                }
            }
        }
        found
    }

    #[test]
    fn each_combination_has_the_outcome_that_the_table_says() {
        use Credential as C;
        use Resource as R;
        for (facts, outcome) in all() {
            let Facts { resource, opened, page, place, credential, mode } = facts.clone();
            let may = match (resource, &credential) {
                _ if opened == Opened::Yes => page != Page::Foreign,
                (R::Asset | R::Document, _) | (R::Place, C::Absent) => true,
                _ if page == Page::Foreign => false,
                (_, C::Absent | C::Wrong | C::Locked { .. }) => false,
                (R::Personal, _) => true,
                (_, C::Secret) => place == Place::Here,
                (_, C::Device { role: Role::Node, .. }) => false,
                (_, C::Device { scopes, .. }) => {
                    let reads = scopes.covers(&Scope::READ);
                    scopes.covers(&Scope::ADMIN) || (reads && (resource == R::Reading || mode == Mode::TrustedProxy))
                }
            };
            assert_eq!(outcome.is_ok(), may, "{facts:?}");
        }
    }

    #[test]
    fn our_token_goes_up_for_nobody_but_whom_we_know() {
        for (facts, outcome) in all() {
            let Ok(passage) = outcome else { continue };
            let known = matches!(facts.credential, Credential::Device { .. } | Credential::Secret);
            match passage.way() {
                Way::Admitted(scopes) => {
                    assert!(known && facts.page != Page::Foreign, "{facts:?}");
                    let closed = Facts { opened: Opened::No, ..facts.clone() };
                    assert_eq!(judge(closed).as_ref(), Ok(&passage), "an open path admits nobody else");
                    if let Credential::Device { scopes: granted, .. } = &facts.credential {
                        assert_eq!(scopes, granted, "{facts:?}");
                    }
                }
                Way::Open(bearer) => {
                    let expected = if known { Bearer::Removed } else { Bearer::Kept };
                    assert_eq!((facts.opened, *bearer), (Opened::Yes, expected), "{facts:?}");
                }
                Way::Public(resource) => {
                    assert!(resource.is_anybodys() && facts.opened == Opened::No && *resource == facts.resource);
                }
            }
        }
    }

    #[test]
    fn the_secret_alone_from_elsewhere_does_nothing() {
        let refused: Vec<_> = all()
            .into_iter()
            .filter(|(facts, outcome)| facts.credential == Credential::Secret && *outcome == Err(Denial::DeviceMissing))
            .map(|(facts, _)| (facts.resource, facts.place))
            .collect();
        for resource in [Resource::Place, Resource::Reading, Resource::Rest] {
            assert!(refused.contains(&(resource, Place::Elsewhere)), "{resource:?}");
        }
        assert!(refused.iter().all(|(_, place)| *place == Place::Elsewhere));
    }

    #[test]
    fn each_denial_names_its_cause() {
        let denial = |resource, page, credential| {
            let (opened, place, mode) = (Opened::No, Place::Elsewhere, Mode::Device);
            judge(Facts { resource, opened, page, place, credential, mode }).unwrap_err()
        };
        let device = |role, scope| Credential::Device { role, scopes: Scopes::from_iter([scope]) };
        for (page, credential, expected) in [
            (Page::Absent, Credential::Absent, Denial::CredentialMissing),
            (Page::Absent, Credential::Wrong, Denial::CredentialWrong),
            (Page::Absent, Credential::Locked { retry_after_ms: 7 }, Denial::Locked { retry_after_ms: 7 }),
            (Page::Absent, Credential::Secret, Denial::DeviceMissing),
            (Page::Absent, device(Role::Node, Scope::ADMIN), Denial::OperatorMissing),
            (Page::Absent, device(Role::Operator, Scope::WRITE), Denial::ScopeMissing),
            (Page::Absent, device(Role::Operator, Scope::READ), Denial::ScopeMissing),
            (Page::Foreign, device(Role::Operator, Scope::ADMIN), Denial::PageForeign),
            (Page::Foreign, Credential::Absent, Denial::PageForeign),
        ] {
            assert_eq!(denial(Resource::Rest, page, credential.clone()), expected, "{credential:?}");
        }
        assert_eq!(
            denial(Resource::Reading, Page::Absent, device(Role::Operator, Scope::PAIRING)),
            Denial::ScopeMissing
        );
    }

    #[test]
    fn nobodys_credential_is_looked_at_for_what_anybody_gets() {
        for resource in RESOURCES {
            assert!(asks_who(resource, Opened::Yes), "a credential of ours must not go up");
            let expected = !matches!(resource, Resource::Asset | Resource::Document);
            assert_eq!(asks_who(resource, Opened::No), expected, "{resource:?}");
        }
        // What is decided without a look at it does not depend on it.
        for (facts, outcome) in all() {
            if !asks_who(facts.resource, facts.opened) {
                let blind = Facts { credential: Credential::Absent, ..facts.clone() };
                assert_eq!(outcome, judge(blind), "{facts:?}");
            }
        }
    }

    fn credentials() -> Vec<Credential> {
        let grants = [Scope::READ, Scope::WRITE, Scope::PAIRING, Scope::ADMIN].map(|scope| Scopes::from_iter([scope]));
        let grants = grants.into_iter().chain([Scopes::NONE]);
        let of_role = |role| grants.clone().map(move |scopes| Credential::Device { role, scopes });
        let devices = of_role(Role::Operator).chain(of_role(Role::Node));
        let others =
            [Credential::Absent, Credential::Secret, Credential::Wrong, Credential::Locked { retry_after_ms: 1 }];
        others.into_iter().chain(devices).collect()
    }
}
