//! How near a certificate is to its end, in steps that a person must not miss. Pure: the log, `status` and the lists tell
//! the same.

pub mod told;

use serde::Serialize;

use crate::base::clock::UnixMillis;
use crate::certificates::x509::Validity;

const DAY: i64 = 86_400_000;

/// One step; the later, the more urgent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alarm {
    /// Nothing to do.
    None,
    /// By this machine's clock it does not hold yet.
    NotYet,
    /// A third of its life is left, and it should be renewed by now.
    Third,
    /// Seven days are left.
    Week,
    /// A day is left.
    Day,
    /// It is over.
    Over,
}

impl Alarm {
    /// Of a certificate that holds for `validity`. `due` is when it is to be renewed, where that is known: before, and for
    /// a moment after it, the renewal is on its way. The days count only where they are less than a third of the life.
    pub fn of(validity: Validity, due: Option<UnixMillis>, now: UnixMillis) -> Self {
        let (begins, ends) = (validity.begins_at().0, validity.ends_at().0);
        let (life, left) = (ends.saturating_sub(begins).max(0), ends.saturating_sub(now.0));
        let third = life / 3;
        if left <= 0 {
            return Self::Over;
        }
        if now.0 < begins {
            return Self::NotYet;
        }
        let is_awaited = due.is_some_and(|due| now.0 <= due.0.saturating_add(life / 48));
        if is_awaited || left > third {
            return Self::None;
        }
        match left {
            ..=DAY if DAY < third => Self::Day,
            left if left <= DAY.saturating_mul(7) && DAY.saturating_mul(7) < third => Self::Week,
            _ => Self::Third,
        }
    }

    /// The same as a number, for those who compare: 0 where there is nothing to do, 5 where it is over.
    pub fn level(self) -> u8 {
        match self {
            Self::None => 0,
            Self::NotYet => 1,
            Self::Third => 2,
            Self::Week => 3,
            Self::Day => 4,
            Self::Over => 5,
        }
    }

    /// What it means, for a person; nothing where there is nothing to say.
    pub fn words(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NotYet => "it does not hold yet, by the clock of this machine",
            Self::Third => "less than a third of its life is left",
            Self::Week => "it ends within seven days",
            Self::Day => "it ends within a day",
            Self::Over => "it is over: browsers refuse it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGINS: i64 = 1_800_000_000;
    const HOUR: i64 = 3_600;

    #[test]
    fn each_life_has_the_steps_that_fit_it() {
        for (life, left, alarm) in [
            (90 * 24, 31 * 24, Alarm::None),
            (90 * 24, 30 * 24, Alarm::Third),
            (90 * 24, 7 * 24 + 1, Alarm::Third),
            (90 * 24, 7 * 24, Alarm::Week),
            (90 * 24, 24, Alarm::Day),
            (90 * 24, 0, Alarm::Over),
            (45 * 24, 15 * 24 + 1, Alarm::None),
            (45 * 24, 15 * 24, Alarm::Third),
            (45 * 24, 7 * 24, Alarm::Week),
            // A week is more than all of it; a day is half of its last third.
            (6 * 24, 48, Alarm::Third),
            (6 * 24, 25, Alarm::Third),
            (6 * 24, 24, Alarm::Day),
            (24, 9, Alarm::None),
            (24, 8, Alarm::Third),
            (24, 1, Alarm::Third),
            (24, -1, Alarm::Over),
            (24, 25, Alarm::NotYet),
        ] {
            let validity = Validity { begins: BEGINS, ends: BEGINS + life * HOUR };
            let now = UnixMillis((validity.ends - left * HOUR) * 1_000);
            assert_eq!(Alarm::of(validity, None, now), alarm, "{left} of {life} hours are left");
        }
    }

    #[test]
    fn a_renewal_that_its_ca_wants_late_is_no_alarm_before_it_failed() {
        let validity = Validity { begins: BEGINS, ends: BEGINS + 90 * 24 * HOUR };
        let left = |hours: i64| UnixMillis((validity.ends - hours * HOUR) * 1_000);
        let due = Some(left(20 * 24));
        assert_eq!(Alarm::of(validity, due, left(25 * 24)), Alarm::None);
        assert_eq!(Alarm::of(validity, due, left(20 * 24 - 45)), Alarm::None, "under way");
        assert_eq!(Alarm::of(validity, due, left(20 * 24 - 46)), Alarm::Third);
        assert_eq!(Alarm::of(validity, Some(UnixMillis(i64::MAX)), left(0)), Alarm::Over);
    }

    #[test]
    fn steps_stand_in_the_order_of_their_urgency_and_no_number_overflows() {
        let all = [Alarm::None, Alarm::NotYet, Alarm::Third, Alarm::Week, Alarm::Day, Alarm::Over];
        assert!(all.is_sorted());
        assert_eq!(all.map(Alarm::level), [0, 1, 2, 3, 4, 5]);
        for (begins, ends, now) in [(i64::MIN, i64::MAX, i64::MIN), (i64::MAX, i64::MIN, i64::MAX), (0, 0, 0)] {
            let _ = Alarm::of(Validity { begins, ends }, Some(UnixMillis(now)), UnixMillis(now));
        }
    }
}
