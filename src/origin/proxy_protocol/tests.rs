//! Tables and properties of the PROXY decoder, with a sender that writes what it reads.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::base::limits::PROXY_TLVS_MAX;
use crate::base::limits::PROXY_V1_BYTES_MAX;
use crate::base::limits::PROXY_V2_BYTES_MAX;

const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

#[test]
fn version_1_lines_are_read_as_the_standard_says() {
    for (line, expected) in [
        ("PROXY TCP4 203.0.113.9 10.0.0.1 56324 443\r\n", Ok(Some("203.0.113.9:56324"))),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 0 65535\r\n", Ok(Some("203.0.113.9:0"))),
        ("PROXY TCP6 2001:db8::9 2001:db8::1 1 2\r\n", Ok(Some("[2001:db8::9]:1"))),
        ("PROXY TCP6 ::ffff:203.0.113.9 ::ffff:10.0.0.1 1 2\r\n", Ok(Some("203.0.113.9:1"))),
        ("PROXY UNKNOWN\r\n", Ok(None)),
        ("PROXY UNKNOWN 127.0.0.1 \t\u{fffd} 1 2\r\n", Ok(None)),
        ("PROXY UNKNOWNS\r\n", Err(ProxyProtocolError::Fields)),
        ("PROXY \r\n", Err(ProxyProtocolError::Fields)),
        ("PROXY\r\n", Err(ProxyProtocolError::Signature)),
        ("proxy TCP4 203.0.113.9 10.0.0.1 1 2\r\n", Err(ProxyProtocolError::Signature)),
        ("GET / HTTP/1.1\r\n", Err(ProxyProtocolError::Signature)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1\r\n", Err(ProxyProtocolError::Fields)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1 2 3\r\n", Err(ProxyProtocolError::Fields)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1 2 \r\n", Err(ProxyProtocolError::Fields)),
        ("PROXY TCP4  203.0.113.9 10.0.0.1 1 2\r\n", Err(ProxyProtocolError::Fields)),
        ("PROXY  TCP4 203.0.113.9 10.0.0.1 1\r\n", Err(ProxyProtocolError::Family)),
        ("PROXY UDP4 203.0.113.9 10.0.0.1 1 2\r\n", Err(ProxyProtocolError::Family)),
        ("PROXY tcp4 203.0.113.9 10.0.0.1 1 2\r\n", Err(ProxyProtocolError::Family)),
        ("PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n", Err(ProxyProtocolError::Address)),
        ("PROXY TCP6 203.0.113.9 10.0.0.1 1 2\r\n", Err(ProxyProtocolError::Address)),
        ("PROXY TCP4 203.0.113.9 2001:db8::1 1 2\r\n", Err(ProxyProtocolError::Address)),
        ("PROXY TCP4 010.0.0.1 10.0.0.1 1 2\r\n", Err(ProxyProtocolError::Address)),
        ("PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", Err(ProxyProtocolError::Address)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 65536 2\r\n", Err(ProxyProtocolError::Port)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1 +2\r\n", Err(ProxyProtocolError::Port)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 01 2\r\n", Err(ProxyProtocolError::Port)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1 -2\r\n", Err(ProxyProtocolError::Port)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1 2\n", Err(ProxyProtocolError::LineEnd)),
        ("PROXY TCP4 203.0.113.9 10.0.0.1 1 2\r \n", Err(ProxyProtocolError::LineEnd)),
        ("PROXY UNKNOWN \r\r\n", Err(ProxyProtocolError::LineEnd)),
    ] {
        let source = |text: &str| text.parse().map_or(Source::Real, Source::Address);
        let expected = expected.map(|text| (source(text.unwrap_or_default()), line.len()));
        assert_eq!(whole(line.as_bytes()), expected, "{line:?}");
    }
    assert_eq!(whole(b"PROXY TCP4 203.0.113.\xff 10.0.0.1 1 2\r\n"), Err(ProxyProtocolError::Address));
}

#[test]
fn a_version_1_line_ends_within_107_bytes() {
    let line = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16)).into_bytes();
    assert_eq!(whole(&line(PROXY_V1_BYTES_MAX)), Ok((Source::Real, PROXY_V1_BYTES_MAX)));
    for longer in [1, 2, 3, 500] {
        assert_eq!(whole(&line(PROXY_V1_BYTES_MAX + longer)), Err(ProxyProtocolError::TooLong), "{longer}");
    }
    let unended = [b'x'; PROXY_V1_BYTES_MAX];
    assert_eq!(decode(&[b"PROXY ", &unended[6..]].concat()), Err(ProxyProtocolError::TooLong));
    assert_eq!(decode(&[b"PROXY ", &unended[7..]].concat()), Ok(Decoded::Incomplete));
}

