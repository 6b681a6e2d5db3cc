//! What must survive: devices, requests, audit and keys, durable before they are acknowledged.
//!
//! One SQLite file with one writer. A change is a transaction of its own that is on the disk when
//! [`Store::commit`] returns; one that fails leaves everything as it was.

mod audit;
mod backup;
mod change;
mod counts;
mod devices;
mod error;
mod file;
mod footing;
mod head;
mod invites;
pub mod keys;
mod migration;
mod requests;
mod restore;
mod revoked;
mod row;
mod schema;
mod seal;
mod transaction;
mod whole;

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde_json::Value;
use sqlx::SqliteConnection;

use crate::base::clock::Clock;
use crate::base::clock::UnixMillis;
use crate::base::limits::AUDIT_ENTRIES_DROPPED;
use crate::base::limits::AUDIT_ENTRIES_MAX;
use crate::base::limits::RULE_DEVICES_MAX;
use crate::base::secret::Fingerprint;
use crate::pairing::device::DeviceId;
use crate::pairing::invite::Invite;
use crate::pairing::paired::PairedDevice;
use crate::pairing::queue::Queue;
use crate::pairing::request::PendingLife;
use crate::pairing::request::PendingRequest;
use crate::pairing::request::RequestId;
use crate::pairing::rule::RuleName;
use crate::pairing::step::Change;
use crate::pairing::step::Known;
use crate::pairing::step::Past;
use crate::pairing::step::Room;
use crate::protocol::scope::Role;
use crate::store::counts::Counts;
use crate::store::head::HeadFile;
use crate::store::requests::Window;
use crate::store::revoked::Revoked;
use crate::store::whole::End;

pub use audit::Act;
pub use audit::Filter;
pub use audit::Line;
pub use error::StoreError;
pub use restore::Restoration;

/// The store's file under the state folder.
pub const FILE_NAME: &str = "doorward.sqlite";

/// The store: cheap to clone, one connection behind it. SQLite works on a thread of its own, never on an event loop.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<Path>,
    clock: Clock,
    pending_life: PendingLife,
    connection: Arc<tokio::sync::Mutex<SqliteConnection>>,
    head: Arc<Mutex<HeadFile>>,
    /// Sights of devices that are written with the next change, or by [`Store::flush`].
    seen: Arc<Mutex<HashMap<(DeviceId, Role), UnixMillis>>>,
    counts: Arc<Counts>,
}

