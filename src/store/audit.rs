//! The audit log: an entry for each change of who may enter, written in the change's own transaction, each with the hash
//! of the one before it. What is removed, edited, reordered or cut off shows, as long as the head beside the store is
//! left.

use serde_json::Value;
use serde_json::json;
use sqlx::SqliteConnection;

use crate::base::clock::UnixMillis;
use crate::base::limits::STORE_PAGE_RECORDS;
use crate::base::secret::Fingerprint;
use crate::pairing::device::DeviceId;
use crate::store::error::StoreError;
use crate::store::head::Head;

pub(super) mod carry;
pub(super) mod line;

/// What an entry of the log itself is called that tells of entries which were dropped.
const DROPPED: &str = "audit.dropped";
/// What an entry is called with which a restored log goes on.
const RESTORED: &str = "store.restored";

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

impl Act {
    /// What doorward does by itself.
    pub fn own(name: &'static str, at: UnixMillis) -> Self {
        Self { name, actor: "doorward".to_owned(), connection: None, at }
    }

    /// What the owner does, at this machine.
    pub fn owner(name: &'static str, at: UnixMillis) -> Self {
        Self { name, actor: "owner".to_owned(), connection: None, at }
    }
}

/// What an entry is about.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// What was changed.
    pub change: &'static str,
    /// Whose device.
    pub device: Option<DeviceId>,
    /// Which request.
    pub request: Option<String>,
    /// The digest of what was shown.
    pub digest: Option<String>,
    /// What else there is to say.
    pub detail: Value,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// None that are older.
    pub since: Option<UnixMillis>,
    /// Those about this device alone, by the beginning of its id.
    pub device: Option<String>,
    /// Those with this word in what was done or changed.
    pub action: Option<String>,
    /// At most so many, the latest ones.
    pub most: usize,
}

#[derive(sqlx::FromRow)]
struct Row {
    sequence: i64,
    at: i64,
    act: String,
    device_id: Option<String>,
    entry: String,
    hash: String,
}

/// Appends one entry; where the log ends now.
pub(super) async fn append(connection: &mut SqliteConnection, act: &Act, line: Line) -> Result<Head, sqlx::Error> {
    let entry = json!({
        "act": act.name,
        "actor": act.actor,
        "at": act.at.0,
        "change": line.change,
        "connection": act.connection,
        "detail": line.detail,
        "device": line.device,
        "digest": line.digest,
        "request": line.request,
    });
    link(connection, entry, 0).await
}

/// Appends the entry with which a restored log goes on, by the number `next` or a higher one: none is given out twice.
pub(super) async fn restored(
    connection: &mut SqliteConnection,
    act: &Act,
    detail: Value,
    next: i64,
) -> Result<Head, sqlx::Error> {
    let entry = json!({ "act": act.name, "actor": act.actor, "at": act.at.0, "change": RESTORED, "detail": detail });
    link(connection, entry, next).await
}

/// Gives an entry its number, `next` at least, and the hash of the one before, and writes it.
async fn link(connection: &mut SqliteConnection, mut entry: Value, next: i64) -> Result<Head, sqlx::Error> {
    let last = last(connection).await?;
    let sequence = last.sequence.saturating_add(1).max(next);
    if let Value::Object(fields) = &mut entry {
        fields.retain(|_, value| !value.is_null());
        fields.insert("sequence".to_owned(), json!(sequence));
        fields.insert("previous".to_owned(), json!(last.hash.to_hex()));
    }
    // The members of a value of ours stand in the order of their names, without spaces: the form of RFC 8785.
    let text = entry.to_string();
    let hash = Fingerprint::of(text.as_bytes());
    sqlx::query("INSERT INTO audit_log (sequence, at, act, device_id, entry, hash) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(sequence)
        .bind(entry.get("at").and_then(Value::as_i64).unwrap_or_default())
        .bind(entry.get("act").and_then(Value::as_str).unwrap_or_default())
        .bind(entry.get("device").and_then(Value::as_str))
        .bind(&text)
        .bind(hash.to_hex())
        .execute(connection)
        .await?;
    Ok(Head { sequence, hash })
}

/// The end of the log.
pub(super) async fn last(connection: &mut SqliteConnection) -> Result<Head, sqlx::Error> {
    let query = sqlx::query_as("SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1");
    let found: Option<(i64, String)> = query.fetch_optional(&mut *connection).await?;
    match found.map(|(sequence, hash)| (sequence, Fingerprint::from_hex(&hash))) {
        Some((sequence, Some(hash))) => Ok(Head { sequence, hash }),
        Some((_, None)) => Err(sqlx::Error::Decode("the hash of the last entry of the audit log is none".into())),
        None => Ok(anchor(connection).await?.unwrap_or_default()),
    }
}

/// The last entry that was dropped.
async fn anchor(connection: &mut SqliteConnection) -> Result<Option<Head>, sqlx::Error> {
    let query = sqlx::query_as("SELECT number, total FROM seals WHERE name = 'audit_log'");
    let found: Option<(i64, String)> = query.fetch_optional(connection).await?;
    Ok(found.and_then(|(sequence, hash)| Some(Head { sequence, hash: Fingerprint::from_hex(&hash)? })))
}

/// Drops the oldest `dropped` entries of a log of more than `most`; the log itself says so. The new end, if it did.
pub(super) async fn shorten(
    connection: &mut SqliteConnection,
    most: i64,
    dropped: i64,
    at: UnixMillis,
) -> Result<Option<Head>, sqlx::Error> {
    let (first, last) = (anchor(connection).await?.unwrap_or_default(), last(connection).await?);
    if last.sequence.saturating_sub(first.sequence) <= most {
        return Ok(None);
    }
    let through = first.sequence.saturating_add(dropped);
    let hash: String = sqlx::query_scalar("SELECT hash FROM audit_log WHERE sequence = $1")
        .bind(through)
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM audit_log WHERE sequence <= $1").bind(through).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO seals (name, number, total) VALUES ('audit_log', $1, $2)
         ON CONFLICT (name) DO UPDATE SET number = excluded.number, total = excluded.total",
    )
    .bind(through)
    .bind(&hash)
    .execute(&mut *connection)
    .await?;
    let line = Line { change: DROPPED, detail: json!({ "through": through, "hash": hash }), ..Line::default() };
    append(connection, &Act::own("audit", at), line).await.map(Some)
}

