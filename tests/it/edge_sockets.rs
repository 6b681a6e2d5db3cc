//! Promise: a WebSocket that was let in lives until somebody ends it, however many there are and however quiet they
//! are; and when we stop, each is told so in time.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, Session, connect};
use crate::support::instance::{Instance, owners_and};
use crate::support::namespace::Namespace;

/// The time in which the sockets are told, one by one.
const EDGE: &str = "[edge]\ndrain_seconds = 6\n";

#[test]
fn five_thousand_sockets_all_live() {
    const SOCKETS: usize = 5_000;
    /// At most so many are on their way at once: the core lets 32 of one client wait for their hello.
    const AT_ONCE: usize = 16;
    let machine = Namespace::new();
    let instance = Instance::start(&machine, &owners_and(EDGE));
    let token = instance.token();
    machine.block_on(move || async move {
        let device = Device::new();
        let (all_open, opened) = tokio::sync::watch::channel(false);
        let mut living = tokio::task::JoinSet::new();
        let mut sessions = open(&device, &token, 1).await;
        while living.len() < SOCKETS {
            for mut session in sessions.drain(..) {
                let mut opened = opened.clone();
                // Each answers its pings while the others come: on a slow machine that takes longer than a ping's patience.
                living.spawn(async move {
                    session.listen(async move { drop(opened.wait_for(|opened| *opened).await) }).await;
                    session.call("health", serde_json::json!({})).await.unwrap();
                });
            }
            sessions = open(&device, &token, AT_ONCE.min(SOCKETS - living.len())).await;
        }
        all_open.send(true).unwrap();
        living.join_all().await;
    });
    assert!(!instance.log().contains("panicked"), "{}", instance.log());
}

#[test]
fn a_quiet_socket_outlives_seventy_seconds() {
    let machine = Namespace::new();
    let instance = Instance::start(&machine, &owners_and(EDGE));
    let (token, authority) = (instance.token(), instance.authority());
    machine.block_on(move || async move {
        let device = Device::new();
        let mut sessions = Vec::new();
        for caller in [Caller::plain("127.0.0.1:18789"), Caller::trusting("127.0.0.1:18789", &authority)] {
            sessions.push(connect(&caller, Some(&device), &Ask::operator(&token)).await.hello());
        }
        let quiet = Duration::from_secs(75);
        futures_util::future::join_all(sessions.iter_mut().map(|session| session.listen(tokio::time::sleep(quiet))))
            .await;
        for session in &mut sessions {
            session.call("health", serde_json::json!({})).await.unwrap();
        }
    });
}

#[test]
fn at_the_end_every_socket_is_told_and_nobody_new_gets_in() {
    let machine = Namespace::new();
    let mut instance = Instance::start(&machine, &owners_and(EDGE));
    let token = instance.token();
    let (all_in, ready) = std::sync::mpsc::channel();
    let (closes, refused, took, status) = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            machine.block_on(move || async move {
                let mut sessions = open(&Device::new(), &token, 16).await;
                let last = sessions.pop().unwrap();
                all_in.send(()).unwrap();
                let mut closes = vec![last.closed().await];
                let refused = TcpStream::connect("127.0.0.1:18789").is_err();
                closes.extend(futures_util::future::join_all(sessions.into_iter().map(Session::closed)).await);
                (closes, refused)
            })
        });
        ready.recv().unwrap();
        let start = Instant::now();
        let status = instance.stop();
        let (closes, refused) = waiting.join().unwrap();
        (closes, refused, start.elapsed(), status)
    });
    assert!(status.success(), "{status} {}", instance.log());
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(refused, "still listening while draining");
    assert!(closes.iter().all(|close| *close == (1012, "service restart".to_owned())), "{closes:?}");
    assert_eq!(closes.len(), 16);
}

/// So many sessions of one device, on their way at the same time.
async fn open(device: &Device, token: &str, sockets: usize) -> Vec<Session> {
    let caller = Caller::plain("127.0.0.1:18789");
    let ask = Ask::operator(token);
    let outcomes = futures_util::future::join_all((0..sockets).map(|_| connect(&caller, Some(device), &ask))).await;
    outcomes.into_iter().map(|outcome| outcome.hello()).collect()
}
