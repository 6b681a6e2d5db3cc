//! Whether a store is whole: SQLite's own structures, our tables as we made them, and every record as it was written.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;

use crate::store::audit;
use crate::store::error::StoreError;
use crate::store::head;
use crate::store::migration;
use crate::store::migration::Migrations;
use crate::store::schema;
use crate::store::seal;

/// Everything that is wrong with the store at `path`, which `connection` reads; the first of each kind where more of it
/// would say nothing new. What cannot be read at all is the error.
pub(super) async fn faults(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: Migrations<'_>,
    end: End,
) -> Result<Vec<StoreError>, StoreError> {
    let fault = |error: sqlx::Error| damaged(path, &error);
    let application = pragma(connection, "PRAGMA application_id").await.map_err(fault)?;
    let version = pragma(connection, "PRAGMA user_version").await.map_err(fault)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    refuse_newer(path, version, known)?;
    if application != schema::APPLICATION_ID || version <= 0 {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    // Indexes too, which the quick check passes over: one that lost an entry hides its row.
    let verdict: String =
        sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut *connection).await.map_err(fault)?;
    if verdict != "ok" {
        return Err(corrupt(path, &verdict));
    }
    if tables(connection).await.map_err(fault)? != expected(version, migrations).await? {
        return Err(corrupt(path, "its tables are not those that doorward makes"));
    }
    let strays = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *connection).await.map_err(fault)?;
    if !strays.is_empty() {
        return Err(corrupt(path, "a grant belongs to no device"));
    }
    let mut faults = Vec::new();
    for kind in seal::of_schema(version) {
        faults.extend(kind.check_all(connection).await.map_err(|error| error.at(path))?);
    }
    if version >= schema::CHAINED {
        let head = match end {
            End::Kept => head::read(path)?.ok_or_else(|| StoreError::Headless { path: head::path_of(path) })?,
            End::Own => audit::last(connection).await.map_err(|error| StoreError::Query(error).at(path))?,
        };
        faults.extend(audit::verify(connection, head).await.err());
    }
    Ok(faults.into_iter().map(|fault| fault.at(path)).collect())
}

/// Where the audit log of a store must end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Where the file beside it says.
    Kept,
    /// Where it does: for a copy, which has no such file.
    Own,
}

/// The first of [`faults`], as an error.
pub(super) async fn check(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: Migrations<'_>,
    end: End,
) -> Result<(), StoreError> {
    faults(connection, path, migrations, end).await?.into_iter().next().map_or(Ok(()), Err)
}

/// Every table, index and trigger, with the statement that made it.
async fn tables(connection: &mut SqliteConnection) -> Result<Vec<(String, String, Option<String>)>, sqlx::Error> {
    sqlx::query_as("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetch_all(connection).await
}

/// The same, of a store of this version that nobody touched.
async fn expected(
    version: i64,
    migrations: Migrations<'_>,
) -> Result<Vec<(String, String, Option<String>)>, StoreError> {
    let memory = SqliteConnectOptions::new().in_memory(true).disable_statement_logging();
    let mut fresh = memory.connect().await.map_err(StoreError::Query)?;
    let steps = usize::try_from(version).unwrap_or_default();
    migration::steps(&mut fresh, migrations.get(..steps).unwrap_or(migrations)).await?;
    let tables = tables(&mut fresh).await.map_err(StoreError::Query);
    // It was never anywhere but in memory.
    let _closed = fresh.close().await;
    tables
}

pub(super) async fn pragma(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}

pub(super) fn refuse_newer(path: &Path, found: i64, known: i64) -> Result<(), StoreError> {
    if found > known { Err(StoreError::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

/// SQLite's own complaint: what it says about the content is damage, anything else is the system's refusal.
pub(super) fn damaged(path: &Path, error: &sqlx::Error) -> StoreError {
    match is_damage(error) {
        true => corrupt(path, &error.to_string()),
        false => StoreError::Open { path: path.to_owned(), cause: error.to_string() },
    }
}

/// Whether it is about the content: SQLITE_CORRUPT or SQLITE_NOTADB.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    matches!(result_code(error), Some(11 | 26))
}

/// Whether the disk is full: SQLITE_FULL.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    result_code(error) == Some(13)
}

/// SQLite's result code without its extension (https://sqlite.org/rescode.html).
fn result_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    Some(code.parse::<u32>().ok()? & 0xff)
}

pub(super) fn corrupt(path: &Path, detail: &str) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), detail: detail.to_owned() }
}
