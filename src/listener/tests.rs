//! Connections over real loopback sockets, up to their first request.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;

use super::caps::{CapError, Caps, Limits};
use super::connection::{ConnectionError, Door, Seen, establish};
use super::facts::{Alpn, ConnectionFacts, ConnectionId};
use super::io::EdgeIo;
use super::live::Live;
use super::testing::Rig;
use super::{Protocol, accept};
use crate::base::limits::{HANDSHAKE_WAIT, PROXY_HEADER_WAIT};
use crate::identity::claims::TlsVersion;
use crate::net::addr::PeerAddr;
use crate::net::host::Host;
use crate::net::range::{Ranges, Width};
use crate::origin::proxy_protocol::Source;
use crate::origin::testing::{GATEWAY, joined};
use crate::origin::{self, LocalRule, Network, Owner, ProxyProtocol};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

#[tokio::test]
async fn a_proxy_header_is_read_to_its_last_byte_and_no_further() {
    let mut server = Server::start(Protocol::Http, required("127.0.0.1"));
    let v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n".to_vec();
    let v2_address = [&[192, 0, 2, 7, 198, 51, 100, 1][..], &4000_u16.to_be_bytes(), &80_u16.to_be_bytes()].concat();
    let v2 = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(), v2_address].concat();
    for header in [v1, v2] {
        let mut stream = server.connect().await;
        stream.write_all(&[&header[..], REQUEST].concat()).await.unwrap();
        assert_eq!(echoed(&mut stream).await, REQUEST);
        let facts = server.facts.recv().await.unwrap();
        let source = facts.proxy_header.as_ref().map(|header| header.source);
        assert_eq!(source, Some(Source::Address("192.0.2.7:4000".parse().unwrap())));

        let mut stream = server.connect().await;
        stream.set_nodelay(true).unwrap();
        for byte in &header {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.write_all(REQUEST).await.unwrap();
        assert_eq!(echoed(&mut stream).await, REQUEST);
        server.facts.recv().await.unwrap();
    }
}

#[tokio::test]
async fn tls_may_stand_behind_a_proxy_header() {
    let mut server = Server::start(Protocol::Https, required("127.0.0.1"));
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY UNKNOWN\r\n").await.unwrap();
    let mut stream = server.tls(stream, "claw.local", b"http/1.1").await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    assert_eq!(echoed(&mut stream).await, REQUEST);
    let facts = server.facts.recv().await.unwrap();
    assert!(facts.proxy_header.is_some());
    let tls = facts.tls.as_ref().unwrap();
    assert_eq!((tls.version, tls.alpn), (TlsVersion::V1_3, Some(Alpn::Http11)));
    assert_eq!(tls.sni, Some(Host::parse("claw.local").unwrap()));
}

#[tokio::test]
async fn without_its_proxy_header_a_connection_is_closed_unanswered() {
    let mut server = Server::start(Protocol::Http, required("127.0.0.1"));
    let too_long = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec(), vec![0; 4096]].concat();
    for bytes in [REQUEST, b"PROXY TCP4 1.2.3.4 5.6.7.8 9 99999\r\n", b"\x16\x03\x01\x02\0", &too_long] {
        assert_eq!(server.exchange(bytes).await, b"", "{bytes:?}");
    }
    assert!(server.facts.try_recv().is_err());
    server.rig.idle().await;
}

#[tokio::test]
async fn a_stranger_who_speaks_proxy_is_closed_unread() {
    let mut server = Server::start(Protocol::Http, required("192.0.2.1"));
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\nGET / HTTP/1.1\r\n\r\n";
    assert_eq!(server.exchange(header).await, b"");
    assert!(server.facts.try_recv().is_err());
}

