//! The invite, to and from its row: the open one, or the last one as long as its device may ask again.

use sqlx::FromRow;
use sqlx::SqliteConnection;

use crate::base::clock::Moment;
use crate::base::clock::UnixMillis;
use crate::base::limits::MOMENT_ROUNDING_MS;
use crate::base::secret::Fingerprint;
use crate::pairing::invite::Invite;
use crate::pairing::invite::InviteId;
use crate::pairing::invite::Redeemed;
use crate::store::error::StoreError;
use crate::store::row;
use crate::store::seal::INVITES;
use crate::store::seal::Record;

#[derive(FromRow)]
struct InviteRow {
    invite_id: String,
    secret_hash: String,
    scopes: String,
    made_at: i64,
    life: i64,
    boot: String,
    made_uptime: i64,
    device_id: Option<String>,
    redeemed_at: Option<i64>,
}

/// All invites, the newest first. There is one at most, unless somebody else wrote the file.
pub(super) async fn all(connection: &mut SqliteConnection, moment: &Moment) -> Result<Vec<Invite>, StoreError> {
    let mut invites = INVITES.all(connection, |record| of(record, moment)).await?;
    invites.sort_by_key(|invite| std::cmp::Reverse(invite.made_at));
    Ok(invites)
}

fn of(record: &Record, moment: &Moment) -> Result<Invite, StoreError> {
    read(InviteRow::from_row(&record.head).map_err(StoreError::Query)?, moment)
}

/// Writes an invite as it is now. When it was made, and what it gives, stay as they were first written.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    invite: &Invite,
    moment: &Moment,
) -> Result<(), sqlx::Error> {
    let id = invite.id.to_string();
    let before = INVITES.before(connection, &id).await?;
    sqlx::query(
        "INSERT INTO invites
            (invite_id, secret_hash, scopes, made_at, life, boot, made_uptime, device_id, redeemed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (invite_id) DO UPDATE SET
            device_id = excluded.device_id, redeemed_at = excluded.redeemed_at",
    )
    .bind(&id)
    .bind(invite.secret.to_hex())
    .bind(row::write(&invite.scopes)?)
    .bind(invite.made_at.0)
    .bind(invite.life_ms)
    .bind(moment.boot.as_ref())
    .bind(moment.uptime_at(invite.made_at))
    .bind(invite.redeemed.map(|redeemed| redeemed.device.to_string()))
    .bind(invite.redeemed.map(|redeemed| redeemed.at.0))
    .execute(&mut *connection)
    .await?;
    INVITES.renew(connection, &id, before).await
}

/// Forgets an invite.
pub(super) async fn drop(connection: &mut SqliteConnection, id: &InviteId) -> Result<(), sqlx::Error> {
    let id = id.to_string();
    let before = INVITES.before(connection, &id).await?;
    sqlx::query("DELETE FROM invites WHERE invite_id = $1").bind(&id).execute(&mut *connection).await?;
    INVITES.renew(connection, &id, before).await
}

/// When it was made, told by the wall clock as it stands now, so that no setting of the clock makes its life longer. One of
/// before this machine started is over: nobody can say for how long it was off.
fn made_at(found: &InviteRow, moment: &Moment) -> UnixMillis {
    let written = UnixMillis(found.made_at);
    if *found.boot != *moment.boot {
        return written.min(moment.wall.plus(found.life.saturating_neg()));
    }
    let told = moment.wall_at(found.made_uptime);
    if told.since(written).abs() <= MOMENT_ROUNDING_MS { written } else { told }
}

fn read(found: InviteRow, moment: &Moment) -> Result<Invite, StoreError> {
    let bad = |column| StoreError::Value { table: "invites", column };
    let redeemed = match (&found.device_id, found.redeemed_at) {
        (None, None) => None,
        (Some(device), Some(at)) => {
            Some(Redeemed { device: device.parse().map_err(|_| bad("device_id"))?, at: UnixMillis(at) })
        }
        _ => return Err(bad("redeemed_at")),
    };
    Ok(Invite {
        id: InviteId::parse(&found.invite_id).ok_or(bad("invite_id"))?,
        secret: Fingerprint::from_hex(&found.secret_hash).ok_or(bad("secret_hash"))?,
        scopes: row::read(&found.scopes).ok_or(bad("scopes"))?,
        made_at: made_at(&found, moment),
        life_ms: found.life,
        redeemed,
    })
}