#[test]
fn version_2_headers_are_read_as_the_standard_says() {
    let ipv4 = Source::Address("203.0.113.9:56324".parse().unwrap());
    let ipv6 = Source::Address("[2001:db8::9]:1".parse().unwrap());
    let four = block("203.0.113.9:56324", "10.0.0.1:443");
    let six = block("[2001:db8::9]:1", "[2001:db8::1]:2");
    let mapped = [&[0; 10][..], &[255; 2], &[203, 0, 113, 9], &[0; 10], &[255; 2], &[10, 0, 0, 1], &four[8..]].concat();
    for (name, bytes, expected) in [
        ("tcp4", v2(0x21, TCP4, &four), Ok(ipv4)),
        ("tcp6", v2(0x21, TCP6, &six), Ok(ipv6)),
        ("tcp6 mapped", v2(0x21, TCP6, &mapped), Ok(ipv4)),
        ("local", v2(0x20, 0, &[]), Ok(Source::Real)),
        ("local, addresses ignored", v2(0x20, TCP4, &four), Ok(Source::Real)),
        ("local, family ignored", v2(0x20, 0xff, &[1, 2, 3]), Ok(Source::Real)),
        ("unspecified", v2(0x21, 0, &[]), Ok(Source::Real)),
        ("unspecified, rest ignored", v2(0x21, 0, &[1]), Ok(Source::Real)),
        ("unix", v2(0x21, 0x31, &[b'/'; 216]), Ok(Source::Real)),
        ("unix too short", v2(0x21, 0x31, &[b'/'; 215]), Err(ProxyProtocolError::AddressBlock)),
        ("version 1", v2(0x11, TCP4, &four), Err(ProxyProtocolError::Version)),
        ("version 3", v2(0x31, TCP4, &four), Err(ProxyProtocolError::Version)),
        ("command 2", v2(0x22, TCP4, &four), Err(ProxyProtocolError::Command)),
        ("family 4", v2(0x21, 0x41, &four), Err(ProxyProtocolError::Family)),
        ("transport 3", v2(0x21, 0x13, &four), Err(ProxyProtocolError::Transport)),
        ("udp4", v2(0x21, 0x12, &four), Err(ProxyProtocolError::Transport)),
        ("unix datagrams", v2(0x21, 0x32, &[0; 216]), Err(ProxyProtocolError::Transport)),
        ("no transport", v2(0x21, 0x10, &four), Err(ProxyProtocolError::Transport)),
        ("tcp4 too short", v2(0x21, TCP4, &four[..11]), Err(ProxyProtocolError::AddressBlock)),
        ("tcp6 too short", v2(0x21, TCP6, &six[..35]), Err(ProxyProtocolError::AddressBlock)),
        ("tcp6 with tcp4's", v2(0x21, TCP6, &four), Err(ProxyProtocolError::AddressBlock)),
    ] {
        let expected = expected.map(|source| (source, bytes.len()));
        assert_eq!(whole(&bytes), expected, "{name}");
    }
    let mut wrong = v2(0x21, TCP4, &four);
    wrong[11] = 0x0b;
    assert_eq!(whole(&wrong), Err(ProxyProtocolError::Signature));
}

#[test]
fn a_version_2_header_is_at_most_536_bytes() {
    let padded = |bytes: usize| {
        let padding = vec![0; bytes - 16 - 12 - 3];
        v2(0x21, TCP4, &[block("203.0.113.9:1", "10.0.0.1:2"), tlv(4, &padding)].concat())
    };
    assert_eq!(whole(&padded(PROXY_V2_BYTES_MAX)).map(|(_, bytes)| bytes), Ok(PROXY_V2_BYTES_MAX));
    // The announced length is enough: nothing of it is waited for.
    let longer = padded(PROXY_V2_BYTES_MAX + 1);
    assert_eq!(decode(&longer[..16]), Err(ProxyProtocolError::TooLong));
    assert_eq!(decode(&[v2::SIGNATURE, &[0x20, 0, 255, 255]].concat()), Err(ProxyProtocolError::TooLong));
    assert_eq!(decode(&[v2::SIGNATURE, &[0x21, 0, 255, 255]].concat()), Err(ProxyProtocolError::TooLong));
}