#[tokio::test]
async fn a_proxy_header_that_nobody_asked_for_is_no_request() {
    let mut server = Server::start(Protocol::Http, origin::Settings::default());
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x0f\xa0\0\x50";
    assert!(server.exchange(header).await.starts_with(b"HTTP/1.1 400 "));
    assert!(server.facts.recv().await.unwrap().proxy_header.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_late_proxy_header_and_a_late_handshake_are_not_waited_for() {
    for (protocol, origin, bytes, wait) in [
        (Protocol::Http, required("127.0.0.1"), &b"PROXY TCP4 "[..], PROXY_HEADER_WAIT),
        (Protocol::Https, origin::Settings::default(), b"\x16\x03\x01", HANDSHAKE_WAIT),
        (Protocol::Auto, origin::Settings::default(), b"", HANDSHAKE_WAIT),
        (Protocol::Https, required("127.0.0.1"), b"PROXY UNKNOWN\r\n", HANDSHAKE_WAIT),
    ] {
        let server = Server::start(protocol, origin);
        let start = Instant::now();
        assert_eq!(server.exchange(bytes).await, b"");
        let late = start.elapsed().checked_sub(wait).unwrap();
        assert!(late < Duration::from_millis(100), "{protocol:?} {late:?}");
    }
}

#[tokio::test]
async fn auto_tells_tls_from_plain_by_the_first_byte() {
    let mut server = Server::start(Protocol::Auto, origin::Settings::default());
    let mut plain = server.connect().await;
    plain.write_all(REQUEST).await.unwrap();
    assert_eq!(echoed(&mut plain).await, REQUEST);
    assert!(server.facts.recv().await.unwrap().tls.is_none());
    let mut tls = server.tls(server.connect().await, "localhost", b"h2").await.unwrap();
    tls.write_all(REQUEST).await.unwrap();
    assert_eq!(echoed(&mut tls).await, REQUEST);
    assert!(server.facts.recv().await.unwrap().is_h2());
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_so_in_plain_http_and_nothing_else_is() {
    for (origin, preface) in [(origin::Settings::default(), ""), (required("127.0.0.1"), "PROXY UNKNOWN\r\n")] {
        let server = Server::start(Protocol::Https, origin);
        for request in ["GET /secret HTTP/1.1\r\nHost: secret\r\n\r\n", "OPTIONS * HTTP/1.0\r\n\r\n"] {
            let answer = server.exchange(format!("{preface}{request}").as_bytes()).await;
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("open https://"), "{answer}");
            assert!(!answer.contains("secret") && !answer.contains('*'), "{answer}");
        }
        for other in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-OpenSSH_9\r\n", &"A".repeat(4_000)] {
            assert_eq!(server.exchange(format!("{preface}{other}").as_bytes()).await, b"", "{other}");
        }
        // What is no text is TLS's to refuse, with its own alert.
        let alert = server.exchange(format!("{preface}\0\0\0\0\0\0\0\0").as_bytes()).await;
        assert_eq!(alert.first(), Some(&21), "{alert:?}");
    }
}

#[tokio::test]
async fn a_protocol_that_is_not_http_ends_at_the_handshake() {
    let mut server = Server::start(Protocol::Https, origin::Settings::default());
    assert!(server.tls(server.connect().await, "localhost", b"acme-tls/1").await.is_err());
    assert!(server.facts.try_recv().is_err());
}

#[tokio::test]
async fn the_owner_is_asked_only_where_somebody_may_be_local() {
    let us = Owner::Known { uid: rustix::process::getuid().as_raw() };
    for (local, owner) in [(LocalRule::Never, Owner::Unknown), (LocalRule::Loopback { uids: Vec::new() }, us)] {
        let mut server = Server::start(Protocol::Http, origin::Settings { local, ..Default::default() });
        let _held = server.connect().await;
        assert_eq!(server.facts.recv().await.unwrap().owner, owner);
    }
}

#[tokio::test]
async fn a_client_is_counted_by_the_address_its_proxy_names() {
    let mut server = Server::start(Protocol::Http, required("127.0.0.1"));
    let mut held = Vec::new();
    for (client, taken) in [("192.0.2.7", true), ("192.0.2.7", true), ("192.0.2.7", false), ("192.0.2.8", true)] {
        let mut stream = server.connect().await;
        stream.write_all(format!("PROXY TCP4 {client} 198.51.100.1 4000 80\r\n").as_bytes()).await.unwrap();
        stream.write_all(REQUEST).await.unwrap();
        assert_eq!(!echoed(&mut stream).await.is_empty(), taken, "{client}");
        if taken {
            server.facts.recv().await.unwrap();
        }
        held.push(stream);
    }
    drop(held);
    server.rig.idle().await;
}

#[tokio::test]
async fn who_says_nothing_while_a_probe_is_awaited_is_counted_all_the_same() {
    let local = LocalRule::PublishedLoopback { port: 18789, peers: Vec::new() };
    let door = door(origin::Settings { local, ..Default::default() });
    let _word = door.knocks.expect().unwrap();
    let caps = Caps::new(Limits { total: 100, reserve: 0, per_client: 1 });
    let (socket, neighbour) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), "172.18.0.9:4711".parse().unwrap());
    let mut silent = Vec::new();
    let mut call = async || {
        silent.push(TcpStream::connect(socket.local_addr().unwrap()).await.unwrap());
        socket.accept().await.unwrap().0
    };
    let greet = |stream| {
        let (door, peer) = (door.clone(), PeerAddr::from_accept(neighbour));
        let seat = caps.admit(peer).unwrap();
        let id = ConnectionId::random().unwrap();
        tokio::spawn(async move { establish(stream, &id, peer, seat, &door, &mut Seen::default()).await.map(drop) })
    };
    let first = greet(call().await);
    tokio::task::yield_now().await;
    let second = timeout(HANDSHAKE_WAIT / 2, greet(call().await)).await.expect("it is not even counted").unwrap();
    assert!(matches!(second, Err(ConnectionError::Cap(CapError::Client))), "{second:?}");
    first.abort();
}

