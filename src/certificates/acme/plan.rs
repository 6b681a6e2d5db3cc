//! What is to be done for one certificate at this moment. Pure.

use crate::base::clock::{EARLIEST, UnixMillis, millis};
use crate::base::limits::ACME_CLOCK_SKEW_MAX;
use crate::certificates::acme::backoff::Record;
use crate::certificates::acme::renewal;
use crate::certificates::x509::Validity;

/// What is known.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The certificate for exactly these names, if there is one.
    pub held: Option<Held>,
    /// What was tried.
    pub record: &'a Record,
    /// Whether a CA has said that the clock is right.
    pub clock: Trust,
    /// Whether an owner wants a new one now.
    pub demand: Demand,
    /// Whether this process has made or looked at the order under way before.
    pub acquaintance: Acquaintance,
}

/// A certificate that is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// The time it holds.
    pub validity: Validity,
    /// A number of its own.
    pub seed: u64,
}

/// Whether the clock is believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// A CA has the same time.
    Checked,
    /// Nobody was asked.
    Unchecked,
}

/// Whether an owner asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Demand {
    /// Nobody did: it is renewed in its time.
    InTime,
    /// As soon as no limit of a CA is in the way.
    Now,
    /// At once, the first time: the one there is is from a CA that is not asked any more.
    OtherCa,
}

/// Whether an order under way is one of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Acquaintance {
    /// It was left by a process before this one.
    Found,
    /// It is.
    Own,
}

/// The next step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Ask the CA when it would have the certificate renewed.
    Ask,
    /// Ask a CA what time it is: what is to be done, or what is known, is worth a doubt.
    CheckClock,
    /// Make a new order.
    Order,
    /// Go on with the order under way.
    Resume,
    /// Nothing, until then.
    Wait {
        /// When to look again.
        until: UnixMillis,
        /// What is waited for.
        reason: Waiting,
    },
}

/// What is waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// The end of the wait after a failure.
    Backoff,
    /// A clock that is set. Nothing is ordered or judged before.
    Clock,
    /// The time of renewal.
    Renewal,
}

/// The step that `facts` ask for at `now`.
pub fn plan(facts: &Facts<'_>, now: UnixMillis) -> Step {
    if now < EARLIEST {
        return Step::Wait { until: EARLIEST, reason: Waiting::Clock };
    }
    let step = next(facts, now);
    match facts.clock {
        Trust::Unchecked if matches!(step, Step::Order | Step::Resume) || is_doubtful(facts, now) => Step::CheckClock,
        _ => step,
    }
}

/// Whether something is dated later than now.
fn is_doubtful(facts: &Facts<'_>, now: UnixMillis) -> bool {
    let skew = millis(ACME_CLOCK_SKEW_MAX);
    let begins = facts.held.map_or(i64::MIN, |held| held.validity.begins_at().0);
    facts.record.is_of_the_future(now) || begins > now.plus(skew).0
}

