//! Promise: whatever the gateway behind us does wrong, its caller gets an answer of ours with a reason, a code and a next step,
//! or an end that nobody takes for a whole answer; and a request is never sent twice that could be done twice.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::behind::{Behind, bearer};
use crate::support::caller::Answer;
use crate::support::fake_upstream::{FakeUpstream, Next, body, write};
use crate::support::lan::Household;
use crate::support::wait::wait_until;

const ADDRESS: &str = "127.0.0.1:28790";
const URL: &str = "http://127.0.0.1:28790";
/// The longest that anything here takes on a slow machine.
const WAIT: Duration = Duration::from_secs(60);

#[test]
fn a_gateway_that_is_not_there_is_told_with_a_reason_a_code_and_a_next_step() {
    let home = Household::new();
    let behind = Behind::start(&home, URL, "");
    let answer = behind.asked_from_lan("GET /chat", &[], b"");
    refused(&answer, 503, "upstream-unreachable");
    let head = answer.head.to_ascii_lowercase();
    assert!(head.contains("retry-after: 2") && head.contains("refresh: 5"), "{head}");
    let code = answer.body.rsplit('/').next().unwrap().trim_end_matches([')', '\n']).to_owned();
    let told = behind.instance.words(&["explain", &code]);
    assert!(told.contains("upstream-unreachable"), "{told}");
    let (name, value) = bearer(&behind.operator);
    refused(&behind.asked_from_lan("POST /tools/invoke", &[(name, &value)], b"{}"), 503, "upstream-unreachable");

    // It is there at once when the gateway is.
    let _fake = FakeUpstream::start(&home.host, ADDRESS, |_, stream| write(stream, "200 OK", "", "page"));
    assert_eq!(behind.asked_from_lan("GET /chat", &[], b"").body, "page");
}

#[test]
fn an_answer_that_is_none_or_breaks_off_is_never_taken_for_a_whole_one() {
    let home = Household::new();
    let (seen, is_seen) = std::sync::mpsc::channel();
    let is_seen = Mutex::new(is_seen);
    let _fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let written = match path {
            "/assets/garbage.js" => stream.write_all(b"\x00\x01\x02 what\r\n\r\n"),
            "/assets/nothing.js" => Ok(()),
            "/assets/two-lengths.js" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
            }
            "/assets/upgrade.js" => {
                stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            }
            "/assets/short.js" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
            "/assets/chunks.js" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            }
            _ => return write(stream, "200 OK", "", "fine"),
        };
        let _gone = written.and_then(|()| stream.flush());
        if path == "/assets/chunks.js" {
            // It breaks off when its caller has the first half. What has a length is gathered before it goes on.
            is_seen.lock().unwrap().recv_timeout(WAIT).unwrap();
        }
        Next::End
    });
    let behind = Behind::start(&home, URL, "");
    for path in ["garbage", "nothing", "two-lengths", "upgrade"] {
        let answer = behind.asked_from_lan(&format!("GET /assets/{path}.js"), &[], b"");
        refused(&answer, 502, "upstream-broken");
    }
    // What is out by then is followed by an end that shows.
    let ask = |path: &str| {
        let request = format!("GET /assets/{path}.js HTTP/1.1\r\nHost: 127.0.0.1:18789\r\n\r\n");
        let (answer, end) = raw(&home, &request, "half", seen.clone());
        assert!(matches!(end, None | Some(ErrorKind::ConnectionReset)), "{path}: {end:?}");
        answer
    };
    let answer = ask("chunks");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "4\r\nhalf\r\n", "{head}");
    // Of one with a length less comes than it says, or nothing.
    let answer = ask("short");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!("half".starts_with(body) && !answer.contains("ength: 4\r\n"), "{answer}");
    let told = |line: &str| line.contains("/assets/short.js") && line.contains("upstream-broken");
    wait_until(|| behind.instance.log().lines().any(told));
    assert_eq!(behind.asked_from_lan("GET /assets/ok.js", &[], b"").body, "fine");
}

