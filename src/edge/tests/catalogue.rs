//! The header catalogue, here: rows.rs. Who is the client? The real edge before the real core, over real sockets;
//! what is compared is the bytes that arrive at the core.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderName;
use http::header::{AUTHORIZATION, CONNECTION, HOST, ORIGIN, SEC_WEBSOCKET_KEY, UPGRADE};
use serde_json::Value;
use tempfile::TempDir;

use self::rows::{HOSTS, Outcome, PROTECTED, ROWS, TRAILERS};
use super::super::identities::Identities;
use super::super::service::Remembering;
use super::super::{Edge, Settings};
use super::*;
use crate::base::clock::Clock;
use crate::base::owner_command::OwnerCommand;
use crate::core::{self, Core, Timing};
use crate::identity::headers::{ASSERTION, HOP_BY_HOP, JUDGED, is_look_alike};
use crate::identity::jwks::JwkSet;
use crate::identity::signer::{Signer, SigningKey};
use crate::identity::verifier::{Expected, Leeway, Lives, Verifier};
use crate::listener::live::LiveNetwork;
use crate::net::host::Host;
use crate::net::range::{Ranges, Width};
use crate::origin::ClientIpHeader;
use crate::store::Store;
use crate::store::keys::token::TokenSource;

mod callers;
mod held;
mod rows;

type Lines<'l> = &'l [(&'l str, &'l str)];

/// What an honest caller says, Host first.
const HONEST: Lines =
    &[("Host", "localhost"), ("Accept", "*/*"), ("Authorization", "Bearer own"), ("Cookie", "a=b"), ("X-Own", "1")];

#[tokio::test]
async fn an_honest_request_arrives_whole_with_one_assertion() {
    let bench = Bench::start(origin::Settings::default()).await;
    let expected = [
        "GET /?q=1 HTTP/1.1",
        "accept: */*",
        "authorization: Bearer own",
        "cookie: a=b",
        "host: localhost",
        "x-doorward-assertion: (ours)",
        "x-own: 1",
        "",
    ];
    assert_eq!(bench.get_http1(&[]).await, 200);
    assert_eq!(bench.arrival().shown, expected);
    assert_eq!(bench.http2(&[], None).await, 200);
    assert_eq!(bench.arrival().shown, expected);
    assert_eq!(bench.open_socket(&[]).await, 101);
    let socket = bench.arrival();
    let opening = ["connection: upgrade", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "sec-websocket-version: 13"];
    assert_eq!(socket.shown, sorted(&expected, &[&opening[..], &["upgrade: websocket"]].concat()));
    assert_eq!(socket.claims["origin"]["ip"], "127.0.0.1");
    assert_eq!(socket.claims["origin"]["local"], false);
}

#[tokio::test]
async fn what_a_stranger_adds_never_changes_what_the_core_gets() {
    let bench = Bench::start(origin::Settings::default()).await;
    let [http1, http2, socket] = bench.honest().await;
    for row in ROWS {
        let status = bench.get_http1(row.lines).await;
        bench.check(row.http1, &http1, (200, status), &format!("http/1.1 {row:?}"));
        let status = bench.open_socket(row.lines).await;
        bench.check(row.socket, &socket, (101, status), &format!("websocket {row:?}"));
        if let Outcome::Malformed = row.http2 {
            let names: Vec<_> = row.lines.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
            let lines = names.iter().zip(row.lines).map(|(name, (_, value))| (name.as_str(), *value));
            let fields: Vec<_> = PSEUDO.into_iter().chain(lines).collect();
            let came = bench.http2_by_hand(&fields).await;
            assert_eq!(came, 3, "{row:?}");
            assert_eq!(bench.core.arrivals.take(), Vec::<Vec<u8>>::new(), "{row:?}");
        } else {
            let status = bench.http2(row.lines, None).await;
            bench.check(row.http2, &http2, (200, status), &format!("http/2 {row:?}"));
        }
    }
}

