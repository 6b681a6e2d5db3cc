//! Changes on their way to the disk: all of one act or none, with their entries in the audit log, and what they take back
//! kept beside the store before.

use std::sync::Arc;
use std::sync::PoisonError;

use sqlx::SqliteConnection;
use tracing::error;

use crate::base::clock::Moment;
use crate::base::clock::UnixMillis;
use crate::pairing::device::DeviceId;
use crate::pairing::step::Change;
use crate::pairing::step::RequestEnd;
use crate::protocol::scope::Role;
use crate::store::Store;
use crate::store::audit;
use crate::store::audit::Act;
use crate::store::devices;
use crate::store::error::StoreError;
use crate::store::head::Head;
use crate::store::invites;
use crate::store::requests;
use crate::store::revoked;
use crate::store::revoked::Revoked;
use crate::store::transaction;
use crate::store::whole;

impl Store {
    pub(super) async fn write(&self, changes: &[&Change], act: &Act) -> Result<(), StoreError> {
        match self.attempt(changes, act).await {
            Err(StoreError::Write(error)) if whole::is_full(&error) => {
                // Merged, the log gives its room back. What cannot be merged fails again below.
                let merge = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)");
                let _merged = merge.execute(&mut *self.connection.lock().await).await;
                self.attempt(changes, act).await
            }
            done => done,
        }
    }

    async fn attempt(&self, changes: &[&Change], act: &Act) -> Result<(), StoreError> {
        let mut connection = self.connection.lock().await;
        let seen: Vec<_> = self.seen().iter().map(|(key, at)| (*key, *at)).collect();
        transaction::begin(&mut connection).await?;
        let done = self.apply_all(&mut connection, &seen, changes, act).await;
        let (end, lines) = transaction::end(&mut connection, done).await?;
        lines.into_iter().for_each(|line| self.counts.changes.count(line));
        self.ends_with(end);
        let mut waiting = self.seen();
        for (key, at) in &seen {
            if waiting.get(key) == Some(at) {
                waiting.remove(key);
            }
        }
        Ok(())
    }

    /// Writes everything; where the audit log then ends, if it went on, and what its new entries are called.
    async fn apply_all(
        &self,
        connection: &mut SqliteConnection,
        seen: &[((DeviceId, Role), UnixMillis)],
        changes: &[&Change],
        act: &Act,
    ) -> Result<(Option<Head>, Vec<&'static str>), StoreError> {
        let (window, mut end, mut lines) = (self.window(), None, Vec::new());
        // A sight is older than what changes now: it must not be written over it.
        for ((device, role), at) in seen {
            devices::seen(connection, device, *role, *at).await.map_err(StoreError::Write)?;
        }
        self.keep_taken(connection, changes).await?;
        for change in changes {
            let refresh = is_refresh(connection, change).await.map_err(StoreError::Write)?;
            let ended = match change {
                // One that cannot be read ends all the same.
                Change::DropRequest { id, .. } => requests::load(connection, id, &window).await.ok().flatten(),
                _ => None,
            };
            apply(connection, change, &window.moment).await.map_err(StoreError::Write)?;
            if let Some(line) = audit::line::of(change, ended.as_ref()).filter(|_| !refresh) {
                lines.push(line.change);
                end = Some(audit::append(connection, act, line).await.map_err(StoreError::Write)?);
            }
        }
        Ok((end, lines))
    }

    /// Keeps beside the store what `changes` take back and whom they reject, before they do.
    async fn keep_taken(&self, connection: &mut SqliteConnection, changes: &[&Change]) -> Result<(), StoreError> {
        let next = audit::last(connection).await.map_err(StoreError::Write)?.sequence.saturating_add(1);
        let (mut taken, mut rejected) = (Vec::new(), Vec::new());
        for change in changes {
            if let Change::DropRequest { id, end: RequestEnd::Rejected } = change {
                // What cannot be read was shown to nobody.
                let request = requests::load(connection, id, &self.window()).await.ok().flatten();
                rejected.extend(request.map(|request| request.device()));
            }
            // What cannot be read is not what is being taken back: it admits nobody as it is.
            let before = match change {
                Change::PutDevice(device) => devices::load(connection, &device.id()).await.ok().flatten(),
                _ => None,
            };
            taken.extend(revoked::taken_by(change, before.as_ref(), next));
        }
        if taken.is_empty() && rejected.is_empty() {
            return Ok(());
        }
        let last = revoked::last_taken(connection).await.map_err(StoreError::Write)?;
        let path = Arc::clone(&self.path);
        let takes = !taken.is_empty();
        let added = tokio::task::spawn_blocking(move || Revoked::add(&path, last, taken, &rejected)).await;
        added.unwrap_or_else(|ended| Err(StoreError::Thread(ended)))?;
        if takes { revoked::note(connection, next).await.map_err(StoreError::Write) } else { Ok(()) }
    }

    /// Keeps where the audit log ends. The change is durable by now, so a file that cannot be written fails nothing: the
    /// next one that can be tells of this entry too.
    pub(super) fn ends_with(&self, end: Option<Head>) {
        let mut kept = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(fault)) = end.map(|end| kept.write(end)) {
            error!(%fault, file = %kept.path().display(), "the end of the audit log is not kept");
        }
    }
}

/// Whether a request that waits is only seen again. One id has one digest for life, so the audit log has it already; else a
/// client in a loop would fill the disk with it.
async fn is_refresh(connection: &mut SqliteConnection, change: &Change) -> Result<bool, sqlx::Error> {
    match change {
        Change::PutRequest(request) => requests::is_known(connection, &request.id).await,
        _ => Ok(false),
    }
}

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    change: &Change,
    moment: &Moment,
) -> Result<(), sqlx::Error> {
    match change {
        Change::DropDevice(device) => devices::drop(connection, device).await,
        Change::DropInvite { id, .. } => invites::drop(connection, id).await,
        Change::DropRequest { id, .. } => requests::drop(connection, id).await,
        Change::PutDevice(device) => devices::put(connection, device).await,
        Change::PutInvite(invite) => invites::put(connection, invite, moment).await,
        Change::PutRequest(request) => requests::put(connection, request, moment).await,
        Change::Seen { device, role, at } => devices::seen(connection, device, *role, *at).await,
    }
}
