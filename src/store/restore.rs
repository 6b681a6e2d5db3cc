//! A backup in the place of the store: checked, brought to our schema, and without what was taken back since it was made.
//! Made whole beside the store; until it is named, nothing has changed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::SqliteConnection;

use crate::base::clock::Clock;
use crate::base::clock::UnixMillis;
use crate::base::private_file;
use crate::pairing::paired::PairedDevice;
use crate::pairing::request::PendingLife;
use crate::pairing::step::Change;
use crate::pairing::step::InviteEnd;
use crate::pairing::step::RequestEnd;
use crate::protocol::scope::Role;
use crate::store::audit;
use crate::store::audit::Act;
use crate::store::backup;
use crate::store::change;
use crate::store::devices;
use crate::store::error::StoreError;
use crate::store::file;
use crate::store::head;
use crate::store::head::Head;
use crate::store::invites;
use crate::store::migration;
use crate::store::requests;
use crate::store::requests::Window;
use crate::store::revoked;
use crate::store::revoked::Fate;
use crate::store::revoked::Revoked;
use crate::store::schema;
use crate::store::whole::End;

/// What a restore does to who may enter.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restoration {
    /// The last entry of the backup's audit log.
    pub backup_ends: i64,
    /// Devices that are paired afterwards.
    pub paired: Vec<String>,
    /// Of these, those that the store of now does not have; none if it cannot be read.
    pub come_back: Option<Vec<String>>,
    /// Devices of the store of now that the backup does not have; none if it cannot be read.
    pub get_lost: Option<Vec<String>>,
    /// Devices of the backup from which something was taken since: they stay out, or have to be approved anew.
    pub stay_out: Vec<String>,
}

/// A restored store beside the store, still without its name.
struct Staged {
    path: PathBuf,
    end: Head,
    restoration: Restoration,
}

/// What a restore of `from` would do to the store at `path`; nothing is changed.
pub(super) async fn plan(path: &Path, from: &Path, clock: &Clock) -> Result<Restoration, StoreError> {
    let staged = stage(path, from, clock).await?;
    remove(&staged.path).map_err(|cause| failed(&staged.path, &cause))?;
    Ok(staged.restoration)
}

/// Puts `from` in the place of the store at `path`; the store of before is kept among the backups.
pub(super) async fn restore(path: &Path, from: &Path, clock: &Clock) -> Result<Restoration, StoreError> {
    let staged = stage(path, from, clock).await?;
    backup::set_aside(path, clock.now())?;
    // From here to the last line, a start finds a store that its head does not follow from, and is refused.
    private_file::name(&staged.path, path).map_err(|error| failed(path, &error))?;
    head::write_new(path, staged.end)?;
    Ok(staged.restoration)
}

async fn stage(path: &Path, from: &Path, clock: &Clock) -> Result<Staged, StoreError> {
    file::check_backup(from)?;
    file::check(from, schema::MIGRATIONS, End::Own).await?;
    let staged = file::beside(path, ".restored");
    remove(&staged).map_err(|cause| failed(&staged, &cause))?;
    let mut source = file::readable(from).connect().await.map_err(StoreError::Query)?;
    backup::make(&mut source, &staged, schema::MIGRATIONS).await?;
    let _closed = source.close().await;

    let mut connection = file::writable(&staged).connect().await.map_err(StoreError::Query)?;
    migration::steps(&mut connection, schema::MIGRATIONS).await?;
    let made = take_back(&mut connection, path, from, clock).await;
    // Closing the only connection moves the log into the file.
    connection.close().await.map_err(StoreError::Write)?;
    let (end, mut restoration) = made?;
    let (after, now) = (BTreeSet::from_iter(restoration.paired.iter().cloned()), present(path).await);
    let but = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect();
    restoration.come_back = now.as_ref().map(|now| but(&after, now));
    restoration.get_lost = now.as_ref().map(|now| but(now, &after));
    Ok(Staged { path: staged, end, restoration })
}

