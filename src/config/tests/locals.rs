//! Who may count as sitting at this machine.

use super::*;
use crate::base::limits::LOCAL_PEERS_MAX;

#[test]
fn as_many_local_peers_as_may_be_are_taken() {
    let rule = format!("local = \"published-loopback\"\npublished_port = 1\nlocal_peers = {}", peers(LOCAL_PEERS_MAX));
    let config = parse(&outside(&rule)).unwrap();
    let LocalRule::PublishedLoopback { peers, .. } = &config.listeners[0].origin.local else { panic!("{config:#?}") };
    assert_eq!(peers.len(), LOCAL_PEERS_MAX);
}

fn peers(count: usize) -> String {
    let peers: Vec<_> = (1..=count).map(|last| format!("192.168.65.{last}")).collect();
    format!("{peers:?}")
}

pub(super) fn refusals() -> Vec<(String, Expected)> {
    let inside = |rest: &str| format!("[[listener]]\nbind = [\"127.0.0.1:1\", \"[::1]:1\"]\n{rest}");
    let published = |rest: &str| outside(&format!("local = \"published-loopback\"\npublished_port = 1\n{rest}"));
    vec![
        (outside("local = «\"loopback\"»"), |f| matches!(f, Fault::LocalNeedsLoopback(_))),
        (outside("local = «\"published-loopback\"»"), |f| matches!(f, Fault::Missing { key: "published_port" })),
        (outside("published_port = «1»"), |f| matches!(f, Fault::Useless { key: "published_port", .. })),
        (outside("local_peers = «[\"192.168.65.1\"]»"), |f| matches!(f, Fault::Useless { key: "local_peers", .. })),
        (outside("local = \"published-loopback\"\npublished_port = «0»"), |f| matches!(f, Fault::Number { .. })),
        (outside("local = \"published-loopback\"\npublished_port = 1\nlocal_peers = [«\"10.0.0.0/8\"»]"), |f| {
            matches!(f, Fault::LocalPeer(_))
        }),
        (inside("local = «\"published-loopback\"»\npublished_port = 1"), |f| {
            matches!(f, Fault::PublishedNeedsOutside)
        }),
        (outside("local_uids = «[33]»"), |f| matches!(f, Fault::Useless { .. })),
        (inside("local = \"loopback\"\nlocal_uids = [33, «-1»]"), |f| matches!(f, Fault::Number { .. })),
        (
            inside("local = «\"loopback\"»\nproxy_protocol = \"required\"\nproxy_protocol_from = [\"127.0.0.1\"]"),
            |f| matches!(f, Fault::LocalBehindProxy),
        ),
        (published("local_peers = [\"192.168.65.1\", «\"127.0.0.1\"»]"), |f| matches!(f, Fault::LocalPeer(_))),
        (published("local_peers = [«\"::ffff:127.0.0.1\"»]"), |f| matches!(f, Fault::LocalPeer(_))),
        (published("local_peers = [«\"0.0.0.0\"»]"), |f| matches!(f, Fault::LocalPeer(_))),
        (published(&format!("local_peers = «{}»", peers(LOCAL_PEERS_MAX + 1))), |f| {
            matches!(f, Fault::TooMany { key: "local_peers", max: LOCAL_PEERS_MAX })
        }),
        (published("local_uids = «[33]»"), |f| matches!(f, Fault::Useless { key: "local_uids", .. })),
        (
            format!(
                "{}\n[[listener]]\nbind = [\"10.0.0.1:2\"]\nlocal = \"published-loopback\"\npublished_port = «1»",
                published("")
            ),
            |f| matches!(f, Fault::NamedTwice(_)),
        ),
        (
            outside(
                "local = «\"published-loopback\"»\npublished_port = 1\nproxy_protocol = \"required\"\nproxy_protocol_from = [\"10.0.0.2\"]",
            ),
            |f| matches!(f, Fault::LocalBehindProxy),
        ),
    ]
}
