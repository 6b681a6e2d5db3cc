//! Transactions of the one connection that lives as long as the store.
//!
//! SQLite ends one by itself when the disk is full or fails, but not always: so each begins and ends by plain statements
//! that hold either way. sqlx's own count of open transactions would be wrong from the first such fault on, and nothing
//! could be written until a restart.

use sqlx::SqliteConnection;

use crate::store::error::StoreError;

/// Begins one. What an abandoned caller left open is undone.
pub(super) async fn begin(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    if run(connection, "BEGIN IMMEDIATE").await.is_ok() {
        return Ok(());
    }
    undo(connection).await;
    run(connection, "BEGIN IMMEDIATE").await.map_err(StoreError::Write)
}

/// Makes what was `done` durable, or undoes all of it.
pub(super) async fn end<T>(connection: &mut SqliteConnection, done: Result<T, StoreError>) -> Result<T, StoreError> {
    let ended = match done {
        Ok(value) => run(connection, "COMMIT").await.map(|()| value).map_err(StoreError::Write),
        Err(fault) => Err(fault),
    };
    if ended.is_err() {
        undo(connection).await;
    }
    ended
}

/// There may be nothing to undo any more, and then this fails.
async fn undo(connection: &mut SqliteConnection) {
    let _ended = run(connection, "ROLLBACK").await;
}

async fn run(connection: &mut SqliteConnection, statement: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(statement).execute(connection).await.map(drop)
}
