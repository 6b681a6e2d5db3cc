//! The rules of pairing, as they were when they were asked: the very ones that decided, asked once more with the same facts.

use serde::Serialize;

use crate::decisions::Case;
use crate::identity::claims::OriginClaim;
use crate::pairing::rule::Facts;
use crate::pairing::rule::Ruled;
use crate::pairing::rule::review::titled;

/// What they had to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rules {
    /// The rule that matched: its name, or its place.
    pub(super) rule: Option<String>,
    /// What it came to.
    pub(super) effect: &'static str,
    /// The rules up to that one, all if none matched.
    pub(super) looked_at: Vec<Looked>,
}

/// One rule.
#[derive(Debug, Serialize)]
pub(super) struct Looked {
    /// Which.
    pub(super) rule: String,
    /// Its place, from 1.
    pub(super) place: usize,
    /// Whether it matches.
    pub(super) matches: bool,
    /// By which facts, or why not.
    pub(super) because: String,
    /// What it does.
    pub(super) then: String,
}

impl Rules {
    /// The rules of `ruled`, asked about `case`.
    pub(super) fn of(case: &Case, ruled: &Ruled) -> Option<Self> {
        let origin = OriginClaim::of(&case.origin, &case.listener.name);
        let facts = Facts { origin: &origin, identity: case.identity.as_ref(), role: ruled.role, client: ruled.client };
        let mut looked_at = Vec::new();
        let mut matched = None;
        for (place, rule) in (1..).zip(ruled.rules.iter()) {
            let checked = rule.check(&facts, ruled.at);
            let because = match checked {
                Ok(()) => rule.matched(&facts, ruled.at),
                Err(miss) => rule.missed(miss, &facts, ruled.at),
            };
            let matches = checked.is_ok();
            looked_at.push(Looked { rule: titled(place, rule.name()), place, matches, because, then: rule.told() });
            if matches {
                matched = Some(rule.name().to_string());
                break;
            }
        }
        (!ruled.rules.is_empty()).then(|| Self { rule: matched, effect: ruled.effect.words(), looked_at })
    }
}
