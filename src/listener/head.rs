//! The guard of an HTTP/1 head: it sees the bytes before the parser does, counts them, and stops what
//! the parser would be lenient about. Pure: bytes go in, a judgement comes out.
//!
//! Why: pingora reads heads of up to 1 MiB with a deadline per read, takes bare line feeds and mends
//! request lines. One byte stream must have one reading, and a slow head one deadline.

use http::StatusCode;
use thiserror::Error;

use crate::base::limits::{HEAD_BYTES_MAX, HEAD_LINES_MAX};

/// One head, as far as it has been seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    bytes: usize,
    lines: usize,
    /// Bytes of the line being read, its line end apart.
    line_bytes: usize,
    spaces: usize,
    carriage_return: bool,
    method: Start,
    target: Start,
}

/// The first bytes of a word: enough to tell `CONNECT` and `https://` from all others.
#[derive(Clone, Copy, Debug, Default)]
struct Start {
    bytes: [u8; 8],
    count: usize,
}

impl Start {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.count) {
            *place = byte.to_ascii_lowercase();
        }
        self.count = self.count.saturating_add(1);
    }

    fn is(&self, word: &[u8]) -> bool {
        self.count == word.len() && self.bytes.starts_with(word)
    }
}

/// What is known after some bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// The head is whole; what follows is a body.
    Whole,
    /// More must come.
    Part,
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum HeadFault {
    /// A line feed without its carriage return (RFC 9112 §2.2 lets a recipient choose; two readers
    /// that choose differently can be played against each other).
    #[error("bare line feed in the head")]
    BareLineFeed,
    /// The first line is not `method SP target SP version` in visible ASCII.
    #[error("malformed request line")]
    RequestLine,
    /// More header lines than [`HEAD_LINES_MAX`].
    #[error("too many header lines")]
    TooManyLines,
    /// More bytes than [`HEAD_BYTES_MAX`].
    #[error("request head too large")]
    TooLarge,
    /// Not whole in time.
    #[error("request head too slow")]
    TooSlow,
    /// The parser behind us refused it.
    #[error("malformed request head")]
    Unreadable,
}

impl HeadFault {
    /// The status, the stable reason, and what to do.
    fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::TooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "send at most 64 KiB of headers")
            }
            Self::TooManyLines => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "too-many-headers", "send at most 100 header lines")
            }
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "head-too-slow", "send the whole head within 5 seconds"),
            Self::BareLineFeed | Self::RequestLine | Self::Unreadable => {
                (StatusCode::BAD_REQUEST, "malformed-request", "send a request as RFC 9112 has it")
            }
        }
    }

    /// The status of its answer.
    pub fn status(self) -> StatusCode {
        self.words().0
    }

    /// The stable reason, in the answer and in the access log.
    pub fn reason(self) -> &'static str {
        self.words().1
    }

    /// What the caller does about it.
    pub fn next(self) -> &'static str {
        self.words().2
    }
}

impl Head {
    /// Whether the first byte of the request has come.
    pub fn begun(&self) -> bool {
        self.bytes > 0
    }

