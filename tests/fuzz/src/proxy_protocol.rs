//! The PROXY protocol: a verdict never changes with more bytes, a header is as long as it says and no longer than it may
//! be, what is read can be written and read again, and no header makes anybody local.

use std::net::{IpAddr, SocketAddr};

use doorward::base::limits::PROXY_V2_BYTES_MAX;
use doorward::origin::ClientIpHeader;
use doorward::origin::proxy_protocol::{Decoded, Header, Source, decode};
use http::HeaderMap;

use super::header;

/// Checks any bytes as the first ones of a connection.
pub fn holds(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(2 * PROXY_V2_BYTES_MAX)];
    let end = decode(bytes);
    let mut verdict = Ok(Decoded::Incomplete);
    for length in 0..=bytes.len() {
        let now = decode(&bytes[..length]);
        match verdict {
            Ok(Decoded::Incomplete) => verdict = now,
            Ok(Decoded::Whole { .. }) => assert_eq!(now, verdict, "{length}"),
            Err(_) => assert!(now.is_err(), "{length}: {verdict:?} became {now:?}"),
        }
        if now == Ok(Decoded::Incomplete) {
            assert!(length < PROXY_V2_BYTES_MAX, "asks for more than a header may have");
        }
    }
    let Ok(Decoded::Whole { header, bytes: length }) = end else { return };
    assert!(length <= bytes.len() && length <= PROXY_V2_BYTES_MAX, "{length}");
    assert_eq!(decode(&bytes[..length]), end);
    assert_eq!(decode(&bytes[..length - 1]), Ok(Decoded::Incomplete));
    if let Source::Address(address) = header.source {
        assert_eq!(address.ip(), address.ip().to_canonical());
    }
    let caller = header::origin("127.0.0.1:4000", Some(&header), &HeaderMap::new(), ClientIpHeader::None);
    assert!(!caller.is_local(), "{caller:?}");
    for written in [first(header), second(header)] {
        let whole = Decoded::Whole { header, bytes: written.len() };
        assert_eq!(decode(&written), Ok(whole), "{}", String::from_utf8_lossy(&written));
    }
}

/// The header in version 1.
fn first(header: Header) -> Vec<u8> {
    let line = match header.source {
        Source::Real => "PROXY UNKNOWN\r\n".to_owned(),
        Source::Address(address) => {
            let family = if address.is_ipv4() { "TCP4" } else { "TCP6" };
            format!("PROXY {family} {0} {0} {1} 443\r\n", address.ip(), address.port())
        }
    };
    line.into_bytes()
}

/// The header in version 2.
fn second(header: Header) -> Vec<u8> {
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let Source::Address(address) = header.source else { return [&signature[..], &[0x20, 0, 0, 0]].concat() };
    let (family, ip): (u8, Vec<u8>) = match address.ip() {
        IpAddr::V4(ip) => (0x11, ip.octets().into()),
        IpAddr::V6(ip) => (0x21, ip.octets().into()),
    };
    let ports = [SocketAddr::port(&address).to_be_bytes(), [1, 187]].concat();
    let block = [&ip[..], &ip, &ports].concat();
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&signature[..], &[0x21, family], &length, &block].concat()
}
