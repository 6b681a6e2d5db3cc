//! The tables, as numbered migrations. SQL that SQLite and PostgreSQL both read; times are milliseconds,
//! lists and records are JSON text, hashes are lower-case hexadecimal.

/// `PRAGMA application_id` of our files, "DWRD", and the statement that sets it.
pub(super) const APPLICATION_ID: i64 = 0x4457_5244;
pub(super) const SET_APPLICATION_ID: &str = "PRAGMA application_id = 1146573380";

/// The newest schema this program knows: the number of migrations.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The first schema whose records are sealed.
pub(super) const SEALED: i64 = 2;

/// The first schema whose audit log is a chain.
pub(super) const CHAINED: i64 = 3;

/// The statements that take a store from schema `n` to `n + 1`, from 0. One that has been released is never changed: a
/// further column or table is one more entry. [`super::migration`] runs them, and seals every record anew after each.
pub(super) const MIGRATIONS: &[&[&str]] = &[FIRST, SEALS, CHAIN, ISSUERS, RULES, INVITES, COUNTS];

/// The first schema with invites.
pub(super) const INVITED: i64 = 6;

/// Seals; and how long this machine was up when a request was last seen, which no setting of the clock moves.
const SEALS: &[&str] = &[
    "CREATE TABLE seals (
        name TEXT PRIMARY KEY NOT NULL,
        number BIGINT NOT NULL,
        total TEXT NOT NULL
    )",
    "ALTER TABLE devices ADD COLUMN seal TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE requests ADD COLUMN seal TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE requests ADD COLUMN boot TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE requests ADD COLUMN refreshed_uptime BIGINT NOT NULL DEFAULT 0",
];

/// The audit log as a chain; [`super::audit::carry`] moves the old one there and removes it.
const CHAIN: &[&str] = &["CREATE TABLE audit_log (
        sequence BIGINT PRIMARY KEY NOT NULL,
        at BIGINT NOT NULL,
        act TEXT NOT NULL,
        device_id TEXT,
        entry TEXT NOT NULL,
        hash TEXT NOT NULL
    )"];

/// On whose word a device token was handed out; one of before this is void.
const ISSUERS: &[&str] = &["ALTER TABLE grants ADD COLUMN token_issuer TEXT"];

/// Devices that a rule approved, and tokens that stand on a verified identity: words that an older program would take for
/// damage. It refuses a newer schema with a clear answer instead.
const RULES: &[&str] = &[];

/// The invite; like a request it is kept with how long this machine was up.
const INVITES: &[&str] = &["CREATE TABLE invites (
        invite_id TEXT PRIMARY KEY NOT NULL,
        secret_hash TEXT NOT NULL,
        scopes TEXT NOT NULL,
        made_at BIGINT NOT NULL,
        life BIGINT NOT NULL,
        boot TEXT NOT NULL,
        made_uptime BIGINT NOT NULL,
        device_id TEXT,
        redeemed_at BIGINT,
        seal TEXT NOT NULL DEFAULT ''
    )"];

/// How many devices stand on one rule's word is counted before it approves another.
const COUNTS: &[&str] = &["CREATE INDEX devices_by_approval ON devices (approved_via)"];

const FIRST: &[&str] = &[
    "CREATE TABLE devices (
        device_id TEXT PRIMARY KEY NOT NULL,
        public_key TEXT NOT NULL,
        profile TEXT NOT NULL,
        label TEXT,
        approved_via TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        approved_at BIGINT NOT NULL,
        last_seen_at BIGINT
    )",
    "CREATE TABLE grants (
        device_id TEXT NOT NULL REFERENCES devices (device_id) ON DELETE CASCADE,
        role TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revoked_at BIGINT,
        token_hash TEXT,
        token_created_at BIGINT,
        token_rotated_at BIGINT,
        token_last_used_at BIGINT,
        PRIMARY KEY (device_id, role)
    )",
    "CREATE TABLE requests (
        request_id TEXT PRIMARY KEY NOT NULL,
        device_id TEXT NOT NULL,
        public_key TEXT NOT NULL,
        profile TEXT NOT NULL,
        role TEXT NOT NULL,
        scopes TEXT NOT NULL,
        origin TEXT NOT NULL,
        client TEXT NOT NULL,
        repair BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        refreshed_at BIGINT NOT NULL
    )",
    "CREATE INDEX requests_by_device ON requests (device_id)",
    "CREATE TABLE audit (
        sequence BIGINT PRIMARY KEY NOT NULL,
        at BIGINT NOT NULL,
        act TEXT NOT NULL,
        actor TEXT NOT NULL,
        connection TEXT,
        change TEXT NOT NULL,
        device_id TEXT,
        request_id TEXT,
        digest TEXT,
        detail TEXT
    )",
];
