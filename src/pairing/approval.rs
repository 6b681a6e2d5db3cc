//! Who decides: the owner at this machine, or a session with what it holds and no more.

use crate::pairing::device::DeviceId;
use crate::pairing::paired::PairedDevice;
use crate::protocol::call::CallError;
use crate::protocol::scope::Role;
use crate::protocol::scope::Scope;
use crate::protocol::scope::Scopes;

/// Who decides. Every decision takes one, so that no path can forget to ask.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Approver {
    /// The owner, at the admin socket.
    Owner,
    /// A session of the gateway protocol.
    Session {
        /// Its device; none for the owner's command line with the secret alone.
        device: Option<DeviceId>,
        /// What it was granted.
        scopes: Scopes,
    },
}

impl Approver {
    /// Whether it holds `scope`.
    pub fn holds(&self, scope: &Scope) -> bool {
        match self {
            Self::Owner => true,
            Self::Session { scopes, .. } => scopes.covers(scope),
        }
    }

    /// Whether it may see and decide about `device`: a device without `operator.admin` sees only itself.
    pub fn sees(&self, device: &DeviceId) -> bool {
        match self {
            Self::Owner => true,
            Self::Session { device: own, scopes } => {
                own.as_ref().is_none_or(|own| own == device) || scopes.covers(&Scope::ADMIN)
            }
        }
    }

    /// Whether it holds everything that concerns devices, whoever's they are.
    pub fn is_admin(&self) -> bool {
        self.holds(&Scope::ADMIN)
    }

    /// Whether it may manage `paired`, or a device of this id that is not paired: one that it sees. A device without
    /// `operator.admin` that is a node too is managed by others only.
    pub fn manages(&self, device: &DeviceId, paired: Option<&PairedDevice>) -> bool {
        let plain = || paired.is_none_or(|paired| !paired.grants.contains_key(&Role::Node));
        match self {
            Self::Session { device: Some(_), .. } if !self.is_admin() => self.sees(device) && plain(),
            Self::Owner | Self::Session { .. } => true,
        }
    }

    /// That it holds `operator.pairing`.
    ///
    /// # Errors
    /// [`CallError::ScopeMissing`].
    pub fn needs_pairing(&self) -> Result<(), CallError> {
        if self.holds(&Scope::PAIRING) { Ok(()) } else { Err(CallError::ScopeMissing(Scope::PAIRING)) }
    }

    /// That it may hand out `scopes` in `role`: nobody gives what they do not hold.
    ///
    /// # Errors
    /// [`CallError::ScopeMissing`] names the first it lacks.
    pub fn may_grant(&self, role: Role, scopes: &Scopes) -> Result<(), CallError> {
        if role != Role::Operator && !self.holds(&Scope::ADMIN) {
            return Err(CallError::ScopeMissing(Scope::ADMIN));
        }
        match scopes.iter().find(|scope| !self.grants(scope)) {
            Some(scope) => Err(CallError::ScopeMissing(scope.clone())),
            None => Ok(()),
        }
    }

    /// Scopes outside `operator.*` belong to nodes: who may approve a node may approve them.
    fn grants(&self, scope: &Scope) -> bool {
        self.holds(scope) || (!scope.as_str().starts_with("operator.") && self.holds(&Scope::ADMIN))
    }
}