/// Takes from the copy what was taken back since, every request that waited in it, and its invite.
async fn take_back(
    connection: &mut SqliteConnection,
    path: &Path,
    from: &Path,
    clock: &Clock,
) -> Result<(Head, Restoration), StoreError> {
    let moment = clock.moment();
    let last = last_taken(connection, path).await?;
    let revoked = Revoked::read(path, last)?;
    let backup_ends = audit::last(connection).await.map_err(StoreError::Query)?.sequence;
    // Above every number that was given out: what is taken back from now on must not look as if it had been before.
    let known = head::read(path).ok().flatten().unwrap_or_default().sequence.max(revoked.last());
    let mut restoration = Restoration { backup_ends, ..Restoration::default() };
    let mut changes = Vec::new();
    for device in devices::all(connection).await? {
        let (fate, id) = (revoked.fate(&device, backup_ends), device.id());
        if fate != Fate::Kept {
            restoration.stay_out.push(id.to_string());
        }
        match fate {
            Fate::Kept if device.living_roles().is_empty() => {}
            Fate::Kept => restoration.paired.push(id.to_string()),
            Fate::Removed => changes.push(Change::DropDevice(id)),
            Fate::Revoked(roles) => changes.push(Change::PutDevice(Box::new(without(device, &roles, moment.wall)))),
        }
    }
    // One that was open in the copy may have had its device since.
    for invite in invites::all(connection, &moment).await? {
        changes.push(Change::DropInvite { id: invite.id, end: InviteEnd::Cancelled });
    }
    // They end, however long they would have waited.
    let window = Window { moment: moment.clone(), life: PendingLife::default() };
    for request in requests::all(connection, &window).await? {
        changes.push(Change::DropRequest { id: request.id, end: RequestEnd::Superseded });
    }
    let act = Act::owner("store.restore", moment.wall);
    let name = from.file_name().map(|name| name.to_string_lossy().into_owned());
    let detail = json!({ "backup": name, "through": backup_ends, "devices": restoration.paired.len() });
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Write)?;
    let restored = audit::restored(&mut transaction, &act, detail, known.saturating_add(1)).await;
    let mut end = restored.map_err(StoreError::Write)?;
    for step in &changes {
        change::apply(&mut transaction, step, &moment).await.map_err(StoreError::Write)?;
        if let Some(line) = audit::line::of(step, None) {
            end = audit::append(&mut transaction, &act, line).await.map_err(StoreError::Write)?;
        }
    }
    if let Some(last) = last {
        revoked::note(&mut transaction, last).await.map_err(StoreError::Write)?;
    }
    transaction.commit().await.map_err(StoreError::Write)?;
    Ok((end, restoration))
}

/// The last entry that took something back, as the copy or the store of now says. Where that cannot be read and the file
/// that keeps what was taken back is missing, it may have been any through the last one that was written.
async fn last_taken(copy: &mut SqliteConnection, path: &Path) -> Result<Option<i64>, StoreError> {
    let of_copy = revoked::last_taken(copy).await.map_err(StoreError::Query)?;
    let of_now = match file::readable(path).connect().await {
        Ok(mut connection) => {
            let last = revoked::last_taken(&mut connection).await;
            let _closed = connection.close().await;
            last.ok()
        }
        Err(_) => None,
    };
    let of_now = match of_now {
        Some(last) => last,
        None if Revoked::written(path)?.is_some() => None,
        None => head::read(path).ok().flatten().map(|head| head.sequence),
    };
    Ok(of_copy.max(of_now))
}

fn without(mut device: PairedDevice, roles: &[Role], now: UnixMillis) -> PairedDevice {
    for role in roles {
        if let Some(grant) = device.grants.get_mut(role) {
            (grant.token, grant.revoked_at) = (None, Some(grant.revoked_at.unwrap_or(now)));
        }
    }
    device
}

/// The devices of the store as it stands, if it can be read.
async fn present(path: &Path) -> Option<BTreeSet<String>> {
    file::check(path, schema::MIGRATIONS, End::Kept).await.ok()?;
    let mut connection = file::readable(path).connect().await.ok()?;
    let devices = devices::all(&mut connection).await.ok();
    let _closed = connection.close().await;
    let living = devices?.into_iter().filter(|device| !device.living_roles().is_empty());
    Some(living.map(|device| device.id().to_string()).collect())
}

/// Removes what an earlier attempt left.
fn remove(staged: &Path) -> io::Result<()> {
    for ending in ["", "-wal", "-shm", "-journal", ".new"] {
        match fs::remove_file(file::beside(staged, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn failed(path: &Path, cause: &dyn std::error::Error) -> StoreError {
    StoreError::Restore { path: path.to_owned(), cause: cause.to_string() }
}
