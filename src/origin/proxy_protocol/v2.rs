//! Version 2: a binary header of at most [`PROXY_V2_BYTES_MAX`] bytes (section 2.2).

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use super::Decoded;
use super::Header;
use super::ProxyProtocolError;
use super::Source;
use super::tlv;
use crate::base::limits::PROXY_V2_BYTES_MAX;

/// What each header opens with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED_BYTES: usize = 16;

/// Reads a header from bytes that begin like [`SIGNATURE`].
pub(super) fn decode(bytes: &[u8]) -> Result<Decoded, ProxyProtocolError> {
    let mut fixed = bytes.get(SIGNATURE.len()..).unwrap_or_default().iter().copied();
    let Some(version_and_command) = fixed.next() else { return Ok(Decoded::Incomplete) };
    let command = Command::of(version_and_command)?;
    let Some(family_and_transport) = fixed.next() else { return Ok(Decoded::Incomplete) };
    let addresses = match command {
        // "The receiver must … discard the protocol block including the family which is ignored."
        Command::Local => Addresses::Unspecified,
        Command::Proxy => Addresses::of(family_and_transport)?,
    };
    let (Some(high), Some(low)) = (fixed.next(), fixed.next()) else { return Ok(Decoded::Incomplete) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED_BYTES + length > PROXY_V2_BYTES_MAX {
        return Err(ProxyProtocolError::TooLong);
    }
    if length < addresses.bytes() {
        return Err(ProxyProtocolError::AddressBlock);
    }
    let Some(whole) = bytes.get(..FIXED_BYTES + length) else { return Ok(Decoded::Incomplete) };
    let block = whole.get(FIXED_BYTES..).unwrap_or_default();
    let source = addresses.source(block)?;
    if addresses != Addresses::Unspecified {
        tlv::check(whole, FIXED_BYTES + addresses.bytes())?;
    }
    Ok(Decoded::Whole { header: Header { source }, bytes: whole.len() })
}

enum Command {
    Local,
    Proxy,
}

impl Command {
    fn of(byte: u8) -> Result<Self, ProxyProtocolError> {
        match (byte >> 4, byte & 15) {
            (2, 0) => Ok(Self::Local),
            (2, 1) => Ok(Self::Proxy),
            (2, _) => Err(ProxyProtocolError::Command),
            _ => Err(ProxyProtocolError::Version),
        }
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Addresses {
    Ipv4,
    Ipv6,
    Unix,
    Unspecified,
}

impl Addresses {
    fn of(byte: u8) -> Result<Self, ProxyProtocolError> {
        match (byte >> 4, byte & 15) {
            (0, 0) => Ok(Self::Unspecified),
            (1, 1) => Ok(Self::Ipv4),
            (2, 1) => Ok(Self::Ipv6),
            (3, 1) => Ok(Self::Unix),
            // Datagrams, or no word on it, cannot arrive as this stream; more is not assigned.
            (0..=3, _) => Err(ProxyProtocolError::Transport),
            _ => Err(ProxyProtocolError::Family),
        }
    }

    /// Source and destination, each with its port where the family has ports.
    fn bytes(self) -> usize {
        match self {
            Self::Ipv4 => 12,
            Self::Ipv6 => 36,
            Self::Unix => 216,
            Self::Unspecified => 0,
        }
    }

    fn source(self, block: &[u8]) -> Result<Source, ProxyProtocolError> {
        let short = ProxyProtocolError::AddressBlock;
        let port = |at: usize| {
            let bytes = block.get(at..).and_then(|rest| rest.first_chunk()).ok_or(short)?;
            Ok(u16::from_be_bytes(*bytes))
        };
        match self {
            Self::Ipv4 => {
                let ip = Ipv4Addr::from(*block.first_chunk::<4>().ok_or(short)?);
                Ok(Source::address(SocketAddr::new(ip.into(), port(8)?)))
            }
            Self::Ipv6 => {
                let ip = Ipv6Addr::from(*block.first_chunk::<16>().ok_or(short)?);
                Ok(Source::address(SocketAddr::new(ip.into(), port(32)?)))
            }
            Self::Unix | Self::Unspecified => Ok(Source::Real),
        }
    }
}
