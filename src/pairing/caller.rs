//! Who is counted as one, wherever somebody can have too much of something.

use std::fmt;

use crate::identity::claims::OriginClaim;
use crate::net::addr::ClientKey;
use crate::net::addr::HouseholdKey;
use crate::net::addr::SiteKey;

/// Under whose quota a caller counts. The owner at this machine stands apart from a service, a tunnel or a proxy there:
/// they have the same loopback address, and what strangers do behind it must not keep the owner out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallerKey {
    client: ClientKey,
    local: bool,
}

impl CallerKey {
    /// The client's if it is known, else that of the socket's other end.
    pub fn of(origin: &OriginClaim) -> Self {
        Self { client: ClientKey::of(origin.ip.unwrap_or(origin.peer)), local: origin.local }
    }

    /// Whether it is the owner's own, at this machine.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The home's network that it lies in, where it is one of IPv6.
    pub fn household(&self) -> Option<HouseholdKey> {
        self.client.household().filter(|_| !self.local)
    }

    /// The network of the customer it belongs to, where there is one.
    pub fn site(&self) -> Option<SiteKey> {
        self.client.site().filter(|_| !self.local)
    }
}

impl fmt::Display for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local { write!(f, "local {}", self.client) } else { self.client.fmt(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_never_counted_with_a_stranger_at_his_address() {
        let (owner, tunnel) = (CallerKey::owner(), CallerKey::stranger([127, 0, 0, 1]));
        assert_ne!(owner, tunnel);
        assert_ne!(owner.to_string(), tunnel.to_string());
    }

    impl CallerKey {
        /// A caller from elsewhere.
        pub(crate) fn stranger(ip: impl Into<std::net::IpAddr>) -> Self {
            Self { client: ClientKey::of(ip.into()), local: false }
        }

        /// The owner, at this machine.
        pub(crate) fn owner() -> Self {
            Self { local: true, ..Self::stranger([127, 0, 0, 1]) }
        }
    }
}
