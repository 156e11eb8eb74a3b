//! The tables of the client's database, as steps from one schema version to the next.
//!
//! Pure: texts only. A step that was ever released is never changed; DESIGN.md says what the columns
//! mean.

/// Step `n` leads to schema version `n + 1`.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// The columns of `files` down to `uploaded_at` are those of the design document; the others are
/// what it takes never to miss a change. A name that is not UTF-8 cannot be uploaded, so it never
/// gets a row in `files`; `parked` can hold it.
pub(super) const VERSION_1: &str = "
    CREATE TABLE files (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        local_path TEXT UNIQUE NOT NULL,
        remote_path TEXT NOT NULL,
        file_size INTEGER NOT NULL,
        mtime INTEGER NOT NULL,
        uploaded_at INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL,
        sha256 BLOB NOT NULL
    );
    CREATE INDEX idx_files_local_path ON files(local_path);
    CREATE TABLE watches (
        local_path BLOB PRIMARY KEY,
        baseline_ns INTEGER
    );
    CREATE TABLE parked (
        local_path BLOB PRIMARY KEY,
        reason TEXT NOT NULL,
        since INTEGER NOT NULL,
        last_seen INTEGER NOT NULL
    );
";

/// What a restart, `status` and reports want to know; and the index that scans read. `UNIQUE` has an
/// index on `local_path` alone already, so the document's second one would only cost
/// room. With what a scan compares in it, a scan reads this index from end to end and never jumps
/// into the table.
const VERSION_2: &str = "
    DROP INDEX idx_files_local_path;
    CREATE INDEX idx_files_local_path
        ON files(local_path, remote_path, file_size, mtime_ns, ctime_ns, inode);
    ALTER TABLE watches ADD COLUMN scan_ended_at INTEGER;
    ALTER TABLE watches ADD COLUMN scan_ms INTEGER;
    ALTER TABLE watches ADD COLUMN scan_files INTEGER;
    ALTER TABLE watches ADD COLUMN looked_boot TEXT;
    ALTER TABLE watches ADD COLUMN looked_ns INTEGER;
    CREATE TABLE daily_stats (
        date TEXT PRIMARY KEY,
        files INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        last_upload_at INTEGER
    );
    CREATE TABLE rebuilds (rebuilt_at_ns INTEGER NOT NULL);
";

/// When the server acknowledged what was counted on a day. A day that is counted on afterwards is
/// reported anew, so it is `NULL` again.
const VERSION_3: &str = "
    ALTER TABLE daily_stats ADD COLUMN reported_at INTEGER;
";
