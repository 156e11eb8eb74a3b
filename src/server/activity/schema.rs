//! The tables of the server's database, as steps from one schema version to the next.
//!
//! Pure: texts only. A step that was ever released is never changed; DESIGN.md says what the columns
//! mean. Moments are seconds since 1970, days are texts such as `2026-11-28`, UTC.

/// Step `n` leads to schema version `n + 1`.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// `uploads` grows at its end, and old rows are taken away at its beginning: the order of its ids is
/// that of time, so that no index on the time alone is needed for that. Whatever is kept by day has
/// the day first in its key.
const VERSION_1: &str = "
    CREATE TABLE uploads (
        id INTEGER PRIMARY KEY,
        client TEXT NOT NULL,
        ended_at INTEGER NOT NULL,
        path TEXT,
        size INTEGER NOT NULL,
        sha256 BLOB,
        duration_ms INTEGER NOT NULL,
        peer TEXT NOT NULL,
        outcome TEXT NOT NULL
    );
    CREATE INDEX idx_uploads_client ON uploads(client, ended_at);
    CREATE TABLE clients (
        name TEXT PRIMARY KEY,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        version TEXT,
        last_upload_at INTEGER,
        last_report_at INTEGER,
        last_error_at INTEGER,
        last_error TEXT,
        last_error_asked TEXT,
        files INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE days (
        day TEXT NOT NULL,
        client TEXT NOT NULL,
        files INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (day, client)
    ) WITHOUT ROWID;
    CREATE TABLE refusals (
        day TEXT NOT NULL,
        client TEXT NOT NULL,
        asked TEXT NOT NULL,
        error TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (day, client, asked, error)
    ) WITHOUT ROWID;
    CREATE TABLE reports (
        id INTEGER PRIMARY KEY,
        day TEXT NOT NULL,
        client TEXT NOT NULL,
        received_at INTEGER NOT NULL,
        report TEXT NOT NULL,
        cross_check TEXT NOT NULL,
        UNIQUE (day, client)
    );
    CREATE INDEX idx_reports_client ON reports(client, day);
    CREATE TABLE gaps (
        day TEXT PRIMARY KEY,
        dropped INTEGER NOT NULL DEFAULT 0,
        crashes INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        kept_since INTEGER NOT NULL,
        in_use INTEGER NOT NULL
    );
";

/// What was told of clients, by each way that messages take.
const VERSION_2: &str = "
    CREATE TABLE alerts (
        way TEXT NOT NULL,
        client TEXT NOT NULL,
        since INTEGER NOT NULL,
        told TEXT NOT NULL,
        told_at INTEGER,
        PRIMARY KEY (way, client)
    ) WITHOUT ROWID;
";
