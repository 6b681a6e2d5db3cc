//! Headers of one address: `X-Real-IP`, `CF-Connecting-IP`, `True-Client-IP`, or whatever name an operator's proxy uses.
//!
//! Their senders replace what the caller sent, so a second line or a list shows that this one does not, and nobody can
//! tell which word is the proxy's.

use std::net::IpAddr;
use std::ops::ControlFlow;

use http::HeaderMap;
use http::HeaderName;

use super::Chain;
use super::Node;
use super::Walk;
use super::trimmed;
use crate::origin::witness::Verdict;
use crate::origin::witness::Witness;

/// Reads the address in the one line of `name`.
pub(super) fn client<W: Witness>(name: &HeaderName, headers: &HeaderMap, mut chain: Chain<'_, W>) -> Walk {
    let lines = headers.get_all(name);
    let mut nearest_first = lines.iter().rev();
    let Some(line) = nearest_first.next() else { return Walk::Absent };
    if nearest_first.next().is_some() {
        for (index, line) in lines.iter().rev().enumerate() {
            chain.refuse(index, trimmed(line.as_bytes()), Verdict::Repeated);
        }
        return Walk::Repeated;
    }
    chain.enter(0);
    let text = trimmed(line.as_bytes());
    match chain.pass(text, read(text)) {
        ControlFlow::Break(walk) => walk,
        ControlFlow::Continue(()) => chain.end(),
    }
}

/// An address and nothing else. Not a port: some senders glue one to a bare IPv6 address, and then both readings are an
/// address.
fn read(text: &[u8]) -> Option<Node> {
    let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some((ip.to_canonical(), None))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::origin::ClientIpHeader;

    #[test]
    fn one_line_with_one_address_names_the_client() {
        for (line, ip) in
            [("203.0.113.9", "203.0.113.9"), (" \t2001:DB8::5 ", "2001:db8::5"), ("::ffff:203.0.113.9", "203.0.113.9")]
        {
            let expected = Walk::Client { ip: ip.parse().unwrap(), port: None };
            assert_eq!(walk(&[line]), expected, "{line}");
        }
    }

    #[test]
    fn anything_else_names_nobody() {
        for line in [
            "",
            "203.0.113.9, 198.51.100.1",
            "203.0.113.9,",
            ",203.0.113.9",
            "203.0.113.9 198.51.100.1",
            "203.0.113.9:443",
            "[2001:db8::5]",
            "[2001:db8::5]:443",
            "2001:db8::5%eth0",
            "\"203.0.113.9\"",
            "for=203.0.113.9",
            "unknown",
            "010.0.0.1",
            "203.0.113.0/24",
        ] {
            assert_eq!(walk(&[line]), Walk::Unreadable, "{line}");
        }
        assert_eq!(walk(&["127.0.0.1"]), Walk::NotPossible);
        assert_eq!(walk(&["10.0.0.7"]), Walk::AllTrusted);
        assert_eq!(walk(&[]), Walk::Absent);
    }

    #[test]
    fn a_second_line_makes_both_worthless() {
        assert_eq!(walk(&["6.6.6.6", "203.0.113.9"]), Walk::Repeated);
        assert_eq!(walk(&["203.0.113.9", "203.0.113.9"]), Walk::Repeated);
        assert_eq!(walk(&["203.0.113.9", ""]), Walk::Repeated);
    }

    #[test]
    fn a_witness_is_told_every_line() {
        let told = |lines| testing::witnessed(&header(), "x-real-ip", lines).2;
        assert_eq!(told(&["203.0.113.9"]), ["line 0", "0 203.0.113.9 Client"]);
        assert_eq!(
            told(&["6.6.6.6", " 203.0.113.9"]),
            ["line 0", "0 203.0.113.9 Repeated", "line 1", "1 6.6.6.6 Repeated"]
        );
    }

    fn walk(lines: &[&str]) -> Walk {
        testing::walk(&header(), "x-real-ip", lines).0
    }

    fn header() -> ClientIpHeader {
        ClientIpHeader::Single(HeaderName::from_static("x-real-ip"))
    }
}
