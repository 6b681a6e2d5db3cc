//! Ranges of addresses that an operator trusts: read strictly, matched fast.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// Ranges of addresses. Empty means: nobody.
///
/// Invariant: no /0, no host bits, canonical, sorted and without overlap within a family, so a lookup is a binary search.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ranges(Vec<IpNet>);

/// Whether a range may be wider than a site: an operator's explicit word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Width {
    /// At most /16 (IPv6 /32).
    Narrow,
    /// Anything but /0: `danger_wide_trust`.
    Wide,
}

impl Ranges {
    /// Reads addresses and CIDR ranges; a bare address is a range of one.
    ///
    /// # Errors
    /// [`RangeError`] with the place of the first bad entry.
    pub fn parse<S: AsRef<str>>(entries: &[S], width: Width) -> Result<Self, RangeError> {
        let parsed = entries
            .iter()
            .enumerate()
            .map(|(index, entry)| parse_range(entry.as_ref(), width).map_err(|cause| RangeError { index, cause }));
        let last = entries.len().saturating_sub(1);
        Self::of(&parsed.collect::<Result<Vec<_>, _>>()?).map_err(|cause| RangeError { index: last, cause })
    }

    /// All of `parts` together.
    ///
    /// # Errors
    /// [`RangeFault::Everyone`] if they add up to that.
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Result<Self, RangeFault> {
        let ranges: Vec<_> = parts.into_iter().flat_map(|Self(ranges)| ranges).collect();
        Self::of(&ranges)
    }

    fn of(ranges: &Vec<IpNet>) -> Result<Self, RangeFault> {
        let mut ranges = IpNet::aggregate(ranges);
        // Two halves are everybody, too.
        if ranges.iter().any(|range| range.prefix_len() == 0) {
            return Err(RangeFault::Everyone);
        }
        ranges.sort();
        Ok(Self(ranges))
    }

    /// Whether `ip` lies in one of the ranges.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let after = self.0.partition_point(|range| range.network() <= ip);
        let before = after.checked_sub(1).and_then(|index| self.0.get(index));
        before.is_some_and(|range| range.contains(&ip))
    }

    /// Whether every address of `other` lies in these ranges.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|range| self.0.iter().any(|own| own.contains(range)))
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|own| other.0.iter().any(|range| own.contains(range) || range.contains(own)))
    }

    /// The ranges, as they were merged.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is no range at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_range(text: &str, width: Width) -> Result<IpNet, RangeFault> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| RangeFault::Malformed)?;
    let canonical = address.to_canonical();
    let digits = |text: &&str| {
        text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit()) && (*text == "0" || !text.starts_with('0'))
    };
    let prefix = match prefix {
        Some(text) => {
            Some(text).filter(digits).and_then(|text| text.parse::<u8>().ok()).ok_or(RangeFault::Malformed)?
        }
        None if address.is_ipv4() => 32,
        None => 128,
    };
    // `::ffff:a.b.c.d/96+n` is `a.b.c.d/n`: one range, one spelling.
    let prefix = match (address, canonical) {
        (IpAddr::V6(_), IpAddr::V4(_)) => prefix.checked_sub(96).ok_or(RangeFault::TooWide)?,
        _ => prefix,
    };
    let range = IpNet::new(canonical, prefix).map_err(|_| RangeFault::Malformed)?;
    if prefix == 0 {
        return Err(RangeFault::Everyone);
    }
    let narrow = if canonical.is_ipv4() { 16 } else { 32 };
    if prefix < narrow && width == Width::Narrow {
        return Err(RangeFault::TooWide);
    }
    if range.addr() != range.network() {
        return Err(RangeFault::HostBits);
    }
    Ok(range)
}

/// A list of ranges that was refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{cause}")]
pub struct RangeError {
    /// Which entry of the list, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub cause: RangeFault,
}

