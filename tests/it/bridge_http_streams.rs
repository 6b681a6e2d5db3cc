//! Promise: what streams through us to the gateway and back is not kept: each piece goes on as it comes, an upload of any length
//! costs no memory, and what breaks off on one side ends on the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::behind::Behind;
use crate::support::fake_upstream::{FakeUpstream, Next, TESTER, body, field, write};
use crate::support::lan::Household;
use crate::support::wait::wait_until;

const ADDRESS: &str = "127.0.0.1:28790";
const URL: &str = "http://127.0.0.1:28790";
const WAIT: Duration = Duration::from_secs(120);
/// More than doorward may keep of anything.
const UPLOAD_BYTES: usize = 192 * 1024 * 1024;

#[test]
fn each_piece_of_an_answer_comes_down_before_the_next_is_there() {
    let home = Household::new();
    let (go, gone) = signal();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        if !head.contains("/events") {
            return write(stream, "200 OK", "", "fine");
        }
        let kind = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
        write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\n").unwrap();
        for event in ["data: one\n\n", "data: two\n\n"] {
            write!(stream, "{:x}\r\n{event}\r\n", event.len()).unwrap();
            stream.flush().unwrap();
            gone.lock().unwrap().recv_timeout(WAIT).unwrap();
        }
        write!(stream, "0\r\n\r\n").unwrap();
        Next::Request
    });
    let behind = Behind::start(&home, URL, "");
    let request = format!("POST /api/events HTTP/1.1\r\n{}Content-Length: 0\r\n\r\n", head_of(&behind));
    home.host.on(move || {
        let mut stream = BufReader::new(dial(request.as_bytes()));
        until(&mut stream, "data: one\n");
        go.send(()).unwrap();
        until(&mut stream, "data: two\n");
        go.send(()).unwrap();
        until(&mut stream, "0\r\n");
    });
}

#[test]
fn each_piece_of_a_body_goes_up_before_the_next_is_there_and_100_continue_is_ours_to_say() {
    let home = Household::new();
    let (heard, hears) = signal();
    let fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        if field(head, "content-length") == Some("8") {
            let mut half = [0; 4];
            stream.read_exact(&mut half).unwrap();
            heard.send(()).unwrap();
            stream.read_exact(&mut half).unwrap();
        }
        write(stream, "200 OK", "", "done")
    });
    let behind = Behind::start(&home, URL, "");
    let request =
        format!("POST /api/upload HTTP/1.1\r\n{}Content-Length: 8\r\nExpect: 100-continue\r\n\r\n", head_of(&behind));
    home.host.on(move || {
        let mut stream = BufReader::new(dial(request.as_bytes()));
        until(&mut stream, "HTTP/1.1 100 ");
        stream.get_mut().write_all(b"half").unwrap();
        hears.lock().unwrap().recv_timeout(WAIT).unwrap();
        stream.get_mut().write_all(b"rest").unwrap();
        until(&mut stream, "HTTP/1.1 200 ");
    });
    assert!(!fake.heads()[0].contains("expect"), "{:?}", fake.heads());
    // Who may not, is not asked for a body.
    let request =
        "POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:18789\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n";
    home.host.on(move || {
        let mut first = String::new();
        BufReader::new(dial(request.as_bytes())).read_line(&mut first).unwrap();
        assert!(first.starts_with("HTTP/1.1 401 "), "{first}");
    });
}

#[test]
fn an_upload_of_any_length_costs_no_memory_and_arrives_whole() {
    let home = Household::new();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, |head, stream| {
        let bytes = match field(head, "content-length").map(|length| length.parse().unwrap()) {
            Some(length) => std::io::copy(&mut stream.take(length), &mut std::io::sink()).unwrap(),
            None => body(head, stream).unwrap().len() as u64,
        };
        write(stream, "200 OK", "", &format!("{bytes}\n"))
    });
    let behind = Behind::start(&home, URL, "");
    let before = memory_peak_kib(behind.instance.id());
    let request = format!("PUT /api/upload HTTP/1.1\r\n{}Content-Length: {UPLOAD_BYTES}\r\n\r\n", head_of(&behind));
    home.host.on(move || {
        let mut stream = dial(request.as_bytes());
        let piece = [b'x'; 64 * 1024];
        for _ in 0..UPLOAD_BYTES / piece.len() {
            stream.write_all(&piece).unwrap();
        }
        until(&mut BufReader::new(stream), &UPLOAD_BYTES.to_string());
    });
    let grown = memory_peak_kib(behind.instance.id()).saturating_sub(before);
    assert!(grown < 48 * 1024, "{grown} KiB more for an upload of {} KiB", UPLOAD_BYTES / 1024);
    let over = format!("PUT /api/upload HTTP/1.1\r\n{}Content-Length: 1073741825\r\n\r\n", head_of(&behind));
    home.host.on(move || until(&mut BufReader::new(dial(over.as_bytes())), "HTTP/1.1 413 "));
}

#[test]
fn a_body_that_breaks_off_does_not_arrive_as_a_whole_one() {
    let home = Household::new();
    let (told, hears) = signal_of::<Result<Vec<u8>, String>>();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        if head.contains("/api/upload") {
            told.send(body(head, stream).map_err(|error| error.to_string())).unwrap();
        }
        write(stream, "200 OK", "", "done")
    });
    let behind = Behind::start(&home, URL, "");
    for framing in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let request = format!("POST /api/upload HTTP/1.1\r\n{}{framing}", head_of(&behind));
        home.host.on(move || drop(dial(request.as_bytes())));
        let arrived = hears.lock().unwrap().recv_timeout(WAIT).unwrap();
        assert!(arrived.is_err(), "{framing:?} arrived as {arrived:?}");
    }
}

