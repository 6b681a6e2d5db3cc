//! A thousand requests a second go on while a certificate is replaced: by a file, and by a CA. None fails, and new handshakes
//! see the new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::support::authority::{Authority, Purpose};
use crate::support::handshake::Client;
use crate::support::instance::Instance;
use crate::support::lan::{CLAW_DOOR, Household};
use crate::support::namespace::Namespace;
use crate::support::pebble::{DIRECTORY, Manners, Pebble};
use crate::support::program::installed;
use crate::support::wait::until;

#[test]
fn no_request_fails_while_a_file_is_replaced() {
    let home = Household::new();
    let authority = Authority::new("load");
    let mut doorward = Instance::stopped(&home.host, &format!("{CLAW_DOOR}\n[log]\naccess = false\n"));
    let first = authority.issue(Purpose::Server, &["claw.lan"]);
    first.write(doorward.folder(), "claw");
    doorward.restart();
    let shows = |pair: &crate::support::authority::Pair| {
        let (client, pair) = (Client::trusting(authority.pem()), pair.clone());
        let shaken = home.lan.on(move || client.shake("10.77.0.1:8443", "claw.lan").map(|shaken| shaken.shows(&pair)));
        shaken.unwrap_or_else(|error| panic!("a handshake failed: {error}"))
    };
    assert!(shows(&first));
    let load = Load::start(&home.lan, "https://claw.lan:8443/healthz", "10.77.0.1:8443");
    for _ in 0..3 {
        let pair = authority.issue(Purpose::Server, &["claw.lan"]);
        pair.write(doorward.folder(), "claw");
        until(|| shows(&pair), || "the new certificate".to_owned());
    }
    load.stop();
}

#[test]
fn no_request_fails_while_a_ca_renews() {
    const NAME: &str = "claw.example";
    let machine = Namespace::new();
    let pebble = Pebble::start(&machine, Manners { life: Some(60), ..Manners::default() });
    let doorward = Instance::start(
        &machine,
        &format!(
            "[edge]\nnames = [\"{NAME}\"]\n[log]\naccess = false\n\
             [[listener]]\nname = \"web\"\nbind = [\"127.0.0.1:443\"]\n\
             [[listener]]\nname = \"plain\"\nbind = [\"127.0.0.1:80\"]\nprotocol = \"http\"\n\
             [[certificates.acme]]\nnames = [\"{NAME}\"]\ndirectory = \"{DIRECTORY}\"\nroot_file = \"{}\"\n",
            pebble.root_file()
        ),
    );
    until(|| pebble.vouches_for(NAME), || "the first certificate".to_owned());
    let load = Load::start(&machine, &format!("https://{NAME}/healthz"), "127.0.0.1:443");
    let issued = || doorward.log().matches("certificate issued").count();
    let (first, before) = (pebble.vouched_for(NAME), issued());
    until(|| issued() > before, || "a renewal".to_owned());
    let second = pebble.vouched_for(NAME);
    assert!(second.is_some() && second != first, "new handshakes see the new one");
    load.stop();
}

/// h2load in rounds, until it is told to stop.
struct Load {
    enough: Arc<AtomicBool>,
    rounds: JoinHandle<Vec<String>>,
}

impl Load {
    fn start(machine: &Namespace, url: &str, address: &str) -> Self {
        let mut command = machine.command(&installed("h2load", "nghttp2-client"));
        command.args(["--clients=10", "--rps=100", "--duration=8", &format!("--connect-to={address}"), url]);
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let rounds = std::thread::spawn(move || {
            let mut rounds = Vec::new();
            while rounds.is_empty() || !told.load(Ordering::Relaxed) {
                let output = command.output().unwrap();
                rounds.push(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned());
            }
            rounds
        });
        Self { enough, rounds }
    }

    /// Ends after the round that runs now; every request so far was answered well.
    fn stop(self) {
        self.enough.store(true, Ordering::Relaxed);
        for round in self.rounds.join().unwrap() {
            let line = round.lines().find(|line| line.starts_with("requests: ")).unwrap_or_else(|| panic!("{round}"));
            assert!(line.ends_with("0 failed, 0 errored, 0 timeout"), "{round}");
            let done: u64 = line.split(", ").find_map(|part| part.strip_suffix(" done")?.parse().ok()).unwrap();
            // How many it gets to ask is the machine's affair; that it asked at all is not.
            assert!(done > 100, "{round}");
            assert!(round.contains(&format!("{done} 2xx, 0 3xx, 0 4xx, 0 5xx")), "{round}");
        }
    }
}
