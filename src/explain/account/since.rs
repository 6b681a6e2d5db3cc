//! What became of a pairing request after the connect that left it waiting: who reads an old refusal is not to be told to
//! approve what was approved long ago.

use serde::Serialize;

use crate::base::clock::UnixMillis;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::owner_command::OwnerCommand;
use crate::base::printable::printable;
use crate::pairing::step::RequestEnd;

/// What became of a pairing request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "request")]
pub enum Since {
    /// It is over.
    #[serde(rename_all = "camelCase")]
    Over {
        /// How it ended.
        how: &'static str,
        /// When.
        at_ms: i64,
        /// By whom, as the audit log has it.
        by: String,
    },
    /// It waits.
    #[serde(rename_all = "camelCase")]
    Waits {
        /// The digest of what is asked.
        digest: String,
    },
}

impl Since {
    /// It ended so, then, by that word.
    pub fn over(how: RequestEnd, at: UnixMillis, by: &str) -> Self {
        let how = match how {
            RequestEnd::Approved => "approved",
            RequestEnd::Displaced => "displaced",
            RequestEnd::Expired => "expired",
            RequestEnd::Rejected => "rejected",
            RequestEnd::Superseded => "superseded",
        };
        Self::Over { how, at_ms: at.0, by: printable(by, LABEL_CHARS_MAX) }
    }

    /// In one line, at `now`.
    pub(super) fn line(&self, now: UnixMillis) -> (&'static str, String) {
        match self {
            Self::Over { how, at_ms, by } => (how, format!("{}, by {by}", UnixMillis(*at_ms).ago(now))),
            Self::Waits { .. } => ("waits", "for approval, still".to_owned()),
        }
    }

    /// What is to be done about request `id`.
    pub(super) fn next(&self, id: &str, owner: &OwnerCommand) -> Vec<String> {
        let again = "connect again, and look at what is asked then";
        match self {
            Self::Over { how: "approved", .. } => vec!["nothing here: it was approved since; connect again".to_owned()],
            Self::Over { how: "rejected", .. } => {
                vec![format!("it was rejected since; if that was a mistake, {again}")]
            }
            Self::Over { .. } => vec![format!("this request is over; {again}")],
            Self::Waits { digest } => vec![
                format!(
                    "if you know this device, approve it: {}",
                    owner.with(&format!("devices approve {id} --digest {digest}"))
                ),
                format!("if not, refuse it: {}", owner.with(&format!("devices reject {id}"))),
            ],
        }
    }
}
