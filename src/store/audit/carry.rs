//! The audit log of a store from before its entries were chained, carried over.

use serde_json::Value;
use serde_json::json;
use sqlx::SqliteConnection;

#[derive(sqlx::FromRow)]
struct Row {
    at: i64,
    act: String,
    actor: String,
    connection: Option<String>,
    change: String,
    device_id: Option<String>,
    request_id: Option<String>,
    digest: Option<String>,
    detail: Option<String>,
}

/// Links the rows of the old table, in their order, and removes it.
pub(in crate::store) async fn over(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT at, act, actor, connection, change, device_id, request_id, digest, detail FROM audit ORDER BY sequence",
    )
    .persistent(false)
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let detail: Value = row.detail.and_then(|detail| serde_json::from_str(&detail).ok()).unwrap_or_default();
        let entry = json!({
            "act": row.act, "actor": row.actor, "at": row.at, "change": row.change, "connection": row.connection,
            "detail": detail, "device": row.device_id, "digest": row.digest, "request": row.request_id,
        });
        super::link(connection, entry, 0).await?;
    }
    sqlx::query("DROP TABLE audit").persistent(false).execute(connection).await?;
    Ok(())
}