#[test]
fn nobodys_body_goes_up_with_what_anybody_may_have() {
    let home = Household::new();
    let fake = FakeUpstream::start(&home.host, ADDRESS, |_, stream| write(stream, "200 OK", "", "fine"));
    let behind = Behind::start(&home, URL, "");
    for framing in ["Content-Length: 4\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n"] {
        for path in ["/", "/assets/a.js", "/chat"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:18789\r\n{TESTER}{framing}");
            home.host.on(move || until(&mut BufReader::new(dial(request.as_bytes())), "HTTP/1.1 401 "));
        }
    }
    assert_eq!(fake.heads(), [""; 0], "{}", behind.instance.log());
}

#[test]
fn who_leaves_is_left_by_the_gateways_answer_too() {
    let home = Household::new();
    let (told, hears) = signal();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        if !head.contains("/api/turn") {
            return write(stream, "200 OK", "", "fine");
        }
        body(head, stream).unwrap();
        told.send(()).unwrap();
        // It thinks, until it sees that nobody waits.
        let mut byte = [0];
        if stream.read(&mut byte).is_ok_and(|bytes| bytes == 0) {
            told.send(()).unwrap();
        }
        Next::End
    });
    let behind = Behind::start(&home, URL, "");
    let request = format!("POST /api/turn HTTP/1.1\r\n{}Content-Length: 2\r\n\r\n{{}}", head_of(&behind));
    let stream = home.host.on(move || dial(request.as_bytes()));
    for fact in ["it thinks", "it is left"] {
        hears.lock().unwrap().recv_timeout(WAIT).unwrap_or_else(|error| panic!("{fact}: {error}"));
        let _left = stream.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn nothing_more_passes_once_the_device_is_revoked() {
    let home = Household::new();
    let (go, gone) = signal();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        if !head.contains("/api/turn") {
            return write(stream, "200 OK", "", "fine");
        }
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n").unwrap();
        gone.lock().unwrap().recv_timeout(WAIT).unwrap();
        let _cut = write!(stream, "7\r\nsecond\n\r\n0\r\n\r\n");
        Next::Request
    });
    let behind = Behind::start(&home, URL, "");
    let request = format!("POST /api/turn HTTP/1.1\r\n{}Content-Length: 0\r\n\r\n", head_of(&behind));
    let mut stream = home.host.on(move || BufReader::new(dial(request.as_bytes())));
    until(&mut stream, "first\n");
    behind.instance.words(&["devices", "revoke", "--device", &behind.operator_id, "--role", "operator"]);
    go.send(()).unwrap();
    let mut rest = String::new();
    let _cut = stream.read_to_string(&mut rest);
    assert!(!rest.contains("second") && !rest.contains("0\r\n\r\n"), "{rest}");
    let again =
        behind.asked_from_lan("GET /v1/models", &[("Authorization", &format!("Bearer {}", behind.operator))], b"");
    assert_eq!(again.status, 401, "{}", again.body);
}

#[test]
fn an_answer_on_its_way_is_finished_while_doorward_stops() {
    let home = Household::new();
    let (go, gone) = signal();
    let _fake = FakeUpstream::start(&home.host, ADDRESS, move |head, stream| {
        if !head.contains("/api/turn") {
            return write(stream, "200 OK", "", "fine");
        }
        write!(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n").unwrap();
        gone.lock().unwrap().recv_timeout(WAIT).unwrap();
        write!(stream, "5\r\nlast\n\r\n0\r\n\r\n").unwrap();
        Next::Request
    });
    let behind = Behind::start(&home, URL, "");
    let request = format!("POST /api/turn HTTP/1.1\r\n{}Content-Length: 0\r\n\r\n", head_of(&behind));
    let mut stream = home.host.on(move || BufReader::new(dial(request.as_bytes())));
    until(&mut stream, "first\n");
    let id = i32::try_from(behind.instance.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    wait_until(|| behind.instance.log().contains("draining"));
    go.send(()).unwrap();
    until(&mut stream, "last\n");
    until(&mut stream, "0\r\n");
}

/// A word from one side of a test to the other.
fn signal() -> (Sender<()>, Mutex<Receiver<()>>) {
    signal_of()
}

fn signal_of<T>() -> (Sender<T>, Mutex<Receiver<T>>) {
    let (sender, receiver) = channel();
    (sender, Mutex::new(receiver))
}

/// The lines of an operator's request to the host itself.
fn head_of(behind: &Behind<'_>) -> String {
    format!("Host: 127.0.0.1:18789\r\n{TESTER}Authorization: Bearer {}\r\n", behind.operator)
}

/// A connection to doorward, on its machine, by which this went out.
fn dial(request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect("127.0.0.1:18789").unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.write_all(request).unwrap();
    stream
}

/// Reads until a line begins with, or is, `word`.
fn until(stream: &mut impl BufRead, word: &str) {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let bytes = stream.read_line(&mut line).unwrap_or_else(|error| panic!("{word}: {error}: {seen}"));
        assert!(bytes > 0, "no {word:?} in {seen:?}");
        if line.starts_with(word) {
            return;
        }
        seen.push_str(&line);
    }
}

/// The most memory that a process ever had.
fn memory_peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
