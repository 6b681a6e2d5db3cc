//! Plain HTTP where TLS is spoken: answered once, in plain HTTP, because a browser shows nothing of TLS's own alert.

use std::future::poll_fn;
use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::connection::ConnectionError;
use super::refusal::Refusal;
use super::transport::Transport;
use crate::base::limits::METHOD_BYTES_MAX;
use crate::net::host::is_tchar;

/// Nothing of what the caller sent is in it.
const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncache-control: no-store\r\n\
    content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\n\r\n\
    plain-http: this port speaks https: open https:// in place of http://, or wss:// in place of ws://\n";

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Opening {
    /// A method and its space (RFC 9110 §9.1).
    Http,
    /// A method so far.
    Incomplete,
    /// The beginning of what neither TLS nor HTTP/1 begins with.
    Other,
}

/// Gives the stream back untouched unless it begins as plain text; that is refused, as HTTP/1 if it is that.
///
/// # Errors
/// [`ConnectionError::PlainHttp`] and [`ConnectionError::PlainText`] when it was refused.
pub(super) async fn refuse(mut stream: TcpStream) -> Result<TcpStream, ConnectionError> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    // No content type of a TLS record (RFC 8446 §5.1), nor the beginning of an older hello, is one of a method's letters.
    if !first.iter().copied().all(is_tchar) {
        return Ok(stream);
    }
    let mut bytes = [0; METHOD_BYTES_MAX];
    let mut known = 0_usize;
    loop {
        let room = bytes.get_mut(known..).filter(|room| !room.is_empty()).ok_or(ConnectionError::PlainText)?;
        let read = stream.read(room).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        known = known.saturating_add(read);
        match opening(bytes.get(..known).unwrap_or_default()) {
            Opening::Http => break,
            Opening::Incomplete => {}
            Opening::Other => return Err(ConnectionError::PlainText),
        }
    }
    let mut transport = Transport::Plain(stream);
    let mut refusal = Refusal::after(ANSWER.as_bytes().to_vec(), 0);
    poll_fn(|cx| refusal.poll(&mut transport, cx)).await;
    Err(ConnectionError::PlainHttp)
}

fn opening(bytes: &[u8]) -> Opening {
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    // HTTP/2's preface says PRI, and its client would not understand HTTP/1; a PROXY header is no request.
    if method.is_empty() || !method.iter().copied().all(is_tchar) || matches!(method, b"PRI" | b"PROXY") {
        return Opening::Other;
    }
    if method.len() < bytes.len() { Opening::Http } else { Opening::Incomplete }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_method_and_its_space_are_http() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1"[..], Opening::Http),
            (b"M-SEARCH *", Opening::Http),
            (b"GE", Opening::Incomplete),
            (b"GET\t/", Opening::Other),
            (b" GET /", Opening::Other),
            (b"PRI * HTTP/2.0", Opening::Other),
            (b"PROXY TCP4 192.0.2.1", Opening::Other),
            (b"\x16\x03\x01", Opening::Other),
            (b"\x80\x2e\x01", Opening::Other),
            (b"SSH-2.0-x\r\n", Opening::Other),
            (b"", Opening::Other),
        ] {
            assert_eq!(opening(bytes), expected, "{bytes:?}");
        }
    }
}
