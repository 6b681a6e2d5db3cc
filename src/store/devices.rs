//! Paired devices and their grants, to and from rows.

use sqlx::FromRow;
use sqlx::SqliteConnection;

use crate::base::clock::UnixMillis;
use crate::base::secret::Fingerprint;
use crate::pairing::device::DeviceId;
use crate::pairing::device::DevicePublicKey;
use crate::pairing::paired::ApprovedVia;
use crate::pairing::paired::DeviceToken;
use crate::pairing::paired::Grant;
use crate::pairing::paired::Issuer;
use crate::pairing::paired::PairedDevice;
use crate::pairing::rule::RuleName;
use crate::protocol::scope::Role;
use crate::store::error::StoreError;
use crate::store::row;
use crate::store::seal::DEVICES;
use crate::store::seal::Record;

#[derive(FromRow)]
struct DeviceRow {
    device_id: String,
    public_key: String,
    profile: String,
    label: Option<String>,
    approved_via: String,
    created_at: i64,
    approved_at: i64,
    last_seen_at: Option<i64>,
}

#[derive(FromRow)]
struct GrantRow {
    role: String,
    scopes: String,
    created_at: i64,
    revoked_at: Option<i64>,
    token_hash: Option<String>,
    token_issuer: Option<String>,
    token_created_at: Option<i64>,
    token_rotated_at: Option<i64>,
    token_last_used_at: Option<i64>,
}

/// The device of this id, if it is paired.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    device: &DeviceId,
) -> Result<Option<PairedDevice>, StoreError> {
    let found = DEVICES.load(connection, &device.to_string()).await?;
    found.as_ref().map(of).transpose()
}

/// The device of which one living token has this hash.
pub(super) async fn of_token(
    connection: &mut SqliteConnection,
    token: &Fingerprint,
) -> Result<Option<PairedDevice>, StoreError> {
    let found = sqlx::query_scalar("SELECT device_id FROM grants WHERE token_hash = $1 AND revoked_at IS NULL");
    let id: Option<String> =
        found.bind(token.to_hex()).fetch_optional(&mut *connection).await.map_err(StoreError::Query)?;
    let Some(id) = id else { return Ok(None) };
    DEVICES.load(connection, &id).await?.as_ref().map(of).transpose()
}

/// All paired devices, the last approved first.
pub(super) async fn all(connection: &mut SqliteConnection) -> Result<Vec<PairedDevice>, StoreError> {
    let mut devices = DEVICES.all(connection, of).await?;
    // By id before, and this keeps the order of equals.
    devices.sort_by_key(|device| std::cmp::Reverse(device.approved_at));
    Ok(devices)
}

fn of(record: &Record) -> Result<PairedDevice, StoreError> {
    let device = DeviceRow::from_row(&record.head).map_err(StoreError::Query)?;
    let grants = record.parts.iter().map(GrantRow::from_row).collect::<Result<_, _>>();
    read(device, grants.map_err(StoreError::Query)?)
}

/// How many are paired.
pub(super) async fn count(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar("SELECT COUNT(*) FROM devices").fetch_one(connection).await.map_err(StoreError::Query)
}

/// The question of [`count_by_rule`].
pub(super) const COUNT_BY_RULE: &str = "SELECT 1 FROM devices WHERE approved_via = $1 LIMIT $2";

/// How many devices were last approved by this rule, counted to `most` and no further.
pub(super) async fn count_by_rule(
    connection: &mut SqliteConnection,
    rule: &RuleName,
    most: usize,
) -> Result<usize, StoreError> {
    let found = sqlx::query(COUNT_BY_RULE)
        .bind(ApprovedVia::Rule(rule.clone()).to_string())
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(connection);
    Ok(found.await.map_err(StoreError::Query)?.len())
}

