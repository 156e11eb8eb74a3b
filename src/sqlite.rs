//! Opens an SQLite database the way both programs want it: WAL, bounded waits, versioned schema.
//!
//! Runs on whichever thread opens a database; the connection belongs to the caller. WAL with
//! `synchronous=NORMAL` cannot be corrupted by a crash; a power cut may take the last commits with
//! it, which costs a repeated upload and nothing else.

pub(crate) mod aside;
pub(crate) mod lock;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for a reader or a checkpoint of another connection.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} database {path}: {cause}{hint}", path = .path.display())]
pub struct DatabaseError {
    /// What was tried.
    pub operation: &'static str,
    /// The database's file.
    pub path: PathBuf,
    /// What SQLite or the system answered.
    pub cause: String,
    hint: String,
    corrupt: bool,
}

impl DatabaseError {
    /// An SQLite error while doing `operation` on the database at `path`.
    pub fn new(operation: &'static str, path: &Path, error: &rusqlite::Error) -> Self {
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                "its folder must exist on a disk that this user may write to (key database.path)"
            }
            Some(ErrorCode::DiskFull) => {
                "make room on its disk; no file is lost, what cannot be noted is tried again"
            }
            Some(ErrorCode::SystemIoFailure) => {
                "its disk is full, a quota is used up, or it fails; df and dmesg say which"
            }
            Some(ErrorCode::DatabaseCorrupt) => {
                "the next start of the program that writes to it sets it aside"
            }
            Some(ErrorCode::NotADatabase) => {
                "if it ever was one, the next start of the program that writes to it sets it aside; if \
                 not, is it the right file? (key database.path)"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "does another program hold it open?"
            }
            _ => "",
        };
        let corrupt = is_corrupt(error);
        Self { corrupt, ..Self::told(operation, path, error, hint) }
    }

    /// What failed is not SQLite: `cause` says what, `hint` what to do; it may be empty.
    pub fn told(
        operation: &'static str,
        path: &Path,
        cause: impl ToString,
        hint: impl Into<String>,
    ) -> Self {
        let mut hint: String = hint.into();
        if !hint.is_empty() {
            hint.insert_str(0, "; hint: ");
        }
        Self { operation, path: path.to_owned(), cause: cause.to_string(), hint, corrupt: false }
    }

    /// The database at `path` is damaged: `cause` says in what way.
    pub fn corrupt(path: &Path, cause: impl ToString) -> Self {
        Self { corrupt: true, ..Self::told("use", path, cause, "") }
    }

    /// Whether the file is damaged, or never was a database: trying again will not help.
    pub fn is_corrupt(&self) -> bool {
        self.corrupt
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    // A value that cannot have been written by us was not.
    let value = matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    );
    value || matches!(code, Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

/// Opens or makes the database at `path` and brings its schema up to date: step `n` of `migrations`
/// leads to schema version `n + 1`. Fails rather than touch a schema that is newer than it knows.
pub fn open(path: &Path, migrations: &[&str]) -> Result<Connection, DatabaseError> {
    let failed = |operation| move |error| DatabaseError::new(operation, path, &error);
    // Without SQLITE_OPEN_URI a path is a path, whatever characters it has.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(failed("open"))?;
    connection.busy_timeout(BUSY_WAIT).map_err(failed("open"))?;
    connection
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
        )
        .map_err(failed("open"))?;
    migrate(&mut connection, path, migrations)?;
    Ok(connection)
}

/// The file that belongs to a database under its name with `suffix` behind it.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Opens the database at `path` to read it, beside whoever writes to it. It is never made and its
/// schema never changed; only `version` is read.
pub fn open_read_only(path: &Path, version: usize) -> Result<Connection, DatabaseError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_WAIT)?;
        let found = user_version(&connection)?;
        Ok((connection, found))
    };
    let (connection, found) = open().map_err(|error| DatabaseError::new("open", path, &error))?;
    if found > version {
        return Err(newer(path, found, version));
    }
    if found < version {
        let cause = format!("its schema {found} is older than {version}");
        return Err(DatabaseError::told("use", path, cause, "start the program that writes to it"));
    }
    Ok(connection)
}

/// As [`open_read_only`], for a command that may be called before there is a database: none then.
pub fn open_if_there(path: &Path, version: usize) -> Result<Option<Connection>, DatabaseError> {
    match path.try_exists() {
        Ok(false) => Ok(None),
        Ok(true) => open_read_only(path, version).map(Some),
        Err(error) => {
            let hint = "run this as the user that the client runs as, or as root";
            Err(DatabaseError::told("open", path, error, hint))
        }
    }
}

/// Makes a database that lives as long as its connection.
pub fn open_in_memory(migrations: &[&str]) -> Result<Connection, DatabaseError> {
    let path = Path::new(":memory:");
    let mut connection =
        Connection::open_in_memory().map_err(|error| DatabaseError::new("open", path, &error))?;
    migrate(&mut connection, path, migrations)?;
    Ok(connection)
}

/// Reads all of a database, and says whether it hangs together. Some 700 MB/s from memory.
pub fn check(connection: &Connection, path: &Path) -> Result<(), DatabaseError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| DatabaseError::new("check", path, &error))?;
    if verdict == "ok" { Ok(()) } else { Err(DatabaseError::corrupt(path, verdict)) }
}

fn newer(path: &Path, found: usize, known: usize) -> DatabaseError {
    let cause = format!("its schema {found} is newer than {known}");
    DatabaseError::told("use", path, cause, "run the s3up that made it, or a newer one")
}

fn user_version(connection: &Connection) -> rusqlite::Result<usize> {
    connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
        .map(|n| n as usize)
}

fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), DatabaseError> {
    let failed = |error| DatabaseError::new("update", path, &error);
    if user_version(connection).map_err(failed)? == migrations.len() {
        return Ok(());
    }
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    let version = user_version(&transaction).map_err(failed)?;
    if version > migrations.len() {
        return Err(newer(path, version, migrations.len()));
    }
    for step in &migrations[version..] {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", migrations.len() as i64).map_err(failed)?;
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x INTEGER)";
    const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER";

    fn message(result: Result<Connection, DatabaseError>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_schema_grows_by_its_missing_steps_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a?b%20#.db");
        let connection = open(&path, &[FIRST]).unwrap();
        connection.execute("INSERT INTO a VALUES (1)", []).unwrap();
        drop(connection);
        let connection = open(&path, &[FIRST, SECOND]).unwrap();
        let count: i64 = connection
            .query_row("SELECT count(*) FROM a WHERE y IS NULL", [], |r| r.get(0))
            .unwrap();
        assert_eq!(count, 1);
        drop(connection);
        assert!(path.exists(), "the path is taken literally");
        assert!(message(open(&path, &[FIRST])).contains("schema 2 is newer than 1"));
    }

    #[test]
    fn an_unusable_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("no/such/folder.db");
        let text = message(open(&absent, &[FIRST]));
        assert!(text.starts_with("cannot open database ") && text.contains("folder must exist"));
        let garbage = folder.path().join("garbage.db");
        std::fs::write(&garbage, "this is no database at all, whatever its name says".repeat(50))
            .unwrap();
        let text = message(open(&garbage, &[FIRST]));
        assert!(text.contains("sets it aside") && text.contains("right file"), "{text}");
    }
}
