//! What the store did since the start, and how often it could not.

use std::collections::BTreeMap;

use crate::store::Store;
use crate::store::error::StoreError;
use crate::telemetry::words::Words;

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) changes: Words,
    errors: Words,
}

impl Store {
    /// How often each kind of entry was written into the audit log since the start.
    pub fn changes(&self) -> BTreeMap<&'static str, u64> {
        self.counts.changes.read()
    }

    /// How often it could not `read` or `write` since the start.
    pub fn errors(&self) -> BTreeMap<&'static str, u64> {
        self.counts.errors.read()
    }

    /// What was `found`; a fault says where, and is counted.
    pub(super) fn read<T>(&self, found: Result<T, StoreError>) -> Result<T, StoreError> {
        found.map_err(|fault| fault.at(&self.path)).inspect_err(|_| self.counts.errors.count("read"))
    }

    /// What was `done`; a fault is counted.
    pub(super) fn wrote<T>(&self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        done.inspect_err(|_| self.counts.errors.count("write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::UnixMillis;
    use crate::store::{Act, FILE_NAME, Line};

    #[tokio::test]
    async fn what_is_written_is_counted_by_its_entry_and_what_fails_by_its_kind() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join(FILE_NAME)).await.unwrap();
        let act = Act::owner("token.rotate", UnixMillis(1));
        store.record(&act, Line { change: "token.rotate", ..Line::default() }).await.unwrap();
        assert_eq!(store.clone().changes(), BTreeMap::from([("token.rotate", 1)]));
        assert_eq!(store.errors(), BTreeMap::new());
        sqlx::query("DROP TABLE audit_log").execute(&mut *store.connection.lock().await).await.unwrap();
        assert!(store.record(&act, Line { change: "token.rotate", ..Line::default() }).await.is_err());
        assert!(store.verify_audit().await.is_err());
        assert_eq!(store.changes(), BTreeMap::from([("token.rotate", 1)]), "not done, so not counted");
        assert_eq!(store.errors(), BTreeMap::from([("read", 1), ("write", 1)]));
    }

    #[tokio::test]
    async fn every_question_that_has_no_answer_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join(FILE_NAME)).await.unwrap();
        let device = "0".repeat(64).parse().unwrap();
        for table in ["invites", "devices"] {
            let drop = format!("ALTER TABLE {table} RENAME TO {table}_gone");
            sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut *store.connection.lock().await).await.unwrap();
        }
        assert!(store.invite().await.is_err());
        assert!(store.footings(&[device]).await.is_err());
        let revoked = folder.path().join("doorward.revoked");
        std::fs::remove_file(&revoked).unwrap();
        std::fs::create_dir(revoked).unwrap();
        assert!(store.past(&device).await.is_err());
        assert!(store.footings(&[]).await.is_err());
        assert_eq!(store.errors(), BTreeMap::from([("read", 4)]));
    }
}
