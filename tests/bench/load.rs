//! The load: keep-alive requests by wrk, full handshakes, and sockets that stay open. Only ever against this machine.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::caller::Caller;
use crate::gateway_client::{Ask, Device, Outcome, call, connect, upgrade};
use crate::program;
use crate::server::{Server, Site};

/// At once, below the number of sockets that one client may have before `hello-ok`.
const AT_ONCE: usize = 16;

/// Requests by wrk over 32 kept connections; how many were answered, all of them with 200.
pub(crate) fn requests(site: &Site<'_>, server: &Server<'_>, time: Duration) -> f64 {
    let wrk = program::installed("wrk", "wrk");
    let mut command = site.machine.command(&wrk);
    command.args(["-t1", "-c32", &format!("-d{}s", time.as_secs())]);
    let output = program::run(command.arg(format!("https://{}/doorward/whoami", server.requests())));
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!words.contains("Non-2xx"), "{:?}: {words}", server.kind);
    let line = words.lines().find(|line| line.contains(" requests in ")).unwrap_or_else(|| panic!("{words}"));
    line.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{words}"))
}

/// Full TLS handshakes, without resumption, eight at a time.
pub(crate) fn handshakes(site: &Site<'_>, server: &Server<'_>, count: usize) {
    let caller = Caller::trusting(&server.requests(), &server.authority(site));
    site.machine.block_on(move || async move {
        let mut config = Arc::unwrap_or_clone(caller.tls().expect("it trusts an authority"));
        config.resumption = Resumption::disabled();
        let connector = TlsConnector::from(Arc::new(config));
        let mut running = JoinSet::new();
        for _ in 0..count {
            if running.len() >= 8 {
                running.join_next().await.expect("eight are running").expect("a handshake failed");
            }
            let (connector, address) = (connector.clone(), caller.address());
            running.spawn(async move {
                let socket = TcpStream::connect(address).await.expect("a connection");
                let name = ServerName::IpAddress(address.ip().into());
                connector.connect(name, socket).await.expect("a handshake");
            });
        }
        running.join_all().await;
    });
}

/// A device that doorward knows already, so that what is measured is a known device's return; nobody for a proxy.
pub(crate) fn introduction(site: &Site<'_>, server: &Server<'_>) -> Option<(Device, Ask)> {
    let ask = Ask::operator(&server.token()?);
    let device = Device::new();
    let caller = Caller::trusting(&server.sockets(), &server.authority(site));
    call(site.machine, &caller, &device, ask.clone()).refused();
    server.approve(&device.id());
    Some((device, ask))
}

/// Sockets held open by a thread of their own until they are released.
#[derive(Debug)]
pub(crate) struct Held {
    release: tokio::sync::oneshot::Sender<()>,
    gone: mpsc::Receiver<()>,
}

impl Held {
    pub(crate) fn release(self) {
        let _ = self.release.send(());
        let _ = self.gone.recv_timeout(Duration::from_secs(30));
    }
}

/// Opens that many WebSockets and holds them; comes back when all are open.
pub(crate) fn hold_sockets(
    site: &Site<'_>,
    server: &Server<'_>,
    introduction: Option<(Device, Ask)>,
    count: usize,
) -> Held {
    let caller = Caller::trusting(&server.sockets(), &server.authority(site));
    let (release, released) = tokio::sync::oneshot::channel();
    let (opened, all_open) = mpsc::channel();
    let (end, gone) = mpsc::channel();
    let hold = async move {
        let mut running = JoinSet::new();
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            if running.len() >= AT_ONCE {
                held.push(running.join_next().await.expect("some are running").expect("a socket failed"));
            }
            let (caller, introduction) = (caller.clone(), introduction.clone());
            running.spawn(async move { one(&caller, introduction).await });
        }
        held.extend(running.join_all().await);
        opened.send(()).expect("somebody waits");
        let _ = released.await;
        drop(held);
        let _ = end.send(());
    };
    site.machine.spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(hold);
    });
    all_open.recv_timeout(Duration::from_secs(120)).expect("all sockets open in time");
    Held { release, gone }
}

/// One socket: to `hello-ok` at doorward, to the 101 at a proxy.
async fn one(caller: &Caller, introduction: Option<(Device, Ask)>) -> Box<dyn Send> {
    match introduction {
        Some((device, ask)) => match connect(caller, Some(&device), &ask).await {
            Outcome::Hello(session) => session,
            other => panic!("{other:?}"),
        },
        None => Box::new(upgrade(caller, &Ask::operator("")).await.expect("an upgrade")),
    }
}
