//! Keeps the baselines of all watches: takes stamps, compares, writes down.
//!
//! Begun at the start, before the first watch is set, and owned by the scanner afterwards. What is
//! decided, and why nothing is missed, stands in `baseline`. The clock that counts is the one that
//! stamps the files, so it is asked by making one: without a name, gone when it is closed, and seen by
//! nobody.

use crate::client::baseline::{Baseline, Moment};
use crate::client::config::Watch;
use crate::client::database::Database;
use crate::client::fingerprint::Fingerprint;
use crate::clock;
use crate::limits::{CLOCK_SET_BACK_TOLD, FILE_CLOCK_STEP};
use crate::sqlite::DatabaseError;
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What tells the time by which files are stamped, and how long the machine has been running.
pub trait FileClock {
    /// The ctime, in nanoseconds since 1970, of a file that were made in `folder` now. No file that is
    /// made there later has a lower one unless the clock is set back.
    fn stamp(&self, folder: &Path) -> i64;
    /// How far the machine has come.
    fn moment(&self) -> Moment;
}

/// The baselines of all watches; see the module's head.
pub struct Baselines {
    kept: Vec<(PathBuf, Option<Baseline>)>,
    /// Whether they are wanted today.
    used: bool,
    database: Arc<Database>,
    clock: Box<dyn FileClock + Send + Sync>,
}

impl Baselines {
    /// Those of `watches`: kept ones, or, on a watch's first run, new ones from this moment on. If
    /// `everything` is taken, they are kept for a day on which it is not.
    pub fn begin(
        watches: &[Watch],
        everything: bool,
        database: Arc<Database>,
        clock: Box<dyn FileClock + Send + Sync>,
    ) -> Result<Self, DatabaseError> {
        let mut kept = Vec::new();
        for watch in watches {
            let path = &watch.local_path;
            let earlier = clock.moment();
            let stamp = (!everything).then(|| clock.stamp(path));
            let from_ns = database.baseline(path, stamp)?;
            let looked = database.looked(path)?;
            let first = looked.is_none() && from_ns == stamp;
            kept.push((
                path.clone(),
                from_ns.map(|from_ns| Baseline {
                    from_ns,
                    looked: looked.or_else(|| first.then_some(earlier)),
                }),
            ));
        }
        let mut baselines = Self { kept, used: !everything, database, clock };
        baselines.look();
        Ok(baselines)
    }

    /// From when on files of the watch `index` count, in nanoseconds since 1970; `None` takes all.
    pub fn of(&self, index: usize) -> Option<i64> {
        let kept = self.kept.get(index)?.1.as_ref();
        kept.filter(|_| self.used).map(|baseline| baseline.from_ns)
    }

    /// Compares all with their clocks. Returns whether one that is in use had to be lowered, by so much
    /// that a clock must have been set back.
    pub fn look(&mut self) -> bool {
        let mut lowered = false;
        for (path, baseline) in &mut self.kept {
            let Some(baseline) = baseline else { continue };
            let earlier = self.clock.moment();
            let stamp = self.clock.stamp(path);
            let by = baseline.look(stamp, earlier, &self.clock.moment());
            let kept = by.map_or(Ok(()), |_| self.database.lower_baseline(path, baseline.from_ns));
            let looked = baseline.looked.as_ref();
            let kept = kept.and_then(|()| {
                looked.map_or(Ok(()), |moment| self.database.keep_look(path, moment))
            });
            if let Err(error) = kept {
                // What is in memory is right. After a restart it is taken from the last look kept.
                log::warn!("the comparison of {path:?} with its clock is not kept: {error}");
            }
            let told = |by: &Duration| self.used && *by >= CLOCK_SET_BACK_TOLD;
            let Some(by) = by.filter(told) else { continue };
            lowered = true;
            log::warn!(
                "the clock was set back: so that nothing is missed in {path:?}, files count that were \
                 touched up to {:.0} s before its first run (scan.upload_existing: false)",
                by.as_secs_f64().ceil()
            );
        }
        lowered
    }
}

/// The clocks of this machine.
#[derive(Clone, Debug)]
pub struct LocalFileClock {
    beside: PathBuf,
}

impl LocalFileClock {
    /// Where a watched folder cannot be written to, files are made beside the `database`.
    pub fn new(database: &Path) -> Self {
        Self { beside: database.parent().unwrap_or(Path::new(".")).to_owned() }
    }
}

