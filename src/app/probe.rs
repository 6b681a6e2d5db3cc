//! The self-probe of a port that is to be published on the host's loopback only: dialled from inside, on every address
//! of the host that our container networks have. Only a refusal at each of them proves it closed: a firewall that drops
//! our packets may let a stranger's pass.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::base::limits::{PROBE_ADDRESSES_MAX, PROBE_HEARD_WAIT, PROBE_WAIT};
use crate::listener;
use crate::listener::knock::Knocks;
use crate::origin::Network;
use crate::origin::container::Users;
use crate::origin::exposure::{Answer, Answerer, Dial, Exposure};

/// The ports that `listeners` say are published on loopback only.
pub(super) fn published<'a>(listeners: impl IntoIterator<Item = &'a listener::Settings>) -> Vec<u16> {
    listeners.into_iter().filter_map(|listener| listener.origin.local.published_port()).collect()
}

/// What a probe came to.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Probed {
    pub(super) exposure: Exposure,
    pub(super) dials: Vec<Dial>,
}

/// How far `port` of the host reaches, seen from a container with this `network`.
pub(super) async fn probe(network: &Network, port: u16, knocks: &Knocks) -> Probed {
    if network.users() == Users::Mapped {
        return Probed { exposure: Exposure::Unprovable, dials: Vec::new() };
    }
    reach(network.host_addresses(), port, knocks).await
}

/// How far `port` reaches by what each of `hosts` says, seen from the network beside it.
async fn reach(hosts: Vec<(IpAddr, IpNet)>, port: u16, knocks: &Knocks) -> Probed {
    let mut dials = Vec::new();
    let exposure = dial_all(hosts, port, knocks, &mut dials).await;
    Probed { exposure, dials }
}

async fn dial_all(hosts: Vec<(IpAddr, IpNet)>, port: u16, knocks: &Knocks, dials: &mut Vec<Dial>) -> Exposure {
    let mut found = if hosts.is_empty() { Exposure::NoHost } else { Exposure::Closed };
    for (host, from) in hosts {
        let at = SocketAddr::new(host, port);
        if dials.len() >= PROBE_ADDRESSES_MAX {
            return Exposure::Unproven { at, from };
        }
        let answer = dial(at, knocks).await;
        dials.push(Dial { at, answer });
        match answer {
            Answer::Answered(by) => return Exposure::Open { at, by },
            Answer::Refused => {}
            Answer::Unclear => found = Exposure::Unproven { at, from },
        }
    }
    found
}

async fn dial(at: SocketAddr, knocks: &Knocks) -> Answer {
    // Awaited before the dial: our listener may have the connection before we know of it.
    let Ok(word) = knocks.expect() else { return Answer::Unclear };
    let stream = match timeout(PROBE_WAIT, TcpStream::connect(at)).await {
        Ok(Ok(stream)) => stream,
        failed => {
            // Nobody will say the word: while it is awaited, our listeners wait for the first bytes of every caller.
            knocks.end();
            return match failed {
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Answer::Refused,
                // No route, a firewall's "prohibited", no descriptor: none of these says that others are refused.
                _ => Answer::Unclear,
            };
        }
    };
    let knocked = timeout(PROBE_HEARD_WAIT, knock(stream, &word)).await;
    // Whoever took the connection answers; that it was ourselves only makes the log surer.
    let heard = knocks.end();
    Answer::Answered(if knocked.is_ok() && heard { Answerer::Ourselves } else { Answerer::Somebody })
}

