//! A database that is damaged: told from a sound one, set aside, and a new one begun.
//!
//! Runs at the start, on the main thread, by whoever holds the lock; only [`Mark::set`] is called
//! later, by the thread that meets the damage. Nothing is ever deleted.
//!
//! The mark, a small file beside the database, is set before anything is moved and removed when the
//! new database says of itself that it is one. So no crash in between can make a lost database look
//! like a first run, which would leave out what `scan.upload_existing: false` leaves out.

use super::{schema, state};
use crate::sqlite::aside::{open_sound, set_aside, sync_folder};
use crate::sqlite::beside;
use crate::sqlite::lock::Lock;
use crate::sqlite::{self, DatabaseError};
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What to do about a file that is no database and was there before any client.
const NOT_OURS: &str = "move it aside, and a new one is made as on a first run (see \
                        scan.upload_existing), or name another file (key database.path)";

/// Says beside a database that it is damaged.
pub(super) struct Mark {
    path: PathBuf,
}

impl Mark {
    pub(super) fn of(database: &Path) -> Self {
        Self { path: beside(database, ".damaged") }
    }

    /// Has the next start set the database aside, whatever a look at it says then.
    pub(super) fn set(&self, cause: &str) -> io::Result<()> {
        let mut file = File::create(&self.path)?;
        writeln!(file, "{cause}")?;
        file.sync_all()?;
        sync_folder(&self.path)
    }

    fn is_set(&self) -> io::Result<bool> {
        self.path.try_exists()
    }

    fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        sync_folder(&self.path)
    }
}

