//! When a certificate is to be renewed: when its CA says so (RFC 9773), else before two thirds of its life are over. Pure.

use crate::base::clock::UnixMillis;
use crate::certificates::x509::Validity;

/// When a certificate that holds for `validity` is to be renewed. `window` is what its CA suggested, in milliseconds;
/// `seed` is the certificate's own, so that the moment stays the same over restarts and differs between houses.
pub fn due(validity: Validity, seed: u64, window: Option<(i64, i64)>) -> UnixMillis {
    let (begins, ends) = (validity.begins.saturating_mul(1_000), validity.ends.saturating_mul(1_000));
    let life = ends.saturating_sub(begins).max(0);
    let suggested = window.filter(|window| is_possible(*window, ends));
    UnixMillis(match suggested {
        // A CA may ask for as late as it likes; an eighth of the life is kept for attempts that fail.
        Some((from, to)) => {
            from.saturating_add(share(to.saturating_sub(from), seed)).min(ends.saturating_sub(life / 8))
        }
        None => ends.saturating_sub(life / 3).saturating_sub(share(life / 12, seed)),
    })
}

/// Whether a suggested window can be meant: it has a length, and lies before the certificate's end.
pub fn is_possible((from, to): (i64, i64), ends: i64) -> bool {
    from < to && from < ends
}

/// A thousandth part of `whole` for each of the seed's thousand.
fn share(whole: i64, seed: u64) -> i64 {
    let part = i64::try_from(seed % 1_000).unwrap_or(0);
    (whole / 1_000).saturating_mul(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;
    const BEGINS: i64 = 1_800_000_000;

    #[test]
    fn every_life_is_renewed_between_seven_twelfths_and_two_thirds() {
        for hours in [12, 24, 6 * 24, 45 * 24, 90 * 24] {
            let life = hours * HOUR;
            for seed in [0, 1, 499, 999, u64::MAX] {
                let due = due(validity(life), seed, None).0 - BEGINS * 1_000;
                assert!(due <= life * 1_000 * 2 / 3, "{hours} h, seed {seed}: {due}");
                assert!(due >= life * 1_000 * 7 / 12, "{hours} h, seed {seed}: {due}");
            }
        }
        assert_ne!(due(validity(HOUR), 1, None), due(validity(HOUR), 2, None));
    }

    #[test]
    fn the_cas_window_goes_first() {
        let life = 90 * 24 * HOUR;
        let at = |hours: i64| (BEGINS + hours * HOUR) * 1_000;
        let due = |from, to, seed| due(validity(life), seed, Some((from, to))).0;
        // A mass revocation: the window is over already.
        assert!(due(at(-48), at(-24), 500) < at(0));
        assert_eq!(due(at(10), at(20), 0), at(10));
        assert_eq!(due(at(10), at(20), 500), at(15));
        // Too late for a second attempt: an eighth of its life before its end, no later.
        assert_eq!(due(at(90 * 24 - 1), at(90 * 24), 999), at(90 * 24 - 90 * 3));
    }

    #[test]
    fn a_window_that_cannot_be_is_as_none() {
        let life = 6 * 24 * HOUR;
        let none = due(validity(life), 7, None);
        let ends = (BEGINS + life) * 1_000;
        for window in [(5, 4), (5, 5), (ends, ends + 1), (i64::MAX, i64::MIN)] {
            assert_eq!(due(validity(life), 7, Some(window)), none, "{window:?}");
        }
    }

    #[test]
    fn no_number_overflows() {
        for (begins, ends) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (0, i64::MAX)] {
            let _ = due(Validity { begins, ends }, u64::MAX, Some((i64::MIN, i64::MAX - 1)));
            let _ = due(Validity { begins, ends }, u64::MAX, None);
        }
    }

    fn validity(life: i64) -> Validity {
        Validity { begins: BEGINS, ends: BEGINS + life }
    }
}
