//! `X-Forwarded-For` and `X-Forwarded-Proto`: no standard has them, so only what every reader agrees on is read.

use std::net::IpAddr;
use std::ops::ControlFlow;

use http::HeaderMap;
use http::HeaderName;

use super::Chain;
use super::Node;
use super::Walk;
use super::trimmed;
use crate::net::host::Scheme;
use crate::net::host::parse_port;
use crate::origin::witness::Witness;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Walks all lines of `X-Forwarded-For` as one list, right to left, to the first hop that `chain` does not trust.
pub(super) fn client<W: Witness>(headers: &HeaderMap, mut chain: Chain<'_, W>) -> Walk {
    for (index, line) in headers.get_all(X_FORWARDED_FOR).into_iter().rev().enumerate() {
        chain.enter(index);
        for hop in line.as_bytes().rsplit(|byte| *byte == b',') {
            let hop = trimmed(hop);
            if let ControlFlow::Break(walk) = chain.pass(hop, read_hop(hop)) {
                return walk;
            }
        }
    }
    chain.end()
}

/// `IPv4`, `IPv4:port`, `IPv6`, `[IPv6]` or `[IPv6]:port`; canonical. Nothing else.
fn read_hop(hop: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(hop).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, after) = rest.split_once(']')?;
        let ip = IpAddr::V6(inner.parse().ok()?);
        let port = match after.strip_prefix(':') {
            Some(port) => Some(parse_port(port).ok()?),
            None if after.is_empty() => None,
            None => return None,
        };
        return Some((ip.to_canonical(), port));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some((ip.to_canonical(), None));
    }
    let (ip, port) = text.split_once(':')?;
    Some((IpAddr::V4(ip.parse().ok()?), Some(parse_port(port).ok()?)))
}

/// The scheme that a trusted peer reports: exactly one `X-Forwarded-Proto` of exactly one word.
pub fn scheme(headers: &HeaderMap) -> Option<Scheme> {
    let mut lines = headers.get_all(X_FORWARDED_PROTO).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    match line.as_bytes().trim_ascii() {
        word if word.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
        word if word.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::super::testing::map;
    use super::*;
    use crate::base::limits::FORWARDED_HOPS_MAX;
    use crate::origin::ClientIpHeader;

    #[test]
    fn hops_are_read_strictly() {
        let shown = |hop: &str| read_hop(hop.as_bytes()).map(|(ip, port)| format!("{ip} {port:?}"));
        for (hop, expected) in [
            ("203.0.113.9", "203.0.113.9 None"),
            ("203.0.113.9:44321", "203.0.113.9 Some(44321)"),
            ("2001:DB8:0::9", "2001:db8::9 None"),
            ("[2001:db8::9]", "2001:db8::9 None"),
            ("[2001:db8::9]:65535", "2001:db8::9 Some(65535)"),
            ("::FFFF:CB00:7109", "203.0.113.9 None"),
            ("[::ffff:203.0.113.9]:1", "203.0.113.9 Some(1)"),
        ] {
            assert_eq!(shown(hop).as_deref(), Some(expected), "{hop}");
        }
        for bad in [
            "",
            " ",
            " 203.0.113.9",
            "unknown",
            "_hidden",
            "unix:",
            "client.example",
            "010.0.0.1",
            "0x7f.0.0.1",
            "127.1",
            "2130706433",
            "203.0.113.256",
            "203.0.113.9 evil",
            "203.0.113.9:",
            "203.0.113.9:0",
            "203.0.113.9:065",
            "203.0.113.9:65536",
            "203.0.113.9:-1",
            "203.0.113.9:http",
            "[203.0.113.9]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]x",
            "[2001:db8::1]:",
            "2001:db8::1%eth0",
            "[fe80::1%25eth0]:443",
            "\"203.0.113.9\"",
            "203.0.113.9\u{b}",
            "\u{a0}203.0.113.9",
            "for=203.0.113.9",
            "203.0.113.9/32",
            "1:2:3:4:5:6:7:8:9",
            "٣.0.0.1",
        ] {
            assert_eq!(shown(bad), None, "{bad:?}");
        }
        assert_eq!(read_hop(b"203.0.113.9\xff"), None);
    }

    #[test]
    fn the_walk_ends_at_the_first_hop_that_nobody_vouches_for() {
        let client = |ip: &str| Walk::Client { ip: ip.parse().unwrap(), port: None };
        let cases: [(&[&str], Walk); 9] = [
            (&[], Walk::Absent),
            (&[""], Walk::Unreadable),
            (&["203.0.113.9"], client("203.0.113.9")),
            (&["6.6.6.6, 203.0.113.9", "10.0.0.7 ,10.0.0.8"], client("203.0.113.9")),
            (&["6.6.6.6,,10.0.0.7"], Walk::Unreadable),
            (&["6.6.6.6", "", "10.0.0.7"], Walk::Unreadable),
            (&["10.0.0.9", "10.0.0.8,10.0.0.7"], Walk::AllTrusted),
            (&["6.6.6.6, 127.0.0.1"], Walk::NotPossible),
            (&["6.6.6.6,,203.0.113.9"], client("203.0.113.9")),
        ];
        for (lines, expected) in cases {
            assert_eq!(walk(lines).0, expected, "{lines:?}");
        }
    }

    #[test]
    fn passed_hops_are_noted_nearest_first() {
        let via: Vec<String> = walk(&["203.0.113.9, 10.0.0.7", "10.0.0.8"]).1.iter().map(IpAddr::to_string).collect();
        assert_eq!(via, ["10.0.0.8", "10.0.0.7"]);
    }

    #[test]
    fn no_more_hops_are_walked_than_the_bound() {
        let chain = |trusted: usize| format!("203.0.113.9{}", ",10.0.0.7".repeat(trusted));
        assert!(matches!(walk(&[&chain(FORWARDED_HOPS_MAX - 1)]).0, Walk::Client { .. }));
        assert_eq!(walk(&[&chain(FORWARDED_HOPS_MAX)]).0, Walk::TooMany);
        assert_eq!(walk(&[&chain(FORWARDED_HOPS_MAX)]).1.len(), FORWARDED_HOPS_MAX);
    }

    #[test]
    fn one_word_names_the_scheme() {
        let read = |lines: &[&str]| scheme(&map("x-forwarded-proto", lines));
        assert_eq!(read(&["https"]), Some(Scheme::Https));
        assert_eq!(read(&["HTTP"]), Some(Scheme::Http));
        for bad in [&[] as &[&str], &[""], &["wss"], &["ht tps"], &["https,http"], &["https", "https"]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_witness_is_told_every_hop_up_to_the_last_that_counts() {
        let (_, _, told) = testing::witnessed(
            &ClientIpHeader::XForwardedFor,
            "x-forwarded-for",
            &["6.6.6.6", "7.7.7.7, 203.0.113.9\t, 10.0.0.7", "10.0.0.8"],
        );
        assert_eq!(told, ["line 0", "0 10.0.0.8 Trusted", "line 1", "1 10.0.0.7 Trusted", "2 203.0.113.9 Client"]);
        let chain = format!("203.0.113.9{}", ",10.0.0.7".repeat(FORWARDED_HOPS_MAX));
        let (_, _, told) = testing::witnessed(&ClientIpHeader::XForwardedFor, "x-forwarded-for", &[&chain]);
        assert_eq!(told.last().unwrap(), "32 203.0.113.9 BeyondBound");
    }

    fn walk(lines: &[&str]) -> (Walk, Vec<IpAddr>) {
        testing::walk(&ClientIpHeader::XForwardedFor, "x-forwarded-for", lines)
    }
}
