//! What a record of ours looked like when it was written: SHA-256 over its rows, kept in its first row, and the sum of
//! all those of a table.
//!
//! So a bit that flipped, and a row that was edited, added or removed, is noticed when it is read or at the next start. A
//! seal is no signature: who can write the file and knows this code can seal anew. What that would hide shows in the
//! audit log, whose head is kept elsewhere.

use sha2::Digest;
use sha2::Sha256;
use sqlx::Column;
use sqlx::Decode;
use sqlx::Row;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::TypeInfo;
use sqlx::ValueRef;
use sqlx::sqlite::SqliteRow;

use crate::base::limits::STORE_PAGE_RECORDS;
use crate::base::secret::Fingerprint;
use crate::store::error::StoreError;
use crate::store::schema;

/// The column that holds a record's seal.
const COLUMN: &str = "seal";

/// A table whose rows are sealed, each with the rows of another that belong to it.
#[derive(Debug)]
pub(super) struct Sealed {
    /// The table's name.
    pub(super) table: &'static str,
    /// The first schema that has it sealed.
    since: i64,
    key: &'static str,
    head: &'static str,
    parts: Option<&'static str>,
    heads: &'static str,
    parts_between: Option<&'static str>,
    find: &'static str,
    write: &'static str,
}

/// Paired devices with their grants.
pub(super) const DEVICES: Sealed = Sealed {
    table: "devices",
    since: schema::SEALED,
    key: "device_id",
    head: "SELECT * FROM devices WHERE device_id = $1",
    parts: Some("SELECT * FROM grants WHERE device_id = $1 ORDER BY role"),
    heads: "SELECT * FROM devices WHERE device_id > $1 ORDER BY device_id LIMIT $2",
    parts_between: Some("SELECT * FROM grants WHERE device_id > $1 AND device_id <= $2 ORDER BY device_id, role"),
    find: "SELECT seal FROM devices WHERE device_id = $1",
    write: "UPDATE devices SET seal = $2 WHERE device_id = $1",
};

/// Requests that wait.
pub(super) const REQUESTS: Sealed = Sealed {
    table: "requests",
    since: schema::SEALED,
    key: "request_id",
    head: "SELECT * FROM requests WHERE request_id = $1",
    parts: None,
    heads: "SELECT * FROM requests WHERE request_id > $1 ORDER BY request_id LIMIT $2",
    parts_between: None,
    find: "SELECT seal FROM requests WHERE request_id = $1",
    write: "UPDATE requests SET seal = $2 WHERE request_id = $1",
};

/// The invite.
pub(super) const INVITES: Sealed = Sealed {
    table: "invites",
    since: schema::INVITED,
    key: "invite_id",
    head: "SELECT * FROM invites WHERE invite_id = $1",
    parts: None,
    heads: "SELECT * FROM invites WHERE invite_id > $1 ORDER BY invite_id LIMIT $2",
    parts_between: None,
    find: "SELECT seal FROM invites WHERE invite_id = $1",
    write: "UPDATE invites SET seal = $2 WHERE invite_id = $1",
};

/// All that a store of this schema has.
pub(super) fn of_schema(version: i64) -> impl Iterator<Item = &'static Sealed> {
    [&DEVICES, &INVITES, &REQUESTS].into_iter().filter(move |kind| kind.since <= version)
}

/// One record: its row, and those of the other table that belong to it.
pub(super) struct Record {
    pub(super) head: SqliteRow,
    pub(super) parts: Vec<SqliteRow>,
}

impl Sealed {
    /// The record under `id` as it stands, whole or not.
    async fn find(&self, connection: &mut SqliteConnection, id: &str) -> Result<Option<Record>, sqlx::Error> {
        let query = sqlx::query(self.head).bind(id).persistent(true);
        let Some(head) = query.fetch_optional(&mut *connection).await? else { return Ok(None) };
        let parts = match self.parts {
            Some(parts) => sqlx::query(parts).bind(id).fetch_all(connection).await?,
            None => Vec::new(),
        };
        Ok(Some(Record { head, parts }))
    }

    /// The record under `id`, if there is one; an error unless it is what was written.
    pub(super) async fn load(&self, connection: &mut SqliteConnection, id: &str) -> Result<Option<Record>, StoreError> {
        let found = self.find(connection, id).await.map_err(StoreError::Query)?;
        found.map(|record| self.checked(record, id)).transpose()
    }

