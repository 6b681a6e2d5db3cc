//! Peers side by side: doorward, nginx and HAProxy do the same work in one interleaved run, on one machine of its own.
//! A table comes out, not a verdict. `tests/bench/run` prepares and starts it.
#![expect(dead_code, reason = "the rigs of tests/it hold more than a bench needs")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench that cannot go on says why and ends"
)]

mod backend;
#[path = "../it/support/caller.rs"]
mod caller;
#[path = "../it/support/gateway_client.rs"]
mod gateway_client;
#[path = "../it/support/instance.rs"]
mod instance;
mod load;
mod measure;
#[path = "../it/support/namespace.rs"]
mod namespace;
#[path = "../it/support/peer.rs"]
mod peer;
#[path = "../it/support/program.rs"]
mod program;
mod server;
mod table;

use std::time::Duration;

use namespace::Namespace;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use server::{Server, Site};
use table::{Row, Table};

const ROUNDS: usize = 5;
const SOCKET_ROUNDS: usize = 3;
const SOCKETS: usize = 5_000;
const HANDSHAKES: usize = 1_000;
const REQUEST_TIME: Duration = Duration::from_secs(3);
/// A proxy holds two for each socket.
const DESCRIPTORS: u64 = 12_000;

fn main() {
    if std::env::args().any(|argument| argument == "backend") {
        return backend::run();
    }
    let allowed = getrlimit(Resource::Nofile).maximum;
    assert!(allowed.is_none_or(|allowed| allowed >= DESCRIPTORS), "needs {DESCRIPTORS} open files: ulimit -Hn");
    setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }).unwrap();
    let machine = Namespace::new();
    let site = Site::new(&machine);
    let mut table = Table::default();
    start_and_rest(&site, &mut table);
    requests_and_handshakes(&site, &mut table);
    sockets(&site, &mut table);
    print!("{}", table.markdown());
}

/// Time to listening and memory at rest, with state and certificate already there.
fn start_and_rest(site: &Site<'_>, table: &mut Table) {
    for round in 0..ROUNDS {
        for kind in server::shuffled(round) {
            let (server, listening) = Server::start_timed(site, kind);
            table.add(Row::Listening, kind, listening.as_secs_f64() * 1_000.0);
            std::thread::sleep(Duration::from_millis(500));
            table.add(Row::MemoryAtRest, kind, measure::memory_kib(server.processes()) / 1_024.0);
        }
    }
}

/// CPU of every process that the answer needs: the proxy and, behind nginx and HAProxy, the backend.
fn requests_and_handshakes(site: &Site<'_>, table: &mut Table) {
    let servers: Vec<_> = server::ALL.into_iter().map(|kind| (kind, Server::start(site, kind))).collect();
    let backend = site.backend();
    for round in 0..ROUNDS {
        for kind in server::shuffled(round) {
            let (_, server) = servers.iter().find(|(other, _)| *other == kind).expect("all were started");
            let both = [server.processes(), if server.is_proxy() { &backend } else { &[] }].concat();
            let (requests, cpu) = measure::cpu_of(&both, || load::requests(site, server, REQUEST_TIME));
            table.add(Row::Request, kind, cpu.as_secs_f64() * 1e6 / requests);
            table.add(Row::RequestRate, kind, requests / REQUEST_TIME.as_secs_f64());
            let ((), cpu) = measure::cpu_of(server.processes(), || load::handshakes(site, server, HANDSHAKES));
            table.add(Row::Handshake, kind, cpu.as_secs_f64() * 1e6 / HANDSHAKES as f64);
        }
    }
    for (kind, server) in &servers {
        table.add(Row::MemoryAfterLoad, *kind, measure::memory_kib(server.processes()) / 1_024.0);
    }
}

/// Idle WebSockets: ours are paired devices after `hello-ok`; theirs are upgraded to a backend that says nothing.
fn sockets(site: &Site<'_>, table: &mut Table) {
    let backend = site.backend();
    for round in 0..SOCKET_ROUNDS {
        for kind in server::shuffled(round) {
            let server = Server::start(site, kind);
            let ask = load::introduction(site, &server);
            let before = measure::memory_kib(server.processes());
            let both = [server.processes(), if server.is_proxy() { &backend } else { &[] }].concat();
            let (held, cpu) = measure::cpu_of(&both, || load::hold_sockets(site, &server, ask, SOCKETS));
            std::thread::sleep(Duration::from_secs(2));
            let after = measure::memory_kib(server.processes());
            table.add(Row::Socket, kind, (after - before) / SOCKETS as f64);
            table.add(Row::Connect, kind, cpu.as_secs_f64() * 1e6 / SOCKETS as f64);
            held.release();
        }
    }
}