/// Says a word that only this process knows, and waits for the end: our own listener hangs up on it.
async fn knock(mut stream: TcpStream, word: &[u8]) {
    if stream.write_all(word).await.is_ok() {
        let _ = stream.read(&mut [0]).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::origin::container::Container;
    use crate::origin::link::{Link, LinkKind};

    fn free_port() -> (std::net::TcpListener, SocketAddr) {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        (taken, at)
    }

    #[tokio::test]
    async fn a_refusal_proves_it_closed_and_any_answer_open() {
        let knocks = Knocks::default();
        let (taken, at) = free_port();
        drop(taken);
        assert_eq!(dial(at, &knocks).await, Answer::Refused);
        let (_taken, at) = free_port();
        assert_eq!(dial(at, &knocks).await, Answer::Answered(Answerer::Somebody), "a backlog is an answer");
    }

    #[tokio::test]
    async fn no_word_is_awaited_after_a_refusal() {
        let knocks = Knocks::default();
        let (taken, closed) = free_port();
        drop(taken);
        assert_eq!(dial(closed, &knocks).await, Answer::Refused);
        let (listener, at) = free_port();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let _silent = TcpStream::connect(at).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let heard = timeout(PROBE_WAIT, knocks.hear(&stream)).await;
        assert_eq!(heard.unwrap().unwrap(), crate::listener::knock::Heard::Other);
    }

    #[tokio::test]
    async fn our_own_listener_is_known_by_the_word() {
        let knocks = Knocks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let ear = knocks.clone();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            ear.hear(&stream).await.unwrap()
        });
        assert_eq!(dial(at, &knocks).await, Answer::Answered(Answerer::Ourselves));
        assert_eq!(server.await.unwrap(), crate::listener::knock::Heard::Knock);
    }

    #[tokio::test]
    async fn hosts_that_were_not_dialled_prove_nothing() {
        let (taken, closed) = free_port();
        drop(taken);
        let network: IpNet = "127.0.0.0/8".parse().unwrap();
        let host = |n: usize| (IpAddr::from([127, 0, 0, u8::try_from(n).unwrap()]), network);
        let mut hosts: Vec<_> = (1..=PROBE_ADDRESSES_MAX).map(host).collect();
        assert_eq!(reach(hosts.clone(), closed.port(), &Knocks::default()).await.exposure, Exposure::Closed);
        hosts.push(host(PROBE_ADDRESSES_MAX + 1));
        let at = SocketAddr::new(hosts[PROBE_ADDRESSES_MAX].0, closed.port());
        let found = reach(hosts, closed.port(), &Knocks::default()).await.exposure;
        assert_eq!(found, Exposure::Unproven { at, from: network });
    }

    #[tokio::test]
    async fn a_rootless_runtime_proves_nothing_by_refusing() {
        let links =
            [Link { name: "eth0".to_owned(), kind: LinkKind::Veth, addresses: vec!["172.17.0.2/16".parse().unwrap()] }];
        let network =
            Network::new(["172.17.0.1".parse::<IpAddr>().unwrap()], 0).with_links(&links, Some(Container::Mount));
        let rootless = network.with_users(Users::of("0 1000 1\n1 100000 65536\n"));
        assert_eq!(probe(&rootless, 1, &Knocks::default()).await.exposure, Exposure::Unprovable);
    }

    #[tokio::test]
    async fn each_dial_and_its_answer_is_told() {
        let (taken, at) = free_port();
        let hosts = |ips: &[&str]| ips.iter().map(|ip| (ip.parse().unwrap(), "127.0.0.0/8".parse().unwrap())).collect();
        let dialled = async |hosts| {
            let mut dials = Vec::new();
            let exposure = dial_all(hosts, at.port(), &Knocks::default(), &mut dials).await;
            (exposure, dials)
        };
        let refused = |ip: &str| Dial { at: SocketAddr::new(ip.parse().unwrap(), at.port()), answer: Answer::Refused };
        let by = Answerer::Somebody;
        let answered = Dial { at, answer: Answer::Answered(by) };
        let found = dialled(hosts(&["127.0.0.2", "127.0.0.1", "127.0.0.3"])).await;
        assert_eq!(found, (Exposure::Open { at, by }, vec![refused("127.0.0.2"), answered]));
        drop(taken);
        let found = dialled(hosts(&["127.0.0.2", "127.0.0.3"])).await;
        assert_eq!(found, (Exposure::Closed, vec![refused("127.0.0.2"), refused("127.0.0.3")]));
    }

    #[tokio::test]
    async fn without_a_host_to_dial_nothing_is_proven() {
        let found = probe(&Network::new(["127.0.0.1".parse::<IpAddr>().unwrap()], 0), 1, &Knocks::default()).await;
        assert_eq!(found, Probed { exposure: Exposure::NoHost, dials: Vec::new() });
    }
}