/// Opens the database at `path`, or makes it. A damaged one is set aside, and a new one made that
/// takes everything in `watches` and asks the server first; `now_ns` is nanoseconds since 1970.
pub(super) fn open_or_begin_anew(
    path: &Path,
    lock: &Lock,
    watches: &[&Path],
    now_ns: i64,
) -> Result<Connection, DatabaseError> {
    let failed = |error: io::Error| {
        let hint = "move it and what begins with its name away by hand";
        DatabaseError::told("set aside", path, error, hint)
    };
    let mark = Mark::of(path);
    let damage = if mark.is_set().map_err(failed)? {
        "it was found damaged while it was in use".to_owned()
    } else {
        match open_sound(path, lock, schema::MIGRATIONS, NOT_OURS) {
            Ok(connection) => return Ok(connection),
            Err(error) if error.is_corrupt() => error.cause,
            Err(error) => return Err(error),
        }
    };
    mark.set(&damage).map_err(failed)?;
    let aside = set_aside(path, now_ns).map_err(failed)?;
    log::error!(
        "database {} is damaged ({damage}); it is kept as {}, and a new one is made: every file in \
         the watched folders is compared with the server and uploaded only if it is not there as it \
         stands, those that scan.upload_existing left out included",
        path.display(),
        aside.display()
    );
    let mut connection = sqlite::open(path, schema::MIGRATIONS)?;
    state::begin_anew(&mut connection, watches, now_ns)
        .map_err(|error| DatabaseError::new("write", path, &error))?;
    mark.remove().map_err(failed)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::super::tests::{DAY_1, record};
    use super::*;
    use crate::sqlite::lock;
    use std::os::unix::fs::FileExt as _;
    use tempfile::TempDir;

    const NOW: i64 = 1_795_873_501_000_000_000;
    const FILE: &str = "/data/a";

    /// A folder with the database of a client that has ended, of some dozens of pages.
    fn left_behind() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let database = claim(&path).unwrap();
        for number in 0..300 {
            let name = format!("{FILE}{number:0200}");
            database.uploaded(Path::new(&name), &record(number), DAY_1).unwrap();
        }
        database.uploaded(Path::new(FILE), &record(7), DAY_1).unwrap();
        assert_eq!(database.baseline(Path::new("/data"), Some(5)).unwrap(), Some(5));
        (folder, path)
    }

    fn claim(path: &Path) -> Result<Database, DatabaseError> {
        Database::claim(path, &[Path::new("/data")], NOW)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| !name.ends_with("-shm")).collect();
        names.sort();
        names
    }

    /// Damages what a client left behind, and looks at what the next one makes of it.
    fn check(damage: impl Fn(&Path)) {
        let (folder, path) = left_behind();
        damage(&path);
        let before = fs::read(&path).ok();
        let database = claim(&path).unwrap();
        assert_eq!(database.file_count().unwrap(), 0);
        let old = record(7).fingerprint;
        assert!(
            database.may_have_lost(&crate::client::fingerprint::Fingerprint {
                ctime_ns: NOW - 1,
                ..old
            })
        );
        let (known, new) = (Path::new("/data"), Path::new("/new"));
        assert_eq!(database.baseline(known, Some(9)).unwrap(), None, "takes everything");
        assert_eq!(database.baseline(new, Some(9)).unwrap(), Some(9), "a later watch is as any");
        let aside = folder.path().join("client.db.corrupt-20261128T134501Z");
        if before.is_some() {
            // Not `assert_eq!`: nobody wants to read the bytes.
            assert!(fs::read(&aside).ok() == before, "kept as it was");
        }
        drop(database);
        let expected: &[&str] = if before.is_some() {
            &["client.db", "client.db.corrupt-20261128T134501Z", "client.db.lock"]
        } else {
            &["client.db", "client.db.lock"]
        };
        assert_eq!(names(&folder), expected);

        let again = claim(&path).unwrap();
        assert_eq!(again.rebuilt_ns, Some(NOW), "a restart knows it, too");
        assert_eq!(again.baseline(known, Some(9)).unwrap(), None);
    }

    #[test]
    fn a_damaged_database_is_set_aside_and_the_new_one_takes_everything() {
        check(|path| {
            fs::write(path, "no database at all, whatever its name says".repeat(999)).unwrap()
        });
        check(|path| fs::write(path, "").unwrap());
        check(|path| File::options().write(true).open(path).unwrap().set_len(4096).unwrap());
        check(|path| File::options().write(true).open(path).unwrap().set_len(5000).unwrap());
        // Within a page that only a full check looks at.
        check(|path| {
            let file = File::options().write(true).open(path).unwrap();
            let length = file.metadata().unwrap().len();
            file.write_all_at(&[0xff; 4096], length / 4096 / 2 * 4096).unwrap();
        });
        // As a process that met damage leaves it.
        check(|path| Mark::of(path).set("disk image is malformed").unwrap());
        // As a process leaves it that was killed between setting it aside and making a new one.
        check(|path| {
            Mark::of(path).set("x").unwrap();
            fs::remove_file(path).unwrap();
        });
    }

    #[test]
    fn a_sound_database_and_an_absent_one_are_left_alone() {
        let (folder, path) = left_behind();
        let database = claim(&path).unwrap();
        assert_eq!(database.record(Path::new(FILE)).unwrap(), Some(record(7)));
        assert_eq!(database.rebuilt_ns, None);
        drop(database);
        assert_eq!(names(&folder), ["client.db", "client.db.lock"]);
        fs::remove_file(&path).unwrap();
        let first = claim(&path).unwrap();
        assert_eq!(first.baseline(Path::new("/data"), Some(9)).unwrap(), Some(9), "a first run");
    }

    #[test]
    fn an_empty_file_that_the_operator_made_is_a_first_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        fs::write(&path, "").unwrap();
        assert_eq!(claim(&path).unwrap().rebuilt_ns, None);
        assert_eq!(names(&folder), ["client.db", "client.db.lock"]);
    }

    #[test]
    fn what_was_there_before_any_client_and_is_no_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        fs::write(&path, "Dear diary").unwrap();
        for _ in 0..2 {
            let error = claim(&path).map(drop).unwrap_err().to_string();
            assert!(error.contains("is no database; hint: move it aside"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), b"Dear diary");
        }
    }

    #[test]
    fn a_newer_schema_is_not_damage() {
        let (folder, path) = left_behind();
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
        let error = claim(&path).map(drop).unwrap_err().to_string();
        assert!(error.contains("its schema 999 is newer than 3; hint: "), "{error}");
        assert_eq!(names(&folder), ["client.db", "client.db.lock"]);
    }

    #[test]
    fn what_belongs_to_a_database_goes_with_it_and_nothing_is_overwritten() {
        let (folder, path) = left_behind();
        let name = "client.db.corrupt-20261128T134501Z";
        fs::write(folder.path().join(name), "an earlier one").unwrap();
        let garbage = b"no database".repeat(999);
        fs::write(&path, &garbage).unwrap();
        fs::write(beside(&path, "-wal"), "its log").unwrap();
        let lock = lock::take(&path).unwrap();
        drop(open_or_begin_anew(&path, &lock, &[], NOW).unwrap());
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"an earlier one");
        assert!(fs::read(folder.path().join(format!("{name}-1"))).unwrap() == garbage);
        assert_eq!(fs::read(folder.path().join(format!("{name}-1-wal"))).unwrap(), b"its log");
    }

    #[test]
    fn damage_that_is_met_later_ends_the_program_and_is_known_to_the_next_start() {
        let (_folder, path) = left_behind();
        let database = claim(&path).unwrap();
        let source = crate::threads::StopSource::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| database.wait_until_broken(&source.stop()));
            database
                .writer()
                .execute("UPDATE files SET sha256 = x'00' WHERE local_path = ?1", [FILE])
                .unwrap();
            let error = database.record(Path::new(FILE)).unwrap_err();
            assert!(error.is_corrupt());
            waiting.join().unwrap();
        });
        drop(database);
        assert!(Mark::of(&path).is_set().unwrap());
        assert_eq!(claim(&path).unwrap().rebuilt_ns, Some(NOW));
        assert!(!Mark::of(&path).is_set().unwrap());
    }
}
