//! A fake of the gateway behind us, for what a real one never shows: the bytes that arrive, and answers that no gateway gives.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::namespace::Namespace;

const WAIT: Duration = Duration::from_secs(120);

/// What requests of the tests call themselves; others, such as doorward's own connection, are answered and not noted.
pub(crate) const TESTER: &str = "User-Agent: tester\r\n";

/// What follows an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// The end of the connection.
    End,
    /// The next request.
    Request,
}

/// Any stream that bytes come by.
pub(crate) trait Io: Read + Write {}
impl<S: Read + Write> Io for S {}

/// A running fake; its threads end with the test's process.
#[derive(Clone, Debug)]
pub(crate) struct FakeUpstream {
    heads: Arc<Mutex<Vec<String>>>,
}

impl FakeUpstream {
    /// Listens there and answers each request with what `answer` writes, which gets the head and the stream behind it.
    pub(crate) fn start(
        machine: &Namespace,
        address: &'static str,
        answer: impl Fn(&str, &mut dyn Io) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(machine, address, Ok, answer)
    }

    /// The same behind what `wrap` makes of each connection.
    pub(crate) fn start_with<S: Io>(
        machine: &Namespace,
        address: &'static str,
        wrap: impl Fn(TcpStream) -> io::Result<S> + Send + Sync + 'static,
        answer: impl Fn(&str, &mut dyn Io) -> Next + Send + Sync + 'static,
    ) -> Self {
        let fake = Self { heads: Arc::default() };
        let (noting, listener) = (fake.clone(), machine.on(move || TcpListener::bind(address).unwrap()));
        let (wrap, answer) = (Arc::new(wrap), Arc::new(answer));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (noting, wrap, answer) = (noting.clone(), Arc::clone(&wrap), Arc::clone(&answer));
                socket.set_read_timeout(Some(WAIT)).unwrap();
                std::thread::spawn(move || {
                    let Ok(mut stream) = wrap(socket) else { return };
                    while let Some(head) = head(&mut stream) {
                        if head.contains("user-agent: tester\r\n") {
                            noting.heads.lock().unwrap().push(head.clone());
                        }
                        if answer(&head, &mut stream) == Next::End {
                            return;
                        }
                    }
                });
            }
        });
        fake
    }

    /// The heads that came so far, each up to its empty line.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The heads that came since the last time.
    pub(crate) fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }
}

/// Up to the empty line; nothing at the end of the stream.
fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

/// Reads a body as its head announces it.
pub(crate) fn body(head: &str, stream: &mut dyn Io) -> io::Result<Vec<u8>> {
    if let Some(length) = field(head, "content-length") {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body)?;
        return Ok(body);
    }
    let mut body = Vec::new();
    while field(head, "transfer-encoding") == Some("chunked") {
        let size = usize::from_str_radix(&line(stream)?, 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(&chunk[..size]);
    }
    Ok(body)
}

/// One line without its end.
fn line(stream: &mut dyn Io) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    String::from_utf8(line).map_err(io::Error::other)
}

/// The first value of a header, whose name is in lower case.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let of = |line: &'a str| line.split_once(':').filter(|(found, _)| found.eq_ignore_ascii_case(name));
    head.lines().find_map(of).map(|(_, value)| value.trim())
}

/// A short answer with these further header lines, each with its end.
pub(crate) fn write(stream: &mut dyn Io, status: &str, lines: &str, body: &str) -> Next {
    let length = body.len();
    // Whoever asked may be gone.
    let _gone = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{lines}\r\n{body}");
    let _gone = stream.flush();
    Next::Request
}
