//! Lists of ranges that have a name: a provider's proxies, written down with the day they were published.
//!
//! Promise: a list is what its file says and never fetched; whoever trusts it can be told its age. The lists of `conf/ranges`
//! are part of the binary.

use thiserror::Error;
use time::Date;
use time::Month;

use super::range::RangeFault;
use super::range::Ranges;
use super::range::Width;

const CLOUDFLARE: &str = include_str!("../../conf/ranges/cloudflare.txt");

/// The names of the built-in lists.
pub const BUILT_IN: [&str; 1] = ["cloudflare"];

/// The ranges of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamedRanges {
    date: Option<Date>,
    ranges: Ranges,
}

impl NamedRanges {
    /// The built-in list of this name.
    ///
    /// It may hold ranges wider than [`Width::Narrow`] allows: they are not somebody's guess at a site's size, but what the
    /// provider publishes as its own, and a test holds the list to that.
    pub fn built_in(name: &str) -> Option<Self> {
        let text = match name {
            "cloudflare" => CLOUDFLARE,
            _ => return None,
        };
        // Never an error: a test reads every built-in list.
        Self::parse(text, Width::Wide, &Ranges::default()).ok()
    }

    /// Reads a list: an address or range a line, `#` before what is for people; `# date: 2026-10-05` says when it was published.
    /// A range that lies in `known` may be wider than `width`.
    ///
    /// # Errors
    /// [`ListError`] at the first bad line, or when no range is there.
    pub fn parse(text: &str, width: Width, known: &Ranges) -> Result<Self, ListError> {
        let mut date = None;
        let mut parts = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let (entry, comment) = line.split_once('#').unwrap_or((line, ""));
            if let Some(written) = comment.trim().strip_prefix("date:") {
                date = Some(read_date(written.trim()).ok_or(ListError::Date { line: number })?);
            }
            let entry = entry.trim();
            if entry.is_empty() {
                continue;
            }
            let read = |width| Ranges::parse(&[entry], width).map_err(|error| error.cause);
            let part = match read(width) {
                Err(RangeFault::TooWide) => read(Width::Wide).and_then(|wide| match known.covers(&wide) {
                    true => Ok(wide),
                    false => Err(RangeFault::TooWide),
                }),
                other => other,
            };
            parts.push(part.map_err(|cause| ListError::Range { line: number, cause })?);
        }
        if parts.is_empty() {
            return Err(ListError::Empty);
        }
        let last = text.lines().count();
        let ranges = Ranges::join(parts).map_err(|cause| ListError::Range { line: last, cause })?;
        Ok(Self { date, ranges })
    }

    /// The day it was published, where its file says so.
    pub fn date(&self) -> Option<Date> {
        self.date
    }

    /// The ranges.
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }
}

/// `2026-10-05`.
fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

/// Whether `text` could be a list's name: letters, digits, `-` and `_`, a letter first, and neither an address nor a host name
/// with dots.
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(plain)
}

/// Why a list is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ListError {
    /// A date that is none.
    #[error("line {line}: not a date")]
    Date {
        /// From 1.
        line: usize,
    },
    /// Nobody is in it.
    #[error("no range is in it")]
    Empty,
    /// A range that is not taken.
    #[error("line {line}: {cause}")]
    Range {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        cause: RangeFault,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_list_is_whole_and_dated() {
        for name in BUILT_IN {
            let list = NamedRanges::built_in(name).unwrap();
            assert!(list.date().is_some() && is_name(name), "{name}");
        }
        assert_eq!(NamedRanges::built_in("fastly"), None);
    }

    #[test]
    fn cloudflare_is_what_cloudflare_publishes() {
        let list = NamedRanges::built_in("cloudflare").unwrap();
        let entries: Vec<_> = CLOUDFLARE.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!((entries.len(), entries.iter().filter(|entry| entry.contains(':')).count()), (22, 7));
        for inside in ["173.245.48.1", "104.16.0.1", "104.27.255.255", "172.71.255.255", "2a06:98c7:ffff::1"] {
            assert!(list.ranges().contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["104.15.255.255", "104.28.0.0", "172.72.0.0", "2a06:98c8::", "10.0.0.1", "127.0.0.1", "::1"] {
            assert!(!list.ranges().contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_list_says_its_date_and_nobody_else() {
        let list =
            NamedRanges::parse("# date: 2026-02-28\n10.0.0.0/24 # ours\n\n 2001:db8::7\r\n", Width::Narrow, &none());
        let list = list.unwrap();
        assert_eq!(list.date().unwrap().to_string(), "2026-02-28");
        assert!(list.ranges().contains("10.0.0.9".parse().unwrap()));
        assert!(list.ranges().contains("2001:db8::7".parse().unwrap()));
        assert_eq!(NamedRanges::parse("10.0.0.1", Width::Narrow, &none()).unwrap().date(), None);
    }

    #[test]
    fn a_bad_list_is_refused_at_its_line() {
        for (text, expected) in [
            ("", ListError::Empty),
            ("# nothing\n\n", ListError::Empty),
            ("# date: 2026-02-30\n10.0.0.1", ListError::Date { line: 1 }),
            ("10.0.0.1\n# date: 5.10.2026", ListError::Date { line: 2 }),
            ("10.0.0.1\nproxy.example", ListError::Range { line: 2, cause: RangeFault::Malformed }),
            ("10.0.0.1\n10.0.0.0/8", ListError::Range { line: 2, cause: RangeFault::TooWide }),
            ("0.0.0.0/0", ListError::Range { line: 1, cause: RangeFault::Everyone }),
        ] {
            assert_eq!(NamedRanges::parse(text, Width::Narrow, &none()), Err(expected), "{text}");
        }
    }

    #[test]
    fn only_what_the_provider_is_known_to_own_may_be_wide() {
        let known = NamedRanges::built_in("cloudflare").unwrap();
        let read = |text| NamedRanges::parse(text, Width::Narrow, known.ranges()).map(|_| ());
        assert_eq!(read(CLOUDFLARE), Ok(()));
        assert_eq!(read("104.16.0.0/13"), Ok(()));
        assert_eq!(read("104.24.0.0/13"), Err(ListError::Range { line: 1, cause: RangeFault::TooWide }));
        assert_eq!(read("10.0.0.0/8"), Err(ListError::Range { line: 1, cause: RangeFault::TooWide }));
    }

    fn none() -> Ranges {
        Ranges::default()
    }
}
