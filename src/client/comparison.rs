//! Compares what a walk sees with what the database knows, and acts on what is found.
//!
//! Runs on the scanner's thread. It owns nothing. It looks at no file itself: what it knows of the disk
//! comes from the walk, which a simulation may stand in for.
//!
//! Errors of single files and folders never end a scan: a folder in which something cannot be looked
//! at is parked, under its path with a `/` at the end, until a walk comes through it again.

use crate::client::choice::{Choice, choose};
use crate::client::database::Database;
use crate::client::parking;
use crate::client::plan::Known;
use crate::client::queue::{SharedQueue, Task};
use crate::client::scope::Scope;
use crate::client::stability::Sighting;
use crate::client::survey::{Finding, survey};
use crate::client::walk::{Seen, Step, WalkError, as_folder};
use crate::clock::Clock;
use crate::limits::SCAN_PAGE_ROWS;
use crate::sqlite::DatabaseError;
use crate::threads::Stop;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is compared, and where the findings go.
pub struct Comparison<C> {
    /// What belongs to the backup.
    pub scope: Scope,
    /// What was uploaded, and what could not be.
    pub database: Arc<Database>,
    /// Where found files go.
    pub queue: Arc<SharedQueue>,
    /// Time between the two looks at a file.
    pub debounce: Duration,
    /// When a file was seen.
    pub clock: C,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Tally {
    /// Regular files that belong to the backup.
    pub files: u64,
    /// Those that patterns leave out, below folders that a walk has to enter.
    pub excluded: u64,
    /// Those that were queued.
    pub queued: u64,
    /// Folders in which something cannot be looked at.
    pub unreadable: u64,
    /// Files with names that cannot be stored.
    pub unnameable: u64,
    /// Why the folder that the walk began with could not be looked at, or not everything in it.
    pub root: Option<io::Error>,
}

/// A pass of a comparison that is under way.
pub struct Pass {
    root: PathBuf,
    /// When it began, in Unix seconds.
    begun: i64,
    baseline: Option<i64>,
    /// The folder in which something could not be looked at last.
    blind: PathBuf,
    tally: Tally,
}

/// A scan cannot go on.
#[derive(Debug)]
pub enum Break {
    /// The program is ending.
    Stopped,
    /// The database is broken.
    Database(DatabaseError),
    /// There is no thread to be had.
    Thread(io::Error),
}

impl From<DatabaseError> for Break {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl<C: Clock> Comparison<C> {
    /// Compares a `walk` of `root` with `rows`, those below it. Files without a row count if they were
    /// touched since the `baseline`, in nanoseconds since 1970.
    pub fn run(
        &self,
        root: &Path,
        walk: impl Iterator<Item = Result<Step, WalkError>>,
        rows: impl Iterator<Item = Result<(PathBuf, Known), DatabaseError>>,
        baseline: Option<i64>,
        stop: &Stop,
    ) -> Result<Tally, Break> {
        let mut pass = self.begin(root, baseline);
        for finding in survey(walk, rows, self.database.parked_below(root, SCAN_PAGE_ROWS)) {
            // Before anything else: a walk that was told to end leaves out what it would have seen.
            if stop.is_raised() {
                return Err(Break::Stopped);
            }
            if let Some((task, due)) = self.take(&mut pass, finding?)?
                && !self.queue.push_waiting(&task, due)
            {
                return Err(Break::Stopped);
            }
        }
        if stop.is_raised() {
            return Err(Break::Stopped);
        }
        self.end(pass)
    }

    /// Begins to compare what is below `root`; [`Comparison::run`] is one pass without a pause.
    pub fn begin(&self, root: &Path, baseline: Option<i64>) -> Pass {
        let (begun, tally) = (self.clock.unix_seconds(), Tally::default());
        Pass { root: root.to_owned(), begun, baseline, blind: PathBuf::new(), tally }
    }

    /// Acts on the next finding. Returns what is to be queued because of it, and when that is due.
    pub fn take(
        &self,
        pass: &mut Pass,
        finding: Finding,
    ) -> Result<Option<(Task, Instant)>, DatabaseError> {
        match finding {
            Finding::File { seen, known, parked } => {
                return self.file(&seen, known.as_ref(), parked.is_some(), pass);
            }
            Finding::Passed(_) => {}
            Finding::Trouble(error) => {
                // A folder that can be listed but not searched fails once a file.
                let first = error.blind != pass.blind;
                pass.blind.clone_from(&error.blind);
                if first {
                    self.trouble(error, pass)?;
                }
            }
            Finding::Vanished(path) if self.lies_in_another(&pass.root, &path) => {}
            Finding::Vanished(path) => self.forget(&path, pass)?,
        }
        Ok(None)
    }

    /// Ends a pass that has come by everything.
    pub fn end(&self, pass: Pass) -> Result<Tally, Break> {
        if pass.tally.root.is_none() {
            self.forget(&as_folder(&pass.root), &pass)?;
        }
        Ok(pass.tally)
    }

