//! When a rule holds: days of the week and hours of the day, as the clocks of a named place show them.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::base::clock::EARLIEST;
use crate::base::clock::UnixMillis;

/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;

/// Days and hours.
///
/// Hours that run over midnight belong to the day on which they begin. Where the clocks of the zone are put forward, the
/// time that does not exist is never shown; put back, the one that comes twice counts both times.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Window {
    /// Where the clocks are read.
    pub zone: Zone,
    /// The days, each once; all if none is named.
    pub days: Vec<Day>,
    /// The hours; the whole day if there are none.
    pub hours: Option<Hours>,
}

/// A time zone and what it is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl Zone {
    /// `zone`, which its operator calls `name`.
    pub fn new(name: &str, zone: TimeZone) -> Self {
        Self { name: name.to_owned(), zone }
    }
}

/// From one time of the day to another; never empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hours {
    from: TimeOfDay,
    to: TimeOfDay,
}

impl Hours {
    /// From `from` until just before `to`, on the next day if that is the earlier; none if both are one.
    pub fn new(from: TimeOfDay, to: TimeOfDay) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

/// A time of the day.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Reads `08:30`, up to `24:00`, the end of a day.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<u16>().ok()).flatten()
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        let minutes = hour.checked_mul(60)?.checked_add(minute)?;
        (minute < 60 && minutes <= DAY_MINUTES).then_some(Self(minutes))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the days say what they are")]
pub enum Day {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Day {
    /// All of them, by their words in the configuration.
    pub const ALL: [(&'static str, Self); 7] = [
        ("mon", Self::Monday),
        ("tue", Self::Tuesday),
        ("wed", Self::Wednesday),
        ("thu", Self::Thursday),
        ("fri", Self::Friday),
        ("sat", Self::Saturday),
        ("sun", Self::Sunday),
    ];

    fn of(weekday: Weekday) -> Self {
        match weekday {
            Weekday::Monday => Self::Monday,
            Weekday::Tuesday => Self::Tuesday,
            Weekday::Wednesday => Self::Wednesday,
            Weekday::Thursday => Self::Thursday,
            Weekday::Friday => Self::Friday,
            Weekday::Saturday => Self::Saturday,
            Weekday::Sunday => Self::Sunday,
        }
    }

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, day)| *day == self).map_or("", |(word, _)| word)
    }
}

impl Window {
    /// Whether it is open at `now`; nobody knows where the clock is not set, or shows what no calendar has.
    pub fn is_open(&self, now: UnixMillis) -> Option<bool> {
        let (day, before, at) = self.clock(now)?;
        let on = |day: Day| self.days.is_empty() || self.days.contains(&day);
        Some(match self.hours {
            None => on(day),
            Some(Hours { from, to }) if from < to => on(day) && from <= at && at < to,
            // The evening of this day, or the morning that belongs to the day before.
            Some(Hours { from, to }) => (on(day) && from <= at) || (on(before) && at < to),
        })
    }

    /// What the clocks of its zone show at `now`: the day, the one before, the time.
    fn clock(&self, now: UnixMillis) -> Option<(Day, Day, TimeOfDay)> {
        if now < EARLIEST {
            return None;
        }
        let shown = Timestamp::from_millisecond(now.0).ok()?.to_zoned(self.zone.zone.clone());
        let minutes = u16::try_from(shown.hour()).ok()? * 60 + u16::try_from(shown.minute()).ok()?;
        let weekday = shown.weekday();
        Some((Day::of(weekday), Day::of(weekday.previous()), TimeOfDay(minutes)))
    }

