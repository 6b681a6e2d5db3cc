//! What became of a pairing request since a connect left it waiting, out of the store and its audit log.

use serde_json::Value;

use crate::base::clock::UnixMillis;
use crate::base::limits::DECISION_SINCE_ENTRIES_MAX;
use crate::decisions::Decision;
use crate::explain::account::Since;
use crate::pairing::step::RequestEnd;
use crate::store::{Filter, Store};

/// What became of the request that `decision` left waiting; nothing where it left none or where nobody can say.
pub(super) async fn of(decision: &Decision, store: &Store) -> Option<Since> {
    let connect = decision.connect()?;
    let id = connect.request_id.as_deref()?;
    if let Some(request) = store.request(&id.parse().ok()?).await.ok()? {
        return Some(Since::Waits { digest: request.digest().to_string() });
    }
    let filter = Filter {
        device: connect.device.clone(),
        action: Some("request.".to_owned()),
        most: DECISION_SINCE_ENTRIES_MAX,
        ..Filter::default()
    };
    let entries = store.audit(&filter).await.ok()?;
    entries.iter().rev().filter(|entry| entry.get("request").and_then(Value::as_str) == Some(id)).find_map(over)
}

/// What an entry says of a request's end, if it does.
fn over(entry: &Value) -> Option<Since> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let how = match text("change")? {
        "request.approved" => RequestEnd::Approved,
        "request.displaced" => RequestEnd::Displaced,
        "request.expired" => RequestEnd::Expired,
        "request.rejected" => RequestEnd::Rejected,
        "request.superseded" => RequestEnd::Superseded,
        _ => return None,
    };
    Some(Since::over(how, UnixMillis(entry.get("at")?.as_i64()?), text("actor")?))
}