    /// Some records that follow `after` in the order of their ids, each with its id; unchecked.
    pub(super) async fn page(
        &self,
        connection: &mut SqliteConnection,
        after: &str,
    ) -> Result<Vec<(String, Record)>, StoreError> {
        let heads = sqlx::query(self.heads).bind(after).bind(STORE_PAGE_RECORDS).persistent(false);
        let heads = heads.fetch_all(&mut *connection).await.map_err(StoreError::Query)?;
        let mut page = Vec::new();
        for head in heads {
            let id: String = head.try_get(self.key).map_err(|_| self.altered("with no readable id"))?;
            page.push((id, Record { head, parts: Vec::new() }));
        }
        let (Some(parts), Some((last, _))) = (self.parts_between, page.last()) else { return Ok(page) };
        let parts = sqlx::query(parts).bind(after).bind(last.clone()).persistent(false);
        let parts = parts.fetch_all(connection).await.map_err(StoreError::Query)?;
        let mut records = page.iter_mut().peekable();
        for part in parts {
            let id: String = part.try_get(self.key).map_err(|_| self.altered("with no readable id"))?;
            while records.next_if(|(next, _)| *next < id).is_some() {}
            match records.peek_mut() {
                Some((owner, record)) if *owner == id => record.parts.push(part),
                // It belongs to no record: a check of foreign keys tells it.
                _ => {}
            }
        }
        Ok(page)
    }

    /// All records in the order of their ids, as far as `keep` can read them; an error if one is not what was written.
    pub(super) async fn all<T>(
        &self,
        connection: &mut SqliteConnection,
        keep: impl Fn(&Record) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let (mut kept, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.page(connection, &after).await?;
            let Some((last, _)) = page.last() else { return Ok(kept) };
            after.clone_from(last);
            for (id, record) in page {
                kept.push(keep(&self.checked(record, &id)?)?);
            }
        }
    }

    /// `record`, if it is what was written.
    pub(super) fn checked(&self, record: Record, id: &str) -> Result<Record, StoreError> {
        let kept: Option<String> = record.head.try_get(COLUMN).ok();
        let is_whole = record.seal().is_ok_and(|seal| kept == Some(seal.to_hex()));
        if is_whole { Ok(record) } else { Err(self.altered(id)) }
    }

    /// Whether the record under `id` is there, and what was written.
    pub(super) async fn is_whole(&self, connection: &mut SqliteConnection, id: &str) -> Result<bool, sqlx::Error> {
        let found = self.find(connection, id).await?;
        Ok(found.is_some_and(|record| self.checked(record, id).is_ok()))
    }

    /// The seal under `id`, before the record is changed.
    pub(super) async fn before(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
    ) -> Result<Option<Fingerprint>, sqlx::Error> {
        let found: Option<String> = sqlx::query_scalar(self.find).bind(id).fetch_optional(connection).await?;
        Ok(found.as_deref().and_then(Fingerprint::from_hex))
    }

    /// Seals the record under `id` as it stands now, if it is still there, where [`Sealed::before`] found `before`.
    pub(super) async fn renew(
        &self,
        connection: &mut SqliteConnection,
        id: &str,
        before: Option<Fingerprint>,
    ) -> Result<(), sqlx::Error> {
        let seal = match self.find(connection, id).await? {
            Some(record) => Some(record.seal()?),
            None => None,
        };
        if let Some(seal) = seal {
            sqlx::query(self.write).bind(id).bind(seal.to_hex()).execute(&mut *connection).await?;
        }
        let mut total = Total::read(connection, self.table).await?.unwrap_or_default();
        before.iter().for_each(|seal| total.take(seal));
        seal.iter().for_each(|seal| total.add(seal));
        total.write(connection, self.table).await
    }

    /// Seals every record as it stands. For an upgrade, which has read them all before.
    pub(super) async fn renew_all(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let (mut total, mut after) = (Total::default(), String::new());
        loop {
            let page = self.page(connection, &after).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (id, record) in page {
                let seal = record.seal().map_err(StoreError::Write)?;
                let write = sqlx::query(self.write).bind(id).bind(seal.to_hex()).persistent(false);
                write.execute(&mut *connection).await.map_err(StoreError::Write)?;
                total.add(&seal);
            }
        }
        total.write(connection, self.table).await.map_err(StoreError::Write)
    }