    /// What the clocks of its zone show at `now`, as people read it.
    pub(super) fn shown(&self, now: UnixMillis) -> String {
        match self.clock(now) {
            Some((day, _, at)) => format!("{} {at} in {}", day.word(), self.zone.name),
            None => "that nobody knows, for this machine's clock is not set".to_owned(),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> = self.days.iter().map(|day| day.word()).collect();
        if !days.is_empty() {
            write!(f, "{} ", days.join(", "))?;
        }
        if let Some(Hours { from, to }) = self.hours {
            write!(f, "{from} to {to} ")?;
        }
        write!(f, "in {}", self.zone.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::new(name, TimeZone::get(name).unwrap())
    }

    fn window(zone_name: &str, days: &[Day], hours: Option<(&str, &str)>) -> Window {
        let at = |text| TimeOfDay::parse(text).unwrap();
        let hours = hours.map(|(from, to)| Hours::new(at(from), at(to)).unwrap());
        Window { zone: zone(zone_name), days: days.to_vec(), hours }
    }

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn hours_are_those_of_the_zone_summer_and_winter() {
        let office = window("Europe/Berlin", &[Day::Friday], Some(("08:00", "18:00")));
        for (now, open) in [
            ("2026-11-20T06:59:59.999Z", false),
            ("2026-11-20T07:00:00Z", true),
            ("2026-11-20T16:59:59Z", true),
            ("2026-11-20T17:00:00Z", false),
            ("2027-07-02T06:00:00Z", true),
            ("2027-07-02T05:59:59Z", false),
            ("2026-11-21T08:00:00Z", false),
        ] {
            assert_eq!(office.is_open(at(now)), Some(open), "{now}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = window("UTC", &[Day::Friday], Some(("22:00", "06:00")));
        for (now, open) in [
            ("2026-11-20T21:59:59Z", false),
            ("2026-11-20T22:00:00Z", true),
            ("2026-11-21T05:59:59Z", true),
            ("2026-11-21T06:00:00Z", false),
            ("2026-11-20T05:00:00Z", false),
            ("2026-11-21T22:00:00Z", false),
        ] {
            assert_eq!(night.is_open(at(now)), Some(open), "{now}");
        }
        let until_midnight = window("UTC", &[], Some(("22:00", "24:00")));
        assert_eq!(until_midnight.is_open(at("2026-11-20T23:59:59Z")), Some(true));
        assert_eq!(until_midnight.is_open(at("2026-11-21T00:00:00Z")), Some(false));
    }

    #[test]
    fn where_clocks_are_changed_an_hour_is_missing_or_comes_twice() {
        let small_hours = window("Europe/Berlin", &[], Some(("02:00", "03:00")));
        // 2027-03-28: from 01:59:59 to 03:00. 2027-10-31: 02:00 to 03:00 twice.
        for (now, open) in [
            ("2027-03-28T00:59:59Z", false),
            ("2027-03-28T01:00:00Z", false),
            ("2027-10-31T00:00:00Z", true),
            ("2027-10-31T01:59:59Z", true),
            ("2027-10-31T02:00:00Z", false),
        ] {
            assert_eq!(small_hours.is_open(at(now)), Some(open), "{now}");
        }
    }

    #[test]
    fn by_a_clock_that_is_not_set_nobody_knows_the_time() {
        for now in [i64::MAX, i64::MIN, 0, EARLIEST.0 - 1] {
            assert_eq!(window("UTC", &[], None).is_open(UnixMillis(now)), None, "{now}");
        }
        for now in [EARLIEST, at("2026-11-20T00:00:00Z")] {
            assert_eq!(window("UTC", &[], None).is_open(now), Some(true));
        }
    }

    #[test]
    fn a_time_of_the_day_has_one_spelling() {
        for text in ["00:00", "08:30", "23:59", "24:00"] {
            assert_eq!(TimeOfDay::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "8:30", "08:60", "24:01", "25:00", "+8:30", "08:30:00", "08", "08:3", "ab:cd"] {
            assert_eq!(TimeOfDay::parse(text), None, "{text}");
        }
        let at = |text| TimeOfDay::parse(text).unwrap();
        assert_eq!(Hours::new(at("08:00"), at("08:00")), None, "nobody can say whether that is a day or nothing");
    }
}