    /// Looks at the next bytes.
    ///
    /// # Errors
    /// The first [`HeadFault`] in them.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Seen, HeadFault> {
        for byte in bytes {
            self.bytes = self.bytes.saturating_add(1);
            if self.bytes > HEAD_BYTES_MAX {
                return Err(HeadFault::TooLarge);
            }
            match *byte {
                b'\n' if !self.carriage_return => return Err(HeadFault::BareLineFeed),
                b'\n' if self.end_of_line()? => return Ok(Seen::Whole),
                b'\n' => {}
                byte => self.inside_line(byte)?,
            }
            self.carriage_return = *byte == b'\r';
        }
        Ok(Seen::Part)
    }

    /// Whether that was the empty line which ends the head.
    fn end_of_line(&mut self) -> Result<bool, HeadFault> {
        // The carriage return was counted as part of the line.
        let empty = self.line_bytes == 1;
        self.line_bytes = 0;
        if self.lines == 0 {
            // RFC 9112 §2.2: empty lines before the request line are passed over.
            if empty {
                return Ok(false);
            }
            if self.spaces != 2 {
                return Err(HeadFault::RequestLine);
            }
        } else if empty {
            return Ok(true);
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > HEAD_LINES_MAX.saturating_add(1) {
            return Err(HeadFault::TooManyLines);
        }
        Ok(false)
    }

    fn inside_line(&mut self, byte: u8) -> Result<(), HeadFault> {
        self.line_bytes = self.line_bytes.saturating_add(1);
        if self.lines > 0 {
            return Ok(());
        }
        match byte {
            b' ' => {
                self.spaces = self.spaces.saturating_add(1);
                let misplaced = self.spaces > 2 || self.line_bytes == 1;
                if misplaced || (self.spaces == 2 && !self.is_target()) { Err(HeadFault::RequestLine) } else { Ok(()) }
            }
            b'\r' if !self.carriage_return => Ok(()),
            // A fragment never travels (RFC 9112 §3.2); a reader that cuts it off reads another target than one that does not.
            b'#' if self.spaces == 1 => Err(HeadFault::RequestLine),
            // A carriage return inside the line is one that no line feed followed.
            0x21..=0x7e if !self.carriage_return => {
                match self.spaces {
                    0 => self.method.push(byte),
                    1 => self.target.push(byte),
                    _ => {}
                }
                Ok(())
            }
            _ => Err(HeadFault::RequestLine),
        }
    }

    /// A path, an absolute URL, `*`, or CONNECT's authority (RFC 9112 §3.2). The parser behind us would mend
    /// anything else into a path.
    fn is_target(&self) -> bool {
        let bytes = &self.target.bytes;
        [&b"/"[..], b"http://", b"https://"].iter().any(|start| bytes.starts_with(start))
            || self.target.is(b"*")
            || self.method.is(b"connect")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_empty_line_however_it_is_cut() {
        let head = b"\r\nGET /a?b HTTP/1.1\r\nHost: a\r\nX: \xff b\r\n\r\n";
        for cut in 0..head.len() {
            let mut seen = Head::default();
            let (one, two) = head.split_at(cut);
            assert_eq!(seen.read(one), Ok(Seen::Part), "{cut}");
            assert_eq!(seen.read(two), Ok(Seen::Whole), "{cut}");
        }
        assert_eq!(read(b"GET / HTTP/1.1\r\n\r\nbody\n\n"), Ok(Seen::Whole));
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for (bytes, fault) in [
            (&b"GET / HTTP/1.1\n\n"[..], HeadFault::BareLineFeed),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", HeadFault::BareLineFeed),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\n", HeadFault::BareLineFeed),
            (b"\nGET / HTTP/1.1\r\n", HeadFault::BareLineFeed),
            (b"GET  / HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET / a HTTP/1.1\r\n", HeadFault::RequestLine),
            (b" GET / HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET / HTTP/1.1 \r\n", HeadFault::RequestLine),
            (b"GET\t/ HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET /\r\n", HeadFault::RequestLine),
            (b"GET admin HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET ?x HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET *x HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET 127.0.0.1:80 HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET httpx:// HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET ftp://a/ HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET /a#b HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET /\x00 HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET /\x7f HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET /\xc3\xa9 HTTP/1.1\r\n", HeadFault::RequestLine),
            (b"GET /\r\r\n", HeadFault::RequestLine),
            (b"\x16\x03\x01\x02\x00", HeadFault::RequestLine),
        ] {
            assert_eq!(read(bytes), Err(fault), "{bytes:?}");
        }
    }

    #[test]
    fn every_form_of_target_passes() {
        for line in ["GET / ", "GET HTTPS://a/b ", "GET http://a ", "OPTIONS * ", "CONNECT a:80 ", "GET //a "] {
            assert_eq!(read(format!("{line}HTTP/1.1\r\n\r\n").as_bytes()), Ok(Seen::Whole), "{line}");
        }
    }

    #[test]
    fn a_hundred_lines_pass_and_one_more_does_not() {
        let head = |lines: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(lines));
        assert_eq!(read(head(HEAD_LINES_MAX).as_bytes()), Ok(Seen::Whole));
        assert_eq!(read(head(HEAD_LINES_MAX + 1).as_bytes()), Err(HeadFault::TooManyLines));
    }

    #[test]
    fn a_head_of_64_kib_passes_and_one_byte_more_does_not() {
        let head = |bytes: usize| {
            let rest = "GET / HTTP/1.1\r\na: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(bytes - rest))
        };
        assert_eq!(read(head(HEAD_BYTES_MAX).as_bytes()), Ok(Seen::Whole));
        assert_eq!(read(head(HEAD_BYTES_MAX + 1).as_bytes()), Err(HeadFault::TooLarge));
        assert_eq!(read(&b"\r\n".repeat(HEAD_BYTES_MAX)), Err(HeadFault::TooLarge));
    }

    fn read(bytes: &[u8]) -> Result<Seen, HeadFault> {
        Head::default().read(bytes)
    }
}
