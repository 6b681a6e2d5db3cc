//! Requests that wait for a person, to and from rows.

use sqlx::FromRow;
use sqlx::SqliteConnection;

use crate::base::clock::Moment;
use crate::base::clock::UnixMillis;
use crate::base::limits::CLOCK_BACK_MS_MAX;
use crate::base::limits::MOMENT_ROUNDING_MS;
use crate::identity::claims::OriginClaim;
use crate::pairing::caller::CallerKey;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::queue::Queue;
use crate::pairing::queue::Standing;
use crate::pairing::queue::Waiter;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::Repair;
use crate::pairing::request::RequestId;
use crate::protocol::scope::Role;
use crate::store::error::StoreError;
use crate::store::row;
use crate::store::seal::REQUESTS;
use crate::store::seal::Record;

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
    boot: String,
    refreshed_uptime: i64,
}

/// By what it is told how long a request still waits.
#[derive(Debug)]
pub(super) struct Window {
    /// Now.
    pub(super) moment: Moment,
    /// For how long a request waits.
    pub(super) life: PendingLife,
}

/// The request of this id, expired or not.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    id: &RequestId,
    window: &Window,
) -> Result<Option<PendingRequest>, StoreError> {
    let found = REQUESTS.load(connection, &id.to_string()).await?;
    found.map(|record| of(&record, window)).transpose()
}

/// The requests of one device, expired ones too.
pub(super) async fn of_device(
    connection: &mut SqliteConnection,
    device: &DeviceId,
    window: &Window,
) -> Result<Vec<PendingRequest>, StoreError> {
    let ids = sqlx::query_scalar("SELECT request_id FROM requests WHERE device_id = $1 ORDER BY created_at");
    let ids: Vec<String> = ids.bind(device.to_string()).fetch_all(&mut *connection).await.map_err(StoreError::Query)?;
    let mut requests = Vec::new();
    for id in ids {
        let found = REQUESTS.load(connection, &id).await?;
        requests.extend(found.map(|record| of(&record, window)).transpose()?);
    }
    Ok(requests)
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
pub(super) async fn all(connection: &mut SqliteConnection, window: &Window) -> Result<Vec<PendingRequest>, StoreError> {
    let mut requests = REQUESTS.all(connection, |record| of(record, window)).await?;
    requests.sort_by_key(|request| std::cmp::Reverse(request.created_at));
    Ok(requests)
}

fn of(record: &Record, window: &Window) -> Result<PendingRequest, StoreError> {
    read(RequestRow::from_row(&record.head).map_err(StoreError::Query)?, window)
}

/// Who waits now, by the rule of [`PendingRequest::is_expired`]. A few rows without their seals: what is decided by them is
/// who may wait, and never who may enter.
pub(super) async fn waiting(
    connection: &mut SqliteConnection,
    now: UnixMillis,
    window: &Window,
) -> Result<Queue, StoreError> {
    let Window { moment, life } = window;
    let uptime = moment.uptime_at(now);
    let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(
        "SELECT request_id, device_id, origin, repair, created_at
         FROM requests WHERE boot = $1 AND refreshed_uptime > $2 AND refreshed_uptime <= $3",
    )
    .bind(moment.boot.as_ref())
    .bind(uptime.saturating_sub(life.ms()))
    .bind(uptime.saturating_add(CLOCK_BACK_MS_MAX))
    .fetch_all(connection)
    .await
    .map_err(StoreError::Query)?;
    // One that cannot be read is nobody's to approve; it must not keep paired devices out.
    let waiters = rows.into_iter().filter_map(|(request, device, origin, repair, created_at)| {
        let origin: OriginClaim = row::read(&origin)?;
        Some(Waiter {
            request: request.parse().ok()?,
            device: device.parse().ok()?,
            caller: CallerKey::of(&origin),
            standing: Standing::of(&origin, repair_of(repair)),
            created_at: UnixMillis(created_at),
        })
    });
    Ok(waiters.collect())
}

fn repair_of(column: i64) -> Repair {
    if column == 0 { Repair::No } else { Repair::Yes }
}

/// Writes a request as it is now.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    request: &PendingRequest,
    moment: &Moment,
) -> Result<(), sqlx::Error> {
    let id = request.id.to_string();
    let before = REQUESTS.before(connection, &id).await?;
    sqlx::query(
        "INSERT INTO requests
            (request_id, device_id, public_key, profile, role, scopes, origin, client, repair,
             created_at, refreshed_at, boot, refreshed_uptime)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (request_id) DO UPDATE SET
            profile = excluded.profile, origin = excluded.origin, client = excluded.client,
            repair = excluded.repair, refreshed_at = excluded.refreshed_at,
            boot = excluded.boot, refreshed_uptime = excluded.refreshed_uptime",
    )
    .bind(&id)
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
    .bind(moment.boot.as_ref())
    .bind(moment.uptime_at(request.refreshed_at))
    .execute(&mut *connection)
    .await?;
    REQUESTS.renew(connection, &id, before).await
}

/// Ends a request.
pub(super) async fn drop(connection: &mut SqliteConnection, id: &RequestId) -> Result<(), sqlx::Error> {
    let id = id.to_string();
    let before = REQUESTS.before(connection, &id).await?;
    sqlx::query("DELETE FROM requests WHERE request_id = $1").bind(&id).execute(&mut *connection).await?;
    REQUESTS.renew(connection, &id, before).await
}

/// When a request was last seen, told by the wall clock as it stands now, so that no setting of the clock makes its life
/// longer or shorter. One of before this machine started is over: nobody can say for how long it was off.
fn refreshed_at(found: &RequestRow, window: &Window) -> UnixMillis {
    let Window { moment, life } = window;
    let written = UnixMillis(found.refreshed_at);
    if *found.boot != *moment.boot {
        return written.min(moment.wall.plus(-life.ms()));
    }
    let told = moment.wall_at(found.refreshed_uptime);
    if told.since(written).abs() <= MOMENT_ROUNDING_MS { written } else { told }
}

fn read(found: RequestRow, window: &Window) -> Result<PendingRequest, StoreError> {
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
        repair: repair_of(found.repair),
        created_at: UnixMillis(found.created_at),
        refreshed_at: refreshed_at(&found, window),
    })
}