#[tokio::test]
async fn our_own_probe_is_hung_up_on_and_nobody_else() {
    let published = LocalRule::PublishedLoopback { port: 18789, peers: Vec::new() };
    for (local, is_said, refused) in
        [(published.clone(), true, Some("Knock")), (published, false, None), (LocalRule::Never, true, None)]
    {
        let door = door(origin::Settings { local, ..Default::default() });
        let word = door.knocks.expect().unwrap();
        let caps = Caps::new(Limits { total: 100, reserve: 0, per_client: 1 });
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut caller = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        caller.write_all(if is_said { &word } else { REQUEST }).await.unwrap();
        let (stream, _) = socket.accept().await.unwrap();
        let peer = PeerAddr::from_accept("172.18.0.1:4711".parse().unwrap());
        let (seat, id) = (caps.admit(peer).unwrap(), ConnectionId::random().unwrap());
        let established = establish(stream, &id, peer, seat, &door, &mut Seen::default()).await;
        assert_eq!(established.err().map(|error| format!("{error:?}")).as_deref(), refused);
        assert_eq!(door.knocks.end(), refused.is_some(), "it is heard where it is listened for");
    }
}

#[tokio::test]
async fn what_hides_strangers_is_no_proxy_of_many_and_sends_no_proxy_header() {
    let listed = || Ranges::parse(&["10.0.0.0/24"], Width::Narrow).unwrap();
    let plain = origin::Settings { trusted_proxies: listed(), ..Default::default() };
    let proxy_protocol = ProxyProtocol::Required { from: listed() };
    let sender = origin::Settings { proxy_protocol, ..plain.clone() };
    let caller: &[u8] = b"PROXY TCP4 10.0.0.1 198.51.100.1 4000 80\r\n";
    // As whom the caller comes, with which first bytes, and whether a second one of them finds room beside the first.
    for (rules, peer, bytes, network, refused) in [
        (&plain, "10.0.0.3", &b""[..], joined(), None),
        (&plain, GATEWAY, b"", Network::default(), None),
        (&plain, GATEWAY, b"", joined(), Some("Cap(Client)")),
        (&sender, GATEWAY, caller, Network::default(), None),
        (&sender, GATEWAY, caller, joined(), Some("ProxySender")),
        (&sender, "10.0.0.3", caller, joined(), Some("Cap(Client)")),
    ] {
        let (door, caps) = (door(rules.clone()), Caps::new(Limits { total: 100, reserve: 0, per_client: 1 }));
        door.network.replace(network);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut found = Vec::new();
        for _ in 0..2 {
            let mut caller = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
            caller.write_all(bytes).await.unwrap();
            let (stream, _) = socket.accept().await.unwrap();
            let peer = PeerAddr::from_accept((peer.parse::<std::net::IpAddr>().unwrap(), 4711).into());
            let seat = caps.admit(peer).unwrap();
            let id = ConnectionId::random().unwrap();
            found.push((establish(stream, &id, peer, seat, &door, &mut Seen::default()).await, caller));
        }
        let second = found.pop().map(|(established, _)| established.err().map(|error| format!("{error:?}")));
        assert_eq!(second.unwrap().as_deref(), refused, "{peer} {bytes:?}");
    }
}

/// A plain listener of these rules.
fn door(origin: origin::Settings) -> Door {
    let (name, protocol, serve) = ("test".to_owned(), Protocol::Http, super::Serve::All);
    let settings = Live::new(super::Settings { name, bind: Vec::new(), protocol, serve, origin });
    Door::plain(settings)
}

/// A listener whose connections tell their facts, and then echo one request.
struct Server {
    rig: Rig,
    facts: mpsc::UnboundedReceiver<Arc<ConnectionFacts>>,
}

#[derive(Clone)]
struct Report(mpsc::UnboundedSender<Arc<ConnectionFacts>>);

impl accept::Serve for Report {
    async fn serve(&self, mut io: Box<EdgeIo>) {
        self.0.send(Arc::clone(io.facts())).unwrap();
        let mut bytes = vec![0; REQUEST.len()];
        if io.read_exact(&mut bytes).await.is_ok() {
            io.facts().take_head();
            io.write_all(&bytes).await.unwrap();
            io.flush().await.unwrap();
            // Held until the caller goes, so that its place is taken.
            let _ = io.read_u8().await;
        }
    }
}

impl Server {
    fn start(protocol: Protocol, origin: origin::Settings) -> Self {
        let (report, facts) = mpsc::unbounded_channel();
        let limits = Limits { total: 100, reserve: 0, per_client: 2 };
        Self { rig: Rig::start(protocol, origin, limits, |_| Report(report)), facts }
    }

    async fn connect(&self) -> TcpStream {
        self.rig.connect().await
    }

    async fn tls(&self, stream: TcpStream, name: &'static str, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut stream = self.rig.tls(stream, name, alpn).await?;
        // TLS 1.3's client is done before the server has judged: only the first byte back tells.
        if alpn == b"acme-tls/1" {
            stream.read_u8().await?;
        }
        Ok(stream)
    }

    async fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        self.rig.exchange(bytes).await
    }
}

/// What comes back, up to the length of a request; nothing when the connection was closed.
async fn echoed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = vec![0; REQUEST.len()];
    stream.read_exact(&mut answer).await.map_or(Vec::new(), |_| answer)
}

fn required(from: &str) -> origin::Settings {
    let from: IpAddr = from.parse().unwrap();
    let from = Ranges::parse(&[from.to_string()], Width::Narrow).unwrap();
    origin::Settings { proxy_protocol: ProxyProtocol::Required { from }, ..Default::default() }
}