fn next(facts: &Facts<'_>, now: UnixMillis) -> Step {
    let record = facts.record;
    if let Some(order) = &record.order {
        // One that a crash left is looked at at once: that makes no order and proves nothing anew.
        let next = if facts.acquaintance == Acquaintance::Found { 0 } else { order.next_ms };
        return match next <= now.0 {
            true => Step::Resume,
            false => Step::Wait { until: UnixMillis(next), reason: Waiting::Backoff },
        };
    }
    if let Some(held) = facts.held {
        let due = renewal::due(held.validity, held.seed, record.renewal.as_ref());
        if now < due && facts.demand == Demand::InTime {
            let ask = record.renewal.as_ref().map_or(0, |suggestion| suggestion.ask_ms);
            return match record.issued_by.is_some() {
                true if ask <= now.0 => Step::Ask,
                true => Step::Wait { until: due.min(UnixMillis(ask)), reason: Waiting::Renewal },
                false => Step::Wait { until: due, reason: Waiting::Renewal },
            };
        }
    }
    let is_first = facts.demand == Demand::OtherCa && record.failures == 0;
    match is_first || record.next_ms <= now.0 {
        true => Step::Order,
        false => Step::Wait { until: UnixMillis(record.next_ms), reason: Waiting::Backoff },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::acme::backoff::{OpenOrder, Suggestion};
    use crate::certificates::acme::renewal::Chosen;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY: i64 = 86_400_000;

    #[test]
    fn a_clock_that_is_not_set_orders_nothing() {
        let early = UnixMillis(0);
        let order = Record { order: Some(open(0)), ..Record::default() };
        for record in [Record::default(), order] {
            for held in [None, Some(held(-100, -1))] {
                let facts = Facts {
                    held,
                    record: &record,
                    clock: Trust::Checked,
                    demand: Demand::InTime,
                    acquaintance: Acquaintance::Found,
                };
                assert!(matches!(plan(&facts, early), Step::Wait { reason: Waiting::Clock, .. }));
            }
        }
    }

    #[test]
    fn what_is_missing_or_due_is_ordered_and_nothing_else() {
        let fresh = Record { issued_by: None, ..Record::default() };
        assert_eq!(step(None, &fresh), Step::Order);
        assert_eq!(step(Some(held(-70, 20)), &fresh), Step::Order);
        assert_eq!(step(Some(held(-90, -1)), &fresh), Step::Order, "over");
        let young = step(Some(held(-10, 80)), &fresh);
        assert!(matches!(young, Step::Wait { reason: Waiting::Renewal, .. }), "{young:?}");
    }

    #[test]
    fn after_a_failure_nothing_is_ordered_until_the_wait_is_over() {
        let failed = Record { failures: 1, next_ms: NOW.0 + 1, ..Record::default() };
        for held in [None, Some(held(-89, 1)), Some(held(-90, -1))] {
            let until = UnixMillis(NOW.0 + 1);
            assert_eq!(step(held, &failed), Step::Wait { until, reason: Waiting::Backoff });
            assert_eq!(step(held, &Record { next_ms: NOW.0, ..failed.clone() }), Step::Order);
        }
    }

    #[test]
    fn an_order_under_way_comes_first_and_one_of_a_crash_at_once() {
        let record = Record { next_ms: NOW.0 + DAY, order: Some(open(NOW.0 + 5)), ..Record::default() };
        let facts = |acquaintance| Facts {
            held: None,
            record: &record,
            clock: Trust::Checked,
            demand: Demand::InTime,
            acquaintance,
        };
        assert_eq!(plan(&facts(Acquaintance::Found), NOW), Step::Resume);
        assert!(matches!(plan(&facts(Acquaintance::Own), NOW), Step::Wait { .. }));
        assert_eq!(plan(&facts(Acquaintance::Own), NOW.plus(5)), Step::Resume);
    }

    #[test]
    fn the_ca_is_asked_about_renewal_now_and_then_and_its_word_counts() {
        let asked = |ask_ms, moment: Option<i64>| Record {
            issued_by: Some("a".to_owned()),
            renewal: Some(Suggestion {
                ask_ms,
                chosen: moment.map(|moment_ms| Chosen { from_ms: moment_ms, to_ms: moment_ms + 1, moment_ms }),
                explanation: None,
            }),
            ..Record::default()
        };
        let young = Some(held(-10, 80));
        assert_eq!(step(young, &Record { renewal: None, ..asked(0, None) }), Step::Ask);
        assert_eq!(step(young, &asked(NOW.0, None)), Step::Ask);
        let until = UnixMillis(NOW.0 + 9);
        assert_eq!(step(young, &asked(NOW.0 + 9, None)), Step::Wait { until, reason: Waiting::Renewal });
        assert_eq!(step(young, &asked(NOW.0 + 9, Some(NOW.0 - DAY))), Step::Order);
        // Even at once is not before the wait after the last one is over.
        let late = Record { next_ms: NOW.0 + 1, ..asked(NOW.0 + 9, Some(NOW.0 - DAY)) };
        assert_eq!(step(young, &late), Step::Wait { until: NOW.plus(1), reason: Waiting::Backoff });
    }

    #[test]
    fn before_an_order_and_in_any_doubt_somebody_is_asked_for_the_time() {
        let unchecked = |held, record: &Record, now| {
            plan(
                &Facts {
                    held,
                    record,
                    clock: Trust::Unchecked,
                    demand: Demand::InTime,
                    acquaintance: Acquaintance::Own,
                },
                now,
            )
        };
        let (empty, under_way) = (Record::default(), Record { order: Some(open(0)), ..Record::default() });
        assert_eq!(unchecked(None, &empty, NOW), Step::CheckClock);
        assert_eq!(unchecked(None, &under_way, NOW), Step::CheckClock);
        assert!(matches!(unchecked(Some(held(-10, 80)), &empty, NOW), Step::Wait { .. }), "nothing is at stake");
        // Set forward by 200 days the certificate looks over; set back by a day it has not begun, and the record neither.
        assert_eq!(unchecked(Some(held(-10, 80)), &empty, NOW.plus(200 * DAY)), Step::CheckClock);
        assert_eq!(unchecked(Some(held(0, 90)), &empty, NOW.plus(-DAY)), Step::CheckClock);
        let begun = Record { started_ms: NOW.0, next_ms: NOW.0, ..Record::default() };
        assert_eq!(unchecked(Some(held(-10, 80)), &begun, NOW.plus(-DAY)), Step::CheckClock);
        // Checked, it is as it is: a certificate of tomorrow is kept, and nothing is ordered.
        assert!(matches!(step(Some(held(1, 91)), &empty), Step::Wait { reason: Waiting::Renewal, .. }));
    }

    #[test]
    fn what_an_owner_demands_is_ordered_before_its_time_and_never_before_the_end_of_a_wait() {
        let step = |demand, failures, next_ms| {
            let record = Record { failures, next_ms, ..Record::default() };
            let held = Some(held(-1, 89));
            plan(&Facts { held, record: &record, clock: Trust::Checked, demand, acquaintance: Acquaintance::Own }, NOW)
        };
        let wait = Step::Wait { until: NOW.plus(1), reason: Waiting::Backoff };
        for (demand, failures, next_ms, expected) in [
            (Demand::Now, 0, 0, Step::Order),
            (Demand::Now, 0, NOW.0 + 1, wait),
            (Demand::Now, 1, NOW.0 + 1, wait),
            (Demand::OtherCa, 0, NOW.0 + 1, Step::Order),
            (Demand::OtherCa, 1, NOW.0 + 1, wait),
            (Demand::OtherCa, 1, NOW.0, Step::Order),
        ] {
            assert_eq!(step(demand, failures, next_ms), expected, "{demand:?} {failures} {next_ms}");
        }
    }

    fn step(held: Option<Held>, record: &Record) -> Step {
        plan(
            &Facts { held, record, clock: Trust::Checked, demand: Demand::InTime, acquaintance: Acquaintance::Own },
            NOW,
        )
    }

    /// From so many days after now to so many.
    fn held(from: i64, to: i64) -> Held {
        let at = |days: i64| (NOW.0 + days * DAY) / 1_000;
        Held { validity: Validity { begins: at(from), ends: at(to) }, seed: 0 }
    }

    fn open(next_ms: i64) -> OpenOrder {
        let text = String::new;
        OpenOrder { directory: text(), url: text(), key: text(), made_ms: NOW.0, next_ms, resumes: 0 }
    }
}
