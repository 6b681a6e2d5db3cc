//! The sentences about the gateway behind us. The same in each version: a client of either tries again.

use crate::base::limits::UPSTREAM_COME_AGAIN;
use crate::base::limits::UPSTREAM_COME_LATER;
use crate::protocol::close::Close;
use crate::protocol::error::ErrorCode;
use crate::protocol::error::ErrorShape;
use crate::protocol::refusal::Upstream;

/// The close code of what may be tried again (RFC 6455's registry: Try Again Later).
const AGAIN: u16 = 1013;

pub(super) fn error(cause: &Upstream) -> ErrorShape {
    let (message, reason, wait) = match cause {
        Upstream::Client(refused) => {
            let mut error = ErrorShape::new(ErrorCode::Unavailable, refused.message.as_str());
            error.details = Some(refused.details.clone());
            return error;
        }
        Upstream::NodeApproved => {
            ("gateway was told of this node; connect again", "upstream-node-approved", UPSTREAM_COME_AGAIN)
        }
        Upstream::NodeLater => ("no place for a node now; retry shortly", "upstream-node-later", UPSTREAM_COME_LATER),
        Upstream::NodeRefused => (
            "gateway removed this node; its owner must approve it anew (retry later)",
            "upstream-node-refused",
            UPSTREAM_COME_LATER,
        ),
        Upstream::NodeTokens => (
            "nodes cannot pass: the gateway has another token than this server",
            "upstream-node-tokens",
            UPSTREAM_COME_LATER,
        ),
        Upstream::NodeUnknown => (
            "nodes pass with the gateway's token or their device token only",
            "upstream-node-credential",
            UPSTREAM_COME_LATER,
        ),
        Upstream::Refuses => {
            ("gateway refuses this server; its owner must act (retry later)", "upstream-refuses", UPSTREAM_COME_LATER)
        }
        Upstream::Silent => ("gateway does not answer; retry shortly", "upstream-silent", UPSTREAM_COME_LATER),
        // The newer gateway's own words, which its clients know.
        Upstream::Starting => ("gateway starting; retry shortly", "startup-sidecars", UPSTREAM_COME_AGAIN),
        Upstream::Unreachable => ("gateway not reachable; retry shortly", "upstream-unreachable", UPSTREAM_COME_LATER),
    };
    let error = ErrorShape::new(ErrorCode::Unavailable, message)
        .with("reason", reason)
        .retry_after(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    match cause {
        Upstream::Refuses | Upstream::Silent | Upstream::Unreachable => {
            error.with("remediationHint", "On the gateway's machine, `doorward status` names the reason.")
        }
        Upstream::NodeTokens => {
            error.with("remediationHint", "On the gateway's machine, `doorward check` says what to set.")
        }
        Upstream::Client(_)
        | Upstream::NodeApproved
        | Upstream::NodeLater
        | Upstream::NodeRefused
        | Upstream::NodeUnknown
        | Upstream::Starting => error,
    }
}

pub(super) fn close(cause: &Upstream) -> Close {
    match cause {
        Upstream::Client(refused) => Close::new(1008, &refused.message),
        Upstream::NodeApproved => Close::new(AGAIN, "connect again"),
        Upstream::NodeLater => Close::new(AGAIN, "no place for a node now"),
        Upstream::NodeRefused => Close::new(AGAIN, "gateway removed this node"),
        Upstream::NodeTokens => Close::new(AGAIN, "nodes cannot pass"),
        Upstream::NodeUnknown => Close::new(AGAIN, "not with this credential"),
        Upstream::Refuses => Close::new(AGAIN, "gateway refuses this server"),
        Upstream::Silent => Close::new(AGAIN, "gateway does not answer"),
        Upstream::Starting => Close::new(AGAIN, "gateway starting"),
        Upstream::Unreachable => Close::new(AGAIN, "gateway not reachable"),
    }
}

pub(super) fn reason(cause: &Upstream) -> &'static str {
    match cause {
        Upstream::Client(_) => "upstream_client",
        Upstream::NodeApproved => "upstream_node_approved",
        Upstream::NodeLater => "upstream_node_later",
        Upstream::NodeRefused => "upstream_node_refused",
        Upstream::NodeTokens => "upstream_node_tokens",
        Upstream::NodeUnknown => "upstream_node_credential",
        Upstream::Refuses => "upstream_refuses",
        Upstream::Silent => "upstream_silent",
        Upstream::Starting => "upstream_starting",
        Upstream::Unreachable => "upstream_unreachable",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::protocol::refusal::ClientRefused;

    #[test]
    fn what_is_between_us_and_the_gateway_is_never_a_matter_of_pairing_and_can_be_tried_again() {
        for (cause, message, closing) in [
            (Upstream::NodeApproved, "gateway was told of this node; connect again", "connect again"),
            (Upstream::NodeLater, "no place for a node now; retry shortly", "no place for a node now"),
            (
                Upstream::NodeRefused,
                "gateway removed this node; its owner must approve it anew (retry later)",
                "gateway removed this node",
            ),
            (
                Upstream::NodeTokens,
                "nodes cannot pass: the gateway has another token than this server",
                "nodes cannot pass",
            ),
            (
                Upstream::NodeUnknown,
                "nodes pass with the gateway's token or their device token only",
                "not with this credential",
            ),
            (
                Upstream::Refuses,
                "gateway refuses this server; its owner must act (retry later)",
                "gateway refuses this server",
            ),
            (Upstream::Silent, "gateway does not answer; retry shortly", "gateway does not answer"),
            (Upstream::Starting, "gateway starting; retry shortly", "gateway starting"),
            (Upstream::Unreachable, "gateway not reachable; retry shortly", "gateway not reachable"),
        ] {
            let error = serde_json::to_value(error(&cause)).unwrap();
            assert_eq!((&error["code"], &error["message"]), (&json!("UNAVAILABLE"), &json!(message)));
            assert_eq!(error["retryable"], true, "{cause:?}");
            assert!(error["retryAfterMs"].as_u64().unwrap() > 0, "{cause:?}");
            assert_eq!(close(&cause), Close::new(1013, closing));
        }
        let reload = error(&Upstream::Starting);
        assert_eq!(reload.details.unwrap()["reason"], "startup-sidecars", "as the gateway itself says it");
    }

    #[test]
    fn what_the_gateway_says_to_the_client_itself_passes() {
        let mut details = Map::new();
        details.insert("reloadRequired".to_owned(), Value::Bool(true));
        let refused = ClientRefused { message: "protocol mismatch: Control UI updated".to_owned(), details };
        let told = error(&Upstream::Client(Box::new(refused.clone())));
        assert_eq!(
            (told.message.as_str(), told.details.unwrap()),
            ("protocol mismatch: Control UI updated", refused.details.clone())
        );
        assert_eq!(close(&Upstream::Client(Box::new(refused))).code(), Some(1008));
    }
}
