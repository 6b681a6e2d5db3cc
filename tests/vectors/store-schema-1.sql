-- An empty store as doorward 0.1.0 made it: its statements, letter by letter.
PRAGMA application_id = 1146573380;
PRAGMA user_version = 1;
CREATE TABLE devices (
        device_id TEXT PRIMARY KEY NOT NULL,
        public_key TEXT NOT NULL,
        profile TEXT NOT NULL,
        label TEXT,
        approved_via TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        approved_at BIGINT NOT NULL,
        last_seen_at BIGINT
    );
CREATE TABLE grants (
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
    );
CREATE TABLE requests (
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
    );
CREATE INDEX requests_by_device ON requests (device_id);
CREATE TABLE audit (
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
    );
