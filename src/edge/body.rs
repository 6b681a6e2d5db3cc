//! What a head may say about its body, and reading that body whole and bounded.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, Version};
use pingora_core::protocols::http::ServerSession;
use tokio::time::timeout;

use super::respond::Refusal;
use crate::base::limits::{BODY_BYTES_MAX, BODY_WAIT};

/// Judges the framing a head announces: stricter than the parser, which passes any coding that ends in chunked.
///
/// # Errors
/// [`Refusal::TransferCoding`], [`Refusal::Expectation`].
pub fn check_framing(headers: &HeaderMap, version: Version) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") && version == Version::HTTP_11 => {}
        _ => return Err(Refusal::TransferCoding),
    }
    let mut expectations = headers.get_all(EXPECT).iter();
    match (expectations.next(), expectations.next()) {
        (None, _) => {}
        (Some(expectation), None) if expectation.as_bytes().eq_ignore_ascii_case(b"100-continue") => {}
        _ => return Err(Refusal::Expectation),
    }
    Ok(())
}

/// Judges the length that a head announces, for whoever takes `most`.
///
/// # Errors
/// [`Refusal::BodyTooLarge`].
pub fn check_length(headers: &HeaderMap, most: u64) -> Result<(), Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > most) { Err(Refusal::BodyTooLarge) } else { Ok(()) }
}

/// Reads the request's body to its end.
///
/// # Errors
/// The first bound it breaks; the connection then closes, for nobody can say where the next head would begin.
pub async fn read(session: &mut ServerSession) -> Result<Bytes, Refusal> {
    if session.is_body_empty() {
        return Ok(Bytes::new());
    }
    if session.get_header(TRANSFER_ENCODING).is_some() {
        // The parser takes an empty chunk size for a zero: after chunks no second head is read here.
        session.set_keepalive(None);
    }
    let body = timeout(BODY_WAIT, read_whole(session)).await.unwrap_or(Err(Refusal::BodyTooSlow));
    if body.is_err() {
        // Pingora takes a body that broke off for one that ended.
        session.set_keepalive(None);
    }
    body
}

async fn read_whole(session: &mut ServerSession) -> Result<Bytes, Refusal> {
    let expects = session.get_header(EXPECT).is_some() && session.req_header().version == Version::HTTP_11;
    if expects {
        session.write_continue_response().await.map_err(|_| Refusal::BodyUnreadable)?;
    }
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await.map_err(|_| Refusal::BodyUnreadable)? {
        if body.len().saturating_add(piece.len()) > BODY_BYTES_MAX {
            return Err(Refusal::BodyTooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_chunked_is_a_transfer_coding() {
        assert!(check(&[("transfer-encoding", "Chunked")]).is_ok());
        for bad in ["gzip, chunked", "identity", "chunked, chunked", "xchunked", "chunked ", "\u{b}chunked"] {
            let Ok(value) = HeaderValue::from_bytes(bad.as_bytes()) else { continue };
            let headers = HeaderMap::from_iter([(TRANSFER_ENCODING, value)]);
            assert!(matches!(check_framing(&headers, Version::HTTP_11), Err(Refusal::TransferCoding)), "{bad}");
        }
        let twice = check(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]);
        assert!(matches!(twice, Err(Refusal::TransferCoding)));
    }

    #[test]
    fn only_one_expectation_is_known() {
        assert!(check(&[("expect", "100-Continue")]).is_ok());
        assert!(matches!(check(&[("expect", "200-ok")]), Err(Refusal::Expectation)));
        assert!(matches!(check(&[("expect", "100-continue"), ("expect", "100-continue")]), Err(Refusal::Expectation)));
    }

    #[test]
    fn an_announced_giant_is_refused_unread() {
        let of = |length: u64| HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(length))]);
        assert!(check_length(&of(64), 64).is_ok() && check_length(&HeaderMap::new(), 0).is_ok());
        assert!(matches!(check_length(&of(65), 64), Err(Refusal::BodyTooLarge)));
    }

    fn check(lines: &[(&str, &str)]) -> Result<(), Refusal> {
        let headers = lines.iter().map(|(name, value)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        });
        check_framing(&headers.collect(), Version::HTTP_11)
    }
}