#[test]
fn only_what_changes_nothing_is_sent_again_on_another_connection() {
    let home = Household::new();
    let fake = FakeUpstream::start(&home.host, ADDRESS, |head, stream| {
        let _body = body(head, stream);
        // What the second asks for may be done by now.
        if head.contains("x-mark: second") { Next::End } else { write(stream, "200 OK", "", "fine") }
    });
    let behind = Behind::start(&home, URL, "");
    let (name, value) = bearer(&behind.operator);
    let send = |method: &str, mark: &str| {
        let what = format!("{method} /api/thing");
        behind.asked_from_lan(&what, &[(name, &value), ("X-Mark", mark)], b"")
    };
    for method in ["POST", "DELETE", "PUT"] {
        assert_eq!(send(method, "first").status, 200);
        fake.take_heads();
        refused(&send(method, "second"), 502, "upstream-broken");
        assert_eq!(fake.take_heads().len(), 1, "{method} was sent twice");
    }
    // On a machine that is slow just now, the connection of the first may be given up before the second.
    let again = (0..10).find(|_| {
        assert_eq!(send("GET", "first").status, 200);
        fake.take_heads();
        refused(&send("GET", "second"), 502, "upstream-broken");
        let heard = fake.take_heads().len();
        assert!((1..=2).contains(&heard), "a GET is sent at most twice: {heard}");
        heard == 2
    });
    assert!(again.is_some(), "a GET is not sent again when the kept connection dies");
}

#[test]
fn a_gateway_that_cannot_prove_its_name_hears_of_no_request() {
    let home = Household::new();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["another.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let config = Arc::new(config);
    let fake = FakeUpstream::start_with(
        &home.host,
        ADDRESS,
        move |socket| Ok(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket)),
        |_, stream| write(stream, "200 OK", "", "fine"),
    );
    let behind = Behind::start(&home, "https://127.0.0.1:28790", "");
    refused(&behind.asked_from_lan("GET /", &[], b""), 502, "upstream-refused-tls");
    let (name, value) = bearer(&behind.operator);
    refused(&behind.asked_from_lan("POST /tools/invoke", &[(name, &value)], b"{}"), 502, "upstream-refused-tls");
    assert_eq!(fake.take_heads(), [""; 0]);

    // The same one, believed: with its certificate among the machine's, and its name in the address.
    drop(behind);
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, certificate.pem()).unwrap();
    let variable = format!("SSL_CERT_FILE={}", roots.display());
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 another.example\n").unwrap();
    let mount = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let wrapper = ["/usr/bin/env", &variable, "/usr/bin/unshare", "--mount", "/bin/sh", "-c", &mount, "sh"];
    let behind = Behind::wrapped(&home, "https://another.example:28790", "", &wrapper);
    let page = behind.asked_from_lan("GET /", &[], b"");
    assert_eq!((page.status, page.body.as_str()), (200, "fine"), "{}", behind.instance.log());
    assert_eq!(fake.take_heads().len(), 1);
}

#[test]
fn a_gateway_that_takes_no_connection_is_given_up_soon() {
    let home = Household::new();
    // Its queue is full: what dials it hears nothing.
    let _full = home.host.on(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&ADDRESS.parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.listen(0).unwrap();
        let listener: TcpListener = socket.into();
        let held: Vec<_> = (0..4)
            .filter_map(|_| {
                let wait = std::time::Duration::from_millis(300);
                std::net::TcpStream::connect_timeout(&ADDRESS.parse().unwrap(), wait).ok()
            })
            .collect();
        (listener, held)
    });
    let behind = Behind::start(&home, URL, "");
    refused(&behind.asked_from_lan("GET /", &[], b""), 503, "upstream-unreachable");
}

/// Checks that this is a refusal of ours: a page that nobody keeps, with a reason, a next step and a code.
fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{}\n{}", answer.head, answer.body);
    assert!(answer.head.to_ascii_lowercase().contains("cache-control: no-store"), "{}", answer.head);
    assert!(answer.body.starts_with(&format!("{reason}: ")), "{}", answer.body);
    assert!(answer.body.contains("/doorward/why/"), "{}", answer.body);
}

/// These bytes, from the owner at the host; everything that comes back until the end, and what the end was if no plain one.
/// Tells once `half` is there.
fn raw(home: &Household, request: &str, half: &'static str, seen: Sender<()>) -> (String, Option<ErrorKind>) {
    let request = request.to_owned();
    home.host.on(move || {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:18789").unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut piece, mut half) = (String::new(), [0; 4096], Some(half));
        loop {
            match stream.read(&mut piece) {
                Ok(0) => return (answer, None),
                Ok(length) => answer.push_str(std::str::from_utf8(&piece[..length]).unwrap()),
                Err(error) => return (answer, Some(error.kind())),
            }
            if half.is_some_and(|half| answer.contains(half)) {
                half = None;
                // Nobody waits for it any more where the whole came at once.
                let _nobody = seen.send(());
            }
        }
    })
}
