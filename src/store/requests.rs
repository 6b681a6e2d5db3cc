//! Requests that wait for a person, to and from rows.

use sqlx::FromRow;
use sqlx::SqliteConnection;

use crate::base::clock::UnixMillis;
use crate::base::limits::CLOCK_BACK_MS_MAX;
use crate::base::limits::PENDING_LIFE_SECONDS;
use crate::pairing::caller::CallerKey;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::pairing::request::RequestId;
use crate::pairing::step::Waiting;
use crate::protocol::scope::Role;
use crate::store::error::StoreError;
use crate::store::row;

#[derive(FromRow)]
struct RequestRow {
    request_id: String,
    device_id: String,
    public_key: String,
    profile: String,
    role: String,
    scopes: String,
    origin: String,
    repair: i64,
    created_at: i64,
    refreshed_at: i64,
}

/// The request of this id, expired or not.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    id: &RequestId,
) -> Result<Option<PendingRequest>, StoreError> {
    let found: Option<RequestRow> = sqlx::query_as("SELECT * FROM requests WHERE request_id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await
        .map_err(StoreError::Query)?;
    found.map(read).transpose()
}

/// The requests of one device, expired ones too.
pub(super) async fn of_device(
    connection: &mut SqliteConnection,
    device: &DeviceId,
) -> Result<Vec<PendingRequest>, StoreError> {
    let found: Vec<RequestRow> = sqlx::query_as("SELECT * FROM requests WHERE device_id = $1 ORDER BY created_at")
        .bind(device.to_string())
        .fetch_all(connection)
        .await
        .map_err(StoreError::Query)?;
    found.into_iter().map(read).collect()
}

/// Whether the request of this id is written already.
pub(super) async fn is_known(connection: &mut SqliteConnection, id: &RequestId) -> Result<bool, sqlx::Error> {
    let found: Option<(i64,)> = sqlx::query_as("SELECT created_at FROM requests WHERE request_id = $1")
        .bind(id.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

/// All requests, the newest first, expired ones too.
pub(super) async fn all(connection: &mut SqliteConnection) -> Result<Vec<PendingRequest>, StoreError> {
    let found: Vec<RequestRow> = sqlx::query_as("SELECT * FROM requests ORDER BY created_at DESC, request_id")
        .fetch_all(connection)
        .await
        .map_err(StoreError::Query)?;
    found.into_iter().map(read).collect()
}

/// How many wait now, by the rule of [`PendingRequest::is_expired`].
pub(super) async fn waiting(
    connection: &mut SqliteConnection,
    caller: &CallerKey,
    now: UnixMillis,
) -> Result<Waiting, StoreError> {
    let life = i64::try_from(PENDING_LIFE_SECONDS * 1000).unwrap_or(i64::MAX);
    let (all, here): (i64, i64) = sqlx::query_as(
        "SELECT COUNT(*), COALESCE(SUM(CASE WHEN client = $1 THEN 1 ELSE 0 END), 0)
         FROM requests WHERE refreshed_at > $2 AND refreshed_at <= $3",
    )
    .bind(caller.to_string())
    .bind(now.plus(-life).0)
    .bind(now.plus(CLOCK_BACK_MS_MAX).0)
    .fetch_one(connection)
    .await
    .map_err(StoreError::Query)?;
    let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Waiting { all: count(all), caller: count(here) })
}

/// Writes a request as it is now.
pub(super) async fn put(connection: &mut SqliteConnection, request: &PendingRequest) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO requests
            (request_id, device_id, public_key, profile, role, scopes, origin, client, repair,
             created_at, refreshed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (request_id) DO UPDATE SET
            profile = excluded.profile, origin = excluded.origin, client = excluded.client,
            repair = excluded.repair, refreshed_at = excluded.refreshed_at",
    )
    .bind(request.id.to_string())
    .bind(request.device().to_string())
    .bind(request.key.to_string())
    .bind(row::write(&request.profile)?)
    .bind(request.role.as_str())
    .bind(row::write(&request.scopes)?)
    .bind(row::write(&request.origin)?)
    .bind(request.caller().to_string())
    .bind(i64::from(request.repair == Repair::Yes))
    .bind(request.created_at.0)
    .bind(request.refreshed_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a request.
pub(super) async fn drop(connection: &mut SqliteConnection, id: &RequestId) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM requests WHERE request_id = $1").bind(id.to_string()).execute(connection).await?;
    Ok(())
}

fn read(found: RequestRow) -> Result<PendingRequest, StoreError> {
    let bad = |column| StoreError::Value { table: "requests", column };
    let key = DevicePublicKey::parse(&found.public_key).map_err(|_| bad("public_key"))?;
    if key.id().to_string() != found.device_id {
        return Err(bad("device_id"));
    }
    Ok(PendingRequest {
        id: found.request_id.parse().map_err(|_| bad("request_id"))?,
        key,
        profile: row::read(&found.profile).ok_or(bad("profile"))?,
        role: Role::parse(&found.role).ok_or(bad("role"))?,
        scopes: row::read(&found.scopes).ok_or(bad("scopes"))?,
        origin: row::read(&found.origin).ok_or(bad("origin"))?,
        repair: if found.repair == 0 { Repair::No } else { Repair::Yes },
        created_at: UnixMillis(found.created_at),
        refreshed_at: UnixMillis(found.refreshed_at),
    })
}