#[tokio::test]
async fn no_spelling_of_a_protected_name_arrives() {
    let bench = Bench::start(origin::Settings::default()).await;
    let [http1, http2, socket] = bench.honest().await;
    let spellings: Vec<String> = PROTECTED.iter().flat_map(|name| spellings(name)).collect();
    assert!(spellings.len() > 500, "{}", spellings.len());
    for some in spellings.chunks(60) {
        let lines: Vec<_> = some.iter().map(|name| (name.as_str(), "127.0.0.1")).collect();
        bench.check(Outcome::Same, &http1, (200, bench.get_http1(&lines).await), &format!("{some:?}"));
        bench.check(Outcome::Same, &socket, (101, bench.open_socket(&lines).await), &format!("{some:?}"));
        // The client folds case itself: HTTP/2 has no other (RFC 9113 §8.2.1).
        bench.check(Outcome::Same, &http2, (200, bench.http2(&lines, None).await), &format!("{some:?}"));
    }
}

#[tokio::test]
async fn trailers_end_at_the_edge() {
    let bench = Bench::start(origin::Settings::default()).await;
    bench.post_http1(&[]).await;
    let http1 = bench.arrival();
    bench.http2(&[], Some(&[])).await;
    let http2 = bench.arrival();
    for arrival in [&http1, &http2] {
        assert_eq!(arrival.shown.last().unwrap(), "hello");
        assert!(!arrival.shown.iter().any(|line| line.starts_with("trailer") || line.starts_with("transfer-")));
    }
    for trailers in TRAILERS {
        // The page has no POST: 405 is the core's own answer.
        let status = bench.post_http1(trailers).await;
        bench.check(Outcome::Same, &http1, (405, status), &format!("http/1.1 {trailers:?}"));
        let status = bench.http2(&[], Some(trailers)).await;
        bench.check(Outcome::Same, &http2, (405, status), &format!("http/2 {trailers:?}"));
    }
}

#[tokio::test]
async fn a_host_with_two_readings_or_none_is_refused() {
    let bench = Bench::start(origin::Settings::default()).await;
    for (request, status) in HOSTS {
        assert_eq!(bench.http1(request.as_bytes()).await, *status, "{request:?}");
        let second = format!("{request}GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(bench.http1(second.as_bytes()).await, *status, "{second:?}");
        assert_eq!(bench.core.arrivals.take(), Vec::<Vec<u8>>::new(), "{request:?}");
    }
    // The absolute form that agrees with its Host: one value, and the core gets a path.
    let request = "GET http://LOCALHOST:80/?q=1 HTTP/1.1\r\nHost: LOCALHOST:80\r\n\r\n";
    assert_eq!(bench.http1(request.as_bytes()).await, 200);
    assert_eq!(bench.arrival().shown, ["GET /?q=1 HTTP/1.1", "host: localhost:80", "x-doorward-assertion: (ours)", ""]);
}

#[tokio::test]
async fn an_http2_request_that_is_no_request_never_arrives() {
    let bench = Bench::start(origin::Settings::default()).await;
    let with = |fields: Lines<'static>| [&PSEUDO[..], fields].concat();
    for fields in [
        with(&[("host", "evil.example")]),
        with(&[("host", "localhost"), ("host", "localhost")]),
        with(&[("X-Forwarded-For", "127.0.0.1")]),
        with(&[("x-doorward-assertion ", "a")]),
        with(&[("x-own", "a\r\nx-doorward-assertion: b")]),
        with(&[("x-own", "a\0b")]),
        with(&[(":authority", "evil.example")]),
        with(&[(":x-doorward-assertion", "a")]),
        with(&[("", "a")]),
        with(&[("content-length", "5")]),
        vec![(":method", "GET"), (":scheme", "https"), (":path", "/")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a@localhost")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "localhost, evil.example")],
        vec![(":method", "GET"), (":scheme", "https"), (":path", ""), (":authority", "localhost")],
        vec![(":method", "GET"), (":scheme", "https"), ("x-own", "1"), (":path", "/"), (":authority", "localhost")],
        vec![
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", "/"),
            (":authority", "localhost"),
        ],
    ] {
        let came = bench.http2_by_hand(&fields).await;
        assert_eq!(bench.core.arrivals.take(), Vec::<Vec<u8>>::new(), "{fields:?} {came:?}");
    }
    // So that the silence above proves something.
    let came = bench.http2_by_hand(&with(&[("x-own", "1")])).await;
    assert_eq!((came, bench.arrival().shown[1].as_str()), (1, "host: localhost"));
}

#[tokio::test]
async fn a_proxy_cannot_make_a_caller_local() {
    let bench = Bench::start(origin::Settings {
        client_ip_header: ClientIpHeader::XForwardedFor,
        trusted_proxies: Ranges::parse(&["127.0.0.1"], Width::Narrow).unwrap(),
        ..Default::default()
    })
    .await;
    for claimed in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "localhost", "203.0.113.9, ::1", ""] {
        assert_eq!(bench.open_socket(&[("X-Forwarded-For", claimed)]).await, 101);
        let arrival = bench.arrival();
        let origin = &arrival.claims["origin"];
        assert_eq!((&origin["kind"], &origin["local"]), (&"unattributed".into(), &false.into()), "{claimed}: {origin}");
        assert!(!arrival.shown.iter().any(|line| line.starts_with("x-forwarded")), "{:?}", arrival.shown);
    }
}

/// The header fields that the core reads, as its code names them; what they are; and why a caller may not choose them.
const READ: [(&str, HeaderName); 7] = [
    ("&headers::ASSERTION", ASSERTION),
    ("AUTHORIZATION", AUTHORIZATION),
    ("CONNECTION", CONNECTION),
    ("HOST", HOST),
    ("ORIGIN", ORIGIN),
    ("SEC_WEBSOCKET_KEY", SEC_WEBSOCKET_KEY),
    ("UPGRADE", UPGRADE),
];

/// Read too, and a caller's to choose: which form of an answer it takes, and what is replaced before it goes up.
const CHOSEN: [&str; 2] = ["ACCEPT", "REFERER"];

#[test]
fn every_header_the_core_reads_is_stripped_or_judged() {
    let mut read = BTreeSet::new();
    let mut files =
        vec![PathBuf::from("src/core.rs"), "src/identity/verifier.rs".into(), "src/identity/claims.rs".into()];
    files.extend(rust_files(Path::new("src/core")));
    for file in files {
        let code = fs::read_to_string(&file).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code.lines().filter(|line| line.contains("headers")) {
            for call in ["headers.get(", "headers.get_all(", "headers.contains_key(", "headers["] {
                let arguments = line.split(call).skip(1).filter_map(|rest| rest.split([')', ']']).next());
                read.extend(arguments.map(str::to_owned));
            }
        }
    }
    let known: BTreeSet<_> = READ.iter().map(|(named, _)| *named).chain(CHOSEN).map(str::to_owned).collect();
    assert_eq!(read, known, "a header that the core reads must be one that the edge strips, sets or judges");
    for (_, name) in &READ {
        let ours = is_look_alike(name) || HOP_BY_HOP.contains(name);
        assert!(ours || JUDGED.contains(name), "callers send {name} as they like");
    }
}

// ---- The bench ---------------------------------------------------------------------------

/// The pseudo-header fields of the honest request (RFC 9113 §8.3.1).
const PSEUDO: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":path", "/?q=1"), (":authority", "localhost")];

