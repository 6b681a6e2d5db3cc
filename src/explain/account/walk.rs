//! The one header that a listener reads, element by element, as the walk met it.

use http::header::HOST;
use http::header::ORIGIN;
use serde::Serialize;

use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::decisions::Case;
use crate::decisions::Kept;
use crate::origin::resolve_with;
use crate::origin::witness::Verdict;
use crate::origin::witness::Witness;

/// The walk.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Walk {
    /// The header that is read; `none` if there is none.
    pub(super) name: String,
    /// What the walk met, nearest to us first.
    pub(super) elements: Vec<Element>,
    /// The names of all forwarding headers that came.
    pub(super) present: Vec<String>,
    /// Whether the lines that were kept lead to the same end as those that came; else the elements are not shown.
    pub(super) complete: bool,
    /// What there is to say of it instead, where no line was read.
    #[serde(skip)]
    pub(super) unread: Option<&'static str>,
}

/// One element.
#[derive(Debug, Serialize)]
pub(super) struct Element {
    /// The line it stands in; 1 is the last one, the nearest to us.
    pub(super) line: usize,
    /// What stood there.
    pub(super) text: String,
    /// What was made of it.
    pub(super) verdict: &'static str,
}

impl Walk {
    /// The walk of this case, gone once more.
    pub(super) fn of(case: &Case) -> Self {
        let headers = case.asked.lines.headers();
        let (authority, scheme) = (case.asked.authority.as_ref(), case.asked.scheme);
        let facts = case.connection.said(&headers, authority, scheme, case.tailnet);
        let mut recorder = Recorder::default();
        let again = resolve_with(&facts, &case.listener.origin, &case.network, &mut recorder);
        let complete = case.asked.lines.kept == Kept::Whole && again.trail == case.origin.trail;
        let present = headers.keys().filter(|name| **name != HOST && **name != ORIGIN);
        Self {
            name: case.listener.origin.client_ip_header.as_str().to_owned(),
            elements: if complete { recorder.elements } else { Vec::new() },
            present: present.map(ToString::to_string).collect(),
            complete,
            unread: match case.asked.lines.kept {
                Kept::Cut | Kept::Whole => None,
                Kept::None => Some("the connection ended before a request came"),
                Kept::Unread => Some("the head was refused before it was read: nothing it may have said counts"),
            },
        }
    }
}

#[derive(Debug, Default)]
struct Recorder {
    line: usize,
    elements: Vec<Element>,
}

impl Witness for Recorder {
    fn line(&mut self, line: usize) {
        self.line = line.saturating_add(1);
    }

    fn element(&mut self, _hop: usize, text: &[u8], verdict: Verdict) {
        let text = printable(&String::from_utf8_lossy(text), LABEL_CHARS_MAX);
        self.elements.push(Element { line: self.line, text, verdict: word(verdict) });
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::BeyondBound => "one hop more than is walked",
        Verdict::Client => "the client",
        Verdict::NotPossible => "an address that no caller can have",
        Verdict::Repeated => "one of several lines where one may stand",
        Verdict::Trusted => "a trusted proxy, passed",
        Verdict::Ungrammatical => "not by the header's grammar",
        Verdict::Unreadable => "no readable address",
    }
}
