//! How each certificate stands: what it is for, where it is from, how long it holds, and what is being done about it. The
//! log, `status` and the lists are all made of this.

use serde::Serialize;

use crate::base::clock::UnixMillis;
use crate::certificates::acme::attempts::Attempts;
use crate::certificates::alarm::Alarm;
use crate::certificates::x509::Validity;

/// One certificate that is shown or wanted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The names it is for.
    pub names: Vec<String>,
    /// Where it is from, or is to come from.
    pub source: Source,
    /// From when it holds; none while there is none yet.
    pub not_before_ms: Option<i64>,
    /// Until when.
    pub not_after_ms: Option<i64>,
    /// How urgent it is.
    pub alarm: Alarm,
    /// What was tried and comes next; only for those of CAs.
    pub attempts: Option<Attempts>,
}

/// Where a certificate is from.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A public CA.
    Acme,
    /// The operator's own file.
    File,
    /// The local CA.
    LocalCa,
    /// tailscaled.
    Tailnet,
}

impl Source {
    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::File => "file",
            Self::LocalCa => "local-ca",
            Self::Tailnet => "tailnet",
        }
    }
}

impl Standing {
    /// Of a certificate from `source` that holds for `validity`, if there is one.
    pub fn new(
        names: Vec<String>,
        source: Source,
        validity: Option<Validity>,
        attempts: Option<Attempts>,
        now: UnixMillis,
    ) -> Self {
        let due = attempts.as_ref().and_then(|attempts| attempts.due_ms).map(UnixMillis);
        Self {
            names,
            source,
            not_before_ms: validity.map(|validity| validity.begins_at().0),
            not_after_ms: validity.map(|validity| validity.ends_at().0),
            alarm: validity.map_or(Alarm::None, |validity| Alarm::of(validity, due, now)),
            attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_there_yet_is_no_alarm() {
        assert_eq!(Standing::new(Vec::new(), Source::Acme, None, None, UnixMillis(5)).alarm, Alarm::None);
    }

    #[test]
    fn it_is_written_as_the_lists_read_it() {
        let validity = Validity { begins: 0, ends: 100 };
        let names = vec!["a.example".to_owned()];
        let standing =
            Standing::new(names, Source::Acme, Some(validity), Some(Attempts::default()), UnixMillis(200_000));
        let written = serde_json::to_value(&standing).unwrap();
        for (pointer, expected) in
            [("/names/0", "a.example"), ("/source", "acme"), ("/alarm", "over"), ("/attempts/stage", "idle")]
        {
            assert_eq!(written.pointer(pointer).and_then(|value| value.as_str()), Some(expected), "{written}");
        }
        assert_eq!(written["notAfterMs"], 100_000);
    }
}
