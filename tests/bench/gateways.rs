//! doorward's core and the real gateway, 2026.9.6, side by side: what a connect and an approval cost, how soon an approved
//! device is in, and the memory of both. A table comes out, not a verdict. `tests/bench/run` prepares and starts it.
#![expect(dead_code, reason = "the rigs of tests/it hold more than a bench needs")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench that cannot go on says why and ends"
)]

#[path = "../it/support/caller.rs"]
mod caller;
#[path = "../it/support/gateway_client.rs"]
mod gateway_client;
#[path = "../it/support/instance.rs"]
mod instance;
#[path = "../it/support/lan.rs"]
mod lan;
mod measure;
#[path = "../it/support/namespace.rs"]
mod namespace;
#[path = "../it/support/openclaw.rs"]
mod openclaw;
#[path = "../it/support/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use caller::Caller;
use gateway_client::{Ask, Device, Outcome, Session, call, connect};
use instance::Instance;
use lan::{HOUSEHOLD, Household};
use openclaw::Gateway;
use serde_json::json;
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
const CONNECTS: usize = 200;
/// At once: below what either has against many that have not said who they are.
const AT_ONCE: usize = 4;
const APPROVALS: usize = 4;
const WAITS: usize = 10;

/// A gateway, and the machines around it.
struct World<'a> {
    name: &'static str,
    home: &'a Household,
    there: Caller,
    token: String,
    owner: Device,
    process: u32,
}

/// Every value of every round, by its row and whose it is.
type Table = BTreeMap<(usize, &'static str), Vec<f64>>;

const ROWS: [&str; 6] = [
    "connects of a known device a second, four at once",
    "CPU for each connect, ms",
    "approvals a second, one after the other",
    "CPU for each approval, ms",
    "from an approval to its device being in, ms (median of ten)",
    "memory, MiB",
];

fn main() {
    let (our_home, their_home) = (Household::new(), Household::new());
    for home in [&our_home, &their_home] {
        // Many source addresses: each has a few places among what waits.
        home.lan.ip("route add local 10.77.0.128/25 dev lo");
    }
    let doorward = Instance::start(&our_home.host, HOUSEHOLD);
    let token = doorward.token();
    let start = Instant::now();
    let gateway = Gateway::start(&their_home.host, &token);
    eprintln!("the real gateway was ready after {:.1} s", start.elapsed().as_secs_f64());
    let world = |name, home, there, process| {
        let world = World { name, home, there, token: token.clone(), owner: Device::new(), process };
        // From now on its owner is a known device.
        world.connects(1);
        world
    };
    let ours = Caller::trusting("10.77.0.1:8443", &doorward.authority());
    let ours = world("doorward", &our_home, ours, doorward.id());
    let theirs = world("OpenClaw 2026.9.6", &their_home, Caller::plain("10.77.0.1:18789"), gateway.child.id());
    let mut table = Table::new();
    for round in 0..ROUNDS {
        let order = if round % 2 == 0 { [&ours, &theirs] } else { [&theirs, &ours] };
        for world in order {
            world.measure(round, &mut table);
        }
    }
    print(&table, [ours.name, theirs.name]);
}

impl World<'_> {
    fn measure(&self, round: usize, table: &mut Table) {
        let mut add = |row: usize, value: f64| {
            eprintln!("{}: {}: {value:.2}", ROWS[row], self.name);
            table.entry((row, self.name)).or_default().push(value);
        };
        let start = Instant::now();
        let ((), cpu) = measure::cpu_of(&[self.process], || self.connects(CONNECTS));
        add(0, CONNECTS as f64 / start.elapsed().as_secs_f64());
        add(1, cpu.as_secs_f64() * 1e3 / CONNECTS as f64);
        let (time, cpu) = self.approvals(round);
        add(2, APPROVALS as f64 / time.as_secs_f64());
        add(3, cpu.as_secs_f64() * 1e3 / APPROVALS as f64);
        let mut waits: Vec<Duration> = (0..WAITS).map(|wait| self.wait(round * WAITS + wait)).collect();
        waits.sort();
        add(4, waits[WAITS / 2].as_secs_f64() * 1e3);
        add(5, measure::memory_kib(&[self.process]) / 1_024.0);
    }

    /// The owner's device connects that often, on the gateway's machine.
    fn connects(&self, count: usize) {
        let (device, ask) = (self.owner.clone(), Ask::operator(&self.token));
        self.home.host.block_on(move || async move {
            let mut running = JoinSet::new();
            for _ in 0..count {
                if running.len() >= AT_ONCE {
                    running.join_next().await.expect("some are running").expect("a connect failed");
                }
                let (device, ask) = (device.clone(), ask.clone());
                running.spawn(async move { here(&device, &ask).await.close().await });
            }
            running.join_all().await;
        });
    }

    /// Some devices ask from elsewhere; then the owner approves them one after the other, and only that is measured.
    fn approvals(&self, round: usize) -> (Duration, Duration) {
        let requests: Vec<_> = (0..APPROVALS).map(|_| self.ask(&Device::new(), round)).collect();
        let (device, ask, process) = (self.owner.clone(), Ask::operator(&self.token), self.process);
        self.home.host.block_on(move || async move {
            let mut session = here(&device, &ask).await;
            let (before, start) = (measure::used(&[process]), Instant::now());
            for request in requests {
                approve(&mut session, &request).await;
            }
            (start.elapsed(), measure::used(&[process]).saturating_sub(before))
        })
    }

    /// A device that tries again at once; how long after the acknowledged approval it was in.
    fn wait(&self, number: usize) -> Duration {
        let (device, elsewhere, ask) = (Device::new(), self.elsewhere(number), Ask::operator(&self.token));
        let request = self.ask(&device, number);
        let client = self.home.lan.spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
                loop {
                    match connect(&elsewhere, Some(&device), &ask).await {
                        Outcome::Hello(session) => {
                            let at = Instant::now();
                            session.close().await;
                            return at;
                        }
                        Outcome::Refused(_) => {}
                        other @ Outcome::NotUpgraded(..) => panic!("{other:?}"),
                    }
                }
            })
        });
        let (owner, ask) = (self.owner.clone(), Ask::operator(&self.token));
        let acknowledged = self.home.host.block_on(move || async move {
            approve(&mut here(&owner, &ask).await, &request).await;
            Instant::now()
        });
        client.join().expect("it is let in").saturating_duration_since(acknowledged)
    }

    /// A new device asks from elsewhere; its request.
    fn ask(&self, device: &Device, number: usize) -> String {
        let refusal = call(&self.home.lan, &self.elsewhere(number), device, Ask::operator(&self.token)).refused();
        refusal.error["details"]["requestId"].as_str().unwrap_or_else(|| panic!("{refusal:?}")).to_owned()
    }

    fn elsewhere(&self, number: usize) -> Caller {
        let last = u8::try_from(128 + number % 126).expect("an address of the LAN");
        self.there.clone().from(IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)))
    }
}

async fn here(device: &Device, ask: &Ask) -> Session {
    connect(&Caller::plain("127.0.0.1:18789"), Some(device), ask).await.hello()
}

async fn approve(session: &mut Session, request: &str) {
    session.call("device.pair.approve", json!({"requestId": request})).await.expect("an approval");
}

fn print(table: &Table, names: [&'static str; 2]) {
    println!("| median [lowest..highest] | {} | {} |\n|---|---|---|", names[0], names[1]);
    for (row, title) in ROWS.into_iter().enumerate() {
        let shown = names.map(|name| measure::shown(&table[&(row, name)]));
        println!("| {title} | {} | {} |", shown[0], shown[1]);
    }
}
