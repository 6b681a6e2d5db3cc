//! Says once when a certificate comes nearer to its end than it should, and once more at each further step.

use std::collections::BTreeMap;

use tracing::{error, warn};

use crate::base::clock::UnixMillis;
use crate::certificates::alarm::Alarm;
use crate::certificates::standing::{Source, Standing};

/// What was said so far.
#[derive(Debug, Default)]
pub struct Told {
    alarms: BTreeMap<(Source, Vec<String>), Alarm>,
}

impl Told {
    /// Says in the log what is new in `list`.
    pub fn tell(&mut self, list: Vec<Standing>) {
        for standing in self.risen(list) {
            let (names, source) = (standing.names.join(" "), standing.source.as_str());
            let ends = standing.not_after_ms.map(|ends| UnixMillis(ends).date()).unwrap_or_default();
            let failure = standing.attempts.and_then(|attempts| attempts.failure);
            let (reason, hint) = match failure {
                Some(failure) => (failure.reason, failure.hint),
                None => (String::new(), hint(standing.source, standing.alarm).to_owned()),
            };
            let alarm = standing.alarm.words();
            match standing.alarm {
                Alarm::Day | Alarm::Over | Alarm::Week => {
                    error!(%names, source, %ends, alarm, reason, hint, "certificate alarm");
                }
                _ => warn!(%names, source, %ends, alarm, reason, hint, "certificate alarm"),
            }
        }
    }

    /// Those of `list` whose alarm is higher than when they were looked at last. Those that are gone are forgotten.
    fn risen(&mut self, list: Vec<Standing>) -> Vec<Standing> {
        let before = std::mem::take(&mut self.alarms);
        let (mut told, mut risen) = (BTreeMap::new(), Vec::new());
        for standing in list {
            let key = (standing.source, standing.names.clone());
            let last = before.get(&key).copied().unwrap_or(Alarm::None);
            told.insert(key, standing.alarm);
            if standing.alarm > last {
                risen.push(standing);
            }
        }
        self.alarms = told;
        risen
    }
}

/// What is to be done about `alarm` of a certificate from `source`.
pub fn hint(source: Source, alarm: Alarm) -> &'static str {
    match (alarm, source) {
        (Alarm::NotYet, _) => "see that this machine's clock is right: timedatectl",
        (Alarm::Over, Source::File) => {
            "see that this machine's clock is right: date; if it is, put a newer certificate and its key in place of the files"
        }
        (Alarm::Over, Source::LocalCa) => {
            "see that this machine's clock is right: date; if it is, the log says why it was not issued anew"
        }
        (_, Source::Acme) => "the log says why it was not renewed; it is tried again by itself",
        (_, Source::File) => "put a newer certificate and its key in place of the files",
        (_, Source::Tailnet) => "the log says what tailscaled answers; it is asked again by itself",
        (_, Source::LocalCa) => "the log says why it was not issued anew; it is tried again by itself",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_said_once_and_again_only_after_a_new_certificate() {
        let mut before = Told::default();
        let mut said =
            |alarm| before.risen(vec![standing("a.example", alarm), standing("b.example", Alarm::None)]).len();
        let steps = [
            (Alarm::None, 0),
            (Alarm::Third, 1),
            (Alarm::Third, 0),
            (Alarm::Week, 1),
            (Alarm::Day, 1),
            (Alarm::Over, 1),
            (Alarm::Over, 0),
            (Alarm::None, 0),
            (Alarm::Third, 1),
        ];
        for (alarm, lines) in steps {
            assert_eq!(said(alarm), lines, "{alarm:?}");
        }
    }

    fn standing(name: &str, alarm: Alarm) -> Standing {
        Standing { alarm, ..Standing::new(vec![name.to_owned()], Source::Acme, None, None, UnixMillis(0)) }
    }
}
