//! From an older schema to ours: a whole, verified copy of the store first, then each step in a transaction of its own.
//!
//! Whatever ends it in between, kill -9 too, leaves the store at one schema or the next, and the next start goes on.

use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::Connection;
use sqlx::SqliteConnection;
use tracing::info;

use crate::store::audit::carry;
use crate::store::backup;
use crate::store::error::StoreError;
use crate::store::schema;
use crate::store::seal;
use crate::store::whole;

/// Statements by the schema that they lead from, as [`schema::MIGRATIONS`].
pub(super) type Migrations<'a> = &'a [&'static [&'static str]];

/// Takes the store at `path` through those of `migrations` that it lacks. A store that holds anything is copied before.
pub(super) async fn run(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: Migrations<'_>,
) -> Result<(), StoreError> {
    let version = whole::pragma(connection, "PRAGMA user_version").await.map_err(StoreError::Query)?;
    if version > 0 && usize::try_from(version).is_ok_and(|version| version < migrations.len()) {
        let kept = backup::before_upgrade(connection, path, migrations).await?;
        info!(file = %kept.display(), "the store is copied, and upgraded now");
    }
    steps(connection, migrations).await
}

/// The same without a copy, for what holds nothing yet.
pub(super) async fn steps(connection: &mut SqliteConnection, migrations: Migrations<'_>) -> Result<(), StoreError> {
    let version = whole::pragma(connection, "PRAGMA user_version").await.map_err(StoreError::Query)?;
    let done = usize::try_from(version).unwrap_or_default();
    for (version, statements) in (version.saturating_add(1)..).zip(migrations.get(done..).unwrap_or_default()) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::Write)?;
        step(&mut transaction, version, statements).await.map_err(StoreError::Write)?;
        if version == schema::CHAINED {
            carry::over(&mut transaction).await.map_err(StoreError::Write)?;
        }
        for kind in seal::of_schema(version) {
            kind.renew_all(&mut transaction).await?;
        }
        transaction.commit().await.map_err(StoreError::Write)?;
    }
    Ok(())
}

async fn step(
    connection: &mut SqliteConnection,
    version: i64,
    statements: &'static [&'static str],
) -> Result<(), sqlx::Error> {
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    // A pragma takes no parameters; the text is a number of ours.
    let version = AssertSqlSafe(format!("PRAGMA user_version = {version}"));
    sqlx::query(version).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