    fn forget(&self, path: &Path, pass: &Pass) -> Result<(), DatabaseError> {
        self.database.forget_parked(path, pass.begun, self.clock.unix_seconds())
    }

    /// Whether a path below `root` is another watch's: one without recursion may have others in it.
    fn lies_in_another(&self, root: &Path, path: &Path) -> bool {
        self.scope
            .watches()
            .iter()
            .map(|watch| watch.local_path.as_path())
            .any(|other| other != root && other.starts_with(root) && path.starts_with(other))
    }

    /// What is to be queued of one file: itself, if it is not in the bucket as it stands.
    fn file(
        &self,
        seen: &Seen,
        known: Option<&Known>,
        parked: bool,
        pass: &mut Pass,
    ) -> Result<Option<(Task, Instant)>, DatabaseError> {
        let tally = &mut pass.tally;
        let path = seen.path.as_path();
        let choice = choose(&self.scope, pass.baseline, seen, known, parked);
        match choice {
            Choice::Outside => {}
            Choice::Excluded => tally.excluded += 1,
            _ => tally.files += 1,
        }
        match choice {
            Choice::Old => Ok(None),
            Choice::Outside | Choice::Excluded | Choice::Current => {
                if parked {
                    self.database.unpark(path)?;
                }
                Ok(None)
            }
            Choice::Unnameable(error) => {
                tally.unnameable += 1;
                let now = self.clock.unix_seconds();
                parking::park_unnameable(&self.database, path, error, now)?;
                Ok(None)
            }
            Choice::Wanted { index, .. } => {
                tally.queued += 1;
                // Not earlier than it was looked at, so that the look before an upload is not too
                // early.
                let at = self.clock.monotonic();
                let sighting = Sighting { fingerprint: seen.fingerprint, at };
                let task = Task::new(path, index, Some(sighting), at);
                Ok(Some((task, at + self.debounce)))
            }
        }
    }

