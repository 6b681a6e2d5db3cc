//! The SQLite database of 2026.9: `state/openclaw.sqlite`, its tables of paired and of waiting devices.

use std::path::Path;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use sqlx::ConnectOptions;
use sqlx::Connection;
use sqlx::FromRow;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteConnectOptions;

use crate::base::limits::IMPORT_DEVICES_MAX;
use crate::base::limits::LABEL_CHARS_MAX;
use crate::base::printable::printable;
use crate::import::Devices;
use crate::import::ImportError;
use crate::import::Release;
use crate::import::Unfit;
use crate::import::device;
use crate::import::device::Row;
use crate::import::files::Folder;
use crate::import::issuer::OldSecret;
use crate::import::snapshot::Snapshot;

#[derive(FromRow)]
struct Paired {
    device_id: String,
    public_key: String,
    display_name: Option<String>,
    operator_label: Option<String>,
    platform: Option<String>,
    device_family: Option<String>,
    client_id: Option<String>,
    client_mode: Option<String>,
    role: Option<String>,
    roles_json: Option<String>,
    scopes_json: Option<String>,
    approved_scopes_json: Option<String>,
    remote_ip: Option<String>,
    tokens_json: Option<String>,
    approved_via: Option<String>,
    created_at_ms: i64,
}

/// The database of a state folder, if it has one.
pub(super) fn find(folder: &Folder) -> Result<Option<PathBuf>, ImportError> {
    let found = folder.file("state", "openclaw.sqlite")?;
    // What stands in its log counts as much.
    folder.file("state", "openclaw.sqlite-wal")?;
    Ok(found.map(|(path, _)| path))
}

/// The devices of the database at `path`, which is copied to `room` meanwhile.
pub(super) async fn read(path: &Path, secret: &OldSecret, room: &Path) -> Result<Devices, ImportError> {
    let copy = Snapshot::of(path, room)?;
    let failed = |cause| ImportError::Database { path: path.to_path_buf(), cause };
    let options = SqliteConnectOptions::new().filename(copy.path()).create_if_missing(false);
    let options = options.pragma("trusted_schema", "OFF").pragma("cell_size_check", "ON").pragma("query_only", "ON");
    let options = options.disable_statement_logging();
    let mut connection = options.connect().await.map_err(failed)?;
    let opened = sqlx::query("SELECT COUNT(*) FROM sqlite_schema").execute(&mut connection).await;
    // SQLite has them all open by now: whatever ends us from here on leaves none of them.
    drop(copy);
    opened.map_err(failed)?;
    let read = rows(&mut connection, path).await;
    let _closed = connection.close().await;
    let (rows, waiting) = read?;
    let mut devices = Devices { release: Release::September, arrivals: Vec::new(), unfit: Vec::new(), waiting };
    for row in rows {
        let name = row.device_id.clone();
        match row.row().and_then(|row| device::judge(&name, &row, Release::September, secret)) {
            Ok(arrival) => devices.arrivals.push(arrival),
            Err(unfit) => devices.unfit.push(unfit),
        }
    }
    Ok(devices)
}

async fn rows(connection: &mut SqliteConnection, path: &Path) -> Result<(Vec<Paired>, usize), ImportError> {
    let failed = |cause| ImportError::Database { path: path.to_path_buf(), cause };
    // A view or a virtual table of that name would run what somebody else wrote. The name counts that the statement says.
    let tables: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'
         AND replace(replace(substr(sql, 13), ' ', ''), '\"', '') LIKE name || '(%'
         AND name IN ('device_pairing_paired', 'device_pairing_pending')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let columns: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM pragma_table_info('device_pairing_paired') WHERE name IN
         ('device_id', 'public_key', 'display_name', 'operator_label', 'platform', 'device_family', 'client_id',
          'client_mode', 'role', 'roles_json', 'scopes_json', 'approved_scopes_json', 'remote_ip', 'tokens_json',
          'approved_via', 'created_at_ms')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    if (tables, columns) != (2, 16) {
        return Err(ImportError::UnknownSchema(path.to_path_buf()));
    }
    let most = i64::try_from(IMPORT_DEVICES_MAX).unwrap_or(i64::MAX);
    let rows: Vec<Paired> = sqlx::query_as(
        "SELECT device_id, public_key, display_name, operator_label, platform, device_family, client_id, client_mode,
            role, roles_json, scopes_json, approved_scopes_json, remote_ip, tokens_json, approved_via, created_at_ms
         FROM device_pairing_paired ORDER BY device_id LIMIT $1",
    )
    .bind(most.saturating_add(1))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    if rows.len() > IMPORT_DEVICES_MAX {
        return Err(ImportError::TooMany(path.to_path_buf()));
    }
    let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM device_pairing_pending")
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    Ok((rows, usize::try_from(waiting).unwrap_or_default()))
}

impl Paired {
    fn row(self) -> Result<Row, Unfit> {
        let id = printable(&self.device_id, LABEL_CHARS_MAX);
        let unfit = |column: &str| Unfit { id: id.clone(), reason: format!("not as the gateway writes it: {column}") };
        Ok(Row {
            roles: list(self.roles_json.as_deref()).map_err(|()| unfit("roles_json"))?,
            scopes: list(self.scopes_json.as_deref()).map_err(|()| unfit("scopes_json"))?,
            approved_scopes: list(self.approved_scopes_json.as_deref()).map_err(|()| unfit("approved_scopes_json"))?,
            tokens: list(self.tokens_json.as_deref()).map_err(|()| unfit("tokens_json"))?,
            device_id: self.device_id,
            public_key: self.public_key,
            display_name: self.display_name,
            operator_label: self.operator_label,
            platform: self.platform,
            device_family: self.device_family,
            client_id: self.client_id,
            client_mode: self.client_mode,
            role: self.role,
            remote_ip: self.remote_ip,
            approved_via: self.approved_via,
            created_at_ms: self.created_at_ms,
        })
    }
}

fn list<T: DeserializeOwned>(json: Option<&str>) -> Result<Option<T>, ()> {
    json.map(serde_json::from_str).transpose().map_err(drop)
}