    /// Every record that is not what was written, and whether one is missing or too many.
    pub(super) async fn check_all(&self, connection: &mut SqliteConnection) -> Result<Vec<StoreError>, StoreError> {
        let (mut faults, mut total, mut after) = (Vec::new(), Total::default(), String::new());
        loop {
            let page = self.page(connection, &after).await?;
            let Some((last, _)) = page.last() else { break };
            after.clone_from(last);
            for (id, record) in page {
                match (record.seal(), self.checked(record, &id)) {
                    (Ok(seal), Ok(_)) => total.add(&seal),
                    _ => faults.push(self.altered(&id)),
                }
            }
        }
        let kept = Total::read(connection, self.table).await.map_err(StoreError::Query)?;
        if faults.is_empty() && kept.as_ref() != Some(&total) {
            faults.push(self.altered("a row is missing, or one too many"));
        }
        Ok(faults)
    }

    fn altered(&self, row: &str) -> StoreError {
        StoreError::Altered { path: Default::default(), table: self.table, row: row.to_owned() }
    }
}

#[cfg(test)]
impl Sealed {
    /// What is asked of the database about one record.
    pub(super) fn questions(&self) -> Vec<&'static str> {
        [self.head, self.find, self.write].into_iter().chain(self.parts).collect()
    }
}

impl Record {
    /// SHA-256 over every column but the seal itself, by name, so that a column that is new is sealed too.
    fn seal(&self) -> Result<Fingerprint, sqlx::Error> {
        let mut hash = Sha256::new();
        for row in std::iter::once(&self.head).chain(&self.parts) {
            absorb(&mut hash, row)?;
        }
        Ok(Fingerprint::from_bytes(hash.finalize().into()))
    }
}

fn absorb(hash: &mut Sha256, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let mut columns: Vec<_> = row.columns().iter().filter(|column| column.name() != COLUMN).collect();
    columns.sort_by_key(|column| column.name());
    hash.update(length(columns.len()));
    for column in columns {
        hash.update(length(column.name().len()));
        hash.update(column.name());
        let value = row.try_get_raw(column.ordinal())?;
        if value.is_null() {
            hash.update(b"0");
            continue;
        }
        let kind = value.type_info().name().to_owned();
        hash.update(length(kind.len()));
        hash.update(&kind);
        if kind == "INTEGER" {
            let number = <i64 as Decode<'_, Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?;
            hash.update(number.to_be_bytes());
        } else {
            // As bytes: text that is none must not stop the check that finds it.
            let bytes = <&[u8] as Decode<'_, Sqlite>>::decode(value).map_err(sqlx::Error::Decode)?;
            hash.update(length(bytes.len()));
            hash.update(bytes);
        }
    }
    Ok(())
}

fn length(length: usize) -> [u8; 8] {
    u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes()
}

/// How many records a table has, and all their seals as one.
#[derive(Debug, Default, Eq, PartialEq)]
struct Total {
    number: i64,
    sum: [u8; 32],
}

impl Total {
    async fn read(connection: &mut SqliteConnection, table: &str) -> Result<Option<Self>, sqlx::Error> {
        let query = sqlx::query_as("SELECT number, total FROM seals WHERE name = $1").bind(table);
        let found: Option<(i64, String)> = query.fetch_optional(connection).await?;
        let read = |(number, sum): (i64, String)| Some(Self { number, sum: *Fingerprint::from_hex(&sum)?.as_bytes() });
        Ok(found.and_then(read))
    }

    async fn write(&self, connection: &mut SqliteConnection, table: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO seals (name, number, total) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET number = excluded.number, total = excluded.total",
        )
        .bind(table)
        .bind(self.number)
        .bind(Fingerprint::from_bytes(self.sum).to_hex())
        .execute(connection)
        .await?;
        Ok(())
    }

    fn add(&mut self, seal: &Fingerprint) {
        self.number = self.number.saturating_add(1);
        self.mix(seal);
    }

    fn take(&mut self, seal: &Fingerprint) {
        self.number = self.number.saturating_sub(1);
        self.mix(seal);
    }

    /// Adding and taking are the same: each record is in it once, and no two have one seal.
    fn mix(&mut self, seal: &Fingerprint) {
        self.sum.iter_mut().zip(seal.as_bytes()).for_each(|(sum, byte)| *sum ^= byte);
    }
}
