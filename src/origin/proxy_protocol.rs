//! The PROXY protocol, versions 1 and 2, read strictly: what a load balancer says before the first byte of TLS.
//!
//! Promise: never more than [`PROXY_V2_BYTES_MAX`] bytes are asked for, nothing is allocated, and whatever is
//! not exactly a header is an error. There is no detection: a listener requires a header or reads none.
//! Specification: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

mod tlv;
mod v1;
mod v2;

use std::net::SocketAddr;

use thiserror::Error;

#[cfg(doc)]
use crate::base::limits::PROXY_V2_BYTES_MAX;

/// A header as far as it matters to us: TLVs are checked and dropped, for they neither route nor authenticate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// For whom the sender speaks.
    pub source: Source,
}

/// For whom a PROXY header speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// For this address, canonical.
    Address(SocketAddr),
    /// For nobody else (LOCAL, UNKNOWN, UNSPEC, AF_UNIX): the real endpoints count.
    Real,
}

impl Source {
    fn address(address: SocketAddr) -> Self {
        Self::Address(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

/// How far the bytes so far lead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decoded {
    /// The start of a header: read on. Never the answer to [`PROXY_V2_BYTES_MAX`] bytes or more.
    Incomplete,
    /// A header; what follows it belongs to the connection.
    Whole {
        /// The header.
        header: Header,
        /// Its length.
        bytes: usize,
    },
}

/// Reads a header from the first bytes of a connection. Give all bytes so far each time.
///
/// # Errors
/// [`ProxyProtocolError`] as soon as the bytes cannot become a header.
pub fn decode(bytes: &[u8]) -> Result<Decoded, ProxyProtocolError> {
    let starts = |signature: &[u8]| bytes.iter().zip(signature).all(|(one, two)| one == two);
    if starts(v2::SIGNATURE) {
        v2::decode(bytes)
    } else if starts(v1::SIGNATURE) {
        v1::decode(bytes)
    } else {
        Err(ProxyProtocolError::Signature)
    }
}

/// Why the first bytes of a connection are not a PROXY header. Always the sender's fault.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ProxyProtocolError {
    /// An address that is none, or not of the announced family.
    #[error("not an address of the announced family")]
    Address,
    /// The address block is shorter than its family's.
    #[error("address block too short for its family")]
    AddressBlock,
    /// The CRC32c TLV does not match.
    #[error("checksum does not match")]
    Checksum,
    /// Neither LOCAL nor PROXY.
    #[error("unknown command")]
    Command,
    /// A family that is not assigned.
    #[error("unknown address family")]
    Family,
    /// CR or LF alone.
    #[error("line does not end in cr lf")]
    LineEnd,
    /// Not exactly the fields of version 1.
    #[error("wrong number of fields")]
    Fields,
    /// Not a port.
    #[error("not a port")]
    Port,
    /// Not a PROXY header at all.
    #[error("no proxy header")]
    Signature,
    /// A TLV that does not fit its header or itself.
    #[error("malformed tlv")]
    Tlv,
    /// Longer than a header may be.
    #[error("header too long")]
    TooLong,
    /// More TLVs than are read.
    #[error("too many tlvs")]
    TooManyTlvs,
    /// A transport that is not a stream.
    #[error("transport is not a stream")]
    Transport,
    /// A version that is not 2 behind version 2's signature.
    #[error("unknown version")]
    Version,
}

#[cfg(test)]
mod tests;
