//! When a certificate is to be renewed: when its CA says so (RFC 9773), else before two thirds of its life are over. Pure.

use crate::base::clock::{UnixMillis, millis};
use crate::base::limits::ACME_WINDOW_PAST_MAX;
use crate::certificates::acme::backoff::Suggestion;
use crate::certificates::x509::Validity;

/// When a certificate that holds for `validity` is to be renewed. `suggestion` is what its CA said of that; `seed` is the
/// certificate's own, so that without a word of the CA the moment stays the same over restarts and differs between houses.
pub fn due(validity: Validity, seed: u64, suggestion: Option<&Suggestion>) -> UnixMillis {
    let (begins, ends) = (validity.begins_at().0, validity.ends_at().0);
    let life = ends.saturating_sub(begins).max(0);
    UnixMillis(match suggestion.and_then(|suggestion| suggestion.chosen) {
        // A CA may ask for as late as it likes; an eighth of the life is kept for attempts that fail.
        Some(Chosen { moment_ms, .. }) => moment_ms.min(ends.saturating_sub(life / 8)),
        None => {
            ends.saturating_sub(life / 3).saturating_sub(life / 12 / 1_000 * i64::try_from(seed % 1_000).unwrap_or(0))
        }
    })
}

/// A window that a CA suggested, and the moment in it that is ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// From then.
    pub from_ms: i64,
    /// Until then.
    pub to_ms: i64,
    /// Chosen once for each window, so that all who were told the same do not come at once (RFC 9773 §4.2).
    pub moment_ms: i64,
}

impl Chosen {
    /// A moment in the window `from` to `to`, in milliseconds, by `chance`; the one of `before` while the CA says the same.
    /// None for a window that cannot be meant: without a length, after the certificate's end, or long before its beginning.
    pub fn of(from: i64, to: i64, validity: Validity, chance: u64, before: Option<Self>) -> Option<Self> {
        let past = millis(ACME_WINDOW_PAST_MAX);
        let earliest = validity.begins_at().0.saturating_sub(past);
        if from >= to || from >= validity.ends_at().0 || from < earliest {
            return None;
        }
        let same = before.filter(|before| (before.from_ms, before.to_ms) == (from, to));
        let width = u64::try_from(to.saturating_sub(from)).unwrap_or(1);
        let part = i64::try_from(chance % width.max(1)).unwrap_or(0);
        Some(same.unwrap_or(Self { from_ms: from, to_ms: to, moment_ms: from.saturating_add(part) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const BEGINS: i64 = 1_800_000_000;
    /// 24 hours, 6, 45 and 90 days, and the 12 hours of a small CA.
    const LIVES: [i64; 5] = [12, 24, 6 * 24, 45 * 24, 90 * 24];

    #[test]
    fn every_life_is_renewed_between_seven_twelfths_and_two_thirds() {
        for hours in LIVES {
            let life = hours * HOUR;
            for seed in [0, 1, 499, 999, u64::MAX] {
                let due = due(validity(life), seed, None).0 - BEGINS * 1_000;
                assert!(due <= life * 1_000 * 2 / 3, "{hours} h, seed {seed}: {due}");
                assert!(due >= life * 1_000 * 7 / 12, "{hours} h, seed {seed}: {due}");
            }
        }
        assert_ne!(due(validity(24 * HOUR), 1, None), due(validity(24 * HOUR), 2, None));
    }

    #[test]
    fn the_cas_window_goes_first_for_every_life() {
        for hours in LIVES {
            let life = hours * HOUR;
            let at = |percent: i64| (BEGINS + life * percent / 100) * 1_000;
            let due = |from, to, chance| {
                let chosen = Chosen::of(from, to, validity(life), chance, None);
                due(validity(life), 7, Some(&Suggestion { chosen, ..Suggestion::default() })).0
            };
            assert_eq!(due(at(20), at(40), 0), at(20), "{hours} h");
            let width = u64::try_from(at(40) - at(20)).unwrap();
            assert_eq!(due(at(20), at(40), width / 2), at(30), "{hours} h");
            assert_eq!(due(at(20), at(40), width - 1), at(40) - 1, "{hours} h");
            assert_eq!(due(at(20), at(40), width), at(20), "{hours} h: never outside of it");
            // A mass revocation: the window is over already, maybe before the certificate began.
            assert!(due(at(0) - 3_600_000, at(0) - 1_800_000, 5) < at(0), "{hours} h");
            // Too late for a second attempt: an eighth of its life before its end, no later.
            assert_eq!(due(at(99), at(100), 0), at(0) + life * 1_000 / 8 * 7, "{hours} h");
        }
    }

    #[test]
    fn a_moment_is_chosen_once_for_each_window() {
        let life = validity(90 * 24 * HOUR);
        let at = |hours: i64| (BEGINS + hours * HOUR) * 1_000;
        let first = Chosen::of(at(10), at(20), life, 1, None).unwrap();
        assert_eq!(Chosen::of(at(10), at(20), life, 2, Some(first)), Some(first));
        let other = Chosen::of(at(10), at(21), life, 2, Some(first)).unwrap();
        assert_eq!((other.moment_ms, first.moment_ms), (at(10) + 2, at(10) + 1));
    }

    #[test]
    fn a_window_that_cannot_be_is_none() {
        let life = validity(6 * 24 * HOUR);
        let (begins, ends) = (BEGINS * 1_000, (BEGINS + 6 * 24 * HOUR) * 1_000);
        let month = i64::try_from(ACME_WINDOW_PAST_MAX.as_millis()).unwrap();
        for (from, to) in [
            (begins + 5, begins + 4),
            (begins + 5, begins + 5),
            (ends, ends + 1),
            (0, 1),
            (0, i64::MAX),
            (begins - month - 1, begins),
            (i64::MAX, i64::MIN),
            (i64::MIN, i64::MAX),
        ] {
            assert_eq!(Chosen::of(from, to, life, 7, None), None, "{from} to {to}");
        }
        assert!(Chosen::of(begins - month, begins, life, 7, None).is_some());
        assert!(Chosen::of(ends - 1, i64::MAX, life, u64::MAX, None).is_some());
    }

    #[test]
    fn no_number_overflows() {
        for (begins, ends) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, i64::MAX)] {
            let validity = Validity { begins, ends };
            for (from, to) in [(i64::MIN, i64::MAX - 1), (0, 1), (i64::MAX - 1, i64::MAX)] {
                let chosen = Chosen::of(from, to, validity, u64::MAX, None);
                let _ = due(validity, u64::MAX, Some(&Suggestion { chosen, ..Suggestion::default() }));
            }
            let _ = due(validity, u64::MAX, None);
        }
    }

    fn validity(life: i64) -> Validity {
        Validity { begins: BEGINS, ends: BEGINS + life }
    }
}
