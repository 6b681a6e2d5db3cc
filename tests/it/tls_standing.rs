//! What is asked of callers changes under open connections: whoever could not shake hands today is cut off, at once and
//! idle or not, and everybody else does not notice.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::json;
use tokio::time::timeout;

use crate::support::authority::{Authority, Pair, Purpose};
use crate::support::caller::Caller;
use crate::support::gateway_client::{Ask, Device, connect};
use crate::support::handshake::Client;
use crate::support::instance::Instance;
use crate::support::namespace::Namespace;
use crate::support::wait::until;

const CLOSED: &str = "127.0.0.1:8443";
const OPEN: &str = "127.0.0.1:7443";
/// Far less than an idle connection is kept.
const WAIT: Duration = Duration::from_secs(45);

const CONFIGURATION: &str = r#"
[[listener]]
name = "closed"
bind = ["127.0.0.1:8443"]
local = "loopback"
local_uids = [0]
client_certificates = "required"
client_ca = "clients.pem"
client_crl = "clients.crl"

[[listener]]
name = "open"
bind = ["127.0.0.1:7443"]
local = "loopback"
local_uids = [0]
"#;

#[test]
fn who_is_taken_back_is_cut_off_from_what_is_open_and_nobody_else_is() {
    let (machine, clients) = (Namespace::new(), Authority::new("clients"));
    let doorward = door(&machine, &clients);
    let pair = |name: &str| clients.issue(Purpose::Client, &[name]);
    let (alice, bob) = (pair("alice.lan"), pair("bob.lan"));
    let caller = |own: &Pair| Caller::speaking(CLOSED, Client::showing(&doorward.authority(), own).config());
    let (list, token) = (clients.revoke(&[&alice]), doorward.token());
    let (file, callers) = (doorward.folder().join("clients.crl"), [caller(&alice), caller(&bob)]);
    let mut held = [&alice, &bob].map(|own| Held::open(&machine, &caller(own)));
    for held in &mut held {
        assert_eq!(held.ask().unwrap(), 200);
    }
    machine.block_on(move || async move {
        let (ask, devices) = (Ask::operator(&token), [Device::new(), Device::new()]);
        let alice = connect(&callers[0], Some(&devices[0]), &ask).await.hello();
        let mut bob = connect(&callers[1], Some(&devices[1]), &ask).await.hello();
        fs::write(file, list).unwrap();
        // A socket that says nothing, long before the next ping or tick.
        timeout(WAIT, alice.closed()).await.expect("a session outlives the certificate that it came in by");
        bob.call("health", json!({})).await.unwrap();
    });
    let [mut alice, mut bob] = held;
    assert!(alice.ends(), "an idle connection");
    assert_eq!(bob.ask().unwrap(), 200);
    let told = "connection ended: the certificate of its caller is not taken any more";
    let log = doorward.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(told)).collect();
    assert_eq!(lines.len(), 2, "the session and the idle one:\n{log}");
    assert!(lines.iter().all(|line| line.contains("listener=closed") && line.contains("error=revoked")), "{lines:?}");
}

#[test]
fn a_reload_that_asks_for_more_ends_who_has_not_shown_it() {
    let (machine, clients) = (Namespace::new(), Authority::new("clients"));
    let doorward = door(&machine, &clients);
    let alice = clients.issue(Purpose::Client, &["alice.lan"]);
    let mut shown =
        Held::open(&machine, &Caller::speaking(CLOSED, Client::showing(&doorward.authority(), &alice).config()));
    let mut nameless = Held::open(&machine, &Caller::trusting(OPEN, &doorward.authority()));
    assert_eq!((shown.ask().unwrap(), nameless.ask().unwrap()), (200, 200));
    // A reload that asks for nothing else ends nobody.
    doorward.configure(&format!("{CONFIGURATION}# a comment\n[edge]\ndrain_seconds = 3\n"));
    doorward.words(&["reload"]);
    assert_eq!((shown.ask().unwrap(), nameless.ask().unwrap()), (200, 200));
    let required = "client_certificates = \"required\"\nclient_ca = \"clients.pem\"\n";
    doorward.configure(&format!("{CONFIGURATION}{required}"));
    doorward.words(&["reload"]);
    assert!(nameless.ends(), "none was shown where one is required now");
    assert_eq!(shown.ask().unwrap(), 200);
    // Another CA in the place of the one that signed it.
    fs::write(doorward.folder().join("clients.pem"), Authority::new("others").pem()).unwrap();
    until(
        || doorward.log().contains("error=by another ca") || doorward.log().contains("error=\"by another ca\""),
        || doorward.log(),
    );
    assert!(shown.ends());
}

fn door<'m>(machine: &'m Namespace, clients: &Authority) -> Instance<'m> {
    let mut doorward = Instance::stopped(machine, CONFIGURATION);
    fs::write(doorward.folder().join("clients.pem"), clients.pem()).unwrap();
    fs::write(doorward.folder().join("clients.crl"), clients.revoke(&[])).unwrap();
    doorward.restart();
    doorward
}

/// A connection that is kept open between its requests.
struct Held(StreamOwned<ClientConnection, TcpStream>);

impl Held {
    fn open(machine: &Namespace, caller: &Caller) -> Self {
        let (address, config) = (caller.address(), caller.tls().unwrap());
        let name = ServerName::IpAddress(address.ip().into());
        let socket = machine.on(move || TcpStream::connect(address)).unwrap();
        socket.set_read_timeout(Some(WAIT)).unwrap();
        Self(StreamOwned::new(ClientConnection::new(Arc::clone(&config), name).unwrap(), socket))
    }

    /// The status of the answer to a request.
    fn ask(&mut self) -> io::Result<u16> {
        write!(self.0, "GET /doorward/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        self.0.read_exact(&mut vec![0; length.parse().unwrap()])?;
        Ok(head.split(' ').nth(1).unwrap().parse().unwrap())
    }

    /// Whether the other side ends it while nothing is said.
    fn ends(&mut self) -> bool {
        let ended = self.0.read(&mut [0; 64]);
        match ended {
            Ok(0) => true,
            Err(error) => matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset),
            Ok(_) => false,
        }
    }
}