#[test]
fn tlvs_must_fit_and_are_not_believed() {
    let nested = |inner: &[u8]| tlv(0x20, &[&[7, 0, 0, 0, 0], inner].concat());
    for (name, tlvs, expected) in [
        ("authority", tlv(2, b"evil.example"), Ok(())),
        ("padding", [tlv(4, &[]), tlv(4, &[0; 9])].concat(), Ok(())),
        ("unknown kind", tlv(0xe0, b"x"), Ok(())),
        ("client certificate", nested(&tlv(0x22, b"admin")), Ok(())),
        ("past the header", vec![2, 0, 10, 1], Err(ProxyProtocolError::Tlv)),
        ("one byte left over", [tlv(4, &[]), vec![4]].concat(), Err(ProxyProtocolError::Tlv)),
        ("two bytes left over", vec![4, 0], Err(ProxyProtocolError::Tlv)),
        ("ssl without its fields", tlv(0x20, &[7, 0, 0, 0]), Err(ProxyProtocolError::Tlv)),
        ("nested past its parent", nested(&[0x22, 0, 9, 1]), Err(ProxyProtocolError::Tlv)),
        ("short checksum", tlv(3, &[1, 2, 3]), Err(ProxyProtocolError::Checksum)),
        ("wrong checksum", tlv(3, &[1, 2, 3, 4]), Err(ProxyProtocolError::Checksum)),
    ] {
        let header = v2(0x21, TCP4, &[block("203.0.113.9:1", "10.0.0.1:2"), tlvs].concat());
        assert_eq!(whole(&header).map(|_| ()), expected, "{name}");
    }
}

#[test]
fn no_more_tlvs_are_read_than_the_bound() {
    let header = |tlvs: Vec<u8>| v2(0x21, TCP4, &[block("203.0.113.9:1", "10.0.0.1:2"), tlvs].concat());
    assert!(whole(&header(tlv(4, &[]).repeat(PROXY_TLVS_MAX))).is_ok());
    assert_eq!(whole(&header(tlv(4, &[]).repeat(PROXY_TLVS_MAX + 1))), Err(ProxyProtocolError::TooManyTlvs));
    let nested = tlv(0x20, &[&[0; 5][..], &tlv(4, &[]).repeat(PROXY_TLVS_MAX)].concat());
    assert_eq!(whole(&header(nested)), Err(ProxyProtocolError::TooManyTlvs));
}

#[test]
fn a_checksum_covers_every_byte_of_its_header() {
    let tlvs = [tlv(2, b"edge.test"), tlv(3, &[0; 4]), tlv(4, &[0])].concat();
    let header =
        with_checksum(v2(0x21, TCP4, &[block("203.0.113.9:1", "10.0.0.1:2"), tlvs].concat()), 16 + 12 + 12 + 3);
    assert!(whole(&header).is_ok());
    // Two bytes say whether there is a checksum to check: 12, because of a LOCAL header the standard has the rest
    // discarded, and 40, which makes the TLV another one.
    for at in (13..header.len()).filter(|at| *at != 40) {
        let mut changed = header.clone();
        changed[at] ^= 1;
        assert!(!matches!(decode(&changed), Ok(Decoded::Whole { .. })), "byte {at}");
    }
    // Of two checksums the second would even be right.
    let twice = [tlv(3, &[0; 4]), tlv(3, &[0; 4])].concat();
    let header =
        with_checksum(v2(0x21, TCP4, &[block("203.0.113.9:1", "10.0.0.1:2"), twice].concat()), 16 + 12 + 7 + 3);
    assert_eq!(whole(&header), Err(ProxyProtocolError::Checksum));
}

