//! The conditions of a rule. All that are named must hold; what is named as a list holds if one of it does.

use crate::base::clock::UnixMillis;
use crate::identity::claims::IdentityClaim;
use crate::net::range::Ranges;
use crate::origin::Class;
use crate::pairing::rule::Facts;
use crate::pairing::rule::Group;
use crate::pairing::rule::Login;
use crate::pairing::rule::Window;
use crate::protocol::connect::ClientId;
use crate::protocol::scope::Role;

/// Conditions; none means always.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct When {
    /// Classes of callers.
    pub classes: Vec<Class>,
    /// Where the client's address lies. Who has none lies nowhere.
    pub cidr: Option<Ranges>,
    /// Names of listeners.
    pub listeners: Vec<String>,
    /// Whom somebody we trust must have verified.
    pub who: Option<Who>,
    /// The role that is asked for.
    pub role: Option<Role>,
    /// Programs, as they call themselves: no more than that.
    pub clients: Vec<ClientId>,
    /// When.
    pub window: Option<Window>,
}

/// What a condition comes to where nobody can say whether it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Doubt {
    /// It holds: what keeps people out may rest on a guess.
    Holds,
    /// It does not: what lets them in may not.
    Misses,
}

/// Verified people.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Who {
    /// Who verifies them.
    pub provider: String,
    /// Accounts; any if none is named.
    pub logins: Vec<Login>,
    /// Groups; any, and none, if none is named.
    pub groups: Vec<Group>,
}

/// Why a rule does not match.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Miss {
    /// The client has another address, or none.
    Address,
    /// Another class.
    Class,
    /// Another program.
    Client,
    /// The clock is not set, so nobody knows the time.
    ClockUnset,
    /// Another group.
    Group,
    /// Nobody told the groups.
    GroupsUnknown,
    /// The address may be anybody's.
    Hidden,
    /// Another listener.
    Listener,
    /// Another account.
    Login,
    /// Nobody verified who it is.
    Nobody,
    /// Somebody else verified who it is.
    Provider,
    /// Another role.
    Role,
    /// Another time.
    Time,
    /// Nobody can say who calls.
    Unattributed,
}

impl When {
    /// Whether they hold.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self, facts: &Facts<'_>, doubt: Doubt, now: UnixMillis) -> Result<(), Miss> {
        let Facts { origin, identity, role, client } = *facts;
        let among = |holds: bool, miss: Miss| if holds { Ok(()) } else { Err(miss) };
        among(self.classes.is_empty() || self.classes.contains(&origin.class), Miss::Class)?;
        if let Some(cidr) = &self.cidr {
            among(origin.ip.is_some_and(|ip| cidr.contains(ip)), Miss::Address)?;
        }
        among(self.listeners.is_empty() || self.listeners.contains(&origin.listener), Miss::Listener)?;
        if let Some(who) = &self.who {
            who.check(identity, doubt)?;
        }
        among(self.role.is_none_or(|meant| meant == role), Miss::Role)?;
        among(self.clients.is_empty() || self.clients.contains(&client), Miss::Client)?;
        let Some(window) = &self.window else { return Ok(()) };
        match window.is_open(now) {
            Some(open) => among(open, Miss::Time),
            None => among(doubt == Doubt::Holds, Miss::ClockUnset),
        }
    }

    /// Whether they speak of groups.
    pub(super) fn asks_for_groups(&self) -> bool {
        self.who.as_ref().is_some_and(|who| !who.groups.is_empty())
    }

    /// Whether they say where a call must come from.
    pub(super) fn names_a_place(&self) -> bool {
        !self.classes.is_empty() || self.cidr.is_some() || !self.listeners.is_empty()
    }
}

impl Who {
    fn check(&self, identity: Option<&IdentityClaim>, doubt: Doubt) -> Result<(), Miss> {
        let Some(identity) = identity else { return Err(Miss::Nobody) };
        if identity.provider != self.provider {
            return Err(Miss::Provider);
        }
        if !self.logins.is_empty() && !self.logins.iter().any(|login| login.is(&identity.login, doubt)) {
            return Err(Miss::Login);
        }
        let among = |holds: bool, miss: Miss| if holds { Ok(()) } else { Err(miss) };
        match &identity.groups {
            _ if self.groups.is_empty() => Ok(()),
            None => among(doubt == Doubt::Holds, Miss::GroupsUnknown),
            Some(names) => among(names.iter().any(|name| self.groups.iter().any(|group| group.is(name))), Miss::Group),
        }
    }
}