/// Writes a device as it is now, in place of what was there.
pub(super) async fn put(connection: &mut SqliteConnection, device: &PairedDevice) -> Result<(), sqlx::Error> {
    let id = device.id().to_string();
    let before = DEVICES.before(connection, &id).await?;
    sqlx::query(
        "INSERT INTO devices
            (device_id, public_key, profile, label, approved_via, created_at, approved_at, last_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (device_id) DO UPDATE SET
            public_key = excluded.public_key, profile = excluded.profile, label = excluded.label,
            approved_via = excluded.approved_via, created_at = excluded.created_at,
            approved_at = excluded.approved_at, last_seen_at = excluded.last_seen_at",
    )
    .bind(&id)
    .bind(device.key.to_string())
    .bind(row::write(&device.profile)?)
    .bind(&device.label)
    .bind(device.approved_via.to_string())
    .bind(device.created_at.0)
    .bind(device.approved_at.0)
    .bind(device.last_seen_at.map(|at| at.0))
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM grants WHERE device_id = $1").bind(&id).execute(&mut *connection).await?;
    for (role, grant) in &device.grants {
        put_grant(connection, &id, *role, grant).await?;
    }
    DEVICES.renew(connection, &id, before).await
}

async fn put_grant(connection: &mut SqliteConnection, id: &str, role: Role, grant: &Grant) -> Result<(), sqlx::Error> {
    let token = grant.token;
    sqlx::query(
        "INSERT INTO grants
            (device_id, role, scopes, created_at, revoked_at,
             token_hash, token_issuer, token_created_at, token_rotated_at, token_last_used_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id)
    .bind(role.as_str())
    .bind(row::write(&grant.scopes)?)
    .bind(grant.created_at.0)
    .bind(grant.revoked_at.map(|at| at.0))
    .bind(token.map(|token| token.fingerprint.to_hex()))
    .bind(token.map(|token| token.issuer.to_text()))
    .bind(token.map(|token| token.created_at.0))
    .bind(token.and_then(|token| token.rotated_at).map(|at| at.0))
    .bind(token.and_then(|token| token.last_used_at).map(|at| at.0))
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets a device and everything granted to it.
pub(super) async fn drop(connection: &mut SqliteConnection, device: &DeviceId) -> Result<(), sqlx::Error> {
    let id = device.to_string();
    let before = DEVICES.before(connection, &id).await?;
    sqlx::query("DELETE FROM grants WHERE device_id = $1").bind(&id).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM devices WHERE device_id = $1").bind(&id).execute(&mut *connection).await?;
    DEVICES.renew(connection, &id, before).await
}

/// Notes when a device was last admitted, if it is still paired.
pub(super) async fn seen(
    connection: &mut SqliteConnection,
    device: &DeviceId,
    role: Role,
    at: UnixMillis,
) -> Result<(), sqlx::Error> {
    let id = device.to_string();
    // One that was altered must not be sealed as if it were ours.
    if !DEVICES.is_whole(connection, &id).await? {
        return Ok(());
    }
    let before = DEVICES.before(connection, &id).await?;
    sqlx::query("UPDATE devices SET last_seen_at = $2 WHERE device_id = $1")
        .bind(&id)
        .bind(at.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE grants SET token_last_used_at = $3 WHERE device_id = $1 AND role = $2 AND token_hash IS NOT NULL",
    )
    .bind(&id)
    .bind(role.as_str())
    .bind(at.0)
    .execute(&mut *connection)
    .await?;
    DEVICES.renew(connection, &id, before).await
}

fn read(device: DeviceRow, grants: Vec<GrantRow>) -> Result<PairedDevice, StoreError> {
    let bad = |column| StoreError::Value { table: "devices", column };
    let key = DevicePublicKey::parse(&device.public_key).map_err(|_| bad("public_key"))?;
    // The id is what connects are looked up by: a row under another device's id would let a stranger in.
    if key.id().to_string() != device.device_id {
        return Err(bad("device_id"));
    }
    Ok(PairedDevice {
        key,
        profile: row::read(&device.profile).ok_or(bad("profile"))?,
        label: device.label,
        grants: grants.into_iter().map(read_grant).collect::<Result<_, _>>()?,
        approved_via: ApprovedVia::parse(&device.approved_via).ok_or(bad("approved_via"))?,
        created_at: UnixMillis(device.created_at),
        approved_at: UnixMillis(device.approved_at),
        last_seen_at: device.last_seen_at.map(UnixMillis),
    })
}

fn read_grant(grant: GrantRow) -> Result<(Role, Grant), StoreError> {
    let bad = |column| StoreError::Value { table: "grants", column };
    let role = Role::parse(&grant.role).ok_or(bad("role"))?;
    let token = match (grant.token_hash, grant.token_created_at) {
        // Of before tokens were bound to the gateway's secret: void, and the device is handed another for that secret.
        (Some(_), Some(_)) if grant.token_issuer.is_none() => None,
        (Some(hash), Some(created_at)) => Some(DeviceToken {
            fingerprint: read_hash(&hash).ok_or(bad("token_hash"))?,
            issuer: grant.token_issuer.as_deref().and_then(Issuer::parse).ok_or(bad("token_issuer"))?,
            created_at: UnixMillis(created_at),
            rotated_at: grant.token_rotated_at.map(UnixMillis),
            last_used_at: grant.token_last_used_at.map(UnixMillis),
        }),
        (None, None) => None,
        _ => return Err(bad("token_created_at")),
    };
    let scopes = row::read(&grant.scopes).ok_or(bad("scopes"))?;
    let (created_at, revoked_at) = (UnixMillis(grant.created_at), grant.revoked_at.map(UnixMillis));
    Ok((role, Grant { scopes, token, created_at, revoked_at }))
}

fn read_hash(text: &str) -> Option<Fingerprint> {
    // A hash and a device id have the same text: 64 lower-case hexadecimal digits.
    Fingerprint::from_hex(text)
}