/// The edge and the core behind it, listening.
struct Bench {
    rig: Rig,
    core: Core,
    _state: TempDir,
}

/// A request as the core got it.
#[derive(Clone, Debug)]
struct Arrival {
    /// The request line, the header lines in order of their names with the assertion's value left out, the body.
    shown: Vec<String>,
    /// What the assertion claims, without what no two have in common.
    claims: Value,
}

impl Bench {
    async fn start(origin: origin::Settings) -> Self {
        Self::with(origin, |_| ()).await
    }

    /// The same with an edge that `prepare` was given first.
    async fn with(origin: origin::Settings, prepare: impl FnOnce(&Edge)) -> Self {
        let (state, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let (key, _) = SigningKey::generate().unwrap();
        let keys = JwkSet::new(vec![key.public().clone()]);
        let expected =
            Expected { issuer: "edge".into(), audience: "core".into(), leeway: Leeway::SameHost, lives: Lives::Any };
        let core = Core::open(core::Components {
            verifier: Verifier::new(keys.clone(), expected, clock.clone()),
            store: Store::open(&state.path().join("doorward.sqlite")).await.unwrap(),
            token: TokenSource::of(None, state.path()),
            clock: clock.clone(),
            timing: Timing::default(),
            owner: OwnerCommand::default(),
            upstream: None,
        })
        .unwrap();
        let settings = Settings {
            id: "edge".to_owned(),
            names: vec![Host::parse("localhost").unwrap()],
            own: Vec::new(),
            origins: Vec::new(),
            https_port: 443,
            drain_seconds: 1,
        };
        let signer = Arc::new(Signer::new(Arc::new(key), "edge", "core", clock.clone()).unwrap());
        let (network, identities) = (LiveNetwork::default(), Identities::new(Vec::new(), clock.clone()));
        let edge = Edge::new(settings, signer, &keys, core.clone(), network, identities, clock);
        prepare(&edge);
        let service = |closing| {
            let service = Service { proxy: Arc::new(phases::build(edge.clone())), closing };
            Remembering { service, edge }
        };
        let limits = Limits { total: 100, reserve: 0, per_client: 100 };
        Self { rig: Rig::start(Protocol::Auto, origin, limits, service), core, _state: state }
    }

    /// What arrives of the honest request over HTTP/1.1, over HTTP/2 and as a WebSocket's opening.
    async fn honest(&self) -> [Arrival; 3] {
        self.get_http1(&[]).await;
        let http1 = self.arrival();
        self.http2(&[], None).await;
        let http2 = self.arrival();
        self.open_socket(&[]).await;
        [http1, http2, self.arrival()]
    }

    /// The one request that has arrived.
    fn arrival(&self) -> Arrival {
        let mut arrived = self.core.arrivals.take();
        assert_eq!(arrived.len(), 1, "{arrived:?}");
        Arrival::read(&arrived.remove(0))
    }

    /// Judges what came of a request: `status` is what an outcome without refusal has, and what it was.
    fn check(&self, outcome: Outcome, honest: &Arrival, status: (u16, u16), what: &str) {
        let added: &[&str] = match outcome {
            Outcome::Refused(expected) => {
                assert_eq!(status.1, expected, "{what}");
                return assert_eq!(self.core.arrivals.take(), Vec::<Vec<u8>>::new(), "{what}");
            }
            Outcome::Kept(added) => added,
            Outcome::Malformed | Outcome::Same => &[],
        };
        assert_eq!(status.1, status.0, "{what}");
        let arrival = self.arrival();
        assert_eq!(arrival.shown, sorted(&honest.shown, added), "{what}");
        assert_eq!(arrival.claims, honest.claims, "{what}");
    }
}

impl Arrival {
    fn read(bytes: &[u8]) -> Self {
        let text = str::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
        let name = format!("{ASSERTION}: ");
        let ours: Vec<_> = lines.iter_mut().filter(|line| line.starts_with(&name)).collect();
        let [ours] = ours.try_into().unwrap_or_else(|ours| panic!("not one assertion: {ours:?}"));
        let payload = ours.split('.').nth(1).unwrap();
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
        for own in ["jti", "cid", "iat", "nbf", "exp"] {
            claims.as_object_mut().unwrap().remove(own);
        }
        claims["origin"].as_object_mut().unwrap().remove("port");
        *ours = format!("{name}(ours)");
        lines.push(body.to_owned());
        Self { shown: sorted(&lines, &[]), claims }
    }
}

/// The request line, these header lines and more in order of their names, the body.
fn sorted(shown: &[impl AsRef<str>], more: &[&str]) -> Vec<String> {
    let mut lines: Vec<_> = shown.iter().map(|line| line.as_ref().to_owned()).collect();
    let body = lines.pop().unwrap();
    lines.extend(more.iter().map(|line| (*line).to_owned()));
    lines[1..].sort();
    lines.push(body);
    lines
}

/// A name in every case and with every separator that somebody behind us may fold.
fn spellings(name: &str) -> BTreeSet<String> {
    let mixed = |signs: [char; 2]| {
        let mut signs = signs.into_iter().cycle();
        name.chars().map(|sign| if sign == '-' { signs.next().unwrap() } else { sign }).collect::<String>()
    };
    let separated =
        [['-', '-'], ['_', '_'], ['.', '.'], ['-', '_'], ['_', '-'], ['.', '_'], ['~', '-'], ['!', '\'']].map(mixed);
    let title = |name: &str| {
        let mut start = true;
        let mut turned = |sign: char| {
            let turned = if start { sign.to_ascii_uppercase() } else { sign };
            start = !sign.is_ascii_alphanumeric();
            turned
        };
        name.chars().map(&mut turned).collect::<String>()
    };
    separated.iter().flat_map(|name| [name.clone(), name.to_ascii_uppercase(), title(name)]).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] }).collect()
}