/// Whether every entry follows from the one before, from the oldest to where `head` says that the log ended; how many
/// there are. Entries beyond `head` are those whose change was not acknowledged yet when doorward ended.
pub(super) async fn verify(connection: &mut SqliteConnection, head: Head) -> Result<i64, StoreError> {
    let altered = |row: String| StoreError::Altered { path: Default::default(), table: "audit_log", row };
    let first = anchor(connection).await.map_err(StoreError::Query)?.unwrap_or_default();
    let (mut before, mut headed, mut told) = (first, first == head, first == Head::default());
    loop {
        let query = sqlx::query_as("SELECT * FROM audit_log WHERE sequence > $1 ORDER BY sequence LIMIT $2");
        let query = query.bind(before.sequence).bind(STORE_PAGE_RECORDS).persistent(false);
        let page: Result<Vec<Row>, _> = query.fetch_all(&mut *connection).await;
        let page = page.map_err(|error| match error {
            // A value of another kind than the column's.
            sqlx::Error::ColumnDecode { .. } => altered(format!("after {}", before.sequence)),
            error => StoreError::Query(error),
        })?;
        if page.is_empty() {
            break;
        }
        for row in page {
            let Some((now, entry)) = follows(&row, before) else { return Err(altered(row.sequence.to_string())) };
            headed |= now == head;
            told |= tells_of(&entry, first);
            before = now;
        }
    }
    if !headed && head.sequence > before.sequence {
        return Err(StoreError::Behind { path: Default::default(), found: before.sequence, known: head.sequence });
    }
    if !headed || !told {
        return Err(altered(format!("{} to {}", first.sequence, head.sequence)));
    }
    Ok(before.sequence.saturating_sub(first.sequence))
}

/// The entry of `row`, if it is the one after `before` and as it was written.
fn follows(row: &Row, before: Head) -> Option<(Head, Value)> {
    let hash = Fingerprint::of(row.entry.as_bytes());
    let entry: Value = serde_json::from_str(&row.entry).ok()?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let number = |name: &str| entry.get(name).and_then(Value::as_i64);
    let next = before.sequence.checked_add(1)?;
    let is_next = (row.sequence == next || row.sequence > next && text("change") == Some(RESTORED))
        && hash.to_hex() == row.hash
        && number("sequence") == Some(row.sequence)
        && text("previous") == Some(before.hash.to_hex().as_str())
        && number("at") == Some(row.at)
        && text("act") == Some(row.act.as_str())
        && text("device") == row.device_id.as_deref();
    is_next.then_some((Head { sequence: row.sequence, hash }, entry))
}

/// Whether an entry says that all were dropped through `first`.
fn tells_of(entry: &Value, first: Head) -> bool {
    entry.get("change").and_then(Value::as_str) == Some(DROPPED)
        && entry.pointer("/detail/through").and_then(Value::as_i64) == Some(first.sequence)
        && entry.pointer("/detail/hash").and_then(Value::as_str) == Some(first.hash.to_hex().as_str())
}

/// The latest entries that pass `filter`, the oldest first.
pub(super) async fn find(connection: &mut SqliteConnection, filter: &Filter) -> Result<Vec<Value>, StoreError> {
    let device = filter.device.as_deref().unwrap_or_default();
    let (mut found, mut before) = (Vec::new(), i64::MAX);
    while found.len() < filter.most {
        let page: Vec<(i64, Option<String>, String)> = sqlx::query_as(
            "SELECT sequence, device_id, entry FROM audit_log WHERE sequence < $1 AND at >= $2
             ORDER BY sequence DESC LIMIT $3",
        )
        .bind(before)
        .bind(filter.since.map_or(i64::MIN, |since| since.0))
        .bind(STORE_PAGE_RECORDS)
        .fetch_all(&mut *connection)
        .await
        .map_err(StoreError::Query)?;
        let Some((last, ..)) = page.last() else { break };
        before = *last;
        for (sequence, of, entry) in page {
            if !of.as_deref().unwrap_or_default().starts_with(device) {
                continue;
            }
            let altered =
                |_| StoreError::Altered { path: Default::default(), table: "audit_log", row: sequence.to_string() };
            let entry: Value = serde_json::from_str(&entry).map_err(altered)?;
            if has(&entry, filter.action.as_deref()) {
                found.push(entry);
            }
        }
    }
    found.truncate(filter.most);
    found.reverse();
    Ok(found)
}

fn has(entry: &Value, action: Option<&str>) -> bool {
    let Some(action) = action else { return true };
    ["act", "change"]
        .iter()
        .any(|name| entry.get(name).and_then(Value::as_str).is_some_and(|word| word.contains(action)))
}
