//! What the tests of trust share: a container that joined a network later, in a range that a listener trusts already.

use super::Network;
use super::container::Container;
use super::link::Link;
use super::link::LinkKind;

/// Behind which [`joined`] hides strangers.
pub(crate) const GATEWAY: &str = "10.0.0.1";

/// A container on 10.0.0.0/24.
pub(crate) fn joined() -> Network {
    let addresses = vec!["10.0.0.2/24".parse().unwrap()];
    let link = Link { name: "eth0".to_owned(), kind: LinkKind::Veth, addresses };
    Network::new([GATEWAY.parse().unwrap()], 990).with_links(&[link], Some(Container::Mount))
}