impl FileClock for LocalFileClock {
    fn stamp(&self, folder: &Path) -> i64 {
        let made = nameless(folder).or_else(|_| nameless(&self.beside));
        let made = made.or_else(|_| tempfile::tempfile_in(&self.beside));
        made.and_then(|file| file.metadata()).map_or_else(
            |_| {
                // The clock of files lags behind this one, by a step at most.
                let step = i64::try_from(FILE_CLOCK_STEP.as_nanos()).unwrap_or(i64::MAX);
                clock::unix_nanos() - step
            },
            |metadata| Fingerprint::of(&metadata).ctime_ns,
        )
    }

    fn moment(&self) -> Moment {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Moment { boot: boot.trim().to_owned(), since_boot: clock::since_boot() }
    }
}

/// A file that has no name and never gets one.
fn nameless(folder: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::EXCL;
    Ok(openat(CWD, folder, flags, Mode::RUSR | Mode::WUSR).map(File::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::filter::{Filter, Patterns};
    use crate::remote_path::RemotePrefix;
    use std::sync::Mutex;

    #[test]
    fn a_file_that_is_made_after_a_stamp_does_not_have_a_lower_one() {
        let folder = tempfile::tempdir().unwrap();
        let (watched, absent) = (folder.path().join("watched"), folder.path().join("absent"));
        std::fs::create_dir(&watched).unwrap();
        let folder_clock = LocalFileClock::new(&folder.path().join("client.db"));
        let nowhere = LocalFileClock::new(&absent.join("client.db"));
        for (clock, place) in
            [(&folder_clock, &watched), (&folder_clock, &absent), (&nowhere, &absent)]
        {
            let stamp = clock.stamp(place);
            let path = watched.join("new");
            std::fs::write(&path, "x").unwrap();
            let made = Fingerprint::of(&std::fs::metadata(&path).unwrap()).ctime_ns;
            assert!((stamp..stamp + 60_000_000_000).contains(&made), "{place:?}");
        }
        assert_eq!(std::fs::read_dir(&watched).unwrap().count(), 1, "nothing was left");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nor here");
        let (first, second) = (folder_clock.moment(), folder_clock.moment());
        assert_eq!(first.boot, second.boot);
        assert!(first.since_boot <= second.since_boot && !first.since_boot.is_zero());
    }

    /// A clock that shows what it is told, in seconds: stamp and running time.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<(i64, u64)>>);

    impl FileClock for Told {
        fn stamp(&self, _: &Path) -> i64 {
            self.0.lock().unwrap().0 * 1_000_000_000
        }

        fn moment(&self) -> Moment {
            let since_boot = Duration::from_secs(self.0.lock().unwrap().1);
            Moment { boot: "a".into(), since_boot }
        }
    }

    fn nothing() -> Patterns {
        Patterns::new(Vec::new()).unwrap()
    }

    #[test]
    fn a_baseline_is_lowered_and_stays_so_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(Database::open(&folder.path().join("client.db")).unwrap());
        let clock = Told::default();
        let watch = Watch {
            local_path: "/data/up".into(),
            remote_prefix: RemotePrefix::default(),
            recursive: true,
            filter: Filter { exclude: nothing(), include: nothing() },
            max_file_size: None,
        };
        let begin = |stamp, running, everything| {
            *clock.0.lock().unwrap() = (stamp, running);
            let watches = std::slice::from_ref(&watch);
            Baselines::begin(watches, everything, Arc::clone(&database), Box::new(clock.clone()))
                .unwrap()
        };
        let seconds = |baselines: &Baselines| baselines.of(0).map(|ns| ns / 1_000_000_000);

        let mut baselines = begin(1000, 50, false);
        assert_eq!(seconds(&baselines), Some(1000));
        *clock.0.lock().unwrap() = (1010, 60);
        assert!(!baselines.look());
        *clock.0.lock().unwrap() = (900, 70);
        assert!(baselines.look());
        assert_eq!(seconds(&baselines), Some(890));
        assert_eq!(seconds(&begin(920, 90, false)), Some(890), "it is kept");
        assert_eq!(seconds(&begin(930, 100, true)), None, "everything is taken");
        assert_eq!(seconds(&begin(800, 110, false)), Some(790), "looked at even then");
    }
}
