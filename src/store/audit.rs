//! The audit log: a row for each change, written in the change's own transaction, and never changed after.

use serde_json::Value;
use serde_json::json;
use sqlx::SqliteConnection;

use crate::base::clock::UnixMillis;
use crate::pairing::paired::PairedDevice;
use crate::pairing::step::Change;
use crate::pairing::step::RequestEnd;

/// Who does something, by what, when. Every commit has one.
#[derive(Clone, Debug)]
pub struct Act {
    /// What is done: the method's name, or `connect`, or `expire`.
    pub name: &'static str,
    /// Who: `owner`, `device:<id>`, `client:<address>`, `unattributed:<peer>`, or `doorward` itself.
    pub actor: String,
    /// On which connection.
    pub connection: Option<String>,
    /// When.
    pub at: UnixMillis,
}

struct Line {
    change: &'static str,
    device: Option<String>,
    request: Option<String>,
    digest: Option<String>,
    detail: Value,
}

/// Appends what `change` is about. A sight of a device is no change of who may enter and leaves no row.
pub(super) async fn append(connection: &mut SqliteConnection, act: &Act, change: &Change) -> Result<(), sqlx::Error> {
    let Some(line) = line(change) else { return Ok(()) };
    sqlx::query(
        "INSERT INTO audit (sequence, at, act, actor, connection, change, device_id, request_id, digest, detail)
         SELECT COALESCE(MAX(sequence), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM audit",
    )
    .bind(act.at.0)
    .bind(act.name)
    .bind(&act.actor)
    .bind(&act.connection)
    .bind(line.change)
    .bind(line.device)
    .bind(line.request)
    .bind(line.digest)
    .bind((!line.detail.is_null()).then(|| line.detail.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

fn line(change: &Change) -> Option<Line> {
    let plain = Line { change: "", device: None, request: None, digest: None, detail: Value::Null };
    Some(match change {
        Change::DropDevice(device) => Line { change: "device.drop", device: Some(device.to_string()), ..plain },
        Change::DropRequest { id, end } => Line { change: ended(*end), request: Some(id.to_string()), ..plain },
        Change::PutDevice(device) => {
            Line { change: "device.put", device: Some(device.id().to_string()), detail: grants(device), ..plain }
        }
        Change::PutRequest(request) => Line {
            change: "request.put",
            device: Some(request.device().to_string()),
            request: Some(request.id.to_string()),
            digest: Some(request.digest().to_string()),
            detail: json!({ "role": request.role, "scopes": request.scopes, "origin": request.origin }),
        },
        Change::Seen { .. } => return None,
    })
}

fn ended(end: RequestEnd) -> &'static str {
    match end {
        RequestEnd::Approved => "request.approved",
        RequestEnd::Expired => "request.expired",
        RequestEnd::Rejected => "request.rejected",
        RequestEnd::Superseded => "request.superseded",
    }
}

fn grants(device: &PairedDevice) -> Value {
    let grants = device.grants.iter().map(|(role, grant)| {
        json!({ "role": role, "scopes": grant.scopes, "revokedAt": grant.revoked_at.map(|at| at.0),
                "tokenMadeAt": grant.token.map(|token| token.rotated_at.unwrap_or(token.created_at).0) })
    });
    json!({ "approvedVia": device.approved_via, "grants": grants.collect::<Vec<_>>() })
}
