//! From an older schema to ours: a whole, verified copy of the store first, then each step in a transaction of its own.
//!
//! Whatever ends it in between, kill -9 too, leaves the store at one schema or the next, and the next start goes on.

use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::SqliteConnection;
use tracing::info;

use crate::store::backup;
use crate::store::error::StoreError;
use crate::store::file;

/// Takes the store at `path` through those of `migrations` that it lacks. A store that holds anything is copied before.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: &[&'static [&'static str]],
) -> Result<(), StoreError> {
    let version = file::pragma(connection, "PRAGMA user_version").await.map_err(StoreError::Query)?;
    let done = usize::try_from(version).unwrap_or_default();
    let missing = migrations.get(done..).unwrap_or_default();
    if done > 0 && !missing.is_empty() {
        let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
        let kept = backup::before_upgrade(connection, path, newest).await?;
        info!(file = %kept.display(), "the store is copied, and upgraded now");
    }
    for (schema, statements) in (done + 1..).zip(missing) {
        step(connection, schema, statements).await.map_err(StoreError::Write)?;
    }
    Ok(())
}

async fn step(
    connection: &mut SqliteConnection,
    schema: usize,
    statements: &[&'static str],
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    for statement in statements {
        sqlx::query(*statement).execute(&mut *transaction).await?;
    }
    // A pragma takes no parameters; the text is a number of ours.
    let version = AssertSqlSafe(format!("PRAGMA user_version = {schema}"));
    sqlx::query(version).execute(&mut *transaction).await?;
    transaction.commit().await
}

#[cfg(test)]
mod tests;
