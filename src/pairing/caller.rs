//! Who is counted as one, wherever somebody can have too much of something.

use std::fmt;
use std::net::IpAddr;

use crate::identity::claims::OriginClaim;
use crate::net::addr::ClientKey;
use crate::net::addr::HouseholdKey;
use crate::net::addr::SiteKey;
use crate::origin::Class;

/// Under whose quota a caller counts. The owner at this machine stands apart from a service, a tunnel or a proxy there:
/// they have the same loopback address, and what strangers do behind it must not keep the owner out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallerKey {
    client: ClientKey,
    local: bool,
}

impl CallerKey {
    /// The client's if it is known, else that of the socket's other end. All of a tailnet lies in one /48, and all of a
    /// link in one /64: there an IPv6 address is one machine's, and what a guest does must not keep the owner out.
    pub fn of(origin: &OriginClaim) -> Self {
        let ip = origin.ip.unwrap_or(origin.peer);
        let on_link = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        // Of this class is only whom the tailnet itself vouched for; else a stranger could choose such addresses.
        let stands_alone = on_link || origin.class == Class::Tailnet;
        Self { client: if stands_alone { ClientKey::alone(ip) } else { ClientKey::of(ip) }, local: origin.local }
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

    #[test]
    fn each_machine_of_a_tailnet_and_of_a_link_is_a_caller_of_its_own() {
        for (guest, owner, class, apart) in [
            ("fd7a:115c:a1e0::8", "fd7a:115c:a1e0::7", "tailnet", true),
            ("fd7a:115c:a1e0::8", "fd7a:115c:a1e0::7", "private", false),
            ("fe80::8", "fe80::7", "private", true),
            ("2001:db8::8", "2001:db8::7", "public", false),
            ("fd00::8", "fd00::7", "private", false),
        ] {
            let key = |ip: &str| {
                let claim = serde_json::json!({
                    "kind": "ip", "ip": ip, "class": class, "local": false, "peer": ip, "listener": "web",
                    "source": "peer", "via": [],
                });
                CallerKey::of(&serde_json::from_value(claim).unwrap())
            };
            let (guest, owner) = (key(guest), key(owner));
            assert_eq!(guest != owner, apart, "{guest} {class}");
            assert_eq!((owner.household().is_none(), owner.site().is_none()), (apart, apart), "{owner} {class}");
        }
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
