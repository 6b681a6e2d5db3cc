//! Version 1: one line of text, at most 107 bytes (section 2.1).

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::str::FromStr;

use super::Decoded;
use super::Header;
use super::ProxyProtocolError;
use super::Source;
use crate::base::limits::PROXY_V1_BYTES_MAX;

/// What each line opens with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";

/// Reads a line from bytes that begin like [`SIGNATURE`].
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, ProxyProtocolError> {
    let window = bytes.get(..PROXY_V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if window.len() < PROXY_V1_BYTES_MAX {
            Ok(Decoded::Incomplete)
        } else {
            Err(ProxyProtocolError::TooLong)
        };
    };
    let (line, rest) = window.split_at_checked(end).unwrap_or((window, &[]));
    match rest {
        [b'\r', b'\n', ..] => {
            let source = source(line.get(SIGNATURE.len()..).unwrap_or_default())?;
            Ok(Decoded::Whole { header: Header { source }, bytes: end + 2 })
        }
        [b'\r'] if window.len() < PROXY_V1_BYTES_MAX => Ok(Decoded::Incomplete),
        [b'\r'] => Err(ProxyProtocolError::TooLong),
        _ => Err(ProxyProtocolError::LineEnd),
    }
}

/// What stands between `PROXY ` and the line's end.
fn source(fields: &[u8]) -> Result<Source, ProxyProtocolError> {
    // Everything behind UNKNOWN is ignored: the sender does not know what it is.
    if fields == b"UNKNOWN" || fields.starts_with(b"UNKNOWN ") {
        return Ok(Source::Real);
    }
    let fields = std::str::from_utf8(fields).map_err(|_| ProxyProtocolError::Address)?;
    let mut fields = fields.split(' ');
    let mut next = || fields.next().ok_or(ProxyProtocolError::Fields);
    let family = next()?;
    let (source, destination, source_port, destination_port) = (next()?, next()?, next()?, next()?);
    if fields.next().is_some() {
        return Err(ProxyProtocolError::Fields);
    }
    let ip = match family {
        "TCP4" => pair::<Ipv4Addr>(source, destination)?,
        "TCP6" => pair::<Ipv6Addr>(source, destination)?,
        _ => return Err(ProxyProtocolError::Family),
    };
    port(destination_port)?;
    Ok(Source::address(SocketAddr::new(ip, port(source_port)?)))
}

/// The source, when both are addresses of the family. The standard library refuses leading zeros and zones.
fn pair<A: FromStr + Into<IpAddr>>(source: &str, destination: &str) -> Result<IpAddr, ProxyProtocolError> {
    let parse = |text: &str| text.parse::<A>().map_err(|_| ProxyProtocolError::Address);
    parse(destination)?;
    Ok(parse(source)?.into())
}

/// `0` to `65535` without sign or leading zero.
fn port(text: &str) -> Result<u16, ProxyProtocolError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = digits && (text == "0" || !text.starts_with('0'));
    match text.parse() {
        Ok(port) if plain => Ok(port),
        _ => Err(ProxyProtocolError::Port),
    }
}