#[test]
fn what_follows_a_header_is_left_to_the_connection() {
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, &[])] {
        let followed = [header.clone(), b"\x16\x03\x01PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".to_vec()].concat();
        assert_eq!(whole(&followed), Ok((Source::Real, header.len())));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nobody_is_asked_for_more_than_the_cap(
        start in prop_oneof![Just(&b""[..]), Just(v1::SIGNATURE), Just(v2::SIGNATURE), Just(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20"[..])],
        rest in proptest::collection::vec(any::<u8>(), 0..1_200),
    ) {
        let bytes = [start, &rest].concat();
        let decoded = decode(&bytes);
        prop_assert!(bytes.len() < PROXY_V2_BYTES_MAX || decoded != Ok(Decoded::Incomplete));
        if let Ok(Decoded::Whole { bytes: length, .. }) = decoded {
            prop_assert!(length <= bytes.len() && length <= PROXY_V2_BYTES_MAX);
        }
        prop_assert_eq!(byte_by_byte(&bytes), decoded);
    }

    #[test]
    fn text_that_almost_is_a_line_reads_the_same_in_pieces(line in "PROXY (TCP4|TCP6|UNKNOWN) [0-9a-f:. ]{0,100}(\r|\n|\r\n)?x{0,3}") {
        prop_assert_eq!(byte_by_byte(line.as_bytes()), decode(line.as_bytes()));
    }

    #[test]
    fn every_written_line_is_read_back(source in address(), port in any::<u16>()) {
        let (family, to) = match source {
            IpAddr::V4(_) => ("TCP4", "10.0.0.1"),
            IpAddr::V6(_) => ("TCP6", "2001:db8::1"),
        };
        let line = format!("PROXY {family} {source} {to} {port} 443\r\n");
        let expected = Source::Address(SocketAddr::new(source.to_canonical(), port));
        prop_assert_eq!(whole(line.as_bytes()), Ok((expected, line.len())));
    }

    #[test]
    fn every_written_header_is_read_back(
        source in address(),
        port in any::<u16>(),
        tlvs in proptest::collection::vec((4_u8..0x20, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        rest in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let (family, to) = match source {
            IpAddr::V4(_) => (TCP4, "10.0.0.1:443"),
            IpAddr::V6(_) => (TCP6, "[2001:db8::1]:443"),
        };
        let source = SocketAddr::new(source, port);
        let mut payload = block(&source.to_string(), to);
        let sum_at = 16 + payload.len() + 3;
        payload.extend(tlv(3, &[0; 4]));
        payload.extend(tlvs.iter().flat_map(|(kind, value)| tlv(*kind, value)));
        let header = with_checksum(v2(0x21, family, &payload), sum_at);
        let expected = Source::Address(SocketAddr::new(source.ip().to_canonical(), port));
        prop_assert_eq!(whole(&[header.clone(), rest].concat()), Ok((expected, header.len())));
    }
}

// ---- A sender ----------------------------------------------------------------------------

fn whole(bytes: &[u8]) -> Result<(Source, usize), ProxyProtocolError> {
    match decode(bytes)? {
        Decoded::Whole { header, bytes } => Ok((header.source, bytes)),
        Decoded::Incomplete => panic!("not whole: {bytes:?}"),
    }
}

/// What a reader who gets one byte at a time ends with.
fn byte_by_byte(bytes: &[u8]) -> Result<Decoded, ProxyProtocolError> {
    for end in 0..bytes.len() {
        match decode(&bytes[..end]) {
            Ok(Decoded::Incomplete) => {}
            ended => return ended,
        }
    }
    decode(bytes)
}

fn v2(version_and_command: u8, family_and_transport: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[version_and_command, family_and_transport], &length, payload].concat()
}

/// Source and destination, then their ports.
fn block(source: &str, destination: &str) -> Vec<u8> {
    let ends = [source, destination].map(|text| text.parse::<SocketAddr>().unwrap());
    let addresses = ends.iter().flat_map(|end| match end.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    addresses.chain(ends.iter().flat_map(|end| end.port().to_be_bytes())).collect()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind, high, low], value].concat()
}

fn with_checksum(mut header: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = crc32c::crc32c(&header).to_be_bytes();
    header[at..at + 4].copy_from_slice(&sum);
    header
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
        any::<u32>().prop_map(|bits| IpAddr::V6(Ipv4Addr::from_bits(bits).to_ipv6_mapped())),
    ]
}