    fn trouble(&self, error: WalkError, pass: &mut Pass) -> Result<(), DatabaseError> {
        pass.tally.unreadable += 1;
        let WalkError { path, blind, cause } = error;
        if blind == pass.root {
            // Whoever asked for this walk knows what its root is.
            pass.tally.root = Some(cause);
            return Ok(());
        }
        log::debug!("{path:?} cannot be looked at: {cause}");
        let now = self.clock.unix_seconds();
        parking::park(&self.database, &blind, &unreadable(&cause), now)
    }
}

/// Why a folder is parked.
pub fn unreadable(cause: &io::Error) -> String {
    format!("not all in it can be looked at: {cause}; hint: let this user read it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::config::Watch;
    use crate::client::filter::{Filter, Patterns};
    use crate::client::fingerprint::Fingerprint;
    use crate::client::plan::Record;
    use crate::clock;
    use crate::digest::Digest;
    use crate::remote_path::RemotePrefix;
    use crate::threads::StopSource;
    use std::io::ErrorKind;

    /// Shows the second it is told, and any moment.
    struct Told(i64);

    impl Clock for Told {
        fn monotonic(&self) -> Instant {
            clock::monotonic()
        }

        fn unix_seconds(&self) -> i64 {
            self.0
        }
    }

    struct Bench {
        _folder: tempfile::TempDir,
        comparison: Comparison<Told>,
        stop: StopSource,
    }

    fn nothing() -> Patterns {
        Patterns::new(Vec::new()).unwrap()
    }

    /// A scan of `/w`, at second 100.
    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.db");
        let watch = |path: &str| Watch {
            local_path: path.into(),
            remote_prefix: RemotePrefix::default(),
            recursive: true,
            filter: Filter { exclude: nothing(), include: nothing() },
            max_file_size: None,
        };
        let comparison = Comparison {
            scope: Scope::new(vec![watch("/w"), watch("/w/other")], &path),
            database: Arc::new(Database::open(&path).unwrap()),
            queue: Arc::new(SharedQueue::new(1, 100)),
            debounce: Duration::ZERO,
            clock: Told(100),
        };
        Bench { _folder: folder, comparison, stop: StopSource::default() }
    }

    fn fingerprint(ctime_ns: i64) -> Fingerprint {
        Fingerprint { size: 1, mtime_ns: 5, ctime_ns, inode: 1 }
    }

    fn seen(path: &str, ctime_ns: i64) -> Result<Step, WalkError> {
        Ok(Step::File(Seen { path: path.into(), fingerprint: fingerprint(ctime_ns) }))
    }

    fn trouble(path: &str, blind: &str) -> Result<Step, WalkError> {
        let cause = ErrorKind::PermissionDenied.into();
        Err(WalkError { path: path.into(), blind: blind.into(), cause })
    }

    impl Bench {
        fn uploaded(&self, path: &str, ctime_ns: i64) {
            let record = Record {
                remote_path: path.strip_prefix("/w/").unwrap().to_owned(),
                fingerprint: fingerprint(ctime_ns),
                sha256: Digest::of(b""),
            };
            self.comparison.database.uploaded(Path::new(path), &record, 1).unwrap();
        }

        fn park(&self, paths: &[&str]) {
            for path in paths {
                self.comparison.database.park(Path::new(path), "no", 99).unwrap();
            }
        }

        fn parked(&self) -> Vec<String> {
            let parked = self.comparison.database.parked().unwrap();
            parked.into_iter().map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
        }

        fn run(
            &self,
            baseline: Option<i64>,
            walk: Vec<Result<Step, WalkError>>,
        ) -> Result<Tally, Break> {
            let root = Path::new("/w");
            let rows = self.comparison.database.rows_below(root, SCAN_PAGE_ROWS);
            self.comparison.run(root, walk.into_iter(), rows, baseline, &self.stop.stop())
        }

        /// What waits in the queue.
        fn queued(&self) -> Vec<String> {
            let queue = &self.comparison.queue;
            queue.release();
            let mut paths = Vec::new();
            while !queue.is_empty() {
                let task = queue.pop().unwrap();
                queue.done(&task.path, clock::monotonic());
                paths.push(task.path.to_str().unwrap().to_owned());
            }
            paths
        }
    }

    #[test]
    fn what_is_new_or_changed_is_queued_and_nothing_else() {
        let bench = bench();
        bench.uploaded("/w/b/same", 10);
        bench.uploaded("/w/b/changed", 10);
        bench.uploaded("/w/gone", 10);
        let walk = vec![
            seen("/w/a-new", 9),
            seen("/w/b/changed", 11),
            seen("/w/b/same", 10),
            seen("/w/c\n", 9),
        ];
        let tally = bench.run(None, walk).unwrap();
        assert_eq!((tally.files, tally.queued, tally.unnameable), (4, 2, 1));
        assert_eq!(bench.queued(), ["/w/a-new", "/w/b/changed"]);
        assert_eq!(bench.parked(), ["/w/c\n"]);
    }

    #[test]
    fn old_files_are_left_alone_unless_they_were_wanted_once() {
        let bench = bench();
        bench.uploaded("/w/uploaded", 5);
        bench.park(&["/w/parked"]);
        let walk = vec![
            seen("/w/new", 20),
            seen("/w/old", 19),
            seen("/w/parked", 19),
            seen("/w/uploaded", 19),
        ];
        bench.run(Some(20), walk).unwrap();
        assert_eq!(bench.queued(), ["/w/new", "/w/parked", "/w/uploaded"]);
    }

    #[test]
    fn what_is_parked_and_gone_or_well_is_forgotten() {
        let bench = bench();
        bench.uploaded("/w/well", 5);
        bench.park(&["/elsewhere", "/w/", "/w/folder/", "/w/folder/gone"]);
        bench.park(&["/w/other/watch", "/w/still", "/w/well"]);
        bench.run(None, vec![seen("/w/still", 1), seen("/w/well", 5)]).unwrap();
        assert_eq!(bench.parked(), ["/elsewhere", "/w/other/watch", "/w/still"]);
    }

    #[test]
    fn what_is_parked_while_the_walk_goes_by_stays_parked() {
        let bench = bench();
        bench.comparison.database.park(Path::new("/w/a"), "no", 100).unwrap();
        bench.run(None, Vec::new()).unwrap();
        assert_eq!(bench.parked(), ["/w/a"]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_parked_until_it_can_and_forgets_nothing_below() {
        let bench = bench();
        bench.park(&["/w/a/x", "/w/ab"]);
        let tally = bench
            .run(
                None,
                vec![trouble("/w/a/1", "/w/a/"), trouble("/w/a/2", "/w/a/"), seen("/w/b", 1)],
            )
            .unwrap();
        assert_eq!((tally.unreadable, tally.root.is_none()), (1, true));
        assert_eq!(bench.parked(), ["/w/a/", "/w/a/x"]);

        let later =
            Bench { comparison: Comparison { clock: Told(200), ..bench.comparison }, ..bench };
        later.run(None, vec![seen("/w/a/x", 1)]).unwrap();
        assert_eq!(later.parked(), ["/w/a/x"]);
    }

    #[test]
    fn a_root_that_cannot_be_read_is_told_to_who_asked_and_forgets_nothing() {
        let bench = bench();
        bench.park(&["/w/a"]);
        let tally = bench.run(None, vec![trouble("/w/", "/w/")]).unwrap();
        assert_eq!(tally.root.unwrap().kind(), ErrorKind::PermissionDenied);
        assert_eq!(bench.parked(), ["/w/a"]);
    }

    #[test]
    fn a_walk_that_was_told_to_end_forgets_nothing() {
        let mut bench = bench();
        bench.park(&["/w/a"]);
        bench.stop.raise();
        assert!(matches!(bench.run(None, Vec::new()), Err(Break::Stopped)));
        assert_eq!(bench.parked(), ["/w/a"]);
    }
}