/// What is wrong with one range.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum RangeFault {
    /// `/0`, or ranges that add up to it: that would be everybody.
    #[error("a range of /0, or ranges that add up to it, trust everybody")]
    Everyone,
    /// Bits set behind the prefix: probably not the range that was meant.
    #[error("the address has bits set behind its prefix")]
    HostBits,
    /// Not an address and not a range; names and wildcards are never taken.
    #[error("not an ip address or range")]
    Malformed,
    /// Wider than /16 (IPv6 /32) without `danger_wide_trust`.
    #[error("the range is wider than /16 (ipv6 /32)")]
    TooWide,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_contain_what_they_say() {
        let ranges = Ranges::parse(
            &["10.0.0.0/24", "192.0.2.7", "2001:db8:1::/64", "::ffff:198.51.100.0/120", "10.0.0.128/25"],
            Width::Narrow,
        )
        .unwrap();
        for inside in ["10.0.0.0", "10.0.0.255", "192.0.2.7", "2001:db8:1::5", "198.51.100.9", "::ffff:10.0.0.3"] {
            assert!(ranges.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["10.0.1.0", "192.0.2.8", "2001:db8:1:1::5", "198.51.101.0", "9.255.255.255", "::"] {
            assert!(!ranges.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!Ranges::default().contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn ranges_overlap_where_one_takes_in_a_part_of_the_other() {
        let of = |list: &[&str]| Ranges::parse(list, Width::Wide).unwrap();
        for (one, other, both) in [
            (&["10.0.0.0/8"][..], &["10.1.0.0/16"][..], true),
            (&["10.1.0.0/16"], &["192.0.2.0/24", "10.0.0.0/8"], true),
            (&["10.0.0.0/8"], &["11.0.0.0/8", "fd00::/8"], false),
            (&[], &["10.0.0.0/8"], false),
        ] {
            assert_eq!((of(one).overlaps(&of(other)), of(other).overlaps(&of(one))), (both, both), "{one:?} {other:?}");
        }
    }

    #[test]
    fn every_refusal_has_its_cause() {
        let cause = |entry: &str| Ranges::parse(&["10.0.0.1", entry], Width::Narrow).unwrap_err();
        for (entry, expected) in [
            ("0.0.0.0/0", RangeFault::Everyone),
            ("::/0", RangeFault::Everyone),
            ("10.0.0.1/24", RangeFault::HostBits),
            ("", RangeFault::Malformed),
            (" ", RangeFault::Malformed),
            ("*", RangeFault::Malformed),
            ("proxy.internal", RangeFault::Malformed),
            ("10.0.0.0/-1", RangeFault::Malformed),
            ("10.0.0.0/33", RangeFault::Malformed),
            ("10.0.0.0/+8", RangeFault::Malformed),
            ("10.0.0.0/024", RangeFault::Malformed),
            ("10.0.0", RangeFault::Malformed),
            ("10.0.0.0/", RangeFault::Malformed),
            ("10.0.0.0/8", RangeFault::TooWide),
            ("2001::/16", RangeFault::TooWide),
            ("::ffff:0:0/96", RangeFault::Everyone),
        ] {
            assert_eq!(cause(entry), RangeError { index: 1, cause: expected }, "{entry:?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_lookup_finds_what_a_naive_scan_finds(
            v4 in proptest::collection::vec((any::<u32>(), 1_u8..=32), 0..60),
            v6 in proptest::collection::vec((any::<u128>(), 1_u8..=128), 0..60),
            asked in proptest::collection::vec(any::<u128>(), 0..30),
            near in any::<u8>(),
        ) {
            // Close together, so that ranges touch, contain each other and are hit.
            let v4 = v4.iter().map(|(bits, prefix)| (IpAddr::V4((bits & 0x0f0f_00ff).into()), *prefix));
            let v6 = v6.iter().map(|(bits, prefix)| (IpAddr::V6((bits & (0xf0f << 112 | 0xfff)).into()), *prefix));
            let scanned: Vec<IpNet> = v4.chain(v6).map(|(ip, prefix)| IpNet::new(ip, prefix).unwrap().trunc()).collect();
            let scanned: Vec<IpNet> = scanned.into_iter().filter(|range| is_sound(&range.to_string())).collect();
            let entries: Vec<String> = scanned.iter().map(IpNet::to_string).collect();
            let ranges = Ranges::parse(&entries, Width::Wide).unwrap();
            let random = asked.iter().map(|bits| IpAddr::V6((*bits).into()));
            let edges = scanned.iter().flat_map(|range| [beside(range.network(), near), beside(range.broadcast(), near)]);
            for ip in random.chain(edges).map(|ip| ip.to_canonical()) {
                let naive = scanned.iter().any(|range| range.contains(&ip));
                prop_assert_eq!(ranges.contains(ip), naive, "{} in {:?}", ip, entries);
            }
            prop_assert!(ranges.covers(&ranges));
        }
    }

    /// Mapped ranges have another spelling, and are checked by name above.
    fn is_sound(text: &str) -> bool {
        Ranges::parse(&[text], Width::Wide).is_ok() && !text.starts_with("::ffff:")
    }

    fn beside(ip: IpAddr, by: u8) -> IpAddr {
        let by = u32::from(by % 3);
        match ip {
            IpAddr::V4(ip) => IpAddr::V4(ip.to_bits().wrapping_add(by).wrapping_sub(1).into()),
            IpAddr::V6(ip) => IpAddr::V6(ip.to_bits().wrapping_add(by.into()).wrapping_sub(1).into()),
        }
    }

    #[test]
    fn wide_ranges_need_the_operators_word() {
        assert!(Ranges::parse(&["10.0.0.0/8"], Width::Wide).is_ok());
        assert!(Ranges::parse(&["0.0.0.0/0"], Width::Wide).is_err());
    }

    #[test]
    fn ranges_that_add_up_to_everybody_are_refused() {
        let half = |entry| Ranges::parse(&[entry], Width::Wide).unwrap();
        for halves in [["0.0.0.0/1", "128.0.0.0/1"], ["::/1", "8000::/1"]] {
            assert_eq!(Ranges::parse(&halves, Width::Wide).unwrap_err().cause, RangeFault::Everyone);
            assert_eq!(Ranges::join(halves.map(half)), Err(RangeFault::Everyone));
        }
        assert!(Ranges::join(["0.0.0.0/1", "128.0.0.0/2"].map(half)).is_ok());
    }
}
