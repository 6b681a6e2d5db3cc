//! Promise: one honest address is not held back, and want of descriptors neither spins nor ends us.

use std::fs;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::caller::Caller;
use crate::support::instance::{Instance, OWNERS};
use crate::support::lan::{HOUSEHOLD, Household};
use crate::support::namespace::Namespace;
use crate::support::program;

const WAIT: Duration = Duration::from_secs(30);

#[test]
fn one_address_may_hold_64_busy_connections() {
    const CONNECTIONS: usize = 64;
    const REQUESTS: usize = 20;
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    home.lan.block_on(move || async move {
        let mut streams = join_all((0..CONNECTIONS).map(|_| shake_hands(&caller))).await;
        for _ in 0..REQUESTS {
            join_all(streams.iter_mut().map(|stream| async {
                say(stream, b"GET /doorward/whoami HTTP/1.1\r\nHost: 10.77.0.1\r\n\r\n").await;
                let mut answer = vec![0; 4096];
                let bytes = timeout(WAIT, stream.read(&mut answer)).await.unwrap().unwrap();
                let answer = String::from_utf8_lossy(&answer[..bytes]);
                assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("10.77.0.2"), "{answer}");
            }))
            .await;
        }
    });
}

#[test]
fn one_address_may_shake_hands_3000_times_at_once() {
    const HANDSHAKES: usize = 3_000;
    /// So many are open together; the test's own descriptors end above that.
    const AT_ONCE: usize = 300;
    let home = Household::new();
    let doorward = Instance::start(&home.host, HOUSEHOLD);
    let caller = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    home.lan.block_on(move || async move {
        for _ in 0..HANDSHAKES / AT_ONCE {
            let mut streams = join_all((0..AT_ONCE).map(|_| shake_hands(&caller))).await;
            // The server is done with a handshake when it answers.
            join_all(streams.iter_mut().map(|stream| async {
                say(stream, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
                let mut answer = [0; 12];
                timeout(WAIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
                assert_eq!(&answer, b"HTTP/1.1 200");
            }))
            .await;
        }
    });
}

#[test]
fn want_of_descriptors_does_not_spin_and_passes() {
    const CALLERS: usize = 200;
    let machine = Namespace::new();
    let instance = Instance::start(&machine, OWNERS);
    let id = instance.id();
    let (_, idle) = spent_in(id, Duration::from_secs(2));
    let held = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let prlimit = program::installed("prlimit", "util-linux");
    let limit = format!("--nofile={0}:{0}", held + 20);
    program::run(Command::new(prlimit).arg(format!("--pid={id}")).arg(limit));
    let callers: Vec<StdTcpStream> =
        machine.on(|| (0..CALLERS).map(|_| StdTcpStream::connect("127.0.0.1:18789").unwrap()).collect());
    let (took, starved) = spent_in(id, Duration::from_secs(2));
    // A loop that spins takes what the machine gives it, even next to other work far more than this.
    assert!(starved < idle + took / 5, "{starved:?} of processor time in {took:?}; when idle {idle:?}");
    drop(callers);
    let start = Instant::now();
    let caller = Caller::plain("127.0.0.1:18789");
    let status = machine.on(move || caller.get("/healthz", &[]).unwrap().status);
    assert_eq!(status, 200);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert!(instance.log().contains("cannot accept connections"), "{}", instance.log());
}

/// A new connection, with a handshake in full.
async fn shake_hands(caller: &Caller) -> TlsStream<TcpStream> {
    let address: SocketAddr = caller.address();
    let connector = TlsConnector::from(Arc::clone(&caller.tls().unwrap()));
    let shaken = timeout(WAIT, async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        connector.connect(ServerName::IpAddress(address.ip().into()), stream).await
    });
    shaken.await.expect("no handshake in time").unwrap()
}

/// Writes and flushes: TLS keeps what the runtime lets it not write at once.
async fn say(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

/// Waits about so long: how long it was, and the processor time that a process spent meanwhile.
fn spent_in(id: u32, wait: Duration) -> (Duration, Duration) {
    let (start, before) = (Instant::now(), processor_time(id));
    std::thread::sleep(wait);
    (start.elapsed(), processor_time(id) - before)
}

/// User and system time of a process, in the kernel's hundredths of a second.
fn processor_time(id: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}