impl Store {
    /// Opens the store at `path`, or makes it if there is none. What is there and cannot be read stays untouched.
    ///
    /// # Errors
    /// [`StoreError`] names the file; its hint says what to do.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let (connection, head) = file::open(path).await?;
        let (connection, head) = (Arc::new(tokio::sync::Mutex::new(connection)), Arc::new(Mutex::new(head)));
        let (clock, pending_life) = (Clock::system(), PendingLife::default());
        let (seen, counts) = (Arc::default(), Arc::default());
        Ok(Self { path: path.into(), clock, pending_life, connection, head, seen, counts })
    }

    /// The same store, which tells the time by `clock`.
    #[must_use]
    pub fn by(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same store, in which requests wait for `pending_life`.
    #[must_use]
    pub fn with_pending_life(self, pending_life: PendingLife) -> Self {
        Self { pending_life, ..self }
    }

    /// For how long a request waits.
    pub fn pending_life(&self) -> PendingLife {
        self.pending_life
    }

    /// Says what [`Store::open`] would refuse of the store at `path`, and writes nothing.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn judge(path: &Path) -> Result<(), StoreError> {
        file::judge(path).await
    }

    /// What is known of `device`, to whoever may have it wait.
    ///
    /// # Errors
    /// [`StoreError`]; never an empty answer in its place.
    pub async fn known(&self, device: &DeviceId, now: UnixMillis) -> Result<Known, StoreError> {
        let mut connection = self.connection.lock().await;
        let window = self.window();
        let found = async {
            Ok(Known {
                device: devices::load(&mut connection, device).await?,
                life: self.pending_life,
                requests: requests::of_device(&mut connection, device, &window).await?,
                waiting: requests::waiting(&mut connection, now, &window).await?,
                cooling: None,
                settling: Vec::new(),
                past: Past::Blank,
                room: Room::Left,
            })
        };
        self.read(found.await)
    }

    /// What people did about `device` before; the latest of them are remembered, whatever became of the store since.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn past(&self, device: &DeviceId) -> Result<Past, StoreError> {
        let last =
            self.read(revoked::last_taken(&mut *self.connection.lock().await).await.map_err(StoreError::Query))?;
        let (path, device) = (Arc::clone(&self.path), *device);
        let asked = tokio::task::spawn_blocking(move || {
            let revoked = Revoked::read(&path, last)?;
            Ok(match () {
                () if revoked.has_removed(&device) => Past::Removed,
                () if revoked.has_rejected(&device) => Past::Rejected,
                () => Past::Blank,
            })
        });
        self.read(asked.await.unwrap_or_else(|ended| Err(StoreError::Thread(ended))))
    }

    /// Whether fewer devices are paired by the rule of this name than one rule may approve.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn room_under(&self, rule: &RuleName) -> Result<Room, StoreError> {
        let mut connection = self.connection.lock().await;
        let count = self.read(devices::count_by_rule(&mut connection, rule, RULE_DEVICES_MAX).await)?;
        Ok(if count < RULE_DEVICES_MAX { Room::Left } else { Room::Full })
    }

    /// What is known of `device`, to whoever decides about it.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn known_device(&self, device: &DeviceId) -> Result<Known, StoreError> {
        let mut connection = self.connection.lock().await;
        let window = self.window();
        let found = async {
            Ok(Known {
                device: devices::load(&mut connection, device).await?,
                life: self.pending_life,
                requests: requests::of_device(&mut connection, device, &window).await?,
                waiting: Queue::default(),
                cooling: None,
                settling: Vec::new(),
                past: Past::Blank,
                room: Room::Left,
            })
        };
        self.read(found.await)
    }

    /// The invite: the open one, or the last one.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn invite(&self) -> Result<Option<Invite>, StoreError> {
        let found = invites::all(&mut *self.connection.lock().await, &self.clock.moment()).await;
        Ok(self.read(found)?.into_iter().next())
    }

    /// The request of this id, expired or not.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn request(&self, id: &RequestId) -> Result<Option<PendingRequest>, StoreError> {
        let found = requests::load(&mut *self.connection.lock().await, id, &self.window()).await;
        self.read(found)
    }

    /// All requests, the newest first, expired ones too.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn requests(&self) -> Result<Vec<PendingRequest>, StoreError> {
        let found = requests::all(&mut *self.connection.lock().await, &self.window()).await;
        self.read(found)
    }

    /// All paired devices, the last approved first.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn devices(&self) -> Result<Vec<PairedDevice>, StoreError> {
        let found = devices::all(&mut *self.connection.lock().await).await;
        let mut devices = self.read(found)?;
        let seen = self.seen();
        for device in &mut devices {
            let sights = device.grants.keys().filter_map(|role| seen.get(&(device.id(), *role)).copied());
            device.last_seen_at = sights.chain(device.last_seen_at).max();
        }
        Ok(devices)
    }

    /// The device of which one token has this hash, unless that was taken back.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn device_of_token(&self, token: &Fingerprint) -> Result<Option<PairedDevice>, StoreError> {
        self.read(devices::of_token(&mut *self.connection.lock().await, token).await)
    }

    /// How many devices are paired. The cheapest question that the store answers only if it works.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn devices_count(&self) -> Result<usize, StoreError> {
        let count = self.read(devices::count(&mut *self.connection.lock().await).await)?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Makes `changes` durable, all or none, with their rows in the audit log. A sight of a device alone waits for
    /// the next change or [`Store::flush`]: losing it to a crash lets nobody in and locks nobody out.
    ///
    /// # Errors
    /// [`StoreError::Write`]; then nothing was changed.
    pub async fn commit(&self, changes: &[Change], act: &Act) -> Result<(), StoreError> {
        let mut lasting = Vec::new();
        for change in changes {
            match change {
                Change::Seen { device, role, at } => drop(self.seen().insert((*device, *role), *at)),
                _ => lasting.push(change),
            }
        }
        if lasting.is_empty() { Ok(()) } else { self.wrote(self.write(&lasting, act).await) }
    }

    /// Writes the sights that wait, and drops the oldest entries of an audit log that has become too long.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn flush(&self, act: &Act) -> Result<(), StoreError> {
        if !self.seen().is_empty() {
            self.wrote(self.write(&[], act).await)?;
        }
        let mut connection = self.connection.lock().await;
        self.wrote(transaction::begin(&mut connection).await)?;
        let done = audit::shorten(&mut connection, AUDIT_ENTRIES_MAX, AUDIT_ENTRIES_DROPPED, act.at).await;
        let end = transaction::end(&mut connection, done.map_err(StoreError::Write)).await;
        self.ends_with(self.wrote(end)?);
        Ok(())
    }

    /// Copies the store, whole and verified, to `to`, or under a name that says when among its backups; where it is.
    ///
    /// # Errors
    /// [`StoreError::Backup`]; then there is no copy.
    pub async fn backup(&self, to: Option<&Path>) -> Result<PathBuf, StoreError> {
        let to = match to {
            Some(to) => to.to_owned(),
            None => backup::fresh_name(&self.path, self.clock.now())?,
        };
        backup::make(&mut *self.connection.lock().await, &to, schema::MIGRATIONS).await?;
        Ok(to)
    }

    /// Everything that is wrong with the store now.
    pub async fn faults(&self) -> Vec<StoreError> {
        let mut connection = self.connection.lock().await;
        whole::faults(&mut connection, &self.path, schema::MIGRATIONS, End::Kept)
            .await
            .unwrap_or_else(|fault| vec![fault])
    }

    /// Everything that is wrong with the store at `path`, on which no instance runs; nothing is changed.
    pub async fn faults_of(path: &Path) -> Vec<StoreError> {
        file::faults(path).await.unwrap_or_else(|fault| vec![fault])
    }

    /// Whether there is no store at `path`, and never was.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn is_absent(path: &Path) -> Result<bool, StoreError> {
        file::is_absent(path)
    }

    /// What [`Store::restore`] would do; nothing is changed.
    ///
    /// # Errors
    /// As [`Store::restore`].
    pub async fn plan_restore(path: &Path, from: &Path, clock: &Clock) -> Result<Restoration, StoreError> {
        restore::plan(path, from, clock).await
    }

    /// Puts the backup `from` in the place of the store at `path`, on which no instance may run, without what was taken
    /// back since it was made.
    ///
    /// # Errors
    /// [`StoreError`]; a backup that is not whole is refused, and then nothing was changed.
    pub async fn restore(path: &Path, from: &Path, clock: &Clock) -> Result<Restoration, StoreError> {
        restore::restore(path, from, clock).await
    }

    /// Writes into the audit log what is no change of the store itself.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub async fn record(&self, act: &Act, line: Line) -> Result<(), StoreError> {
        let mut connection = self.connection.lock().await;
        self.wrote(transaction::begin(&mut connection).await)?;
        let change = line.change;
        let done = audit::append(&mut connection, act, line).await.map_err(StoreError::Write);
        let end = self.wrote(transaction::end(&mut connection, done).await)?;
        self.counts.changes.count(change);
        self.ends_with(Some(end));
        Ok(())
    }

    /// The latest entries of the audit log that pass `filter`, the oldest first.
    ///
    /// # Errors
    /// As [`Store::known`].
    pub async fn audit(&self, filter: &Filter) -> Result<Vec<Value>, StoreError> {
        let found = audit::find(&mut *self.connection.lock().await, filter).await;
        self.read(found)
    }

    /// Looks whether the audit log is whole to its end; how many entries it has.
    ///
    /// # Errors
    /// [`StoreError::Altered`] and [`StoreError::Behind`] tell what is not.
    pub async fn verify_audit(&self) -> Result<i64, StoreError> {
        let mut connection = self.connection.lock().await;
        let headless = || StoreError::Headless { path: head::path_of(&self.path) };
        let head = self.read(head::read(&self.path).and_then(|head| head.ok_or_else(headless)))?;
        self.read(audit::verify(&mut connection, head).await)
    }

    /// By what a request is told how long it still waits.
    fn window(&self) -> Window {
        Window { moment: self.clock.moment(), life: self.pending_life }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<(DeviceId, Role), UnixMillis>> {
        // Nothing that holds this lock can panic halfway.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
